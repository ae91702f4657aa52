"""Directories and files that are whole or not there: what may be replaced, and what a disk that cannot sync does."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from annotations.dataset import refuse_existing
from annotations.errors import UsageError
from annotations.whole import is_free, whole_directory, write_whole


def write_into(place: Path) -> None:
    with whole_directory(place) as aside:
        (aside / "new.txt").write_text("new")


def test_directory_appears_when_it_is_whole(tmp_path: Path) -> None:
    with whole_directory(tmp_path / "a" / "b") as aside:
        (aside / "new.txt").write_text("new")
        assert not (tmp_path / "a" / "b").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert (tmp_path / "a" / "b" / "new.txt").read_text() == "new"


def test_empty_directory_is_filled_and_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o700)
    refuse_existing(tmp_path / "empty")
    write_into(tmp_path / "empty")
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["new.txt"]
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o700


def test_failure_leaves_the_empty_directory_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError), whole_directory(tmp_path / "empty") as aside:
        (aside / "new.txt").write_text("new")
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def link_to_an_empty_directory(place: Path) -> None:
    (place.parent / "target").mkdir()
    place.symlink_to("target")


OCCUPIED: dict[str, Callable[[Path], object]] = {
    "file": lambda place: place.write_text("mine"),
    "empty file": lambda place: place.touch(),
    "broken link": lambda place: place.symlink_to("nowhere"),
    "link to an empty directory": link_to_an_empty_directory,
    "directory with a hidden file": lambda place: (place.mkdir(), (place / ".mine").touch()),
    "directory with an empty one": lambda place: (place / "mine").mkdir(parents=True),
    "pipe": os.mkfifo,
}


@pytest.mark.parametrize("kind", OCCUPIED)
def test_what_is_there_is_refused_and_untouched(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    OCCUPIED[kind](place)
    before = sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="place: destination must not exist yet, or be an empty directory, got"):
        refuse_existing(place)
    with pytest.raises(FileExistsError, match="must be empty or not exist yet"):
        write_into(place)
    assert sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_the_directory_one_stands_in_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (Path(), tmp_path):
        with pytest.raises(FileExistsError):
            write_into(place)


def test_a_mount_point_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    assert not is_free(tmp_path)


def test_a_name_that_cannot_be_is_free_until_it_is_made(tmp_path: Path) -> None:
    refuse_existing(tmp_path / ("x" * 300))
    with pytest.raises(OSError, match="File name too long"):
        write_into(tmp_path / ("x" * 300))


def test_directory_filled_meanwhile_is_kept(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="Directory not empty"), whole_directory(tmp_path / "empty"):
        (tmp_path / "empty" / "theirs.txt").write_text("theirs")
    assert [path.name for path in tmp_path.rglob("*")] == ["empty", "theirs.txt"]


def failing_sync(monkeypatch: pytest.MonkeyPatch, code: int, *, directories: bool) -> None:
    """Make fsync fail for directories, or for files, with an error code."""
    sync = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode) == directories:
            raise OSError(code, os.strerror(code))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_mount_that_cannot_sync_directories_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    failing_sync(monkeypatch, code, directories=True)
    write_into(tmp_path / "a")
    write_whole(tmp_path / "b.txt", "new")
    assert ((tmp_path / "a" / "new.txt").read_text(), (tmp_path / "b.txt").read_text()) == ("new", "new")


@pytest.mark.parametrize(("code", "directories"), [(errno.EIO, True), (errno.ENOSPC, True), (errno.EINVAL, False)])
def test_any_other_failure_to_sync_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, directories: bool
) -> None:
    failing_sync(monkeypatch, code, directories=directories)
    with pytest.raises(OSError, match=os.strerror(code)):
        write_into(tmp_path / "a")
    with pytest.raises(OSError, match=os.strerror(code)):
        write_whole(tmp_path / "b.txt", "new")
    assert not (tmp_path / "a").exists()


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(tmp_path / "pipe", "new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_what_need_not_be_durable_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_sync(monkeypatch, errno.EIO, directories=True)
    write_whole(tmp_path / "b.txt", "new", durable=False)
    assert (tmp_path / "b.txt").read_text() == "new"
