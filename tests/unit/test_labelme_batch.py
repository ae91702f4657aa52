"""Which Labelme files are read together, with image data or without, checked or not, on one process or two."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import PARTS, document, shape, write_json, write_png

from annotations import labelme_opening
from annotations.drawn import Reading
from annotations.errors import AnnotationError
from annotations.imagepaths import SourceFolder
from annotations.labelme_batch import OrdinaryFiles, read_ordinary
from annotations.labelme_folder import read_labelme_folder
from annotations.naming import Naming
from annotations.sources import find_files, image_ids

NAMING = Naming(PARTS, None, {})
LONG = "A" * 20_000


def ordinary(root: Path, *, check_images: bool = True) -> list[str]:
    """Return the files of a folder that are read together."""
    found = find_files(root, [])
    sources = found.annotations
    folder = SourceFolder(root, found.ordinary)
    done: OrdinaryFiles = read_ordinary(folder, sources, image_ids(sources), NAMING, check_images=check_images)
    return [sources[file] for file in done.files.tolist()]


def read(root: Path, **options: Any) -> Reading:  # noqa: ANN401
    return read_labelme_folder(root, NAMING, **options)


def codes(reading: Reading) -> list[str]:
    return [finding.code for finding in reading.findings if finding.source]


@pytest.mark.parametrize(
    "shapes",
    [
        [],
        [shape()],
        [shape(points=[[40, 30], [10, 10]])],
        [shape(points=[[10, 10], [40, 10], [40, 30], [10, 30]])],
        [shape(points=[[20, 5], [30, 20], [5, 25]], shape_type=None)],
        [shape(points=[[50, 40], [53, 44]], shape_type="circle")],
        [shape(points=[[0, 0], [1, 1.0]])],
        [shape(), shape("fip", [[12, 12], [18, 18]])],
        [shape(group_id=0), shape("fip", [[60, 60], [70, 70]], group_id=0)],
        [shape("二维码")],
    ],
)
def test_file_with_nothing_to_tell_is_read_with_others(tmp_path: Path, shapes: list[Any]) -> None:
    write_png(tmp_path / "img.png")
    for name, data in (("a", None), ("b", LONG)):
        write_json(tmp_path / f"{name}.json", document(*shapes, imageData=data, flags={"train": True, "dark": False}))
    assert ordinary(tmp_path) == ["a.json", "b.json"]


@pytest.mark.parametrize(
    "shapes",
    [
        [shape(points=[[10, 10], [True, 30]])],
        [shape(points=[[10, 10], ["4", "5"]])],
        [shape(points=["ab", "cd"])],
        [shape(points=[{"x": 1, "y": 2}, {"x": 1, "y": 2}])],
        [shape(points=[[10, 10, 1], [20, 20, 1]])],
        [shape(points=[])],
        [shape(points=None)],
        [shape(points=[[-0.0, 1], [20, 20]])],
        [shape(points=[[-1, 1], [20, 20]])],
        [shape(points=[[10, 10], [10**20, 30]])],
        [shape(points=[[10, 10], [40, 10]])],
        [shape(shape_type="mask")],
        [shape(shape_type="")],
        [shape(shape_type="line")],
        [shape(shape_type=[])],
        [shape(group_id=True)],
        [shape(group_id=1.0)],
        [shape(group_id="1")],
        [shape(group_id=10**18)],
        [shape("")],
        [shape(1)],
        [shape(["a"])],
        [shape("a\0")],
        [shape(), shape()],
        [shape(group_id=1), shape(points=[[1, 1], [5, 5]], group_id=1)],
        [shape("fip")],
        [None],
        ["shape"],
    ],
)
def test_file_with_anything_to_tell_is_left_out_and_the_others_are_not(tmp_path: Path, shapes: list[Any]) -> None:
    write_png(tmp_path / "img.png")
    for name, drawn in (("a", [shape(group_id=1)]), ("b", shapes), ("c", [shape(group_id=1)])):
        write_json(tmp_path / f"{name}.json", document(*drawn))
    assert ordinary(tmp_path) == ["a.json", "c.json"]
    # What was seen in the file that is left out is not mixed up with what the others hold.
    assert read(tmp_path).dataset.annotations.group_id.tolist()[:1] == ["1"]


def test_portions_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_png(tmp_path / "img.png")
    for number in range(7):
        drawn = [shape(points=[[n, 1], [n + 1, 9]], group_id=n) for n in range(number)]
        write_json(tmp_path / f"{number}.json", document(*drawn))
    whole = read(tmp_path)
    monkeypatch.setattr(labelme_opening, "_SHAPES_TOGETHER", 1)
    monkeypatch.setattr(labelme_opening, "_BYTES_TOGETHER", 1)
    assert ordinary(tmp_path) == [f"{number}.json" for number in range(7)]
    in_portions = read(tmp_path)
    assert in_portions.dataset.annotations.xyxy_rel.tobytes() == whole.dataset.annotations.xyxy_rel.tobytes()
    assert in_portions.dataset.annotations.group_id.tolist() == whole.dataset.annotations.group_id.tolist()


_READ_TWICE = """
import gc, sys
from pathlib import Path
from test_labelme_batch import read

read(Path(sys.argv[1]))  # what is imported on the way makes some
while gc.collect():
    pass
read(Path(sys.argv[1]))
print(gc.collect())
"""


def test_reading_leaves_no_cycles(tmp_path: Path) -> None:
    write_png(tmp_path / "img.png")
    for name, text in (("cut", "{"), ("other", "{}"), ("nested", "[" * 5000), ("latin", b"\xe4".decode("latin-1"))):
        write_json(tmp_path / f"{name}.json", text)
    for name, shapes in (
        ("good", [shape()]),
        ("odd", [shape(points=None)]),
        ("clipped", [shape(points=[[0, 0], [999, 9]])]),
    ):
        write_json(tmp_path / f"{name}.json", document(*shapes))
    # In a process of its own: what other tests leave behind is collected at times of its own.
    places = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", _READ_TWICE, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([places, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    # The collector rests while a folder is read: a cycle would keep its file in memory to the end.
    assert done.stdout == "0\n", done.stdout + done.stderr


def test_two_processes_read_what_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotations.labelme_folder._FILES_TOGETHER", 2)
    write_png(tmp_path / "img.png")
    for number in range(9):
        drawn = [shape(points=[[number - 3, 1], [60, 9 + number]]), shape("fip", [[50, 3], [54, 7]], group_id=3)]
        write_json(tmp_path / f"{number}.json", document(*drawn, imagePath="img.png" if number % 4 else "lost.png"))
    write_json(tmp_path / "bad.json", "{")
    one, two = read(tmp_path), read(tmp_path, workers=2)
    assert two.findings == one.findings
    assert {"clipped", "orphan-part", "missing-image", "bad-json", "shared-image"} <= set(codes(two))
    for name in ("image_row", "object_id", "parent_id", "class_id", "group_id"):
        np.testing.assert_array_equal(getattr(two.dataset.annotations, name), getattr(one.dataset.annotations, name))
    assert two.dataset.annotations.xyxy_rel.tobytes() == one.dataset.annotations.xyxy_rel.tobytes()


# --- Image data --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b'"\xff"', "bad-encoding"),
        (b'"\xed\xa0\x80"', "bad-encoding"),
        ('"é"'.encode(), None),
        (b'"\\ud800"', None),
        (b'"\n"', "bad-json"),
        (b'"\\q"', "bad-json"),
        (b"1e999", None),
        (b"NaN", None),
        (b"01", "bad-json"),
        (b"[1,]", "bad-json"),
        (b"[" * 5000 + b"]" * 5000, "bad-json"),
        (b'{"a": 1}, "imagePath": "img.png"', None),
        (b'1, "shapes": []', None),
    ],
)
def test_value_that_nobody_looks_at_must_still_be_json(tmp_path: Path, value: bytes, code: str | None) -> None:
    write_png(tmp_path / "img.png")
    text = json.dumps(document(shape(), extra="?")).encode().replace(b'"?"', value)
    (tmp_path / "a.json").write_bytes(text)
    assert codes(read(tmp_path)) == ([code] if code else [])


def test_last_of_repeated_keys_counts(tmp_path: Path) -> None:
    write_png(tmp_path / "img.png")
    text = json.dumps(document(shape(), imageData=None)).replace('"imageData": null', '"shapes": []')
    write_json(tmp_path / "a.json", text)
    assert ordinary(tmp_path) == ["a.json"]
    assert len(read(tmp_path).dataset.annotations) == 0


@pytest.mark.parametrize("data", [LONG + "\\u0041", LONG + "\\q", LONG + "\n", LONG + "é"])
def test_image_data_that_is_odd_is_read_as_part_of_the_file(tmp_path: Path, data: str) -> None:
    write_png(tmp_path / "img.png")
    text = json.dumps(document(shape(), imageData="?")).replace("?", data)
    write_json(tmp_path / "a.json", text)
    try:
        json.loads(text)
    except ValueError:
        assert codes(read(tmp_path)) == ["bad-json"]
    else:
        assert codes(read(tmp_path)) == []


def test_picture_in_the_file_is_given_where_no_other_is(tmp_path: Path) -> None:
    picture = write_png(tmp_path / "elsewhere" / "p.png").read_bytes()
    data = base64.b64encode(picture).decode()
    write_png(tmp_path / "in" / "img.png")
    write_json(tmp_path / "in" / "a.json", document(shape(), imageData=data))
    write_json(tmp_path / "in" / "b.json", document(shape(), imageData=data, imagePath="lost.png"))
    write_json(tmp_path / "in" / "c.json", document(shape(), imagePath="lost.png"))
    reading = read(tmp_path / "in")
    assert list(reading.embedded) == [1]
    assert reading.embedded[1]() == picture
    (tmp_path / "in" / "b.json").unlink()
    with pytest.raises(AnnotationError, match="must be readable"):
        reading.embedded[1]()


def test_picture_in_the_file_that_is_no_base64_is_told_when_asked_for(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", document(shape(), imageData="A"))
    with pytest.raises(AnnotationError, match=r"a\.json: imageData must be a picture in base64"):
        read(tmp_path).embedded[0]()


# --- Pictures that are not looked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image_path", "path", "told"),
    [
        ("img.png", "sub/img.png", []),
        ("..\\images\\img.png", "images/img.png", []),
        ("../../img.png", "sub/img.png", ["outside-root"]),
        ("D:\\photos\\img.png", "sub/img.png", ["outside-root"]),
        ("/photos/img.png", "sub/img.png", ["outside-root"]),
    ],
)
def test_pictures_are_not_looked_for_without_a_check(
    tmp_path: Path, image_path: str, path: str, told: list[str]
) -> None:
    # A size of 50 x 50 would refuse the file.
    write_png(tmp_path / "sub" / "img.png", (50, 50))
    write_json(tmp_path / "sub" / "a.json", document(shape(), imagePath=image_path, imageData="AAAA"))
    reading = read(tmp_path, check_images=False)
    assert (reading.dataset.images.path.tolist(), codes(reading)) == ([path], told)
    assert (reading.dataset.images.width.tolist(), reading.embedded) == ([100], {})


@pytest.mark.parametrize("image_path", ["a\0b.png", 7, ["img.png"], "x" * 2000])
def test_path_that_is_none_refuses_the_file_without_a_check_too(tmp_path: Path, image_path: object) -> None:
    write_json(tmp_path / "a.json", document(shape(), imagePath=image_path))
    assert codes(read(tmp_path, check_images=False)) in (["bad-file"], ["bad-name"])


@pytest.mark.parametrize("fields", [{"imageWidth": None}, {"imageWidth": None, "imagePath": "sub/../img.png"}])
def test_picture_is_looked_at_where_the_file_gives_no_size(tmp_path: Path, fields: dict[str, Any]) -> None:
    write_png(tmp_path / "img.png", (200, 160))
    write_json(tmp_path / "a.json", document(shape(), **fields))
    reading = read(tmp_path, check_images=False)
    assert (reading.dataset.images.width.tolist(), codes(reading)) == ([200], ["size-from-image"])


def test_picture_of_a_file_that_names_none_is_looked_for(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", (50, 50))
    write_json(tmp_path / "a.json", document(shape(), imagePath=""))
    reading = read(tmp_path, check_images=False)
    assert reading.dataset.images.path.tolist() == ["a.png"]


def test_link_is_no_ordinary_file(tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "real.png")
    (tmp_path / "in" / "img.png").symlink_to("real.png")
    write_json(tmp_path / "in" / "a.json", document(shape()))
    (tmp_path / "in" / "b.json").symlink_to("a.json")
    assert ordinary(tmp_path / "in") == []
    assert ordinary(tmp_path / "in", check_images=False) == ["a.json"]
    assert read(tmp_path / "in").dataset.images.image_id.tolist() == ["a", "b"]
