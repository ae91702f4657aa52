"""A training whose input grows, or differs from step to step, is resumed to the bit, wherever it was stopped."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from detector_grown import SETTINGS, GrownFamily, train
from detector_numpy import same_end
from detector_samples import QUICK, THREADS, Watch, drawn_dataset

from detector import training
from detector.canvases import canvas
from detector.engine import Trainer, configure
from detector.family import Batch
from detector.run_directory import Run
from detector.steering import ask_to_change
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
    # In the small ones, where they end, among the random ones, and where these end.
    for step in (2, 3, 5, 6):
        with pytest.raises(Interrupted):
            train(tmp_path / "stopped", at({step}, interrupt))
    train(tmp_path / "stopped")
    same_end(tmp_path / "stopped", tmp_path / "straight")


def test_sizes_follow_a_change_of_the_length_while_the_training_goes(tmp_path: Path) -> None:
    settings = replace(SETTINGS, multi_scale=0.0, small_share=0.5)
    # Half of 3 epochs are 2, and half of 8 are 4.
    assert [canvas(8, settings, step)[0] for step in (5, 6)] == [64, 96]

    def watch(run: Path, stop: int) -> Watch:
        def look(done: int) -> None:
            if done == 4:
                ask_to_change(run, {"epochs": "8"}, settings)
            if done == stop:
                interrupt()

        return Watch(look)

    seen: list[int] = []
    step = Trainer.step

    def told(self: Trainer, batch: Batch, number: int, rate: float) -> Mapping[str, float]:
        seen.append(batch["picture"].shape[1])
        return step(self, batch, number, rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", told)
        train(tmp_path / "straight", watch(tmp_path / "straight", 0), settings)
    assert seen == [64] * 12 + [96] * 12
    with pytest.raises(Interrupted):
        train(tmp_path / "stopped", watch(tmp_path / "stopped", 7), settings)
    train(tmp_path / "stopped", settings=settings.changed(Run(tmp_path / "stopped").config()["settings"], "config"))
    same_end(tmp_path / "stopped", tmp_path / "straight")


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
