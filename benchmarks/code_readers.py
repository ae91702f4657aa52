"""A run's detector against programs that read QR codes, used as detectors: which codes of test they find.

Readers give no scores: theirs is one precision and one recall, at IoU .5. The run's is the greatest recall at a
precision of 0.98 or more: at the score that gives it on test itself, and at the score that gives it on val.
Readers: OpenCV's QRCodeDetector and QRCodeDetectorAruco, and zxing-cpp, with the codes that it reads and with those
that it only finds; of a quadrilateral, the upright box around it counts.
Command: python benchmarks/code_readers.py DATA RUN [--readers PYTHON] [--class qr_code]
PYTHON is an interpreter with numpy, opencv-python-headless and zxing-cpp, which the project itself does not need.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

LEAST_PRECISION = 0.98
READ = "--read"


def read_codes() -> None:
    """Print, for each picture named on stdin, the boxes that each reader finds; run by the readers' interpreter."""
    import importlib
    import importlib.metadata

    import cv2
    import numpy as np

    zxingcpp = importlib.import_module("zxingcpp")

    def around(corners: Any) -> list[float]:  # noqa: ANN401
        points = np.asarray(corners, float).reshape(-1, 2)
        return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]

    def opencv(reader: Any) -> Callable[[Any], list[list[float]]]:  # noqa: ANN401
        def find(picture: Any) -> list[list[float]]:  # noqa: ANN401
            done, corners = reader.detectMulti(picture)
            return [around(quad) for quad in corners] if done else []

        return find

    def zxing(**options: Any) -> Callable[[Any], list[list[float]]]:  # noqa: ANN401
        def find(picture: Any) -> list[list[float]]:  # noqa: ANN401
            codes = zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode, **options)
            quads = [
                (c.position.top_left, c.position.top_right, c.position.bottom_right, c.position.bottom_left)
                for c in codes
            ]
            return [around([(point.x, point.y) for point in quad]) for quad in quads]

        return find

    version = importlib.metadata.version("zxing-cpp")
    readers = {
        "cv2.QRCodeDetector": opencv(cv2.QRCodeDetector()),
        "cv2.QRCodeDetectorAruco": opencv(cv2.QRCodeDetectorAruco()),
        f"zxing-cpp {version}": zxing(),
        f"zxing-cpp {version}, unread ones too": zxing(return_errors=True),
    }
    pictures = [cv2.imread(line.strip()) for line in sys.stdin]
    print(json.dumps({name: [find(picture) for picture in pictures] for name, find in readers.items()}))


def main() -> None:
    """Compare, and print a line for each."""
    import numpy as np

    from annotations.dataset import read_dataset
    from annotations.tables import NO_PARENT, BoxDataset, Detections
    from detector.detecting import detect_images
    from detector.weights import load_predictor
    from evaluation.matching import MatchTable, match

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--readers", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--class", dest="label", default="qr_code")
    given = parser.parse_args()
    data = read_dataset(given.data)
    wanted = data.classes.index(given.label)

    def of_class(table: MatchTable) -> tuple[Any, Any, int]:
        mine = table.class_id == wanted
        return table.score[mine], table.hit[mine], int((table.every_truth_class_id == wanted).sum())

    def sweep(part: BoxDataset, found: Detections) -> tuple[Any, Any, Any]:
        score, hit, truth = of_class(match(part, found))
        hits = np.cumsum(hit)
        return score, hits / np.arange(1, len(hit) + 1), hits / truth

    def told(name: str, precision: float, recall: float, note: str = "") -> None:
        print(f"{name:<34} precision {precision:.3f}, recall {recall:.3f}{note}")

    predictor, test = load_predictor(given.run, "best"), data.split("test")
    swept = {}
    for name in ("val", "test"):
        part = data.split(name)
        swept[name] = sweep(part, detect_images(predictor.model, part, predictor.predict))
    score, precision, recall = swept["test"]
    sure = np.flatnonzero(precision >= LEAST_PRECISION)
    best = sure[-1] if len(sure) else 0
    told(str(given.run), precision[best], recall[best], f" at score {score[best]:.3f}, chosen on test")
    val_score, val_precision, _ = swept["val"]
    chosen = val_score[np.flatnonzero(val_precision >= LEAST_PRECISION)[-1]]
    last = int((score >= chosen).sum()) - 1
    told(str(given.run), precision[last], recall[last], f" at score {chosen:.3f}, chosen on val")

    names = "\n".join(str(test.picture(row).resolve()) for row in range(len(test.images)))
    done = subprocess.run([given.readers, __file__, READ], input=names, capture_output=True, text=True, check=True)
    for name, found in json.loads(done.stdout).items():
        rows = [(image, box) for image, boxes in enumerate(found) for box in boxes]
        image_row = np.array([image for image, _ in rows], np.int64)
        frame = np.stack([test.images.width, test.images.height] * 2, axis=1)[image_row]
        count = len(rows)
        table = Detections(
            image_row, np.arange(count), np.full(count, NO_PARENT), np.full(count, wanted), np.ones(count),
            np.array([box for _, box in rows], np.float64).reshape(-1, 4) / frame,
        )  # fmt: skip
        _, hit, truth = of_class(match(test, table))
        told(name, hit.sum() / max(1, count), hit.sum() / truth)


if __name__ == "__main__":
    if sys.argv[1:] == [READ]:
        read_codes()
    else:
        main()
