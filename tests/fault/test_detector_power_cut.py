"""A cut of the power between any two writes: what was flushed to the disk is all that is left.

A disk of which only the flushed part counts is kept beside the real one: the content of a file as it was when the file
was last flushed, and the names in a directory as they were when the directory was. Before and after each flush and each
renaming, the power could fail; what then is found may be just that part, or the names of now with that content (which
is what a journal of names alone leaves: files of no bytes).
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
from detector_numpy import SETTINGS, NumpyLearner, same_end, train

from annotations import whole
from detector.checkpoint import Progress, newest_checkpoint, remove_leftovers, save_checkpoint, steps_saved
from detector.saving import Saver

Tree = dict[str, bytes | None]
"""Path below the root: a file's bytes, or None for a directory."""


class Disk:
    """What a power cut would leave of a folder at each moment, as two trees a moment: `cautious` and `hasty`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content: dict[int, bytes] = {}
        self.names: dict[int, dict[str, tuple[int, bool]]] = {}
        self.cuts: list[tuple[Tree, Tree, list[int]]] = []
        self.held: dict[int, int] = {}
        self._flush_directory(root)

    def _flush_directory(self, path: Path) -> None:
        entries = [(entry.name, entry.stat(follow_symlinks=False)) for entry in os.scandir(path)]
        for name, state in entries:
            self._hold(path / name, state.st_ino)
        listed = {name: (state.st_ino, stat.S_ISDIR(state.st_mode)) for name, state in entries}
        self.names[path.stat().st_ino] = listed

    def _hold(self, path: Path, inode: int) -> None:
        # While it is open, no later file gets its number, by which it is known here.
        if inode not in self.held:
            self.held[inode] = os.open(path, os.O_RDONLY)

    def flushed(self, handle: int) -> None:
        state, path = os.fstat(handle), Path(f"/proc/self/fd/{handle}").resolve()
        if not path.is_relative_to(self.root):
            return
        self._hold(path, state.st_ino)
        if stat.S_ISDIR(state.st_mode):
            self._flush_directory(path)
        else:
            self.content[state.st_ino] = path.read_bytes()

    def cut(self) -> None:
        """Take note of what a cut at this moment would leave."""
        cautious: Tree = {}
        self._walk(self.root.stat().st_ino, "", cautious)
        hasty: Tree = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            hasty[name] = None if path.is_dir() else self.content.get(path.stat().st_ino, b"")
        whole = steps_saved(self.root / "run" / "checkpoints")
        if not self.cuts or (cautious, hasty) != self.cuts[-1][:2]:
            self.cuts.append((cautious, hasty, whole))

    def _walk(self, directory: int, prefix: str, tree: Tree) -> None:
        for name, (inode, is_directory) in self.names.get(directory, {}).items():
            tree[prefix + name] = None if is_directory else self.content.get(inode, b"")
            if is_directory:
                self._walk(inode, f"{prefix}{name}/", tree)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk")

    def around(real: Callable[..., Any], after: Callable[..., None] = lambda *_: None) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:  # noqa: ANN401
            disk.cut()
            result = real(*args, **named)
            after(*args)
            disk.cut()
            return result

        return call

    begin = Saver.begin

    def begin_and_wait(self: Saver, *args: Any) -> None:  # noqa: ANN401
        begin(self, *args)
        # One write after the other: the notes above are of one moment then.
        wait([self._under_way] if self._under_way else [])

    monkeypatch.setattr(Saver, "begin", begin_and_wait)
    monkeypatch.setattr(os, "fsync", around(os.fsync, lambda handle: disk.flushed(handle)))
    monkeypatch.setattr(Path, "rename", around(Path.rename))
    monkeypatch.setattr(Path, "replace", around(Path.replace))
    yield disk
    for handle in disk.held.values():
        os.close(handle)


def lay(tree: Tree, place: Path) -> None:
    place.mkdir()
    for name, content in sorted(tree.items()):
        if content is None:
            (place / name).mkdir(exist_ok=True)
        else:
            (place / name).write_bytes(content)


def test_a_power_cut_between_any_two_writes_changes_nothing(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.changed({"epochs": 3, "save_steps": 2, "keep_every": 2}, "tests")
    train(disk.root / "run", settings=settings)
    monkeypatch.undo()
    assert len(disk.cuts) > 50
    promised, resumed = 0, set()
    for number, (cautious, hasty, _) in enumerate(disk.cuts):
        for kind, tree in (("cautious", cautious), ("hasty", hasty)):
            place = tmp_path / f"{kind}{number}"
            lay(tree, place)
            checkpoints = place / "run" / "checkpoints"
            newest = newest_checkpoint(checkpoints).progress.step if steps_saved(checkpoints) else 0
            if kind == "cautious":
                # What was there after one cut is there after every later one, or something newer.
                assert newest >= promised, place
                promised = newest
            if (kind, newest) not in resumed and (place / "run").is_dir():
                resumed.add((kind, newest))
                train(place / "run", settings=settings)
                same_end(place / "run", disk.root / "run")
            shutil.rmtree(place)
    assert {newest for _, newest in resumed} >= {2, 3, 4, 6, 8, 9}


def test_the_flushed_part_is_empty_where_nothing_is_flushed(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of these tests is one that can fail: without flushes it loses what was written."""
    monkeypatch.setattr(whole, "_flush_tree", lambda _: None)
    train(disk.root / "run", settings=SETTINGS.changed({"epochs": 1}, "tests"))
    cautious, hasty, there = disk.cuts[-1]
    assert there == [3]
    assert "run/checkpoints/step-00000003/arrays.npz" not in cautious
    assert hasty["run/checkpoints/step-00000003/arrays.npz"] == b""


def test_a_power_cut_while_a_checkpoint_is_replaced_leaves_the_old_or_the_new(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = disk.root / "checkpoints"
    checkpoints.mkdir()
    whole.flush_directory(disk.root)
    arrays, old = NumpyLearner().arrays(), Progress(step=3)
    save_checkpoint(checkpoints, arrays, old)
    # From here on, what is removed is gone from the disk at once: the worst that a removal can do.
    first = len(disk.cuts)
    remove = shutil.rmtree

    def removed(path: Path, *args: Any, **named: Any) -> None:  # noqa: ANN401
        for file in Path(path).glob("*"):
            disk.content.pop(file.stat().st_ino, None)
        remove(path, *args, **named)
        disk.cut()

    monkeypatch.setattr(shutil, "rmtree", removed)
    new = Progress(step=3, history=({"epoch": 1, "step": 3},))
    save_checkpoint(checkpoints, arrays, new)
    monkeypatch.undo()
    found = set()
    for number, (cautious, hasty, _) in enumerate(disk.cuts[first:]):
        for kind, tree in (("cautious", cautious), ("hasty", hasty)):
            place = tmp_path / f"{kind}{number}"
            lay(tree, place)
            remove_leftovers(place / "checkpoints")
            found.add(len(newest_checkpoint(place / "checkpoints").progress.history))
    assert found == {0, 1}
    assert newest_checkpoint(checkpoints).progress == new
