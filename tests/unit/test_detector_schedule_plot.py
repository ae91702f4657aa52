"""The picture of a schedule: the rates that a training would have, drawn without one."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from detector_samples import drawn_dataset

from annotations.errors import UsageError
from annotations.pictures import read_picture
from detector.course import Course
from detector.schedule_plot import ASSUMED_STEPS, WATCHING, planned, plot_schedule, rate_course
from detector.schedules import learning_rate
from detector.settings import Schedule, Settings

COURSE = Course(total=200, per_epoch=10)
SETTINGS = Settings(learning_rate=1.0, warmup_steps=10, patience=2, decay_epochs=5, cycle_epochs=2)


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_the_rates_are_those_of_the_training(schedule: Schedule) -> None:
    settings = replace(SETTINGS, schedule=schedule)
    rates = rate_course(settings, COURSE)
    assert rates.step.tolist() == list(range(200))
    if schedule not in WATCHING:
        assert rates.rate.tolist() == [learning_rate(settings, step, COURSE) for step in range(200)]


def test_a_plateau_comes_where_the_stand_in_stands_still() -> None:
    rates = rate_course(replace(SETTINGS, schedule="plateau", decay_rate=0.5, final_rate=0.01), COURSE)
    # It rises for 6 of 20 epochs; two epochs later, at step 80, the rate is halved, and so every two epochs.
    assert np.argmax(rates.score == 1.0) == 5
    assert [float(rates.rate[step]) for step in (60, 79, 80, 99, 100, 120)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.125]


def test_a_long_training_is_drawn_with_bounded_points_and_the_same_plateaus() -> None:
    settings = replace(SETTINGS, schedule="plateau", decay_rate=0.5, final_rate=0.01)
    rates = rate_course(settings, Course(total=200_000, per_epoch=10_000))
    assert len(rates.step) <= 4000
    assert (rates.step[0], rates.step[-1]) == (0, 199_999)
    assert rates.rate[-1] == rate_course(settings, COURSE).rate[-1]


@pytest.mark.parametrize("schedule", ["cosine", "kicks"])
@pytest.mark.parametrize("suffix", [".png", ".SVG"])
def test_a_picture_is_drawn_and_told(tmp_path: Path, schedule: Schedule, suffix: str) -> None:
    file = tmp_path / "new" / f"plot{suffix}"
    told = plot_schedule(replace(SETTINGS, schedule=schedule), COURSE, file)
    assert told.startswith(f"{schedule}: 200 steps in 20 epochs of 10")
    assert ("drawn for a validation score that rises for 6 epochs" in told) == (schedule == "kicks")
    if suffix == ".png":
        assert read_picture(file).std() > 5
    else:
        text = file.read_text()
        assert "learning rate" in text
        assert told.partition(";")[0] in text
        again = plot_schedule(replace(SETTINGS, schedule=schedule), COURSE, tmp_path / "again.svg")
        assert (again, (tmp_path / "again.svg").read_text()) == (told, text)


def test_a_file_that_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"plot must be a \.png or \.svg file, got \.pdf"):
        plot_schedule(SETTINGS, COURSE, tmp_path / "a.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"plot must be writable"):
        plot_schedule(SETTINGS, COURSE, tmp_path / "file" / "a.png")


def test_the_steps_are_those_of_the_dataset(tmp_path: Path) -> None:
    data = drawn_dataset(tmp_path, {"train": 5, "val": 1})
    settings = Settings(batch=2, epochs=4)
    assert planned(data, settings) == Course(12, 3)
    assert planned(data, replace(settings, total_steps=7)) == Course(7, 3)
    assert planned(None, settings) == Course(4 * ASSUMED_STEPS, ASSUMED_STEPS)
    with pytest.raises(UsageError, match="split train must hold images"):
        planned(drawn_dataset(tmp_path / "empty", {"val": 1}), settings)
