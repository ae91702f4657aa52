"""What check finds in real data is what people found in them, and nothing beside it that is not so."""

from functools import cache

import pytest
from annotation_files import SHARED
from check_sets import found

from annotations.check import CheckReport, check_reading
from annotations.labelme_folder import read_labelme_folder
from annotations.naming import Naming


@cache
def _report(name: str) -> CheckReport:
    folder = SHARED / "data" / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not there")
    parts = {"fip": "qr_code"} if name == "qr_photos" else {}
    return check_reading(read_labelme_folder(folder, Naming(parts, None, {})))


def test_blood_cells_have_the_faults_that_their_readme_tells() -> None:
    report = _report("blood_cells")
    assert sorted(finding.image_id for finding in report.findings if finding.code == "zero-area") == [
        "BloodImage_00338",
        "BloodImage_00343",
    ]
    (near,) = found(report, "near-image-in-splits")
    assert "BloodImage_00038.jpg (train)" in near and "BloodImage_00037 (val)" in near
    assert len(found(report, "overlapping-objects")) == 5 + 2
    assert sum("'RBC'" in message for message in found(report, "class-not-drawn")) == 8 + 4


@pytest.mark.parametrize("name", ["blood_cells", "qr_photos"])
def test_sets_of_one_population_are_not_called_mixed(name: str) -> None:
    assert found(_report(name), "mixed-sizes") == []


def test_qr_photos_have_no_near_copies_across_splits_and_all_their_parts() -> None:
    codes = {finding.code for finding in _report("qr_photos").findings}
    assert not codes & {"near-image-in-splits", "same-image-in-splits", "odd-parts", "part-outside", "orphan-part"}


def test_qr_photos_have_eight_boxes_drawn_twice_in_two_images() -> None:
    # Seen on the contact sheet: one code and its three finder patterns stand twice, under two group_ids.
    twice = [finding for finding in _report("qr_photos").findings if finding.code == "overlapping-objects"]
    assert len(twice) == 8
    assert len({finding.image_id for finding in twice}) == 2


def test_nuclei_are_of_two_magnifications_which_the_image_size_tells_apart() -> None:
    (message,) = found(_report("nuclei/dsb2018"), "mixed-sizes")
    assert "'360 x 360'" in message
