"""What a step and an epoch add to a training's progress, and whether that is its end: pure functions (plain Python)."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from detector.checkpoint import Progress
from detector.course import Course
from detector.diary import HistoryRow
from detector.schedules import Watched, after_epoch, learning_rate
from detector.settings import Settings
from detector.stretch import FIRST_ROW


def rate_of(progress: Progress, course: Course, settings: Settings, step: int) -> float:
    """Return the learning rate of the update that follows `step` updates, in the running or the last epoch."""
    return learning_rate(settings, course.place(step), course.even(), Watched.from_json(progress.watched))


def with_step(progress: Progress, losses: Mapping[str, float], images: int) -> Progress:
    """Return the progress after an update on so many images, with these losses."""
    sums = {name: (progress.sums or {}).get(name, 0.0) + value * images for name, value in losses.items()}
    return replace(progress, step=progress.step + 1, images=progress.images + images, sums=sums, skipped=0)


def epoch_row(
    progress: Progress, course: Course, settings: Settings, scores: Mapping[str, float | None]
) -> dict[str, float | int | None]:
    """Return the row of the history for an epoch whose steps are made, and whose validation gave `scores`."""
    done = progress
    return {
        "epoch": course.epoch(done.step),
        "step": done.step,
        "learning_rate": rate_of(done, course, settings, done.step - 1),
        **{name: value / done.images for name, value in (done.sums or {}).items()},
        **{f"val_{name}": value for name, value in scores.items()},
        "seconds": round(done.seconds, 3),
        "images_per_second": round(done.images / done.seconds, 3) if done.seconds else None,
        "data_wait": round(done.data_seconds / done.seconds, 4) if done.seconds else None,
    }


def with_epoch(
    progress: Progress, row: HistoryRow, score: float | None, course: Course, settings: Settings
) -> Progress:
    """Return the progress after the epoch of this row, whose validation score is `score`."""
    better = score is not None and (progress.best_score is None or score > progress.best_score)
    new: dict[str, Any] = {"best_step": progress.step, "best_score": score} if better else {}
    if course.ends_epoch(progress.step):
        # An epoch that `total_steps` cut off keeps its sums: a longer training would go on with it.
        watched, place = Watched.from_json(progress.watched), course.place(progress.step)
        new |= {**FIRST_ROW, "watched": asdict(after_epoch(settings, watched, score, place, course.even()))}
    return replace(progress, history=(*progress.history, row), **new)


def validation_is_owed(progress: Progress, course: Course) -> bool:
    """Return whether the training was stopped between the last step of an epoch and the end of its validation."""
    step, told = progress.step, int(progress.history[-1]["step"] or 0) if progress.history else 0
    return told < step and (course.ends_epoch(step) or step == course.total > course.begun_step)


def stands_still(progress: Progress, course: Course, settings: Settings) -> bool:
    """Return whether the training is over before its last step, for the validation score rises no more."""
    since = progress.step - max(progress.best_step or 0, course.begun_step)
    return bool(settings.early_stop and progress.history) and since >= settings.early_stop * course.per_epoch
