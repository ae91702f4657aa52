import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluation_sets import dataset, detections, images

from annotations.dataset import table_hashes, write_dataset
from annotations.detections import write_detections
from annotations.errors import AnnotationError, UsageError
from annotations.tables import BoxDataset, Detections
from evaluation.bootstrap_figures import FIGURES
from evaluation.compare import compare
from evaluation.compare_inputs import ComparisonInputs, read_inputs, side_names
from evaluation.compare_metrics import MetricsComparison, metrics_text
from evaluation.figures import ScoreSettings
from evaluation.metrics import evaluate_splits


def sets(seed: int = 0) -> tuple[BoxDataset, Detections]:
    rng, table = np.random.default_rng(seed), images(12, splits=("train", "val", "test"))
    boxes = [(row, place % 2, (10 * place, 5, 10 * place + 8, 15)) for row in range(12) for place in range(2 + seed)]
    found = [(*box, round(float(rng.random()), 3)) for box in boxes if rng.random() < 0.8]
    return dataset(table, boxes, classes=("class0", "class1")), detections(table, found)


def make_run(directory: Path, name: str, *, seed: int = 0, splits: tuple[str, ...] | None = None) -> Path:
    """A run as `train` and `evaluate` leave it, beside the dataset that it was trained on."""
    truth, found = sets(seed)
    data, run = directory / f"data{seed}", directory / name
    if not data.exists():
        write_dataset(data, truth, [], command="a test")
    metrics = evaluate_splits(truth, found, ScoreSettings(resamples=0), splits)
    (run / "report").mkdir(parents=True)
    entry = {"path": f"../data{seed}", "hashes": table_hashes(data)}
    (run / "config.json").write_text(json.dumps({"schema": 1, "dataset": entry}))
    write_detections(run / "report" / "detections.csv", truth.images, truth.classes, found)
    (run / "report" / "metrics.json").write_text(json.dumps(metrics.to_json()))
    return run


def edited(path: Path, changes: dict[str, object]) -> Path:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def test_two_runs_know_their_truth(tmp_path: Path) -> None:
    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two", splits=("val", "test"))
    inputs = read_inputs([one, two / "report"])
    assert isinstance(inputs, ComparisonInputs)
    assert [side.name for side in inputs.sides] == ["one", "two"]
    assert [side.splits for side in inputs.sides] == [("train", "val", "test"), ("val", "test")]
    assert list(compare(inputs.truth, inputs.sides, ScoreSettings(resamples=2)).splits) == ["val", "test"]


def test_a_report_beside_its_run_knows_its_truth(tmp_path: Path) -> None:
    """As `demo DIR` leaves it: DIR/run and DIR/report."""
    one, run = make_run(tmp_path, "one"), make_run(tmp_path, "demo")
    (run / "run").mkdir()
    (run / "config.json").rename(run / "run" / "config.json")
    edited(
        run / "run" / "config.json", {"dataset": {"path": "../../data0", "hashes": table_hashes(tmp_path / "data0")}}
    )
    for place in (run, run / "report"):
        inputs = read_inputs([place, one])
        assert isinstance(inputs, ComparisonInputs)
        assert [side.name for side in inputs.sides] == ["demo", "one"]


def test_the_detections_of_a_report_know_their_truth_and_splits(tmp_path: Path) -> None:
    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two", splits=("val", "test"))
    inputs = read_inputs([one, two / "report" / "detections.csv"])
    assert isinstance(inputs, ComparisonInputs)
    assert [(side.name, side.splits) for side in inputs.sides][1] == ("two", ("val", "test"))


def test_detections_files_need_a_truth(tmp_path: Path) -> None:
    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two")
    alone = tmp_path / "found.csv"
    shutil.copy(one / "report" / "detections.csv", alone)
    with pytest.raises(UsageError, match=r"found\.csv: truth must be given with --truth"):
        read_inputs([alone, two])
    inputs = read_inputs([alone, two], tmp_path / "data0")
    assert isinstance(inputs, ComparisonInputs)
    assert [(side.name, side.path) for side in inputs.sides] == [
        ("found", str(alone)),
        ("two", str(two / "report" / "detections.csv")),
    ]
    np.testing.assert_array_equal(inputs.sides[0].detections.score, inputs.sides[1].detections.score)


def test_runs_of_other_truth_are_refused_by_name(tmp_path: Path) -> None:
    one, other = make_run(tmp_path, "one"), make_run(tmp_path, "other", seed=1)
    with pytest.raises(AnnotationError, match=r"other/config\.json: dataset must be the same as .*data0, got another"):
        read_inputs([one, other])
    with pytest.raises(AnnotationError, match=r"one/config\.json: dataset must be the same as .*data1"):
        read_inputs([other, one], tmp_path / "data1")


def test_a_dataset_that_changed_since_is_refused(tmp_path: Path) -> None:
    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two")
    images = tmp_path / "data0" / "images.csv"
    images.write_text(images.read_text().replace(",val,", ",test,", 1))
    with pytest.raises(AnnotationError, match=r"one/config\.json: dataset must be the same .* got another images\.csv"):
        read_inputs([one, two])


def test_a_dataset_that_went_away_is_asked_for(tmp_path: Path) -> None:
    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two")
    (tmp_path / "data0").rename(tmp_path / "moved")
    with pytest.raises(UsageError, match=r"dataset must be in .*data0, got nothing there; name it with --truth"):
        read_inputs([one, two])
    assert isinstance(read_inputs([one, two], tmp_path / "moved"), ComparisonInputs)


def test_places_that_hold_nothing_are_refused_by_name(tmp_path: Path) -> None:
    one = make_run(tmp_path, "one")
    with pytest.raises(UsageError, match=r"nowhere: place must be a run .* got no such file"):
        read_inputs([one, tmp_path / "nowhere"])
    with pytest.raises(UsageError, match=r"place must be .* got a directory without them"):
        read_inputs([one, tmp_path])
    shutil.rmtree(one / "report")
    with pytest.raises(UsageError, match=r"one: place must be .* got a run without a report; `ppnlab evaluate"):
        read_inputs([one, one])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"dataset": {"path": 3, "hashes": {}}}', "[" * 9999])
def test_a_damaged_config_is_refused_by_name(tmp_path: Path, text: str) -> None:
    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two")
    (two / "config.json").write_text(text)
    with pytest.raises(AnnotationError, match=r"two/config\.json: (file|dataset) must"):
        read_inputs([one, two])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"schema": 2, "splits": {}}',
        '{"schema": 1, "splits": []}',
        '{"schema": 1, "splits": {"val": 3}}',
        '{"schema": 1, "splits": {"val": {"classes": [1]}}}',
        '{"schema": 1, "splits": {"val": {"ap50": "good", "classes": {}}}}',
        '{"schema": 1, "splits": {"val": {"classes": {"code": {"ap": true}}}}}',
    ],
)
def test_a_damaged_metrics_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two")
    metrics = two / "report" / "metrics.json"
    metrics.write_text(text)
    for places in ([one, two], [one / "report" / "metrics.json", metrics]):
        with pytest.raises(AnnotationError, match=r"two/report/metrics\.json: (file|schema|splits)"):
            read_inputs(places)


def test_names_are_short_where_they_differ_and_always_different(tmp_path: Path) -> None:
    def names(*places: str) -> list[str]:
        return side_names([Path(place) for place in places])

    assert names("runs/a", "runs/b/report", "runs/c/report/metrics.json") == ["a", "b", "c"]
    assert names("x/run", "y/run/report") == ["x", "y"]
    assert names("x/run", "y/run", "y/walk") == ["x/run", "y/run", "y/walk"]
    assert names("run", "run") == ["run (1)", "run (2)"]
    (tmp_path / "found.v2.csv").touch()
    assert side_names([tmp_path / "found.v2.csv", tmp_path / "report.v2"]) == ["found.v2", "report.v2"]


def metrics_of(*runs: Path) -> list[Path]:
    return [run / "report" / "metrics.json" for run in runs]


def test_metrics_alone_stand_side_by_side_and_say_that_they_have_no_intervals(tmp_path: Path) -> None:
    one, two = metrics_of(make_run(tmp_path, "one"), make_run(tmp_path, "two"))
    content = json.loads(two.read_text())
    content["splits"]["test"]["ap50"] += 0.25
    two.write_text(json.dumps(content))
    comparison = read_inputs([one, two])
    assert isinstance(comparison, MetricsComparison)
    plain = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert plain["splits"]["test"]["differences"]["two"]["ap50"] == {"difference": 0.25, "ci": None}
    assert plain["splits"]["test"]["differences"]["two"]["f1"]["difference"] == 0
    assert set(plain["splits"]["test"]["differences"]["two"]) == set(FIGURES)
    text = metrics_text(comparison)
    assert "+0.250" in text
    assert "there are no intervals" in text


def test_one_side_without_detections_is_compared_by_metrics_alone(tmp_path: Path) -> None:
    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two")
    (two / "report" / "detections.csv").unlink()
    assert isinstance(read_inputs([one, two]), MetricsComparison)
    (one / "report" / "metrics.json").unlink()
    with pytest.raises(UsageError, match=r"two: place must hold detections\.csv, for not all others"):
        read_inputs([one, two])


def test_metrics_are_known_under_any_name(tmp_path: Path) -> None:
    one, two = (
        shutil.copy(path, tmp_path / f"{name}.json")
        for name, path in zip("ab", metrics_of(make_run(tmp_path, "one"), make_run(tmp_path, "two")), strict=True)
    )
    comparison = read_inputs([one, two])
    assert isinstance(comparison, MetricsComparison)
    assert comparison.names == ("a", "b")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(AnnotationError, match=r"a\.json: file must be JSON"):
        read_inputs([one, two])


def test_metrics_of_other_truth_or_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    one, other = metrics_of(make_run(tmp_path, "one"), make_run(tmp_path, "other", seed=1))
    with pytest.raises(AnnotationError, match=r"other: train: truth must be \d+ as in one, got \d+: the truth is"):
        read_inputs([one, other])
    (two,) = metrics_of(make_run(tmp_path, "two"))
    with pytest.raises(AnnotationError, match=r"two: iou must be 0\.5 as in one, got 0\.7"):
        read_inputs([one, edited(two, {"iou": 0.7})])
    content = json.loads(one.read_text())
    with pytest.raises(AnnotationError, match=r"two: splits must be some of train, val, test, got none of them"):
        read_inputs([one, edited(two, {"iou": 0.5, "splits": {"all": content["splits"]["val"]}})])
    content["splits"]["val"]["images"] += 1
    with pytest.raises(AnnotationError, match=r"two: val: images must be 4 as in one, got 5"):
        read_inputs([one, edited(two, {"splits": content["splits"]})])
    content["splits"]["val"]["images"] -= 1
    content["splits"]["val"]["classes"].popitem()
    with pytest.raises(AnnotationError, match=r"two: val: classes must be .* as in one, got \['class0'\]"):
        read_inputs([one, edited(two, {"splits": content["splits"]})])
