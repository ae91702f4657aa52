"""Checkpoints: bit for bit, whole or not there, and what becomes of damaged ones."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from annotations.errors import PpnlabError
from detector.checkpoint import (
    ARRAYS,
    MANIFEST,
    STATE,
    Progress,
    checkpoint_path,
    load_checkpoint,
    newest_checkpoint,
    remove_checkpoint,
    remove_leftovers,
    save_checkpoint,
    set_aside,
    steps_saved,
    surplus,
)

STATE_ARRAYS = {
    "model/a/kernel": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
    "model/a/tiny": np.array([1e-45, -0.0, np.inf, np.nan], np.float32),
    "adamw/iteration": np.array(2**40 + 1, np.int64),
    "adamw/rate": np.array(1e-3, np.float32),
    "empty": np.zeros((0, 4), np.float32),
}
PROGRESS = Progress(
    step=7,
    images=5,
    seconds=1 / 3,
    sums={"loss": 0.1 + 0.2},
    history=({"epoch": 1, "loss": 1e-300, "val_ap": None},),
    best_step=3,
    best_score=2 / 3,
)


def saved(directory: Path, *steps: int) -> list[Path]:
    return [save_checkpoint(directory, STATE_ARRAYS, Progress(step=step)) for step in steps]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    arrays, progress = load_checkpoint(save_checkpoint(tmp_path, STATE_ARRAYS, PROGRESS))
    assert list(arrays) == list(STATE_ARRAYS)
    for name, array in STATE_ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
    assert progress == PROGRESS


def test_a_whole_checkpoint_is_not_written_again(tmp_path: Path) -> None:
    (path,) = saved(tmp_path, 1)
    before = (path / ARRAYS).stat().st_mtime_ns
    assert save_checkpoint(tmp_path, {}, Progress(step=1)) == path
    assert (path / ARRAYS).stat().st_mtime_ns == before


@pytest.mark.parametrize("name", [ARRAYS, STATE, MANIFEST])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_a_flipped_bit_is_found(tmp_path: Path, name: str, place: float) -> None:
    (path,) = saved(tmp_path, 1)
    content = (path / name).read_bytes()
    flip(path / name, int(place * len(content)))
    if name == MANIFEST and '"schema": 1' not in (path / name).read_text(errors="replace"):
        pytest.skip("the manifest's own version is not hashed")
    with pytest.raises(PpnlabError, match="step-00000001"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", [ARRAYS, STATE, MANIFEST])
def test_a_missing_or_cut_file_is_found(tmp_path: Path, name: str) -> None:
    cut, without = saved(tmp_path, 1, 2)
    (cut / name).write_bytes((cut / name).read_bytes()[:-20])
    (without / name).unlink()
    for path in (cut, without):
        with pytest.raises(PpnlabError, match=path.name):
            load_checkpoint(path)


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"sha256": {}}', "5", '{"sha256": 5}', "\ud83d"])
def test_a_manifest_of_rubbish_is_an_error_that_names_the_checkpoint(tmp_path: Path, manifest: str) -> None:
    (path,) = saved(tmp_path, 1)
    (path / MANIFEST).write_bytes(manifest.encode(errors="surrogatepass"))
    with pytest.raises(PpnlabError, match="step-00000001: checkpoint must be whole"):
        load_checkpoint(path)


def test_the_newest_whole_one_is_taken_and_damaged_ones_are_named(tmp_path: Path) -> None:
    _, second, third, fourth = saved(tmp_path, 5, 6, 1000, 200_000_000)
    flip(fourth / ARRAYS, 100)
    (third / STATE).unlink()
    found = newest_checkpoint(tmp_path)
    assert found.path == second
    assert found.progress.step == 6
    assert list(found.damaged) == [fourth, third]
    assert ARRAYS in found.damaged[fourth]
    # It only looks: a prediction must not change a run.
    assert steps_saved(tmp_path) == [5, 6, 1000, 200_000_000]


def test_no_whole_checkpoint_is_an_error_with_every_reason(tmp_path: Path) -> None:
    for path in saved(tmp_path, 5, 6):
        flip(path / ARRAYS, 100)
    with pytest.raises(PpnlabError, match=r"step-00000006.*step-00000005"):
        newest_checkpoint(tmp_path)
    with pytest.raises(PpnlabError, match=r"got none$"):
        newest_checkpoint(tmp_path / "nowhere")


def test_a_damaged_one_set_aside_makes_room_and_is_kept(tmp_path: Path) -> None:
    for number in range(3):
        (path,) = saved(tmp_path, 5)
        (path / STATE).write_text(f"damage {number}")
        set_aside(path)
    names = [f"damaged-step-00000005{end}" for end in ("", "-2", "-3")]
    assert [(tmp_path / name / STATE).read_text() for name in names] == ["damage 0", "damage 1", "damage 2"]
    assert steps_saved(tmp_path) == []


def test_surplus_spares_the_newest_and_the_best(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3, 4, 5)
    assert list(surplus(tmp_path, 2, {2})) == [checkpoint_path(tmp_path, step) for step in (1, 3)]
    assert list(surplus(tmp_path, 1, ())) == [checkpoint_path(tmp_path, step) for step in (1, 2, 3, 4)]
    assert list(surplus(tmp_path, 9, {1})) == []


def test_steps_saved_passes_over_what_is_no_checkpoint(tmp_path: Path) -> None:
    saved(tmp_path, 3)
    for name in (".step-00000004.partial", "step-00000005.tmp", "step-x", "damaged-step-00000006"):
        (tmp_path / name).mkdir()
    assert steps_saved(tmp_path) == [3]


def test_leftovers_of_a_killed_process_go_and_nothing_else(tmp_path: Path) -> None:
    whole, doomed = saved(tmp_path, 3, 4)
    doomed.rename(tmp_path / ".step-00000004.doomed")
    (tmp_path / ".step-00000005.partial").mkdir()
    (tmp_path / ".step-00000005.partial" / ARRAYS).write_bytes(b"half")
    (tmp_path / ".nfs0001").write_bytes(b"")
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {whole.name, ".nfs0001"}


def test_a_removed_checkpoint_is_gone(tmp_path: Path) -> None:
    (path,) = saved(tmp_path, 3)
    remove_checkpoint(path)
    assert list(tmp_path.iterdir()) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes: what a full disk does, without filling one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 1, 100, 40_000, 80_000])
def test_a_disk_that_fills_up_leaves_nothing_and_the_older_one_whole(tmp_path: Path, size: int) -> None:
    arrays = {f"a{number}": np.ones(5000, np.float32) for number in range(5)}
    old = save_checkpoint(tmp_path, arrays, Progress(step=1))
    with largest_file(size), pytest.raises(PpnlabError, match=r"step-00000002: checkpoint must be writable"):
        save_checkpoint(tmp_path, arrays, Progress(step=2))
    assert list(tmp_path.iterdir()) == [old]
    assert load_checkpoint(old)[1].step == 1


def test_a_state_that_json_cannot_hold_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(tmp_path, {}, Progress(step=1, best_score=float("nan")))
    assert list(tmp_path.iterdir()) == []


def test_the_state_is_plain_json_that_names_every_array(tmp_path: Path) -> None:
    state = json.loads((save_checkpoint(tmp_path, STATE_ARRAYS, PROGRESS) / STATE).read_text())
    assert state["names"] == list(STATE_ARRAYS)
    assert state["progress"]["step"] == 7
