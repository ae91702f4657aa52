"""Pictures that lie apart, in a folder that the user names, for forms that say where their pictures are."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from annotation_files import document, shape, write_json, write_png
from form_sets import found_codes

from annotations.convert import ConvertReport, convert


def labelme_folder(root: Path, **paths: str) -> Path:
    for stem, path in paths.items():
        write_json(root / "in" / f"{stem}.json", document(shape(), imagePath=path))
    return root / "in"


def pictures_of(report: ConvertReport) -> list[Path]:
    return [report.dataset.picture(row).resolve() for row in range(len(report.dataset.images))]


@pytest.mark.parametrize("options", [{}, {"check_images": False}, {"workers": 2}])
def test_labelme_pictures_are_found_where_the_user_says(tmp_path: Path, options: dict[str, Any]) -> None:
    windows = "..\\..\\shots\\a.png"
    source = labelme_folder(tmp_path, a=windows, b="/home/somebody/b.png", c="c.png", d="C:\\data\\d.png", e="")
    for name in ("shots/a.png", "b.png", "c.png", "deep/d.png", "e.png"):
        write_png(tmp_path / "photos" / name)
    report = convert(source, tmp_path / "out", pictures=tmp_path / "photos", **options)
    assert found_codes(report.findings) == []
    photos = (tmp_path / "photos").resolve()
    expected = ["shots/a.png", "b.png", "c.png", "deep/d.png", "e.png"]
    assert pictures_of(report) == [photos / name for name in expected]


def test_labelme_pictures_beside_their_files_come_before_those_apart(tmp_path: Path) -> None:
    source = labelme_folder(tmp_path, a="a.png")
    write_png(source / "a.png")
    write_png(tmp_path / "photos" / "a.png")
    report = convert(source, tmp_path / "out", pictures=tmp_path / "photos")
    assert pictures_of(report) == [(source / "a.png").resolve()]


def test_labelme_pictures_apart_are_compared_with_their_files(tmp_path: Path) -> None:
    write_png(tmp_path / "photos" / "a.png", (70, 70))
    source = labelme_folder(tmp_path, a="a.png", b="b.png")
    report = convert(source, tmp_path / "out", pictures=tmp_path / "photos")
    assert found_codes(report.findings) == ["missing-image", "size-mismatch"]


def test_of_several_pictures_of_one_name_apart_none_is_taken(tmp_path: Path) -> None:
    for name in ("x/a.png", "y/a.png"):
        write_png(tmp_path / "photos" / name)
    report = convert(labelme_folder(tmp_path, a="../a.png"), tmp_path / "out", pictures=tmp_path / "photos")
    (finding,) = report.findings
    assert finding.code == "outside-root"
    assert "must be one, got x/a.png and y/a.png" in finding.message


def test_links_out_of_the_folder_of_the_pictures_are_not_followed(tmp_path: Path) -> None:
    write_png(tmp_path / "secret.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").symlink_to(tmp_path / "secret.png")
    report = convert(labelme_folder(tmp_path, a="a.png"), tmp_path / "out", pictures=tmp_path / "photos")
    assert found_codes(report.findings) == ["missing-image"]


def test_a_box_dataset_finds_pictures_that_were_moved(tmp_path: Path) -> None:
    source = labelme_folder(tmp_path, a="a.png", b="b.png")
    for stem in "ab":
        write_png(source / f"{stem}.png")
    convert(source, tmp_path / "data")
    shutil.move(source, tmp_path / "moved")
    (tmp_path / "moved" / "b.png").unlink()
    report = convert(tmp_path / "data", tmp_path / "out", pictures=tmp_path / "moved")
    assert pictures_of(report)[0] == (tmp_path / "moved" / "a.png").resolve()
    assert [(finding.code, finding.image_id) for finding in report.findings] == [("missing-image", "b")]


def test_yolo_links_out_of_the_folder_are_told_with_the_option_that_helps(tmp_path: Path) -> None:
    source = labelme_folder(tmp_path, a="a.png")
    write_png(source / "a.png")
    convert(source, tmp_path / "yolo", target_form="yolo", pictures_mode="link")
    report = convert(tmp_path / "yolo", tmp_path / "lost")
    assert [finding.message.endswith("(see --images)") for finding in report.findings] == [True]
    helped = convert(tmp_path / "yolo", tmp_path / "found", pictures=source)
    assert pictures_of(helped) == [(source / "a.png").resolve()]
