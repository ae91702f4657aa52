"""What COCO JSON, reference CSV and a box dataset hold comes back as it was."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from form_sets import assert_same_boxes, box_dataset, datasets, read_form, write_form
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.convert import convert
from annotations.dataset import read_dataset, write_dataset
from annotations.tables import Annotations, BoxDataset

SETTINGS = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
WORDS = st.text("aZ9 .-_é漢'\"{}[]/,;", min_size=1, max_size=8).filter(lambda text: text.strip() == text)
CLASSES = st.lists(WORDS, min_size=1, max_size=4, unique=True)


@st.composite
def rich(draw: st.DrawFn) -> dict[str, Any]:
    """Return datasets with odd image_ids, flags, groups, crowds and classes that no box has."""
    made = draw(datasets(CLASSES))
    ids = draw(st.lists(WORDS, min_size=len(made["rows"]), max_size=len(made["rows"]), unique=True))
    for row, image_id in zip(made["rows"], ids, strict=True):
        row["image_id"] = image_id
        row["flags"] = ";".join(draw(st.lists(st.sampled_from(["train", "dark", "é"]), unique=True)))
        row["group"] = draw(st.sampled_from(["", "scene 1"]))
    for box in made["boxes"]:
        box["group"] = draw(st.sampled_from(["", "0", "7", "a"]))
        box["shape_type"] = draw(st.sampled_from(["rectangle", "polygon", "circle"]))
        box["crowd"] = draw(st.booleans()) and "parent" not in box
        box["ignore"] = draw(st.booleans())
    return made


def by_image(dataset: BoxDataset) -> dict[str, Any]:
    """Return what is known about each image but its place, and about its boxes in their order but the coordinates."""
    table, images = dataset.annotations, dataset.images
    place = {object_id: row for row, object_id in enumerate(table.object_id.tolist())}
    first = {row: int(np.argmax(table.image_row == row)) for row in set(table.image_row.tolist())}
    return {
        str(images.image_id[row]): [
            str(images.split[row]),
            str(images.group[row]),
            str(images.flags[row]),
            [
                [
                    dataset.classes[table.class_id[box]],
                    str(table.group_id[box]),
                    str(table.shape_type[box]),
                    bool(table.crowd[box]),
                    bool(table.ignore[box]),
                    place[int(table.parent_id[box])] - first[row] if table.parent_id[box] >= 0 else None,
                ]
                for box in np.flatnonzero(table.image_row == row).tolist()
            ],
        ]
        for row in range(len(images))
    }


def linked(dataset: BoxDataset) -> dict[str, str]:
    """Return the parts of a dataset whose boxes show them."""
    table = dataset.annotations
    with_parent = {dataset.classes[class_id] for class_id in table.class_id[table.parent_id >= 0].tolist()}
    return {part: whole for part, whole in dataset.parts.items() if part in with_parent}


@SETTINGS
@given(rich())
def test_coco_keeps_everything(made: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = box_dataset(Path(folder, "in"), **made)
        told = write_form("coco", Path(folder, "coco"), dataset)
        # Without label images there are no outlines to write.
        outlined = any(name not in ("rectangle", "") for name in dataset.annotations.shape_type.tolist())
        assert ["outlines of" in finding.message for finding in told] == [True] * outlined
        back = read_form("coco", Path(folder, "coco"))
    assert [finding for finding in back.findings if finding.code != "crowd"] == []
    assert_same_boxes(back.dataset, dataset)
    assert (back.dataset.classes, back.dataset.parts) == (dataset.classes, dataset.parts)
    assert by_image(back.dataset) == by_image(dataset)


@SETTINGS
@given(datasets(CLASSES))
def test_reference_csv_keeps_boxes_labels_splits_and_parents(made: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = box_dataset(Path(folder, "in"), **made)
        # Parts of which none is linked are the one thing that the form cannot tell, and it says so.
        unlinked = dataset.parts != linked(dataset)
        findings = write_form("csv", Path(folder, "csv"), dataset)
        assert any("without any parent" in finding.message for finding in findings) == unlinked
        lost = [finding.image_id for finding in findings if finding.code == "images-lost"]
        kept = [row for row, name in enumerate(dataset.images.image_id.tolist()) if name not in lost]
        back = read_form("csv", Path(folder, "csv"))
    assert_same_boxes(back.dataset, dataset.of_images(np.array(kept, np.int64)))
    assert back.dataset.parts == linked(dataset)


@SETTINGS
@given(rich())
def test_a_box_dataset_read_as_a_source_is_written_again_to_the_last_bit(made: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = write_dataset(Path(folder, "a"), box_dataset(Path(folder, "in"), **made), [], command="")
        report = convert(Path(folder, "a"), Path(folder, "b"))
        back = read_dataset(Path(folder, "b"))
    assert (report.source_form, report.findings) == ("boxes", ())
    for name in Annotations.__slots__:
        np.testing.assert_array_equal(getattr(back.annotations, name), getattr(written.annotations, name))
    assert (back.classes, back.parts) == (written.classes, written.parts)
    assert by_image(back) == by_image(written)


@SETTINGS
@given(rich(), st.sampled_from(["coco", "boxes"]))
def test_names_are_changed_in_every_form_alike(made: dict[str, Any], form: str) -> None:
    first = made["classes"][0]
    with tempfile.TemporaryDirectory() as folder:
        dataset = box_dataset(Path(folder, "in"), **made)
        if form == "boxes":
            write_dataset(Path(folder, "out"), dataset, [], command="")
        else:
            write_form(form, Path(folder, "out"), dataset)
        report = convert(Path(folder, "out"), Path(folder, "back"), rename={first: "new name"})
    names = tuple("new name" if name == first else name for name in dataset.classes)
    parts = {part: "new name" if whole == first else whole for part, whole in dataset.parts.items()}
    assert (report.dataset.classes, report.dataset.parts) == (names, parts)
    assert_same_boxes(report.dataset, replace(dataset, classes=names, parts=parts))
    assert {finding.code for finding in report.findings} <= {"crowd"}
