"""score with its ways and with masks, and compare."""

import json
import shutil
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
from annotation_files import document, shape, write_json, write_png
from cli_runner import error_of, ppnlab

import cli
from evaluation.calibration import BINS
from evaluation.curves import TIES
from evaluation.figures import MOST_BINS

FOR_BOXES = (
    *(("--preset", "coco"), ("--matching", "voc"), ("--ap", "all-point"), ("--max-detections", "9")),
    *(("--score-floor", "0.1"), ("--ties", "hits-first"), ("--bins", "5")),
)
HEAD = "image_id,object_id,parent_id,label,score,xmin,ymin,xmax,ymax\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a dataset of 12 test images with one object each; beside it lie detections that find all and half."""
    good, half = [HEAD], [HEAD]
    for number in range(12):
        split = "val" if number < 4 else "test"
        content = document(shape(), imagePath=f"p{number:02}.png", flags={split: True})
        write_json(tmp_path / "photos" / f"p{number:02}.json", content)
        write_png(tmp_path / "photos" / f"p{number:02}.png")
        row = f"p{number:02},{number},,qr_code,{0.9 - number / 100},0.1,0.125,0.4,0.375\n"
        good.append(row)
        half.append(row if number % 2 else row.replace("0.1,0.125,0.4,0.375", "0.6,0.6,0.9,0.9"))
    (tmp_path / "good.csv").write_text("".join(good))
    (tmp_path / "half.csv").write_text("".join(half))
    assert ppnlab("convert", tmp_path / "photos", tmp_path / "data").exit_code == 0
    return tmp_path / "data"


def scored(data: Path, name: str, *options: object) -> dict[str, object]:
    result = ppnlab("score", data, data.with_name(name), *options, "--json")
    assert result.exit_code == 0, result.output
    values: dict[str, object] = json.loads(result.stdout)
    return values


def test_a_preset_sets_how_it_is_scored_and_an_option_wins_over_it(data: Path) -> None:
    reference = scored(data, "good.csv", "--preset", "reference")
    assert (reference["matching"], reference["ap"]) == ("voc", "all-point")
    mixed = scored(data, "good.csv", "--preset", "voc2007", "--ap", "all-point", "--resamples", 0)
    assert (mixed["matching"], mixed["ap"], mixed["resamples"]) == ("voc", "all-point", 0)


def test_a_rule_chooses_the_threshold_on_val(data: Path) -> None:
    values = scored(data, "half.csv", "--threshold", "recall>=0.5", "--split", "test")
    (test,) = values["splits"].values()  # type: ignore[attr-defined]
    assert test["classes"]["qr_code"]["threshold_from"] == "val"


def test_ties_floor_and_bins_are_what_the_settings_say(data: Path) -> None:
    values = scored(data, "half.csv", "--ties", "misses-first", "--score-floor", 0.85, "--bins", 4)
    assert (values["ties"], values["score_floor"], values["bins"]) == ("misses-first", 0.85, 4)
    splits: dict[str, dict[str, Any]] = values["splits"]  # type: ignore[assignment]
    # Scores are 0.90 to 0.79 by hundredths: six are 0.85 or more.
    assert sum(split["detections"] for split in splits.values()) == 6
    assert all(len(split["calibration"]["from"]) == 4 for split in splits.values())
    # They win over a preset, which has a floor and an order of its own.
    mixed = scored(data, "half.csv", "--preset", "reference", "--ties", "in-order", "--score-floor", 0.2)
    assert (mixed["matching"], mixed["ties"], mixed["score_floor"]) == ("voc", "in-order", 0.2)


def test_the_orders_of_ties_on_the_command_line_are_those_of_the_package() -> None:
    (option,) = [param for param in cli.main.commands["score"].params if param.name == "ties"]
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == TIES
    (bins,) = [param for param in cli.main.commands["score"].params if param.name == "bins"]
    assert isinstance(bins, click.Option)
    assert isinstance(bins.type, click.IntRange)
    assert bins.type.max == MOST_BINS
    assert f"[default: {BINS}]" in (bins.help or "")


def test_score_is_the_same_at_every_repetition(data: Path) -> None:
    assert scored(data, "half.csv", "--seed", 5) == scored(data, "half.csv", "--seed", 5)


def test_compare_says_which_is_better_and_writes_a_page(data: Path, tmp_path: Path) -> None:
    options = ("--truth", data, "--report", tmp_path / "compared")
    result = ppnlab("compare", tmp_path / "half.csv", tmp_path / "good.csv", *options)
    assert result.exit_code == 0, result.output
    assert "good is better than half by" in result.stdout
    assert (tmp_path / "compared" / "compare.html").is_file()
    values = json.loads(ppnlab("compare", tmp_path / "half.csv", tmp_path / "good.csv", *options, "--json").stdout)
    difference = values["splits"]["test"]["differences"]["good"]["ap50"]
    assert difference["difference"] > 0


def test_compare_of_equal_detections_finds_no_difference(data: Path, tmp_path: Path) -> None:
    (tmp_path / "again.csv").write_text((tmp_path / "good.csv").read_text())
    result = ppnlab("compare", tmp_path / "good.csv", tmp_path / "again.csv", "--truth", data)
    assert "good and again do not differ in AP@.5" in result.stdout


def masks(folder: Path, *pictures: np.ndarray) -> Path:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    return folder


def test_masks_are_scored_by_object_class_and_probability(tmp_path: Path) -> None:
    labels = np.zeros((20, 20), np.uint16)
    labels[2:8, 2:8], labels[10:18, 10:18] = 1, 2
    moved = np.roll(labels, 1, axis=1)
    truth, found = masks(tmp_path / "truth", labels), masks(tmp_path / "found", moved)
    objects = json.loads(ppnlab("score", truth, found, "--masks", "instance", "--iou", 0.5, "--json").stdout)
    (row,) = objects["splits"]["all"]["pooled"]
    assert (row["tp"], row["fp"], row["fn"], row["f1"]) == (2, 0, 0, 1.0)
    text = ppnlab("score", truth, found, "--masks", "instance").stdout
    assert text.splitlines()[1].split()[:3] == ["IoU", "truth", "predicted"]
    classes = json.loads(ppnlab("score", truth, found, "--masks", "class", "--classes", "a=1,b=2", "--json").stdout)
    # 36 pixels, of which 30 are hit: Dice 60 / 72.
    assert classes["splits"]["all"]["classes"]["a"]["dice"] == pytest.approx(60 / 72)
    sure = masks(tmp_path / "sure", ((labels > 0) * 255).astype(np.uint8))
    maps = json.loads(ppnlab("score", truth, sure, "--masks", "probability", "--json").stdout)
    assert (maps["threshold"], maps["threshold_from"]) == (0.95, "all")
    assert maps["splits"]["all"]["pr_auc"] == pytest.approx(1.0)


def test_masks_have_a_report_of_every_split(tmp_path: Path) -> None:
    labels = np.zeros((20, 20), np.uint16)
    labels[2:8, 2:8], labels[10:18, 10:18] = 1, 2
    for split in ("train", "val", "test"):
        (tmp_path / "truth").mkdir(exist_ok=True)
        (tmp_path / "found").mkdir(exist_ok=True)
        masks(tmp_path / "truth" / split, labels, labels)
        masks(tmp_path / "found" / split, labels, np.where(labels == 1, 1, 0).astype(np.uint16))
    result = ppnlab(
        "score", tmp_path / "truth", tmp_path / "found", "--masks", "instance", "--report", tmp_path / "scored"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"report: {tmp_path / 'scored' / 'report.html'}"
    names = {path.name for path in (tmp_path / "scored").iterdir()}
    assert names == {"metrics.json", "per_image.csv", "pixels.csv", "report.html", "thresholds.csv"}
    content = json.loads((tmp_path / "scored" / "metrics.json").read_text())
    assert list(content["splits"]) == ["train", "val", "test"]
    assert content["splits"]["test"]["pooled"][4]["recall"] == 0.75


def test_a_converted_dataset_is_truth_for_masks(data: Path, tmp_path: Path) -> None:
    assert ppnlab("convert", tmp_path / "photos", tmp_path / "numbered", "--masks", "instance").exit_code == 0
    shutil.copytree(tmp_path / "numbered" / "labels", tmp_path / "found")
    options = ("--masks", "instance", "--report", tmp_path / "scored", "--json")
    values = json.loads(ppnlab("score", tmp_path / "numbered", tmp_path / "found", *options).stdout)
    assert {name: len(split["per_image"]) for name, split in values["splits"].items()} == {"val": 4, "test": 8}
    assert values["splits"]["test"]["pooled"][8]["f1"] == 1.0
    table = tmp_path / "numbered" / "images.csv"
    table.write_text(table.read_text().replace("labels/p11.png", ""))
    (tmp_path / "found" / "p11.png").unlink()
    strict = ppnlab("score", tmp_path / "numbered", tmp_path / "found", *options)
    assert "must have a label image for every image, got none for p11" in error_of(strict)
    values = json.loads(ppnlab("score", tmp_path / "numbered", tmp_path / "found", *options, "--lenient").stdout)
    assert values["without_partner"] == ["p11"]
    classes = ppnlab("score", tmp_path / "numbered", tmp_path / "found", "--masks", "class", "--lenient")
    assert "label images must be of kind class, got instance" in error_of(classes)


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        (("compare", "good.csv"), 2, "two or more must be compared, got 1"),
        (("compare", "good.csv", "half.csv"), 2, "truth"),
        (("compare", "good.csv", "nothing.csv", "--truth", "data"), 2, "nothing.csv: place must be"),
        (("score", "data", "good.csv", "--threshold", "high"), 2, "threshold must be a number, best-f1, precision>="),
        (("score", "data", "good.csv", "--masks", "instance"), 1, "data: dataset must have label images"),
        (("score", "photos", "photos", "--masks", "class"), 2, "classes must be given as NAME=VALUE"),
        (("score", "photos", "photos", "--masks", "class", "--classes", "a=x"), 2, "--classes must be NAME=VALUE"),
        (
            ("score", "data", "good.csv", "--classes", "a=1"),
            2,
            "--classes must stand with --masks class, got no --masks",
        ),
        (("score", "data", "good.csv", "--images", "photos"), 2, "--images must stand with --masks"),
        (
            ("score", "photos", "photos", "--masks", "instance", "--images", "photos"),
            2,
            "--images must stand with --report",
        ),
        *(
            (("score", "photos", "photos", "--masks", masks, *option), 2, f"{option[0]} must stand with")
            for masks, option in (
                *(("instance", option) for option in FOR_BOXES),
                *(("class", option) for option in (*FOR_BOXES, ("--iou", "0.5"), ("--resamples", "9"))),
                *(("probability", option) for option in (*FOR_BOXES, ("--seed", "1"), ("--classes", "a=1"))),
                ("instance", ("--threshold", "0.5")),
                ("instance", ("--classes", "a=1")),
            )
        ),
        (("score", "photos", "photos", "--masks", "probability", "--threshold", "best-f1"), 2, "must be a number with"),
        (("score", "photos", "photos", "--masks", "probability", "--threshold", "1.5"), 2, "must be 0 to 1, got 1.5"),
        (("score", "data", "good.csv", "--report", "good.csv"), 1, "good.csv: report must be a directory, got a file"),
        (
            ("compare", "good.csv", "half.csv", "--truth", "data", "--report", "good.csv"),
            1,
            "good.csv: report must be a directory, got a file",
        ),
        (("score", "data", "good.csv", "--score-floor", "nan"), 2, "score_floor must be a finite number, got nan"),
    ],
)
def test_mistakes_are_told_in_one_line(
    data: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...], status: int, told: str
) -> None:
    monkeypatch.chdir(data.parent)
    result = ppnlab(*line)
    assert result.exit_code == status, result.output
    assert told in error_of(result)


def test_what_must_be_known_before_the_figures_are_believed_is_told(data: Path) -> None:
    header = data.with_name("good.csv").read_text().splitlines()[0]
    (data.parent / "none.csv").write_text(f"{header}\n")
    result = ppnlab("score", data, data.parent / "none.csv", "--json")
    assert "note: There is not one detection on" in result.stderr
    json.loads(result.stdout)


def test_lenient_scores_the_rest_and_counts_what_is_left_out(data: Path) -> None:
    with data.with_name("good.csv").open("a") as handle:
        handle.write("nowhere,99,,qr_code,0.9,0.1,0.1,0.2,0.2\n")
    strict = ppnlab("score", data, data.with_name("good.csv"))
    assert strict.exit_code == 1
    result = ppnlab("score", data, data.with_name("good.csv"), "--lenient", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["left_out"] == {"truth": 0, "detections": 1}
    assert "row 14: image_id must be one of the images, got 'nowhere'" in result.stderr
    assert "1 of the detections left out" in result.stderr
