"""Pictures kept in memory and on disk: the same bits as without, whatever happens to the pictures and to the folder."""

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detector_samples import drawn_dataset

from annotations.dataset import read_dataset
from detector.box_samples import BoxSamples
from detector.letterbox import reduced
from detector.picture_cache import DiskCache, Kept, NoCache, PictureCache, RamCache, picture_cache
from detector.settings import Cache, Settings

LARGE = 10**6


class Maker:
    """Makes a picture of one value, the first byte of its file, and counts how often."""

    def __init__(self, path: Path) -> None:
        self.path, self.made = path, 0

    def __call__(self) -> Kept:
        self.made += 1
        return Kept(np.full((4, 5, 3), self.path.read_bytes()[0], np.uint8), (50, 40))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x07")
    return path


def notes() -> tuple[list[str], Callable[[str], None]]:
    told: list[str] = []
    return told, told.append


def caches(folder: Path) -> list[PictureCache]:
    return [RamCache(LARGE), DiskCache(folder, LARGE, pytest.fail)]


@pytest.mark.parametrize("number", [0, 1])
def test_a_picture_is_made_once_and_given_again(tmp_path: Path, picture: Path, number: int) -> None:
    cache, make = caches(tmp_path / "cache")[number], Maker(picture)
    got = [cache.get(picture, "as it is", make) for _ in range(3)]
    assert make.made == 1
    for one in got:
        assert one.size == (50, 40)
        np.testing.assert_array_equal(one.pixels, np.full((4, 5, 3), 7, np.uint8))
        assert one.pixels.dtype == np.uint8
        with pytest.raises(ValueError, match="read-only"):
            one.pixels[0] = 0


@pytest.mark.parametrize("number", [0, 1])
def test_a_changed_picture_is_never_taken_from_the_cache(tmp_path: Path, picture: Path, number: int) -> None:
    cache, make = caches(tmp_path / "cache")[number], Maker(picture)
    cache.get(picture, "as it is", make)
    before = picture.stat()
    picture.write_bytes(b"\x09")
    # As `cp -p` and rsync leave it: the same size and time.
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.get(picture, "as it is", make).pixels[0, 0, 0] == 9
    assert make.made == 2


@pytest.mark.parametrize("number", [0, 1])
def test_another_form_of_a_picture_is_another_entry(tmp_path: Path, picture: Path, number: int) -> None:
    cache, make = caches(tmp_path / "cache")[number], Maker(picture)
    for form in ("small", "large", "small"):
        cache.get(picture, form, make)
    assert make.made == 2


@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_no_more_than_the_bound_is_kept_and_what_is_kept_stays(tmp_path: Path, kind: str) -> None:
    # Room for two pictures of 60 bytes and, on disk, 24 for the head of each.
    told, note = notes()
    cache = RamCache(125) if kind == "ram" else DiskCache(tmp_path / "cache", 170, note)
    makers = []
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode())
        makers.append(Maker(tmp_path / name))
    for _ in range(3):
        for make in makers:
            cache.get(make.path, "as it is", make)
    assert [make.made for make in makers] == [1, 1, 3]
    assert len(told) == (kind == "disk")
    if isinstance(cache, RamCache):
        assert cache.taken == 120
    else:
        assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()) <= 170
        assert "cache_gb" in told[0]


def test_a_changed_picture_takes_the_room_of_the_old_one(picture: Path) -> None:
    cache, make = RamCache(70), Maker(picture)
    for value in range(5):
        picture.write_bytes(bytes([value, *range(value)]))
        cache.get(picture, "as it is", make)
    cache.get(picture, "as it is", make)
    assert (make.made, cache.taken) == (5, 60)


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", ["flip", "flip-head", "cut", "empty", "longer"])
def test_a_damaged_entry_is_told_once_and_made_anew(tmp_path: Path, picture: Path, damage: str) -> None:
    told, note = notes()
    make = Maker(picture)
    DiskCache(tmp_path / "cache", LARGE, note).get(picture, "as it is", make)
    (entry,) = entries(tmp_path / "cache")
    data = bytearray(entry.read_bytes())
    if damage == "flip":
        data[-7] ^= 1
    elif damage == "flip-head":
        data[9] ^= 1
    else:
        data = {"cut": data[:-1], "empty": bytearray(), "longer": data + b"x"}[damage]
    entry.write_bytes(data)
    cache = DiskCache(tmp_path / "cache", LARGE, note)
    assert cache.get(picture, "as it is", make).pixels[0, 0, 0] == 7
    assert make.made == 2
    (text,) = told
    assert str(entry) in text
    assert DiskCache(tmp_path / "cache", LARGE, pytest.fail).get(picture, "as it is", make).size == (50, 40)
    assert make.made == 2


def test_a_full_disk_is_told_once_and_the_pictures_come_all_the_same(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as handle:
            handle.write(data[:30])
        raise OSError(28, "No space left on device")

    told, note = notes()
    cache, make = DiskCache(tmp_path / "cache", LARGE, note), Maker(picture)
    monkeypatch.setattr(Path, "write_bytes", full)
    for form in ("a", "b", "c"):
        assert cache.get(picture, form, make).pixels[0, 0, 0] == 7
    assert len(told) == 1
    assert "No space left on device; going on without" in told[0]
    assert entries(tmp_path / "cache") == []


def test_a_folder_that_cannot_be_is_told_and_done_without(tmp_path: Path, picture: Path) -> None:
    told, note = notes()
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file" / "cache", LARGE, note)
    assert cache.get(picture, "as it is", Maker(picture)).pixels[0, 0, 0] == 7
    assert len(told) >= 1


def test_threads_and_trainings_share_a_folder(tmp_path: Path) -> None:
    for value in range(20):
        (tmp_path / f"{value}.png").write_bytes(bytes([value]))
    two = [DiskCache(tmp_path / "cache", LARGE, pytest.fail) for _ in range(2)]
    wrong: list[int] = []

    def work(cache: DiskCache, seed: int) -> None:
        for value in np.random.default_rng(seed).integers(0, 20, 200).tolist():
            path = tmp_path / f"{value}.png"
            if cache.get(path, "as it is", Maker(path)).pixels[0, 0, 0] != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(two[seed % 2], seed)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(entries(tmp_path / "cache")) == 20


def test_a_folder_removed_in_between_is_made_again(tmp_path: Path, picture: Path) -> None:
    cache, make = DiskCache(tmp_path / "cache", LARGE, pytest.fail), Maker(picture)
    cache.get(picture, "as it is", make)
    shutil.rmtree(tmp_path / "cache")
    cache.get(picture, "as it is", make)
    cache.get(picture, "as it is", make)
    assert make.made == 2


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({}, RamCache), ({"cache": "disk"}, DiskCache), ({"cache": "none"}, NoCache), ({"cache_gb": 0}, NoCache)],
)
def test_the_settings_choose_the_cache(tmp_path: Path, changes: dict[str, object], kind: type) -> None:
    cache = picture_cache(Settings().changed(changes, "test"), tmp_path, pytest.fail)
    assert type(cache) is kind
    if isinstance(cache, DiskCache):
        assert (cache.folder, cache.most) == (tmp_path / ".cache", 3 * 10**8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_dataset(tmp_path_factory.mktemp("cache"), {"train": 6, "val": 1}, side=200)


@pytest.mark.parametrize("cache", ["ram", "disk"])
@pytest.mark.parametrize("augment", [True, False])
def test_batches_are_the_same_bits_with_a_cache_and_without(data: Path, cache: Cache, augment: bool) -> None:
    settings = Settings(input=(64, 96), batch=4, augment=augment, cache="none")
    train = read_dataset(data).split("train")
    plain = BoxSamples(train, settings)
    kept = replace(settings, cache=cache)
    cached = BoxSamples(train, kept, picture_cache(kept, data, pytest.fail))
    # Three epochs, the later ones from the cache.
    for step in range(6):
        for one, other in zip(plain.batch(step), cached.batch(step), strict=True):
            np.testing.assert_array_equal(one.picture, other.picture)
            np.testing.assert_array_equal(one.xyxy, other.xyxy)
            np.testing.assert_array_equal(one.class_id, other.class_id)


@pytest.mark.parametrize(
    ("size", "canvas", "most", "expected"),
    [
        # Shrunk to 1/4 it fills the input: a quarter is the smallest that is still enough.
        ((400, 400), (100, 100), 1.0, (100, 100)),
        ((400, 400), (100, 100), 1.6, (200, 200)),
        ((400, 400), (100, 100), 4.0, (400, 400)),
        ((401, 399), (100, 100), 1.6, (201, 200)),
        # Turned by a quarter, the wide picture fills the tall input at 1/2.
        ((400, 200), (200, 100), 1.0, (200, 100)),
        ((50, 50), (100, 100), 1.0, (50, 50)),
    ],
)
def test_a_picture_is_reduced_by_a_whole_number_to_what_the_magnification_fills(
    size: tuple[int, int], canvas: tuple[int, int], most: float, expected: tuple[int, int]
) -> None:
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    assert reduced(picture, canvas, most).shape == (expected[1], expected[0], 3)


def test_reducing_averages_whole_blocks() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    blocks = picture.reshape(30, 4, 40, 4, 3).mean(axis=(1, 3))
    assert np.abs(reduced(picture, (30, 40), 1.0) - blocks).max() <= 0.5
