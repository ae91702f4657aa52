"""A stretch of a training: the part of it that learns from one state of its data (plain Python)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from detector.checkpoint import Progress
from detector.course import Course
from detector.order import steps_per_epoch
from detector.schedules import Watched
from detector.settings import Settings


@dataclass(frozen=True, slots=True)
class Stretch:
    """The data that a training learns from, by a word for its content, and the steps of an epoch of it.

    It began after `step` updates, when `epoch` epochs had been finished.
    """

    data: str
    per_epoch: int
    step: int = 0
    epoch: int = 0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the stretch that `dataclasses.asdict` gave."""
        return cls(**values)


FIRST_ROW: Final = {"images": 0, "seconds": 0.0, "data_seconds": 0.0, "sums": None}
"""The progress of an epoch of which nothing is done."""


def course(images: int, settings: Settings, progress: Progress | None = None) -> Course:
    """Return the steps of a training on so many images, with its present data begun where `progress` says.

    Every image is in exactly one step of each epoch.
    """
    per_epoch = steps_per_epoch(images, settings.batch)
    told = progress.stretch if progress else None
    step, epoch = (told["step"], told["epoch"]) if told else (0, 0)
    total = settings.total_steps or step + per_epoch * max(0, settings.epochs - epoch)
    return Course(total, per_epoch, step, epoch)


def without_cut_epoch(progress: Progress, per_epoch: int, settings: Settings) -> Progress:
    """Return the progress without the row of an epoch that `total_steps` cut off, where the training goes on now.

    `per_epoch` counts where the progress tells of no data.
    """
    told = Stretch.from_json(progress.stretch) if progress.stretch else Stretch("", per_epoch)
    way = Course(0, told.per_epoch, told.step, told.epoch)
    last = int(progress.history[-1]["step"] or 0) if progress.history else 0
    over = settings.total_steps and progress.step >= settings.total_steps
    if over or last <= told.step or way.ends_epoch(last):
        return progress
    return replace(progress, history=progress.history[:-1])


def on_data(progress: Progress, data: str, per_epoch: int) -> Progress:
    """Return the progress of a training that goes on with the data of this word; it is another only for other data.

    Then an epoch that was begun begins anew, with what it has learned so far. Scores on other images say nothing about
    these: the best checkpoint stays the best until the next epoch's takes its place, whatever its score.
    """
    old = Stretch.from_json(progress.stretch) if progress.stretch else Stretch(data, per_epoch)
    if old.data == data:
        return replace(progress, stretch=asdict(old))
    epoch = int(progress.history[-1]["epoch"] or 0) if progress.history else 0
    new = Stretch(data, per_epoch, progress.step, epoch)
    watched = Watched.from_json(progress.watched)
    begun = None if watched.begun is None else round(watched.begun * per_epoch / old.per_epoch)
    watched = replace(watched, best=None, waited=0, begun=begun)
    return replace(progress, stretch=asdict(new), best_score=None, watched=asdict(watched), **FIRST_ROW)  # type: ignore[arg-type]
