"""Pictures inside annotation files: written where no other file is there, and told where they are unfit."""

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from label_pictures import picture_bytes

from annotations.embedded import write_embedded
from annotations.errors import AnnotationError
from annotations.findings import Finding
from annotations.pictures import picture_size, read_picture
from annotations.tables import Images

WIDTH, HEIGHT = 50, 40


def images(*ids: str, width: int = WIDTH, height: int = HEIGHT) -> Images:
    texts = {name: np.array([""] * len(ids)) for name in ("split", "group", "flags")}
    paths = np.array([f"../photos/{name}.jpg" for name in ids])
    sizes = np.full(len(ids), width), np.full(len(ids), height)
    return Images(np.array(ids), paths, *sizes, **texts, source=np.array([f"{name}.json" for name in ids]))


def written(aside: Path, data: bytes | Callable[[], bytes], width: int = WIDTH) -> tuple[str, list[Finding]]:
    """Return the path of the image, and what was found."""
    read = data if callable(data) else lambda: data
    after, findings = write_embedded(aside, images("a", width=width), {0: read})
    return str(after.path[0]), findings


@pytest.mark.parametrize(
    ("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("BMP", ".bmp"), ("TIFF", ".tif"), ("WEBP", ".webp")]
)
def test_picture_is_written_byte_for_byte_and_named_by_its_kind(tmp_path: Path, kind: str, suffix: str) -> None:
    data = picture_bytes(kind, WIDTH, HEIGHT)
    path, findings = written(tmp_path, data)
    assert path == f"images/a{suffix}"
    assert (tmp_path / path).read_bytes() == data
    assert read_picture(tmp_path / path).shape == (HEIGHT, WIDTH, 3)
    (finding,) = findings
    assert (finding.code, finding.severity, finding.source, finding.image_id) == (
        "embedded-image",
        "info",
        "a.json",
        "a",
    )
    assert finding.message == f"../photos/a.jpg is not there; imageData was written to {path}"


def test_images_with_files_keep_their_paths(tmp_path: Path) -> None:
    data = picture_bytes("PNG", WIDTH, HEIGHT)
    after, _ = write_embedded(tmp_path, images("a", "deep/b", "c"), {1: lambda: data})
    assert after.path.tolist() == ["../photos/a.jpg", "images/deep/b.png", "../photos/c.jpg"]
    assert picture_size(tmp_path / "images" / "deep" / "b.png") == (WIDTH, HEIGHT)


def test_nothing_embedded_writes_nothing(tmp_path: Path) -> None:
    after, findings = write_embedded(tmp_path, images("a"), {})
    assert (after.path.tolist(), findings, list(tmp_path.iterdir())) == (["../photos/a.jpg"], [], [])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "must be a PNG, JPEG, BMP, TIFF or WebP, got bytes none"),
        (b"GIF89a" + bytes(40), "must be a PNG"),
        (b"<svg/>", "must be a PNG"),
        (b"\x89PNG\r\n\x1a\n", "picture must be readable"),
        (b"BM" + bytes(80), "picture must be readable"),
        (picture_bytes("PNG", WIDTH, HEIGHT)[:-2000], "must be a whole picture"),
        (picture_bytes("JPEG", WIDTH, HEIGHT)[:-500], "must be a whole picture"),
        (picture_bytes("TIFF", WIDTH, HEIGHT)[:-500], "must be"),
        (picture_bytes("WEBP", WIDTH, HEIGHT)[:-500], "must be"),
    ],
    ids=["empty", "gif", "svg", "magic", "bmp", "cut-png", "cut-jpeg", "cut-tiff", "cut-webp"],
)
def test_damaged_picture_is_told_and_not_written(tmp_path: Path, data: bytes, message: str) -> None:
    path, findings = written(tmp_path, data)
    assert path == "../photos/a.jpg"
    (finding,) = findings
    assert (finding.code, finding.severity) == ("bad-embedded", "warn")
    assert message in finding.message
    assert list(tmp_path.iterdir()) == []


def test_bomb_is_told_and_not_unpacked(tmp_path: Path) -> None:
    whole = bytearray(picture_bytes("PNG", WIDTH, HEIGHT))
    whole[16:24] = (30_000).to_bytes(4, "big") * 2
    import zlib

    whole[29:33] = zlib.crc32(whole[12:29]).to_bytes(4, "big")
    _, findings = written(tmp_path, bytes(whole))
    assert "at most 500,000,000 pixels, got 30000 x 30000" in findings[0].message


def test_bytes_that_cannot_be_had_are_told(tmp_path: Path) -> None:
    def gone() -> bytes:
        raise AnnotationError("a.json: file must be readable, got no such file")

    path, findings = written(tmp_path, gone)
    assert (path, [finding.code for finding in findings]) == ("../photos/a.jpg", ["bad-embedded"])


@pytest.mark.parametrize(
    ("width", "height", "orientation", "expected"),
    [
        (WIDTH, HEIGHT, 1, ["embedded-image"]),
        (WIDTH * 2, HEIGHT * 2, 1, ["stale-size", "embedded-image"]),
        (HEIGHT, WIDTH, 6, ["embedded-image"]),
        (WIDTH, HEIGHT, 6, ["unrotated-size", "embedded-image"]),
        (WIDTH + 7, HEIGHT, 1, ["size-mismatch"]),
    ],
)
def test_size_that_is_not_the_annotated_one_is_told(
    tmp_path: Path, width: int, height: int, orientation: int, expected: list[str]
) -> None:
    path, findings = written(tmp_path, picture_bytes("JPEG", width, height, orientation))
    assert [finding.code for finding in findings] == expected
    assert (path == "images/a.jpg") == ("embedded-image" in expected)


def test_garbage_of_any_kind_is_told_or_a_picture(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    whole = [picture_bytes(kind, 20, 10) for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP")]
    for number in range(400):
        data = bytearray(whole[number % len(whole)])
        for _ in range(1 + number % 5):
            place = int(random.integers(len(data)))
            if random.random() < 0.2:
                del data[place:]
                data += b"\0"
            else:
                data[place % len(data)] = int(random.integers(256))
        path, findings = written(tmp_path / str(number), bytes(data), 20)
        assert findings
        if path.startswith("images/"):
            picture_size(tmp_path / str(number) / path)


def test_noise_is_not_taken_for_a_picture_though_it_is_base64(tmp_path: Path) -> None:
    noise = base64.b64decode(base64.b64encode(np.random.default_rng(5).bytes(5000)))
    assert [finding.code for finding in written(tmp_path, noise)[1]] == ["bad-embedded"]
