import base64
import csv
import io
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas
import pytest
from evaluation_sets import Row, dataset, detections, images, marked, random_set
from page_reader import Page
from PIL import Image

import evaluation.report
from annotations.errors import UsageError
from annotations.palette import COLOURS, GREEN, hexadecimal
from annotations.pictures import write_picture
from annotations.tables import BoxDataset, Detections
from evaluation.emptiness import MEANINGS
from evaluation.error_costs import error_report
from evaluation.error_kinds import KINDS
from evaluation.figures import Metrics, ScoreSettings
from evaluation.gallery import images_of_kind, pictures_of, worst_images
from evaluation.image_errors import image_errors
from evaluation.metrics import evaluate_splits
from evaluation.part_scores import part_report
from evaluation.remarks import remarks
from evaluation.report import PageSettings, page_html, write_report
from evaluation.report_figures import by_slice, headline_rows
from evaluation.result_tables import calibration_csv, confusion_csv, errors_csv, per_class_csv, per_image_csv
from evaluation.thresholds import parse_threshold

BOX, AWAY = (0, 0, 10, 10), (40, 40, 50, 50)


def scored(pictures: Path | None = None) -> tuple[BoxDataset, Detections, Metrics]:
    truth, found = random_set(np.random.default_rng(4), pictures=15, truths=40, found=60, classes=2)
    truth = replace(truth, parts={"class1": "class0"})
    if pictures is not None:
        truth = replace(truth, root=pictures)
        for path in truth.images.path:
            write_picture(pictures / str(path), np.random.default_rng(0).integers(0, 255, (47, 61, 3), np.uint8))
    return truth, found, evaluate_splits(truth, found)


@cache
def plain_page() -> str:
    return page_html(*scored())


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
    assert "Worst images of test" in plain_page()
    text = page_html(truth, found, metrics, PageSettings(gallery_splits=["train", "val"], gallery=3))
    assert "Worst images of test" not in text
    # Once as the heading, once in the list of what is on the page.
    assert text.count("Worst images of") == 4
    text = page_html(truth, found, metrics, PageSettings(gallery_splits=["train"], gallery=3, gallery_of_kind=0))
    assert text.count("<figcaption>") == 3
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
    assert (image.image_id, image.caption, image.view) == ("picture0", "1 false positive, 1 missed", (0, 0, 128, 64))
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
    picture = pictures_of(truth, [0])[0].uri
    assert picture is not None
    with Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))) as shown:
        assert shown.size == (40, 20)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_tables_sum_to_the_splits() -> None:
    truth, found, metrics = scored()
    errors = error_report(truth, found, metrics)
    by_image, by_class = rows_of(per_image_csv(metrics, errors, truth)), rows_of(per_class_csv(metrics, errors))
    by_error, cells = rows_of(errors_csv(metrics, errors, truth, found)), rows_of(confusion_csv(metrics))
    bins = rows_of(calibration_csv(metrics))
    assert len(by_image) == 15
    for name, split in metrics.splits.items():
        for column in ("truth", "tp", "fp", "fn"):
            for rows in (by_image, by_class):
                assert sum(int(row[column]) for row in rows if row["split"] == name) == getattr(split, column)
        for kind in KINDS:
            mine = [row for row in by_error if (row["split"], row["kind"]) == (name, kind)]
            cost = errors.splits[name].kinds[kind]
            assert sum(row["any_score"] == "1" for row in mine) == cost.count
            assert sum(row["at_threshold"] == "1" for row in mine) == cost.count_at_threshold
            assert sum(int(row[kind]) for row in by_image if row["split"] == name) == cost.count_at_threshold
        there = [row for row in cells if row["split"] == name and row["truth"]]
        assert sum(int(row["count"]) for row in there) == split.truth
        assert sum(int(row["detections"]) for row in bins if row["split"] == name) == split.detections
    first = by_class[0]
    figures = metrics.splits["train"].classes["class0"]
    assert (float(first["ap50"]), float(first["ap_small"])) == (figures.ap50, figures.by_size["small"].ap)
    assert figures.f1_ci is not None
    assert (float(first["f1_low"]), float(first["f1_high"])) == (figures.f1_ci.low, figures.f1_ci.high)


def test_a_row_of_an_error_names_its_boxes() -> None:
    table = images(1)
    truth = dataset(table, [(0, 0, BOX), (0, 1, AWAY)], classes=("code", "face"))
    truth = replace(truth, annotations=replace(truth.annotations, object_id=np.array([70, 71])))
    found = detections(table, [(0, 1, BOX, 0.75), (0, 1, (90, 0, 100, 10), 0.5)])
    found = replace(found, object_id=np.array([5, 6]))
    metrics = evaluate_splits(truth, found, ScoreSettings(threshold=0.6))
    text = errors_csv(metrics, error_report(truth, found, metrics), truth, found)
    assert text.splitlines() == [
        "kind,split,image_id,class,truth_class,detection_id,truth_id,iou,score,size,any_score,at_threshold",
        "classification,all,picture0,face,code,5,70,1.0,0.75,small,1,1",
        "background,all,picture0,face,,6,,,0.5,small,1,0",
        "missed,all,picture0,face,face,,71,,,small,1,1",
    ]


def test_the_tables_keep_their_columns_and_pandas_reads_them(tmp_path: Path) -> None:
    columns = {
        "per_image.csv": "image_id,split,truth,tp,fp,fn,classification,localisation,both,duplicate,background,missed",
        "confusion.csv": "split,truth,found,count",
        "calibration.csv": "split,from,to,detections,hits,mean_score,precision",
        "errors.csv": "kind,split,image_id,class,truth_class,detection_id,truth_id,iou,score,size,"
        "any_score,at_threshold",
        "per_class.csv": "split,class,truth,detections,ignored_truth,ignored_detections,threshold,threshold_from,"
        "threshold_reached,tp,fp,fn,ap50,ap50_low,ap50_high,ap75,ap75_low,ap75_high,ap,ap_low,ap_high,"
        "precision,precision_low,precision_high,recall,recall_low,recall_high,f1,f1_low,f1_high,ap50_worst,ap50_best,"
        "fp_per_image,fp_per_image_without_truth,ece,mce,ap_small,ap_medium,ap_large,dap_classification,"
        "dap_localisation,dap_both,dap_duplicate,dap_background,dap_missed,undefined",
    }
    nothing = dataset(images(0), [], classes=()), detections(images(0), [])
    for name, sets in (("full", scored()[:2]), ("empty", nothing)):
        write_report(tmp_path / name, *sets, evaluate_splits(*sets))
        for file, header in columns.items():
            table = pandas.read_csv(tmp_path / name / file)
            assert ",".join(table.columns) == header
            # The bins of a calibration are there whatever falls into them.
            assert (len(table) > 0) == (name == "full" or file == "calibration.csv")
    table = pandas.read_csv(tmp_path / "full" / "errors.csv")
    assert table[table.kind == "missed"].score.isna().all()
    assert table[table.kind == "duplicate"].iou.between(0.5, 1).all()


def test_a_table_has_empty_cells_where_nothing_has_a_value() -> None:
    table = images(1)
    truth, found = dataset(table, []), detections(table, [])
    metrics = evaluate_splits(truth, found)
    row = rows_of(per_class_csv(metrics, error_report(truth, found, metrics)))[0]
    assert (row["ap50"], row["ap50_low"], row["recall"], row["ap_small"], row["dap_missed"]) == ("",) * 5
    assert {"ap50:no-truth", "ap_small:no-truth", "dap_missed:no-truth"} <= set(row["undefined"].split(";"))
    assert "nan" not in str(row).lower()


def test_a_report_replaces_the_one_before_and_leaves_other_files(tmp_path: Path) -> None:
    truth, found, metrics = scored()
    (tmp_path / "notes.txt").write_text("mine")
    write_report(tmp_path, truth, found, metrics)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_report(tmp_path, truth, found, metrics)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    tables = {"per_class.csv", "per_image.csv", "errors.csv", "confusion.csv", "calibration.csv"}
    assert first.keys() == {"metrics.json", "errors.json", "parts.json", "notes.txt", "report.html", *tables}
    # A dataset without parts has no such file; one left there would be taken for its own.
    write_report(tmp_path, replace(truth, parts={}), found, metrics)
    assert not (tmp_path / "parts.json").exists()


def test_the_page_is_the_same_whatever_was_drawn_before() -> None:
    truth, found, metrics = scored()
    page = plain_page()
    page_html(replace(truth, classes=("other", "names"), parts={}), found, renamed(metrics))
    assert page_html(truth, found, metrics) == page


def renamed(metrics: Metrics) -> Metrics:
    splits = {
        name: replace(split, classes=dict(zip(("other", "names"), split.classes.values(), strict=True)))
        for name, split in metrics.splits.items()
    }
    return replace(metrics, splits=splits)


def test_the_page_shows_errors_and_parts_of_their_files(tmp_path: Path) -> None:
    truth, found, metrics = scored()
    write_report(tmp_path, truth, found, metrics)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    errors = json.loads((tmp_path / "errors.json").read_text(encoding="utf-8"))
    parts = json.loads((tmp_path / "parts.json").read_text(encoding="utf-8"))
    assert errors == json.loads(json.dumps(error_report(truth, found, metrics).to_json()))
    for split in errors["splits"].values():
        for cost in split["kinds"].values():
            assert cost["dap"] is None or f"{cost['dap']:+.3f}{cost['count_at_threshold']} at the threshold" in text
    for split in parts["splits"].values():
        share = split["complete_share"]
        assert share is None or f"{share:.3f}{split['complete']} of {split['objects']}" in text
    for gap in metrics.gaps.values():
        one = gap.together.figures["ap50"]
        assert one.difference is not None
        assert f"{one.difference:+.3f}".replace("-", "−") in text


def test_of_many_classes_the_page_lists_the_confusions_that_are_most_frequent() -> None:
    table = images(2)
    names = tuple(f"c{i}" for i in range(40))
    rows = [(0, i, (3 * i, 0, 3 * i + 2, 10)) for i in range(40)]
    truth = dataset(table, [*rows, (1, 0, BOX)], classes=names)
    swapped = [(0, (i + 1) % 40, (3 * i, 0, 3 * i + 2, 10), 0.9) for i in range(40)]
    found = detections(table, [*swapped, (1, 0, BOX, 0.9)])
    page = Page(page_html(truth, found, evaluate_splits(truth, found, ScoreSettings(threshold=0.5, resamples=0))))
    assert (page.faults, page.open) == ([], [])
    # The most frequent confusions, in place of a matrix of 41 x 41.
    assert "thereisfoundtimes" in "".join(page.text.split())
    assert "c3c41" in page.text
    assert "c30c311" not in page.text
    assert "c0c01" not in page.text


def test_an_image_of_a_kind_shows_only_its_errors_with_what_they_lie_on() -> None:
    table = images(2)
    truth = dataset(table, [(0, 0, BOX), (0, 0, AWAY), (1, 0, BOX)])
    third = (0, 5, 10, 15)
    stray = (90, 0, 100, 10)
    rows: list[Row] = [(0, 0, BOX, 0.9), (0, 0, BOX, 0.8), (1, 0, third, 0.7), (0, 0, stray, 0.6), (0, 0, stray, 0.4)]
    found = detections(table, rows)
    metrics = evaluate_splits(truth, found, ScoreSettings(threshold=0.5))
    errors = error_report(truth, found, metrics).table

    def shown(kind: str) -> list[tuple[str, str, list[str]]]:
        images = images_of_kind(truth, found, metrics, errors, "all", kind, 9)
        return [(image.image_id, image.caption, [box.kind for box in image.boxes]) for image in images]

    assert shown("duplicate") == [("picture0", "code 0.80 on code, IoU 1.00", ["truth", "fp"])]
    assert shown("localisation") == [("picture1", "code 0.70 on code, IoU 0.33", ["fp", "missed"])]
    assert shown("background") == [("picture0", "code 0.60", ["fp"])]
    assert shown("missed") == [("picture0", "code", ["missed"])]
    assert shown("both") == []


def test_images_of_a_kind_have_most_of_it_first_then_the_surest_then_the_largest() -> None:
    table = images(3)
    strays: list[Row] = [(0, 0, AWAY, 0.6), (1, 0, AWAY, 0.9), (2, 0, AWAY, 0.55), (2, 0, (90, 0, 99, 9), 0.55)]
    truth: list[Row] = [(0, 0, BOX), (1, 0, (0, 0, 20, 20)), (2, 0, (0, 0, 15, 15))]
    known, found = dataset(table, truth), detections(table, strays)
    metrics = evaluate_splits(known, found, ScoreSettings(threshold=0.5))
    errors = error_report(known, found, metrics).table

    def order(kind: str, most: int) -> list[int]:
        return [image.row for image in images_of_kind(known, found, metrics, errors, "all", kind, most)]

    assert (order("background", 9), order("background", 2), order("missed", 9)) == ([2, 1, 0], [2, 1], [1, 2, 0])


@pytest.mark.parametrize("box", [BOX, (118, 54, 128, 64), (0, 0, 128, 64), (-40, 30, 20, 90)])
def test_the_view_of_an_error_lies_in_the_image_and_has_its_shape(box: tuple[int, ...]) -> None:
    table = images(1)
    truth, found = dataset(table, []), detections(table, [(0, 0, box, 0.9)])
    metrics = evaluate_splits(truth, found, ScoreSettings(threshold=0.5))
    image = images_of_kind(truth, found, metrics, error_report(truth, found, metrics).table, "all", "background", 1)[0]
    x, y, width, height = image.view
    assert 0 <= x <= x + width <= 128
    assert 0 <= y <= y + height <= 64
    assert width / height == pytest.approx(2, rel=1e-2)
    assert x <= max(box[0], 0)
    assert min(box[2], 128) <= x + width


def test_a_picture_stands_in_the_page_once_however_often_it_is_shown(tmp_path: Path) -> None:
    page = Page(page_html(*scored(tmp_path)))
    links = [value for tag, name, value in page.attributes if (tag, name) == ("use", "href")]
    pictures = [value for tag, name, value in page.attributes if (tag, name) == ("image", "href")]
    ids = [f"#{value}" for tag, name, value in page.attributes if (tag, name) == ("image", "id")]
    drawn = {link for link in links if link.startswith("#picture")}
    assert drawn == set(ids)
    assert len(ids) == len(pictures) < len([link for link in links if link.startswith("#picture")])


def test_every_link_of_the_page_leads_somewhere_on_it() -> None:
    page = Page(plain_page())
    ids = {value for _, name, value in page.attributes if name == "id"}
    links = {value for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    assert len(links) > 8
    assert {link.removeprefix("#") for link in links} <= ids


def test_the_page_takes_its_colours_from_the_palette() -> None:
    source = (Path(evaluation.report.__file__).parent / "report.html.jinja").read_text(encoding="utf-8")
    assert not [colour for colour in COLOURS if hexadecimal(colour) in source.lower()]
    assert f"--hit: {hexadecimal(GREEN)}" in plain_page()


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


def test_the_order_of_equal_scores_is_spoken_of_where_it_matters() -> None:
    table = images(2)
    truth = dataset(table, [(0, 0, BOX), (1, 0, BOX)])
    tied = detections(table, [(0, 0, AWAY, 0.9), (0, 0, BOX, 0.9), (1, 0, BOX, 0.8)])
    said = "AP@.5 on all hangs on the order of detections with equal scores, which means nothing: it lies anywhere from"
    assert said in " ".join(remarks(evaluate_splits(truth, tied)))
    clear = detections(table, [(0, 0, AWAY, 0.9), (0, 0, BOX, 0.85), (1, 0, BOX, 0.8)])
    assert said not in " ".join(remarks(evaluate_splits(truth, clear)))


@pytest.mark.parametrize(("count", "spoken"), [(19, True), (20, False)])
def test_few_objects_that_chose_a_threshold_are_spoken_of(count: int, spoken: bool) -> None:
    table = images(2, splits=("val", "test"))
    rows = [(0, 0, (5 * i, 0, 5 * i + 4, 10)) for i in range(count)]
    found = [(*row, 0.9) for row in rows]
    metrics = evaluate_splits(dataset(table, rows), detections(table, found), ScoreSettings(resamples=0))
    assert (f"Few objects on val chose the score threshold of code ({count})" in " ".join(remarks(metrics))) == spoken


def test_a_threshold_that_reaches_no_floor_is_spoken_of() -> None:
    table = images(1, splits=("val",))
    truth = dataset(table, [(0, 0, BOX)])
    found = detections(table, [(0, 0, BOX, 0.8), (0, 0, AWAY, 0.9)])
    metrics = evaluate_splits(truth, found, ScoreSettings(threshold=parse_threshold("precision>=0.9"), resamples=0))
    said = "No score threshold of code reaches precision>=0.9 where it was chosen: the nearest is used."
    assert said in remarks(metrics)


def test_parts_that_never_name_an_object_are_spoken_of() -> None:
    truth, found, metrics = scored()
    said = " ".join(remarks(metrics, part_report(truth, found, metrics)))
    assert "No detected part on test names its object" in said
    assert "names its object" not in " ".join(remarks(metrics))
    nothing = found.take(np.zeros(0, np.int64))
    metrics = evaluate_splits(truth, nothing)
    assert "names its object" not in " ".join(remarks(metrics, part_report(truth, nothing, metrics)))


def test_what_ties_and_ignored_objects_do_is_a_row_only_where_they_do_something() -> None:
    table = images(2)
    truth = dataset(table, [(0, 0, BOX), (1, 0, BOX)])
    tied = detections(table, [(0, 0, AWAY, 0.9), (0, 0, BOX, 0.9), (1, 0, BOX, 0.8)])
    plain = headline_rows(evaluate_splits(truth, detections(table, [(0, 0, BOX, 0.9)])))
    assert list(plain)[:2] == ["ap50", "ap75"]
    assert "ignored_truth" not in plain
    rows = headline_rows(evaluate_splits(marked(truth, ignore=[False, True]), tied))
    assert list(rows)[:3] == ["ap50", "ap50_ties", "ap75"]
    assert list(rows)[-2:] == ["ignored_truth", "ignored_detections"]
    text = Page(page_html(truth, tied, evaluate_splits(truth, tied))).text
    # Miss, hit, hit: precision 2/3 at every recall. Hit, miss, hit: 1 at the 51 recalls up to 1/2, then 2/3.
    assert "AP@.5 over all orders of equal scores0.667–0.835" in text


def test_flags_have_their_figures_but_those_that_say_the_split() -> None:
    table = replace(images(2), flags=np.array(["train;night", "night"], np.str_), split=np.array(["train", "test"]))
    truth = dataset(table, [(0, 0, BOX), (1, 0, BOX)])
    metrics = evaluate_splits(truth, detections(table, [(0, 0, BOX, 0.9)]))
    slices = by_slice(metrics, "by_flag")
    assert {name: list(of_split) for name, of_split in slices.items()} == {"night": ["train", "test"]}
    assert "1 object in 1 image" in Page(page_html(truth, detections(table, []), metrics)).text
