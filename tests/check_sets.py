"""Small datasets for the tests of check: boxes given in pixels, pictures drawn where a test wants them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.check import CheckReport
from annotations.sightings import Sighting
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Images, relative

Box = tuple[str, float, float, float, float]
WIDTH, HEIGHT = 640, 480


def dataset_of(
    boxes: Sequence[Sequence[Box]],
    *,
    classes: Sequence[str] | None = None,
    parts: Mapping[str, str] | None = None,
    parents: Sequence[int] | None = None,
    split: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    flags: Sequence[str] | None = None,
    image_id: Sequence[str] | None = None,
    path: Sequence[str] | None = None,
    source: Sequence[str] | None = None,
    size: Sequence[tuple[int, int]] | None = None,
    root: Path = Path("nowhere"),
) -> BoxDataset:
    """Return a dataset of one image for each list of (label, xmin, ymin, xmax, ymax) in pixels.

    `parents` are object ids, which count the boxes from 0 over all images.
    """
    count = len(boxes)
    ids = list(image_id or [f"i{row:04}" for row in range(count)])
    empty = [""] * count
    sizes = list(size or [(WIDTH, HEIGHT)] * count)
    images = Images(
        image_id=np.array(ids, np.str_),
        path=np.array(path or [f"{name}.png" for name in ids], np.str_),
        width=np.array([width for width, _ in sizes], np.int64),
        height=np.array([height for _, height in sizes], np.int64),
        split=np.array(split or empty, np.str_),
        group=np.array(group or empty, np.str_),
        flags=np.array(flags or empty, np.str_),
        source=np.array(source or [f"{name}.json" for name in ids], np.str_),
    )
    flat = [box for of_image in boxes for box in of_image]
    names = list(classes or sorted({box[0] for box in flat}))
    rows = np.repeat(np.arange(count), [len(of_image) for of_image in boxes]).astype(np.int64)
    xyxy = np.array([box[1:] for box in flat], np.float64).reshape(-1, 4)
    table = Annotations(
        image_row=rows,
        object_id=np.arange(len(flat)),
        parent_id=np.array(parents if parents is not None else [NO_PARENT] * len(flat), np.int64),
        group_id=np.array([""] * len(flat), np.str_),
        class_id=np.array([names.index(box[0]) for box in flat], np.int64),
        xyxy_rel=relative(images, rows, xyxy),
        shape_type=np.array(["rectangle"] * len(flat), np.str_),
    )
    return BoxDataset(root, tuple(names), dict(parts or {}), images, table)


def square(label: str, side: float, x: float = 100, y: float = 100) -> Box:
    """Return a square box."""
    return (label, x, y, x + side, y + side)


def textured(seed: int, width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    """Return a (height, width, 3) picture of random discs and bars, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(25):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y), int(rng.integers(8, 50)), colour, cv2.FILLED)
        else:
            end = int(rng.integers(width)), int(rng.integers(height))
            cv2.line(picture, (x, y), end, colour, int(rng.integers(3, 14)))
    return picture


def write_image(path: Path, picture: NDArray[np.uint8], quality: int = 92) -> Path:
    """Write a picture and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    done, data = cv2.imencode(path.suffix, picture, settings)
    assert done
    path.write_bytes(data.tobytes())
    return path


def codes_of(sightings: Sequence[Sighting]) -> list[str]:
    """Return the codes of sightings, sorted."""
    return sorted(sighting.finding.code for sighting in sightings)


def found(report: CheckReport, code: str) -> list[str]:
    """Return the messages of one code."""
    return [finding.message for finding in report.findings if finding.code == code]
