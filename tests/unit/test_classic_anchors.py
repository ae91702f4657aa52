"""The published network's anchors and box coding, against the reference's formulas worked by hand."""

from math import sqrt

import numpy as np
import pytest

from detector.classic_anchors import ANCHORS_A_CELL, LEVELS, PART_SHARE, RATIOS, SCALES, anchors, grids
from detector.classic_coding import decode, encode


def rounded(values: object) -> list[object]:
    return np.round(np.asarray(values, np.float64), 5).tolist()  # type: ignore[no-any-return]


def test_480_pixels_have_the_reference_s_grids_and_its_7260_anchors() -> None:
    assert grids((480, 480)) == [(30, 30), (15, 15), (8, 8), (4, 4), (2, 2), (1, 1)]
    assert len(anchors((480, 480))) == len(anchors((480, 480), PART_SHARE)) == 7260
    assert ANCHORS_A_CELL * (30 * 30 + 15 * 15 + 8 * 8 + 4 * 4 + 2 * 2 + 1) == 7260


def test_the_first_cell_s_six_anchors_have_the_sizes_of_the_formulas() -> None:
    first = anchors((480, 480))
    assert first.centre[:6].tolist() == [[8.0, 8.0]] * 6
    # 480 x 0.1 = 48 times sqrt(r), over sqrt(r); and 480 sqrt(0.1 x 0.2) = 67.88225.
    assert rounded(first.size[:6]) == [
        [27.71281, 83.13844],
        [33.94113, 67.88225],
        [48.0, 48.0],
        [67.88225, 33.94113],
        [83.13844, 27.71281],
        [67.88225, 67.88225],
    ]


def test_sizes_are_the_formulas_to_the_last_bit() -> None:
    # A small box inside of several anchors overlaps them equally but for rounding, which decides whose it is.
    for share, scales in ((1.0, SCALES), (PART_SHARE, [scale * 0.25 for scale in SCALES])):
        known = anchors((320, 480), share)
        level = np.cumsum([0, *(rows * columns * ANCHORS_A_CELL for rows, columns in grids((320, 480)))])
        for first, scale, after in zip(level[:-1], scales, scales[1:], strict=False):
            expected = [[480 * scale * sqrt(ratio), 320 * scale / sqrt(ratio)] for ratio in RATIOS]
            between = sqrt(scale * after)
            assert known.size[first : first + 6].tolist() == [*expected, [480 * between, 320 * between]]


def test_the_last_cell_s_anchors_reach_beyond_the_picture() -> None:
    last = anchors((480, 480))
    assert last.centre[-1].tolist() == [240.0, 240.0]
    # 480 x 0.88 = 422.4; 480 sqrt(0.88 x 1.05) = 480 x 0.96124919 = 461.39961.
    assert rounded(last.size[-4]) == [422.4, 422.4]
    assert rounded(last.size[-1]) == [461.39961, 461.39961]
    # 240 -+ 422.4 sqrt(3) / 2 and 422.4 / sqrt(3) / 2.
    assert rounded(last.xyxy[-2]) == [-125.80913, 118.06362, 605.80913, 361.93638]


def test_parts_have_anchors_a_quarter_as_large_at_the_same_places() -> None:
    objects, parts = anchors((480, 480)), anchors((480, 480), PART_SHARE)
    assert (objects.centre == parts.centre).all()
    np.testing.assert_allclose(parts.size, objects.size / 4, rtol=1e-14)
    assert rounded(parts.size[2]) == [12.0, 12.0]


def test_uneven_poolings_keep_the_centres_evenly_over_the_picture() -> None:
    # The third level of 480 pixels: 8 cells of 60, not of 64.
    first = ANCHORS_A_CELL * (30 * 30 + 15 * 15)
    row = anchors((480, 480)).centre[first : first + 8 * ANCHORS_A_CELL : ANCHORS_A_CELL]
    assert row[:, 0].tolist() == [30.0, 90.0, 150.0, 210.0, 270.0, 330.0, 390.0, 450.0]
    assert (row[:, 1] == 30.0).all()


@pytest.mark.parametrize("canvas", [(64, 160), (416, 96), (32, 32), (480, 640)])
def test_inputs_need_not_be_square(canvas: tuple[int, int]) -> None:
    found, sizes = anchors(canvas), grids(canvas)
    assert len(sizes) == LEVELS
    assert len(found) == ANCHORS_A_CELL * sum(rows * columns for rows, columns in sizes)
    first = found.centre[: sizes[0][0] * sizes[0][1] * ANCHORS_A_CELL : ANCHORS_A_CELL]
    expected = [(16 * x + 8, 16 * y + 8) for y in range(sizes[0][0]) for x in range(sizes[0][1])]
    assert first.tolist() == [list(xy) for xy in expected]
    # Sizes are shares of width and of height.
    assert rounded(found.size[2]) == [round(0.1 * canvas[1], 5), round(0.1 * canvas[0], 5)]


def test_offsets_have_the_values_of_the_formulas() -> None:
    # Anchor 2: centre (8, 8), 48 x 48. A box of 24 x 96 with its centre at (20, 14).
    third = anchors((480, 480)).of(np.array([2]))
    offsets = encode(np.array([[8.0, -34.0, 32.0, 62.0]]), third)
    assert rounded(offsets) == [[0.25, 0.125, -0.69315, 0.69315]]


def test_zero_offsets_are_the_anchors() -> None:
    known = anchors((64, 96))
    np.testing.assert_allclose(decode(np.zeros((len(known), 4)), known), known.xyxy, atol=1e-12)


def test_a_wild_network_s_boxes_are_finite() -> None:
    known = anchors((64, 96))
    assert np.isfinite(decode(np.full((len(known), 4), 1e30), known)).all()
    assert np.isfinite(decode(np.full((len(known), 4), -1e30), known)).all()


def test_anchors_cannot_be_changed_by_who_gets_them() -> None:
    with pytest.raises(ValueError, match="read-only"):
        anchors((64, 96)).size[0] = 0
