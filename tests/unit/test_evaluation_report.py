import base64
import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from evaluation_sets import Row, dataset, detections, images, random_set
from PIL import Image

from annotations.errors import UsageError
from annotations.pictures import write_picture
from annotations.tables import BoxDataset, Detections
from evaluation.emptiness import MEANINGS
from evaluation.figures import Metrics, ScoreSettings
from evaluation.gallery import worst_images
from evaluation.image_errors import image_errors
from evaluation.metrics import evaluate_splits
from evaluation.remarks import remarks
from evaluation.report import PageSettings, page_html, write_report
from evaluation.result_tables import per_class_csv, per_image_csv

BOX, AWAY = (0, 0, 10, 10), (40, 40, 50, 50)
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """The tags of a page, with a fault for each that is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.text += data


def scored(pictures: Path | None = None) -> tuple[BoxDataset, Detections, Metrics]:
    truth, found = random_set(np.random.default_rng(4), pictures=15, truths=40, found=60, classes=2)
    truth = replace(truth, parts={"class1": "class0"})
    if pictures is not None:
        truth = replace(truth, root=pictures)
        for path in truth.images.path:
            write_picture(pictures / str(path), np.random.default_rng(0).integers(0, 255, (47, 61, 3), np.uint8))
    return truth, found, evaluate_splits(truth, found)


def test_the_page_is_sound_and_needs_nothing_beside_it(tmp_path: Path) -> None:
    history = {"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.5], "val_ap50": [None, 0.5, "0.7"], "note": ["a", "b", "c"]}
    page = Page(page_html(*scored(tmp_path), PageSettings(history=history)))
    assert (page.faults, page.open) == ([], [])
    loaded = [value for _, name, value in page.attributes if name in ("src", "href", "xlink:href", "data", "action")]
    assert len([value for value in loaded if value.startswith("data:image/jpeg;base64,")]) > 2
    assert all(value.startswith(("#", "data:image/jpeg;base64,")) for value in loaded)
    assert {"script", "link", "iframe"}.isdisjoint(page.tags)
    assert [value for _, name, value in page.attributes if name == "aria-label"].count("Loss over epochs") == 1


def test_the_page_names_no_address_at_all(tmp_path: Path) -> None:
    text = re.sub(r"base64,[A-Za-z0-9+/=]*", "", page_html(*scored(tmp_path)))
    assert "http" not in text
    assert "url(" not in text.replace("url(#", "")
    assert str(tmp_path) not in text


def test_the_page_shows_the_figures_of_metrics_json(tmp_path: Path) -> None:
    truth, found, metrics = scored()
    written = write_report(tmp_path / "report", truth, found, metrics)
    assert written == tmp_path / "report" / "report.html"
    content = json.loads((tmp_path / "report" / "metrics.json").read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(metrics.to_json()))
    text = Page(written.read_text(encoding="utf-8")).text
    for split in content["splits"].values():
        for figures in (split, *split["classes"].values()):
            for name in ("ap50", "ap", "precision", "recall", "f1"):
                assert figures[name] is None or f"{figures[name]:.3f}" in text
    assert "nan" not in text.lower().split()
    assert "None" not in text


def test_a_figure_without_value_is_a_dash_with_its_reason() -> None:
    table = images(2)
    truth, found = dataset(table, []), detections(table, [])
    text = Page(page_html(truth, found, evaluate_splits(truth, found))).text
    for word in ("no-truth", "no-detections", "no-truth-and-no-detections"):
        assert f"–{MEANINGS[word]}" in text
    assert "No image of this split has an error" in text


@pytest.mark.parametrize("count", [0, 2])
def test_a_page_of_nothing_is_made(count: int) -> None:
    table = images(count)
    truth, found = dataset(table, [], classes=()), detections(table, [])
    page = Page(page_html(truth, found, evaluate_splits(truth, found)))
    assert (page.faults, page.open) == ([], [])


def test_names_from_the_data_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>$\\frac{$&'
    table = replace(images(1), image_id=np.array([evil], np.str_), path=np.array([f"{evil}.png"], np.str_))
    truth = dataset(table, [(0, 0, BOX)], classes=(evil,))
    truth = replace(truth, root=tmp_path)
    found = detections(table, [(0, 0, BOX, 0.8), (0, 0, AWAY, 0.9)])
    metrics = evaluate_splits(truth, found, ScoreSettings(threshold=0.1))
    settings = PageSettings(title=evil, facts={evil: evil}, history={"epoch": [1, 2], f"{evil}loss": [1, 2]}, gallery=3)
    page = Page(page_html(truth, found, metrics, settings))
    assert (page.faults, page.open) == ([], [])
    assert "script" not in page.tags
    assert evil in page.text


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    truth, found, metrics = scored(tmp_path)
    lost = [str(truth.images.path[row]) for row in truth.images.rows_of("test")]
    (tmp_path / lost[0]).unlink()
    (tmp_path / lost[1]).write_bytes(b"no picture")
    text = Page(page_html(truth, found, metrics)).text
    assert f"the picture {lost[0]} cannot be read" in text
    assert f"the picture {lost[1]} cannot be read" in text
    assert f"the picture {lost[2]} cannot be read" not in text


def test_the_gallery_is_of_test_unless_told_and_worst_first() -> None:
    truth, found, metrics = scored()
    assert "Worst images of test" in page_html(truth, found, metrics)
    text = page_html(truth, found, metrics, PageSettings(gallery_splits=["train", "val"], gallery=3))
    assert "Worst images of test" not in text
    assert (text.count("Worst images of"), text.count("<figcaption>")) == (2, 6)
    errors = image_errors(metrics, len(truth.images))
    worst = errors.worst(metrics.split_images["test"], 100)
    counts = (errors.fp + errors.fn)[worst]
    assert (np.diff(counts) <= 0).all()
    assert (counts > 0).all()
    with pytest.raises(UsageError, match="gallery split must be one of train, val, test, got all"):
        page_html(truth, found, metrics, PageSettings(gallery_splits=["all"]))


def test_the_worst_image_has_most_errors_then_most_missed() -> None:
    table = images(4)
    # Errors (false positives, missed): 2 + 0, 1 + 1, 0 + 1, none.
    truth = dataset(table, [(0, 0, BOX), (1, 0, BOX), (2, 0, BOX), (3, 0, BOX)])
    strays: list[Row] = [(0, 0, AWAY, 0.9), (0, 0, AWAY, 0.8), (1, 0, AWAY, 0.9)]
    found = detections(table, [(0, 0, BOX, 0.9), (3, 0, BOX, 0.9), *strays])
    metrics = evaluate_splits(truth, found, ScoreSettings(threshold=0.5))
    errors = image_errors(metrics, 4)
    assert errors.worst(metrics.split_images["all"], 9).tolist() == [1, 0, 2]
    assert errors.worst(metrics.split_images["all"], 1).tolist() == [1]
    assert errors.worst(np.array([True, False, False, True]), 9).tolist() == [0]


def test_the_gallery_draws_each_box_once_as_what_it_is() -> None:
    table = images(2)
    truth = dataset(table, [(0, 0, BOX), (0, 1, AWAY), (1, 0, BOX)], classes=("code", "fip"), parts={"fip": "code"})
    # The last lies below the threshold: neither it nor its truth is a hit.
    found = detections(table, [(0, 0, BOX, 0.9), (0, 0, AWAY, 0.75), (0, 1, AWAY, 0.1)])
    metrics = evaluate_splits(truth, found, ScoreSettings(threshold=0.5))
    image = worst_images(truth, found, metrics, "all", 1)[0]
    assert (image.image_id, image.fp, image.fn, image.picture) == ("picture0", 1, 1, None)
    assert [(box.kind, box.label, box.part, box.score) for box in image.boxes] == [
        ("truth", "code", False, None),
        ("hit", "code", False, 0.9),
        ("fp", "code", False, 0.75),
        ("missed", "fip", True, None),
    ]
    assert [(box.x, box.y, box.width, box.height) for box in image.boxes] == [(0, 0, 10, 10)] * 2 + [
        (40, 40, 10, 10)
    ] * 2


def test_the_gallery_shows_a_picture_in_the_frame_of_its_boxes(tmp_path: Path) -> None:
    # Stored 40 x 20 and annotated so; its EXIF turn would make it 20 x 40.
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "picture0.png", exif=exif)
    table = images(1, size=(40, 20))
    truth = replace(dataset(table, [(0, 0, BOX)]), root=tmp_path)
    found = detections(table, [])
    picture = worst_images(truth, found, evaluate_splits(truth, found), "all", 1)[0].picture
    assert picture is not None
    with Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))) as shown:
        assert shown.size == (40, 20)


def test_the_tables_sum_to_the_splits() -> None:
    truth, _, metrics = scored()
    by_image = list(csv.DictReader(io.StringIO(per_image_csv(metrics, truth.images))))
    by_class = list(csv.DictReader(io.StringIO(per_class_csv(metrics))))
    assert len(by_image) == 15
    for name, split in metrics.splits.items():
        for column in ("truth", "tp", "fp", "fn"):
            for rows in (by_image, by_class):
                assert sum(int(row[column]) for row in rows if row["split"] == name) == getattr(split, column)
    first = by_class[0]
    assert float(first["ap50"]) == metrics.splits["train"].classes["class0"].ap50


def test_a_table_has_empty_cells_where_nothing_has_a_value() -> None:
    table = images(1)
    metrics = evaluate_splits(dataset(table, []), detections(table, []))
    row = next(csv.DictReader(io.StringIO(per_class_csv(metrics))))
    assert (row["ap50"], row["ap50_low"], row["recall"]) == ("", "", "")
    assert "ap50:no-truth" in row["undefined"].split(";")


def test_a_report_replaces_the_one_before_and_leaves_other_files(tmp_path: Path) -> None:
    truth, found, metrics = scored()
    (tmp_path / "notes.txt").write_text("mine")
    first = write_report(tmp_path, truth, found, metrics).read_text(encoding="utf-8")
    again = write_report(tmp_path, truth, found, metrics).read_text(encoding="utf-8")
    assert first == again
    names = {"metrics.json", "notes.txt", "per_class.csv", "per_image.csv", "report.html"}
    assert {path.name for path in tmp_path.iterdir()} == names


def made(splits: tuple[str, ...], truth: list[Row], found: list[Row], classes: tuple[str, ...] = ("code",)) -> Metrics:
    table = images(len(splits), splits=splits)
    return evaluate_splits(dataset(table, truth, classes=classes), detections(table, found))


THREE = ("train", "val", "test")
ALL_FOUND: list[Row] = [(row, 0, BOX, 0.9) for row in range(3)]
TRUTH: list[Row] = [(row, 0, BOX) for row in range(3)]


@pytest.mark.parametrize(
    ("metrics", "texts"),
    [
        (made(THREE, TRUTH, ALL_FOUND), ["on val are flattering"]),
        (made(("",), TRUTH[:1], ALL_FOUND[:1]), ["on all are flattering", "Choose it on a val split"]),
        (made(THREE, TRUTH, ALL_FOUND[:1]), ["on train is 1.000 above val (1.000 against 0.000)"]),
        (
            made(("train", "test"), TRUTH[:2], ALL_FOUND[:1]),
            ["above test", "on train are flattering", "val could not choose"],
        ),
        (made(THREE, TRUTH, []), ["No data could choose a score threshold for code: 0.5 is used."]),
        (made(("test", ""), TRUTH[:1], ALL_FOUND[:1]), ["1 image without a split took no part."]),
        (made(THREE, TRUTH, ALL_FOUND, ("code", "never")), ["The means of test leave out never"]),
    ],
)
def test_the_page_says_what_to_know_before_believing(metrics: Metrics, texts: list[str]) -> None:
    said = " ".join(remarks(metrics))
    for text in texts:
        assert text in said


def test_a_given_threshold_is_said_and_flatters_nobody() -> None:
    table = images(3, splits=THREE)
    metrics = evaluate_splits(dataset(table, TRUTH), detections(table, ALL_FOUND), ScoreSettings(threshold=0.5))
    assert remarks(metrics) == ["The score threshold was given, not chosen on val."]


def test_no_gap_is_spoken_of_where_train_is_no_better() -> None:
    assert "above" not in " ".join(remarks(made(THREE, TRUTH, ALL_FOUND)))


def test_a_split_with_truth_and_without_any_detection_is_spoken_of() -> None:
    said = "There is not one detection on test, which has 1 image and 1 object: its detections may be missing."
    assert remarks(made(THREE, TRUTH, ALL_FOUND[:2]))[0] == said
    assert "not one detection" not in " ".join(remarks(made(THREE, TRUTH[:2], ALL_FOUND[:2])))
    assert "not one detection" not in " ".join(remarks(made(THREE, TRUTH, ALL_FOUND)))
