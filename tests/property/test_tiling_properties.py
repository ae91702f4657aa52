"""Tiles cover the picture, and what tiles see of an object becomes that object, once."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotations.errors import UsageError
from annotations.tables import Boxes
from detector.tiling import Scales, Tile, TileBoxes, Tiling, joined, tiles

sides = st.integers(1, 5000)
scales = st.sampled_from(["all", "whole", "tiles"])
overlaps = st.sampled_from([0.1, 0.25, 0.6])
few = settings(max_examples=25, deadline=None)
CANVAS = (64, 96)


def covered(parts: list[Tile], width: int, height: int) -> NDArray[np.int64]:
    """How many tiles hold each pixel of a picture's rows and columns, as an outer product would."""
    seen = np.zeros((height, width), np.int64)
    for part in parts:
        seen[part.top : part.top + part.height, part.left : part.left + part.width] += 1
    return seen


@few
@given(st.integers(1, 700), st.integers(1, 700), scales, overlaps, st.sampled_from([0, 32, 300]))
def test_tiles_cover_the_picture_and_stay_in_it(
    width: int, height: int, how: Scales, overlap: float, size: int
) -> None:
    parts = tiles(width, height, Tiling(size, overlap, how), CANVAS)
    assert len(set(parts)) == len(parts)
    for part in parts:
        assert part.left >= 0
        assert part.top >= 0
        assert part.left + part.width <= width
        assert part.top + part.height <= height
    finest = [part for part in parts if part[2:] == parts[0][2:]]
    assert covered(finest, width, height).min() > 0
    assert (Tile(0, 0, width, height) in parts) or how == "tiles"


@few
@given(sides, sides, overlaps, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_an_object_of_any_size_lies_whole_in_a_tile_where_all_scales_are_seen(
    width: int, height: int, overlap: float, size: float, x: float, y: float
) -> None:
    # As wide as high, up to the shorter side: at a pixel less for the tiles' rounding.
    side = size * (min(width, height) - 1)
    left, top = x * (width - side), y * (height - side)
    parts = tiles(width, height, Tiling(0, overlap), CANVAS)
    box = np.array([left, top, left + side, top + side])
    frames = ((part, np.array(part[:2]), np.array(part[:2]) + part[2:]) for part in parts)
    holding = [part for part, low, high in frames if (low <= box[:2]).all() and (box[2:] <= high).all()]
    assert holding
    # Not in the whole picture alone: in a tile that magnifies it as far as the overlap lets it be whole.
    smallest = min(part.width for part in holding)
    assert smallest <= max(96, 2 * 1.5 * (side + 2) / min(overlap, 0.5) * 1.5)


def grid_objects(seed: int, width: int, height: int, cell: int) -> Boxes:
    """(N, 4) boxes on the quarter-pixel grid, one in each square of `cell` pixels or none: they never touch."""
    rng = np.random.default_rng(seed)
    boxes = []
    for top in range(0, height - cell + 1, cell):
        for left in range(0, width - cell + 1, cell):
            if rng.random() < 0.6:
                start = rng.integers(4, cell, 2) / 4
                end = start + rng.integers(2 * cell, 4 * cell - 8 - 4 * start.max(), 2) / 4
                boxes.append([left + start[0], top + start[1], left + end[0], top + end[1]])
    return np.array(boxes, np.float64).reshape(-1, 4)


def seen(parts: list[Tile], truth: Boxes, rng: np.random.Generator, jitter: float = 0.0) -> TileBoxes:
    """What a faultless detector says of each tile: every object that shows a pixel, cut at the tile's edges."""
    boxes, tile = [], []
    for number, part in enumerate(parts):
        edge = np.array([part.left, part.top, part.left + part.width, part.top + part.height], np.float64)
        cut = np.clip(truth + rng.uniform(-jitter, jitter, truth.shape), np.tile(edge[:2], 2), np.tile(edge[2:], 2))
        there = (cut[:, 2:] - cut[:, :2]).min(axis=1, initial=np.inf) >= 1
        boxes.append(cut[there])
        tile += [number] * int(there.sum())
    xyxy = np.concatenate(boxes)
    return TileBoxes(xyxy, rng.uniform(0.05, 1, len(xyxy)), np.zeros(len(xyxy), np.int64), np.array(tile, np.int64))


def by_place(boxes: Boxes) -> Boxes:
    return boxes[np.lexsort(boxes.T)]


@few
@given(st.integers(0, 2**32), scales, overlaps, st.sampled_from([16, 40, 75, 145]))
@example(0, "tiles", 0.1, 145)
def test_each_object_is_found_once_whole_whatever_its_size_and_wherever_the_seams(
    seed: int, how: Scales, overlap: float, cell: int
) -> None:
    truth = grid_objects(seed, 260, 150, cell)
    parts = tiles(260, 150, Tiling(0, overlap, how), CANVAS)
    found, rows = joined(seen(parts, truth, np.random.default_rng(seed)), parts, 0.5)
    np.testing.assert_array_equal(by_place(found), by_place(truth))
    assert len(rows) == len(truth)


@few
@given(st.integers(0, 2**32), scales)
@example(336319760, "all")
def test_tiles_that_do_not_quite_agree_still_find_each_object_once(seed: int, how: Scales) -> None:
    truth = grid_objects(seed, 260, 150, 50)
    parts = tiles(260, 150, Tiling(0, 0.25, how), CANVAS)
    found, _ = joined(seen(parts, truth, np.random.default_rng(seed), jitter=0.75), parts, 0.5)
    assert len(found) == len(truth)
    # United of pieces that are each off by up to 0.75 pixels.
    np.testing.assert_allclose(by_nearest(found, truth), truth, atol=2.0)


def by_nearest(found: Boxes, truth: Boxes) -> Boxes:
    """The rows of `found`, each beside the truth whose middle it is nearest to."""
    middle = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (found, truth)]
    gap = np.square(middle[1][:, None] - middle[0][None]).sum(axis=2)
    return found[gap.argmin(axis=1)] if len(truth) else found


@few
@given(st.integers(0, 2**32))
def test_the_order_of_rows_does_not_matter_where_scores_differ(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = tiles(260, 150, Tiling(), CANVAS)
    boxes = seen(parts, grid_objects(seed, 260, 150, 50), rng, jitter=4.0)
    order = rng.permutation(len(boxes.tile))
    mixed = TileBoxes(boxes.xyxy[order], boxes.score[order], boxes.class_id[order], boxes.tile[order])
    np.testing.assert_array_equal(joined(boxes, parts, 0.5)[0], joined(mixed, parts, 0.5)[0])


@few
@given(st.integers(0, 2**32))
def test_what_is_left_is_free_of_overlaps_and_what_is_gone_has_a_surer_one(seed: int) -> None:
    # Boxes that no edge cuts: plain suppression, against the rule itself.
    rng = np.random.default_rng(seed)
    parts = [Tile(0, 0, 100, 100)] * 3
    start = rng.integers(5, 60, (3, 8, 2))
    # Within a tile none overlap: a row of boxes, as suppression leaves them.
    xyxy = np.concatenate([start, start + rng.integers(10, 30, (3, 8, 2))], axis=2).astype(np.float64).reshape(-1, 4)
    frame = np.repeat(np.arange(3), 8)
    found = TileBoxes(xyxy, rng.permutation(24) / 24, rng.integers(0, 2, 24), frame)
    kept = set(joined(found, parts, 0.4)[1].tolist())
    for row in range(24):
        surer = [
            k for k in kept
            if found.score[k] > found.score[row] and found.class_id[k] == found.class_id[row]
            and frame[k] != frame[row] and one_iou(xyxy[k], xyxy[row]) > 0.4
        ]  # fmt: skip
        assert (row in kept) == (not surer)


def one_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    overlap = float(np.maximum(sides, 0).prod())
    return overlap / float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap)


def test_a_piece_that_a_tile_around_it_does_not_know_of_is_dropped() -> None:
    parts = tiles(164, 64, Tiling(0, 0.25, "tiles"), CANVAS)
    assert parts == [Tile(0, 0, 96, 64), Tile(68, 0, 96, 64)]
    one = np.zeros(1, np.int64)
    piece = TileBoxes(np.array([[80.0, 10, 96, 30]]), np.ones(1), one, one)
    assert len(joined(piece, parts, 0.5)[1]) == 0
    # The other tile has no more than a part of this one: it may be an object larger than what both see.
    large = TileBoxes(np.array([[20.0, 10, 96, 30]]), np.ones(1), one, one)
    assert joined(large, parts, 0.5)[0].tolist() == [[20, 10, 96, 30]]


def test_classes_are_joined_apart() -> None:
    parts = [Tile(0, 0, 96, 64), Tile(68, 0, 96, 64)]
    xyxy = np.array([[70.0, 10, 90, 30], [70, 10, 90, 30]])
    found = TileBoxes(xyxy, np.array([0.4, 0.9]), np.array([1, 0]), np.array([0, 1]))
    assert joined(found, parts, 0.5)[1].tolist() == [1, 0]


def test_no_boxes_give_no_boxes() -> None:
    nothing = TileBoxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    xyxy, rows = joined(nothing, tiles(260, 150, Tiling(), CANVAS), 0.5)
    assert xyxy.shape == (0, 4)
    assert rows.shape == (0,)


def test_a_panorama_has_tiles_in_the_hundreds_and_a_small_picture_one() -> None:
    assert tiles(96, 64, Tiling(), CANVAS) == [Tile(0, 0, 96, 64)]
    assert tiles(96, 64, Tiling(scales="tiles"), CANVAS) == [Tile(0, 0, 96, 64)]
    # A third more for all the halvings together.
    counts = [len(tiles(30_000, 1_000, Tiling(640, 0.25, how), (416, 416))) for how in ("tiles", "whole", "all")]
    assert counts == [63 * 2, 126 + 1, 127 + 31 + 16 + 8 + 4]


@pytest.mark.parametrize("values", [{"size": 31}, {"size": -1}, {"overlap": 0.0}, {"overlap": 0.8}])
def test_a_tiling_that_cannot_be_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=rf"tiling: {next(iter(values))} must be "):
        Tiling(**values)  # type: ignore[arg-type]
