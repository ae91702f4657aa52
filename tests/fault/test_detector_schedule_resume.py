"""A schedule that waits for a better score goes on waiting after a stop, at whatever step it came."""

import contextlib
import os
import signal
from pathlib import Path

import pytest
from detector_numpy import CONFIG, SETTINGS, NumpyFamily, NumpyLearner, same_end
from detector_samples import Watch

from detector.checkpoint import Progress
from detector.family import Predict, Scores
from detector.loop import Loop
from detector.run_directory import Run, create_run
from detector.settings import Schedule, Settings
from detector.stopping import Interrupted


class Standing(NumpyFamily):
    """The task with a score that rises no more after the first epoch."""

    def monitor(self, predict: Predict) -> Scores:
        return {"closeness": 0.5}


def train(path: Path, settings: Settings, stop_at: int | None = None) -> Progress:
    run = Run(path) if path.exists() else create_run(path, CONFIG)

    def look(done: int) -> None:
        if done == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    with run.locked():
        return Loop(run, Standing(settings), settings, Watch(look), learner=lambda _: NumpyLearner()).train()


@pytest.mark.parametrize(("schedule", "plateaus"), [("plateau", 3), ("kicks", 2)])
def test_a_stop_at_every_step_leaves_the_waiting_as_it_was(tmp_path: Path, schedule: Schedule, plateaus: int) -> None:
    changes = {"schedule": schedule, "patience": 3, "epochs": 10, "warmup_steps": 2, "cycle_epochs": 4, "keep": 99}
    settings = SETTINGS.changed(changes, "test")
    straight = train(tmp_path / "straight", settings)
    assert straight.watched is not None
    # The score is the best after epoch 1; three epochs of waiting are over after epochs 4, 7 and 10. The cosines of
    # kicks take four: from step 2 to 14 and, after epoch 5, from step 15 to 27, so it is kicked after epochs 5 and 9.
    assert straight.watched["plateaus"] == plateaus
    for step in range(1, straight.step):
        with contextlib.suppress(Interrupted):
            train(tmp_path / "stopped", settings, step)
    train(tmp_path / "stopped", settings)
    same_end(tmp_path / "stopped", tmp_path / "straight")
    rates = [row["learning_rate"] for row in straight.history]
    assert len(set(rates)) >= plateaus
