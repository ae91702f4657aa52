"""Codes that are 12 to 40 pixels wide at the network's input: photographs shrunk and set into ones without codes.

Each photograph of a split is shrunk so far that one of its codes has a side of 12-16, 16-24 and 24-40 pixels at an
input of 416, and set with soft edges into a photograph without codes of the same dataset (val's and test's, never
train's). Prints AP@.5 of each class by the size of the code (a part counts with its code), in the plain way and in
tiles. Of the detections, those on a code of another size are left out; every other false alarm counts in each row.
Photographs that would have to be enlarged, or would fill the frame, are passed over.
Measured on 23 November 2026 with the run of benchmarks/qr_photos.py as it was on the day before (40 epochs at 416
pixels), 148 scenes: qr_code .375 (.000, .229 and .876 by size), fip .136 in the plain way; docs/tiling.md has tiles.
Command: python benchmarks/far_scenes.py DATA OUTPUT [RUN ...] [--split val] [--tile]
DATA is a box dataset with splits (`ppnlab convert PHOTOS DATA --parts fip:qr_code`); OUTPUT becomes a box dataset.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.box_overlaps import iou
from annotations.dataset import read_dataset, write_dataset
from annotations.pictures import read_picture, write_picture
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Boxes, Detections, Images
from detector.detecting import detect_images
from detector.tiling import Tiling
from detector.weights import load_predictor
from evaluation.monitor import monitor_ap

INPUT = 416
FRAME = (1024, 768)
"""Width and height of a scene in pixels: a code is 2.46 times as large in it as at the input."""
SIZES = ((12.0, 16.0), (16.0, 24.0), (24.0, 40.0))
MOST = 0.8
"""Share of the frame that a shrunk photograph may take each way."""
FEATHER = 3.0
"""Pixels over which its edges fade."""


class Scene(NamedTuple):
    """A picture, and the rows of the truth that it shows, with their boxes in its pixels."""

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    xyxy: Boxes


def code_sides(truth: Annotations, frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) the side, root of the area, of each box's code in pixels: a part's is that of its object."""
    sides = truth.xyxy_rel[:, 2:] - truth.xyxy_rel[:, :2]
    own = np.sqrt((sides * frame[truth.image_row]).prod(axis=1))
    row_of = {number: row for row, number in enumerate(truth.object_id.tolist())}
    return np.array([own[row_of.get(parent, row)] for row, parent in enumerate(truth.parent_id.tolist())])


def scenes(data: BoxDataset, split: str, seed: int) -> Iterator[Scene]:
    """Yield a scene for each photograph of a split and each size at which it fits."""
    frame = np.stack([data.images.width, data.images.height], axis=1).astype(np.float64)
    truth = data.annotations
    side = code_sides(truth, frame)
    empty = np.setdiff1d(np.concatenate([data.images.rows_of(name) for name in ("val", "test")]), truth.image_row)
    for row in data.images.rows_of(split).tolist():
        rows = np.flatnonzero(truth.image_row == row)
        codes = rows[truth.parent_id[rows] == NO_PARENT]
        for number, (least, most) in enumerate(SIZES if len(codes) else ()):
            rng = np.random.default_rng((seed, row, number))
            wanted = float(np.exp(rng.uniform(np.log(least), np.log(most)))) * FRAME[0] / INPUT
            factor = wanted / side[rng.choice(codes)]
            if factor <= 1 and (frame[row] * factor <= np.array(FRAME) * MOST).all():
                xyxy = truth.xyxy_rel[rows] * np.tile(frame[row], 2)
                around = background(read_picture(data.picture(int(rng.choice(empty)))), rng)
                yield Scene(*set_into(around, read_picture(data.picture(row)), xyxy, factor, rng, rows))


def background(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a part of the picture, perhaps mirrored, as large as the frame."""
    scale = max(FRAME[0] / picture.shape[1], FRAME[1] / picture.shape[0])
    size = (max(FRAME[0], round(picture.shape[1] * scale)), max(FRAME[1], round(picture.shape[0] * scale)))
    grown = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))
    left, top = (int(rng.integers(have - want + 1)) for have, want in zip(size, FRAME, strict=True))
    cut = grown[top : top + FRAME[1], left : left + FRAME[0]]
    return np.ascontiguousarray(cut[:, ::-1] if rng.integers(2) else cut, np.uint8)


def set_into(
    around: NDArray[np.uint8],
    photo: NDArray[np.uint8],
    xyxy: Boxes,
    factor: float,
    rng: np.random.Generator,
    rows: NDArray[np.int64],
) -> tuple[NDArray[np.uint8], NDArray[np.int64], Boxes]:
    """Return the picture with the photograph, shrunk, somewhere in it, and its rows and (N, 4) boxes there."""
    size = tuple(max(1, round(length * factor)) for length in (photo.shape[1], photo.shape[0]))
    small = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.float32)
    left, top = (int(rng.integers(have - want + 1)) for have, want in zip(FRAME, size, strict=True))
    mask = np.zeros((size[1] + 2, size[0] + 2), np.float32)
    mask[2:-2, 2:-2] = 1
    soft = cv2.GaussianBlur(mask, (0, 0), FEATHER / 2)[1:-1, 1:-1, None]
    window = (slice(top, top + size[1]), slice(left, left + size[0]))
    result = around.copy()
    result[window] = np.rint(small * soft + around[window] * (1 - soft)).astype(np.uint8)
    scale = np.tile(np.array(size) / (photo.shape[1], photo.shape[0]), 2)
    return result, rows, xyxy * scale + np.array([left, top] * 2)


def write_far(data: BoxDataset, output: Path, split: str, seed: int) -> BoxDataset:
    """Write the scenes of a split as a box dataset whose images are all of `test`, and return it."""
    made, old = [], data.annotations
    (output / "images").mkdir(parents=True)
    for number, scene in enumerate(scenes(data, split, seed)):
        write_picture(output / "images" / f"far_{number:04d}.png", scene.pixels)
        made.append((scene.rows, scene.xyxy))
    count = len(made)
    rows = np.concatenate([rows for rows, _ in made])
    image_row = np.repeat(np.arange(count), [len(rows) for rows, _ in made])
    # A photograph is there several times: its objects get new numbers in each scene.
    many = int(old.object_id.max()) + 1
    parent = old.parent_id[rows]
    truth = Annotations(
        image_row,
        old.object_id[rows] + many * image_row,
        np.where(parent == NO_PARENT, NO_PARENT, parent + many * image_row),
        old.group_id[rows],
        old.class_id[rows],
        np.concatenate([xyxy for _, xyxy in made]) / np.tile(FRAME, 2),
        old.shape_type[rows],
    )
    names = np.array([f"far_{number:04d}" for number in range(count)])
    paths, none = np.array([f"images/{name}.png" for name in names]), np.array([""] * count)
    width, height = (np.full(count, side) for side in FRAME)
    images = Images(names, paths, width, height, np.array(["test"] * count), none, none, none)
    far = BoxDataset(output, data.classes, data.parts, images, truth)
    write_dataset(output / "data", far, [], command=f"far_scenes.py --split {split} --seed {seed}")
    return read_dataset(output / "data")


def of_size(truth: BoxDataset, found: Detections, inside: NDArray[np.bool_]) -> tuple[BoxDataset, Detections]:
    """Return the truth with all but the rows `inside` ignored, and the detections that are not on what is ignored."""
    boxes = truth.annotations
    kept = np.ones(len(found), np.bool_)
    for image in range(len(truth.images)):
        mine, theirs = np.flatnonzero(found.image_row == image), np.flatnonzero(boxes.image_row == image)
        if len(mine) and len(theirs):
            overlap = iou(found.xyxy_rel[mine], boxes.xyxy_rel[theirs])
            overlap *= found.class_id[mine][:, None] == boxes.class_id[theirs]
            best = theirs[overlap.argmax(axis=1)]
            kept[mine] = inside[best] | (overlap.max(axis=1) < 0.1)
    rows = np.flatnonzero(inside)
    part = replace(truth, annotations=boxes.take(rows))
    return part, found.take(np.flatnonzero(kept))


def told(truth: BoxDataset, found: Detections) -> str:
    """Return AP@.5 of each class, all sizes first."""
    frame = np.tile(np.array(FRAME, np.float64), (len(truth.images), 1))
    side = code_sides(truth.annotations, frame) * INPUT / FRAME[0]
    lines = []
    for name, inside in {"all": side > 0, **{f"{a:g}-{b:g} px": (side >= a) & (side < b) for a, b in SIZES}}.items():
        scores = monitor_ap(*of_size(truth, found, inside))
        counts = np.bincount(truth.annotations.class_id[inside], minlength=len(truth.classes))
        figures = (
            f"{label} {scores[f'ap50/{label}'] or 0:.3f} ({counts[class_id]})"
            for class_id, label in enumerate(truth.classes)
        )
        lines.append(f"  {name:<9} {', '.join(figures)}")
    return "\n".join(lines)


def main() -> None:
    """Write the scenes where they are not there yet, and tell the figures of each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--split", default="test", choices=["train", "val", "test"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tile", action="store_true", help="in tiles too, with all scales")
    given = parser.parse_args()
    there = (given.output / "data").is_dir()
    far = (
        read_dataset(given.output / "data")
        if there
        else write_far(read_dataset(given.data), given.output, given.split, given.seed)
    )
    print(f"{len(far.images)} scenes in {given.output / 'data'}", flush=True)
    for run in given.runs:
        predictor = load_predictor(run, "best")
        for tiling in (None, Tiling(size=FRAME[0] // 2)) if given.tile else (None,):
            found = detect_images(predictor.model, far, predictor.predict, tiling=tiling)
            way = f"tiles of {tiling.size} pixels" if tiling else "whole pictures"
            print(
                f"{run}, step {predictor.step}, {way}: AP@.5 (boxes) by side of the code\n{told(far, found)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
