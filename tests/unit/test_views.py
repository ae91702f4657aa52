"""Several looks at one picture: boxes come back to where they are, and all have a say."""

from dataclasses import replace

import numpy as np
import pytest

from annotations.errors import UsageError
from annotations.tables import NO_PARENT
from detector.augment import turned
from detector.cells import cells
from detector.decoding import Branch, decode_image
from detector.letterbox import letterbox
from detector.settings import CLASSIC, Settings
from detector.views import UPRIGHT, View, in_views, seen_from, seen_views, turned_back, upright, views

SETTINGS = Settings(input=(64, 64), score_floor=0.1)
EVERY = [View(quarters, mirror) for quarters in range(4) for mirror in (False, True)]
BOX = np.array([[3.0, 10.0, 20.0, 15.0]])
ERRORS = np.array([[1.0, 2.0, 3.0, 4.0]])


@pytest.mark.parametrize("view", EVERY)
def test_a_box_of_a_turned_picture_comes_back_with_its_errors(view: View) -> None:
    # The place that training's own turn gives it; its errors are marked by how far the box lies from the edges.
    _, seen = turned(np.zeros((64, 64, 3), np.uint8), BOX, view.quarters, mirror=view.mirror)
    _, grown = turned(np.zeros((64, 64, 3), np.uint8), BOX + ERRORS * [-1, -1, 1, 1], view.quarters, mirror=view.mirror)
    boxes, errors = turned_back(seen, np.abs(grown - seen), view, (64, 64))
    np.testing.assert_array_equal(boxes, BOX)
    np.testing.assert_array_equal(errors, ERRORS)


@pytest.mark.parametrize("view", [View(2, mirror=False), View(0, mirror=True), View(2, mirror=True)])
def test_a_box_comes_back_in_an_input_that_is_not_square(view: View) -> None:
    _, seen = turned(np.zeros((32, 64, 3), np.uint8), BOX, view.quarters, mirror=view.mirror)
    np.testing.assert_array_equal(turned_back(seen, ERRORS, view, (32, 64))[0], BOX)


@pytest.mark.parametrize("view", EVERY)
def test_pictures_are_turned_as_in_training(view: View) -> None:
    pictures = np.random.default_rng(1).integers(0, 255, (2, 6, 6, 3), np.uint8)
    told = seen_from(pictures, view)
    for picture, one in zip(pictures, told, strict=True):
        np.testing.assert_array_equal(one, turned(picture, BOX, view.quarters, mirror=view.mirror)[0])
    assert told.flags["C_CONTIGUOUS"]


def test_views_are_those_that_the_training_has_seen() -> None:
    assert views(1, SETTINGS) == (UPRIGHT,)
    assert views(4, SETTINGS) == tuple(View(quarters, mirror=False) for quarters in (0, 2, 1, 3))
    assert set(views(8, SETTINGS)) == set(EVERY)
    assert views(4, replace(SETTINGS, input=(128, 64))) == tuple(
        View(quarters, mirror) for mirror in (False, True) for quarters in (0, 2)
    )
    assert seen_views(replace(SETTINGS, rotate=False)) == (UPRIGHT, View(0, mirror=True))
    assert seen_views(replace(SETTINGS, augment=False)) == seen_views(CLASSIC) == (UPRIGHT,)


@pytest.mark.parametrize(
    ("count", "settings", "possible"),
    [
        (3, SETTINGS, "1, 2, 4, 8"),
        (0, SETTINGS, "1, 2, 4, 8"),
        (8, replace(SETTINGS, flip=False), "1, 2, 4"),
        (2, replace(SETTINGS, flip=False, rotate=False), "1"),
    ],
)
def test_other_numbers_of_views_are_refused(count: int, settings: Settings, possible: str) -> None:
    with pytest.raises(UsageError, match=f"number must be one of {possible} for this run .*got {count}"):
        views(count, settings)


def test_what_is_said_of_all_views_stands_one_after_another() -> None:
    pictures = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    look = in_views(lambda seen: {"boxes": seen[:, 0, :2, :].astype(np.float32)}, [UPRIGHT, View(2, mirror=False)])
    said = look(pictures)["boxes"]
    assert said.shape == (2, 4, 3)
    np.testing.assert_array_equal(said[:, :2], pictures[:, 0, :2])
    np.testing.assert_array_equal(said[:, 2:], pictures[:, 3, 3:1:-1])


GRID = cells((64, 64), (8,), 4.0)


def said(box: list[float], cell: int, logit: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    logits, raw = np.full((len(GRID), 1), -20.0, np.float32), np.zeros((len(GRID), 4), np.float32)
    distance = np.concatenate([GRID.centre[cell] - box[:2], box[2:] - GRID.centre[cell]])
    raw[cell], logits[cell] = np.log(distance / (GRID.prior[cell] / 2)), logit
    return logits, raw


def found(told: list[tuple[np.ndarray, np.ndarray]], seen: list[View]):  # type: ignore[type-arg, no-untyped-def]  # noqa: ANN201
    boxes, errors = upright(np.concatenate([raw for _, raw in told]), GRID, seen, (64, 64))
    branch = Branch(np.arange(1), np.concatenate([logits for logits, _ in told]), boxes, errors, len(seen))
    return decode_image([branch], letterbox(64, 64, (64, 64)), {}, SETTINGS)


def test_views_that_say_the_same_say_what_one_says() -> None:
    # Cell 9 is at (12, 12); turned by a half it is cell 54, at (52, 52).
    seen = [UPRIGHT, View(2, mirror=False)]
    told = found([said([4, 6, 20, 24], 9, 1.0), said([44, 40, 60, 58], 54, 1.0)], seen)
    alone = found([said([4, 6, 20, 24], 9, 1.0)], [UPRIGHT])
    np.testing.assert_allclose(told.xyxy, alone.xyxy, atol=1e-4)
    np.testing.assert_allclose(told.xyxy, [[4, 6, 20, 24]], atol=1e-4)
    np.testing.assert_allclose(told.score, alone.score)
    np.testing.assert_allclose(told.support, alone.support)


def test_each_view_has_its_own_share_of_the_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.decoding.MOST_CANDIDATES", 1)
    one = found([said([4, 6, 20, 24], 9, 1.0), said([44, 40, 60, 58], 54, 1.0)], [UPRIGHT, View(2, mirror=False)])
    np.testing.assert_allclose(one.score, [1 / (1 + np.exp(-1))])


def test_views_are_averaged_and_what_only_one_sees_is_half_as_sure() -> None:
    seen = [UPRIGHT, View(2, mirror=False)]
    # The other view has the box two pixels to the right, as sure and with the same errors: they meet half way.
    told = found([said([4, 6, 20, 24], 9, 1.0), said([44, 40, 60, 58], 54, -9.0)], seen)
    np.testing.assert_allclose(told.score, [0.5 / (1 + np.exp(-1))])
    np.testing.assert_allclose(told.xyxy, [[4, 6, 20, 24]], atol=1e-4)
    both = found([said([4, 6, 20, 24], 9, 1.0), said([44, 42, 60, 60], 54, 1.0)], seen)
    assert 4 < both.xyxy[0, 1] < 6
    assert 22 < both.xyxy[0, 3] < 24
    assert both.parent.tolist() == [NO_PARENT]
