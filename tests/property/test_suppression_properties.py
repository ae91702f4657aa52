"""Non-maximum suppression against its definition, followed box by box."""

import numpy as np
from detector_samples import quarter_boxes
from hypothesis import given
from hypothesis import strategies as st

from annotations.tables import Boxes
from detector.suppression import keep_surest

thresholds = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def plain_iou(a: list[float], b: list[float]) -> tuple[float, float]:
    """Overlap and union of two boxes, exact on the quarter-pixel grid: their ratio is left to the caller."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height, sum(areas) - width * height


def by_definition(xyxy: Boxes, score: list[float], threshold: float, most: int) -> list[int]:
    kept: list[int] = []
    left = sorted(range(len(score)), key=lambda row: (-score[row], row))
    while left and len(kept) < most:
        surest, *left = left
        kept.append(surest)
        boxes = [xyxy[row].tolist() for row in range(len(score))]
        left = [row for row in left if not _beyond(*plain_iou(boxes[surest], boxes[row]), threshold)]
    return kept


def _beyond(overlap: float, union: float, threshold: float) -> bool:
    return overlap > threshold * union


@given(st.data(), quarter_boxes(20, 20, most=25), thresholds, st.sampled_from([1, 3, 100]))
def test_what_is_kept_is_what_the_definition_keeps(
    data: st.DataObject, boxes: Boxes, threshold: float, most: int
) -> None:
    # Few different scores: equal ones go by row.
    score = data.draw(st.lists(st.integers(0, 8), min_size=len(boxes), max_size=len(boxes)))
    kept = keep_surest(boxes, np.array(score, np.float64) / 8, threshold, most)
    assert kept.tolist() == by_definition(boxes, [value / 8 for value in score], threshold, most)


@given(quarter_boxes(20, 20, most=25), thresholds)
def test_suppressing_again_changes_nothing(boxes: Boxes, threshold: float) -> None:
    score = np.linspace(1, 0, len(boxes))
    once = boxes[keep_surest(boxes, score, threshold, 100)]
    np.testing.assert_array_equal(keep_surest(once, score[: len(once)], threshold, 100), np.arange(len(once)))


def test_boxes_without_area_are_dropped_by_none_and_drop_none() -> None:
    boxes = np.array([[5.0, 5, 5, 9], [5, 5, 5, 9], [0, 0, 10, 10]])
    assert keep_surest(boxes, np.array([0.9, 0.8, 0.7]), 0.0, 9).tolist() == [0, 1, 2]
