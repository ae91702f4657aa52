"""Box datasets with pictures for the tests of the forms, written in a form and read back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
        Image.new("L", size).save(root / "photos" / f"{number}.png")
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
    """Do nothing where both have the same images (in any order), and each image the same boxes in the same order.

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
        ours, theirs = (_of_image(data, place) for data, place in ((dataset, row), (back, other)))
        assert theirs[1] == ours[1]
        np.testing.assert_allclose(theirs[0], ours[0], rtol=0, atol=1e-9)
        assert not parents or theirs[2] == ours[2]


def _of_image(dataset: BoxDataset, row: int) -> tuple[np.ndarray, list[str], list[int]]:
    mine = dataset.annotations.take(dataset.annotations.image_row == row)
    place_of = {object_id: place for place, object_id in enumerate(mine.object_id.tolist())}
    return (
        pixels(dataset.images, mine.image_row, mine.xyxy_rel),
        [dataset.classes[class_id] for class_id in mine.class_id],
        [place_of.get(parent, NO_PARENT) for parent in mine.parent_id.tolist()],
    )


_QUARTERS = st.integers(0, 4 * WIDTH).map(lambda n: n / 4)
_EDGES = _QUARTERS | st.floats(0, WIDTH, allow_subnormal=False)


@st.composite
def _boxes(draw: st.DrawFn) -> list[float]:
    # A box thinner than this is nothing that a file of fractions could hold.
    xs, ys = (sorted(draw(st.tuples(_EDGES, _EDGES).filter(lambda ends: abs(ends[0] - ends[1]) > 1e-6))) for _ in "xy")
    shrink = HEIGHT / WIDTH
    return [xs[0], ys[0] * shrink, xs[1], ys[1] * shrink]


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
            if any(box == {key: other[key] for key in box} for other in boxes):
                continue  # the same box twice is one
            if label == names[-1] and len(names) > 1:
                box["parent"] = draw(st.sampled_from([NO_PARENT, *objects]))
            elif label == names[0]:
                objects.append(len(boxes))
            boxes.append(box)
    parts = {names[-1]: names[0]} if len(names) > 1 else {}
    return {"rows": rows, "boxes": boxes, "classes": names, "parts": parts}
