"""What the loop offers beside epochs: pieces of a batch, steps in all, early stops, steps passed over, optimizers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from detector_samples import Watch
from detector_tiny import CONFIG, SETTINGS, TinyFamily, train

from annotations.errors import PpnlabError, UsageError
from detector.checkpoint import Progress, newest_checkpoint
from detector.engine import Trainer, _Compiled
from detector.family import Batch, Predict, Scores
from detector.loop import Loop
from detector.run_directory import Run, create_run
from detector.settings import Optimizer, Settings


def end(path: Path) -> tuple[dict[str, Any], Progress]:
    newest = newest_checkpoint(path / "checkpoints")
    return newest.arrays, newest.progress


def same(a: Path, b: Path) -> None:
    (arrays, progress), (others, other) = end(a), end(b)
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        assert np.array_equal(array, others[name]), name
    untimed = [
        [{k: v for k, v in row.items() if "second" not in k and k != "data_wait"} for row in state.history]
        for state in (progress, other)
    ]
    assert untimed[0] == untimed[1]


class PlainFamily(TinyFamily):
    """The tiny family without norms, whose statistics would differ from piece to piece; no image is random."""

    def build(self, *, pretrained: bool) -> keras.Model:
        picture = keras.Input((8, 8, 3), name="picture")
        x = keras.layers.Conv2D(4, 3, name="plain_conv", activation="relu")(picture / 128)
        x = keras.layers.GlobalAveragePooling2D(name="plain_mean")(x)
        return keras.Model(picture, {"told": keras.layers.Dense(1, name="head")(x)})


@pytest.mark.parametrize("pieces", [2, 3, 8])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_batch_in_pieces_moves_the_weights_as_a_whole_one(pieces: int, optimizer: Optimizer) -> None:
    settings = replace(SETTINGS, batch=8, warmup_steps=0, optimizer=optimizer, clip_norm=0.05)
    whole, split = (Trainer(PlainFamily(settings), s) for s in (settings, replace(settings, accumulate=pieces)))
    for step in range(3):
        batch = PlainFamily(settings).batch(step)
        losses, others = whole.step(batch, step, 0.01), split.step(batch, step, 0.01)
        assert others == pytest.approx(losses, rel=1e-5)
    others_arrays = split.arrays()
    for name, array in whole.arrays().items():
        np.testing.assert_allclose(others_arrays[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_more_pieces_than_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"accumulate must be at most 2, the images of the smallest step, got 3"):
        train(tmp_path / "run", settings=replace(SETTINGS, accumulate=3))


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adamw"])
def test_every_optimizer_goes_on_to_the_same_bits(tmp_path: Path, optimizer: Optimizer) -> None:
    settings = replace(SETTINGS, optimizer=optimizer, schedule="kicks", patience=1, warmup_steps=1, cycle_epochs=1)
    train(tmp_path / "whole", settings=replace(settings, epochs=4))
    for epochs in (1, 3, 4):
        train(tmp_path / "parts", settings=replace(settings, epochs=epochs))
    # The schedule counts from the warm-up, which a shorter training would cut: not here.
    same(tmp_path / "whole", tmp_path / "parts")


def test_total_steps_end_a_training_within_an_epoch(tmp_path: Path) -> None:
    settings = replace(SETTINGS, total_steps=5, schedule="constant")
    progress = train(tmp_path / "run", settings=settings)
    assert (progress.step, [row["step"] for row in progress.history]) == (5, [3, 5])
    assert [row["epoch"] for row in progress.history] == [1, 2]
    longer = train(tmp_path / "run", settings=replace(settings, total_steps=7))
    assert [(row["epoch"], row["step"]) for row in longer.history] == [(1, 3), (2, 6), (3, 7)]
    train(tmp_path / "whole", settings=replace(settings, total_steps=7))
    same(tmp_path / "run", tmp_path / "whole")
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert len(rows) == 4


def test_save_steps_save_within_an_epoch(tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=1, save_steps=2, keep=9)
    train(tmp_path / "run", settings=settings)
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == [
        "step-00000002",
        "step-00000003",
    ]


class FlatFamily(TinyFamily):
    """Its score rises until the second epoch and never after."""

    def monitor(self, predict: Predict) -> Scores:
        self.epochs = getattr(self, "epochs", 0) + 1
        return {"ap": min(self.epochs, 2) / 10, "ap50": None}


def looped(path: Path, family: TinyFamily, settings: Settings, watch: Watch) -> Progress:
    run = Run(path) if path.exists() else create_run(path, CONFIG)
    with run.locked():
        return Loop(run, family, settings, watch).train()


def test_a_standstill_ends_the_training_and_stays_its_end(tmp_path: Path) -> None:
    settings, watch = replace(SETTINGS, epochs=9, early_stop=3), Watch()
    progress = looped(tmp_path / "run", FlatFamily(settings), settings, watch)
    assert (progress.step, progress.best_step) == (15, 6)
    assert watch.notes == ["no better validation score in early_stop=3 epochs; the best is step 6"]
    again = looped(tmp_path / "run", FlatFamily(settings), settings, Watch())
    assert again.step == 15
    longer = replace(settings, early_stop=4)
    assert looped(tmp_path / "run", FlatFamily(longer), longer, Watch()).step > 15


def test_a_step_passed_over_changes_nothing(tmp_path: Path) -> None:
    watch = Watch()
    settings = replace(SETTINGS, skip_bad_steps=1, epochs=2)
    progress = looped(tmp_path / "run", TinyFamily(settings, broken=4), settings, watch)
    assert progress.step == 6
    assert watch.notes == ["step 4: loss inf; the step is passed over"]
    assert all(np.isfinite(array).all() for array in end(tmp_path / "run")[0].values())
    # The epoch's losses are those of the images that it learned from.
    assert all(np.isfinite(value) for row in progress.history for value in row.values() if value is not None)


def test_a_guarded_step_leaves_every_variable_alone() -> None:
    family = TinyFamily(SETTINGS, broken=4)
    trainer = Trainer(family, replace(SETTINGS, skip_bad_steps=1))
    trainer.step(family.batch(0), 0, 0.01)
    before = trainer.arrays()
    assert trainer.step(family.batch(4), 4, 0.01)["loss"] == np.inf
    after = trainer.arrays()
    assert [name for name in before if not np.array_equal(before[name], after[name])] == []


def test_too_many_bad_steps_in_a_row_end_the_training(tmp_path: Path) -> None:
    class Broken(TinyFamily):
        def batch(self, step: int) -> Batch:
            batch = dict(super().batch(step))
            return {**batch, "target": np.full_like(batch["target"], np.nan)} if step >= 4 else batch

    settings = replace(SETTINGS, skip_bad_steps=2)
    with pytest.raises(PpnlabError, match=r"step 6: loss must be finite, got nan; .*skip_bad_steps"):
        looped(tmp_path / "run", Broken(settings), settings, Watch())


def test_a_step_beyond_memory_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(TinyFamily(SETTINGS), SETTINGS)

    def full(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(trainer, "_compiled_for", lambda _: _Compiled(full, full))
    with pytest.raises(PpnlabError, match=r"3 images in 1 piece\(s\) must fit, .* `--set accumulate=2`"):
        trainer.step(TinyFamily(SETTINGS).batch(0), 0, 0.01)
