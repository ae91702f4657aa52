import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from evaluation_sets import Row, dataset, detections, images, random_set

from annotations.errors import PpnlabError, UsageError
from annotations.tables import BoxDataset, Detections
from evaluation.bootstrap import Interval
from evaluation.bootstrap_figures import FIGURES
from evaluation.compare import Comparison, Side, compare, images_needed
from evaluation.compare_images import per_image_changes_csv
from evaluation.compare_report import comparison_html, write_comparison
from evaluation.compare_text import compare_text, verdict, verdicts
from evaluation.differences import Difference
from evaluation.figures import ScoreSettings
from evaluation.metrics import evaluate_splits

BOX, AWAY, FAR = (0, 0, 10, 10), (40, 40, 50, 50), (80, 40, 90, 50)
FIXED = ScoreSettings(threshold=0.5)


def found_in(rows: Sequence[int], stray: Sequence[int] = (), count: int = 60) -> Detections:
    hits: list[Row] = [(row, 0, BOX, 0.9) for row in rows]
    return detections(images(count), [*hits, *((row, 0, AWAY, 0.8) for row in stray)])


def truth_of(count: int = 60, groups: Sequence[str] = ("",)) -> BoxDataset:
    return dataset(images(count, groups=groups), [(row, 0, BOX) for row in range(count)])


def two(first: Detections, other: Detections, truth: BoxDataset | None = None) -> Comparison:
    return compare(truth or truth_of(), [Side("A", first), Side("B", other)], FIXED)


def random_sides(seed: int, keep: float = 0.8) -> tuple[BoxDataset, Detections, Detections]:
    rng = np.random.default_rng(seed)
    truth, found = random_set(rng, pictures=30, truths=60, found=120, classes=2, scale=4)
    return truth, found, found.take(rng.random(len(found)) < keep)


def test_the_figures_are_those_of_the_scoring_and_the_difference_is_theirs() -> None:
    truth, first, other = random_sides(0)
    settings = ScoreSettings(resamples=50)
    comparison = compare(truth, [Side("A", first), Side("B", other)], settings)
    own, others = (evaluate_splits(truth, found, settings).splits for found in (first, other))
    assert list(comparison.splits) == ["train", "val", "test"]
    for name, split in comparison.splits.items():
        for figure in FIGURES:
            a, b = getattr(own[name], figure), getattr(others[name], figure)
            assert (getattr(split.sides[0], figure), getattr(split.sides[1], figure)) == (a, b)
            assert split.changes[0].gap.together.figures[figure].difference == pytest.approx(b - a, abs=1e-14)
            for label, differences in split.changes[0].gap.classes.items():
                a, b = (getattr(side[name].classes[label], figure) for side in (own, others))
                expected = None if a is None or b is None else pytest.approx(b - a, abs=1e-14)
                assert differences.figures[figure].difference == expected
        for size, differences in split.changes[0].by_size.items():
            a, b = (side[name].by_size[size].ap for side in (own, others))
            expected = None if a is None or b is None else pytest.approx(b - a, abs=1e-14)
            assert differences.figures["ap"].difference == expected


def test_each_side_keeps_the_thresholds_that_val_chose_for_it() -> None:
    table = images(4, splits=("val", "test"))
    truth = dataset(table, [(row, 0, BOX) for row in range(4)])
    rows: list[Row] = [(row, 0, BOX, 0.9 - row / 10) for row in range(4)]
    halved = [(*row[:3], row[3] / 2) for row in rows]  # type: ignore[operator]
    comparison = compare(truth, [Side("A", detections(table, rows)), Side("B", detections(table, halved))])
    thresholds = [side.classes["code"].threshold for side in comparison.splits["test"].sides]
    assert thresholds == [0.7, 0.35]
    assert comparison.splits["test"].changes[0].gap.together.figures["f1"] == Difference(0.0, Interval(0.0, 0.0))


def test_pairing_takes_out_what_is_hard_for_both() -> None:
    # Both find the same 30 of 60 images but for two: each alone is sure to 0.13 or so, their difference to far less.
    comparison = two(found_in(range(30)), found_in(range(32)))
    difference = comparison.splits["all"].changes[0].gap.together.figures["recall"]
    alone = evaluate_splits(truth_of(), found_in(range(30)), FIXED).splits["all"].recall_ci
    assert difference.difference == pytest.approx(2 / 60)
    assert difference.ci is not None and alone is not None
    assert difference.ci.high - difference.ci.low < 0.5 * (alone.high - alone.low)


@pytest.mark.slow
def test_paired_intervals_hold_the_true_difference_95_times_of_100() -> None:
    # An object is found by A with probability 0.6, by B with 0.7, mostly the same ones: the true difference is 0.1.
    rng, count, sets, held = np.random.default_rng(0), 80, 400, {"recall": 0, "ap": 0}
    settings = ScoreSettings(ap="all-point", resamples=200, threshold=0.5)
    for _ in range(sets):
        luck = rng.random(count)
        rows = [np.flatnonzero(luck < 0.6), np.flatnonzero((luck > 0.05) & (luck < 0.75))]
        sides = [Side(name, found_in(part.tolist(), count=count)) for name, part in zip("AB", rows, strict=True)]
        change = compare(truth_of(count), sides, settings).splits["all"].changes[0].gap.together
        for name in held:
            interval = change.figures[name].ci
            assert interval is not None
            held[name] += interval.low <= 0.1 <= interval.high
    # The standard deviation of a share of 400 is 0.011.
    assert all(0.915 <= number / sets <= 0.98 for number in held.values()), held


def test_a_clear_difference_is_told_apart_and_a_small_one_is_not() -> None:
    clear = two(found_in(range(30)), found_in(range(50)))
    assert verdicts(clear, "all", 0)[0].startswith("B is better than A by ")
    small = two(found_in(range(30)), found_in(range(1, 31), stray=[59]))
    (text, *_) = verdicts(small, "all", 0)
    assert text.startswith("The data cannot tell A and B apart in AP@.5: ")


def test_identical_sides_differ_by_nothing_in_any_figure() -> None:
    truth, found, _ = random_sides(3)
    comparison = compare(truth, [Side("A", found), Side("B", found)])
    for split in comparison.splits.values():
        (change,) = split.changes
        for part in (change.gap.together, *change.gap.classes.values(), *change.by_size.values()):
            for one in part.figures.values():
                assert one in (Difference(0.0, Interval(0.0, 0.0)), Difference(None, None)) or one.ci is None
        assert change.gap.together.figures["ap"].ci == Interval(0.0, 0.0)
        assert not change.images_needed
    assert len(comparison.images[0]) == 0
    assert "A and B do not differ in AP@.5" in compare_text(comparison)


def test_more_sides_are_each_compared_with_the_first() -> None:
    truth, first, other = random_sides(4)
    three = compare(truth, [Side("A", first), Side("B", other), Side("C", first)], ScoreSettings(resamples=20))
    pair = compare(truth, [Side("A", first), Side("B", other)], ScoreSettings(resamples=20))
    assert three.splits["test"].changes[0] == pair.splits["test"].changes[0]
    assert three.splits["test"].changes[1].gap.together.figures["ap"].difference == 0
    assert [len(changes) > 0 for changes in three.images] == [True, False]


def test_images_that_changed_are_listed_worst_first_and_by_whom() -> None:
    truth = dataset(images(5), [(row, 0, BOX) for row in range(4)])
    first = [(0, 0, BOX, 0.9), (1, 0, BOX, 0.9), (2, 0, AWAY, 0.9), (3, 0, BOX, 0.2)]
    # Image 0 lost, 1 as before, 2 a false alarm at nearly the same place, 3 found, 4 two new false alarms.
    other = [(1, 0, BOX, 0.9), (2, 0, (41, 40, 51, 50), 0.9), (3, 0, BOX, 0.9), (4, 0, AWAY, 0.9), (4, 0, FAR, 0.9)]
    comparison = two(detections(images(5), first), detections(images(5), other), truth)
    (changes,) = comparison.images
    assert changes.image_row.tolist() == [4, 0, 3]
    assert changes.worsened.tolist() == [2, 1, -1]
    assert changes.found_by_first_only.tolist() == [0, 1, 0]
    assert changes.found_by_other_only.tolist() == [0, 0, 1]
    assert changes.missed_by_both.tolist() == [0, 0, 0]
    assert changes.false_alarms_of_other_only.tolist() == [2, 0, 0]
    assert changes.false_alarms_of_first_only.tolist() == [0, 0, 0]
    rows = list(csv.DictReader(io.StringIO(per_image_changes_csv(comparison.image_ids, {"B": changes}))))
    assert [(row["image_id"], row["other"], row["split"], row["worsened"]) for row in rows] == [
        ("picture4", "B", "all", "2"),
        ("picture0", "B", "all", "1"),
        ("picture3", "B", "all", "-1"),
    ]


def test_images_needed_by_hand() -> None:
    # A difference of 0.1 with a spread of 0.1 over 50 images: (1.960 + 0.842)^2 = 7.85 times as many, 392.4.
    values = np.array([0.1, 0.0, 0.2])
    assert images_needed(values, 50) == 400
    assert images_needed(np.array([0.0, 0.1]), 50) is None
    assert images_needed(np.array([0.1, 0.1, 0.1]), 50) is None
    assert images_needed(np.array([0.001, 0.1, -0.1]), 50) is None
    assert images_needed(np.array([0.1]), 50) is None


@pytest.mark.parametrize(
    ("difference", "reason", "expected"),
    [
        (
            Difference(0.031, Interval(0.004, 0.06)),
            None,
            "B is better than A by 0.031 AP, 95 % interval [0.004, 0.060].",
        ),
        (
            Difference(-0.031, Interval(-0.06, -0.004)),
            None,
            "A is better than B by 0.031 AP, 95 % interval [0.004, 0.060].",
        ),
        (
            Difference(0.012, Interval(-0.02, 0.041)),
            None,
            "The data cannot tell A and B apart in AP: +0.012 [-0.020, +0.041]; about 1,400 images would be needed.",
        ),
        (Difference(0.0, Interval(0.0, 0.0)), None, "A and B do not differ in AP"),
        (Difference(0.1, None), "too-few-images", "B − A is +0.100 AP, without an interval: fewer than two images"),
        (Difference(None, None), "no-truth", "AP cannot be compared: there is nothing to find."),
    ],
)
def test_a_verdict_is_a_plain_sentence(difference: Difference, reason: str | None, expected: str) -> None:
    assert verdict("A", "B", "AP", difference, reason, 1400).startswith(expected)


def test_an_interval_that_touches_0_does_not_tell_apart() -> None:
    assert not Difference(0.1, Interval(0.0, 0.2)).told_apart
    assert Difference(0.1, Interval(0.001, 0.2)).told_apart


def test_few_images_and_flattering_thresholds_are_told() -> None:
    comparison = two(found_in(range(3), count=6), found_in(range(4), count=6), truth_of(6))
    assert comparison.remarks[0].startswith("The intervals of all rest on 6 images")
    grouped = compare(
        truth_of(groups=["a", "b", "c"]), [Side("A", found_in(range(30))), Side("B", found_in(range(40)))]
    )
    assert "rest on 3 images or groups" in grouped.remarks[0]
    assert any("flattering" in text for text in grouped.remarks)
    assert "drawn in 3 groups" in compare_text(grouped)


def test_only_splits_that_all_sides_were_run_on_are_compared() -> None:
    truth, first, other = random_sides(5)
    sides = [Side("A", first, ("train", "val", "test")), Side("B", other, ("val", "test"))]
    assert list(compare(truth, sides, ScoreSettings(resamples=2)).splits) == ["val", "test"]
    with pytest.raises(UsageError, match=r"b\.csv: detections must be of the split train, got only"):
        compare(truth, [sides[0], Side("B", other, ("val",), path="b.csv")], splits=["train"])
    with pytest.raises(UsageError, match=r"must have a split in common, got a\.csv: train; b\.csv: val"):
        compare(truth, [Side("A", first, ("train",), "a.csv"), Side("B", other, ("val",), "b.csv")])


def test_one_side_or_two_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"two or more of different names, got A$"):
        compare(truth_of(), [Side("A", found_in([0]))])
    with pytest.raises(UsageError, match=r"two or more of different names, got A, A$"):
        compare(truth_of(), [Side("A", found_in([0])), Side("A", found_in([1]))])


@pytest.mark.parametrize("resamples", [0, 30])
def test_nothing_found_and_nothing_to_find_are_compared_without_fault(resamples: int) -> None:
    nothing, settings = found_in([]), ScoreSettings(resamples=resamples)
    empty = dataset(images(60), [])
    for truth in (truth_of(), empty, dataset(images(0), [], classes=())):
        table = images(len(truth.images))
        sides = [Side("A", detections(table, [])), Side("B", nothing if len(table) else detections(table, []))]
        comparison = compare(truth, sides, settings)
        json.dumps(comparison.to_json(), allow_nan=False)
        assert "cannot be compared" in compare_text(comparison) or len(truth.annotations)
        assert "<html" in comparison_html(comparison)


def test_compare_json_has_stable_keys(tmp_path: Path) -> None:
    truth, first, other = random_sides(6)
    comparison = compare(truth, [Side("A", first), Side("B", other)], ScoreSettings(resamples=20))
    page = write_comparison(tmp_path / "new" / "out", comparison, facts={"command": "<b>"})
    assert {path.name for path in page.parent.iterdir()} == {"compare.json", "per_image.csv", "compare.html"}
    content = json.loads((page.parent / "compare.json").read_text())
    assert (content["schema"], content["first"], content["others"]) == (1, "A", ["B"])
    change = content["splits"]["test"]["differences"]["B"]
    assert set(change) == {*FIGURES, "undefined", "classes_left_out", "classes", "by_size", "images_needed"}
    assert set(change["ap50"]) == {"difference", "ci"}
    assert set(change["by_size"]["small"]) == {"ap50", "ap75", "ap", "undefined"}
    assert content["images_changed"]["B"]["images"] == len(comparison.images[0])


def test_the_page_stands_alone_and_escapes_names() -> None:
    truth, first, other = random_sides(7)
    sides = [Side("<script>a", first), Side("B & co", other)]
    page = comparison_html(compare(truth, sides, ScoreSettings(resamples=20)), {"command": "<b>"})
    assert "<script" not in page
    assert "http" not in page
    assert "&lt;script&gt;a" in page
    assert "B &amp; co" in page
    assert page.count("<table>") == page.count("</table>") == 6


def test_a_place_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    comparison = two(found_in([0]), found_in([1]))
    with pytest.raises(PpnlabError, match=r"out: report must be a directory, got a file"):
        write_comparison(tmp_path / "out", comparison)
