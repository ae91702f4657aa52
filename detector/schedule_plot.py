"""A picture of the learning rate over a training, without training: what the settings of a schedule come to.

`plateau` and `kicks` follow the validation score, which nobody knows before: they are drawn for a stand-in that rises
evenly to a share of the epochs and then stands still.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from annotations.dataset import read_dataset
from annotations.errors import UsageError
from annotations.palette import BLUE, ORANGE, hexadecimal
from annotations.whole import write_whole
from detector.course import Course
from detector.order import steps_per_epoch
from detector.schedules import Watched, after_epoch, learning_rate
from detector.settings import Settings

WATCHING: Final = ("plateau", "kicks")
"""Schedules that look at the validation score."""
STANDS_STILL: Final = 0.3
"""Share of the epochs in which the stand-in for the validation score rises; own choice."""
ASSUMED_STEPS: Final = 100
"""Steps of an epoch where there is no dataset to tell them."""
FORMATS: Final = (".png", ".svg")
_MOST_POINTS: Final = 4000
"""Steps that are drawn: more than a picture of this width can show."""
_SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
}


@dataclass(frozen=True, slots=True, eq=False)
class RateCourse:
    """The learning `rate` (N,) of the updates after (N,) `step` updates, and a score (E,) after each of E epochs."""

    step: NDArray[np.int64]
    rate: NDArray[np.float64]
    score: NDArray[np.float64]


def planned(dataset: Path | None, settings: Settings) -> Course:
    """Return the steps of a training on a dataset's train images, or on so many as make ASSUMED_STEPS an epoch.

    Raises:
        AnnotationError: the dataset cannot be read.
        UsageError: it has no train images.
    """
    per_epoch = ASSUMED_STEPS
    if dataset is not None:
        images = len(read_dataset(dataset).images.rows_of("train"))
        if not images:
            raise UsageError(f"{dataset}: split train must hold images, got none")
        per_epoch = steps_per_epoch(images, settings.batch)
    return Course(settings.total_steps or per_epoch * settings.epochs, per_epoch)


def rate_course(settings: Settings, course: Course) -> RateCourse:
    """Return the learning rates of a training whose validation score is the stand-in."""
    epochs = -(-course.total // course.per_epoch)
    score = np.minimum(1.0, np.arange(1, epochs + 1) / max(1.0, STANDS_STILL * epochs))
    wanted = np.unique(np.linspace(0, course.total - 1, min(course.total, _MOST_POINTS)).astype(np.int64))
    watched, rates, epoch = Watched(), [], 0
    for step in wanted.tolist():
        while (epoch + 1) * course.per_epoch <= step:
            epoch += 1
            watched = after_epoch(settings, watched, float(score[epoch - 1]), epoch * course.per_epoch, course)
        rates.append(learning_rate(settings, step, course, watched))
    return RateCourse(wanted, np.array(rates), score)


def plot_schedule(settings: Settings, course: Course, file: Path) -> str:
    """Draw the learning rate into `file`, a PNG or SVG, and return what is drawn in a sentence.

    Raises:
        UsageError: the file's suffix is another, or it cannot be written.
    """
    if file.suffix.lower() not in FORMATS:
        raise UsageError(f"{file}: plot must be a .png or .svg file, got {file.suffix or 'no suffix'}")
    rates = rate_course(settings, course)
    told = _sentence(settings, course, rates)
    try:
        write_whole(file, _drawn(settings, course, rates, told, file.suffix.lower().lstrip(".")))
    except OSError as error:
        raise UsageError(f"{file}: plot must be writable, got {error.strerror or error}") from error
    return told.replace("\n", " ")


def _sentence(settings: Settings, course: Course, rates: RateCourse) -> str:
    watched = ""
    if settings.schedule in WATCHING:
        stand = round(STANDS_STILL * len(rates.score))
        watched = f";\ndrawn for a validation score that rises for {stand} epochs and then stands still"
    return (
        f"{settings.schedule}: {course.total} steps in {len(rates.score)} epochs of {course.per_epoch}, "
        f"highest {rates.rate.max():.3g}, last {rates.rate[-1]:.3g}{watched}"
    )


def _drawn(settings: Settings, course: Course, rates: RateCourse, title: str, form: str) -> bytes:
    import io

    import matplotlib as mpl
    from matplotlib.figure import Figure

    # A salt of our own: the same settings give the same file.
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": "ppnlab"}):
        watching = settings.schedule in WATCHING
        figure = Figure(figsize=(8.0, 4.6 if watching else 3.6), layout="constrained")
        figure.suptitle(title, fontsize=9)
        shares = {"height_ratios": [3, 1]} if watching else {}
        axes = figure.subplots(2 if watching else 1, 1, sharex=True, squeeze=False, gridspec_kw=shares)[:, 0]
        axes[0].plot(rates.step / course.per_epoch, rates.rate, color=hexadecimal(BLUE), linewidth=1.6)
        axes[0].set(ylabel="learning rate", xlim=(0, course.total / course.per_epoch))
        if watching:
            axes[0].set_yscale("log")  # kicks at the lowest rates would not be seen
            ends = np.arange(1, len(rates.score) + 1)
            axes[1].plot(ends, rates.score, ".-", color=hexadecimal(ORANGE), linewidth=1.2, markersize=3)
            axes[1].set(ylabel="score\n(stand-in)", ylim=(0, 1.1), yticks=[])
        else:
            axes[0].set_ylim(0, None)
        axes[-1].set_xlabel("epoch")
        data = io.BytesIO()
        figure.savefig(data, format=form, dpi=120, metadata={"Date": None} if form == "svg" else None)
    return data.getvalue()
