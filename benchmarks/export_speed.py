"""Prediction through an exported model, from a picture's file to its boxes, beside YOLO11n on ONNX Runtime.

One thread, one picture at a time, the two by turns on the same pictures, at the same pixels; medians over all looks.
CPU milliseconds are what counts: wall milliseconds are those of a machine that may have other work. Both are read and
letterboxed by OpenCV; YOLO11n's suppression is OpenCV's, class by class, on boxes above the model's own score floor.
Its weights are random, which changes nothing of its network's time; that it finds next to nothing so, and has little to
suppress, is in its favour. `reading` is the part before the network. `reduced` reads JPEGs that are more than twice as
large as the input at half their size, which gives boxes that differ a little: told beside, not compared.

Command: python benchmarks/export_speed.py MODEL.onnx PICTURES [--yolo PYTHON | --rival FILE.onnx] [--turns 5]
MODEL is what `ppnlab export` wrote, the interpreter needs onnxruntime (extra `export`). PYTHON is an interpreter with
ultralytics, onnx and onnxslim, which makes the rival; without one, ours alone is measured.
Measured on 23 November 2026 at 416 pixels (5 of qr_photos, 3 turns; two cores with other work): ours 55.3 CPU ms,
YOLO11n 58.2, ratio 0.95 (bar 1.00); with every cell decoded, and objects and parts apart, it was 1.07.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from detector.letterbox import Placement, letterbox, place

MAKE = """
import pathlib, shutil, sys
import torch, yaml
import ultralytics
torch.set_num_threads(1)
known = pathlib.Path(ultralytics.__file__).parent / "cfg" / "models" / "11" / "yolo11.yaml"
# The letter in the name says the size of the model: n.
pathlib.Path("yolo11n.yaml").write_text(yaml.safe_dump({**yaml.safe_load(known.read_text()), "nc": int(sys.argv[2])}))
size = [int(side) for side in sys.argv[1].split(",")]
ultralytics.YOLO("yolo11n.yaml").export(format="onnx", imgsz=size, opset=17, simplify=True)
"""
SUFFIXES = (".jpg", ".jpeg", ".png")
REDUCED = "ours, reduced"


class Look(NamedTuple):
    """What a picture cost: CPU seconds of reading and of all, wall seconds of all, and how many boxes it gave."""

    reading: float
    cpu: float
    wall: float
    boxes: int


class Model(NamedTuple):
    """How a picture's file becomes what the network takes, and that boxes."""

    read: Callable[[Path], Any]
    find: Callable[[Any], int]


def session_of(file: Path) -> Any:  # noqa: ANN401
    """Return the model on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def ours(file: Path, *, reduced: bool = False) -> tuple[Model, dict[str, Any]]:
    """Return the exported model, and its facts."""
    session = session_of(file)
    facts = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    canvas = (facts["input"]["height"], facts["input"]["width"])

    def read(path: Path) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        data = np.fromfile(path, np.uint8)
        if reduced and (size := _jpeg_size(data)) and min(canvas[1] / size[0], canvas[0] / size[1]) < 0.5:
            picture = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_2), cv2.COLOR_BGR2RGB)
        else:
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
            size = (picture.shape[1], picture.shape[0])
        at = letterbox(picture.shape[1], picture.shape[0], canvas)
        return place(picture, at, canvas), size

    def find(given: tuple[NDArray[np.uint8], tuple[int, int]]) -> int:
        (score,) = session.run(["score"], {"pictures": given[0][None], "sizes": np.array([given[1]])})
        return len(score)

    return Model(read, find), facts


def _jpeg_size(data: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Return the width and height in the header of a JPEG; None where it is none, or lies on its side by EXIF."""
    text, at = data.tobytes(), 2
    if text[:2] != b"\xff\xd8":
        return None
    while at + 9 < len(text):
        kind, length = text[at + 1], int.from_bytes(text[at + 2 : at + 4])
        if kind == 0xE1 and text[at + 4 : at + 8] == b"Exif":
            return None
        # Source: ITU-T T.81, table B.1: the frame headers, C0 to CF but for C4, C8 and CC.
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(text[at + 7 : at + 9]), int.from_bytes(text[at + 5 : at + 7])
        at += 2 + length
    return None


def rival(file: Path, facts: dict[str, Any]) -> Model:
    """Return YOLO11n, with suppression as in the exported model."""
    session = session_of(file)
    name, canvas = session.get_inputs()[0].name, tuple(session.get_inputs()[0].shape[2:])

    def read(path: Path) -> tuple[NDArray[np.float32], Placement]:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB)
        at = letterbox(picture.shape[1], picture.shape[0], canvas)
        placed = place(picture, at, canvas).transpose(2, 0, 1)[None]
        return np.ascontiguousarray(placed, np.float32) / np.float32(255), at

    def find(given: tuple[NDArray[np.float32], Placement]) -> int:
        values, at = given
        (said,) = session.run(None, {name: values})
        cells = said[0].T
        scores = cells[:, 4:]
        rows, columns = np.nonzero(scores >= facts["score_floor"])
        centre, half = cells[rows, :2], cells[rows, 2:4] / 2
        boxes = at.inverse(np.concatenate([centre - half, centre + half], axis=1))
        boxes[:, 2:] -= boxes[:, :2]
        score = scores[rows, columns]
        return len(cv2.dnn.NMSBoxesBatched(boxes, score, columns, facts["score_floor"], facts["nms_iou"]))

    return Model(read, find)


def look(model: Model, path: Path) -> Look:
    """Return what a picture costs."""
    wall, began = time.perf_counter(), time.process_time()
    given = model.read(path)
    read = time.process_time()
    boxes = model.find(given)
    return Look(read - began, time.process_time() - began, time.perf_counter() - wall, boxes)


def made(python: str, facts: dict[str, Any], scratch: str) -> Path:
    """Return YOLO11n with random weights as an ONNX file, of as many classes and pixels as the exported model."""
    size, classes = f"{facts['input']['height']},{facts['input']['width']}", str(len(facts["classes"]))
    subprocess.run([python, "-c", MAKE, size, classes], cwd=scratch, check=True, capture_output=True)
    return Path(scratch) / "yolo11n.onnx"


def main() -> None:
    """Measure, and print a line for each and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path, help="A folder of photographs.")
    parser.add_argument("--yolo", metavar="PYTHON")
    parser.add_argument("--rival", type=Path, metavar="FILE.onnx")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--most", type=int, default=20, help="Pictures, from the first on.")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    files = sorted(path for path in given.pictures.rglob("*") if path.suffix.lower() in SUFFIXES)[: given.most]
    if not files:
        parser.error(f"{given.pictures}: folder must hold pictures ({', '.join(SUFFIXES)}), got none")
    model, facts = ours(given.model)
    models = {"ours": model, REDUCED: ours(given.model, reduced=True)[0]}
    with tempfile.TemporaryDirectory() as scratch:
        file = given.rival or (made(given.yolo, facts, scratch) if given.yolo else None)
        if file is not None:
            models["YOLO11n"] = rival(file, facts)
    looks: dict[str, list[Look]] = {name: [] for name in models}
    for turn in range(given.turns + 1):
        for path in files:
            for name, one in models.items():
                seen = look(one, path)
                # The first turn finds the files and the memory.
                looks[name] += [seen] if turn else []
    rows, columns = facts["input"]["height"], facts["input"]["width"]
    print(f"{len(files)} pictures, {given.turns} turns, {columns} x {rows} pixels; milliseconds from file to boxes")
    for name, seen in looks.items():
        wall, cpu, reading = (1000 * statistics.median(getattr(one, of) for one in seen) for of in Look._fields[2::-1])
        boxes = statistics.mean(one.boxes for one in seen)
        print(f"{name:<14} CPU {cpu:6.1f} (reading {reading:5.1f}), wall {wall:6.1f}, {boxes:.1f} boxes a picture")
    if "YOLO11n" in looks:
        ratio, reduced = (
            statistics.median(one.cpu for one in looks[name]) / statistics.median(one.cpu for one in looks["YOLO11n"])
            for name in ("ours", REDUCED)
        )
        print(f"ours / YOLO11n: {ratio:.2f} (bar 1.00); read at half the size {reduced:.2f}")


if __name__ == "__main__":
    main()
