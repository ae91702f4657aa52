"""Labelme itself opens what we write, and what it writes converts right; what it refuses is told."""

import inspect
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import boxes, codes, convert, document, labels, shape, write_json, write_png
from form_sets import assert_same_boxes, box_dataset, read_form, write_form

from annotations.convert import convert as convert_form
from annotations.naming import Naming
from annotations.picture_files import Mode

pytest.importorskip("labelme", reason="Labelme is not installed: it brings its whole window with it")
from labelme._label_file import LabelFileError, read_label_file, write_label_file

ROWS = [
    {"image_id": "a", "split": "train", "flags": "dark;train"},
    {"image_id": "x/b", "split": "val"},
    {"image_id": "c"},
]
BOXES = [
    {"image": 0, "label": "qr_code", "xyxy": (0, 0, 96, 64), "group": "7"},
    {"image": 0, "label": "fip", "xyxy": (1 / 3, 2.25, 7.7, 9), "parent": 0, "group": "7"},
    {"image": 0, "label": "fip", "xyxy": (50, 2.25, 57.7, 9)},
    {"image": 1, "label": "qr_code", "xyxy": (10, 10, 20, 20), "group": "x"},
    {"image": 1, "label": "qr_code", "xyxy": (5, 5, 30, 30), "group": "x"},
    {"image": 1, "label": "fip", "xyxy": (11, 11, 12, 12), "parent": 4},
]


@pytest.mark.parametrize("mode", ["copy", "link", "reference"])
def test_labelme_opens_what_is_written(tmp_path: Path, mode: Mode) -> None:
    dataset = box_dataset(tmp_path / "in", ROWS, BOXES, parts={"fip": "qr_code"})
    write_form("labelme", tmp_path / "out", dataset, mode)
    opened = {name: read_label_file(filename=str(tmp_path / "out" / f"{name}.json")) for name in ("a", "x/b", "c")}
    assert opened["a"].flags == {"dark": True, "train": True}
    assert [[each["label"], each["group_id"]] for each in opened["a"].shapes][:2] == [["qr_code", 7], ["fip", 7]]
    np.testing.assert_allclose(opened["a"].shapes[1]["points"], [[1 / 3, 2.25], [7.7, 9]], rtol=0, atol=1e-9)
    assert opened["c"].shapes == []
    assert opened["c"].image_data == dataset.picture(2).read_bytes()
    for name in opened:
        assert opened[name].other_data == {}
        assert all(each["other_data"] == {} and each["shape_type"] == "rectangle" for each in opened[name].shapes)
    if mode == "copy":
        back = read_form("labelme", tmp_path / "out", Naming({"fip": "qr_code"}, None, {}))
        assert_same_boxes(back.dataset, box_dataset(tmp_path / "again", _renamed(ROWS), BOXES))


def _renamed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows as they are read back: an image_id is the file's stem where no other has it."""
    return [{**row, "image_id": row["image_id"].rpartition("/")[2]} for row in rows]


def test_labelme_opens_a_resized_picture_in_its_present_pixels(tmp_path: Path) -> None:
    dataset = box_dataset(tmp_path / "in", ROWS[:1], BOXES[:1])
    write_png(dataset.picture(0), (48, 32))
    told = write_form("labelme", tmp_path / "out", dataset)
    assert read_label_file(filename=str(tmp_path / "out/a.json")).shapes[0]["points"] == [[0, 0], [48, 32]]
    assert "stale-size" in {finding.code for finding in told}


# Label, points as drawn, shape_type, and the box that they mean in a picture of 100 x 80.
DRAWN = [
    ("qr_code", [[40, 30], [10, 10]], "rectangle", [10, 10, 40, 30]),
    ("qr_code", [[10, 30.5], [40.25, 10]], "rectangle", [10, 10, 40.25, 30.5]),
    ("qr_code", [[5, 5], [20, 7], [11, 33]], "polygon", [5, 5, 20, 33]),
    ("fip", [[50, 40], [53, 44]], "circle", [45, 35, 55, 45]),
    ("fip", [[-4, 70], [20, 90]], "rectangle", [0, 70, 20, 80]),
]


def write_by_labelme(path: Path, shapes: list[dict[str, Any]], flags: dict[str, bool]) -> None:
    """Write a file by Labelme's own writer, which is another in each of its versions."""
    write_png(path.parent / "img.png")
    size = {"image_height": 80, "image_width": 100}
    if "annotation" in inspect.signature(write_label_file).parameters:
        from labelme._label_file import Annotation

        whole = [{"description": "", "mask": None, "locked": False, "other_data": {}, **each} for each in shapes]
        annotation = Annotation("img.png", b"", whole, flags, {})  # type: ignore[arg-type]
        write_label_file(filename=str(path), annotation=annotation, save_image_data=False, **size)
    else:
        write_label_file(filename=str(path), shapes=shapes, image_path="img.png", flags=flags, **size)


def test_boxes_that_labelme_wrote_convert_right(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    shapes = [
        {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}}
        for label, points, kind, _ in DRAWN
    ]
    write_by_labelme(root / "a.json", shapes, {"train": False, "valid": True})
    report = convert(root)
    assert boxes(report) == [box for *_, box in DRAWN]
    assert labels(report) == [label for label, *_ in DRAWN]
    assert report.dataset.images.split.tolist() == ["val"]
    # The group_id of Labelme's next save is ours, and so is the file: back to Labelme, and once more.
    convert_form(root, tmp_path / "back", target_form="labelme", parts={"fip": "qr_code"}, pictures_mode="copy")
    again = convert(tmp_path / "back")
    assert boxes(again) == [box for *_, box in DRAWN]
    assert [len(read_label_file(filename=str(tmp_path / "back/a.json")).shapes)] == [len(DRAWN)]


# Faults of one field, by JSON: each a document that Labelme 7 refuses.
FAULTS: dict[str, dict[str, Any]] = {
    "no label": document({key: value for key, value in shape().items() if key != "label"}),
    "label of another type": document(shape(5)),
    "no points": document({key: value for key, value in shape().items() if key != "points"}),
    "no point": document(shape(points=[])),
    "points of text": document(shape(points=[["1", "2"], [3, 4]])),
    "points of three": document(shape(points=[[1, 2, 3], [3, 4, 5]])),
    "points not finite": document(shape(points=[[float("nan"), 2], [3, 4]])),
    "points infinite": document(shape(points=[[float("inf"), 2], [3, 4]])),
    "three corners": document(shape(points=[[1, 2], [3, 4], [5, 6]])),
    "circle of three": document(shape(points=[[1, 2], [3, 4], [5, 6]], shape_type="circle")),
    "unknown type": document(shape(shape_type="blob")),
    "type of another type": document(shape(shape_type=3)),
    "group of text": document(shape(group_id="1")),
    "group of fraction": document(shape(group_id=1.5)),
    "group of truth": document(shape(group_id=True)),
    "mask without pixels": document(shape(shape_type="mask")),
    "mask of rubbish": document(shape(shape_type="mask", mask="AAAA")),
    "shape of another type": document(5),
    "flags of another type": document(shape(), flags=[]),
    "flags not true or false": document(shape(), flags={"train": 1}),
    "size of another picture": document(shape(), imageHeight=77),
    "no such picture": document(shape(), imagePath="other.png"),
    "picture of rubbish": document(shape(), imageData="AAAA"),
    "no shapes": {key: value for key, value in document().items() if key != "shapes"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_labelme_refuses_is_told(tmp_path: Path, fault: str) -> None:
    root = tmp_path / "in"
    write_json(root / "a.json", json.dumps(FAULTS[fault]))
    write_json(root / "whole.json", document(shape()))
    write_png(root / "img.png")
    try:
        read_label_file(filename=str(root / "a.json"))
    except (LabelFileError, AttributeError, OverflowError):
        assert codes(convert(root), least="warn")
    else:
        assert int(version("labelme").partition(".")[0]) < 7  # which refuses all of them
