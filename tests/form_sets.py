"""Box datasets with pictures for the tests of the forms, written in a form and read back."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from annotations.drawn import Reading
from annotations.findings import Finding
from annotations.forms import ReadOptions, read_source, writer_of
from annotations.naming import Naming
from annotations.picture_files import Mode, PictureFiles
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Images, pixels

WIDTH, HEIGHT = 96, 64
NO_NAMES = Naming({}, None, {})


def box_dataset(
    root: Path,
    rows: Sequence[Mapping[str, Any]],
    boxes: Sequence[Mapping[str, Any]],
    classes: Sequence[str] = ("qr_code", "fip"),
    parts: Mapping[str, str] | None = None,
) -> BoxDataset:
    """Return a dataset of these images (`image_id`, `split`, `flags`, `size`) and boxes (`image`, `label`, `xyxy`).

    A box's `xyxy` is in pixels and its `parent` the number of another box. Pictures are written below `root`.
    """
    sizes = [row.get("size", (WIDTH, HEIGHT)) for row in rows]
    for number, size in enumerate(sizes):
        (root / "photos").mkdir(parents=True, exist_ok=True)
        (root / "photos" / f"{number}.png").write_bytes(_png(size))
    images = Images(
        image_id=np.array([row["image_id"] for row in rows], np.str_),
        path=np.array([f"photos/{number}.png" for number in range(len(rows))], np.str_),
        width=np.array([size[0] for size in sizes], np.int64),
        height=np.array([size[1] for size in sizes], np.int64),
        split=np.array([row.get("split", "") for row in rows], np.str_),
        group=np.array([row.get("group", "") for row in rows], np.str_),
        flags=np.array([row.get("flags", "") for row in rows], np.str_),
        source=np.array(["" for _ in rows], np.str_),
    )
    image_row = np.array([box["image"] for box in boxes], np.int64)
    xyxy = np.array([box["xyxy"] for box in boxes], np.float64).reshape(-1, 4)
    table = Annotations(
        image_row=image_row,
        object_id=np.arange(len(boxes)),
        parent_id=np.array([box.get("parent", NO_PARENT) for box in boxes], np.int64),
        group_id=np.array([box.get("group", "") for box in boxes], np.str_),
        class_id=np.array([classes.index(box["label"]) for box in boxes], np.int64),
        xyxy_rel=xyxy / np.array([[*sizes[row], *sizes[row]] for row in image_row], np.float64).reshape(-1, 4),
        shape_type=np.array([box.get("shape_type", "rectangle") for box in boxes], np.str_),
    )
    for name in ("crowd", "ignore"):
        if any(box.get(name) for box in boxes):
            table = replace(table, **{name: np.array([bool(box.get(name)) for box in boxes])})
    return BoxDataset(root, tuple(classes), parts or {}, images, table)


@cache
def _png(size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("L", size).save(stream, "png")
    return stream.getvalue()


def write_form(form: str, folder: Path, dataset: BoxDataset, mode: Mode = "copy") -> list[Finding]:
    """Return the findings of writing a dataset in a form to a folder, as a conversion does it."""
    folder.mkdir(parents=True)
    pictures = PictureFiles(mode)
    return [*writer_of(form)(folder, folder, dataset, pictures), *pictures.findings]


def read_form(form: str, folder: Path, naming: Naming = NO_NAMES, **options: Any) -> Reading:  # noqa: ANN401
    """Return what a folder holds."""
    return read_source(folder, form, naming, ReadOptions(**options))


def found_codes(findings: Sequence[Finding]) -> list[str]:
    """Return the codes of findings, sorted."""
    return sorted(finding.code for finding in findings)


def assert_same_boxes(back: BoxDataset, dataset: BoxDataset, *, parents: bool = True) -> None:
    """Do nothing where both have the same images and each image the same boxes, in any order.

    Boxes to 1e-9 of a pixel, labels, splits and, where asked for, parents.
    """
    assert sorted(back.images.image_id.tolist()) == sorted(dataset.images.image_id.tolist())
    row_of = {image_id: row for row, image_id in enumerate(back.images.image_id.tolist())}
    for row, image_id in enumerate(dataset.images.image_id.tolist()):
        other = row_of[image_id]
        assert back.images.split[other] == dataset.images.split[row]
        assert (back.images.width[other], back.images.height[other]) == (
            dataset.images.width[row],
            dataset.images.height[row],
        )
        ours, theirs = _sorted_boxes(dataset, row), _sorted_boxes(back, other)
        assert [box[0] for box in theirs] == [box[0] for box in ours]
        np.testing.assert_allclose([box[1] for box in theirs], [box[1] for box in ours], rtol=0, atol=1e-9)
        if parents:
            assert [box[2] for box in theirs] == [box[2] for box in ours]


def _sorted_boxes(dataset: BoxDataset, row: int) -> list[tuple[str, list[float], list[float]]]:
    """Return label, box and, rounded, the parent's box (or nothing) of each box of an image, in their order."""
    mine = dataset.annotations.take(dataset.annotations.image_row == row)
    boxes = pixels(dataset.images, mine.image_row, mine.xyxy_rel)
    rounded = boxes.round(6) + 0.0
    place_of = {object_id: place for place, object_id in enumerate(mine.object_id.tolist())}
    labels = [dataset.classes[class_id] for class_id in mine.class_id]
    parents = [place_of.get(parent) for parent in mine.parent_id.tolist()]
    order = sorted(range(len(mine)), key=lambda place: (labels[place], rounded[place].tolist()))
    return [
        (labels[place], boxes[place].tolist(), [] if (at := parents[place]) is None else rounded[at].tolist())
        for place in order
    ]


_THIN = 1e-3
_QUARTERS = st.integers(0, 4 * WIDTH).map(lambda n: n / 4)
# No short decimals, and none that lies where rounding to a millionth of a pixel turns.
_EDGES = _QUARTERS | st.integers(0, WIDTH * 30011).map(lambda n: n / 30011)


@st.composite
def _boxes(draw: st.DrawFn) -> list[float]:
    xs, ys = (sorted(draw(st.tuples(_EDGES, _EDGES).filter(lambda ends: abs(ends[0] - ends[1]) > _THIN))) for _ in "xy")
    shrink = HEIGHT / WIDTH
    return [xs[0], ys[0] * shrink, xs[1], ys[1] * shrink]


def _are_near(box: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    is_near = bool(np.abs(np.subtract(box["xyxy"], other["xyxy"])).max() < _THIN)
    return is_near and (box["image"], box["label"]) == (other["image"], other["label"])


@st.composite
def datasets(draw: st.DrawFn, classes: st.SearchStrategy[list[str]]) -> dict[str, Any]:
    """Return the arguments of `box_dataset`: images of all splits, objects, and parts with a parent or without."""
    names = draw(classes)
    count = draw(st.integers(1, 4))
    rows = [
        {"image_id": f"img {row}", "split": draw(st.sampled_from(["train", "val", "test", ""]))} for row in range(count)
    ]
    boxes: list[dict[str, Any]] = []
    for image in range(count):
        objects: list[int] = []
        for _ in range(draw(st.integers(0, 5))):
            label = draw(st.sampled_from(names))
            box = {"image": image, "label": label, "xyxy": draw(_boxes())}
            if any(_are_near(box, other) for other in boxes):
                continue  # the same box twice would be one, and nearly the same twice has no order
            if label == names[-1] and len(names) > 1:
                box["parent"] = draw(st.sampled_from([NO_PARENT, *objects]))
            elif label == names[0]:
                objects.append(len(boxes))
            boxes.append(box)
    parts = {names[-1]: names[0]} if len(names) > 1 else {}
    return {"rows": rows, "boxes": boxes, "classes": names, "parts": parts}
