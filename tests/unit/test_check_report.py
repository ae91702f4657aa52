"""The whole check: what it tells of a conversion's findings, its exit status, its words, its files and its page."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from annotation_files import convert, document, shape, write_json
from check_sets import Box, dataset_of, found, square, textured, write_image

from annotations.check import CheckReport, check_dataset
from annotations.check_advice import ADVICE
from annotations.check_page import write_check
from annotations.check_text import check_text
from annotations.contact_sheet import TILE, contact_sheet
from annotations.dataset import read_dataset
from annotations.findings import CODES, Finding, read_findings
from annotations.pictures import read_picture
from annotations.sightings import MOST_VIEWS, Sighting, View
from annotations.tables import BoxDataset


def _with_pictures(root: Path, boxes: list[list[Box]], **fields: object) -> BoxDataset:
    for row in range(len(boxes)):
        write_image(root / f"i{row:04}.png", textured(row))
    return dataset_of(boxes, root=root, size=[(320, 240)] * len(boxes), **fields)  # type: ignore[arg-type]


@pytest.fixture
def report(tmp_path: Path) -> CheckReport:
    boxes = [[square("a", 50), square("a", 49)], [square("a", 30), ("B", 200, 100, 260, 200)], [square("b", 40)], []]
    dataset = _with_pictures(tmp_path / "data", boxes, split=["train", "train", "val", "test"], flags=["dark"] * 4)
    (tmp_path / "data" / "i0003.png").write_bytes(b"no picture")
    return check_dataset(dataset, [Finding("bad-json", "x.json", "", "", "file must be JSON")], input_size=64)


def test_findings_are_ordered_by_severity_and_keep_those_of_the_conversion(report: CheckReport) -> None:
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=("error", "warn", "info").index)
    assert [finding.code for finding in report.findings][:2] == ["bad-json", "damaged-image"]


def test_exit_status_is_three_for_errors_and_for_warnings_when_strict(tmp_path: Path) -> None:
    clean = check_dataset(_with_pictures(tmp_path, [[square("a", 50)] * 1]), [])
    assert {finding.severity for finding in clean.findings} <= {"info"}
    assert (clean.exit_status(False), clean.exit_status(True)) == (0, 0)
    warned = check_dataset(clean.dataset, [Finding("clipped", "a.json", "", "i0000", "cut")])
    assert (warned.exit_status(False), warned.exit_status(True)) == (0, 3)
    failed = check_dataset(clean.dataset, [Finding("bad-json", "b.json", "", "", "no JSON")])
    assert (failed.exit_status(False), failed.exit_status(True)) == (3, 3)


def test_conversion_finding_that_is_no_longer_so_is_dropped_and_one_that_is_stands_once(tmp_path: Path) -> None:
    dataset = _with_pictures(tmp_path, [[square("a", 50)], [square("a", 50)]])
    (tmp_path / "i0001.png").unlink()
    before = [
        Finding("missing-image", f"{name}.json", "", name, "as the conversion told it") for name in ("i0000", "i0001")
    ]
    assert found(check_dataset(dataset, before), "missing-image") == ["as the conversion told it"]


def test_converted_folder_is_checked_with_what_its_conversion_dropped(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_image(root / "img.png", textured(1, 100, 80))
    shapes = [
        shape("qr_code", [[40, 30], [10, 10]], group_id=0),
        shape("fip", [[200, 200], [220, 220]]),
        shape("fip", [[-5, 60], [8, 70]]),
        shape("fip", [[50, 50], [50, 60]]),
    ]
    write_json(root / "a.json", document(*shapes))
    write_json(root / "broken.json", "{")
    convert(root)
    directory = tmp_path / "photos-dataset"
    report = check_dataset(read_dataset(directory), read_findings(directory))
    codes = {finding.code for finding in report.findings}
    assert {"inverted-corners", "outside", "clipped", "zero-area", "orphan-part", "bad-json"} <= codes
    assert len(found(report, "orphan-part")) == 1, "told by the conversion and seen by check: once"
    assert report.exit_status(False) == 3


def test_text_tells_counts_examples_and_what_to_do(report: CheckReport) -> None:
    text = check_text(report)
    assert "4 images, 5 boxes" in text
    assert re.search(r"^images +2 +1 +1$", text, re.MULTILINE)
    assert re.search(r"^a +3 +0 +0$", text, re.MULTILINE)
    assert re.search(r"^dark +2 +1 +1 +0$", text, re.MULTILINE)
    assert "error: 1 damaged-image" in text
    assert f"-> {ADVICE['overlapping-objects']}" in text
    assert text.endswith(f"{len([f for f in report.findings if f.severity == 'info'])} notes")


def test_text_shows_two_examples_of_a_code(tmp_path: Path) -> None:
    dataset = dataset_of([[square("a", 50)]] * 5, root=tmp_path)
    text = check_text(check_dataset(dataset, []))
    assert text.count("image must be at") == 2
    assert "... and 3 more" in text


def test_summary_has_its_keys_and_no_nan(report: CheckReport) -> None:
    summary = report.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    keys = (
        "schema classes parts images images_without_boxes boxes by_class by_split flags input sizes pictures findings"
    )
    assert sorted(summary) == sorted(keys.split())
    assert summary["pictures"] == {"looked_at": 4, "unpacked": 3, "missing": 0, "damaged": 1}
    assert summary["findings"]["by_code"]["damaged-image"] == 1
    assert summary["sizes"]["a"]["at_input"] is not None
    assert summary["input"] == 64


def test_check_is_written_as_json_table_sheets_and_page(report: CheckReport, tmp_path: Path) -> None:
    out = tmp_path / "out"
    page = write_check(report, out, facts={"command": "ppnlab check data"})
    assert page == out / "check.html"
    summary = json.loads((out / "check.json").read_text())
    assert summary["sheets"]["overlapping-objects"] == "sheets/overlapping-objects.png"
    assert {path.name for path in (out / "sheets").iterdir()} == {f"{code}.png" for code in summary["sheets"]}
    with (out / "findings.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["code"] for row in rows] == [finding.code for finding in report.findings]
    sheet = read_picture(out / "sheets" / "overlapping-objects.png")
    assert sheet.shape[1] > TILE


def test_page_needs_nothing_beside_it_and_names_every_code(report: CheckReport, tmp_path: Path) -> None:
    html = write_check(report, tmp_path / "out").read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    assert "http" not in re.sub(r"base64,[^\"]*", "", html)
    for code in {finding.code for finding in report.findings}:
        assert f'id="{code}"' in html


def test_second_check_replaces_the_first_and_leaves_other_files(report: CheckReport, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_check(report, out)
    (out / "sheets" / "mine.png").write_bytes(b"mine")
    clean = check_dataset(_with_pictures(tmp_path / "clean", [[square("a", 50)]]), [])
    write_check(clean, out)
    assert not (out / "sheets" / "overlapping-objects.png").exists()
    assert (out / "sheets" / "mine.png").read_bytes() == b"mine"


def test_same_check_gives_the_same_bytes(report: CheckReport, tmp_path: Path) -> None:
    first, second = write_check(report, tmp_path / "1").parent, write_check(report, tmp_path / "2").parent
    for path in sorted(path for path in first.rglob("*") if path.is_file()):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_sheet_draws_the_boxes_meant_and_an_empty_frame_for_no_picture(tmp_path: Path) -> None:
    write_image(tmp_path / "i0000.png", np.full((240, 320, 3), 128, np.uint8))
    dataset = dataset_of([[square("a", 100)], [square("a", 100)]], root=tmp_path, size=[(320, 240)] * 2)
    finding = Finding("odd-size", "", "", "", "")
    meant = contact_sheet(dataset, [Sighting(finding, (View(0, (0,), "wörds"),))])
    gone = contact_sheet(dataset, [Sighting(finding, (View(1),))])
    assert meant is not None and gone is not None
    vermilion = (np.abs(meant.astype(int) - (213, 94, 0)) < 30).all(axis=2)
    assert vermilion.sum() > 200
    assert not (np.abs(gone.astype(int) - (213, 94, 0)) < 30).all(axis=2).any()
    assert contact_sheet(dataset, [Sighting(finding)]) is None


def test_sheet_is_bounded_however_many_findings_there_are(tmp_path: Path) -> None:
    dataset = dataset_of([[square("a", 50)]] * 60, root=tmp_path)
    finding = Finding("odd-size", "", "", "", "")
    all_of_them = contact_sheet(dataset, [Sighting(finding, (View(row),)) for row in range(60)])
    one_of_many = contact_sheet(dataset, [Sighting(finding, tuple(View(row) for row in range(60)))])
    pairs = [Sighting(finding, (View(row), View(row + 1)), True) for row in range(59)]
    in_pairs = contact_sheet(dataset, pairs)
    for sheet in (all_of_them, one_of_many, in_pairs):
        assert sheet is not None
        assert sheet.shape[0] <= (MOST_VIEWS // 6 + 1) * (TILE + 50)
        assert sheet.shape[1] <= 6 * (TILE + 10) + 20


def test_stale_picture_is_shown_in_the_frame_of_its_boxes(tmp_path: Path) -> None:
    # Annotated at twice the size: the box covers the right half of the picture as it is now.
    write_image(tmp_path / "i0000.png", np.full((100, 200, 3), 128, np.uint8))
    dataset = dataset_of([[("a", 200, 0, 400, 200)]], root=tmp_path, size=[(400, 200)])
    sheet = contact_sheet(dataset, [Sighting(Finding("stale-size", "", "", "", ""), (View(0),))])
    assert sheet is not None
    drawn = np.argwhere((np.abs(sheet.astype(int) - (86, 180, 233)) < 30).all(axis=2))
    assert 8 + TILE / 2 - 4 <= drawn[:, 1].min() <= 8 + TILE / 2 + 4


def test_finding_of_a_file_that_gave_no_image_is_kept_for_nothing_here_can_be_compared_with_it() -> None:
    refused = Finding("size-mismatch", "x.json", "", "", "image was cropped")
    report = check_dataset(dataset_of([[square("a", 50)]]), [refused], depth="headers")
    assert refused in report.findings


def test_picture_inside_its_annotation_file_is_shown(tmp_path: Path) -> None:
    data = write_image(tmp_path / "elsewhere.png", np.full((100, 100, 3), (90, 90, 30), np.uint8)).read_bytes()
    dataset = dataset_of([[square("a", 50, 20, 20)]], size=[(100, 100)], root=tmp_path)
    report = check_dataset(dataset, [Finding("clipped", "", "", "i0000", "")], embedded={0: lambda: data})
    page = write_check(report, tmp_path / "out")
    sheet = read_picture(page.parent / "sheets" / "clipped.png")
    assert (np.abs(sheet.astype(int) - (30, 90, 90)) < 3).all(axis=2).mean() > 0.5


@pytest.mark.parametrize("code", ADVICE)
def test_advice_is_about_a_code(code: str) -> None:
    assert code in CODES


def test_dataset_without_images_or_boxes_is_checked(tmp_path: Path) -> None:
    for number, boxes in enumerate(([], [[]])):
        report = check_dataset(dataset_of(boxes, classes=["a"], root=tmp_path), [], input_size=416)
        check_text(report)
        assert write_check(report, tmp_path / str(number)).exists()
