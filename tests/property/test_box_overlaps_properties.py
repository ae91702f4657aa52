"""Pairs of overlapping boxes found by sweeping are those found by comparing each with each."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotations.box_overlaps import overlapping_pairs, share_inside

# Few places on a quarter-pixel grid, so that boxes often meet, touch and coincide.
_PLACE = st.integers(0, 24).map(lambda value: value / 4)
_SIDE = st.integers(1, 16).map(lambda value: value / 4)


@st.composite
def keyed_boxes(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rows = draw(st.lists(st.tuples(st.integers(0, 2), _PLACE, _PLACE, _SIDE, _SIDE), max_size=14))
    key = np.array([row[0] for row in rows], np.int64)
    xyxy = np.array([[x, y, x + width, y + height] for _, x, y, width, height in rows], np.float64).reshape(-1, 4)
    return key, xyxy


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    both = max(width, 0) * max(height, 0)
    return float(both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both))


def _brute(key: NDArray[np.int64], xyxy: NDArray[np.float64], least: float) -> dict[tuple[int, int], float]:
    pairs = [(i, j) for i in range(len(key)) for j in range(i + 1, len(key)) if key[i] == key[j]]
    return {pair: iou for pair in pairs if (iou := _iou(xyxy[pair[0]], xyxy[pair[1]])) >= least}


@given(keyed_boxes(), st.sampled_from([0.1, 0.5, 0.7, 1.0]))
def test_overlapping_pairs_are_pairs_of_the_brute_search_with_its_iou(
    boxes: tuple[NDArray[np.int64], NDArray[np.float64]], least: float
) -> None:
    key, xyxy = boxes
    expected = _brute(key, xyxy, least)
    pairs, iou = overlapping_pairs(key, xyxy, least)
    got = {(int(a), int(b)): float(value) for (a, b), value in zip(pairs, iou, strict=True)}
    assert len(got) == len(pairs), "no pair stands twice"
    assert got.items() <= expected.items()


@given(keyed_boxes(), st.sampled_from([0.1, 0.5, 0.7, 1.0]))
def test_overlapping_pairs_name_every_box_but_the_last_of_a_heap(
    boxes: tuple[NDArray[np.int64], NDArray[np.float64]], least: float
) -> None:
    key, xyxy = boxes
    expected = _brute(key, xyxy, least)
    pairs, _ = overlapping_pairs(key, xyxy, least)
    # Each box that overlaps one that follows it from left to right (order of ties as given) stands in a pair.
    order = {row: place for place, row in enumerate(np.lexsort((xyxy[:, 0], key)).tolist())}
    firsts = {min(pair, key=order.__getitem__) for pair in expected}
    assert firsts <= {int(row) for row in pairs.ravel()}
    assert len(pairs) == len(firsts)


def test_overlapping_pairs_include_an_iou_that_equals_the_least() -> None:
    # Half of the second box is the first: 8 / 16.
    xyxy = np.array([[0.0, 0, 4, 2], [0, 0, 4, 4]])
    pairs, iou = overlapping_pairs(np.zeros(2, np.int64), xyxy, 0.5)
    assert (pairs.tolist(), iou.tolist()) == ([[0, 1]], [0.5])


@given(keyed_boxes())
def test_share_inside_is_one_in_itself_and_never_above(
    boxes: tuple[NDArray[np.int64], NDArray[np.float64]],
) -> None:
    _, xyxy = boxes
    np.testing.assert_array_equal(share_inside(xyxy, xyxy), np.ones(len(xyxy)))
    share = share_inside(xyxy, xyxy[::-1])
    assert ((share >= 0) & (share <= 1)).all()
