"""Cells and letterboxes: where things lie in the network's input."""

import numpy as np
import pytest

from detector.cells import OBJECT_PRIOR, OBJECT_STRIDES, Cells, cells, grid_size
from detector.letterbox import GREY, Placement, letterbox, place


@pytest.mark.parametrize(("side", "stride", "count"), [(64, 8, 8), (65, 8, 9), (416, 64, 7), (1, 32, 1)])
def test_grid_size_covers_the_side(side: int, stride: int, count: int) -> None:
    assert grid_size(side, stride) == count


def test_cells_count_rows_before_columns_level_after_level() -> None:
    # 416 / 64 = 6.5: the last cell of that level reaches over the edge.
    grid = cells((416, 256), OBJECT_STRIDES, OBJECT_PRIOR)
    assert len(grid) == 52 * 32 + 26 * 16 + 13 * 8 + 7 * 4
    assert grid.centre[:2].tolist() == [[4, 4], [12, 4]]
    assert grid.centre[32].tolist() == [4, 12]
    assert grid.centre[-1].tolist() == [3.5 * 64, 6.5 * 64]
    assert np.unique(grid.stride).tolist() == list(OBJECT_STRIDES)
    assert (grid.prior == grid.stride * OBJECT_PRIOR).all()


def test_cells_have_one_column_length() -> None:
    grid = cells((96, 64), (8, 32), 2.0)
    assert isinstance(grid, Cells)
    assert grid.centre.shape == (len(grid), 2)
    assert grid.prior.shape == (len(grid),)
    assert grid.centre.dtype == grid.stride.dtype == grid.prior.dtype == np.float32


@pytest.mark.parametrize(
    ("size", "canvas", "expected"),
    [
        ((100, 50), (64, 64), Placement(100, 50, 64, 32, 0, 16)),
        ((50, 100), (64, 96), Placement(50, 100, 32, 64, 32, 0)),
        ((64, 64), (64, 64), Placement(64, 64, 64, 64, 0, 0)),
        ((1, 1), (64, 96), Placement(1, 1, 64, 64, 16, 0)),
        # Thinner than a pixel of the canvas: still one pixel wide.
        ((10_000, 1), (64, 64), Placement(10_000, 1, 64, 1, 0, 31)),
        ((1, 10_000), (64, 64), Placement(1, 10_000, 1, 64, 31, 0)),
    ],
)
def test_letterbox_is_as_large_as_fits_and_centred(
    size: tuple[int, int], canvas: tuple[int, int], expected: Placement
) -> None:
    assert letterbox(*size, canvas) == expected


def test_forward_maps_the_picture_onto_its_place() -> None:
    corners = np.array([[0.0, 0.0, 100.0, 50.0]])
    assert letterbox(100, 50, (64, 64)).forward(corners).tolist() == [[0, 16, 64, 48]]


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (640, 480), (40_000, 2)])
def test_place_fills_the_place_and_pads_the_rest(size: tuple[int, int]) -> None:
    canvas = (64, 96)
    placement = letterbox(*size, canvas)
    result = place(np.full((size[1], size[0], 3), 200, np.uint8), placement, canvas)
    expected = np.full((*canvas, 3), GREY, np.uint8)
    rows = slice(placement.top, placement.top + placement.new_height)
    expected[rows, placement.left : placement.left + placement.new_width] = 200
    np.testing.assert_array_equal(result, expected)


def test_place_cuts_what_lies_outside_the_canvas() -> None:
    picture = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    result = place(picture, Placement(8, 8, 8, 8, -3, 2), (4, 4))
    assert (result[:2] == GREY).all()
    np.testing.assert_array_equal(result[2:], picture[:2, 3:7])


@pytest.mark.parametrize("at", [(4, 0), (0, 4), (-8, 0), (0, -8)])
def test_place_outside_the_canvas_leaves_padding_only(at: tuple[int, int]) -> None:
    result = place(np.zeros((8, 8, 3), np.uint8), Placement(8, 8, 8, 8, *at), (4, 4))
    assert (result == GREY).all()


def test_place_averages_when_it_shrinks() -> None:
    # A pattern of single columns: sampling would give black or white, averaging gives their mean.
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    result = place(stripes, letterbox(64, 64, (16, 16)), (16, 16))
    assert (result == 100).all()
