import base64
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import document, shape, write_json, write_png
from form_sets import assert_same_boxes, box_dataset, found_codes
from PIL import Image

from annotations.convert import FINDINGS, convert
from annotations.csvtable import read_csv
from annotations.dataset import read_dataset, write_dataset
from annotations.errors import AnnotationError, UsageError
from annotations.findings import COLUMNS
from annotations.forms import FORMS_OUT, MaskKind
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


def outlined_source(root: Path) -> Path:
    triangle = shape(points=[[10, 10], [40, 10], [10, 40]], shape_type="polygon")
    write_json(root / "in" / "a.json", document(triangle, imagePath="a.png"))
    write_png(root / "in" / "a.png")
    return root / "in"


def test_outlines_become_segmentations_in_coco_where_masks_are_wanted(tmp_path: Path) -> None:
    source = outlined_source(tmp_path)
    report = convert(source, tmp_path / "out", target_form="coco", masks="instance")
    assert report.findings == ()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["annotations", FINDINGS]
    in_two_steps = convert(source, tmp_path / "data", masks="instance")
    convert(tmp_path / "data", tmp_path / "two", target_form="coco")
    direct, two = (
        json.loads((tmp_path / name / "annotations/instances_all.json").read_bytes()) for name in ("out", "two")
    )
    assert direct["annotations"][0]["segmentation"]["counts"]
    assert direct["annotations"] == two["annotations"]
    convert(tmp_path / "out", tmp_path / "back", masks="instance", pictures=source)
    drawn, back = (read_label_image(tmp_path / name / "labels/a.png", (100, 80)) for name in ("data", "back"))
    assert in_two_steps.findings == ()
    np.testing.assert_array_equal(back, drawn)


def test_outlines_that_coco_is_not_given_are_told(tmp_path: Path) -> None:
    report = convert(outlined_source(tmp_path), tmp_path / "out", target_form="coco")
    (finding,) = report.findings
    assert finding.code == "not-kept"
    assert "outlines of 1 boxes" in finding.message
    assert "--masks instance" in finding.message


@pytest.mark.parametrize("form", ["labelme", "csv", "yolo", "voc"])
def test_label_images_that_a_form_cannot_hold_are_told(tmp_path: Path, form: str) -> None:
    convert(outlined_source(tmp_path), tmp_path / "data", masks="instance")
    report = convert(tmp_path / "data", tmp_path / "out", target_form=form)
    assert any("no place for label images" in finding.message for finding in report.findings)


@pytest.mark.parametrize(
    ("form", "masks"), [*((form, "instance") for form in ("yolo", "voc", "csv", "labelme")), ("coco", "class")]
)
def test_masks_for_a_form_that_cannot_hold_them_are_a_mistake(tmp_path: Path, form: str, masks: MaskKind) -> None:
    with pytest.raises(UsageError, match="masks: "):
        convert(outlined_source(tmp_path), tmp_path / "out", target_form=form, masks=masks)
    assert not (tmp_path / "out").exists()


def test_pictures_with_label_images_keep_them_in_coco(tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "images" / "a.png", (8, 6))
    (tmp_path / "in" / "masks").mkdir()
    labels = np.zeros((6, 8), np.uint8)
    labels[1:4, 2:5] = 7
    Image.fromarray(labels).save(tmp_path / "in" / "masks" / "a.png")
    convert(tmp_path / "in", tmp_path / "out", target_form="coco", pictures_mode="copy")
    convert(tmp_path / "out", tmp_path / "back", masks="instance")
    back = read_label_image(tmp_path / "back" / "labels/a.png", (8, 6))
    np.testing.assert_array_equal(back, labels // 7)


@pytest.mark.parametrize("target", ["boxes", "voc"])
def test_the_first_pixel_of_a_form_that_has_no_other_is_a_mistake(tmp_path: Path, target: str) -> None:
    with pytest.raises(UsageError, match="first_pixel must be 0 but to read VOC"):
        convert(outlined_source(tmp_path), tmp_path / "out", target_form=target, first_pixel=1)


@pytest.mark.parametrize("form", FORMS_OUT)
def test_folders_whose_names_are_no_text_are_refused_where_a_path_must_name_them(tmp_path: Path, form: str) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    source = outlined_source(odd)
    if form in ("boxes", "coco", "labelme"):
        with pytest.raises(AnnotationError, match="must have names in UTF-8"):
            convert(source, tmp_path / "out", target_form=form)
        assert not (tmp_path / "out").exists()
    else:
        convert(source, tmp_path / "out", target_form=form)
    within = convert(source, odd / "out", target_form=form, command=f"ppnlab convert {odd}")
    assert within.exit_status == 0


def test_an_export_that_lies_in_its_source_is_told_when_it_is_read_with_it(tmp_path: Path) -> None:
    source = outlined_source(tmp_path)
    convert(source, source / "out", target_form="labelme", pictures_mode="copy")
    both = convert(source, tmp_path / "data")
    assert len(both.dataset.images) == 2
    assert [(finding.code, finding.source) for finding in both.findings] == [("own-output", "out")]
    assert convert(source / "out", tmp_path / "alone").findings == ()
