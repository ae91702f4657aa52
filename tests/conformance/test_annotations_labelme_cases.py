"""The converter against worked cases and against boxes that others made of the same files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import PARTS, SHARED

from annotations.convert import ConvertReport, convert
from annotations.csvtable import read_csv
from annotations.tables import NO_PARENT, pixels

CASES = SHARED / "data" / "labelme_cases_sample" / "expected.json"
PHOTOS = SHARED / "data" / "qr_photos"


def cases() -> list[dict[str, Any]]:
    return json.loads(CASES.read_text())["cases"] if CASES.is_file() else []


@pytest.mark.parametrize("case", cases() or [None], ids=lambda case: case["id"] if case else "none")
def test_case_gets_an_accepted_answer(tmp_path: Path, case: dict[str, Any] | None) -> None:
    if case is None:
        pytest.skip("the shared cases are not on this machine")
    options = case["options"]
    root = CASES.parent / case["root"]
    report = convert(root, tmp_path / "out", parts=options["parts"], classes=options["classes"])
    for source, expected in case["files"].items():
        # The preferred answer stands first; ours is that one.
        assert answer(report, source) == expected_answer(expected["accept"][0])


def answer(report: ConvertReport, source: str) -> dict[str, Any]:
    severities = {finding.severity for finding in report.findings if finding.source == source}
    verdict = "error" if "error" in severities else "warn" if "warn" in severities else "ok"
    images, table = report.dataset.images, report.dataset.annotations
    rows = np.flatnonzero(images.source == source)
    if not len(rows):
        return {"verdict": verdict}
    (row,) = rows
    mine = table.take(table.image_row == row)
    place = {object_id: number for number, object_id in enumerate(mine.object_id.tolist())}
    found = [
        {
            "label": report.dataset.classes[mine.class_id[number]],
            "box": pixels(images, mine.image_row, mine.xyxy_rel)[number].round(9).tolist(),
            "norm": mine.xyxy_rel[number].tolist(),
            "group_id": int(mine.group_id[number]) if mine.group_id[number] else None,
            "parent": None if mine.parent_id[number] == NO_PARENT else place[int(mine.parent_id[number])],
        }
        for number in range(len(mine))
    ]
    size = {"width": int(images.width[row]), "height": int(images.height[row])}
    return {"verdict": verdict, **size, "split": str(images.split[row]) or None, "boxes": found}


def expected_answer(accepted: dict[str, Any]) -> dict[str, Any]:
    if accepted["verdict"] == "error":
        return {"verdict": "error"}
    drawn = [{key: value for key, value in box.items() if key != "role"} for box in accepted["boxes"]]
    split = "val" if accepted["split"] == "valid" else accepted["split"]
    kept = {key: accepted[key] for key in ("verdict", "width", "height")}
    return {**kept, "split": split, "boxes": drawn}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> ConvertReport:
    if not PHOTOS.is_dir():
        pytest.skip("the shared photographs are not on this machine")
    return convert(PHOTOS, tmp_path_factory.mktemp("photos") / "data", parts=PARTS)


def test_photographs_are_converted_without_a_finding(photos: ConvertReport) -> None:
    assert (photos.findings, len(photos.dataset.images)) == ((), 319)
    assert all(photos.dataset.picture(row).is_file() for row in range(319))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_photographs_have_the_reference_boxes_splits_and_parents(photos: ConvertReport, split: str) -> None:
    dataset = photos.dataset.split(split)
    table = dataset.annotations
    boxes = pixels(dataset.images, table.image_row, table.xyxy_rel)
    whole = np.where(table.parent_id == NO_PARENT, table.object_id, table.parent_id)
    labels = np.array(dataset.classes)[table.class_id]
    reference = {label: _reference(PHOTOS / f"{name}_{split}.csv") for label, name in _FILES.items()}
    objects: dict[tuple[str, int], int] = {}
    for label, (image_id, number, xyxy) in reference.items():
        mine = labels == label
        rows = np.flatnonzero(mine)[np.lexsort((*boxes[mine].T, dataset.images.image_id[table.image_row[mine]]))]
        order = np.lexsort((*xyxy.T, image_id))
        assert dataset.images.image_id[table.image_row[rows]].tolist() == image_id[order].tolist()
        np.testing.assert_allclose(boxes[rows], xyxy[order], rtol=0, atol=1e-9)
        # The reference gives a code and its parts one number: each of its numbers is one object of ours.
        for theirs, ours in zip(number[order].tolist(), whole[rows].tolist(), strict=True):
            assert objects.setdefault(theirs, ours) == ours
    assert len(set(objects.values())) == len(objects)


_FILES = {"qr_code": "qr_codes", "fip": "fips"}


def _reference(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = read_csv(path, ["image_id", "object_id"])
    xyxy = np.stack([table.numbers(name) for name in ("xmin", "ymin", "xmax", "ymax")], axis=1)
    return np.array(table.columns["image_id"]), table.integers("object_id", least=0), xyxy


def test_photographs_annotations_alone_say_which_folder_to_give(tmp_path: Path) -> None:
    if not PHOTOS.is_dir():
        pytest.skip("the shared photographs are not on this machine")
    report = convert(PHOTOS / "annotations", tmp_path / "data", parts=PARTS)
    assert len(report.dataset.images) == 319
    assert {finding.code for finding in report.findings} == {"outside-root"}
    assert str(PHOTOS.resolve()) in report.findings[0].message
