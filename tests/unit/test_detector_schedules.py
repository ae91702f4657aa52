"""Learning rates against their closed forms, and what the watching schedules remember."""

import json
import math
from dataclasses import asdict, replace
from typing import get_args

import pytest

from detector.schedules import Course, Watched, after_epoch, learning_rate
from detector.settings import Schedule, Settings

COURSE = Course(total=110, per_epoch=10)
PLAIN = Settings(learning_rate=1.0, warmup_steps=10, final_rate=0.1, decay_rate=0.5, decay_epochs=2, cycle_epochs=2)


def rates(settings: Settings, steps: list[int], course: Course = COURSE) -> list[float]:
    return [learning_rate(settings, step, course) for step in steps]


def test_inverse_time_has_its_closed_form() -> None:
    # r t / D with r = 0.5 and D = 20: at t = 40, 1 / (1 + 1).
    assert rates(replace(PLAIN, schedule="inverse-time"), [10, 30, 50, 110]) == [1.0, 1 / 1.5, 1 / 2, 1 / 3.5]


def test_step_keeps_a_share_every_decay_epochs() -> None:
    assert rates(replace(PLAIN, schedule="step"), [10, 29, 30, 49, 50, 70]) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.125]


def test_restarts_begin_again_after_longer_and_longer_cycles() -> None:
    settings = replace(PLAIN, schedule="restarts", cycle_factor=2.0)
    # Cycles of 20, 40 and 80 steps after a warm-up of 10.
    assert rates(settings, [10, 30, 70]) == [1.0, 1.0, 1.0]
    assert rates(settings, [20, 50, 110]) == pytest.approx([0.55] * 3)
    last = 0.1 + 0.9 * (1 + math.cos(math.pi * 39 / 40)) / 2
    assert rates(settings, [69]) == pytest.approx([last])


def told(settings: Settings, scores: list[float | None], course: Course = COURSE) -> list[Watched]:
    """Return what is remembered after each epoch with these scores."""
    states = [Watched()]
    for epoch, score in enumerate(scores, start=1):
        states.append(after_epoch(settings, states[-1], score, epoch * course.per_epoch, course))
    return states


def test_plateau_lowers_the_rate_after_patience_epochs_without_a_better_score() -> None:
    settings = replace(PLAIN, schedule="plateau", patience=2)
    states = told(settings, [0.1, 0.2, 0.2, None, 0.1, 0.1, 0.3, 0.1, 0.1])
    shares = [learning_rate(settings, 10 * (epoch + 1), COURSE, state) for epoch, state in enumerate(states)]
    #         0    .1   .2   .2   None .1    .1   .3     .1    .1 -> not below final_rate
    assert shares == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    low = replace(settings, final_rate=0.2)
    assert learning_rate(low, 100, COURSE, replace(states[-1], plateaus=9)) == 0.2


def test_kicks_rise_on_a_plateau_and_fall_to_a_lower_minimum() -> None:
    settings = replace(PLAIN, schedule="kicks", patience=3, kick=1.0, kick_cap=0.8, kick_floor=0.5)
    states = told(settings, [0.1, 0.1, 0.1, 0.1])
    # The cosine of 20 steps begins at step 10 and stands at 0.1 from step 30 on; the plateau is told at step 40.
    assert learning_rate(settings, 20, COURSE, states[2]) == pytest.approx(0.55)
    assert learning_rate(settings, 39, COURSE, states[3]) == pytest.approx(0.1)
    assert states[4] == Watched(best=0.1, waited=0, plateaus=1, begun=40, high=pytest.approx(0.2))
    assert learning_rate(settings, 40, COURSE, states[4]) == pytest.approx(0.2)
    assert learning_rate(settings, 50, COURSE, states[4]) == pytest.approx((0.2 + 0.05) / 2)
    assert learning_rate(settings, 90, COURSE, states[4]) == pytest.approx(0.05)
    # Kicked from high up, the rate stops at the cap.
    high = after_epoch(replace(settings, final_rate=0.7), Watched(best=1.0, waited=2), 0.5, 30, COURSE)
    assert high.high == 0.8


def test_a_kick_waits_for_the_cosine_to_come_to_its_lower_minimum() -> None:
    settings = replace(PLAIN, schedule="kicks", patience=1, cycle_epochs=3, kick=1.0, kick_floor=0.5)
    states = told(settings, [0.1] * 8)
    # The cosines of 30 steps begin at 10, 40 and 70.
    assert [state.begun for state in states] == [None, None, None, None, 40, 40, 40, 70, 70]
    lows = [learning_rate(settings, step, COURSE, states[step // 10]) for step in (39, 69)]
    assert lows == pytest.approx([0.1, 0.05], abs=0.003)
    assert learning_rate(settings, 40, COURSE, states[4]) == pytest.approx(0.2)


def test_no_plateau_is_told_within_the_warm_up() -> None:
    settings = replace(PLAIN, schedule="plateau", patience=1, warmup_steps=50)
    states = told(settings, [0.1] * 6)
    assert [state.plateaus for state in states] == [0, 0, 0, 0, 0, 1, 2]


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_every_schedule_warms_up_and_stays_within_its_rate(schedule: Schedule) -> None:
    settings = replace(PLAIN, schedule=schedule, patience=2, learning_rate=0.5)
    watched, seen = Watched(), []
    for step in range(300):
        seen.append(learning_rate(settings, step, COURSE, watched))
        if (step + 1) % COURSE.per_epoch == 0:
            watched = after_epoch(settings, watched, 0.1, step + 1, COURSE)
            # What is remembered comes back from JSON as it was.
            assert Watched.from_json(json.loads(json.dumps(asdict(watched)))) == watched
    assert seen[:10] == [0.5 * (step + 1) / 11 for step in range(10)]
    assert all(0 < rate <= 0.5 for rate in seen)


def test_a_short_run_warms_up_for_half_of_it() -> None:
    assert rates(PLAIN, [0, 1, 2], Course(4, 2)) == pytest.approx([1 / 3, 2 / 3, 1.0])
