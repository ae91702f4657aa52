from pathlib import Path

import pytest
from annotation_files import write_png
from form_sets import box_dataset, found_codes, read_form, write_form

from annotations.drawn import Reading
from annotations.errors import AnnotationError
from annotations.naming import Naming
from annotations.tables import pixels

HEADER = "image_id,image_height,image_width,object_id,class,xmin,ymin,xmax,ymax"


def table(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def read(path: Path) -> Reading:
    return read_form("csv", path, check_images=False)


def boxes(reading: Reading) -> list[list[float]]:
    table = reading.dataset.annotations
    return pixels(reading.dataset.images, table.image_row, table.xyxy_rel).round(9).tolist()


def test_objects_and_parts_share_an_object_id(tmp_path: Path) -> None:
    table(tmp_path / "codes_train.csv", "a,80,100,5,code,10,10,60,60", "b,80,100,6,code,1.25,2,30,40")
    table(tmp_path / "fips_train.csv", "a,80,100,5,fip,12,12,20,20", "a,80,100,5,fip,50,12,58,20")
    back = read(tmp_path)
    assert back.findings == []
    assert (back.dataset.classes, back.dataset.parts) == (("code", "fip"), {"fip": "code"})
    assert back.dataset.images.image_id.tolist() == ["a", "b"]
    assert set(back.dataset.images.split.tolist()) == {"train"}
    assert back.dataset.annotations.class_id.tolist() == [0, 1, 1, 0]
    assert back.dataset.annotations.parent_id.tolist() == [-1, 0, 0, -1]
    assert back.dataset.annotations.group_id.tolist() == ["5", "5", "5", "6"]
    assert boxes(back)[3] == [1.25, 2, 30, 40]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("objects_valid.csv", "val"),
        ("Boxes-TEST.csv", "test"),
        ("train.csv", "train"),
        ("val/objects.csv", "val"),
        ("objects.csv", ""),
        ("training_day.csv", ""),
        ("contest.csv", ""),
    ],
)
def test_the_split_is_the_one_that_the_name_speaks_of(tmp_path: Path, name: str, split: str) -> None:
    table(tmp_path / name, "a,80,100,5,code,10,10,60,60")
    assert read(tmp_path).dataset.images.split.tolist() == [split]


FAULTS = [
    ("a,80,100,5,code,10,10,sixty,60", "xmax must be a finite number of pixels, got 'sixty'"),
    ("a,80,100,5,code,10,10,nan,60", "xmax must be a finite number"),
    ("a,80,100,5,code,10,10,inf,60", "xmax must be a finite number"),
    ("a,80,100,5,code,10,10,1_0,60", "xmax must be a finite number"),
    ("a,80,100,5,code,10,10,,60", "xmax must be a finite number"),
    ("a,80,0,5,code,10,10,60,60", "image_width must be a whole number from 1 on"),
    ("a,80.5,100,5,code,10,10,60,60", "image_height must be a whole number"),
    ("a,80,100,,code,10,10,60,60", "object_id must be a number"),
    ("a,80,100,5,,10,10,60,60", "class must be a label"),
    ("a,80,200,5,code,10,10,60,60", "must be the same in all rows of an image, got 100 x 80 and 200 x 80"),
]


@pytest.mark.parametrize(("row", "text"), FAULTS)
def test_a_row_at_fault_refuses_its_image_and_no_other(tmp_path: Path, row: str, text: str) -> None:
    table(tmp_path / "t.csv", "a,80,100,4,code,10,10,60,60", row, "b,80,100,6,code,1,2,30,40")
    back = read(tmp_path)
    (finding,) = back.findings
    assert (finding.code, finding.severity, finding.source, finding.shape) == ("bad-entry", "error", "t.csv", "row 3")
    assert text in finding.message
    assert "image 'a' refused" in finding.message
    assert back.dataset.images.image_id.tolist() == ["b"]


def test_a_row_without_an_image_is_told_and_left_out(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", ",80,100,4,code,10,10,60,60", "b,80,100,6,code,1,2,30,40")
    back = read(tmp_path)
    assert [(finding.code, finding.shape) for finding in back.findings] == [("bad-entry", "row 2")]
    assert back.dataset.images.image_id.tolist() == ["b"]


def test_findings_name_the_file_and_the_row(tmp_path: Path) -> None:
    table(tmp_path / "objects.csv", "a,80,100,4,code,90,10,160,60", "a,80,100,5,code,5,5,5,9")
    table(tmp_path / "{0} parts.csv", "a,80,100,9,fip,10,10,20,20", "a,80,100,4,fip,91,12,95,20")
    back = read(tmp_path)
    told = sorted((finding.code, finding.source, finding.shape, finding.image_id) for finding in back.findings)
    assert told == [
        ("clipped", "objects.csv", "row 2", "a"),
        ("orphan-part", "{0} parts.csv", "row 2", "a"),
        ("zero-area", "objects.csv", "row 3", "a"),
    ]


def test_an_image_in_two_splits_has_none(tmp_path: Path) -> None:
    for split in ("train", "test"):
        table(tmp_path / f"objects_{split}.csv", "a,80,100,4,code,10,10,60,60")
    back = read(tmp_path)
    assert found_codes(back.findings) == ["duplicate", "split-conflict"]
    assert back.dataset.images.split.tolist() == [""]


def test_the_users_parts_win_over_those_of_the_file(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "a,80,100,5,code,10,10,60,60", "a,80,100,5,sheet,5,5,70,70")
    assert read(tmp_path).dataset.parts == {"code": "sheet"}
    back = read_form("csv", tmp_path, Naming({"sheet": "code"}, None, {}), check_images=False)
    assert back.dataset.parts == {"sheet": "code"}
    assert back.dataset.annotations.parent_id.tolist() == [-1, 0]


def test_labels_are_renamed_before_they_are_parts(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "a,80,100,5,code,10,10,60,60", "a,80,100,5,fip,12,12,20,20")
    back = read_form("csv", tmp_path, Naming({}, None, {"fip": "corner"}), check_images=False)
    assert back.dataset.parts == {"corner": "code"}
    assert back.dataset.annotations.parent_id.tolist() == [-1, 0]


def test_further_columns_and_whole_numbers_with_a_point_are_fine(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", "1,a,80.0,100.0,5,code,10,10,60,60", header="n," + HEADER)
    assert boxes(read(tmp_path)) == [[10, 10, 60, 60]]


def test_pictures_are_found_by_image_id_and_their_size_is_compared(tmp_path: Path) -> None:
    table(tmp_path / "in" / "t.csv", "a,80,100,5,code,10,10,60,60", "b,80,100,5,code,10,10,60,60")
    write_png(tmp_path / "in" / "photos" / "a.png", (200, 160))
    write_png(tmp_path / "else" / "b.png", (50, 80))
    back = read_form("csv", tmp_path / "in", pictures=tmp_path / "else")
    assert found_codes(back.findings) == ["size-mismatch", "stale-size"]
    assert back.dataset.images.path.tolist() == ["photos/a.png"]
    assert found_codes(read_form("csv", tmp_path / "in").findings) == ["missing-image", "stale-size"]


def test_other_tables_are_no_part_of_it_and_damaged_ones_are_told(tmp_path: Path) -> None:
    table(tmp_path / "good.csv", "a,80,100,5,code,10,10,60,60")
    table(tmp_path / "bad.csv", "a,80,100,5,code,10,10,60")
    (tmp_path / "sources.csv").write_text("image_id,split\na,train\n")
    back = read(tmp_path)
    (finding,) = back.findings
    assert (finding.code, finding.source) == ("bad-file", "bad.csv")
    assert finding.message == "row 2: row must have 9 cells, got 8"
    assert back.files == 1
    for path, text in ((tmp_path / "bad.csv", "row 2: row must"), (tmp_path / "sources.csv", "columns must include")):
        with pytest.raises(AnnotationError, match=text):
            read(path)
    (tmp_path / "good.csv").unlink()
    with pytest.raises(AnnotationError, match=r"must hold reference CSV files .*got none; bad\.csv: row 2"):
        read(tmp_path)


def test_a_table_without_rows_is_an_empty_dataset(tmp_path: Path) -> None:
    table(tmp_path / "t.csv")
    back = read(tmp_path)
    assert (len(back.dataset.images), back.findings) == (0, [])


def test_what_the_form_has_no_place_for_is_told(tmp_path: Path) -> None:
    rows = [
        {"image_id": "a", "split": "train", "flags": "train;dark", "group": "g"},
        {"image_id": "b", "split": "val", "flags": "val"},
        {"image_id": "c"},
    ]
    boxes = [
        {"image": 0, "label": "code", "xyxy": [1, 1, 9, 9], "shape_type": "circle", "crowd": True},
        {"image": 0, "label": "fip", "xyxy": [1, 1, 3, 3]},
    ]
    data = box_dataset(tmp_path / "in", rows, boxes, ["code", "fip", "cat"], {"fip": "code"})
    findings = write_form("csv", tmp_path / "out", data)
    assert sorted(finding.image_id for finding in findings if finding.code == "images-lost") == ["b", "c"]
    told = "\n".join(finding.message for finding in findings if finding.code == "not-kept")
    for word in ("flags", "group", "outlined", "crowd", "cat", "fip"):
        assert word in told
    assert "1 images" in told  # of val's flags, all is kept by the split
    assert sorted(path.name for path in (tmp_path / "out").glob("*.csv")) == ["objects_train.csv", "parts_train.csv"]


def test_pictures_lie_beside_the_tables_where_they_are_wanted(tmp_path: Path) -> None:
    boxes = [{"image": row, "label": "code", "xyxy": [1, 1, 9, 9]} for row in range(2)]
    data = box_dataset(tmp_path / "in", [{"image_id": "a/b"}, {"image_id": "c"}], boxes, ["code"])
    assert write_form("csv", tmp_path / "out", data, "reference") == []
    assert not (tmp_path / "out" / "images").exists()
    assert write_form("csv", tmp_path / "copied", data) == []
    back = read_form("csv", tmp_path / "copied")
    assert back.dataset.images.path.tolist() == ["images/a/b.png", "images/c.png"]
    assert back.findings == []
