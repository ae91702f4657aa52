import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_sets import dataset, detections, images

from annotations.errors import AnnotationError, UsageError
from annotations.tables import Detections
from evaluation.checks import check_detections
from evaluation.figures import ScoreSettings
from evaluation.metrics import evaluate_splits
from evaluation.monitor import monitor_ap
from evaluation.sources import read_results

TABLE = images(2)
TRUTH = dataset(TABLE, [(0, 0, (0, 0, 9, 9))])
GOOD = detections(TABLE, [(0, 0, (0, 0, 9, 9), 0.9), (1, 0, (0, 0, 9, 9), 0.8), (1, 0, (1, 1, 9, 9), 0.7)])


def spoiled(column: str, value: object, row: int = 1) -> Detections:
    values = getattr(GOOD, column).copy()
    values[row] = value
    return replace(GOOD, **{column: values})


FAULTS = [
    ("score", np.nan, "row 1: score must be finite, got nan"),
    ("score", np.inf, "row 1: score must be finite, got inf"),
    ("xyxy_rel", [0, 0, np.nan, 1], r"row 1: xyxy_rel must be finite, got \[0.0, 0.0, nan, 1.0\]"),
    ("xyxy_rel", [0.5, 0, 0.2, 1], "row 1: xyxy_rel must have xmin < xmax and ymin < ymax"),
    ("xyxy_rel", [0.5, 0, 0.5, 1], "row 1: xyxy_rel must have xmin < xmax and ymin < ymax"),
    ("xyxy_rel", [0, 0, 1e200, 1e200], "row 1: xyxy_rel must be within 1e.06 sizes of its image"),
    ("image_row", 2, "row 1: image_row must be 0 to 1, got 2"),
    ("image_row", -1, "row 1: image_row must be 0 to 1, got -1"),
    ("class_id", 1, "row 1: class_id must be 0 to 0, got 1"),
    ("object_id", 0, "row 1: object_id must be unique, got 0"),
]


@pytest.mark.parametrize(("column", "value", "text"), FAULTS)
def test_detections_that_cannot_be_scored_are_refused_by_row(column: str, value: object, text: str) -> None:
    with pytest.raises(AnnotationError, match=f"found.csv: {text}"):
        evaluate_splits(TRUTH, spoiled(column, value), name="found.csv")


def test_good_detections_pass() -> None:
    check_detections(TRUTH, GOOD)
    check_detections(TRUTH, detections(TABLE, []))


def test_a_box_without_area_is_a_false_positive_to_the_monitor_only() -> None:
    empty = spoiled("xyxy_rel", [0.5, 0, 0.5, 1])
    assert monitor_ap(TRUTH, empty)["ap50"] == 1.0
    with pytest.raises(AnnotationError, match="must not be inverted"):
        monitor_ap(TRUTH, spoiled("xyxy_rel", [0.5, 0, 0.2, 1]))
    with pytest.raises(AnnotationError, match="score must be finite"):
        monitor_ap(TRUTH, spoiled("score", np.nan))


def test_the_monitor_gives_means_and_classes() -> None:
    truth = dataset(TABLE, [(0, 0, (0, 0, 10, 10)), (1, 1, (0, 0, 10, 10))], classes=("code", "part", "never"))
    # IoU 0.8: a hit at the thresholds .5 to .8, seven of ten.
    found = detections(TABLE, [(0, 0, (0, 0, 10, 10), 0.9), (1, 1, (0, 0, 10, 8), 0.9)])
    values = monitor_ap(truth, found)
    expected = {"ap50": 1.0, "ap": 0.85, "ap50/code": 1.0, "ap/code": 1.0, "ap50/part": 1.0, "ap/part": 0.7}
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert (values["ap50/never"], values["ap/never"]) == (None, None)
    assert list(values)[:2] == ["ap50", "ap"]


def test_the_monitor_of_nothing_is_none() -> None:
    nothing = images(0)
    assert set(monitor_ap(dataset(nothing, []), detections(nothing, [])).values()) == {None}


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"iou": 0.0}, "iou must be above 0 and at most 1, got 0.0"),
        ({"iou": float("nan")}, "iou must be above 0 and at most 1, got nan"),
        ({"matching": "best"}, "matching must be one of coco, voc, got best"),
        ({"ap": "voc"}, "ap must be one of coco-101, all-point, 11-point, got voc"),
        ({"threshold": float("nan")}, "threshold must be a finite number, got nan"),
        ({"max_detections": 0}, "max_detections must be at least 1, got 0"),
        ({"resamples": -1}, "resamples must be at least 0, got -1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_settings_that_mean_nothing_are_a_usage_error(setting: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        ScoreSettings(**setting)


def test_an_unknown_split_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="split must be one of train, val, test, all, got tset"):
        evaluate_splits(TRUTH, GOOD, splits=["tset"])


def test_a_fault_names_its_file_its_row_and_its_image(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"found: row 1: score must be finite, got nan \(image picture1\)$"):
        evaluate_splits(TRUTH, spoiled("score", np.nan), name="found")
    table = tmp_path / "found.csv"
    table.write_text(
        "image_id,object_id,parent_id,label,score,xmin,ymin,xmax,ymax\npicture1,0,,code,2,0,0,1,1\n", encoding="utf-8"
    )
    with pytest.raises(AnnotationError, match=r"found\.csv: row 2: score must be .* got '2' \(image picture1\)$"):
        read_results(table, TRUTH)
    entry = {"image_id": "picture1", "category_id": "code", "bbox": [0, 0, 1, 1], "score": 0.5}
    for key, value in (
        ("score", None),
        ("bbox", [2e8, 1, 5, 5]),
        ("bbox", [0, 0, 1]),
        ("bbox", [0, 0, 0, 1]),
        ("category_id", 7),
    ):
        table = tmp_path / "found.json"
        table.write_text(json.dumps([entry, {**entry, key: value}]), encoding="utf-8")
        with pytest.raises(AnnotationError, match=rf"found\.json: results\[1\]: {key} .* \(image_id 'picture1'\)$"):
            read_results(table, TRUTH)
