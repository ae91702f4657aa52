import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import write_png
from form_sets import NO_NAMES, found_codes, read_form

from annotations.convert import convert
from annotations.dataset import read_dataset
from annotations.drawn import Reading
from annotations.errors import AnnotationError
from annotations.label_files import read_label_image
from annotations.naming import Naming
from annotations.tables import pixels


def entry(number: int = 1, image: object = 1, category: object = 1, **changes: object) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [10, 20, 30, 15.5],
        "iscrowd": 0,
    } | changes


def document(*annotations: object, **changes: object) -> dict[str, Any]:
    return {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 100, "height": 80},
            {"id": 2, "file_name": "b.png", "width": 100, "height": 80},
        ],
        "annotations": list(annotations),
        "categories": [{"id": 7, "name": "fip"}, {"id": 1, "name": "qr_code"}],
    } | changes


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def read(folder: Path, *annotations: object, naming: Naming = NO_NAMES, **changes: object) -> Reading:
    """Return the reading of one file whose pictures are there."""
    written(folder / "truth.json", document(*annotations, **changes))
    for name in ("a.png", "b.png"):
        write_png(folder / name)
    return read_form("coco", folder, naming)


def boxes(reading: Reading) -> list[list[float]]:
    table = reading.dataset.annotations
    return pixels(reading.dataset.images, table.image_row, table.xyxy_rel).round(9).tolist()


def test_boxes_labels_and_empty_images_are_read(tmp_path: Path) -> None:
    back = read(tmp_path, entry(), entry(2, category=7, bbox=[0, 0, 5, 5]))
    assert back.findings == []
    assert back.dataset.classes == ("qr_code", "fip")
    assert back.dataset.annotations.class_id.tolist() == [0, 1]
    assert boxes(back) == [[10, 20, 40, 35.5], [0, 0, 5, 5]]
    assert back.dataset.images.image_id.tolist() == ["a", "b"]
    assert back.dataset.images.path.tolist() == ["a.png", "b.png"]
    assert back.numbers.tolist() == [0, 1]


FAULTS = [
    (entry(bbox=[1, 2, float("nan"), 4]), "bbox must be 4 finite numbers"),
    (entry(bbox=[1, 2, 3]), "bbox must be 4 finite numbers"),
    (entry(bbox="box"), "bbox must be 4 finite numbers"),
    (entry(bbox=[True, 2, 3, 4]), "bbox must be 4 finite numbers"),
    (entry(bbox=[10**400, 2, 3, 4]), "bbox must be 4 finite numbers"),
    (entry(bbox=[1, 2, 1e300, 4]), "bbox must be within"),
    (entry(category=3), r"category_id must be one of .*, got 3"),
    (entry(category=None), r"category_id must be one of .*, got None"),
    ({"id": 1, "image_id": 1, "category_id": 1}, "bbox must be 4 finite numbers, got none, and no segmentation"),
    ({"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 2, 3]]}, r"segmentation\[0\] must be"),
    ({"id": 1, "image_id": 1, "category_id": 1, "segmentation": {"size": [9, 9], "counts": "x"}}, "segmentation.size"),
]


@pytest.mark.parametrize(("fault", "text"), FAULTS, ids=lambda value: value if isinstance(value, str) else "")
def test_an_entry_at_fault_refuses_its_image_and_no_other(tmp_path: Path, fault: object, text: str) -> None:
    back = read(tmp_path, entry(5), fault, entry(3, image=2))
    (finding,) = back.findings
    assert (finding.code, finding.severity, finding.shape) == ("bad-entry", "error", "annotations[1]")
    assert finding.source == "truth.json"
    assert "image 'a.png' refused" in finding.message
    assert re.search(text, finding.message)
    assert back.dataset.images.image_id.tolist() == ["b"]
    assert len(back.dataset.annotations) == 1


@pytest.mark.parametrize(
    ("fault", "text"),
    [(entry(image=99), "image_id must be one of"), ("text", "entry must be an object, got text")],
)
def test_an_entry_of_no_image_is_told_and_refuses_none(tmp_path: Path, fault: object, text: str) -> None:
    back = read(tmp_path, entry(5), fault)
    (finding,) = back.findings
    assert (finding.shape, finding.severity) == ("annotations[1]", "error")
    assert text in finding.message
    assert len(back.dataset.images) == 2
    assert len(back.dataset.annotations) == 1


@pytest.mark.parametrize("width", [0, -3, 2.5, "9", float("nan"), [1]], ids=str)
def test_an_image_without_a_size_that_can_be_is_refused(tmp_path: Path, width: object) -> None:
    images = [{"id": 1, "file_name": "a.png", "width": width, "height": 80}, {"id": 2, "file_name": "b.png"}]
    back = read(tmp_path, entry(), images=images)
    assert found_codes(back.findings) == ["bad-entry", "size-from-image"]
    assert back.findings[0].shape == "images[0]"
    assert back.dataset.images.image_id.tolist() == ["b"]
    assert back.dataset.images.width.tolist() == [100]


def test_of_two_images_with_one_id_both_are_refused(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": name, "width": 100, "height": 80} for name in ("a.png", "b.png")]
    back = read(tmp_path, entry(), images=[*images, {"id": 3, "file_name": "c.png", "width": 5, "height": 5}])
    assert [finding.shape for finding in back.findings if finding.code == "bad-entry"] == ["images[1]", "images[1]"]
    assert back.dataset.images.image_id.tolist() == ["c"]


def test_a_crowd_is_kept_as_one(tmp_path: Path) -> None:
    rle = {"size": [80, 100], "counts": [8000 - 160, 160]}
    back = read(tmp_path, entry(), entry(2, image=2, iscrowd=1, segmentation=rle, bbox=[98, 0, 2, 80]))
    assert found_codes(back.findings) == ["crowd"]
    assert back.dataset.annotations.crowd.tolist() == [False, True]


def test_a_box_is_taken_from_the_segmentation_where_there_is_none(tmp_path: Path) -> None:
    polygon = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[10, 20, 40, 20, 40, 36, 10, 36]]}
    # Columns first: 8 pixels from row 2 of column 3.
    lengths = {"id": 2, "image_id": 2, "category_id": 1, "segmentation": {"size": [80, 100], "counts": [242, 8, 7750]}}
    empty = {"id": 3, "image_id": 2, "category_id": 1, "segmentation": {"size": [80, 100], "counts": [8000]}}
    back = read(tmp_path, polygon, lengths, empty)
    assert boxes(back) == [[10, 20, 40, 36], [3, 2, 4, 10]]
    assert back.dataset.annotations.shape_type.tolist() == ["polygon", "mask"]
    assert found_codes(back.findings) == ["zero-area"]


def test_boxes_are_clipped_and_those_without_area_dropped_with_a_word(tmp_path: Path) -> None:
    back = read(tmp_path, entry(bbox=[90, 10, 20, 5]), entry(2, bbox=[5, 5, 0, 4]), entry(3, bbox=[5, 5, -4, 4]))
    assert found_codes(back.findings) == ["clipped", "zero-area", "zero-area"]
    assert [finding.shape for finding in back.findings] == ["annotations[0]", "annotations[1]", "annotations[2]"]
    assert boxes(back) == [[90, 10, 100, 15]]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", "[" * 100_000, '{"images": []}', '{"images": [], "annotations": {}, "categories": []}']
)
def test_a_file_that_is_no_coco_is_refused_whole(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "t.json", text)
    with pytest.raises(AnnotationError, match=r"t\.json: "):
        read_form("coco", path)


@pytest.mark.parametrize(
    ("categories", "text"),
    [
        ([{"id": 1, "name": 5}], r"categories\[0\]: name must be writable text"),
        ([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], r"categories\[1\]: id must be unique"),
        ([{"id": 1, "name": "a"}, {"id": 2, "name": "a"}], "name must be unique"),
        (["a"], r"categories\[0\]: entry must be an object"),
    ],
)
def test_categories_at_fault_refuse_the_file(tmp_path: Path, categories: object, text: str) -> None:
    path = written(tmp_path / "t.json", document(entry(), categories=categories))
    with pytest.raises(AnnotationError, match=text):
        read_form("coco", path)


def test_of_a_folder_each_file_is_a_split_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    for name, image in (("instances_train2017", 1), ("val", 2), ("instances_test", 3)):
        images = [{"id": image, "file_name": f"{image}.png", "width": 100, "height": 80}]
        write_png(tmp_path / "pictures" / f"{image}.png")
        written(tmp_path / "annotations" / f"{name}.json", document(entry(image=image), images=images))
    written(tmp_path / "annotations" / "bad.json", '{"images": 1, "annotations": 2, "categories": 3}')
    back = read_form("coco", tmp_path)
    splits = dict(zip(back.dataset.images.image_id.tolist(), back.dataset.images.split.tolist(), strict=True))
    assert splits == {"1": "train", "2": "val", "3": "test"}
    assert back.dataset.images.path.tolist() == ["pictures/3.png", "pictures/1.png", "pictures/2.png"]
    assert found_codes(back.findings) == ["bad-file", "found-beside", "found-beside", "found-beside"]


def test_pictures_are_found_beside_the_folder_annotations(tmp_path: Path) -> None:
    write_png(tmp_path / "train2017" / "a.png")
    write_png(tmp_path / "images" / "b.png")
    path = written(tmp_path / "annotations" / "instances_train2017.json", document(entry()))
    back = read_form("coco", path)
    assert back.dataset.images.path.tolist() == ["../train2017/a.png", "../images/b.png"]
    assert back.dataset.images.split.tolist() == ["train", "train"]


def test_pictures_are_found_in_the_folder_that_the_user_names(tmp_path: Path) -> None:
    write_png(tmp_path / "photos" / "deep" / "a.png")
    path = written(tmp_path / "in" / "t.json", document(entry()))
    back = read_form("coco", path, pictures=tmp_path / "photos")
    assert back.dataset.images.path[0] == "../photos/deep/a.png"
    assert [finding.code for finding in back.findings] == ["missing-image"]  # that of b
    unchecked = read_form("coco", path, pictures=tmp_path / "photos", check_images=False)
    assert unchecked.findings == []


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "..\\secret.png", "C:\\secret.png"])
def test_a_picture_outside_the_source_is_never_followed(tmp_path: Path, name: str) -> None:
    write_png(tmp_path / "secret.png", (7, 7))
    images = [{"id": 1, "file_name": name, "width": 100, "height": 80}]
    path = written(tmp_path / "in" / "t.json", document(entry(), images=images))
    back = read_form("coco", path)
    assert found_codes(back.findings) == ["outside-root"]
    assert back.dataset.images.path.tolist() == ["secret.png"]


def test_a_link_out_of_the_source_is_never_followed(tmp_path: Path) -> None:
    write_png(tmp_path / "secret.png", (7, 7))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to(tmp_path / "secret.png")
    path = written(tmp_path / "in" / "t.json", document(entry()))
    assert found_codes(read_form("coco", path).findings) == ["missing-image", "missing-image"]


def test_sizes_are_checked_against_the_pictures(tmp_path: Path) -> None:
    written(tmp_path / "t.json", document(entry(), entry(2, image=2)))
    write_png(tmp_path / "a.png", (200, 160))
    write_png(tmp_path / "b.png", (100, 60))
    back = read_form("coco", tmp_path)
    assert found_codes(back.findings) == ["size-mismatch", "stale-size"]
    assert back.dataset.images.image_id.tolist() == ["a"]
    assert boxes(back) == [[10, 20, 40, 35.5]]


def test_ids_may_be_0_text_or_larger_than_any_machine_number(tmp_path: Path) -> None:
    images = [{"id": value, "width": 100, "height": 80} for value in (0, "x", 2**70)]
    annotations = [entry(number, image=value) for number, value in enumerate((0, "x", 2**70))]
    back = read(tmp_path, *annotations, images=images)
    assert back.dataset.images.image_id.tolist() == ["0", "x", str(2**70)]
    assert back.dataset.annotations.image_row.tolist() == [0, 1, 2]


def test_parts_are_linked_by_the_users_word_where_the_file_knows_no_parents(tmp_path: Path) -> None:
    naming = Naming({"fip": "qr_code"}, None, {})
    back = read(tmp_path, entry(), entry(2, category=7, bbox=[12, 22, 5, 5]), naming=naming)
    assert back.dataset.annotations.parent_id.tolist() == [-1, 0]
    assert back.dataset.parts == {"fip": "qr_code"}


def test_parts_are_learnt_from_parent_ids(tmp_path: Path) -> None:
    back = read(tmp_path, entry(8), entry(9, category=7, bbox=[60, 60, 5, 5], parent_id=8))
    assert back.dataset.parts == {"fip": "qr_code"}
    assert back.dataset.annotations.parent_id.tolist() == [-1, 0]


@pytest.mark.parametrize("parent", [77, 3, [1], "x"])
def test_a_parent_that_is_no_annotation_of_the_image_is_told(tmp_path: Path, parent: object) -> None:
    parts = {"ppnlab": {"parts": {"fip": "qr_code"}}}
    back = read(tmp_path, entry(8), entry(9, category=7, parent_id=parent), entry(3, image=2), info=parts)
    assert found_codes(back.findings) == ["orphan-part"]
    assert back.dataset.annotations.parent_id.tolist() == [-1, -1, -1]


def test_a_parent_of_the_wrong_label_is_told(tmp_path: Path) -> None:
    naming = Naming({"qr_code": "fip"}, None, {})
    back = read(tmp_path, entry(8), entry(9, category=7, parent_id=8, bbox=[1, 1, 2, 2]), naming=naming)
    assert [finding.message for finding in back.findings if finding.code == "orphan-part"] == [
        "parent of 'fip' must be no object, got a 'qr_code'; no parent given"
    ]


@pytest.mark.parametrize("parts", [5, {"fip": "fip"}, {"fip": "cat"}, {"fip": ["qr_code"]}, {"a": "b", "b": "a"}])
def test_parts_in_info_that_cannot_be_are_refused(tmp_path: Path, parts: object) -> None:
    path = written(tmp_path / "t.json", document(entry(), info={"ppnlab": {"parts": parts}}))
    with pytest.raises(AnnotationError, match=r"info\.ppnlab\.parts must be"):
        read_form("coco", path)


def test_labels_are_renamed_and_chosen(tmp_path: Path) -> None:
    naming = Naming({}, ("code",), {"qr_code": "code"})
    back = read(tmp_path, entry(), entry(2, category=7), naming=naming)
    assert back.dataset.classes == ("code",)
    assert found_codes(back.findings) == ["unknown-label"]
    kept = read(tmp_path, naming=Naming({}, None, {"qr_code": "code"}))
    assert (kept.dataset.classes, kept.findings) == (("code", "fip"), [])


def test_keys_of_our_own_that_are_rubbish_are_told(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}
    odd = [image | {"split": "trian", "flags": 5, "group": 7, "image_id": ["x"]}]
    back = read(tmp_path, entry(group_id=[1], shape_type=5), images=odd)
    assert found_codes(back.findings) == ["odd-flag", "odd-flag", "odd-group"]
    table = back.dataset.images
    assert (table.split[0], table.flags[0], table.group[0], table.image_id[0]) == ("", "", "", "a")


def test_splits_of_other_programs_and_flags_as_an_object_are_understood(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}
    back = read(tmp_path, images=[image | {"split": "validation", "flags": {"dark": True, "far": False}}])
    assert (back.dataset.images.split[0], back.dataset.images.flags[0]) == ("val", "dark")


def test_images_of_two_files_with_one_name_keep_different_ids(tmp_path: Path) -> None:
    for name in ("train", "test"):
        written(tmp_path / f"{name}.json", document(entry()))
    back = read_form("coco", tmp_path)
    assert len(set(back.dataset.images.image_id.tolist())) == 4
    assert set(back.dataset.images.split.tolist()) == {""}  # one picture in two splits
    assert "split-conflict" in found_codes(back.findings)


def test_segmentations_become_label_images(tmp_path: Path) -> None:
    polygon = [[10.0, 20.0, 40.0, 20.0, 40.0, 36.0]]
    written(tmp_path / "in" / "t.json", document(entry(segmentation=polygon), entry(2, bbox=[60, 60, 10, 10])))
    write_png(tmp_path / "in" / "a.png")
    write_png(tmp_path / "in" / "b.png")
    report = convert(tmp_path / "in", tmp_path / "data", masks="instance")
    assert report.source_form == "coco"
    labels = read_label_image(tmp_path / "data" / str(report.dataset.images.labels[0]))
    assert np.bincount(labels.ravel())[1:].tolist()[1] == 100
    assert 200 < np.bincount(labels.ravel())[1] < 280  # half of 30 x 16
    assert read_dataset(tmp_path / "data").summary["masks"] == "instance"


def test_progress_counts_images(tmp_path: Path) -> None:
    from annotations.forms import read_source

    seen: list[tuple[int, int]] = []
    path = written(tmp_path / "t.json", document(entry()))
    read_source(path, "coco", NO_NAMES, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
