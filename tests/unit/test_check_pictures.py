"""What check sees of pictures: missing, damaged, of another size, turned, and copies of others."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from check_sets import codes_of, dataset_of, textured, write_image
from numpy.typing import NDArray
from PIL import Image

from annotations import picture_hash
from annotations.check_pictures import Depth, check_pictures, look_at_pictures, picture_counts
from annotations.picture_hash import LEAST_MATCH, Fingerprints, fingerprint, match, near_pairs, turn
from annotations.sightings import Sighting

Picture = NDArray[np.uint8]


def _check(root: Path, paths: list[str], depth: Depth = "pixels", **fields: object) -> list[Sighting]:
    dataset = dataset_of([[]] * len(paths), classes=["a"], path=paths, root=root, **fields)  # type: ignore[arg-type]
    return list(check_pictures(dataset, look_at_pictures(dataset, depth=depth, workers=2)))


def test_good_pictures_give_no_finding(tmp_path: Path) -> None:
    for seed in range(3):
        write_image(tmp_path / f"{seed}.jpg", textured(seed))
    assert _check(tmp_path, ["0.jpg", "1.jpg", "2.jpg"], size=[(320, 240)] * 3) == []


def test_missing_picture_is_told_and_counted(tmp_path: Path) -> None:
    dataset = dataset_of([[]], classes=["a"], path=["gone.jpg"], root=tmp_path)
    looks = look_at_pictures(dataset)
    assert codes_of(list(check_pictures(dataset, looks))) == ["missing-image"]
    assert picture_counts(looks).missing == 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp"])
def test_picture_that_is_cut_off_is_damaged(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    whole = write_image(tmp_path / f"a{suffix}", textured(1)).read_bytes()
    (tmp_path / f"a{suffix}").write_bytes(whole[: len(whole) * 6 // 10])
    (seen,) = _check(tmp_path, [f"a{suffix}"], size=[(320, 240)])
    assert seen.finding.code == "damaged-image"
    assert str(tmp_path) not in seen.finding.message
    assert capfd.readouterr().err == "", "the libraries' own words are kept back"


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_file_that_is_no_picture_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert codes_of(_check(tmp_path, ["a.png"])) == ["damaged-image"]


def test_headers_alone_find_no_damage_behind_them_and_no_copies(tmp_path: Path) -> None:
    whole = write_image(tmp_path / "a.jpg", textured(1)).read_bytes()
    write_image(tmp_path / "b.jpg", textured(1))
    (tmp_path / "c.jpg").write_bytes(whole[:-3000])
    assert _check(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], "headers", size=[(320, 240)] * 3) == []


@pytest.mark.parametrize(
    ("annotated", "code"), [((640, 480), "stale-size"), ((300, 240), "size-mismatch"), ((320, 240), None)]
)
def test_annotated_size_is_compared_with_the_picture(
    tmp_path: Path, annotated: tuple[int, int], code: str | None
) -> None:
    write_image(tmp_path / "a.png", textured(1))
    assert codes_of(_check(tmp_path, ["a.png"], size=[annotated])) == ([code] if code else [])


@pytest.mark.parametrize(
    ("annotated", "codes"),
    [((240, 320), ["exif-rotated"]), ((320, 240), ["exif-rotated", "unrotated-size"])],
)
def test_turned_picture_is_told_and_its_size_is_the_displayed_one(
    tmp_path: Path, annotated: tuple[int, int], codes: list[str]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(textured(1)).save(tmp_path / "a.jpg", exif=exif)
    assert codes_of(_check(tmp_path, ["a.jpg"], size=[annotated])) == codes


def test_blank_pictures_are_told_and_are_no_copies_of_each_other(tmp_path: Path) -> None:
    for name, grey in (("a.png", 0), ("b.png", 90)):
        write_image(tmp_path / name, np.full((240, 320, 3), grey, np.uint8))
    assert codes_of(_check(tmp_path, ["a.png", "b.png"], size=[(320, 240)] * 2)) == ["blank-image"] * 2


@pytest.mark.parametrize(
    ("split", "code", "severity"),
    [
        (["train", "test"], "same-image-in-splits", "error"),
        (["train", "train"], "same-image", "info"),
        (["train", ""], "same-image", "info"),
    ],
)
def test_same_bytes_under_two_names_are_the_same_image(
    tmp_path: Path, split: list[str], code: str, severity: str
) -> None:
    write_image(tmp_path / "a.jpg", textured(1))
    write_image(tmp_path / "b.jpg", textured(1))
    (seen,) = _check(tmp_path, ["a.jpg", "b.jpg"], size=[(320, 240)] * 2, split=split)
    assert (seen.finding.code, seen.finding.severity) == (code, severity)
    assert seen.finding.image_id == "i0001"
    assert [view.image_row for view in seen.views] == [0, 1]


def test_one_file_in_two_splits_is_told_by_headers_too(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", textured(1))
    seen = _check(tmp_path, ["a.jpg", "a.jpg"], "headers", size=[(320, 240)] * 2, split=["train", "val"])
    assert codes_of(seen) == ["same-image-in-splits"]


def test_copy_in_another_split_is_told_though_one_in_its_own_comes_first(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write_image(tmp_path / name, textured(1))
    seen = _check(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], size=[(320, 240)] * 3, split=["test", "train", "test"])
    assert codes_of(seen) == ["same-image-in-splits", "same-image-in-splits"]


def _cut(picture: Picture) -> Picture:
    return picture[6:-6, 8:-8]


def _halved(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "saved anew": lambda picture: np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [1, 30])[1], 1), np.uint8),
    "half the size": _halved,
    "cut": _cut,
    "brighter": lambda picture: np.clip(picture.astype(np.int64) * 1.2 + 15, 0, 255).astype(np.uint8),
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "upside down": lambda picture: np.ascontiguousarray(picture[::-1]),
    "turned left": lambda picture: np.ascontiguousarray(np.rot90(picture)),
    "turned right and mirrored": lambda picture: np.ascontiguousarray(np.rot90(picture, -1)[:, ::-1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copy_in_another_split_is_found_among_others(tmp_path: Path, change: str) -> None:
    names = [f"{seed}.png" for seed in range(12)]
    for seed, name in enumerate(names):
        write_image(tmp_path / name, textured(seed))
    copy = CHANGES[change](textured(5))
    write_image(tmp_path / "copy.png", copy)
    size = [(320, 240)] * 12 + [(copy.shape[1], copy.shape[0])]
    (seen,) = _check(tmp_path, [*names, "copy.png"], size=size, split=["train"] * 12 + ["val"])
    assert seen.finding.code == "near-image-in-splits"
    assert [view.image_row for view in seen.views] == [5, 12]
    is_turned = "turned or mirrored" in seen.finding.message
    assert is_turned == (change.startswith(("turned", "mirrored", "upside")))


def test_near_copies_of_one_split_are_a_note(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", textured(1))
    write_image(tmp_path / "b.png", _cut(textured(1)))
    (seen,) = _check(tmp_path, ["a.png", "b.png"], size=[(320, 240), (304, 228)], split=["train", "train"])
    assert seen.finding.severity == "info"


def test_frames_of_a_film_give_few_pairs_a_frame() -> None:
    rng = np.random.default_rng(0)
    still = cv2.cvtColor(textured(3), cv2.COLOR_BGR2GRAY)
    frames = [np.clip(still + rng.normal(0, 4, still.shape), 0, 255).astype(np.uint8) for _ in range(40)]
    prints = [fingerprint(frame) for frame in frames]
    split = np.arange(40) % 2
    stacked = Fingerprints(np.stack([seen.signs for seen in prints]), np.stack([seen.small for seen in prints]))
    pairs = near_pairs(stacked, np.arange(40), split)
    assert 40 <= len(pairs) <= 4 * 40
    assert any(split[pair.first] != split[pair.second] for pair in pairs)


@pytest.mark.parametrize("way", range(8))
def test_turned_fingerprint_finds_its_way_back(way: int) -> None:
    grey = cv2.cvtColor(textured(4, 256, 256), cv2.COLOR_BGR2GRAY)
    prints = [fingerprint(grey), fingerprint(turn(grey, way))]
    stacked = Fingerprints(np.stack([seen.signs for seen in prints]), np.stack([seen.small for seen in prints]))
    (pair,) = near_pairs(stacked, np.arange(2), np.zeros(2, np.int64))
    assert pair.match > 0.99
    assert pair.turned == (way != 0)


def test_unrelated_pictures_do_not_match() -> None:
    greys = [cv2.cvtColor(textured(seed), cv2.COLOR_BGR2GRAY) for seed in range(40)]
    prints = [fingerprint(grey) for grey in greys]
    stacked = Fingerprints(np.stack([seen.signs for seen in prints]), np.stack([seen.small for seen in prints]))
    assert near_pairs(stacked, np.arange(40), np.zeros(40, np.int64)) == []
    assert match(prints[0].small, prints[1].small) < LEAST_MATCH


def test_embedded_picture_stands_in_for_the_file_that_is_not_there(tmp_path: Path) -> None:
    data = write_image(tmp_path / "a.jpg", textured(1)).read_bytes()
    dataset = dataset_of([[], []], classes=["a"], path=["gone.jpg", "gone2.jpg"], root=tmp_path, size=[(320, 240)] * 2)
    looks = look_at_pictures(dataset, {0: lambda: data})
    assert [look.missing for look in looks] == [False, True]
    assert looks[0].print is not None


def test_progress_counts_each_file_once(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", textured(1))
    dataset = dataset_of([[], [], []], classes=["a"], path=["a.jpg", "a.jpg", "gone.jpg"], root=tmp_path)
    told: list[tuple[int, int]] = []
    look_at_pictures(dataset, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_signs_of_turned_pictures_are_compared_as_if_they_were_turned() -> None:
    rng = np.random.default_rng(3)
    pictures = [cv2.GaussianBlur(rng.integers(0, 256, (64, 64), np.uint8), (0, 0), 2.0) for _ in range(6)]
    signs = np.stack([fingerprint(picture).signs for picture in pictures])
    classes = picture_hash._classes(signs)
    least = picture_hash._distances(classes, 0)
    for row, other in np.ndindex(6, 6):
        # The signs of the picture that was really turned.
        expected = [int((signs[row] ^ fingerprint(turn(pictures[other], way)).signs).sum()) for way in range(8)]
        found = [int(each) for each in picture_hash._by_way(classes[0, row], classes[:, other])]
        # A coefficient next to zero may round to the other side.
        np.testing.assert_allclose(found, expected, atol=2)
        assert least[row, other] == min(found)
