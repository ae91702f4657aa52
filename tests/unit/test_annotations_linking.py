"""Parts to objects, groups and duplicates, in converted files."""

from pathlib import Path

import pytest
from annotation_files import ConvertReport, codes, convert, convert_one, document, only, shape, write_json, write_png


def rectangle(label: str, xmin: float, ymin: float, xmax: float, ymax: float, group: object = None) -> dict:
    return shape(label, [[xmin, ymin], [xmax, ymax]], group_id=group)


CODE = ("qr_code", 10, 10, 50, 50)
FIP = ("fip", 12, 12, 20, 20)


def parents(report: ConvertReport) -> list[int]:
    return report.dataset.annotations.parent_id.tolist()


def test_parts_of_one_group_stay_separate_and_belong_to_its_object(tmp_path: Path) -> None:
    fips = [rectangle("fip", x, y, x + 8, y + 8, 7) for x, y in [(12, 12), (40, 12), (12, 40)]]
    report = convert_one(tmp_path / "in", rectangle(*CODE, 7), *fips)
    assert parents(report) == [-1, 0, 0, 0]
    assert report.dataset.annotations.group_id.tolist() == ["7"] * 4
    assert codes(report) == []


def test_group_zero_is_a_group(tmp_path: Path) -> None:
    # The part lies outside its object: only the group links it.
    report = convert_one(tmp_path / "in", rectangle("fip", 60, 60, 70, 70, 0), rectangle(*CODE, 0))
    assert parents(report) == [1, -1]


def test_part_without_a_group_belongs_to_the_smallest_object_around_its_centre(tmp_path: Path) -> None:
    small = rectangle("qr_code", 11, 11, 30, 30, 3)
    report = convert_one(tmp_path / "in", rectangle(*CODE), small, rectangle("qr_code", 0, 0, 90, 70), rectangle(*FIP))
    assert parents(report) == [-1, -1, -1, 1]


@pytest.mark.parametrize(
    "part",
    [
        rectangle("fip", 60, 60, 70, 70),  # outside every object
        rectangle(*FIP, 8),  # inside one, but of another group
    ],
)
def test_part_without_an_object_is_kept_without_a_parent_and_told(tmp_path: Path, part: object) -> None:
    report = convert_one(tmp_path / "in", rectangle(*CODE, 7), part)
    assert parents(report) == [-1, -1]
    assert only(report, "orphan-part").shape == "shapes[1]"


def test_a_part_is_no_object_of_its_own_label(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", rectangle("fip", 5, 5, 60, 60), rectangle(*FIP))
    assert parents(report) == [-1, -1]
    assert report.dataset.classes == ("qr_code", "fip")


def test_objects_that_share_a_group_are_kept_and_parts_go_to_the_one_around_them(tmp_path: Path) -> None:
    objects = [rectangle(*CODE, 1), rectangle("qr_code", 55, 10, 95, 50, 1)]
    report = convert_one(tmp_path / "in", *objects, rectangle(*FIP, 1), rectangle("fip", 60, 12, 68, 20, 1))
    assert parents(report) == [-1, -1, 0, 1]
    assert codes(report) == ["duplicate-group"]


def test_part_outside_all_objects_of_a_shared_group_is_an_orphan(tmp_path: Path) -> None:
    objects = [rectangle(*CODE, 1), rectangle("qr_code", 55, 10, 95, 50, 1)]
    report = convert_one(tmp_path / "in", *objects, rectangle("fip", 60, 60, 68, 68, 1))
    assert parents(report) == [-1, -1, -1]
    assert codes(report) == ["duplicate-group", "orphan-part"]


def test_objects_of_two_labels_may_share_a_group(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", rectangle("person", 0, 0, 9, 9, 1), rectangle(*CODE, 1), rectangle(*FIP, 1))
    assert parents(report) == [-1, -1, 1]
    assert codes(report) == []


def test_groups_of_two_images_have_nothing_to_do_with_each_other(tmp_path: Path) -> None:
    root = tmp_path / "in"
    write_png(root / "img.png")
    write_json(root / "a.json", document(rectangle(*CODE, 1)))
    write_json(root / "b.json", document(rectangle(*CODE, 1), rectangle(*FIP, 1)))
    report = convert(root)
    assert parents(report) == [-1, -1, 1]
    assert report.dataset.annotations.object_id.tolist() == [0, 1, 2]


def test_duplicate_shape_is_dropped_with_a_finding(tmp_path: Path) -> None:
    mirrored = shape("qr_code", [[50, 50], [10, 10]], group_id=7)
    report = convert_one(tmp_path / "in", rectangle(*CODE, 7), rectangle(*FIP, 7), mirrored)
    assert parents(report) == [-1, 0]
    assert only(report, "duplicate").shape == "shapes[2]"


def test_same_box_of_another_group_is_no_duplicate(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", rectangle(*CODE, 7), rectangle(*CODE, 8), rectangle(*CODE))
    assert len(parents(report)) == 3


@pytest.mark.parametrize(
    ("group", "kept"), [("7", "7"), (" 7 ", "7"), (7.0, "7"), ("left", "left"), (True, ""), ([], ""), (7.5, "")]
)
def test_group_that_is_no_integer_is_told(tmp_path: Path, group: object, kept: object) -> None:
    report = convert_one(tmp_path / "in", rectangle(*CODE, group))
    assert report.dataset.annotations.group_id.tolist() == [kept]
    assert codes(report) == ["odd-group"]
