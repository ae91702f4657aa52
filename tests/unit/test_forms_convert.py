import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import document, shape, write_json, write_png
from form_sets import assert_same_boxes, box_dataset, found_codes

from annotations.convert import FINDINGS, convert
from annotations.csvtable import read_csv
from annotations.dataset import read_dataset, write_dataset
from annotations.errors import AnnotationError, UsageError
from annotations.findings import COLUMNS
from annotations.forms import FORMS_OUT
from annotations.label_files import read_label_image
from annotations.tables import BoxDataset

OTHERS = sorted(set(FORMS_OUT) - {"boxes"})
ROWS = [{"image_id": "one", "split": "train"}, {"image_id": "two", "split": "test"}, {"image_id": "three"}]
BOXES = [
    {"image": 0, "label": "qr_code", "xyxy": [1.25, 2.5, 40 / 3, 20.125]},
    {"image": 0, "label": "fip", "xyxy": [2, 3, 5, 6], "parent": 0},
    {"image": 1, "label": "qr_code", "xyxy": [0, 0, 96, 64]},
    {"image": 2, "label": "fip", "xyxy": [2, 3, 5, 6]},
]


def stored(root: Path) -> BoxDataset:
    return write_dataset(root / "data", box_dataset(root / "in", ROWS, BOXES, parts={"fip": "qr_code"}), [], command="")


@pytest.mark.parametrize("form", OTHERS)
def test_a_box_dataset_goes_to_every_form_and_back(tmp_path: Path, form: str) -> None:
    dataset = stored(tmp_path)
    there = convert(tmp_path / "data", tmp_path / "out", target_form=form, pictures_mode="copy")
    assert (there.source_form, there.target_form) == ("boxes", form)
    back = convert(tmp_path / "out", tmp_path / "back", parts=dataset.parts if form == "labelme" else {})
    assert back.source_form == form
    assert back.exit_status == 0
    assert_same_boxes(back.dataset, read_dataset(tmp_path / "data"), parents=form != "yolo")
    for row in range(3):
        assert (tmp_path / "out").resolve() in back.dataset.picture(row).resolve(strict=True).parents


@pytest.mark.parametrize("form", OTHERS)
def test_linked_pictures_are_those_of_the_dataset(tmp_path: Path, form: str) -> None:
    stored(tmp_path)
    convert(tmp_path / "data", tmp_path / "out", target_form=form, pictures_mode="link")
    links = [path for path in (tmp_path / "out").rglob("*.png") if path.is_symlink()]
    photos = {path.resolve() for path in (tmp_path / "in" / "photos").iterdir()}
    assert {link.resolve(strict=True) for link in links} == photos


@pytest.mark.parametrize("form", ["coco", "labelme"])
def test_referred_pictures_are_found_where_the_user_says(tmp_path: Path, form: str) -> None:
    stored(tmp_path)
    convert(tmp_path / "data", tmp_path / "in" / "out", target_form=form)
    assert not list((tmp_path / "in" / "out").rglob("*.png"))
    source = tmp_path / "in" / "out" if form == "coco" else tmp_path / "in"
    back = convert(source, tmp_path / "back", pictures=tmp_path / "in" if form == "coco" else None)
    assert [back.dataset.picture(row).is_file() for row in range(3)] == [True] * 3


@pytest.mark.parametrize("form", OTHERS)
def test_the_findings_lie_beside_the_form_and_are_no_part_of_it(tmp_path: Path, form: str) -> None:
    stored(tmp_path)
    (tmp_path / "in" / "photos" / "0.png").unlink()
    report = convert(tmp_path / "data", tmp_path / "out", target_form=form, pictures_mode="copy")
    table = read_csv(tmp_path / "out" / FINDINGS, COLUMNS)
    assert table.columns["code"] == [finding.code for finding in report.findings]
    assert "missing-image" in table.columns["code"]
    assert report.summary()["to"] == form
    # Without its folder's hidden and partial leftovers.
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("form", OTHERS)
def test_an_existing_destination_is_left_alone(tmp_path: Path, form: str) -> None:
    stored(tmp_path)
    write_json(tmp_path / "out" / "mine.txt", "mine")
    with pytest.raises(UsageError, match="destination must not exist yet"):
        convert(tmp_path / "data", tmp_path / "out", target_form=form)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    with pytest.raises(AnnotationError, match="destination must be writable"):
        convert(tmp_path / "data", tmp_path / "out" / "mine.txt" / "new", target_form=form)


def test_options_that_contradict_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [
        {"target_form": "word"},
        {"source_form": "word"},
        {"target_form": "coco", "masks": "instance"},
        {"pictures_mode": "copy"},
    ]
    stored(tmp_path)
    for options in wrong:
        with pytest.raises(UsageError):
            convert(tmp_path / "data", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_masks_of_a_form_that_has_boxes_alone_are_refused(tmp_path: Path) -> None:
    stored(tmp_path)
    convert(tmp_path / "data", tmp_path / "csv", target_form="csv")
    with pytest.raises(UsageError, match=r"masks: source must know the outlines .* in the form csv"):
        convert(tmp_path / "csv", tmp_path / "out", masks="instance")
    assert not (tmp_path / "out").exists()


def embedded(root: Path, *names: str) -> None:
    data = base64.b64encode(write_png(root / "kept.png").read_bytes()).decode()
    (root / "kept.png").unlink()
    for name in names:
        path = {"imagePath": f"{name}.jpg", "imageData": data}
        write_json(root / f"{name}.json", document(shape(), flags={"train": True}, **path))


@pytest.mark.parametrize("mode", ["copy", "link", "reference"])
@pytest.mark.parametrize("form", ["coco", "labelme", "yolo", "voc"])
def test_a_picture_inside_an_annotation_file_is_written_into_every_form(tmp_path: Path, form: str, mode: str) -> None:
    embedded(tmp_path / "in", "a", "b")
    options: dict[str, Any] = {"target_form": form, "pictures_mode": mode}
    if (form, mode) == ("yolo", "reference"):
        with pytest.raises(UsageError, match="must be copied or linked"):
            convert(tmp_path / "in", tmp_path / "out", **options)
        return
    report = convert(tmp_path / "in", tmp_path / "out", **options)
    assert found_codes(report.findings).count("embedded-image") == 2
    back = convert(tmp_path / "out", tmp_path / "back")
    for row in range(2):
        assert back.dataset.picture(row).is_file()
        assert not back.dataset.picture(row).is_symlink()
        assert back.dataset.picture(row).suffix == ".png"  # what it is, not what it was called
    assert not list((tmp_path / "out").rglob(".*"))


def test_a_box_dataset_gets_its_embedded_pictures_and_label_images(tmp_path: Path) -> None:
    embedded(tmp_path / "in", "a")
    report = convert(tmp_path / "in", tmp_path / "data", masks="class")
    assert report.dataset.picture(0) == tmp_path / "data" / "images" / "a.png"
    labels = read_label_image(tmp_path / "data" / "labels" / "a.png")
    assert set(np.unique(labels).tolist()) == {0, 1}
    assert json.loads((tmp_path / "data" / "dataset.json").read_text())["masks"] == "class"
    table = read_csv(tmp_path / "data" / "findings.csv", COLUMNS)
    assert table.columns["code"] == [finding.code for finding in report.findings]


def masked(root: Path, kind: str) -> None:
    shapes = [shape("fip", [[1, 1], [9, 9]]), shape("qr_code", [[30, 30], [60, 50]]), shape("fip", [[70, 1], [80, 9]])]
    write_json(root / "in" / "a.json", document(*shapes))
    write_png(root / "in" / "img.png")
    convert(root / "in", root / "data", masks=kind)  # type: ignore[arg-type]


def test_label_images_follow_the_boxes_that_are_kept(tmp_path: Path) -> None:
    masked(tmp_path, "instance")
    convert(tmp_path / "data", tmp_path / "fips", classes=["fip"])
    labels = read_label_image(tmp_path / "fips" / str(read_dataset(tmp_path / "fips").images.labels[0]))
    first = read_label_image(tmp_path / "data" / "labels" / "a.png")
    assert first.max() == 3
    np.testing.assert_array_equal(labels, np.select([first == 1, first == 3], [1, 2], 0))
    same = convert(tmp_path / "data", tmp_path / "same")
    np.testing.assert_array_equal(read_label_image(tmp_path / "same" / str(same.dataset.images.labels[0])), first)


def test_label_images_of_classes_are_not_taken_for_objects(tmp_path: Path) -> None:
    masked(tmp_path, "class")
    report = convert(tmp_path / "data", tmp_path / "same")
    assert found_codes(report.findings) == ["not-kept"]
    assert set(report.dataset.images.labels.tolist()) == {""}


def test_label_images_become_segmentations_and_come_back(tmp_path: Path) -> None:
    masked(tmp_path, "instance")
    convert(tmp_path / "data", tmp_path / "coco", target_form="coco", pictures_mode="copy")
    document = json.loads((tmp_path / "coco" / "annotations" / "instances_all.json").read_text())
    assert [entry["segmentation"]["size"] for entry in document["annotations"]] == [[80, 100]] * 3
    report = convert(tmp_path / "coco", tmp_path / "back", masks="instance")
    back = read_label_image(tmp_path / "back" / str(report.dataset.images.labels[0]))
    np.testing.assert_array_equal(back, read_label_image(tmp_path / "data" / "labels" / "a.png"))


def test_a_damaged_label_image_is_told_and_the_rest_is_written(tmp_path: Path) -> None:
    masked(tmp_path, "instance")
    (tmp_path / "data" / "labels" / "a.png").write_bytes(b"no picture")
    report = convert(tmp_path / "data", tmp_path / "coco", target_form="coco")
    assert "bad-label-image" in found_codes(report.findings)
    assert report.exit_status == 3
    document = json.loads((tmp_path / "coco" / "annotations" / "instances_all.json").read_text())
    assert [entry["segmentation"] for entry in document["annotations"]] == [[], [], []]


def test_a_box_dataset_is_linked_anew_where_the_user_names_parts(tmp_path: Path) -> None:
    stored(tmp_path)
    report = convert(tmp_path / "data" / "dataset.json", tmp_path / "out", parts={"fip": "qr_code"})
    assert report.source_form == "boxes"
    assert found_codes(report.findings) == ["orphan-part"]
    assert report.dataset.annotations.parent_id.tolist() == [-1, 0, -1, -1]


def test_the_summary_counts_refused_images_once_each(tmp_path: Path) -> None:
    entries = [
        {"id": number, "image_id": 1 + number % 2, "category_id": 9, "bbox": [1, 2, 3, 4]} for number in range(4)
    ]
    images = [{"id": number, "file_name": f"{number}.png", "width": 9, "height": 9} for number in (1, 2, 3)]
    write_json(tmp_path / "t.json", {"images": images, "annotations": entries, "categories": [{"id": 1, "name": "a"}]})
    summary = convert(tmp_path / "t.json", tmp_path / "out").summary()
    assert (summary["from"], summary["to"], summary["refused"], summary["images"]) == ("coco", "boxes", 2, 1)
