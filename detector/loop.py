"""The training loop: step, validate, save, and go on from any saved step as if nothing had happened."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from annotations.errors import PpnlabError
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
from detector.feeding import batches_ahead
from detector.order import steps_per_epoch
from detector.run_directory import Run
from detector.schedules import learning_rate
from detector.settings import Settings
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


@dataclass(frozen=True)
class Plan:
    """How many steps there are, from the number of images alone."""

    per_epoch: int
    total: int


def plan(family: Family, settings: Settings) -> Plan:
    """Return the steps of a training; every image is in exactly one step of each epoch."""
    per_epoch = steps_per_epoch(family.images, settings.batch)
    return Plan(per_epoch, per_epoch * settings.epochs)


class Loop:
    """One training of one run in this process; `progress` is where it stands."""

    def __init__(self, run: Run, family: Family, settings: Settings, watch: Watcher) -> None:
        """Build the model, and put it where the newest whole checkpoint stood."""
        self.run, self.family, self.settings, self.watch = run, family, settings, watch
        self.plan = plan(family, settings)
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
        best = newest.progress.best_step
        if best is None or checkpoint_path(self.run.checkpoints, best).exists():
            return newest.progress
        # The best was removed for a better one that is damaged now: the next epoch's is the best there is.
        self.run.event("best-lost", step=best)
        return replace(newest.progress, best_step=None, best_score=None)

    def train(self) -> Progress:
        """Train to the last epoch and return the progress made.

        Raises:
            Interrupted: a signal came; the state is saved.
            PpnlabError: the loss is not finite, or a checkpoint could not be written; older ones are whole.
        """
        # What stands in the files beyond the checkpoint is done again: history.csv must not hold it twice.
        self.run.write_history(self.progress.history)
        with stop_requests() as stop:
            batches = batches_ahead(self.family.batch, self.progress.step, self.plan.total, self.settings.loaders)
            try:
                self._steps(batches, stop)
            finally:
                batches.close()  # type: ignore[attr-defined]
        return self.progress

    def _steps(self, batches: Iterator[Batch], stop: StopRequest) -> None:
        last = time.monotonic()
        for batch in batches:
            self._step(batch)
            now = time.monotonic()
            self.progress = replace(self.progress, seconds=self.progress.seconds + now - last)
            last = now
            if self.progress.step % self.plan.per_epoch == 0:
                self._end_epoch()
                last = time.monotonic()
            if stop and self.progress.step < self.plan.total:
                path = self._save()
                self.run.event("interrupted", signal=stop.signal, step=self.progress.step)
                raise Interrupted(f"{stop.signal} came; step {self.progress.step} is saved in {path}")

    def _step(self, batch: Batch) -> None:
        before = self.progress
        rate = learning_rate(self.settings, before.step, self.plan.total)
        losses = self.trainer.step(batch, before.step, rate)
        if not math.isfinite(losses["loss"]):
            self.run.event("loss-not-finite", step=before.step, losses={k: str(v) for k, v in losses.items()})
            raise PpnlabError(
                f"{self.run.path}: step {before.step}: loss must be finite, got {losses['loss']}; the checkpoints are "
                "as they were. Try a lower learning_rate, or look at the images with `ppnlab convert`'s findings.csv"
            )
        images = len(next(iter(batch.values())))
        sums = {name: (before.sums or {}).get(name, 0.0) + value * images for name, value in losses.items()}
        self.progress = replace(before, step=before.step + 1, images=before.images + images, sums=sums)
        self.watch.step(self.progress.step, self.plan.total, images, losses)

    def _end_epoch(self) -> None:
        done = self.progress
        scores = self.family.monitor(self.trainer.predict)
        row: dict[str, float | int | None] = {
            "epoch": done.step // self.plan.per_epoch,
            "step": done.step,
            "learning_rate": learning_rate(self.settings, done.step - 1, self.plan.total),
            **{name: value / done.images for name, value in (done.sums or {}).items()},
            **{f"val_{name}": value for name, value in scores.items()},
            "seconds": round(done.seconds, 3),
            "images_per_second": round(done.images / done.seconds, 3) if done.seconds else None,
        }
        score = scores[BEST_BY]
        better = score is not None and (done.best_score is None or score > done.best_score)
        best = {"best_step": done.step, "best_score": score} if better else {}
        history = (*done.history, row)
        self.progress = replace(done, images=0, seconds=0.0, sums=None, history=history, **best)  # type: ignore[arg-type]
        epoch = len(history)
        if better or epoch % self.settings.save_every == 0 or done.step == self.plan.total:
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
