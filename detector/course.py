"""How steps and epochs belong together, also where the data changed on the way (plain Python)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Course:
    """How long a training is: its steps in all, and those of an epoch.

    Where the data was changed, `begun_step` and `begun_epoch` say where the training on the present data began: an
    epoch begins there, with `begun_epoch` epochs finished before.
    """

    total: int
    per_epoch: int
    begun_step: int = 0
    begun_epoch: int = 0

    def place(self, step: int) -> int:
        """Return the step that `step` would be, had every epoch been as long as those of the present data."""
        return self.begun_epoch * self.per_epoch + step - self.begun_step

    def ends_epoch(self, step: int) -> bool:
        """Return whether an epoch is complete after `step` updates."""
        return step > self.begun_step and (step - self.begun_step) % self.per_epoch == 0

    def epoch(self, step: int) -> int:
        """Return the number, from 1, of the epoch to which the last of `step` updates belongs."""
        return self.begun_epoch - (self.begun_step - step) // self.per_epoch

    def even(self) -> "Course":
        """Return the course in which every epoch is as long as those of the present data; it takes `place(step)`."""
        return Course(self.place(self.total), self.per_epoch)
