"""Against arithmetic without rounding: boxes in whole quarter pixels, IoU and AP as fractions, matching by plain loops.

Thresholds and recall levels are compared as floats, for they are given as floats.
"""

from collections.abc import Callable
from fractions import Fraction
from itertools import groupby

import numpy as np
import pytest
from evaluation_sets import marked, random_set
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.tables import BoxDataset, Detections, pixels
from evaluation.average_precision import IOU_THRESHOLDS
from evaluation.curves import TIES
from evaluation.figures import ScoreSettings
from evaluation.matching import candidates
from evaluation.metrics import evaluate_splits
from evaluation.precisions import average_precisions
from evaluation.presets import preset_settings

Box = tuple[int, int, int, int]


def quarters(dataset: BoxDataset, table: object) -> list[Box]:
    boxes = pixels(dataset.images, table.image_row, table.xyxy_rel) * 4
    return [tuple(int(side) for side in box) for box in np.rint(boxes)]


def area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap(a: Box, b: Box, crowd: bool) -> Fraction:
    width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    shared = width * height
    return Fraction(shared, area(a) if crowd else area(a) + area(b) - shared)


def ranked(dataset: BoxDataset, found: Detections, class_id: int, least: float) -> list[int]:
    rows = [row for row in range(len(found)) if found.class_id[row] == class_id and found.score[row] >= least]
    return sorted(rows, key=lambda row: (-found.score[row], found.image_row[row], row))


def coco_choice(values: dict[int, Fraction], threshold: float, taken: set[int], marks: tuple[list, list]) -> int | None:
    """The best free truth that counts, or else the best free one that does not; a crowd is always free."""
    crowd, ignored = marks
    free = [t for t, value in values.items() if float(value) >= threshold and (t not in taken or crowd[t])]
    for group in ([t for t in free if not ignored[t]], [t for t in free if ignored[t]]):
        if group:
            return max(group, key=lambda t: (values[t], t))
    return None


def voc_choice(values: dict[int, Fraction], threshold: float, taken: set[int], marks: tuple[list, list]) -> int | None:
    """The best truth, which is no longer to be had where it is taken; crowds only where there is no other."""
    crowd, ignored = marks
    reached = [t for t, value in values.items() if float(value) >= threshold]
    group = [t for t in reached if not crowd[t]] or reached
    best = max(group, key=lambda t: (values[t], -t), default=None)
    return None if best in taken and not ignored[best] else best


def outcomes(
    dataset: BoxDataset, found: Detections, class_id: int, threshold: float, choose: Callable, least: float
) -> list[tuple[float, bool]]:
    """(score, hit) of each detection that counts, in order of rank."""
    truth = dataset.annotations
    truths, boxes = quarters(dataset, truth), quarters(dataset, found)
    crowd = truth.crowd.tolist()
    ignored = (truth.crowd | truth.ignore).tolist()
    taken: set[int] = set()
    rows = []
    for row in ranked(dataset, found, class_id, least):
        here = [
            t for t in range(len(truth)) if truth.image_row[t] == found.image_row[row] and truth.class_id[t] == class_id
        ]
        values = {t: overlap(boxes[row], truths[t], crowd[t]) for t in here}
        best = choose(values, threshold, taken, (crowd, ignored))
        if best is not None:
            taken.add(best)
        if best is None or not ignored[best]:
            rows.append((float(found.score[row]), best is not None))
    return rows


def reordered(rows: list[tuple[float, bool]], ties: str) -> list[bool]:
    if ties == "in-order":
        return [hit for _, hit in rows]
    runs = [sorted((hit for _, hit in run), reverse=ties == "hits-first") for _, run in groupby(rows, lambda r: r[0])]
    return [hit for run in runs for hit in run]


def exact_average_precision(hits: list[bool], truth: int, reading: str) -> Fraction:
    points, found = [], 0
    for seen, hit in enumerate(hits, start=1):
        found += hit
        points.append((Fraction(found, truth), Fraction(found, seen)))
    if reading == "all-point":
        steps = zip([Fraction(0), *(recall for recall, _ in points)], points, range(len(points)), strict=False)
        return sum(((r - old) * max(p for _, p in points[i:]) for old, (r, _), i in steps), Fraction(0))
    levels = np.linspace(0, 1, 101) if reading == "coco-101" else np.arange(11) / 10
    best = [max((p for r, p in points if float(r) >= level), default=Fraction(0)) for level in levels.tolist()]
    return sum(best, Fraction(0)) / len(levels)


@st.composite
def sets(draw: st.DrawFn) -> tuple[BoxDataset, Detections]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pictures, truths, found, classes = (draw(st.integers(1, most)) for most in (3, 8, 16, 2))
    truth, detected = random_set(
        rng, pictures=pictures, truths=truths, found=found, classes=classes, scores=draw(st.sampled_from([2, 5, 1000]))
    )
    share = draw(st.sampled_from([0.0, 0.3]))
    crowd, ignore = rng.random((2, truths)) < share
    return marked(truth, crowd=crowd, ignore=ignore), detected


@pytest.mark.parametrize("matching", ["coco", "voc"])
@pytest.mark.parametrize("ties", TIES)
@given(sets(), st.sampled_from(["coco-101", "all-point", "11-point"]), st.sampled_from(IOU_THRESHOLDS.tolist()))
@settings(deadline=None, max_examples=40)
def test_average_precision_is_the_exact_one(
    matching: str, ties: str, both: tuple[BoxDataset, Detections], reading: str, threshold: float
) -> None:
    truth, found = both
    everywhere = {"all": np.ones(len(truth.images), np.bool_)}
    ours = average_precisions(
        candidates(truth, found, matching=matching), everywhere, reading, ties=ties, thresholds=np.array([threshold])
    )["all"][0]
    choose = coco_choice if matching == "coco" else voc_choice
    for class_id, value in enumerate(ours.tolist()):
        marks = truth.annotations
        objects = int(((marks.class_id == class_id) & ~marks.crowd & ~marks.ignore).sum())
        if not objects:
            assert np.isnan(value)
            continue
        hits = reordered(outcomes(truth, found, class_id, threshold, choose, -1.0), ties)
        assert value == pytest.approx(float(exact_average_precision(hits, objects, reading)), abs=1e-12)


@given(sets())
@settings(deadline=None, max_examples=60)
def test_the_reference_preset_is_the_protocol_of_the_reference(both: tuple[BoxDataset, Detections]) -> None:
    truth, found = marked(both[0]), both[1]
    figures = evaluate_splits(truth, found, preset_settings("reference", resamples=0), splits=["all"]).splits["all"]
    for class_id, one in enumerate(figures.classes.values()):
        rows = outcomes(truth, found, class_id, 0.5, voc_choice, 0.5)
        objects = int((truth.annotations.class_id == class_id).sum())
        hits = reordered(rows, "hits-first")
        assert (one.tp, one.fp, one.fn) == (sum(hits), len(hits) - sum(hits), objects - sum(hits))
        if objects:
            assert one.ap50 == pytest.approx(float(exact_average_precision(hits, objects, "all-point")), abs=1e-12)


@given(sets(), st.sampled_from(["coco", "voc"]))
@settings(deadline=None, max_examples=40)
def test_the_ties_hold_the_figure_between_them(both: tuple[BoxDataset, Detections], matching: str) -> None:
    split = evaluate_splits(*both, ScoreSettings(matching=matching, resamples=0), splits=["all"]).splits["all"]
    for figures in (split, *split.classes.values()):
        if figures.ap50 is not None:
            assert figures.ap50_ties.low - 1e-12 <= figures.ap50 <= figures.ap50_ties.high + 1e-12
