"""A run's detector against programs that read QR codes, used as detectors: which codes of test they find.

Readers give no scores: theirs is one precision and one recall, at IoU .5. The run's is the greatest recall at a
precision of 0.98 or more: at the score that gives it on test itself, and at the score that gives it on val.
Readers: OpenCV's QRCodeDetector and QRCodeDetectorAruco, and zxing-cpp, with the codes that it reads and with those
that it only finds; of a quadrilateral, the upright box around it counts.
Command: python benchmarks/code_readers.py DATA RUN [--readers PYTHON] [--class qr_code]
PYTHON is an interpreter with numpy, opencv-python-headless and zxing-cpp, which the project itself does not need: with
the project's own, OpenCV's two are compared. Measured on 23 November 2026 with the run of benchmarks/qr_photos.py as it
was on the day before (40 epochs at 416 pixels), on the 59 codes of test: recall .966 (both ways, precision .983 and
1.000); QRCodeDetector .475, QRCodeDetectorAruco .695 and zxing-cpp 3.1.1 .746, all at precision 1.000; with codes
that it does not read, zxing-cpp has .881 at .722.
"""

import argparse
import importlib
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

LEAST_PRECISION = 0.98
READ = "--read"


Find = Callable[[Any], list[list[float]]]
"""From a picture to the (xmin, ymin, xmax, ymax) pixels of the codes in it."""


def read_codes() -> None:
    """Print, for each picture named on stdin, the boxes that each reader finds; run by the readers' interpreter."""
    import cv2

    pictures = [cv2.imread(line.strip()) for line in sys.stdin]
    readers = {
        "cv2.QRCodeDetector": _opencv(cv2.QRCodeDetector()),
        "cv2.QRCodeDetectorAruco": _opencv(cv2.QRCodeDetectorAruco()),
        **_zxing(),
    }
    print(json.dumps({name: [find(picture) for picture in pictures] for name, find in readers.items()}))


def _around(corners: Any) -> list[float]:  # noqa: ANN401
    import numpy as np

    points = np.asarray(corners, float).reshape(-1, 2)
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def _opencv(reader: Any) -> Find:  # noqa: ANN401
    def find(picture: Any) -> list[list[float]]:  # noqa: ANN401
        done, corners = reader.detectMulti(picture)
        return [_around(quad) for quad in corners] if done else []

    return find


def _zxing() -> dict[str, Find]:
    """Return zxing-cpp as two readers, or none where it is not installed."""
    try:
        version = importlib.metadata.version("zxing-cpp")
    except importlib.metadata.PackageNotFoundError:
        return {}
    zxingcpp = importlib.import_module("zxingcpp")

    def finder(**options: Any) -> Find:  # noqa: ANN401
        def find(picture: Any) -> list[list[float]]:  # noqa: ANN401
            found = zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode, **options)
            return [_around([(at.x, at.y) for at in _corners(code.position)]) for code in found]

        return find

    name = f"zxing-cpp {version}"
    return {name: finder(), f"{name}, unread ones too": finder(return_errors=True)}


def _corners(position: Any) -> list[Any]:  # noqa: ANN401
    return [position.top_left, position.top_right, position.bottom_right, position.bottom_left]


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
