"""A folder of absurd files through the whole command: bounded time and memory, each refused by name, exit status 3."""

import base64
import csv
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from annotation_files import document, shape, write_json, write_png

from annotations.labelme import LARGEST_FILE

ROOT = Path(__file__).parents[2]
MEMORY = 1536 * 2**20
"""Bytes of address space, of which the program alone takes a part; two of the files would unpack to more."""
CPU_SECONDS = 60

LIMITED = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
import cli
sys.argv = ["ppnlab", *sys.argv[1:]]
cli.main()
"""


def bomb(side: int) -> bytes:
    """Return a PNG of a few bytes whose header promises side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def sparse(path: Path) -> None:
    with path.open("wb") as handle:
        handle.write(b'{"shapes": [')
        handle.truncate(10**9)


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def too_many_shapes(path: Path) -> None:
    one = json.dumps(shape())
    shapes = ",".join([one] * (LARGEST_FILE // len(one)))
    path.write_text(json.dumps(document()).replace('"shapes": []', f'"shapes": [{shapes}]'))


def many_points(path: Path) -> None:
    # Enough that work by the square of their number would end at CPU_SECONDS.
    write_json(path, document(shape(points=[[i % 100, i % 80] for i in range(200_000)], shape_type="polygon")))


HOSTILE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "too-many-shapes.json": ("file-too-large", too_many_shapes),
    "gigabyte.json": ("file-too-large", sparse),
    "zero.json": ("unreadable-file", lambda path: path.symlink_to("/dev/zero")),
    "pipe.json": ("unreadable-file", lambda path: os.mkfifo(path)),
    "folder.json": ("", lambda path: path.mkdir()),
    "loop.json": ("unreadable-file", lambda path: path.symlink_to("loop.json")),
    "deep.json": ("bad-json", text('{"shapes": ' + "[" * 10**6)),
    "deep-whole.json": ("bad-json", text('{"shapes": [], "x": ' + "[" * 10**5 + "]" * 10**5 + "}")),
    "huge-number.json": ("bad-json", text(json.dumps(document(shape())).replace("100", "9" * 10**6))),
    "long-number.json": ("bad-points", lambda path: write_json(path, document(shape(points=[[1, 2], [3, 10**400]])))),
    "surrogate-label.json": ("bad-shape", lambda path: write_json(path, document(shape("\ud800")))),
    "surrogate-path.json": ("bad-name", lambda path: write_json(path, document(shape(), imagePath="\udcff.png"))),
    "surrogate-flag.json": ("bad-file", lambda path: write_json(path, document(shape(), flags={"\ud800": True}))),
    "long-label.json": ("bad-shape", lambda path: write_json(path, document(shape("x" * 10**6)))),
    "bomb.json": ("unchecked-image", lambda path: write_json(path, document(shape(), imagePath="bomb.png"))),
    "bomb-size.json": (
        "unknown-size", lambda path: write_json(path, document(shape(), imagePath="bomb.png", imageWidth=None))
    ),
    "device-image.json": (
        "outside-root", lambda path: write_json(path, document(shape(), imagePath="/dev/zero"))
    ),
    "gigapixel.json": ("bad-points", lambda path: write_json(path, document(mask_bomb()))),
}  # fmt: skip


def mask_bomb() -> dict[str, object]:
    return shape(shape_type="mask", mask=base64.b64encode(bomb(30_000)).decode())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and limits are those of Unix")
def test_folder_of_absurd_files_is_converted_in_bounded_time_and_memory(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for name in ("a", "m", "z"):
        write_json(root / f"{name}-good.json", document(shape(), imagePath=f"{name}.png"))
        write_png(root / f"{name}.png")
    (root / "bomb.png").write_bytes(bomb(30_000))
    for name, (_, make) in HOSTILE.items():
        make(root / name)
    many_points(root / "many-points.json")
    command = [sys.executable, "-c", LIMITED, "convert", str(root), str(tmp_path / "data"), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 3, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    with (tmp_path / "data" / "findings.csv").open(newline="") as handle:
        found = [(row["source"], row["code"]) for row in csv.DictReader(handle)]
    missing = [(name, code) for name, (code, _) in HOSTILE.items() if code and (name, code) not in found]
    assert missing == [], found
    with (tmp_path / "data" / "images.csv").open(newline="") as handle:
        sources = [row["source"] for row in csv.DictReader(handle)]
    assert {"a-good.json", "m-good.json", "z-good.json", "many-points.json"} <= set(sources)
    assert json.loads(done.stdout)["images"] == len(sources)
