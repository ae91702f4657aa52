"""YOLO folders: what they list, what their label files say, what is refused, and what the writer tells."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from annotation_files import write_png
from form_sets import box_dataset, found_codes, read_form, write_form

from annotations.drawn import Reading
from annotations.errors import AnnotationError, UsageError
from annotations.naming import Naming
from annotations.tables import pixels
from annotations.yolo_folder import label_path

DATA = "train: images/train\nval: images/val\nnames: [qr_code, fip]\n"


def folder(
    root: Path, labels: Mapping[str, str | bytes], data: str | None = DATA, files: Mapping[str, str] = {}
) -> Path:
    """Write a YOLO folder: a picture of 100 x 80 for each label text, by its path below images/ without suffix."""
    (root / "images" / "val").mkdir(parents=True)
    for name, text in labels.items():
        write_png(root / "images" / f"{name}.png")
        label = root / "labels" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_bytes(text.encode() if isinstance(text, str) else text)
    for name, text in {**({} if data is None else {"data.yaml": data}), **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def boxes(reading: Reading) -> list[list[float]]:
    table = reading.dataset.annotations
    return pixels(reading.dataset.images, table.image_row, table.xyxy_rel).round(9).tolist()


def splits(reading: Reading) -> dict[str, str]:
    images = reading.dataset.images
    return dict(zip(images.image_id.tolist(), images.split.tolist(), strict=True))


def test_boxes_are_in_fractions_of_the_displayed_picture(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", {"train/a": "1 0.5 0.5 0.5 0.25\n0 0.1 0.1 0.2 0.2\r\n\n"})
    reading = read_form("yolo", root)
    assert boxes(reading) == [[25, 30, 75, 50], [0, 0, 20, 16]]
    assert [reading.dataset.classes[number] for number in reading.dataset.annotations.class_id] == ["fip", "qr_code"]
    assert (reading.dataset.classes, reading.findings) == (("qr_code", "fip"), [])
    write_png(root / "images/train/a.png", (80, 100), orientation=6)
    assert boxes(read_form("yolo", root)) == [[25, 30, 75, 50], [0, 0, 20, 16]]


def test_polygon_gives_its_envelope_and_its_pixels(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", {"train/a": "0 0.1 0.1 0.3 0.1 0.3 0.5\n1 0.5 0.5 0.5 0.25"})
    reading = read_form("yolo", root, masks="instance")
    assert boxes(reading) == [[10, 8, 30, 40], [25, 30, 75, 50]]
    assert reading.dataset.annotations.shape_type.tolist() == ["polygon", "rectangle"]
    assert reading.patches is not None
    triangle, box = reading.patches(0)
    assert 0.4 < triangle.pixels.mean() < 0.6
    assert (box.left, box.top, box.pixels.shape, bool(box.pixels.all())) == (25, 30, (20, 50), True)


def test_image_without_label_file_is_an_image_without_boxes(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", {"train/a": "0 .5 .5 .5 .5", "train/b": ""})
    write_png(root / "images/val/c.png")
    reading = read_form("yolo", root)
    assert splits(reading) == {"a": "train", "b": "train", "c": "val"}
    assert (len(boxes(reading)), reading.findings) == (1, [])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 .5 .5 .5", "got 4 numbers"),
        ("0 .5 .5 .5 .5 .9", "got 6 numbers"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "got 8 numbers"),
        ("2 .5 .5 .5 .5", "0 to 1, got 2"),
        ("-1 .5 .5 .5 .5", "0 to 1, got -1"),
        ("0.5 .5 .5 .5 .5", "0 to 1, got 0.5"),
        ("0 nan .5 .5 .5", "numbers alone"),
        ("0 1e999 .5 .5 .5", "fractions"),
        ("0 inf .5 .5 .5", "numbers alone"),
        ("0 1_0 .5 .5 .5", "numbers alone"),
        ("0 ٣ .5 .5 .5", "numbers alone"),
        ("0 e .5 .5 .5", "must hold numbers"),
        ("0 50 40 20 20", "fractions"),
        ("0 .5 .5 -.5 .5", "negative"),
        ("qr_code .5 .5 .5 .5", "numbers alone"),
        ("0 .5 .5 .5 .5\0", "numbers alone"),
    ],
)
def test_corrupt_line_refuses_its_image_by_line_and_no_other(tmp_path: Path, line: str, words: str) -> None:
    root = folder(tmp_path / "in", {"train/a": f"0 .5 .5 .5 .5\n\n{line}\n", "train/b": "1 .5 .5 .5 .5"})
    reading = read_form("yolo", root)
    (finding,) = reading.findings
    assert (finding.code, finding.severity, finding.source) == ("bad-entry", "error", "labels/train/a.txt")
    assert finding.shape == "line 3"
    assert words in finding.message
    assert splits(reading) == {"b": "train"}


@pytest.mark.parametrize(
    ("content", "code"), [(b"\xff\xfe0\0", "bad-encoding"), (b"0 .5 .5 .5 .5\xe9", "bad-encoding")]
)
def test_file_that_is_no_text_refuses_its_image(tmp_path: Path, content: bytes, code: str) -> None:
    root = folder(tmp_path / "in", {"train/a": content, "train/b": b"\xef\xbb\xbf0 .5 .5 .5 .5"})
    reading = read_form("yolo", root)
    assert (found_codes(reading.findings), splits(reading)) == ([code], {"b": "train"})


def test_lines_of_an_old_mac_are_lines(tmp_path: Path) -> None:
    # Three boxes, not one class and a polygon of seven points.
    reading = read_form("yolo", folder(tmp_path / "in", {"train/a": "0 .5 .5 .1 .1\r0 .4 .4 .1 .1\r0 .3 .3 .1 .1"}))
    assert len(boxes(reading)) == 3


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("0 0 .5 .5 .5", "clipped"),
        ("0 .5 .5 0 .5", "zero-area"),
        ("0 1.5 .5 .5 .5", "outside"),
        ("0 .5 .5 .5 .5\n0 .5 .5 .5 .5", "duplicate"),
    ],
)
def test_box_that_is_changed_or_dropped_is_told(tmp_path: Path, line: str, code: str) -> None:
    reading = read_form("yolo", folder(tmp_path / "in", {"train/a": line}))
    assert found_codes(reading.findings) == [code]
    assert reading.findings[0].shape.startswith("line ")


def test_box_at_the_edge_by_rounding_is_not_told(tmp_path: Path) -> None:
    reading = read_form("yolo", folder(tmp_path / "in", {"train/a": "0 0.65 0.65 0.7000000000000001 0.7"}))
    assert (reading.findings, reading.dataset.annotations.xyxy_rel[0, 2]) == ([], 1.0)


@pytest.mark.parametrize(
    "data",
    [
        "train: images/train\nval: images/val\nnames:\n  0: qr_code\n  1: fip\n",
        "path: .\ntrain: [images/train]\nval:\n- images/val\nnames: ['qr_code', 'fip']\nnc: 2",
        "path: /content/elsewhere\ntrain: images/train\nval: images/val\nnames: [qr_code, fip]",
        "path: ../datasets/mine\ntrain: images/train\nval: images/val\nnames: [qr_code, fip]",
        "path: coco8\ntrain: images/train\nvalid: images/val\ntest:\nnames: [qr_code, fip]",
        "train: ../images/train\nval: ../images/val\nnames: [qr_code, fip]",
        "train: images/train/a.png\nval: images/val\nnames: [qr_code, fip]",
        "train: train.txt\nval: images/val\nnames: [qr_code, fip]",
    ],
)
def test_data_yaml_is_understood_as_ultralytics_does(tmp_path: Path, data: str) -> None:
    labels = {"train/a": "0 .5 .5 .5 .5", "val/b": "1 .5 .5 .5 .5"}
    root = folder(tmp_path / "in", labels, data, {"train.txt": "./images/train/a.png\n\n"})
    reading = read_form("yolo", root)
    assert splits(reading) == {"a": "train", "b": "val"}
    assert reading.dataset.classes == ("qr_code", "fip")
    assert {finding.code for finding in reading.findings} <= {"outside-root"}
    assert splits(read_form("yolo", root / "data.yaml")) == splits(reading)


@pytest.mark.parametrize(
    "line", ["images/train/a.png", "/content/moved/images/train/a.png", "..\\images\\train\\a.png"]
)
def test_list_of_pictures_may_say_where_they_were(tmp_path: Path, line: str) -> None:
    data = "train: lists/train.txt\nnames: [qr_code]"
    root = folder(tmp_path / "in", {"train/a": "0 .5 .5 .5 .5"}, data, {"lists/train.txt": line})
    assert splits(read_form("yolo", root)) == {"a": "train"}


def test_line_of_a_list_without_a_picture_is_told(tmp_path: Path) -> None:
    data, lines = "train: t.txt\nnames: [qr_code]", "images/a.png\n/etc/passwd\nimages/b.png\n../../x.png\n"
    (finding,) = read_form("yolo", folder(tmp_path / "in", {"a": ""}, data, {"t.txt": lines})).findings
    assert (finding.code, finding.source, finding.shape) == ("missing-image", "t.txt", "line 2")
    assert "3 of 4 lines" in finding.message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("names: []", "names must be"),
        ("train: images", "names must be"),
        ("names: [a, a]", "names must be"),
        ("names: [a, [b]]", "names must be"),
        ("names: {0: a, 2: b}", "names must be"),
        ("names: a", "names must be"),
        ("names: [a]\nnc: 2", "nc must be 1"),
        ("names: [a]\nkpt_shape: [17]", "kpt_shape"),
        ("names: &x [a]", "line 1: .*anchor"),
        ("\0", "line 1"),
        ("names: [a]", "must hold pictures"),
        ("names: [a]\ntrain: images/none", "no images/none"),
        ("names: [a]\ntrain: " + "x" * 500, "got no xxx"),
        ("names: [a]\npath: " + "x" * 500 + "\ntrain: ../" + "y" * 500, "leaves the source folder"),
        ("names: [a]\ntrain: /etc", "leaves the source folder"),
        ("names: [a]\ntrain: ../..", "leaves the source folder"),
        ("names: [a]\ntrain: [[a]]", "train must be"),
    ],
)
def test_folder_that_cannot_be_understood_is_refused(tmp_path: Path, data: str, words: str) -> None:
    root = folder(tmp_path / "in", {}, data)
    with pytest.raises(AnnotationError, match=words):
        read_form("yolo", root)


@pytest.mark.parametrize("source", ["none", "file.txt", "empty", "two"])
def test_source_that_is_no_yolo_folder_is_refused(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("names: [a]")
    folder(tmp_path / "two", {"a": ""}, None, {"x.yaml": DATA, "y.yml": DATA})
    with pytest.raises(AnnotationError, match=str(tmp_path / source)):
        read_form("yolo", tmp_path / source)


def test_only_number_of_classes_names_them_as_ultralytics_does(tmp_path: Path) -> None:
    reading = read_form("yolo", folder(tmp_path / "in", {"a": "1 .5 .5 .5 .5"}, "nc: 2\ntrain: images"))
    assert reading.dataset.classes == ("class_0", "class_1")


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt"])
def test_list_of_classes_stands_for_data_yaml(tmp_path: Path, place: str) -> None:
    labels = {"train/a": "1 .5 .5 .5 .5", "valid/b": "", "c": ""}
    root = folder(tmp_path / "in", labels, None, {place: "qr_code\nfip\n\n", "README.txt": "1 2 is not a box"})
    reading = read_form("yolo", root)
    assert splits(reading) == {"a": "train", "b": "val", "c": ""}
    assert (reading.dataset.classes, reading.findings) == (("qr_code", "fip"), [])


def test_same_names_in_two_splits_are_two_images(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", {"train/a": "", "val/a": "0 .5 .5 .5 .5", "val/x/a": "", "val/b": ""})
    assert splits(read_form("yolo", root)) == {
        "images/train/a": "train",
        "images/val/a": "val",
        "x/a": "val",
        "b": "val",
    }


def test_picture_in_two_splits_is_in_none_and_told(tmp_path: Path) -> None:
    data = "train: images/train\nval: images/train\nnames: [a]"
    reading = read_form("yolo", folder(tmp_path / "in", {"train/a": "", "train/b": ""}, data))
    assert splits(reading) == {"a": "", "b": ""}
    (finding,) = reading.findings
    assert (finding.code, finding.severity) == ("split-conflict", "error")
    assert "2 in train and val" in finding.message


def test_keypoints_are_left_out_and_told(tmp_path: Path) -> None:
    data = "train: images\nnames: [a]\nkpt_shape: [2, 2]"
    root = folder(tmp_path / "in", {"a": "0 .5 .5 .5 .5 .1 .1 .9 .9", "b": "0 .1 .1 .2 .2 .3 .3"}, data)
    reading = read_form("yolo", root)
    assert boxes(reading) == [[25, 20, 75, 60]]
    assert found_codes(reading.findings) == ["bad-entry", "left-out"]


def test_labels_without_a_picture_and_pictures_without_a_list_are_told(tmp_path: Path) -> None:
    labels = {"train/a": "", "train/b": "0 .5 .5 .5 .5", "train/c": "", "extra/d": ""}
    root = folder(tmp_path / "in", labels, files={"labels/train/notes.txt": "notes", "labels/train/classes.txt": "a"})
    (root / "images/train/b.png").unlink()
    (root / "images/train/c.png").unlink()  # its label file says that nothing is there
    found = {finding.code: finding for finding in read_form("yolo", root).findings}
    assert set(found) == {"unknown-size", "unlisted"}
    assert found["unknown-size"].source == "labels/train/b.txt"
    assert "images/extra/d.png" in found["unlisted"].message


def test_pictures_apart_are_found_where_the_user_says(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", {"train/a": "0 .5 .5 .5 .5", "b": "0 .5 .5 .5 .5"}, None, {"classes.txt": "x"})
    (root / "images").rename(tmp_path / "photos")
    reading = read_form("yolo", root, pictures=tmp_path / "photos")
    assert splits(reading) == {"a": "train", "b": ""}
    assert all(reading.dataset.picture(row).is_file() for row in (0, 1))
    assert reading.findings == []


@pytest.mark.parametrize("what", ["file", "folder", "label"])
def test_link_out_of_the_folder_is_followed_only_where_the_user_says(tmp_path: Path, what: str) -> None:
    root = folder(tmp_path / "in", {"train/a": "0 .5 .5 .5 .5", "train/b": ""})
    place = {"file": "images/train/a.png", "folder": "images/train", "label": "labels/train/a.txt"}[what]
    (tmp_path / "other").mkdir()
    (root / place).rename(tmp_path / "other" / "x.png")
    (root / place).symlink_to(tmp_path / "other" / "x.png")
    try:
        ids = splits(read_form("yolo", root))
    except AnnotationError as error:
        ids = {}
        assert "--images" in str(error)
    assert "a" not in ids
    assert "a" in splits(read_form("yolo", root, pictures=tmp_path / "other"))


def test_devices_pipes_and_pictures_of_rubbish_are_refused_by_name(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", {f"train/{name}": "0 .5 .5 .5 .5" for name in "abcd"})
    (root / "labels/train/a.txt").unlink()
    os.mkfifo(root / "labels/train/a.txt")
    (root / "labels/train/b.txt").unlink()
    (root / "labels/train/b.txt").symlink_to("/dev/zero")
    (root / "images/train/c.png").write_bytes(b"rubbish")
    reading = read_form("yolo", root)
    assert splits(reading) == {"d": "train"}
    assert {(finding.source, finding.code) for finding in reading.findings if finding.severity == "error"} == {
        ("labels/train/a.txt", "unreadable-file"),
        ("labels/train/b.txt", "unreadable-file"),
        ("labels/train/c.txt", "unreadable-image"),
    }


def test_names_and_parts_of_the_user_hold(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", {"train/a": "0 .5 .5 .5 .5\n1 .5 .5 .1 .1\n1 .1 .1 .1 .1"})
    naming = Naming({"finder": "qr_code"}, None, {"fip": "finder"})
    reading = read_form("yolo", root, naming)
    assert reading.dataset.classes == ("qr_code", "finder")
    assert reading.dataset.annotations.parent_id.tolist() == [-1, 0, -1]
    assert found_codes(reading.findings) == ["orphan-part"]


@pytest.mark.parametrize(
    ("picture", "label"),
    [
        ("images/train/a.jpg", "labels/train/a.txt"),
        ("train/images/a.b.png", "train/labels/a.b.txt"),
        ("images/images/a.jpg", "images/labels/a.txt"),
        ("my images/a.jpg", "my images/a.txt"),
        ("a.jpg", "a.txt"),
    ],
)
def test_label_file_has_the_place_that_ultralytics_looks_in(picture: str, label: str) -> None:
    assert label_path(picture) == label


def test_writer_tells_what_yolo_cannot_hold(tmp_path: Path) -> None:
    rows = [{"image_id": "a", "split": "train", "flags": "train;dark", "group": "g"}, {"image_id": "b"}]
    boxes: list[dict[str, object]] = [
        {"image": 0, "label": "qr_code", "xyxy": (0, 0, 10, 10), "group": "1", "shape_type": "circle"},
        {"image": 0, "label": "fip", "xyxy": (0, 0, 5, 5), "parent": 0, "group": "1"},
        {"image": 0, "label": "fip", "xyxy": (0, 0, 5, 5), "group": "2"},
        {"image": 1, "label": "fip", "xyxy": (0, 0, 5, 5), "ignore": True},
        {"image": 1, "label": "fip", "xyxy": (0, 0, 9, 9), "crowd": True},
    ]
    dataset = box_dataset(tmp_path / "in", rows, boxes, parts={"fip": "qr_code"})
    told = write_form("yolo", tmp_path / "out", dataset)
    for words in ["belongs to: left out of 1", "group_id: left out of 3", "(polygon, circle and so on)", "flags: left"]:
        assert sum(words in finding.message for finding in told) == 1
    for words in ["group of an image", "not to be counted", "without a split: 1", "1 boxes have the label and the"]:
        assert sum(words in finding.message for finding in told) == 1
    assert found_codes(told).count("crowd") == 1
    back = read_form("yolo", tmp_path / "out")
    assert splits(back) == {"a": "train", "b": ""}
    assert len(back.dataset.annotations) == 3


def test_plain_dataset_is_written_without_a_word_and_pictures_are_not_named_from_afar(tmp_path: Path) -> None:
    box = {"image": 0, "label": "qr_code", "xyxy": (0, 0, 10, 10)}
    dataset = box_dataset(tmp_path / "in", [{"image_id": "a", "split": "train"}], [box])
    assert write_form("yolo", tmp_path / "out", dataset) == []
    with pytest.raises(UsageError, match="copied or linked"):
        write_form("yolo", tmp_path / "far", dataset, "reference")


def test_image_ids_that_are_no_file_names_are_made_such_and_told(tmp_path: Path) -> None:
    ids = ["../../evil", "images/a", "A", "a", ".hidden", "x/.y/z", "a:b", "con.", "\n"]
    rows = [{"image_id": image_id, "split": "train"} for image_id in ids]
    boxes = [{"image": row, "label": "fip", "xyxy": (row, 0, row + 1.5, 10)} for row in range(len(ids))]
    dataset = box_dataset(tmp_path / "in", rows, boxes)
    for form in ("yolo", "voc", "labelme"):
        told = write_form(form, tmp_path / form, dataset)
        assert "image_id of" in told[-1].message
        assert (
            sorted(path.name for path in tmp_path.iterdir() if path.name not in ("in", "yolo", "voc", "labelme")) == []
        )
        back = read_form(form, tmp_path / form).dataset
        assert sorted(pixels(back.images, back.annotations.image_row, back.annotations.xyxy_rel)[:, 0].round(9)) == [
            *range(len(ids))
        ]


def test_dataset_without_images_or_boxes_is_written_in_each_form(tmp_path: Path) -> None:
    dataset = box_dataset(tmp_path / "in", [{"image_id": "a"}], [], classes=[])
    for form in ("yolo", "voc", "labelme"):
        write_form(form, tmp_path / form, dataset)
        back = read_form(form, tmp_path / form)
        assert (splits(back), len(back.dataset.annotations), back.findings) == ({"a": ""}, 0, [])
        write_form(form, tmp_path / f"no {form}", dataset.of_images(np.zeros(0, np.int64)))
        with pytest.raises(AnnotationError):
            read_form(form, tmp_path / f"no {form}")


def test_missing_picture_is_told_and_its_boxes_are_written(tmp_path: Path) -> None:
    box = {"image": 0, "label": "qr_code", "xyxy": (0, 0, 10, 10)}
    dataset = box_dataset(tmp_path / "in", [{"image_id": "a", "split": "train"}], [box])
    dataset.picture(0).unlink()
    for form in ("yolo", "voc", "labelme"):
        assert "missing-image" in found_codes(write_form(form, tmp_path / form, dataset))
    assert len(read_form("voc", tmp_path / "voc").dataset.annotations) == 1
    assert len(read_form("labelme", tmp_path / "labelme").dataset.annotations) == 1
