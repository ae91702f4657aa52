"""Labelme files that are written: their keys, groups, flags and sizes."""

import json
from pathlib import Path
from typing import Any

import pytest
from annotation_files import write_png
from form_sets import box_dataset, found_codes, read_form, write_form

from annotations.labelme_writer import write_labelme
from annotations.naming import Naming
from annotations.picture_files import PictureFiles
from annotations.tables import NO_PARENT

CODE = {"image": 0, "label": "qr_code", "xyxy": (0, 0, 30, 30)}
FINDER = {"image": 0, "label": "fip", "xyxy": (2, 2, 9, 9)}
PARTS = {"fip": "qr_code"}


def written(root: Path, *boxes: dict[str, Any], **row: Any) -> tuple[dict[str, Any], list[str]]:  # noqa: ANN401
    """Return the document of one image with these boxes, and the messages of the findings."""
    dataset = box_dataset(root / "in", [{"image_id": "a", **row}], boxes, parts=PARTS)
    told = write_form("labelme", root / "out", dataset)
    return json.loads((root / "out/a.json").read_bytes()), [finding.message for finding in told]


def groups(document: dict[str, Any]) -> list[int | None]:
    return [shape["group_id"] for shape in document["shapes"]]


def test_document_has_labelmes_keys_in_their_order(tmp_path: Path) -> None:
    document, told = written(tmp_path, CODE, FINDER, split="val", flags="dark;valid;odd one")
    assert list(document) == ["version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"]
    assert document["flags"] == {"dark": True, "odd one": True, "val": True}
    assert (document["imagePath"], document["imageData"]) == ("a.png", None)
    assert (document["imageHeight"], document["imageWidth"]) == (64, 96)
    assert list(document["shapes"][0]) == [
        "label", "points", "group_id", "description", "shape_type", "flags", "mask",
    ]  # fmt: skip
    assert document["shapes"][0]["points"] == [[0, 0], [30, 30]]
    assert told == ["Labelme has no place for which labels are parts; say --parts fip:qr_code when it is read"]


@pytest.mark.parametrize(
    ("boxes", "numbers"),
    [
        # The dataset's own groups lead to the parents.
        ([{**CODE, "group": "7"}, {**FINDER, "group": "7", "parent": 0}], [7, 7]),
        # Without a group, the part would belong to whatever is around it.
        ([CODE, {**FINDER, "parent": 0}], [0, 0]),
        # An object without parts needs none.
        ([CODE], [None]),
        # A part without an object is in a group that none has.
        ([{**CODE, "group": "0"}, FINDER, {**FINDER, "xyxy": (3, 3, 9, 9)}], [0, 1, 2]),
        # No integer.
        ([{**CODE, "group": "x"}, {**FINDER, "group": "x", "parent": 0}], [0, 0]),
        ([{**CODE, "group": "01"}, {**CODE, "group": "1", "label": "cat"}], [0, 1]),
        # Two objects of one group are told apart, in parts and without.
        (
            [
                {**CODE, "group": "3"},
                {**CODE, "xyxy": (1, 1, 9, 9), "group": "3"},
                {**FINDER, "group": "3", "parent": 0},
            ],
            [0, 1, 0],
        ),
    ],
)
def test_groups_lead_back_to_the_same_parents(tmp_path: Path, boxes: list[dict[str, Any]], numbers: list[int]) -> None:
    classes = ["qr_code", "fip", "cat"]
    dataset = box_dataset(tmp_path / "in", [{"image_id": "a"}], boxes, classes, PARTS)
    write_form("labelme", tmp_path / "out", dataset)
    assert groups(json.loads((tmp_path / "out/a.json").read_bytes())) == numbers
    back = read_form("labelme", tmp_path / "out", Naming(PARTS, None, {}))
    parents = [box.get("parent", NO_PARENT) for box in boxes]
    assert back.dataset.annotations.parent_id.tolist() == parents


def test_groups_without_parts_stay_as_they_are(tmp_path: Path) -> None:
    # Labelme joins shapes of one label and group to one instance.
    document, told = written(tmp_path, {**CODE, "group": "3"}, {**CODE, "xyxy": (1, 1, 9, 9), "group": "3"})
    assert groups(document) == [3, 3]
    assert told == ["Labelme has no place for classes without a box: fip"]


def test_what_labelme_cannot_hold_is_told(tmp_path: Path) -> None:
    boxes = [
        {**CODE, "group": "x", "shape_type": "polygon"},
        {**FINDER, "group": "x", "parent": 0, "ignore": True},
        {**CODE, "xyxy": (1, 1, 9, 9), "parent": 0, "crowd": True},
    ]
    document, told = written(tmp_path, *boxes, group="g")
    assert len(document["shapes"]) == 3
    for words in ["(polygon, circle and so on)", "not to be counted", "many objects", "group of an image"]:
        assert sum(words in message for message in told) == 1
    assert [message for message in told if "first in a" in message] == [
        "group_id of 2 boxes is another number, so that parts stay with their objects; first in a",
        "1 boxes lose the object that they belong to, for parts does not speak of it; first in a",
    ]


@pytest.mark.parametrize(
    ("stored", "orientation", "code", "points"),
    [
        ((48, 32), None, "stale-size", [[0, 0], [15, 15]]),
        ((96, 64), 6, "unrotated-size", [[0, 0], [30, 30]]),
        ((96, 70), None, "size-mismatch", [[0, 0], [30, 30]]),
        ((64, 96), 6, None, [[0, 0], [30, 30]]),
    ],
)
def test_size_is_the_picture_s_where_it_was_resized(
    tmp_path: Path, stored: tuple[int, int], orientation: int | None, code: str | None, points: list[list[float]]
) -> None:
    dataset = box_dataset(tmp_path / "in", [{"image_id": "a"}], [CODE], ["qr_code"])
    write_png(dataset.picture(0), stored, orientation)
    told = write_form("labelme", tmp_path / "out", dataset)
    assert found_codes(told) == ([code] if code else [])
    assert json.loads((tmp_path / "out/a.json").read_bytes())["shapes"][0]["points"] == points


@pytest.mark.parametrize(
    ("mode", "path"), [("copy", "b.png"), ("link", "b.png"), ("reference", "../../in/photos/0.png")]
)
def test_image_path_leads_from_the_file_to_its_picture(tmp_path: Path, mode: Any, path: str) -> None:  # noqa: ANN401
    dataset = box_dataset(tmp_path / "in", [{"image_id": "x/b"}], [])
    write_form("labelme", tmp_path / "out", dataset, mode)
    assert json.loads((tmp_path / "out/x/b.json").read_bytes())["imagePath"] == path
    assert (tmp_path / "out/x" / path).is_file()


def test_descriptions_stand_at_their_boxes(tmp_path: Path) -> None:
    boxes = [{**CODE, "image": image} for image in (1, 0, 1)]
    dataset = box_dataset(tmp_path / "in", [{"image_id": "a"}, {"image_id": "b"}], boxes)
    write_labelme(tmp_path, tmp_path, dataset, PictureFiles("reference"), ["0.9", "0.8", "0.7"])
    found = {name: json.loads((tmp_path / f"{name}.json").read_bytes())["shapes"] for name in "ab"}
    assert [[shape["description"] for shape in found[name]] for name in "ab"] == [["0.8"], ["0.9", "0.7"]]
