"""A training whose input grows, or differs from step to step, is resumed to the bit, wherever it was stopped."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from detector_grown import SETTINGS, GrownFamily, train
from detector_numpy import CONFIG, NumpyFamily, NumpyLearner, same_end
from detector_samples import QUICK, THREADS, Watch, drawn_dataset

from detector import training
from detector.canvases import canvas
from detector.engine import Trainer, configure
from detector.family import Batch
from detector.loop import Loop
from detector.run_directory import Run, create_run
from detector.settings import Settings
from detector.steering import Requests, ask_to_change
from detector.stopping import Interrupted
from evaluation.monitor import monitor_ap

configure(THREADS, deterministic=True)


def at(steps: set[int], do: Callable[[], object]) -> Watch:
    return Watch(lambda done: do() if done in steps else None)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_stop_at_any_size_changes_nothing(tmp_path: Path) -> None:
    sizes = [canvas(8, SETTINGS, step)[0] for step in range(9)]
    assert sizes[:3] + sizes[6:] == [64] * 3 + [96] * 3
    assert len(set(sizes[3:6])) > 1
    train(tmp_path / "straight")
    # Where the small ones end, and among the random ones; the kills at random moments have all the others.
    for step in (3, 5):
        with pytest.raises(Interrupted):
            train(tmp_path / "stopped", at({step}, interrupt))
    train(tmp_path / "stopped")
    same_end(tmp_path / "stopped", tmp_path / "straight")


class SizedFamily(NumpyFamily):
    """Rows of numbers that are as large as the input of their step."""

    def batch(self, step: int) -> Batch:
        return {"picture": super().batch(step)["picture"] * canvas(self.images, self.settings, step)[0] / 96}


def test_sizes_follow_a_change_of_the_length_while_the_training_goes(tmp_path: Path) -> None:
    settings = replace(SETTINGS, multi_scale=0.0, small_share=0.5)
    # Half of 3 epochs are 2, and half of 8 are 4.
    assert [canvas(8, settings, step)[0] for step in (5, 6)] == [64, 96]
    longer = replace(settings, epochs=8)
    assert [canvas(8, longer, step)[0] for step in (11, 12)] == [64, 96]

    def run_to(name: str, settings: Settings, stop: int = 0) -> None:
        def look(done: int) -> None:
            if done == 4:
                ask_to_change(tmp_path / name, {"epochs": "8"}, settings)
            if done == stop:
                interrupt()

        run = Run(tmp_path / name) if (tmp_path / name).exists() else create_run(tmp_path / name, CONFIG)
        with run.locked():
            loop = Loop(run, SizedFamily(settings), settings, Watch(look), learner=lambda _: NumpyLearner())
            loop.requests = Requests(run.path, 0.0)
            loop.train()

    run_to("straight", settings)
    with pytest.raises(Interrupted):
        run_to("stopped", settings, 7)
    run_to("stopped", settings.changed(Run(tmp_path / "stopped").config()["settings"], "config"))
    same_end(tmp_path / "stopped", tmp_path / "straight")
    # The same as if the length had been known in the beginning: no step before the change had another size.
    constant = {"schedule": "constant", "warmup_steps": 0}
    for name, begun in (("late", settings), ("known", longer)):
        run_to(name, begun.changed(constant, "test"))
    same_end(tmp_path / "late", tmp_path / "known")


def test_each_size_is_compiled_once_and_what_the_family_leaves_open_not_apart() -> None:
    trainer = Trainer(GrownFamily(SETTINGS), SETTINGS)
    for number in (0, 1, 6, 7):
        trainer.step(GrownFamily(SETTINGS).batch(number), number, 0.01)
    assert set(trainer._compiled) == {(64, 64, 3), (96, 96, 3)}

    class OpenFamily(GrownFamily):
        signature = {"picture": ((None, None, None, 3), "uint8"), "target": ((None, 1), "float32")}  # noqa: RUF012

    trainer = Trainer(OpenFamily(SETTINGS), SETTINGS)
    for number in (0, 6):
        trainer.step(OpenFamily(SETTINGS).batch(number), number, 0.01)
    assert set(trainer._compiled) == {(None, None, 3)}


@pytest.mark.slow
def test_the_network_grows_and_is_resumed_to_the_bit(tmp_path: Path) -> None:
    settings = replace(QUICK, batch=4, input=(96, 96), small_input=(64, 64), small_share=0.5, epochs=2)
    drawn_dataset(tmp_path, {"train": 8, "val": 2})

    def start(name: str, watch: Watch) -> None:
        training.start(tmp_path / "data", tmp_path / name, settings, monitor_ap, watch, "test")

    watch = Watch()
    start("straight", watch)
    assert "input is 64 up to epoch 1, then 96" in watch.notes
    for step in (1, 2, 3):
        with pytest.raises(Interrupted):
            start(f"stopped{step}", at({step}, interrupt))
        training.go_on(tmp_path / f"stopped{step}", {}, None, monitor_ap, Watch())
        same_end(tmp_path / f"stopped{step}", tmp_path / "straight")
    started = json.loads((tmp_path / "straight" / "events.jsonl").read_text().splitlines()[0])
    assert (started["of"], started["sizes"]) == (4, ["input is 64 up to epoch 1, then 96"])
