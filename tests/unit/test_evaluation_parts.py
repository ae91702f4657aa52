"""Objects with parts, each figure by a hand-worked case and all of them by plain loops."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from evaluation_sets import Row, dataset, detections, images, marked, random_set

from annotations.tables import NO_PARENT, BoxDataset, Detections, pixels
from evaluation.emptiness import MEANINGS
from evaluation.figures import ScoreSettings
from evaluation.metrics import evaluate_splits
from evaluation.part_scores import PartFigures, part_report

CODE, FIP, FACE = 0, 1, 2
CLASSES, PARTS = ("code", "fip", "face"), {"fip": "code"}
LEFT, RIGHT = (0, 0, 40, 40), (60, 0, 100, 40)
LEFT_PARTS = [(0, 0, 10, 10), (30, 0, 40, 10), (0, 30, 10, 40)]
RIGHT_PARTS = [(60, 0, 70, 10), (90, 0, 100, 10)]
AT_HALF = ScoreSettings(threshold=0.5, resamples=0)


def known(rows: Sequence[Row], parents: Sequence[int], count: int = 1) -> BoxDataset:
    truth = dataset(images(count), rows, classes=CLASSES, parts=PARTS)
    return replace(truth, annotations=replace(truth.annotations, parent_id=np.array(parents, np.int64)))


def seen(rows: Sequence[Row], parents: Sequence[int], count: int = 1) -> Detections:
    return replace(detections(images(count), rows), parent_id=np.array(parents, np.int64))


def figures(truth: BoxDataset, found: Detections, settings: ScoreSettings = AT_HALF) -> PartFigures:
    report = part_report(truth, found, evaluate_splits(truth, found, settings))
    assert report is not None
    split = report.splits["all"]
    assert split.all == split.classes["code"]
    return split.all


def two_codes() -> BoxDataset:
    """A code with three parts, and one with two."""
    rows = [
        (0, CODE, LEFT),
        *((0, FIP, box) for box in LEFT_PARTS),
        (0, CODE, RIGHT),
        *((0, FIP, b) for b in RIGHT_PARTS),
    ]
    return known(rows, [NO_PARENT, 0, 0, 0, NO_PARENT, 4, 4])


def all_found() -> tuple[list[Row], list[int]]:
    rows: list[Row] = [(0, CODE, LEFT, 0.9), *((0, FIP, box, 0.9) for box in LEFT_PARTS)]
    rows += [(0, CODE, RIGHT, 0.8), *((0, FIP, box, 0.8) for box in RIGHT_PARTS)]
    return rows, [NO_PARENT, 0, 0, 0, NO_PARENT, 4, 4]


def test_all_that_is_right_is_whole() -> None:
    got = figures(two_codes(), seen(*all_found()))
    assert (got.objects, got.found, got.complete, got.complete_share) == (2, 2, 2, 1.0)
    assert (got.parts, got.orphans, got.linked, got.outside, got.placed, got.wrong_parent) == (5, 0, 5, 0, 5, 0)
    assert (got.detected, got.bare, got.ap, got.ap_complete) == (2, 0, 1.0, 1.0)
    assert got.undefined == {}


def test_an_object_with_a_part_below_the_threshold_is_not_complete() -> None:
    rows, parents = all_found()
    rows[1] = (0, FIP, LEFT_PARTS[0], 0.4)
    got = figures(two_codes(), seen(rows, parents))
    assert (got.found, got.complete, got.complete_share, got.parts) == (2, 1, 0.5, 4)
    # The best code counts as a miss: precision 1/2 at recall 1/2, which 51 of the 101 recalls reach.
    assert (got.ap, got.ap_complete) == (1.0, pytest.approx(0.5 * 51 / 101))


def test_an_object_below_the_threshold_is_not_found_and_its_parts_are_orphans() -> None:
    rows, parents = all_found()
    rows[0] = (0, CODE, LEFT, 0.4)
    got = figures(two_codes(), seen(rows, parents))
    assert (got.objects, got.found, got.complete, got.detected) == (2, 1, 1, 1)
    assert (got.parts, got.orphans, got.orphan_share, got.linked) == (5, 3, 0.6, 2)
    # AP asks for the parts, not for the threshold of the object.
    assert got.ap_complete == 1.0


@pytest.mark.parametrize(
    ("parent", "what"), [(NO_PARENT, "none"), (99, "unknown"), (2, "a part"), (7, "a face"), (8, "of another image")]
)
def test_a_part_that_names_no_object_of_its_own_is_an_orphan(parent: int, what: str) -> None:
    rows, parents = all_found()
    rows += [(0, FACE, RIGHT, 0.9), (1, CODE, LEFT, 0.9)]
    parents[1] = parent
    truth = two_codes()
    truth = replace(truth, images=images(2))
    got = figures(truth, seen(rows, [*parents, NO_PARENT, NO_PARENT], 2))
    assert (got.orphans, got.linked, got.placed) == (1, 4, 4), what
    # The code of the other image has no parts.
    assert (got.detected, got.bare, got.bare_share) == (3, 1, pytest.approx(1 / 3))


def test_a_parent_that_is_in_no_table_is_none() -> None:
    rows, parents = all_found()
    found = seen(rows, [parent if parent == NO_PARENT else 10 * parent for parent in parents])
    # 35 lies right before 40, which is a code.
    found = replace(found, object_id=10 * np.arange(7), parent_id=np.where(found.parent_id == 0, 35, found.parent_id))
    got = figures(two_codes(), found)
    assert (got.parts, got.orphans, got.linked) == (5, 3, 2)


def test_a_true_part_of_something_else_is_no_part_of_an_object() -> None:
    truth = known(
        [(0, CODE, LEFT), (0, FIP, LEFT_PARTS[0]), (0, FACE, RIGHT), (0, FIP, RIGHT_PARTS[0])], [-1, 0, -1, 2]
    )
    got = figures(truth, seen([(0, FACE, RIGHT, 0.9), (0, FIP, RIGHT_PARTS[0], 0.9)], [-1, -1]))
    assert (got.objects, got.complete, got.parts, got.placed) == (1, 0, 1, 0)
    found = seen([(0, CODE, LEFT, 0.9), (0, FIP, RIGHT_PARTS[0], 0.9)], [-1, 0])
    # What it found is the part of no code, so its parent is neither right nor wrong.
    got = figures(truth, found)
    assert (got.linked, got.placed, got.wrong_parent_share) == (1, 0, None)
    assert got.undefined["wrong_parent_share"] == "no-true-part-names-an-object"


@pytest.mark.parametrize(("left", "outside"), [(-5, 0), (-5.25, 1), (-30, 1)])
def test_a_part_with_less_than_half_of_it_in_its_object_is_outside(left: float, outside: int) -> None:
    rows: list[Row] = [(0, CODE, LEFT, 0.9), (0, FIP, (left, 0, left + 10, 10), 0.9)]
    got = figures(two_codes(), seen(rows, [NO_PARENT, 0]))
    assert (got.linked, got.outside, got.outside_share) == (1, outside, float(outside))


def test_a_part_that_names_the_wrong_object_has_a_wrong_parent() -> None:
    rows, parents = all_found()
    parents[1] = 4
    got = figures(two_codes(), seen(rows, parents))
    assert (got.placed, got.wrong_parent, got.wrong_parent_share, got.outside) == (5, 1, 0.2, 1)
    # That an object is complete asks only that its parts were found.
    assert got.complete == 2


def test_a_part_of_a_false_positive_has_a_wrong_parent_where_it_found_a_part() -> None:
    rows: list[Row] = [(0, CODE, (0, 0, 100, 60), 0.9), (0, FIP, LEFT_PARTS[0], 0.9), (0, FIP, (50, 50, 60, 60), 0.9)]
    got = figures(two_codes(), seen(rows, [NO_PARENT, 0, 0]))
    assert (got.linked, got.placed, got.wrong_parent) == (2, 1, 1)


def test_ignored_truth_is_not_asked_for() -> None:
    truth, (rows, parents) = two_codes(), all_found()
    del rows[1], parents[1]
    parents = [NO_PARENT, 0, 0, NO_PARENT, 3, 3]
    without_part = marked(truth, ignore=[False, True, False, False, False, False, False])
    assert figures(without_part, seen(rows, parents)).complete == 2
    without_code = marked(truth, ignore=[True, False, False, False, False, False, False])
    got = figures(without_code, seen(rows, parents))
    # Its detection is none, but the parts that name it are no orphans; the object that they found the part of is it.
    assert (got.objects, got.complete, got.detected, got.orphans) == (1, 1, 1, 0)


def test_an_object_without_true_parts_counts_in_both_aps() -> None:
    truth = known([(0, CODE, LEFT), (0, CODE, RIGHT)], [NO_PARENT, NO_PARENT])
    got = figures(truth, seen([(0, CODE, LEFT, 0.9)], [NO_PARENT]))
    assert (got.objects, got.complete_share, got.undefined["complete_share"]) == (0, None, "no-objects-with-parts")
    assert got.ap == got.ap_complete == pytest.approx(51 / 101)
    assert (got.bare, got.bare_share) == (1, 1.0)


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        ([], [], {"complete_share": "no-objects-with-parts", "orphan_share": "no-detections", "ap": "no-truth"}),
        ([(0, CODE, LEFT)], [(0, CODE, LEFT, 0.1)], {"bare_share": "no-detections-at-threshold"}),
        ([], [(0, FIP, LEFT, 0.1)], {"orphan_share": "no-detections-at-threshold", "bare_share": "no-detections"}),
        (
            [],
            [(0, FIP, LEFT, 0.9)],
            {"outside_share": "no-part-names-its-object", "wrong_parent_share": "no-part-names-its-object"},
        ),
    ],
)
def test_what_has_no_value_has_a_reason(truth: list[Row], found: list[Row], expected: dict[str, str]) -> None:
    got = figures(known(truth, [NO_PARENT] * len(truth)), seen(found, [NO_PARENT] * len(found)))
    for name, why in expected.items():
        assert getattr(got, name) is None
        assert got.undefined[name] == why
        assert why in MEANINGS
    values = {name: getattr(got, name) for name in ("complete_share", "orphan_share", "outside_share", "bare_share")}
    assert all((value is None) == (name in got.undefined) for name, value in values.items())


def test_zero_images_have_a_reason_for_everything() -> None:
    truth = dataset(images(0), [], classes=CLASSES, parts=PARTS)
    got = figures(truth, detections(images(0), []))
    assert set(got.undefined.values()) == {"no-images"}
    assert len(got.undefined) == 7


def test_a_dataset_without_parts_has_no_such_figures() -> None:
    truth = dataset(images(1), [(0, 0, LEFT)])
    found = detections(images(1), [(0, 0, LEFT, 0.9)])
    assert part_report(truth, found, evaluate_splits(truth, found)) is None


def test_each_class_of_objects_has_its_own_figures_and_together_they_are_the_sums() -> None:
    rows = [(0, CODE, LEFT), (0, FIP, LEFT_PARTS[0]), (0, FACE, RIGHT), (0, 3, RIGHT_PARTS[0])]
    truth = dataset(images(1), rows, classes=(*CLASSES, "eye"), parts={"fip": "code", "eye": "face"})
    truth = replace(truth, annotations=replace(truth.annotations, parent_id=np.array([-1, 0, -1, 2])))
    found = seen([(0, CODE, LEFT, 0.9), (0, FIP, LEFT_PARTS[0], 0.9), (0, FACE, RIGHT, 0.9)], [-1, 0, -1])
    report = part_report(truth, found, evaluate_splits(truth, found, AT_HALF))
    assert report is not None
    split = report.splits["all"]
    assert {name: (own.complete, own.bare) for name, own in split.classes.items()} == {"code": (1, 0), "face": (0, 1)}
    assert (split.all.objects, split.all.complete, split.all.bare, split.all.ap_complete) == (2, 1, 1, 0.5)
    assert list(report.to_json()["splits"]["all"]["classes"]) == ["code", "face"]


@pytest.mark.parametrize("seed", range(8))
def test_counts_are_those_of_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = random_set(rng, pictures=4, truths=40, found=60, classes=3)
    truth = replace(truth, parts={"class1": "class0"}, annotations=with_parents(rng, truth.annotations))
    found = with_parents(rng, found)
    report = part_report(truth, found, evaluate_splits(truth, found, AT_HALF))
    metrics = evaluate_splits(truth, found, AT_HALF)
    assert report is not None
    table, annotations = metrics.table, truth.annotations
    took = {int(d): int(t) for d, t in zip(table.detection_row, table.truth_row, strict=True) if t >= 0}
    shown = {row for row in range(60) if found.score[row] >= 0.5}
    found_truth = {took[row] for row in shown if row in took}
    row_of = {int(value): row for row, value in enumerate(found.object_id)}
    xyxy = pixels(truth.images, found.image_row, found.xyxy_rel)
    for split in ("train", "val", "test"):
        inside = {row for row, name in enumerate(truth.images.split.tolist()) if name == split}
        of_object = {
            o: [
                p
                for p in range(40)
                if annotations.class_id[p] == 1 and annotations.parent_id[p] == annotations.object_id[o]
            ]
            for o in range(40)
            if annotations.class_id[o] == 0 and annotations.image_row[o] in inside
        }
        with_parts = {o: parts for o, parts in of_object.items() if parts}
        complete = [o for o, parts in with_parts.items() if {o, *parts} <= found_truth]
        parts = [row for row in shown if found.class_id[row] == 1 and found.image_row[row] in inside]
        parent = {row: row_of.get(int(found.parent_id[row]), -1) for row in parts}
        linked = [row for row in parts if parent[row] in shown and found.class_id[parent[row]] == 0]
        placed = [row for row in linked if any(took.get(row) in some for some in with_parts.values())]
        wrong = [row for row in placed if took.get(parent[row]) != owner(with_parts, took[row])]
        outside = [row for row in linked if share(xyxy[row], xyxy[parent[row]]) < 0.5]
        bare = [row for row in shown if found.class_id[row] == 0 and found.image_row[row] in inside]
        bare = [row for row in bare if row not in [parent[part] for part in linked]]
        got = report.splits[split].all
        assert (got.objects, got.complete, got.parts, got.linked) == (
            len(with_parts),
            len(complete),
            len(parts),
            len(linked),
        )
        assert (got.placed, got.wrong_parent, got.outside, got.bare) == (
            len(placed),
            len(wrong),
            len(outside),
            len(bare),
        )


def with_parents(rng: np.random.Generator, table: Any) -> Any:  # noqa: ANN401
    """The table with most boxes of class 1 given some box of class 0 in their image as parent."""
    parent_id = np.full(len(table), NO_PARENT)
    for row in np.flatnonzero((table.class_id == 1) & (rng.random(len(table)) < 0.8)):
        wholes = np.flatnonzero((table.class_id == 0) & (table.image_row == table.image_row[row]))
        if len(wholes):
            parent_id[row] = table.object_id[rng.choice(wholes)]
    return replace(table, parent_id=parent_id)


def owner(with_parts: dict[int, list[int]], part: int) -> int:
    return next(whole for whole, parts in with_parts.items() if part in parts)


def share(inner: np.ndarray, outer: np.ndarray) -> float:
    width = min(inner[2], outer[2]) - max(inner[0], outer[0])
    height = min(inner[3], outer[3]) - max(inner[1], outer[1])
    return max(width, 0) * max(height, 0) / ((inner[2] - inner[0]) * (inner[3] - inner[1]))
