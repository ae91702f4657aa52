"""The training loop: step, validate, save, and go on from any saved step as if nothing had happened."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

from annotations.errors import PpnlabError, UsageError
from detector.budget import Budget
from detector.checkpoint import (
    Progress,
    checkpoint_path,
    newest_checkpoint,
    remove_checkpoint,
    remove_leftovers,
    save_checkpoint,
    set_aside,
    steps_saved,
    surplus,
)
from detector.engine import Trainer
from detector.family import BEST_BY, Batch, Family
from detector.feeding import batches_ahead, timed
from detector.order import steps_per_epoch
from detector.run_directory import Run
from detector.schedules import Course, Watched, after_epoch, learning_rate
from detector.settings import Settings
from detector.status import StatusFile
from detector.steering import Requests
from detector.stopping import Interrupted, StopRequest, stop_requests

HistoryRow = Mapping[str, float | int | None]


class Watcher(Protocol):
    """Somebody who looks on; nothing that it does can change the training."""

    def step(self, done: int, total: int, images: int, losses: Mapping[str, float]) -> None:
        """Take note of an update: how many are done, of how many, on how many images, with which losses."""

    def epoch(self, row: HistoryRow) -> None:
        """Take note of a finished epoch."""

    def note(self, text: str) -> None:
        """Take note of something that the user should read."""


def course(images: int, settings: Settings) -> Course:
    """Return the steps of a training on so many images; every image is in exactly one step of each epoch."""
    per_epoch = steps_per_epoch(images, settings.batch)
    return Course(settings.total_steps or per_epoch * settings.epochs, per_epoch)


class Loop:
    """One training of one run in this process; `progress` is where it stands."""

    def __init__(
        self, run: Run, family: Family, settings: Settings, watch: Watcher, budget: Budget | None = None
    ) -> None:
        """Build the model, and put it where the newest whole checkpoint stood; `budget` ends this process's work."""
        self.run, self.family, self.settings, self.watch = run, family, settings, watch
        self.budget, self.requests, self.status = budget or Budget(), Requests(run.path), StatusFile(run.path)
        self.made = 0
        self.course = course(family.images, settings)
        smallest = family.images // self.course.per_epoch
        if settings.accumulate > smallest:
            raise UsageError(
                f"settings: accumulate must be at most {smallest}, the images of the smallest step, got "
                f"{settings.accumulate}"
            )
        remove_leftovers(run.checkpoints)
        begun = bool(steps_saved(run.checkpoints))
        # A run that has begun needs no file of pretrained weights any more: its checkpoints hold them.
        self.trainer = Trainer(family, settings, pretrained=not begun)
        if not begun and run.history():
            raise PpnlabError(
                f"{run.checkpoints}: checkpoints must be there, for history.csv has epochs, got none; "
                "copy them too, or start a new run"
            )
        self.progress = self._restored() if begun else Progress()

    def _restored(self) -> Progress:
        newest = newest_checkpoint(self.run.checkpoints)
        for path, reason in newest.damaged.items():
            # Out of the way: the training will come to its step again, and save it.
            kept = set_aside(path)
            self.run.event("checkpoint-damaged", reason=reason, kept_as=kept.name)
            self.watch.note(f"{reason}; it is kept as {kept.name}, going on from {newest.path.name}")
        self.trainer.load(newest.arrays)
        progress = self._in_whole_epochs(newest.progress)
        best = newest.progress.best_step
        if best is None or checkpoint_path(self.run.checkpoints, best).exists():
            return progress
        # The best was removed for a better one that is damaged now: the next epoch's is the best there is.
        self.run.event("best-lost", step=best)
        return replace(progress, best_step=None, best_score=None)

    def _in_whole_epochs(self, progress: Progress) -> Progress:
        """Return the progress without the row of an epoch that `total_steps` cut off, where it goes on now."""
        if progress.step >= self.course.total:
            return progress
        whole = tuple(row for row in progress.history if not int(row["step"] or 0) % self.course.per_epoch)
        return replace(progress, history=whole)

    def train(self) -> Progress:
        """Train to the last epoch and return the progress made.

        Raises:
            Interrupted: a signal or somebody asked for it, or the budget is used up; the state is saved.
            PpnlabError: the loss is not finite, or a checkpoint could not be written; older ones are whole.
        """
        # What stands in the files beyond the checkpoint is done again: history.csv must not hold it twice.
        self.run.write_history(self.progress.history)
        if self._stands_still():
            self._tell_standstill()
            return self.progress
        # Left for a training that had ended already.
        self.requests.clear_stop()
        with stop_requests() as stop:
            while self.progress.step < self.course.total and not self._stands_still():
                batches = batches_ahead(self.family.batch, self.progress.step, self.course.total, self.settings.loaders)
                try:
                    self._steps(batches, stop)
                finally:
                    batches.close()  # type: ignore[attr-defined]
        return self.progress

    def _steps(self, batches: Iterator[Batch], stop: StopRequest) -> None:
        """Make all steps, or those before a change of settings, after which the steps are to be planned anew."""
        last = time.monotonic()
        for batch, waited in timed(batches):
            if self._follow():
                return
            self._step(batch)
            self.made += 1
            now, so_far = time.monotonic(), self.progress
            self.progress = replace(
                so_far, seconds=so_far.seconds + now - last, data_seconds=so_far.data_seconds + waited
            )
            last = now
            done = self.progress.step
            if done % self.course.per_epoch == 0 or done == self.course.total:
                self._end_epoch()
                last = time.monotonic()
                if self._stands_still():
                    self._tell_standstill()
                    return
            elif self.settings.save_steps and done % self.settings.save_steps == 0:
                self._save()
            self.status.training(self.progress, self.course)
            if done < self.course.total and (reason := self._why_stop(stop)):
                path = self._save()
                self.run.event("interrupted", reason=reason, signal=stop.signal, step=done)
                self.requests.clear_stop()
                raise Interrupted(f"{reason}; step {done} is saved in {path}")

    def _why_stop(self, stop: StopRequest) -> str | None:
        """Return why the training is to be stopped after this step, in words, or None."""
        if stop:
            return f"{stop.signal} came"
        asked = self.requests.stop()
        if asked == "now" or (asked and self.progress.step % self.course.per_epoch == 0):
            return "`ppnlab stop` asked for it"
        return self.budget.spent(self.made)

    def _follow(self) -> bool:
        """Change the settings as somebody asked while the training went, and return whether any changed."""
        changed = False
        for change in self.requests.changes():
            try:
                new = self.requests.applied(self.settings, change)
                self._check_end(new)
            except UsageError as error:
                self.run.event("change-refused", step=self.progress.step, reason=str(error))
                self.watch.note(f"{error}; nothing changed")
            else:
                changed |= new != self.settings
                self._change(new)
            self.requests.done(change.file)
        return changed

    def _check_end(self, new: Settings) -> None:
        total = course(self.family.images, new).total
        if total <= self.progress.step:
            raise UsageError(f"set: the end must lie behind step {self.progress.step}, got {total} steps in all")

    def _change(self, new: Settings) -> None:
        before, after = self.settings.to_json(), new.to_json()
        values = {name: value for name, value in after.items() if value != before[name]}
        if not values:
            return
        # Saved first: a resume that had to go back would make older steps with the new settings.
        self._save()
        self.run.write_config({**self.run.config(), "settings": after})
        self.run.event("changed", step=self.progress.step, settings=values)
        self.watch.note(f"step {self.progress.step}: {', '.join(f'{name}={value}' for name, value in values.items())}")
        self.settings, self.course = new, course(self.family.images, new)

    def _step(self, batch: Batch) -> None:
        before = self.progress
        losses = self.trainer.step(batch, before.step, self._rate(before.step))
        if not math.isfinite(losses["loss"]):
            self._refuse_or_skip(losses)
            return
        images = len(next(iter(batch.values())))
        sums = {name: (before.sums or {}).get(name, 0.0) + value * images for name, value in losses.items()}
        images_done = before.images + images
        self.progress = replace(before, step=before.step + 1, images=images_done, sums=sums, skipped=0)
        self.watch.step(self.progress.step, self.course.total, images, losses)

    def _rate(self, step: int) -> float:
        return learning_rate(self.settings, step, self.course, Watched.from_json(self.progress.watched))

    def _refuse_or_skip(self, losses: Mapping[str, float]) -> None:
        """Take note of a step whose update was not made, where that is allowed.

        Raises:
            PpnlabError: it is not, or not so often.
        """
        before = self.progress
        told = {name: str(value) for name, value in losses.items()}
        self.run.event("loss-not-finite", step=before.step, losses=told)
        if before.skipped >= self.settings.skip_bad_steps:
            raise PpnlabError(
                f"{self.run.path}: step {before.step}: loss must be finite, got {losses['loss']}; the checkpoints are "
                "as they were. Try a lower learning_rate, look at the images with `ppnlab check`, or pass over "
                "a few such steps with --set skip_bad_steps=3"
            )
        self.watch.note(f"step {before.step}: loss {losses['loss']}; the step is passed over")
        self.progress = replace(before, step=before.step + 1, skipped=before.skipped + 1)

    def _stands_still(self) -> bool:
        """Return whether the training is over before its last step, for the validation score rises no more."""
        wanted, done = self.settings.early_stop, self.progress
        since = done.step - (done.best_step or 0)
        return bool(wanted) and bool(done.history) and since >= wanted * self.course.per_epoch

    def _tell_standstill(self) -> None:
        done = self.progress
        best = f"the best is step {done.best_step}" if done.best_step else "there was none"
        self.watch.note(f"no better validation score in early_stop={self.settings.early_stop} epochs; {best}")

    def _end_epoch(self) -> None:
        done = self.progress
        self.status.validating(done, self.course)
        scores = self.family.monitor(self.trainer.predict)
        row: dict[str, float | int | None] = {
            "epoch": -(-done.step // self.course.per_epoch),
            "step": done.step,
            "learning_rate": self._rate(done.step - 1),
            **{name: value / done.images for name, value in (done.sums or {}).items()},
            **{f"val_{name}": value for name, value in scores.items()},
            "seconds": round(done.seconds, 3),
            "images_per_second": round(done.images / done.seconds, 3) if done.seconds else None,
            "data_wait": round(done.data_seconds / done.seconds, 4) if done.seconds else None,
        }
        score = scores[BEST_BY]
        better = score is not None and (done.best_score is None or score > done.best_score)
        best = {"best_step": done.step, "best_score": score} if better else {}
        history = (*done.history, row)
        self.progress = replace(done, history=history, **best)  # type: ignore[arg-type]
        if done.step % self.course.per_epoch == 0:
            watched = after_epoch(self.settings, Watched.from_json(done.watched), score, done.step, self.course)
            # An epoch that `total_steps` cut off keeps its sums: a longer training would go on with it.
            begun = {"images": 0, "seconds": 0.0, "data_seconds": 0.0, "sums": None, "watched": asdict(watched)}
            self.progress = replace(self.progress, **begun)  # type: ignore[arg-type]
        over = done.step == self.course.total or self._stands_still()
        if better or over or len(history) % self.settings.save_every == 0:
            self._save()
        self.run.write_history(history)
        self.run.log(", ".join(f"{name} {_short(value)}" for name, value in row.items()))
        self.watch.epoch(row)

    def _save(self) -> Path:
        path = save_checkpoint(self.run.checkpoints, self.trainer.arrays(), self.progress)
        for old in surplus(self.run.checkpoints, self.settings.keep, self.progress.best_step):
            remove_checkpoint(old)
        return path


def _short(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.5g}"
