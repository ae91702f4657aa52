"""What a step and an epoch add to a training's progress."""

from dataclasses import replace

from detector_samples import QUICK

from detector.advance import epoch_row, stands_still, validation_is_owed, with_epoch, with_step
from detector.checkpoint import Progress
from detector.course import Course

COURSE = Course(total=8, per_epoch=3)
"""Two epochs of three steps, and two steps of a third that is cut off."""


def after(steps: int) -> Progress:
    """Progress after so many updates on two images each, with losses of 1, 2, 3 and so on."""
    progress = Progress()
    for step in range(steps):
        progress = with_step(progress, {"loss": step + 1.0}, 2)
    return progress


def with_score(progress: Progress, score: float | None) -> Progress:
    return with_epoch(progress, epoch_row(progress, COURSE, QUICK, {"ap": score}), score, COURSE, QUICK)


def test_the_row_of_an_epoch_has_the_mean_losses_of_its_images() -> None:
    row = epoch_row(replace(after(3), seconds=2.0, data_seconds=0.5), COURSE, QUICK, {"ap": 0.25})
    assert {name: row[name] for name in ("epoch", "step", "loss", "val_ap")} == {
        "epoch": 1,
        "step": 3,
        "loss": 2.0,  # (1 + 2 + 3) / 3
        "val_ap": 0.25,
    }
    assert (row["images_per_second"], row["data_wait"]) == (3.0, 0.25)


def test_an_epoch_begins_anew_and_one_that_was_cut_off_keeps_its_sums() -> None:
    whole, cut = with_score(after(3), 0.5), with_score(after(8), 0.5)
    assert (whole.images, whole.sums) == (0, None)
    assert (cut.images, cut.sums) == (16, {"loss": 72.0})


def test_the_best_is_the_first_of_equals_and_no_score_is_never_best() -> None:
    progress = after(3)
    for score, best in ((None, None), (0.5, 6), (0.5, 6), (0.75, 12)):
        progress = with_score(progress, score)
        assert progress.best_step == best
        progress = replace(progress, step=progress.step + 3)


def test_a_validation_is_owed_between_an_epochs_last_step_and_its_row() -> None:
    assert [validation_is_owed(after(step), COURSE) for step in range(9)] == [s in (3, 6, 8) for s in range(9)]
    assert not validation_is_owed(with_score(after(3), 0.5), COURSE)


def test_it_stands_still_after_so_many_epochs_without_a_better_score() -> None:
    patient, progress = replace(QUICK, early_stop=1), with_score(after(3), 0.5)
    assert not stands_still(progress, COURSE, patient)
    later = with_score(replace(progress, step=6), 0.5)
    assert stands_still(later, COURSE, patient)
    assert not stands_still(later, COURSE, QUICK)
