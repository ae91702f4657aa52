"""Whatever a dataset holds comes back from each form that can hold it; what cannot be held is told."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from form_sets import assert_same_boxes, box_dataset, datasets, found_codes, read_form, write_form
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.errors import AnnotationError
from annotations.labelme_groups import groups_of
from annotations.linking import NONE, link_parts
from annotations.naming import Naming
from annotations.notes import Note
from annotations.shapes import Region
from annotations.yaml_subset import quoted, read_yaml
from annotations.yolo_labels import label_lines

# How fast a machine is says nothing about these.
UNTIMED = settings(deadline=None)
WITH_FILES = settings(deadline=None, max_examples=50)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
TRAPS = st.sampled_from(
    ["no", "null", "1e3", "0", " a ", "-", "a: b", "a #b", "'", '"', "\\", "{x}", "[x]", "&", "é", "~"]
)
NAMES = st.lists(TEXTS | TRAPS, unique=True, min_size=1, max_size=4)
XML_NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=8) | TRAPS | st.just("\r\n\t"),
    unique=True,
    min_size=1,
    max_size=4,
)


def comes_back(content: dict[str, Any], form: str, naming: Callable[[dict[str, Any]], Naming], parents: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = box_dataset(Path(folder, "in"), **content)
        told = write_form(form, Path(folder, "out"), dataset)
        back = read_form(form, Path(folder, "out"), naming(content))
    assert_same_boxes(back.dataset, dataset, parents=parents)
    assert {finding.code for finding in back.findings} <= {"orphan-part", "unused-name"}
    assert set(found_codes(told)) <= {"not-kept", "orphan-part"}
    if any("parent" in box and box["parent"] >= 0 for box in content["boxes"]) and not parents:
        assert any("which object a part belongs to" in finding.message for finding in told)


def no_names(content: dict[str, Any]) -> Naming:
    return Naming({}, None, {})


@WITH_FILES
@given(datasets(NAMES))
def test_yolo_gives_back_images_boxes_labels_and_splits(content: dict[str, Any]) -> None:
    comes_back(content, "yolo", no_names, parents=False)


@WITH_FILES
@given(datasets(XML_NAMES))
def test_voc_gives_back_parents_too(content: dict[str, Any]) -> None:
    comes_back(content, "voc", no_names, parents=True)


@WITH_FILES
@given(datasets(NAMES))
def test_labelme_gives_back_parents_too(content: dict[str, Any]) -> None:
    comes_back(content, "labelme", lambda content: Naming(content["parts"], None, {}), parents=True)


BOXES = st.tuples(*[st.integers(0, 6), st.integers(1, 4)] * 2).map(
    lambda box: (box[0], box[2], box[0] + box[1], box[2] + box[3])
)
SHAPES = st.lists(
    st.tuples(
        st.sampled_from(["qr_code", "fip", "cat"]),
        st.sampled_from(["", "0", "1", "-3", "007", "x", "10" * 20]),
        BOXES,
        st.integers(0, 7),
    ),
    max_size=8,
)


@UNTIMED
@given(SHAPES)
def test_groups_lead_to_the_parents_that_they_were_made_for(
    drawn: list[tuple[str, str, tuple[int, ...], int]],
) -> None:
    parts = {"fip": "qr_code"}
    regions = [
        Region(label, group, *map(float, box), "rectangle", row) for row, (label, group, box, _) in enumerate(drawn)
    ]
    objects = [row for row, region in enumerate(regions) if region.label == "qr_code"]
    wanted = [
        objects[choice] if region.label == "fip" and choice < len(objects) else NONE
        for region, (_, _, _, choice) in zip(regions, drawn, strict=True)
    ]
    found = groups_of(regions, wanted, parts)
    assert found.lost == 0
    assert all(number is None or abs(number) < 10**18 for number in found.numbers)
    written = [
        region._replace(group_id="" if number is None else str(number))
        for region, number in zip(regions, found.numbers, strict=True)
    ]
    notes: list[Note] = []
    assert link_parts(written, parts, notes) == wanted
    if "fip" in {region.label for region in regions}:
        assert [note for note in notes if note.code == "duplicate-group"] == []


@UNTIMED
@given(st.lists(TEXTS | TRAPS, max_size=5), st.dictionaries(TEXTS | TRAPS, TEXTS | TRAPS, max_size=4))
def test_yaml_gives_back_every_quoted_text(items: list[str], pairs: dict[str, str]) -> None:
    lines = ["items:", *(f"- {quoted(item)}" for item in items), "pairs:"]
    lines += [f"  {quoted(key)}: {quoted(value)}  # {key!r}" for key, value in pairs.items()]
    flow = "flow: [" + ", ".join(map(quoted, items)) + "]"
    found = read_yaml("\n".join([*lines, flow]))
    assert found == {"items": items or "", "pairs": pairs or "", "flow": items}


@UNTIMED
@given(st.text(st.sampled_from("ab01 :-#'\"\\[]{},&*!|>\n\t~"), max_size=60))
def test_yaml_reads_or_refuses_any_text(text: str) -> None:
    try:
        assert isinstance(read_yaml(text), dict)
    except AnnotationError as error:
        assert str(error).startswith("line ")


@UNTIMED
@given(st.text(st.sampled_from("0123456789.eE+- \n\rnaif_x\0é"), max_size=60))
def test_label_lines_read_or_refuse_any_text(text: str) -> None:
    try:
        lines = label_lines(text, 3)
    except AnnotationError as error:
        assert str(error).startswith("line ")
    else:
        for line in lines:
            assert 0 <= line.class_id < 3
            assert all(-4 < edge < 4 for edge in line[2:6])


DAMAGED = {
    "yolo": ["data.yaml", "labels/train/a.txt", "images/train/a.png"],
    "voc": ["Annotations/a.xml", "ImageSets/Main/train.txt", "JPEGImages/a.png"],
}


@pytest.mark.parametrize("form", DAMAGED)
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_any_damage_to_the_bytes_converts_or_refuses(form: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [{"image_id": "a", "split": "train"}, {"image_id": "b", "split": "val"}]
        boxes = [{"image": row, "label": "qr_code", "xyxy": (1, 2, 30, 40)} for row in (0, 1)]
        boxes += [{"image": 0, "label": "fip", "xyxy": (2, 3, 9.5, 10.25), "parent": 0}]
        dataset = box_dataset(Path(folder, "in"), rows, boxes, parts={"fip": "qr_code"})
        write_form(form, Path(folder, "out"), dataset)
        path = Path(folder, "out", data.draw(st.sampled_from(DAMAGED[form])))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(content)))
            content[place : place + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=4))
        path.write_bytes(content)
        try:
            back = read_form(form, Path(folder, "out"))
        except AnnotationError as error:
            assert str(Path(folder, "out")) in str(error)
            return
    ids = back.dataset.images.image_id.tolist()
    assert len(back.findings) > 0 or ids == ["a", "b"]
    xyxy = back.dataset.annotations.xyxy_rel
    assert ((xyxy >= 0) & (xyxy <= 1)).all()
    assert (xyxy[:, :2] < xyxy[:, 2:]).all()
