import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from annotation_files import document, shape, write_json, write_png
from cli_runner import content, ppnlab

FIP = {"label": "fip", "points": ((12, 12), (18, 18))}


def photo(folder: Path, stem: str, *shapes: object, picture: bool = True, **fields: object) -> None:
    """Write one annotated picture, by default with an object and its part in one group."""
    drawn = shapes or (shape(group_id=1), shape(**FIP, group_id=1))
    write_json(folder / f"{stem}.json", document(*drawn, imagePath=f"{stem}.png", **fields))
    if picture:
        write_png(folder / f"{stem}.png")


def convert(*args: object, status: int = 0) -> tuple[dict[str, Any], str]:
    """Return the one JSON object that a conversion printed, and what it told on stderr."""
    result = ppnlab("convert", *args, "--parts", "fip:qr_code", "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout), result.stderr


def rows(table: Path) -> Sequence[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_convert_prints_what_it_made(tmp_path: Path) -> None:
    photo(tmp_path / "photos", "a", flags={"train": True})
    photo(tmp_path / "photos", "b", shape(points=((40, 30), (10, 10))), flags={"val": True})
    result = ppnlab("convert", tmp_path / "photos", tmp_path / "data", "--parts", "fip:qr_code")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"2 annotation files -> 2 images, 3 boxes in {tmp_path / 'data'}",
        "split  images  without boxes  qr_code  fip",
        "train       1              0        1    1",
        "val         1              0        1    0",
        "findings: 0 errors, 0 warnings, 1 notes",
        f"  1 inverted-corners; all in {tmp_path / 'data' / 'findings.csv'}",
    ]


def test_convert_with_json_prints_one_object_and_nothing_else(tmp_path: Path) -> None:
    photo(tmp_path / "photos", "a", flags={"train": True})
    summary, told = convert(tmp_path / "photos", tmp_path / "data")
    assert told == ""
    assert {"schema": 1, "files": 1, "refused": 0, "images": 1, "boxes": 2}.items() <= summary.items()
    assert summary["by_split"]["train"]["by_class"] == {"qr_code": 1, "fip": 1}
    assert json.loads((tmp_path / "data" / "dataset.json").read_text())["counts"]["boxes"] == summary["boxes"]


def test_a_truncated_file_is_refused_by_name_and_the_others_are_converted(tmp_path: Path) -> None:
    photo(tmp_path / "photos", "whole")
    photo(tmp_path / "photos", "cut")
    cut = tmp_path / "photos" / "cut.json"
    cut.write_bytes(cut.read_bytes()[:-20])
    summary, told = convert(tmp_path / "photos", tmp_path / "data", status=3)
    assert (summary["images"], summary["refused"], summary["findings"]["error"]) == (1, 1, 1)
    assert told.startswith("error: cut.json: ")
    assert len(told.splitlines()) == 1
    (found,) = rows(tmp_path / "data" / "findings.csv")
    assert (found["severity"], found["code"], found["source"]) == ("error", "bad-json", "cut.json")


@pytest.mark.parametrize("number", [math.nan, math.inf, None, "7"])
def test_a_coordinate_that_is_no_number_is_refused_by_file_and_shape(number: object, tmp_path: Path) -> None:
    photo(tmp_path / "photos", "whole")
    photo(tmp_path / "photos", "odd", shape(), shape(points=((10, 10), (number, 30))))
    summary, told = convert(tmp_path / "photos", tmp_path / "data", status=3)
    assert summary["images"] == 1
    assert told.startswith("error: odd.json: shapes[1]: ")
    (found,) = rows(tmp_path / "data" / "findings.csv")
    assert (found["code"], found["source"], found["shape"]) == ("bad-points", "odd.json", "shapes[1]")


def test_a_missing_image_whose_size_is_known_is_converted_with_a_warning(tmp_path: Path) -> None:
    photo(tmp_path / "photos", "a", picture=False)
    summary, told = convert(tmp_path / "photos", tmp_path / "data")
    assert (summary["images"], summary["boxes"]) == (1, 2)
    assert told == "warn: a.json: image must be at a.png, got no such file\n"
    (found,) = rows(tmp_path / "data" / "findings.csv")
    assert (found["severity"], found["code"], found["source"]) == ("warn", "missing-image", "a.json")


def test_strict_makes_a_warning_count_in_the_exit_status_alone(tmp_path: Path) -> None:
    photo(tmp_path / "photos", "a", picture=False)
    plain, _ = convert(tmp_path / "photos", tmp_path / "data")
    strict, _ = convert(tmp_path / "photos", tmp_path / "strict", "--strict", status=3)
    assert strict == plain


def test_classes_and_rename_choose_and_name_the_labels(tmp_path: Path) -> None:
    photo(tmp_path / "photos", "a", shape("QR", group_id=1), shape(**FIP, group_id=1), shape("dust"))
    options = ("--rename", "QR=qr_code", "--classes", "fip, qr_code")
    summary, _ = convert(tmp_path / "photos", tmp_path / "data", *options)
    assert summary["classes"] == ["fip", "qr_code"]
    assert summary["by_split"][""]["by_class"] == {"fip": 1, "qr_code": 1}
    assert summary["findings"]["by_code"] == {"unknown-label": 1}


def test_convert_works_from_another_directory_and_with_letters_of_any_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = tmp_path / "Größe 写真"
    photo(lab / "meine Fotos", "Käfer 1", flags={"train": True})
    (lab / "work").mkdir()
    monkeypatch.chdir(lab / "work")
    result = ppnlab("convert", "../meine Fotos", "../Daten ä", "--parts", "fip:qr_code")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].endswith("in ../Daten ä")
    (image,) = rows(lab / "Daten ä" / "images.csv")
    assert (image["image_id"], image["path"]) == ("Käfer 1", "../meine Fotos/Käfer 1.png")


def test_split_gives_every_image_a_split_and_says_how_many(tmp_path: Path) -> None:
    for number in range(40):
        photo(tmp_path / "photos", f"p{number}", flags={"test": number == 0})
    convert(tmp_path / "photos", tmp_path / "data")
    first = json.loads(ppnlab("split", tmp_path / "data", "--json").stdout)
    assert first["schema"] == 1
    assert (sum(first["images"].values()), sum(first["given"].values())) == (40, 39)
    after = content(tmp_path / "data")
    again = ppnlab("split", tmp_path / "data", "--seed", 5)
    assert again.exit_code == 0
    assert again.stdout.splitlines()[-1] == "newly given: 0 train, 0 val, 0 test, seed 5"
    assert content(tmp_path / "data")["images.csv"] == after["images.csv"]


def test_score_reads_a_labelme_folder_as_one_split_named_all(tmp_path: Path) -> None:
    photo(tmp_path / "photos", "a", shape())
    head = "image_id,object_id,parent_id,label,score,xmin,ymin,xmax,ymax"
    (tmp_path / "found.csv").write_text(f"{head}\na,0,,qr_code,0.9,0.1,0.125,0.4,0.375\n")
    result = ppnlab("score", tmp_path / "photos", tmp_path / "found.csv", "--json", "--threshold", 0.5)
    assert (result.exit_code, result.stderr) == (0, "note: The score threshold was given, not chosen on val.\n")
    metrics = json.loads(result.stdout)
    assert list(metrics["splits"]) == ["all"]
    # The box is the truth's own (10, 10, 40, 30 of 100 x 80): every figure is one.
    figures = metrics["splits"]["all"]
    assert [figures[name] for name in ("ap50", "ap", "precision", "recall", "f1", "tp", "fp", "fn")] == [1] * 6 + [0, 0]


def test_a_thousand_warnings_of_one_kind_do_not_hide_the_misspelt_name(tmp_path: Path) -> None:
    for number in range(30):
        photo(tmp_path / "photos", f"{number}", shape(points=((-9, 0), (40, 30))))
    result = ppnlab("convert", tmp_path / "photos", tmp_path / "data", "--parts", "fib:qr_code")
    told = result.stderr.splitlines()
    assert "part 'fib' must be a label of the data" in result.stderr
    assert len(told) == 11
    assert told[-1].startswith("warn: 21 more in ")


def test_names_cannot_break_the_lines_that_are_told(tmp_path: Path) -> None:
    photo(tmp_path / "photos", "new\nline\x1b[2J", shape(points=((-9, 0), (40, 30))))
    result = ppnlab("convert", tmp_path / "photos", tmp_path / "data")
    assert [line[:26] for line in result.stderr.splitlines()] == [r"warn: new\nline\x1b[2J.json"[:26]]


@pytest.mark.parametrize("paths", [("", "data"), ("photos", "")])
def test_an_empty_path_is_not_the_current_folder(tmp_path: Path, paths: tuple[str, str]) -> None:
    photo(tmp_path / "photos", "a")
    result = ppnlab("convert", *(path and tmp_path / path for path in paths))
    assert (result.exit_code, "path must not be empty" in result.stderr) == (2, True)
