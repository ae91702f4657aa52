"""Steps and epochs where the data changes on the way."""

from dataclasses import replace

import pytest
from detector_numpy import SETTINGS

from detector.checkpoint import Progress
from detector.course import Course
from detector.saving import spared_steps
from detector.schedules import Watched, learning_rate
from detector.stretch import course, on_data

ROWS = tuple({"epoch": epoch, "step": 10 * epoch} for epoch in (1, 2, 3))


def test_a_course_without_a_change_counts_as_ever() -> None:
    way = Course(30, 10)
    assert [way.place(step) for step in (0, 7, 30)] == [0, 7, 30]
    assert [way.epoch(step) for step in (1, 9, 10, 11, 30)] == [1, 1, 1, 2, 3]
    assert [step for step in range(31) if way.ends_epoch(step)] == [10, 20, 30]
    assert way.even() == way


def test_a_changed_course_goes_on_from_the_epoch_that_was_finished() -> None:
    # 2 epochs of 10 steps, 3 steps of the third, then epochs of 4 steps: the third begins anew.
    way = Course(23 + 8, 4, begun_step=23, begun_epoch=2)
    assert [way.epoch(step) for step in (24, 27, 28, 31)] == [3, 3, 4, 4]
    assert [step for step in range(32) if way.ends_epoch(step)] == [27, 31]
    assert [way.place(step) for step in (23, 24, 31)] == [8, 9, 16]
    assert way.even() == Course(16, 4)


@pytest.mark.parametrize("schedule", ["cosine", "step", "inverse-time", "restarts"])
def test_other_data_leaves_the_rate_where_it_was_in_epochs(schedule: str) -> None:
    settings = SETTINGS.changed(
        {"schedule": schedule, "epochs": 8, "batch": 1, "warmup_steps": 0, "decay_epochs": 2, "cycle_epochs": 3},
        "tests",
    )
    before = Progress(step=50, history=(*ROWS, {"epoch": 4, "step": 40}, {"epoch": 5, "step": 50}))
    before = on_data(before, "a", 10)
    old, new = course(10, settings, before), course(40, settings, on_data(before, "b", 40))
    assert (new.total, new.begun_step, new.begun_epoch) == (50 + 3 * 40, 50, 5)
    rates = [learning_rate(settings, way.place(50), way.even(), Watched()) for way in (old, new)]
    assert rates[1] == pytest.approx(rates[0])
    half = [learning_rate(settings, way.place(50 + way.per_epoch // 2), way.even(), Watched()) for way in (old, new)]
    assert half[1] == pytest.approx(half[0])


def test_the_same_data_changes_nothing() -> None:
    once = on_data(Progress(step=7, best_step=3, best_score=0.5, images=4, sums={"loss": 1.0}), "a", 10)
    assert on_data(once, "a", 10) == once
    assert replace(once, stretch=None) == Progress(step=7, best_step=3, best_score=0.5, images=4, sums={"loss": 1.0})


def test_other_data_begins_an_epoch_and_forgets_the_scores_on_other_images() -> None:
    watched = {"best": 0.5, "waited": 2, "plateaus": 1, "begun": 20, "high": 0.5}
    before = on_data(
        Progress(
            step=33, images=6, seconds=2.0, sums={"loss": 1.0}, history=ROWS, best_step=20, best_score=0.5,
            watched=watched,
        ),
        "a", 10,
    )  # fmt: skip
    after = on_data(before, "b", 30)
    assert after.stretch == {"data": "b", "per_epoch": 30, "step": 33, "epoch": 3}
    assert (after.images, after.seconds, after.sums) == (0, 0.0, None)
    # Still the best to predict with, until an epoch on the new data has ended.
    assert (after.best_step, after.best_score) == (20, None)
    assert after.watched == {"best": None, "waited": 0, "plateaus": 1, "begun": 60, "high": 0.5}
    # A kill before the first save on the new data: the same again.
    assert on_data(before, "b", 30) == after
    assert on_data(after, "b", 30) == after


def test_steps_in_all_stay_those_that_were_asked_for() -> None:
    settings = replace(SETTINGS, total_steps=100, batch=1)
    progress = on_data(on_data(Progress(step=33, history=ROWS), "a", 10), "b", 30)
    assert course(30, settings, progress).total == 100


def test_the_best_and_every_nth_epoch_are_spared() -> None:
    progress = Progress(step=33, history=ROWS, best_step=10)
    assert spared_steps(progress, SETTINGS) == {10}
    assert spared_steps(progress, replace(SETTINGS, keep_every=2)) == {10, 20}
    assert spared_steps(replace(progress, best_step=None), replace(SETTINGS, keep_every=3)) == {30}
