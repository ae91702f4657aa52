"""Commands about the data: forms there and back, checks, splits of every source, and Labelme itself."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from annotation_files import document, shape, write_json, write_png
from cli_runner import error_of, ppnlab

PARTS = ("--parts", "fip:qr_code")
FORMS = ("boxes", "labelme", "csv", "coco", "yolo", "voc")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a box dataset of four photographs: three with an object and its part, one with nothing."""
    for number, split in enumerate(("train", "train", "val", "test")):
        place = 5 * number
        qr = shape(points=((10 + place, 10), (40 + place, 30)), group_id=number)
        fip = shape("fip", ((12 + place, 12), (18.25 + place, 18)), group_id=number)
        drawn = [] if number == 1 else [qr, fip]
        content = document(*drawn, imagePath=f"p{number}.png", flags={split: True})
        write_json(tmp_path / "photos" / f"p{number}.json", content)
        write_png(tmp_path / "photos" / f"p{number}.png")
    assert ppnlab("convert", tmp_path / "photos", tmp_path / "data", *PARTS).exit_code == 0
    return tmp_path / "data"


def table(path: Path) -> Sequence[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def facts(dataset: Path) -> set[tuple[object, ...]]:
    """Return image, split, label, place and the parent's label of each box, with images that have none."""
    boxes = table(dataset / "boxes.csv")
    label_of = {row["object_id"]: row["label"] for row in boxes}
    split_of = {row["image_id"]: row["split"] for row in table(dataset / "images.csv")}
    found: set[tuple[object, ...]] = {
        (
            row["image_id"],
            split_of[row["image_id"]],
            row["label"],
            *(round(float(row[name]), 12) for name in ("xmin", "ymin", "xmax", "ymax")),
            label_of.get(row["parent_id"]),
        )
        for row in boxes
    }
    return found | set(split_of.items())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_leads_back_to_the_same_boxes(tmp_path: Path, data: Path, form: str) -> None:
    there = ppnlab("convert", data, tmp_path / "there", "--to", form)
    assert (there.exit_code, there.exception) == (0, None), there.output
    pictures = ("--images", tmp_path / "photos") if form == "csv" else ()
    back = ppnlab("convert", tmp_path / "there", tmp_path / "back", *pictures)
    assert back.exit_code == 0, back.output
    expected = facts(data)
    if form == "yolo":  # it has no place for parents
        expected = {fact if len(fact) == 2 else (*fact[:-1], None) for fact in expected}
    if form == "csv":  # it has no row for an image without objects
        expected = {fact for fact in expected if fact[0] != "p1"}
    if form == "labelme":  # which says nothing of parts: the user does
        back = ppnlab("convert", tmp_path / "there", tmp_path / "linked", *PARTS)
        assert facts(tmp_path / "linked") == expected
    else:
        assert facts(tmp_path / "back") == expected


def test_what_a_form_cannot_hold_is_told(tmp_path: Path, data: Path) -> None:
    result = ppnlab("convert", data, tmp_path / "yolo", "--to", "yolo")
    assert "which object a part belongs to: left out of 3 boxes" in result.stderr
    assert f"all in {tmp_path / 'yolo' / 'ppnlab-findings.csv'}" in result.stdout
    assert (tmp_path / "yolo" / "ppnlab-findings.csv").is_file()


def test_label_images_are_written_where_they_are_asked_for(tmp_path: Path, data: Path) -> None:
    result = ppnlab("convert", tmp_path / "photos", tmp_path / "masks", *PARTS, "--masks", "instance")
    assert result.exit_code == 0, result.output
    assert {row["labels"] for row in table(tmp_path / "masks" / "images.csv")} == {f"labels/p{n}.png" for n in range(4)}


def test_two_workers_convert_alike(tmp_path: Path, data: Path) -> None:
    result = ppnlab("convert", tmp_path / "photos", tmp_path / "two", *PARTS, "--workers", 2)
    assert result.exit_code == 0, result.output
    for name in ("images.csv", "boxes.csv", "findings.csv"):
        assert (tmp_path / "two" / name).read_bytes() == (data / name).read_bytes()


def test_pictures_are_not_looked_for_where_nobody_wants_it(tmp_path: Path) -> None:
    write_json(tmp_path / "photos" / "a.json", document(shape(), imagePath="gone.png"))
    looked = ppnlab("convert", tmp_path / "photos", tmp_path / "one")
    assert "missing-image" in looked.stdout
    trusted = ppnlab("convert", tmp_path / "photos", tmp_path / "two", "--no-check-images")
    assert "missing-image" not in trusted.output


def test_check_finds_what_conversion_found_and_what_it_sees(tmp_path: Path, data: Path) -> None:
    result = ppnlab("check", data, "--input", 96, "--report", tmp_path / "checked", "--json")
    # Black pictures of one size are copies of each other, and they lie in three splits.
    assert result.exit_code == 3
    summary = json.loads(result.stdout)
    assert (summary["images"], summary["boxes"], summary["input"]) == (4, 6, 96)
    assert {"same-image-in-splits", "too-small"} <= set(summary["findings"]["by_code"])
    assert (tmp_path / "checked" / "check.html").is_file()


def test_check_leaves_with_3_on_warnings_where_that_is_asked(data: Path) -> None:
    assert ppnlab("check", data, "--no-unpack", "--input", 96).exit_code == 0
    assert ppnlab("check", data, "--no-unpack", "--input", 96, "--strict").exit_code == 3


def test_check_reads_annotations_that_are_not_converted(tmp_path: Path, data: Path) -> None:
    write_json(tmp_path / "photos" / "bad.json", "{")
    result = ppnlab("check", tmp_path / "photos", *PARTS, "--no-unpack")
    assert result.exit_code == 3
    assert "bad-json" in result.stdout
    assert not list(tmp_path.glob("check*"))


@pytest.mark.parametrize("order", ["table", "list", "flags", "like"])
def test_split_takes_what_was_decided(tmp_path: Path, data: Path, order: str) -> None:
    (tmp_path / "s.csv").write_text("image_id,split\np0,val\np1,val\np2,train\np3,train\n")
    (tmp_path / "val.txt").write_text("p0\np1\n")
    (tmp_path / "train.txt").write_text("p2\np3\n")
    if order == "like":
        assert ppnlab("split", data, "--again", "--from", tmp_path / "s.csv").exit_code == 0
        ppnlab("convert", tmp_path / "photos", tmp_path / "other", *PARTS)
        data = tmp_path / "other"
    given: dict[str, tuple[object, ...]] = {
        "table": ("--from", tmp_path / "s.csv"),
        "list": ("--from", f"val={tmp_path / 'val.txt'}", "--from", f"train={tmp_path / 'train.txt'}"),
        "flags": ("--from", "train=val", "--from", "val=train", "--from", "test=train"),
        "like": ("--like", tmp_path / "data"),
    }
    result = ppnlab("split", data, "--again", *given[order])
    assert result.exit_code == 0, result.output
    splits = [row["split"] for row in table(data / "images.csv")]
    assert splits == ["val", "val", "train", "train"]


def test_split_by_the_best_seed_says_which_and_gives_it_again(tmp_path: Path, data: Path) -> None:
    best = json.loads(ppnlab("split", data, "--again", "--ratios", "50/50", "--seed", "best", "--json").stdout)
    first = (data / "images.csv").read_bytes()
    assert ppnlab("split", data, "--again", "--ratios", "50/50", "--seed", best["seed"]).exit_code == 0
    assert (data / "images.csv").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--from", "nothing"), "--from must be flags, FLAG=SPLIT, a file.csv or SPLIT=FILE.txt, got 'nothing'"),
        (("--from", "flags", "--like", "x"), "--like must stand without --from, got both"),
        (("--seed", "first"), "--seed must be a whole number of at least 0, or best, got 'first'"),
        (("--groups", "("), "groups"),
    ],
)
def test_split_refuses_what_it_cannot_mean(data: Path, options: tuple[str, ...], message: str) -> None:
    before = (data / "images.csv").read_bytes()
    result = ppnlab("split", data, *options)
    assert result.exit_code == 2
    assert message in error_of(result)
    assert (data / "images.csv").read_bytes() == before


def test_annotate_starts_labelme_with_our_labels(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "labelme"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nif [ "$1" = --help ]; then echo "--labels --flags --nodata"; exit; fi\n'
                       f'echo "$@" > {tmp_path / "started"}\nexit 7\n')  # fmt: skip
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("annotations.annotate.sys.executable", str(tmp_path / "python"))
    result = ppnlab("annotate", tmp_path / "photos", "--labels", "qr_code,fip")
    assert result.exit_code == 7
    started = (tmp_path / "started").read_text()
    assert "--labels qr_code,fip" in started
    assert "train,val,test" in started
