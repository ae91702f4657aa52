"""Every image exactly once an epoch, whatever the sizes; suppression as the definition says it."""

from itertools import pairwise

import numpy as np
import pytest
from detector_samples import quarter_boxes
from hypothesis import given
from hypothesis import strategies as st

from annotations.tables import Boxes
from detector.order import batch_rows, sample_generator, steps_per_epoch
from detector.schedules import Course, learning_rate
from detector.settings import Schedule, Settings
from detector.suppression import keep_surest

seeds = st.integers(0, 2**40)


@given(seeds, st.integers(1, 60), st.integers(1, 70), st.integers(0, 5))
def test_an_epoch_holds_every_image_exactly_once(seed: int, images: int, batch: int, epoch: int) -> None:
    steps = steps_per_epoch(images, batch)
    parts = [batch_rows(seed, epoch * steps + part, images, batch) for part in range(steps)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(images))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    assert max(sizes) <= batch


@given(seeds, st.integers(0, 1000))
def test_batches_are_a_function_of_seed_and_step(seed: int, step: int) -> None:
    # Asked for in another order, they are the same.
    later = batch_rows(seed, step + 1, 37, 8)
    first = batch_rows(seed, step, 37, 8)
    np.testing.assert_array_equal(batch_rows(seed, step + 1, 37, 8), later)
    np.testing.assert_array_equal(batch_rows(seed, step, 37, 8), first)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {(seed, epoch): tuple(batch_rows(seed, epoch, 50, 50)) for seed in range(5) for epoch in range(5)}
    assert len(set(orders.values())) == 25


def test_random_changes_differ_by_seed_epoch_and_image_and_from_the_order() -> None:
    draws = {
        sample_generator(seed, epoch, row).random() for seed in range(3) for epoch in range(3) for row in range(3)
    } | {np.random.default_rng((seed, epoch)).random() for seed in range(3) for epoch in range(3)}
    assert len(draws) == 27 + 9


def test_learning_rate_has_its_closed_form() -> None:
    settings = Settings(learning_rate=1.0, warmup_steps=10, final_rate=0.1)
    assert [learning_rate(settings, step, Course(110, 1)) for step in (0, 4, 9)] == [1 / 11, 5 / 11, 10 / 11]
    assert learning_rate(settings, 10, Course(110, 1)) == 1.0
    # Half way down: the mean of 1 and 0.1.
    assert learning_rate(settings, 60, Course(110, 1)) == pytest.approx(0.55)
    assert learning_rate(settings, 110, Course(110, 1)) == pytest.approx(0.1)
    assert learning_rate(settings, 1000, Course(110, 1)) == pytest.approx(0.1)


def test_constant_rate_stays_after_the_warm_up() -> None:
    settings = Settings(learning_rate=0.5, warmup_steps=2, schedule="constant")
    assert [learning_rate(settings, step, Course(100, 1)) for step in (2, 50, 99, 500)] == [0.5] * 4


@given(st.integers(1, 200), st.integers(0, 300), st.sampled_from(["cosine", "constant"]))
def test_learning_rate_rises_then_never_rises_again(total: int, warmup: int, schedule: Schedule) -> None:
    settings = Settings(warmup_steps=warmup, schedule=schedule)
    rates = [learning_rate(settings, step, Course(total, 1)) for step in range(total)]
    risen = min(warmup, total // 2)
    assert all(0 < rate <= settings.learning_rate for rate in rates)
    assert all(before < after for before, after in pairwise(rates[: risen + 1]))
    assert all(before >= after for before, after in pairwise(rates[risen:]))


def iou(a: Boxes, b: Boxes) -> float:
    overlap = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    return float(overlap / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap))


@given(quarter_boxes(12, 12, most=25), st.data(), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(1, 30))
def test_suppression_keeps_what_the_definition_keeps(
    boxes: Boxes, data: st.DataObject, threshold: float, most: int
) -> None:
    # Few different scores, so that many are equal.
    scores = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(boxes), max_size=len(boxes))), np.float64)
    expected: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda row: (-scores[row], row)):
        if all(iou(boxes[row], boxes[kept]) <= threshold for kept in expected):
            expected.append(row)
    assert keep_surest(boxes, scores, threshold, most).tolist() == expected[:most]


def test_suppression_lets_a_dropped_box_drop_nothing() -> None:
    # Each overlaps the next by 6 of 14 columns; the first and the third by 2 of 18.
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float64)
    assert keep_surest(boxes, np.array([0.9, 0.8, 0.7]), 0.4, 10).tolist() == [0, 2]


def test_suppression_of_boxes_without_area_divides_nothing_by_zero() -> None:
    boxes = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]], np.float64)
    assert keep_surest(boxes, np.array([0.9, 0.8, 0.7]), 0.5, 10).tolist() == [0, 1, 2]
