"""What a Labelme file says besides its shapes: flags and splits, the frame, the image's path, names, its encoding."""

import base64
import json
import os
from pathlib import Path

import pytest
from annotation_files import (
    PARTS,
    boxes,
    codes,
    convert,
    convert_one,
    document,
    labels,
    only,
    shape,
    write_json,
    write_png,
)

from annotations.convert import convert as convert_source
from annotations.errors import AnnotationError, UsageError


@pytest.mark.parametrize(
    ("flags", "split"),
    [
        ({"train": True}, "train"),
        ({"train": False, "valid": True, "test": False}, "val"),
        ({"val": True}, "val"),
        ({"validation": True, "valid": True}, "val"),
        ({"test": True, "dark": True}, "test"),
        ({"train": False}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_split_is_named_by_a_flag_that_is_true(tmp_path: Path, flags: object, split: str) -> None:
    report = convert_one(tmp_path / "in", shape(), flags=flags)
    assert report.dataset.images.split.tolist() == [split]
    assert codes(report) == []


def test_several_true_split_flags_give_no_split_and_a_finding(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", shape(), flags={"train": True, "test": True})
    assert report.dataset.images.split.tolist() == [""]
    assert report.dataset.images.flags.tolist() == ["train;test"]
    assert codes(report) == ["several-splits"]


@pytest.mark.parametrize(
    ("flags", "code"),
    [({"train": 1}, "odd-flag"), ({"train": "true"}, "odd-flag"), ({"Train": True}, "near-split-flag")],
)
def test_flag_that_almost_names_a_split_gives_none_and_a_finding(tmp_path: Path, flags: object, code: str) -> None:
    report = convert_one(tmp_path / "in", shape(), flags=flags)
    assert report.dataset.images.split.tolist() == [""]
    assert codes(report) == [code]


@pytest.mark.parametrize("flags", [[], "train", ["train"], {"x" * 600: True}, {"\ud800": True}])
def test_flags_that_cannot_be_kept_refuse_the_file(tmp_path: Path, flags: object) -> None:
    assert codes(convert_one(tmp_path / "in", shape(), flags=flags)) == ["bad-file"]


@pytest.mark.parametrize("size", [(None, None), ("100", "80"), (0, 80), (-100, 80), (True, True), (1e12, 80)])
def test_size_that_is_none_is_taken_from_the_image(tmp_path: Path, size: tuple[object, object]) -> None:
    report = convert_one(tmp_path / "in", shape(), imageWidth=size[0], imageHeight=size[1])
    assert report.dataset.images.width.tolist() == [100]
    assert boxes(report) == [[10, 10, 40, 30]]
    assert codes(report, least="warn") == []


def test_size_as_whole_floats_is_a_size(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", shape(), imageWidth=100.0, imageHeight=80.0)
    assert (report.dataset.images.width.tolist(), codes(report)) == ([100], [])


def test_size_without_file_is_taken_from_image_data(tmp_path: Path) -> None:
    data = base64.b64encode(write_png(tmp_path / "other.png").read_bytes()).decode()
    report = convert_one(tmp_path / "in", shape(), image=False, imageWidth=None, imageHeight=None, imageData=data)
    assert report.dataset.images.height.tolist() == [80]
    assert codes(report) == ["embedded-image", "missing-image", "size-from-image"]


@pytest.mark.parametrize(
    ("data", "code"), [(None, "unknown-size"), ("AAAA", "unreadable-image"), ("é", "unreadable-image")]
)
def test_file_without_any_size_is_refused(tmp_path: Path, data: object, code: str) -> None:
    report = convert_one(tmp_path / "in", shape(), image=False, imageWidth=None, imageHeight=None, imageData=data)
    assert (len(report.dataset.images), codes(report)) == (0, [code])


def test_missing_image_of_known_size_is_converted_with_a_finding(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", shape(), image=False)
    assert boxes(report) == [[10, 10, 40, 30]]
    assert only(report, "missing-image").image_id == "a"
    assert report.exit_status == 0


@pytest.mark.parametrize(
    ("stored", "orientation", "code"),
    [
        ((100, 80), None, None),
        ((50, 40), None, "stale-size"),
        ((333, 266), None, "stale-size"),  # 3.33 times, the fraction cut off
        ((80, 100), 6, None),  # displayed 100 x 80
        ((100, 80), 6, "unrotated-size"),  # displayed 80 x 100
        ((100, 80), 3, None),  # upside down, the same size
        ((160, 200), 6, "stale-size"),
        ((80, 100), None, "size-mismatch"),
        ((100, 79), None, "size-mismatch"),
        ((90, 80), None, "size-mismatch"),
    ],
)
def test_frame_is_the_annotated_size_unless_the_image_contradicts_it(
    tmp_path: Path, stored: tuple[int, int], orientation: int | None, code: str | None
) -> None:
    write_png(tmp_path / "in" / "img.png", stored, orientation)
    report = convert_one(tmp_path / "in", shape(), image=False)
    assert codes(report) == ([code] if code else [])
    assert report.dataset.images.width.tolist() == ([] if code == "size-mismatch" else [100])


def test_unreadable_image_of_known_size_is_converted_with_a_finding(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "img.png", b"no picture")
    report = convert_one(tmp_path / "in", shape(), image=False)
    assert (boxes(report), codes(report)) == ([[10, 10, 40, 30]], ["unchecked-image"])


@pytest.mark.parametrize("image_path", ["../images/img.png", "..\\images\\img.png", "..\\images/./img.png"])
def test_image_path_may_leave_its_folder_inside_the_source(tmp_path: Path, image_path: str) -> None:
    write_png(tmp_path / "in" / "images" / "img.png")
    write_json(tmp_path / "in" / "annotation" / "a.json", document(shape(), imagePath=image_path))
    report = convert(tmp_path / "in")
    assert codes(report) == []
    assert report.dataset.picture(0).resolve() == (tmp_path / "in" / "images" / "img.png").resolve()


@pytest.mark.parametrize(
    "image_path", ["../secret.png", "x/../../secret.png", "..\\secret.png", "{root}/secret.png", "C:\\secret.png", ".."]
)
def test_image_path_out_of_the_source_is_not_followed(tmp_path: Path, image_path: str) -> None:
    secret = write_png(tmp_path / "secret.png", (50, 40))
    path = image_path.replace("{root}", str(tmp_path))
    report = convert_one(tmp_path / "in", shape(), image=False, imagePath=path)
    # A size of 50 x 40 would have been told as stale, had the file been opened.
    assert codes(report) == ["outside-root"]
    assert not report.dataset.picture(0).exists()
    assert report.dataset.picture(0).resolve() != secret


def test_path_out_of_the_source_names_the_folder_to_give_instead(tmp_path: Path) -> None:
    write_png(tmp_path / "photos" / "images" / "img.png")
    write_json(tmp_path / "photos" / "labels" / "a.json", document(shape(), imagePath="../images/img.png"))
    report = convert_source(tmp_path / "photos" / "labels", tmp_path / "out", parts=PARTS)
    assert f"give {tmp_path / 'photos'} as the source" in only(report, "outside-root").message


def test_link_out_of_the_source_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "img.png").symlink_to(write_png(tmp_path / "secret.png", (50, 40)))
    assert codes(convert_one(tmp_path / "in", shape(), image=False)) == ["outside-root"]


def test_link_to_a_folder_out_of_the_source_is_told(tmp_path: Path) -> None:
    write_json(tmp_path / "elsewhere" / "b.json", document(shape()))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    report = convert_one(tmp_path / "in", shape())
    assert len(report.dataset.images) == 1
    assert only(report, "unfollowed-link").source == "linked"


@pytest.mark.parametrize("image_path", ["/photos/img.png", "../img.png", "lost/img.png", "D:\\photos\\img.png"])
def test_image_of_that_name_beside_the_file_is_taken_with_a_finding(tmp_path: Path, image_path: str) -> None:
    report = convert_one(tmp_path / "in", shape(), imagePath=image_path)
    assert codes(report) == ["found-beside"]
    assert report.dataset.picture(0).exists()


@pytest.mark.parametrize("image_path", [None, ""])
def test_file_without_an_image_path_takes_the_image_of_its_own_name(tmp_path: Path, image_path: object) -> None:
    write_png(tmp_path / "in" / "a.PNG")
    report = convert_one(tmp_path / "in", shape(), image=False, imagePath=image_path)
    assert codes(report) == ["found-beside"]
    assert report.dataset.picture(0).name == "a.PNG"


@pytest.mark.parametrize("image_path", [7, ["img.png"], "a\0b.png", "\ud800.png", "x" * 5000])
def test_image_path_that_is_no_path_refuses_the_file(tmp_path: Path, image_path: object) -> None:
    report = convert_one(tmp_path / "in", shape(), imagePath=image_path)
    assert len(report.dataset.images) == 0
    assert codes(report)[0] in ("bad-file", "bad-name")


def test_image_path_too_long_for_the_disk_is_a_missing_image(tmp_path: Path) -> None:
    assert codes(convert_one(tmp_path / "in", shape(), imagePath="x" * 900)) == ["missing-image"]


def test_files_are_found_below_in_any_letter_case_but_not_in_hidden_folders(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for name in ("b.JSON", "deep/er/c.json", ".git/d.json", "deep/.cache/e.json", "._a.json", "notes.txt"):
        write_json(root / name, document(shape()))
    report = convert_one(root, shape())
    assert report.dataset.images.image_id.tolist() == ["a", "b", "c"]
    assert report.dataset.images.source.tolist() == ["a.json", "b.JSON", "deep/er/c.json"]


def test_image_id_is_the_path_where_stems_clash(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for name in ("x/a.json", "y/a.json", "y/b.v2.json", "z/c.json", "z/c.JSON", "001.json", "NA.json"):
        write_json(root / name, document(shape()))
    expected = ["001", "NA", "x/a", "y/a", "b.v2", "z/c.JSON", "z/c.json"]
    assert convert(root).dataset.images.image_id.tolist() == expected


def test_image_named_by_two_files_is_told(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "b.json", document(shape()))
    report = convert_one(tmp_path / "in", shape())
    assert only(report, "shared-image").source == "b.json"
    assert only(report, "shared-image").severity == "warn"
    assert len(report.dataset.images) == 2


def test_image_that_two_files_put_into_different_splits_has_none(tmp_path: Path) -> None:
    for name, flag, path in (("b", "test", "img.png"), ("c", "", "img.png"), ("d", "val", "other.png")):
        write_json(tmp_path / "in" / f"{name}.json", document(shape(), imagePath=path, flags={flag: True}))
    write_png(tmp_path / "in" / "other.png")
    report = convert_one(tmp_path / "in", shape(), flags={"train": True})
    assert report.dataset.images.split.tolist() == ["", "", "", "val"]
    told = [finding for finding in report.findings if finding.code == "split-conflict"]
    assert [(finding.source, finding.image_id, finding.severity) for finding in told] == [
        ("a.json", "a", "error"), ("b.json", "b", "error"), ("c.json", "c", "error"),
    ]  # fmt: skip
    assert "img.png must be the same in all its annotation files, got train and test" in told[0].message
    assert (report.exit_status, report.summary()["refused"]) == (3, 0)


def test_image_that_two_files_put_into_one_split_keeps_it(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "b.json", document(shape()))
    report = convert_one(tmp_path / "in", shape(), flags={"train": True})
    assert (report.dataset.images.split.tolist(), codes(report)) == (["train", ""], ["shared-image"])


def test_file_without_shapes_is_an_image_without_boxes(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", flags={"train": True})
    assert (len(report.dataset.images), boxes(report), codes(report)) == (1, [], [])
    assert report.summary()["by_split"]["train"]["images_without_boxes"] == 1


def test_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "img.png")
    write_json(tmp_path / "in" / "a.json", b"\xef\xbb\xbf" + json.dumps(document(shape())).encode())
    report = convert(tmp_path / "in")
    assert (boxes(report), codes(report)) == ([[10, 10, 40, 30]], [])


@pytest.mark.parametrize("encoding", ["gb2312", "utf-16"])
def test_other_encodings_are_refused_in_words(tmp_path: Path, encoding: str) -> None:
    text = json.dumps(document(shape("二维码")), ensure_ascii=False)
    write_json(tmp_path / "in" / "a.json", text.encode(encoding))
    report = convert(tmp_path / "in")
    assert "UTF-8" in only(report, "bad-encoding").message
    assert len(report.dataset.images) == 0


def test_classes_are_objects_then_parts_in_alphabetical_order(tmp_path: Path) -> None:
    drawn = [shape(label, [[1, 1], [9, 9 + y]]) for y, label in enumerate(["zebra", "fip", "qr_code", "aztec", "eye"])]
    write_json(tmp_path / "in" / "a.json", document(*drawn))
    report = convert(tmp_path / "in", parts={"fip": "qr_code", "eye": "zebra"})
    assert report.dataset.classes == ("aztec", "qr_code", "zebra", "eye", "fip")
    assert report.dataset.parts == {"eye": "zebra", "fip": "qr_code"}


def test_labels_out_of_the_list_of_classes_are_dropped_with_a_finding(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "a.json", document(shape("QR_code"), shape(), shape("cat")))
    report = convert(tmp_path / "in", parts={}, classes=["qr_code", "cat", "dog"])
    assert (labels(report), report.dataset.classes) == (["qr_code", "cat"], ("qr_code", "cat", "dog"))
    assert only(report, "unknown-label").shape == "shapes[0]"
    assert "class 'dog'" in only(report, "unused-name").message


def test_labels_are_renamed_before_all_else(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "a.json", document(shape("QR"), shape("finder", [[12, 12], [18, 18]])))
    rename = {"QR": "qr_code", "finder": "fip", "cat": "dog"}
    report = convert(tmp_path / "in", rename=rename, classes=["qr_code", "fip"])
    assert labels(report) == ["qr_code", "fip"]
    assert report.dataset.annotations.parent_id.tolist() == [-1, 0]
    assert "'cat'" in only(report, "unused-name").message


@pytest.mark.parametrize(
    "options",
    [
        {"parts": {"fip": "fip"}},
        {"parts": {"a": "b", "b": "a"}},
        {"parts": {"a": "b", "b": "c"}},
        {"parts": {"": "a"}},
        {"parts": {"fip": "qr_code"}, "classes": ["qr_code"]},
        {"parts": {}, "classes": []},
        {"parts": {}, "classes": ["a", "a"]},
        {"parts": {}, "rename": {"a": ""}},
    ],
)
def test_names_that_contradict_each_other_are_a_usage_error(tmp_path: Path, options: dict[str, object]) -> None:
    write_json(tmp_path / "in" / "a.json", document(shape()))
    with pytest.raises(UsageError):
        convert(tmp_path / "in", **options)
    assert not (tmp_path / "in-dataset").exists()


def test_unused_part_is_told_and_left_out(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", shape())
    assert (report.dataset.classes, report.dataset.parts) == (("qr_code",), {})
    assert "part 'fip'" in only(report, "unused-name").message


def test_part_whose_object_nobody_drew_stays_a_part(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", shape("fip"))
    assert (report.dataset.classes, report.dataset.parts) == (("qr_code", "fip"), {"fip": "qr_code"})
    assert sorted(finding.code for finding in report.findings) == ["orphan-part", "unused-name"]


@pytest.mark.parametrize("content", ["[]", "{}", "7", '{"images": [], "annotations": []}'])
def test_json_of_another_kind_is_left_out_with_a_finding(tmp_path: Path, content: str) -> None:
    write_json(tmp_path / "in" / "coco.json", content)
    report = convert_one(tmp_path / "in", shape())
    assert only(report, "not-labelme").source == "coco.json"
    assert report.dataset.images.image_id.tolist() == ["a"]


def test_folder_of_other_json_alone_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "coco.json", '{"images": []}')
    with pytest.raises(AnnotationError, match=r"must hold Labelme files, got 1 JSON file.*coco\.json"):
        convert(tmp_path / "in")


def test_source_that_holds_only_a_link_out_of_it_says_so(tmp_path: Path) -> None:
    write_json(tmp_path / "elsewhere" / "a.json", document(shape()))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AnnotationError, match="got none; linked: link to a folder outside"):
        convert(tmp_path / "in")


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text(""), lambda path: None])
def test_source_without_annotation_files_is_refused(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "in")
    with pytest.raises(AnnotationError, match=f"{tmp_path / 'in'}: source must"):
        convert(tmp_path / "in")


def test_strict_turns_warnings_into_exit_status_3(tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "img.png")
    write_json(tmp_path / "in" / "a.json", document(shape(points=[[-5, 5], [9, 9]])))
    assert convert(tmp_path / "in", parts={}).exit_status == 0
    strict = convert_source(tmp_path / "in", tmp_path / "strict", parts={}, strict=True)
    assert strict.exit_status == 3


def test_summary_says_what_was_read_refused_and_found(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "bad.json", document(shape(""), shape("")))
    summary = convert_one(tmp_path / "in", shape(points=[[-5, 5], [9, 9]]), flags={"test": True}).summary()
    assert (summary["files"], summary["refused"], summary["images"], summary["boxes"]) == (2, 1, 1, 1)
    assert summary["by_split"]["test"]["by_class"] == {"qr_code": 1}
    assert summary["findings"]["by_code"] == {"bad-shape": 1, "clipped": 1, "unused-name": 1}
    json.dumps(summary, allow_nan=False)


def test_progress_is_told_up_to_the_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotations.labelme_folder._FILES_TOGETHER", 2)
    for name in ("a", "b", "c"):
        write_json(tmp_path / "in" / f"{name}.json", document(shape()))
    seen: list[tuple[int, int]] = []
    convert(tmp_path / "in", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 3), (3, 3)]


def test_file_name_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    root = tmp_path / "in"
    write_json(root / "b.json", document(shape()))
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.json")).write_text(json.dumps(document(shape())))
    report = convert(root)
    assert only(report, "bad-name").source == "\\udcff.json"
    assert len(report.dataset.images) == 1


def test_a_box_dataset_in_its_source_is_no_odd_annotation(tmp_path: Path) -> None:
    write_json(tmp_path / "photos" / "a.json", document(shape()))
    write_png(tmp_path / "photos" / "img.png")
    first = convert_source(tmp_path / "photos", tmp_path / "photos" / "data", parts={})
    again = convert_source(tmp_path / "photos", tmp_path / "again", parts={})
    assert again.findings == first.findings == ()
    # A dataset.json of somebody else's is told as before.
    write_json(tmp_path / "photos" / "other" / "dataset.json", {"name": "x"})
    assert codes(convert_source(tmp_path / "photos", tmp_path / "third", parts={})) == ["not-labelme"]
