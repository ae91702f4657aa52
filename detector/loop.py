"""The training loop: step, validate, save, and go on from any saved step as if nothing had happened."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

from numpy.typing import NDArray

from annotations.errors import PpnlabError, UsageError
from detector.advance import epoch_row, rate_of, stands_still, validation_is_owed, with_epoch, with_step
from detector.budget import Budget
from detector.checkpoint import Progress, checkpoint_path, newest_checkpoint, remove_leftovers, set_aside
from detector.diary import HistoryRow
from detector.family import Batch, Family, Learner, Outputs
from detector.feeding import batches_ahead, timed, wait_hint
from detector.keeping import Keeper
from detector.order import steps_per_epoch
from detector.run_directory import Run
from detector.run_lock import HEARTBEAT, taken_over
from detector.saving import State, is_kept
from detector.settings import Settings
from detector.status import StatusFile
from detector.steering import Requests
from detector.stopping import Interrupted, StopRequest, stop_requests
from detector.stretch import course, on_data, without_cut_epoch

AT_THE_END: Final = (2.0,) * 300
"""Pauses in seconds between the tries to save the end of a training on a full disk: ten minutes in all."""
ON_A_STOP: Final = (1.0,) * 5
"""The same where somebody waits for the training to stop."""


class Watcher(Protocol):
    """Somebody who looks on; nothing that it does can change the training."""

    def step(self, done: int, total: int, images: int, losses: Mapping[str, float]) -> None:
        """Take note of an update: how many are done, of how many, on how many images, with which losses."""

    def epoch(self, row: HistoryRow) -> None:
        """Take note of a finished epoch."""

    def note(self, text: str) -> None:
        """Take note of something that the user should read."""


class _LeftValidation(Exception):
    """The training is to stop, and does not wait for the validation's end."""


class Loop:
    """One training of one run in this process; `progress` is where it stands."""

    def __init__(
        self,
        run: Run,
        family: Family,
        settings: Settings,
        watch: Watcher,
        budget: Budget | None = None,
        *,
        data: str = "",
        learner: Callable[[bool], Learner] | None = None,
    ) -> None:
        """Build the model, and put it where the newest whole checkpoint stood.

        `budget` ends this process's work; `data` is a word for the content of the family's data; `learner` makes the
        model in training, with pretrained weights where it is given True.
        """
        self.run, self.family, self.settings, self.watch = run, family, settings, watch
        remove_leftovers(run.checkpoints)
        self.budget, self.requests = budget or Budget(), Requests(run.path)
        self.status = StatusFile(run.path, score=family.best_by)
        self.keeper, self.stop = Keeper(run, watch.note), StopRequest()
        self.made, self.hinted, self._lock_seen = 0, False, time.time()
        _check_pieces(family, settings)
        if not self.keeper.begun and run.history():
            raise PpnlabError(
                f"{run.checkpoints}: checkpoints must be there, for history.csv has epochs, got none; "
                "copy them too, or start a new run"
            )
        # A run that has begun needs no file of pretrained weights any more: its checkpoints hold them.
        self.trainer = (learner or self._trainer)(not self.keeper.begun)
        self._begin(self._restored() if self.keeper.begun else Progress(), data)

    def _trainer(self, pretrained: bool) -> Learner:
        # It takes seconds to import.
        from detector.engine import Trainer

        return Trainer(self.family, self.settings, pretrained=pretrained)

    def _restored(self) -> Progress:
        newest = newest_checkpoint(self.run.checkpoints)
        for path, reason in newest.damaged.items():
            # Out of the way: the training will come to its step again, and save it.
            kept = set_aside(path)
            self.keeper.diary.event("checkpoint-damaged", reason=reason, kept_as=kept.name)
            self.watch.note(f"{reason}; it is kept as {kept.name}, going on from {newest.path.name}")
        self.trainer.load(newest.arrays)
        best = newest.progress.best_step
        if best is None or checkpoint_path(self.run.checkpoints, best).exists():
            return newest.progress
        # The best was removed for a better one that is damaged now: the next epoch's is the best there is.
        self.keeper.diary.event("best-lost", step=best)
        return replace(newest.progress, best_step=None, best_score=None)

    def _begin(self, progress: Progress, data: str) -> None:
        """Take up the training at `progress`, on data of this content."""
        per_epoch = steps_per_epoch(self.family.images, self.settings.batch)
        before = without_cut_epoch(progress, per_epoch, self.settings)
        self.progress = on_data(before, data, per_epoch)
        self.course = course(self.family.images, self.settings, self.progress)
        if before.stretch and self.progress.stretch != before.stretch:
            self._tell_new_data(before)

    def _tell_new_data(self, before: Progress) -> None:
        epoch, images = self.course.begun_epoch + 1, self.family.images
        self.keeper.diary.event("new-data", step=before.step, epoch=epoch, images=images, best_score=before.best_score)
        self.watch.note(
            f"step {before.step}: epoch {epoch} begins on the new data, with {images} images; the best score so far "
            "was that of other images, and the next epoch's takes its place"
        )

    def train(self) -> Progress:
        """Train to the last epoch and return the progress made.

        Raises:
            Interrupted: a signal or somebody asked for it, or the budget is used up; the state is saved.
            PpnlabError: the loss is not finite, or the last state could not be saved; older checkpoints are whole.
        """
        # What stands in the files beyond the checkpoint is done again: history.csv must not hold it twice.
        self.keeper.history(self.progress.history)
        with self.keeper, stop_requests() as self.stop:
            if validation_is_owed(self.progress, self.course):
                self._end_epoch()
            if self._stands_still():
                self._tell_standstill()
                return self.progress
            while self.progress.step < self.course.total and not self._stands_still():
                batches = batches_ahead(self._batch, self.progress.step, self.course.total, self.settings.loaders)
                try:
                    self._steps(batches)
                finally:
                    batches.close()  # type: ignore[attr-defined]
            self.keeper.look(wait=True)
        return self.progress

    def _batch(self, step: int) -> Batch:
        return self.family.batch(self.course.place(step))

    def _steps(self, batches: Iterator[Batch]) -> None:
        """Make all steps, or those before a change of settings, after which the steps are to be planned anew."""
        last = time.monotonic()
        for batch, waited in timed(batches):
            self._check_lock()
            if self._follow():
                return
            self._step(batch)
            self.made += 1
            now, so_far = time.monotonic(), self.progress
            self.progress = replace(
                so_far, seconds=so_far.seconds + now - last, data_seconds=so_far.data_seconds + waited
            )
            last = now
            self.keeper.look(wait=False)
            done = self.progress.step
            if self.course.ends_epoch(done) or done == self.course.total:
                self._end_epoch()
                last = time.monotonic()
                if self._stands_still():
                    self._tell_standstill()
                    return
            elif self.settings.save_steps and done % self.settings.save_steps == 0:
                self._save()
            self.status.training(self.progress, self.course, self.keeper.warning)
            if done < self.course.total and (reason := self._why_stop()):
                self._leave(reason)

    def _check_lock(self) -> None:
        """Do nothing while the run is this process's.

        Raises:
            PpnlabError: another has taken it, for this one was asleep so long that it counted as gone.
        """
        # Not the monotonic clock, which sleeps with the machine.
        now = time.time()
        if abs(now - self._lock_seen) < HEARTBEAT:
            return
        self._lock_seen = now
        if other := taken_over(self.run.path):
            raise PpnlabError(f"{self.run.path}: run must be used by one process at a time, got taken over by {other}")

    def _why_stop(self) -> str | None:
        """Return why the training is to be stopped after this step, in words, or None."""
        if reason := self._why_stop_at_once():
            return reason
        if self.requests.stop() and self.course.ends_epoch(self.progress.step):
            return _ASKED
        return self.budget.spent(self.made)

    def _why_stop_at_once(self) -> str | None:
        if self.stop:
            return f"{self.stop.signal} came"
        return _ASKED if self.requests.stop() == "now" else None

    def _leave(self, reason: str) -> NoReturn:
        """Save where the training stands and stop it.

        Raises:
            Interrupted: it is saved.
            PpnlabError: it could not be.
        """
        step = self.progress.step
        path = self._save_surely(ON_A_STOP)
        self.keeper.diary.event("interrupted", reason=reason, signal=self.stop.signal, step=step)
        self.requests.clear_stop()
        raise Interrupted(f"{reason}; step {step} is saved in {path}")

    def _follow(self) -> bool:
        """Change the settings as somebody asked while the training went, and return whether any changed."""
        before = self.settings
        for change in self.requests.changes():
            try:
                new = self.requests.applied(self.settings, change)
                self._check_end(new)
                self._change(new)
            except PpnlabError as error:
                self.keeper.diary.event("change-refused", step=self.progress.step, reason=str(error))
                self.watch.note(f"{error}; nothing changed")
            self.requests.done(change.file)
        return self.settings != before

    def _check_end(self, new: Settings) -> None:
        total = course(self.family.images, new, self.progress).total
        if total <= self.progress.step:
            raise UsageError(f"set: the end must lie behind step {self.progress.step}, got {total} steps in all")

    def _change(self, new: Settings) -> None:
        before, after = self.settings.to_json(), new.to_json()
        values = {name: value for name, value in after.items() if value != before[name]}
        if not values:
            return
        # Saved first: a resume that had to go back would make older steps with the new settings.
        self._save_surely(())
        # The samples depend on how long the training is, too: those of a resume would be others.
        self.family = self.family.changed(new)
        self.run.write_config({**self.run.config(), "settings": after})
        self.keeper.diary.event("changed", step=self.progress.step, settings=values)
        self.watch.note(f"step {self.progress.step}: {', '.join(f'{name}={value}' for name, value in values.items())}")
        self.settings, self.course = new, course(self.family.images, new, self.progress)

    def _step(self, batch: Batch) -> None:
        before = self.progress
        rate = rate_of(before, self.course, self.settings, before.step)
        losses = self.trainer.step(batch, before.step, rate)
        if not math.isfinite(losses["loss"]):
            self._refuse_or_skip(losses)
            return
        images = len(next(iter(batch.values())))
        self.progress = with_step(before, losses, images)
        self.watch.step(self.progress.step, self.course.total, images, losses)

    def _refuse_or_skip(self, losses: Mapping[str, float]) -> None:
        """Take note of a step whose update was not made, where that is allowed.

        Raises:
            PpnlabError: it is not, or not so often.
        """
        before = self.progress
        told = {name: str(value) for name, value in losses.items()}
        self.keeper.diary.event("loss-not-finite", step=before.step, losses=told)
        if before.skipped >= self.settings.skip_bad_steps:
            raise PpnlabError(
                f"{self.run.path}: step {before.step}: loss must be finite, got {losses['loss']}; the checkpoints are "
                "as they were. Try a lower learning_rate, look at the images with `ppnlab check`, or pass over "
                "a few such steps with --set skip_bad_steps=3"
            )
        self.watch.note(f"step {before.step}: loss {losses['loss']}; the step is passed over")
        self.progress = replace(before, step=before.step + 1, skipped=before.skipped + 1)

    def _stands_still(self) -> bool:
        return stands_still(self.progress, self.course, self.settings)

    def _tell_standstill(self) -> None:
        done = self.progress
        best = f"the best is step {done.best_step}" if done.best_step else "there was none"
        self.watch.note(f"no better validation score in early_stop={self.settings.early_stop} epochs; {best}")

    def _predict(self, pictures: NDArray[Any]) -> Outputs:
        # Somebody who stops a training does not want to wait for thousands of images.
        if self._why_stop_at_once():
            raise _LeftValidation
        return self.trainer.predict(pictures)

    def _end_epoch(self) -> None:
        done = self.progress
        self.status.validating(done, self.course, self.keeper.warning)
        try:
            scores = self.family.monitor(self._predict)
        except _LeftValidation:
            self._leave(f"{self._why_stop_at_once()} in the validation, which a resume will make")
        row = epoch_row(done, self.course, self.settings, scores)
        self.progress = with_epoch(done, row, scores[self.family.best_by], self.course, self.settings)
        self._save_epoch(row)
        self.keeper.history(self.progress.history)
        self.keeper.diary.log(", ".join(f"{name} {_short(value)}" for name, value in row.items()))
        self.watch.epoch(row)
        if not self.hinted and (hint := wait_hint(done.data_seconds, done.seconds, self.settings)):
            self.hinted = True
            self.watch.note(hint)

    def _save_epoch(self, row: HistoryRow) -> None:
        better = self.progress.best_step == self.progress.step
        if self.progress.step == self.course.total or self._stands_still():
            self._save_surely(AT_THE_END)
        elif better or is_kept(row, self.settings) or len(self.progress.history) % self.settings.save_every == 0:
            self._save()

    def _save(self) -> None:
        """Begin to save where the training stands, while it goes on."""
        self.keeper.look(wait=True)
        self.keeper.save(self._state(), self.settings)

    def _save_surely(self, pauses: Sequence[float]) -> Path:
        """Save where the training stands, trying again after each of `pauses` seconds, and return where it lies.

        Raises:
            PpnlabError: the disk did not take it.
        """
        self.keeper.look(wait=True)
        # Who asks for a stop does not wait for minutes.
        return self.keeper.save_surely(
            self._state(), self.settings, pauses, lambda: pauses is AT_THE_END and bool(self._why_stop_at_once())
        )

    def _state(self) -> State:
        return State(self.trainer.arrays(), self.progress)


_ASKED: Final = "`ppnlab stop` asked for it"


def _check_pieces(family: Family, settings: Settings) -> None:
    smallest = family.images // steps_per_epoch(family.images, settings.batch)
    if settings.accumulate > smallest:
        raise UsageError(
            f"settings: accumulate must be at most {smallest}, the images of the smallest step, got "
            f"{settings.accumulate}"
        )


def _short(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.5g}"
