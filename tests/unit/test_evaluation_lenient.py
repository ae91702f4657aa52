"""Scoring what is left when entries at fault are left out, each counted and named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import document, shape, write_json, write_png

from annotations.convert import convert
from annotations.errors import AnnotationError
from evaluation.sources import read_results, read_truth

HEAD = "image_id,object_id,parent_id,label,score,xmin,ymin,xmax,ymax"
FINE = "a,0,,qr_code,0.9,0.1,0.1,0.4,0.4"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_json(tmp_path / "photos" / "a.json", document(shape(), shape("fip"), imagePath="a.png"))
    write_png(tmp_path / "photos" / "a.png")
    convert(tmp_path / "photos", tmp_path / "data", parts={"fip": "qr_code"})
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("z,1,,qr_code,0.5,0,0,1,1", "row 3: image_id must be one of the images, got 'z'"),
        ("a,1,,car,0.5,0,0,1,1", "row 3: label must be one of qr_code, fip, got 'car'"),
        ("a,-1,,qr_code,0.5,0,0,1,1", "row 3: object_id must be an integer of at least 0, got '-1'"),
        ("a,0,,qr_code,0.5,0,0,1,1", "row 3: object_id must be unique, got 0 again"),
        ("a,1,,qr_code,nan,0,0,1,1", "row 3: score must be a finite number, got 'nan'"),
        ("a,1,,qr_code,1e999,0,0,1,1", "row 3: score must be a finite number, got '1e999'"),
        ("a,1,,qr_code,1.5,0,0,1,1", "row 3: score must be in [0, 1], got 1.5"),
        ("a,1,,qr_code,0.5,0,,1,1", "row 3: ymin must be a finite number, got ''"),
        ("a,1,,qr_code,0.5,1,0,0,1", "row 3: box must have an area, got [1, 0, 0, 1]"),
        ("a,1,,qr_code,0.5,0,0,0,1", "row 3: box must have an area, got [0, 0, 0, 1]"),
        ("a,1,,qr_code,0.5,0,0,1e7,1", "row 3: box must be within 1e+06 sizes of its image, got [0, 0, 1e+07, 1]"),
    ],
)
def test_a_row_at_fault_is_left_out_and_named(data: Path, tmp_path: Path, row: str, told: str) -> None:
    file = tmp_path / "found.csv"
    file.write_text("\n".join([HEAD, FINE, row, "a,7,,fip,0.4,0.2,0.2,0.3,0.3"]) + "\n")
    truth = read_truth(data)
    with pytest.raises(AnnotationError):
        read_results(file, truth)
    left_out: list[str] = []
    found = read_results(file, truth, left_out)
    assert left_out == [f"{file}: {told}"]
    assert found.object_id.tolist() == [0, 7]


def test_a_part_whose_object_is_left_out_is_kept_without_it(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "found.csv"
    file.write_text(f"{HEAD}\na,0,,qr_code,2,0,0,1,1\na,1,0,fip,0.5,0,0,1,1\na,2,2,fip,0.5,0,0,1,1\n")
    found = read_results(file, read_truth(data), [])
    assert (found.object_id.tolist(), found.parent_id.tolist()) == ([1, 2], [-1, -1])


def coco(rows: list[dict[str, Any]]) -> dict[str, Any]:
    images = [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}]
    return {"images": images, "categories": [{"id": 3, "name": "qr"}], "annotations": rows}


GOOD = {"id": 0, "image_id": 1, "category_id": 3, "bbox": [10, 10, 20, 20]}


@pytest.mark.parametrize(
    "fault",
    [
        {"image_id": 2},
        {"category_id": 9},
        {"bbox": [10, 10, 0, 20]},
        {"bbox": [10, 10, float("nan"), 20]},
        {"bbox": None},
        {"bbox": [10, 10, 1e8, 20]},
        {"bbox": [10, 3e8, 5e8, 20]},
        {"id": 0},
    ],
)
def test_truth_at_fault_is_left_out_and_named(tmp_path: Path, fault: dict[str, Any]) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(coco([GOOD, {**GOOD, "id": 1, **fault}, {**GOOD, "id": 2}])))
    with pytest.raises(AnnotationError):
        read_truth(path)
    left_out: list[str] = []
    truth = read_truth(path, left_out)
    assert len(left_out) == 1
    assert left_out[0].startswith(f"{path}: annotations[1]: ")
    assert truth.annotations.object_id.tolist() == [0, 2]
    np.testing.assert_allclose(truth.annotations.xyxy_rel, [[0.1, 0.125, 0.3, 0.375]] * 2)


@pytest.mark.parametrize(
    "fault", [{"image_id": 2}, {"category_id": 9}, {"score": None}, {"bbox": [1, 1, -1, 5]}, {"bbox": [1, 1, 2e8, 5]}]
)
def test_results_at_fault_are_left_out_and_named(tmp_path: Path, fault: dict[str, Any]) -> None:
    (tmp_path / "truth.json").write_text(json.dumps(coco([GOOD])))
    row = {"image_id": 1, "category_id": 3, "bbox": [10, 10, 20, 20], "score": 0.5}
    (tmp_path / "found.json").write_text(json.dumps([row, {**row, **fault}, {**row, "score": 0.25}]))
    truth = read_truth(tmp_path / "truth.json")
    with pytest.raises(AnnotationError):
        read_results(tmp_path / "found.json", truth)
    left_out: list[str] = []
    found = read_results(tmp_path / "found.json", truth, left_out)
    assert len(left_out) == 1
    assert "results[1]: " in left_out[0]
    assert found.score.tolist() == [0.5, 0.25]


IMAGE = {"id": 2, "file_name": "b.png", "width": 100, "height": 80}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"width": None}, "images[1]: width must be a finite number, got None"),
        ({"height": 10.5}, "images[1]: height must be a whole number from 1 to 1000000000, got 10.5"),
        ({"id": 1}, "images[1]: id must be unique, got 1 as images[0]"),
        ({"id": None}, "images[1]: id must be a whole number or text, got None"),
        ({"file_name": 7}, "images[1]: file_name must be writable text, got 7"),
    ],
)
def test_an_image_at_fault_is_left_out_with_its_annotations(tmp_path: Path, fault: dict[str, Any], told: str) -> None:
    path, image = tmp_path / "truth.json", {**IMAGE, **fault}
    content = coco([{**GOOD, "image_id": 3}, {**GOOD, "id": 1, "image_id": 2}, {**GOOD, "id": 2}])
    content["images"] += [image, {**IMAGE, "id": 3, "file_name": "c.png"}]
    path.write_text(json.dumps(content))
    with pytest.raises(AnnotationError):
        read_truth(path)
    left_out: list[str] = []
    truth = read_truth(path, left_out)
    named, rest = left_out[0], left_out[1:]
    assert named == f"{path}: {told}"
    # The second annotation was of it, by an id that is left out or that no image has.
    assert [text.startswith(f"{path}: annotations[1]: image_id must be ") for text in rest] == [True]
    assert truth.images.image_id.tolist() == ["a", "c"]
    assert (truth.annotations.image_row.tolist(), truth.annotations.object_id.tolist()) == ([1, 0], [0, 2])
    (tmp_path / "found.json").write_text(
        json.dumps([{"image_id": i, "category_id": 3, "bbox": [10, 10, 20, 20], "score": 0.5} for i in (3, 2, 1)])
    )
    found = read_results(tmp_path / "found.json", truth, left_out)
    assert found.image_row.tolist() == [1, 0]
    assert "results[1]: image_id must be one of the truth's (1, 3), got 2" in left_out[-1]


def test_truth_of_which_every_image_is_at_fault_leaves_none(tmp_path: Path) -> None:
    content = coco([GOOD])
    del content["images"][0]["width"]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    left_out: list[str] = []
    truth = read_truth(tmp_path / "truth.json", left_out)
    assert (len(truth.images), len(truth.annotations), len(left_out)) == (0, 0, 2)


@pytest.mark.parametrize("fault", [{"iscrowd": "0"}, {"ignore": "false"}, {"iscrowd": 2}, {"image_id": True}])
def test_a_mark_that_is_none_and_an_id_that_is_none_are_faults(tmp_path: Path, fault: dict[str, Any]) -> None:
    (tmp_path / "truth.json").write_text(json.dumps(coco([{**GOOD, **fault}])))
    with pytest.raises(AnnotationError, match=rf"annotations\[0\]: {next(iter(fault))} must be"):
        read_truth(tmp_path / "truth.json")


def test_a_damaged_labelme_file_is_left_out_and_named(tmp_path: Path) -> None:
    write_json(tmp_path / "photos" / "a.json", document(shape(), imagePath="a.png"))
    write_json(tmp_path / "photos" / "b.json", "{")
    write_png(tmp_path / "photos" / "a.png")
    left_out: list[str] = []
    assert read_truth(tmp_path / "photos", left_out).images.image_id.tolist() == ["a"]
    assert len(left_out) == 1
