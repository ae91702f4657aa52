"""A training that was stopped, killed or damaged ends bit for bit where one that was left alone ends."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detector_samples import THREADS, TIMED, Watch
from detector_tiny import SETTINGS, TinyFamily, train

from annotations.errors import PpnlabError
from detector.checkpoint import ARRAYS, checkpoint_path, load_checkpoint, steps_saved
from detector.engine import configure
from detector.loop import Loop
from detector.run_directory import Run
from detector.stopping import Interrupted

configure(THREADS, deterministic=True)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that nothing interrupted."""
    path = tmp_path_factory.mktemp("loop") / "straight"
    train(path)
    return path


def at(step: int, do: Callable[[], object]) -> Watch:
    def look(done: int) -> None:
        if done == step:
            do()

    return Watch(look)


def events(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (path / "events.jsonl").read_text().splitlines()]


def history(path: Path) -> dict[str, list[float | None]]:
    table = Run(path).history()
    return {name: column for name, column in table.items() if name not in TIMED}


def assert_ended_alike(path: Path, straight: Path, step: int = 9) -> None:
    (arrays, progress), (expected, wanted) = (
        load_checkpoint(checkpoint_path(Run(run).checkpoints, step)) for run in (path, straight)
    )
    assert arrays.keys() == expected.keys()
    assert [name for name in arrays if arrays[name].tobytes() != expected[name].tobytes()] == []
    assert (progress.best_step, progress.best_score) == (wanted.best_step, wanted.best_score)
    assert history(path) == history(straight)
    assert not list(Run(path).checkpoints.glob(".*"))


def test_a_run_leaves_one_row_an_epoch_and_the_newest_and_best_checkpoints(straight: Path) -> None:
    table = history(straight)
    assert table["epoch"] == [1, 2, 3]
    assert table["step"] == [3, 6, 9]
    np.testing.assert_allclose(table["loss"], np.add(table["square_loss"], table["size_loss"]), rtol=1e-5)
    assert table["val_ap50"] == [None] * 3
    progress = load_checkpoint(checkpoint_path(Run(straight).checkpoints, 9))[1]
    assert progress.best_score == max(table["val_ap"])
    assert progress.best_step == 3 * (1 + int(np.argmax(table["val_ap"])))
    assert steps_saved(Run(straight).checkpoints) == sorted({6, 9, progress.best_step})
    assert len((straight / "log.txt").read_text().splitlines()) == 3


def test_a_stop_in_mid_epoch_changes_nothing(tmp_path: Path, straight: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(Interrupted, match=r"SIGTERM came; step 5 is saved in .*step-00000005"):
        train(path, at(5, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert history(path)["epoch"] == [1]
    # And once more, just as the epoch ends: its validation is left to the resume.
    with pytest.raises(Interrupted, match=r"SIGINT came in the validation, .*; step 6 is saved"):
        train(path, at(6, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert history(path)["epoch"] == [1]
    watch = Watch()
    train(path, watch)
    assert len(watch.losses) == 3
    assert [row["epoch"] for row in watch.rows] == [2, 3]
    assert_ended_alike(path, straight)
    assert events(path) == ["interrupted", "interrupted"]


def test_a_stop_at_the_last_step_leaves_its_validation_to_the_resume(tmp_path: Path, straight: Path) -> None:
    with pytest.raises(Interrupted, match=r"in the validation, .*; step 9 is saved"):
        train(tmp_path / "run", at(9, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    watch = Watch()
    train(tmp_path / "run", watch)
    assert watch.losses == []
    assert_ended_alike(tmp_path / "run", straight)


def test_the_number_of_loaders_changes_nothing(tmp_path: Path, straight: Path) -> None:
    train(tmp_path / "run", settings=replace(SETTINGS, loaders=3))
    assert_ended_alike(tmp_path / "run", straight)


def test_rare_saves_change_nothing_and_take_back_what_was_not_saved(tmp_path: Path, straight: Path) -> None:
    class Stumbled(Exception):
        pass

    def stumble() -> None:
        raise Stumbled

    # Where the score did not get better, the second epoch's row stands in history.csv only.
    rare = replace(SETTINGS, save_every=3)
    path = tmp_path / "run"
    with pytest.raises(Stumbled):
        train(path, at(8, stumble), rare)
    assert history(path)["epoch"] == [1, 2]
    train(path, None, rare)
    assert_ended_alike(path, straight)


def test_a_run_without_a_checkpoint_begins_anew(tmp_path: Path, straight: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        # Twice: the second leaves at once.
        train(path, at(2, lambda: [signal.raise_signal(signal.SIGINT) for _ in range(2)]))
    assert steps_saved(path / "checkpoints") == []
    train(path)
    assert_ended_alike(path, straight)


def test_more_epochs_go_on_where_the_run_ended(tmp_path: Path, straight: Path) -> None:
    path = Path(shutil.copytree(straight, tmp_path / "run"))
    watch = Watch()
    assert train(path, watch).step == 9
    assert watch.losses == []
    train(path, watch, replace(SETTINGS, epochs=4))
    assert len(watch.losses) == 3
    assert history(path)["step"] == [3, 6, 9, 12]
    assert [row[:3] for row in history(path).values()] == list(history(straight).values())


def test_pretrained_weights_are_wanted_for_a_new_run_only(tmp_path: Path, straight: Path) -> None:
    run = Run(Path(shutil.copytree(straight, tmp_path / "run")))
    family = TinyFamily(SETTINGS)
    Loop(run, family, SETTINGS, Watch())
    assert family.pretrained == [False, False]
    fresh = TinyFamily(SETTINGS)
    (tmp_path / "new" / "checkpoints").mkdir(parents=True)
    Loop(Run(tmp_path / "new"), fresh, SETTINGS, Watch())
    assert fresh.pretrained == [True, False]


def damage(checkpoint: Path) -> bytes:
    data = bytearray((checkpoint / ARRAYS).read_bytes())
    data[len(data) // 2] ^= 1
    (checkpoint / ARRAYS).write_bytes(data)
    return bytes(data)


def test_a_damaged_newest_checkpoint_is_told_kept_and_made_again(tmp_path: Path, straight: Path) -> None:
    path = Path(shutil.copytree(straight, tmp_path / "run"))
    damaged = damage(checkpoint_path(path / "checkpoints", 9))
    watch = Watch()
    train(path, watch)
    assert len(watch.losses) == 3
    assert_ended_alike(path, straight)
    assert (path / "checkpoints" / "damaged-step-00000009" / ARRAYS).read_bytes() == damaged
    assert "step-00000009" in watch.notes[0]
    assert "going on from step-00000006" in watch.notes[0]
    line = json.loads((path / "events.jsonl").read_text().splitlines()[-1])
    assert line["event"] == "checkpoint-damaged"
    assert line["kept_as"] == "damaged-step-00000009"
    assert ARRAYS in line["reason"]


def test_no_whole_checkpoint_is_an_error_and_nothing_is_touched(tmp_path: Path, straight: Path) -> None:
    path = Path(shutil.copytree(straight, tmp_path / "run"))
    for step in steps_saved(path / "checkpoints"):
        damage(checkpoint_path(path / "checkpoints", step))
    before = sorted((path / "checkpoints").iterdir())
    with pytest.raises(PpnlabError, match="checkpoints must hold one that is whole"):
        train(path)
    assert sorted((path / "checkpoints").iterdir()) == before


def test_a_checkpoint_of_another_network_is_an_error(tmp_path: Path, straight: Path) -> None:
    path = Path(shutil.copytree(straight, tmp_path / "run"))

    class Wider(TinyFamily):
        def is_trunk(self, layer: str) -> bool:
            return False

    with pytest.raises(PpnlabError, match="the state must hold just what the model has"):
        Loop(Run(path), Wider(SETTINGS), SETTINGS, Watch())


def test_a_loss_that_is_no_number_stops_with_the_checkpoints_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(PpnlabError, match=r"step 4: loss must be finite, got inf; .*Try a lower learning_rate"):
        train(path, broken=4)
    assert steps_saved(path / "checkpoints") == [3]
    assert events(path) == ["loss-not-finite"]
