"""Pascal VOC files that others wrote, against the Labelme files that they were made of."""

from pathlib import Path

import pytest
from annotation_files import SHARED
from form_sets import assert_same_boxes, found_codes, read_form, write_form

from annotations.naming import Naming
from annotations.voc_xml import read_xml

BOXES = SHARED / "data" / "labelme_examples" / "bbox_detection"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Return a folder of the example's XML files beside its pictures."""
    if not BOXES.is_dir():
        pytest.skip("the shared examples are not on this machine")
    folder = tmp_path / "voc"
    folder.mkdir()
    for path in (*BOXES.glob("expected_voc/Annotations/*.xml"), *BOXES.glob("data_annotated/*.jpg")):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_expected_voc_holds_the_boxes_of_its_labelme_files(voc: Path) -> None:
    theirs = read_form("voc", voc)
    ours = read_form("labelme", BOXES / "data_annotated")
    assert len(ours.dataset.annotations) > 0
    assert found_codes(theirs.findings) == []
    assert_same_boxes(theirs.dataset, ours.dataset)


def test_voc_written_of_labelme_files_holds_what_the_expected_one_does(voc: Path, tmp_path: Path) -> None:
    ours = read_form("labelme", BOXES / "data_annotated").dataset
    write_form("voc", tmp_path / "out", ours)
    written = read_form("voc", tmp_path / "out").dataset
    assert len(written.annotations) == len(ours.annotations)
    assert_same_boxes(read_form("voc", voc).dataset, written)
    for path in voc.glob("*.xml"):
        mine, theirs = read_xml(tmp_path / "out/Annotations" / path.name), read_xml(path)
        for tag in ("filename", "size/width", "size/height", "size/depth"):
            assert mine.findtext(tag) == theirs.findtext(tag)


@pytest.mark.parametrize("form", ["voc", "labelme"])
def test_photographs_come_back_from_each_form(tmp_path: Path, form: str) -> None:
    photos = SHARED / "data" / "qr_photos"
    if not photos.is_dir():
        pytest.skip("the shared photographs are not on this machine")
    naming = Naming({"fip": "qr_code"}, None, {})
    dataset = read_form("labelme", photos, naming).dataset
    write_form(form, tmp_path / "out", dataset, "copy" if form == "labelme" else "link")
    back = read_form(form, tmp_path / "out", naming, pictures=photos)
    assert_same_boxes(back.dataset, dataset)
    assert set(found_codes(back.findings)) <= {"found-beside"}
