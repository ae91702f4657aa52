"""Prediction in tiles on real pixels, by a stand-in for the network that finds white rectangles."""

import numpy as np
import pytest
from numpy.typing import NDArray
from white_model import White

from detector.tiled import detect_tiled
from detector.tiling import Scales, Tiling


def scene(width: int, height: int, boxes: list[list[int]]) -> NDArray[np.uint8]:
    """White rectangles, each with a grey part in its upper left corner, on black."""
    picture = np.zeros((height, width, 3), np.uint8)
    for left, top, right, bottom in boxes:
        picture[top:bottom, left:right] = 255
        picture[top + 2 : (2 * top + bottom) // 3, left + 2 : (2 * left + right) // 3] = 200
    return picture


def iou(a: NDArray[np.float64], b: list[int]) -> float:
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a.tolist(), b)]
    return float(sides.prod() / (sum(areas) - sides.prod()))


# 24 pixels in 1,200: 2.6 in an input of 128, where nothing finds them. The last is larger than two tiles.
SMALL = [[94, 40, 118, 64], [300, 100, 324, 124], [500, 20, 524, 44], [1170, 170, 1194, 194]]
LARGE = [[700, 10, 980, 190]]


@pytest.mark.parametrize("how", ["all", "whole", "tiles"])
def test_small_and_large_objects_of_a_large_picture_are_found_once_with_their_parts(how: Scales) -> None:
    model, truth = White(), SMALL + LARGE
    picture = scene(1200, 200, truth)
    plain = model.detect([picture], model.predict)[0]
    assert [iou(box, LARGE[0]) > 0.8 for box in plain.xyxy[plain.class_id == 0]] == [True]
    found = detect_tiled(model, picture, model.predict, Tiling(scales=how))  # type: ignore[arg-type]
    whole = found.xyxy[found.class_id == 0]
    assert len(whole) == len(truth)
    for box in truth:
        assert max(iou(row, box) for row in whole) > 0.8
    # The large one's part is grey, and its white may be told apart from it in some tile only.
    owners = found.parent[(found.class_id == 1)]
    assert set(np.flatnonzero(found.class_id == 0)) == set(owners.tolist())
    assert (found.class_id[owners] == 0).all()
    assert (np.diff(found.class_id) >= 0).all()


def test_no_more_tiles_than_a_batch_go_to_the_network_at_once() -> None:
    model = White()
    detect_tiled(model, scene(1200, 200, SMALL), model.predict, Tiling(scales="tiles"))  # type: ignore[arg-type]
    # 1 + ceil(1072 / 96) columns, 2 rows.
    assert sum(model.batches) == 13 * 2
    assert max(model.batches) == 4


def test_a_picture_no_larger_than_a_tile_gives_what_the_plain_way_gives() -> None:
    model, picture = White(), scene(120, 90, [[10, 10, 60, 60]])
    plain = model.detect([picture], model.predict)[0]
    for tiling in (Tiling(), Tiling(scales="tiles")):
        found = detect_tiled(model, picture, model.predict, tiling)  # type: ignore[arg-type]
        for name in ("xyxy", "score", "class_id", "parent"):
            np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))


def test_small_tiles_magnify() -> None:
    model, tiny = White(), [[50, 50, 54, 54]]
    picture = np.zeros((120, 120, 3), np.uint8)
    picture[50:54, 50:54] = 255
    assert not len(model.detect([picture], lambda pictures: {"pictures": pictures // 2})[0].score)
    found = detect_tiled(model, picture, model.predict, Tiling(size=32))  # type: ignore[arg-type]
    assert [iou(box, tiny[0]) > 0.6 for box in found.xyxy[found.class_id == 0]] == [True]


def test_an_empty_picture_gives_no_rows() -> None:
    model = White()
    found = detect_tiled(model, np.zeros((300, 900, 3), np.uint8), model.predict, Tiling())  # type: ignore[arg-type]
    assert found.xyxy.shape == (0, 4)
    assert found.parent.shape == (0,)
