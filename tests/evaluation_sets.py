"""Small sets of truth and detections for the tests of evaluation, from plain rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from annotations.dataset import write_dataset
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Detections, Images, relative

Row = tuple[object, ...]
BOX_PIXELS = (8.0, 8.0, 24.0, 16.0)


def images(
    count: int, *, size: tuple[int, int] = (128, 64), splits: Sequence[str] = ("",), groups: Sequence[str] = ("",)
) -> Images:
    names = [f"picture{i}" for i in range(count)]
    return Images(
        image_id=np.array(names, np.str_),
        path=np.array([f"{name}.png" for name in names], np.str_),
        width=np.full(count, size[0]),
        height=np.full(count, size[1]),
        split=np.array([splits[i % len(splits)] for i in range(count)], np.str_),
        group=np.array([groups[i % len(groups)] for i in range(count)], np.str_),
        flags=np.array([""] * count, np.str_),
        source=np.array([f"{name}.json" for name in names], np.str_),
    )


def dataset(
    table: Images, rows: Sequence[Row], *, classes: tuple[str, ...] = ("code",), parts: dict[str, str] | None = None
) -> BoxDataset:
    """Truth from rows (image row, class id, (xmin, ymin, xmax, ymax) in pixels)."""
    image_row, class_id, xyxy = _columns(rows)
    truth = Annotations(
        image_row=image_row,
        object_id=np.arange(len(rows)),
        parent_id=np.full(len(rows), NO_PARENT),
        group_id=np.array([""] * len(rows), np.str_),
        class_id=class_id,
        xyxy_rel=relative(table, image_row, xyxy),
        shape_type=np.array(["rectangle"] * len(rows), np.str_),
    )
    return BoxDataset(Path("nowhere"), classes, parts or {}, table, truth)


def detections(table: Images, rows: Sequence[Row]) -> Detections:
    """Detections from rows (image row, class id, (xmin, ymin, xmax, ymax) in pixels, score)."""
    image_row, class_id, xyxy = _columns(rows)
    return Detections(
        image_row=image_row,
        object_id=np.arange(len(rows)),
        parent_id=np.full(len(rows), NO_PARENT),
        class_id=class_id,
        score=np.array([row[3] for row in rows], np.float64),
        xyxy_rel=relative(table, image_row, xyxy),
    )


def _columns(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64).reshape(len(rows), 4),
    )


def random_set(
    rng: np.random.Generator,
    *,
    pictures: int,
    truths: int,
    found: int,
    classes: int,
    scores: int = 20,
    groups: Sequence[str] = ("",),
    scale: int = 1,
) -> tuple[BoxDataset, Detections]:
    """A random set on a quarter-pixel grid: near copies of truths and strays, few distinct scores (so many ties).

    Boxes have sides up to 16 times `scale`: all small at 1, of every size at 8.
    """
    table = images(pictures, size=(61 * scale, 47 * scale), splits=("train", "val", "test"), groups=groups)
    truth = [(int(rng.integers(pictures)), int(rng.integers(classes)), _box(rng)) for _ in range(truths)]
    rows = []
    for _ in range(found):
        if truths and rng.random() < 0.7:
            image, class_id, box = truth[int(rng.integers(truths))]
            moved = np.array(box) + rng.integers(-8, 9, 4) / 4
            box = (*np.minimum(moved[:2], moved[2:] - 0.25), *np.maximum(moved[2:], moved[:2] + 0.25))
        else:
            image, class_id, box = int(rng.integers(pictures)), int(rng.integers(classes)), _box(rng)
        rows.append((image, class_id, box, int(rng.integers(scores)) / scores))
    names = tuple(f"class{i}" for i in range(classes))
    truth = [(image, class_id, tuple(scale * np.array(box))) for image, class_id, box in truth]
    rows = [(image, class_id, tuple(scale * np.array(box)), score) for image, class_id, box, score in rows]
    return dataset(table, truth, classes=names), detections(table, rows)


def marked(truth: BoxDataset, *, crowd: Sequence[bool] = (), ignore: Sequence[bool] = ()) -> BoxDataset:
    """The same truth with some of its boxes marked; none at all where nothing is given."""
    marks = {"crowd": np.array(crowd, np.bool_), "ignore": np.array(ignore, np.bool_)}
    return replace(truth, annotations=replace(truth.annotations, **marks))


def _box(rng: np.random.Generator) -> tuple[float, ...]:
    x, y = rng.integers(0, 4 * 40, 2) / 4
    width, height = rng.integers(1, 4 * 16, 2) / 4
    return (float(x), float(y), float(x + width), float(y + height))


def box_dataset_on_disk(directory: Path) -> Path:
    """A box dataset of two images, with one code at BOX_PIXELS in the first, and no pictures."""
    truth = dataset(images(2), [(0, 0, BOX_PIXELS)])
    write_dataset(directory, truth, [], command="a test")
    return directory
