"""Reading many files at once finds what reading each alone finds, to the last word; so do the quick header readers."""

import io
import json
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import document, shape, write_json, write_png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from annotations import labelme_folder
from annotations.drawn import Reading
from annotations.drawn_columns import joined
from annotations.errors import AnnotationError
from annotations.labelme_batch import OrdinaryFiles
from annotations.labelme_folder import read_labelme_folder
from annotations.naming import Naming
from annotations.picture_headers import displayed_size_of
from annotations.pictures import displayed_and_stored_size
from annotations.tables import Annotations, Images

UNTIMED = settings(deadline=None, max_examples=60)
NAMINGS = [
    Naming({"fip": "qr_code"}, None, {}),
    Naming({}, None, {}),
    Naming({"fip": "qr_code"}, ("qr_code", "fip"), {"QR": "qr_code", "cat": "fip"}),
    Naming({"fip": "qr_code", "cat": "dog"}, None, {"QR": "qr_code"}),
]

# Mostly what Labelme writes, with now and then what it does not: JSON of every type where another is expected.
ODD: Any = st.sampled_from(
    [None, True, False, 0, 1, -1, -0.0, 1.0, 7.5, 1e300, 10**17, 10**18, 10**20, "", "7", " 7 ", "a\0b", "\ud800",
     [], [1, 2], [[1, 2]], ["1", "2"], {}, {"a": 1}, {"a": 1, "b": 2}, float("nan"), float("inf")]
)  # fmt: skip


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any] = ODD) -> st.SearchStrategy[Any]:
    return st.integers(0, 39).flatmap(lambda chance: odd if chance == 17 else usual)


QUARTERS = st.integers(0, 4 * 80).map(lambda n: n / 4)
NUMBERS = mostly(QUARTERS | st.integers(0, 80), ODD | st.integers(-9, 200).map(lambda n: n / 2))
POINT = mostly(st.tuples(NUMBERS, NUMBERS).map(list))
RECTANGLES = st.lists(POINT, min_size=2, max_size=2)
POLYGONS = st.lists(POINT, min_size=3, max_size=6)
# A circle well inside the frame of 100 x 80.
CIRCLES = st.tuples(st.integers(40, 60), st.integers(30, 50), st.integers(0, 19), st.integers(0, 19)).map(
    lambda c: [[c[0], c[1]], [c[0] + c[2] / 4, c[1] + c[3] / 4]]
)
GEOMETRY = st.one_of(
    st.tuples(st.just("rectangle"), RECTANGLES),
    st.tuples(st.just("rectangle"), RECTANGLES),
    st.tuples(st.sampled_from(["polygon", None]), POLYGONS),
    st.tuples(st.just("circle"), CIRCLES),
    st.tuples(
        st.sampled_from(["rectangle", "rotation", "oriented_rectangle"]), st.lists(POINT, min_size=4, max_size=4)
    ),
    st.tuples(mostly(st.just("polygon"), ODD | st.sampled_from(["mask", "line", "point", "cuboid"])), mostly(POLYGONS)),
)


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    kind, points = draw(GEOMETRY)
    label = draw(mostly(st.sampled_from(["qr_code", "fip", "QR", "cat", "dog"])))
    group = draw(mostly(st.none() | st.integers(0, 3)))
    drawn = shape(label, points, group_id=group, shape_type=kind)
    for key in draw(mostly(st.just([]), st.lists(st.sampled_from(sorted(drawn)), max_size=2, unique=True))):
        del drawn[key]
    return drawn


def drawn_as(kind: str, x: float, y: float, side: float) -> list[list[float]]:
    corners = [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
    if kind == "circle":
        return [[x + side / 2, y + side / 2], [x + side, y + side / 2]]
    return {"rectangle": corners[::2], "inverted": corners[::-2]}.get(kind, corners)


@st.composite
def scenes(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return shapes with next to nothing to tell about them: objects with groups of their own or none, and parts."""
    drawn = []
    for group in draw(st.lists(st.none() | st.integers(0, 9), max_size=3, unique=True)):
        x, y, side = draw(st.integers(1, 40)), draw(st.integers(1, 30)) + 0.25, draw(st.integers(20, 38)) + 0.5
        kinds = st.sampled_from(["rectangle", "inverted", "polygon", "circle", "oriented_rectangle"])
        places = [("qr_code", x, y, side)]
        places += [("fip", x + 1 + n, y + draw(st.integers(1, 12)), 3.0) for n in range(draw(st.integers(0, 3)))]
        for label, left, top, width in places:
            kind = draw(kinds)
            points = drawn_as(kind, left, top, width)
            kind = "rectangle" if kind == "inverted" else kind
            drawn.append(shape(label, points, group_id=group, shape_type=kind))
    return draw(st.permutations(drawn))


@st.composite
def ordinary_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Return a document that is likely to have nothing to tell."""
    flags = draw(st.sampled_from([{}, None, {"train": True}, {"train": False, "val": True}, {"dark": True, "é": True}]))
    path = draw(st.sampled_from(["img.png", "sub\\..\\img.png", "./img.png", "images/../img.png"]))
    data = draw(st.sampled_from([None, "AAAA", "A" * 20_000]))
    return {**document(flags=flags, imagePath=path, imageData=data), "shapes": draw(scenes())}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    drawn = draw(mostly(scenes() | st.lists(mostly(shapes()), max_size=4)))
    flags = draw(mostly(st.dictionaries(st.sampled_from(["train", "val", "test", "dark", "Train"]), st.booleans())))
    image_path = draw(
        mostly(
            st.sampled_from(["img.png", "..\\images/./big.png", "sub\\img.png", "/etc/passwd", "../../x.png", "C:a.png",
                             "lost.png", "x/../img.png", "", "..", "link.png", "img.png\0"])
        )
    )  # fmt: skip
    size = draw(mostly(st.just((100, 80)), st.tuples(ODD, ODD) | st.sampled_from([(50, 40), (100.0, 80.0), (9, 9)])))
    data = draw(st.sampled_from([None, "AAAA", "A" * 20_000]))
    content = document(flags=flags, imagePath=image_path, imageWidth=size[0], imageHeight=size[1], imageData=data)
    content["shapes"] = drawn
    for key in draw(mostly(st.just([]), st.lists(st.sampled_from(sorted(content)), max_size=3, unique=True))):
        del content[key]
    return content


@st.composite
def files(draw: st.DrawFn) -> bytes:
    content = draw(ordinary_documents() | ordinary_documents() | mostly(documents()))
    text = json.dumps(content, indent=draw(st.sampled_from([None, 2])))
    return draw(
        mostly(
            st.just(text.encode()),
            st.sampled_from([b"\xef\xbb\xbf" + text.encode(), text[: len(text) // 2].encode(), text.encode("utf-16"),
                             text.encode() + b"\xff", text.replace("{", '{"imageData": "a\\n\\u0041b", ', 1).encode(),
                             text.replace("{", '{"imageData": "' + "A" * 20_000 + '\x01", ', 1).encode()]),
        )
    )  # fmt: skip


def each_alone(root: Path, naming: Naming, *, check_images: bool) -> Reading:
    """Return what is read where no file counts as ordinary."""
    with pytest.MonkeyPatch.context() as patch:
        nothing = OrdinaryFiles(np.zeros(0, np.int64), joined([]), {})
        patch.setattr(labelme_folder, "read_ordinary", lambda *_, **__: nothing)
        return read_labelme_folder(root, naming, check_images=check_images)


def assert_same(left: Reading, right: Reading) -> None:
    assert left.findings == right.findings
    assert left.files == right.files
    assert (left.dataset.classes, left.dataset.parts) == (right.dataset.classes, right.dataset.parts)
    for kind, mine, other in (
        (Images, left.dataset.images, right.dataset.images),
        (Annotations, left.dataset.annotations, right.dataset.annotations),
    ):
        for name in kind.__slots__:
            assert getattr(mine, name).tolist() == getattr(other, name).tolist()
    # Bit by bit: a negative zero is another number in the files.
    assert left.dataset.annotations.xyxy_rel.tobytes() == right.dataset.annotations.xyxy_rel.tobytes()
    assert left.numbers.tolist() == right.numbers.tolist()
    assert list(left.embedded) == list(right.embedded)
    assert [read() for read in left.embedded.values()] == [read() for read in right.embedded.values()]


@pytest.mark.parametrize("check_images", [True, False])
@pytest.mark.parametrize("naming", NAMINGS)
@UNTIMED
@given(data=st.data())
def test_files_read_together_give_what_each_gives_alone(
    naming: Naming, check_images: bool, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "in")
        write_png(root / "sub" / "img.png")
        write_png(root / "images" / "big.png", (200, 160))
        write_png(root / "img.png")
        (root / "link.png").symlink_to("img.png")
        for place, content in enumerate(data.draw(st.lists(files(), min_size=1, max_size=5))):
            write_json(root / f"{place}.json", content)
        try:
            expected = each_alone(root, naming, check_images=check_images)
        except AnnotationError as error:
            with pytest.raises(AnnotationError) as caught:
                read_labelme_folder(root, naming, check_images=check_images)
            assert str(caught.value) == str(error)
            return
        assert_same(read_labelme_folder(root, naming, check_images=check_images), expected)


def header(suffix: str, size: tuple[int, int], orientation: int | None) -> bytes:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "a maker's name"
    if orientation is not None:
        exif[0x0112] = orientation
    mode = "RGB" if suffix == "JPEG" else "L"
    Image.new(mode, size).save(out, suffix, exif=exif, dpi=(72, 72), comment=b"a picture" if suffix == "JPEG" else None)
    return out.getvalue()


def size_by_pillow(data: bytes) -> tuple[int, int] | None:
    try:
        return displayed_and_stored_size(data)[0]
    except AnnotationError:
        return None


@UNTIMED
@given(st.sampled_from(["PNG", "JPEG"]), st.tuples(*[st.integers(1, 70)] * 2), st.none() | st.integers(0, 10))
def test_plain_header_gives_the_displayed_size(suffix: str, size: tuple[int, int], orientation: int | None) -> None:
    data = header(suffix, size, orientation)
    assert displayed_size_of(data) == size_by_pillow(data)
    assert displayed_size_of(data) is not None


@settings(deadline=None, max_examples=600)
@given(st.data())
def test_damaged_header_gives_no_other_size_than_pillows(data: st.DataObject) -> None:
    content = bytearray(header(data.draw(st.sampled_from(["PNG", "JPEG"])), (30, 20), data.draw(st.integers(1, 8))))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, min(len(content), 250) - 1))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    if data.draw(st.booleans()):
        content = bytearray(_with_right_sums(bytes(content)))
    found = displayed_size_of(bytes(content))
    assert found in (None, size_by_pillow(bytes(content)))


def test_header_of_too_large_a_picture_is_left_to_pillow() -> None:
    content = bytearray(header("PNG", (30, 20), None))
    content[16:24] = struct.pack(">II", 30_000, 30_000)
    assert displayed_size_of(_with_right_sums(bytes(content))) is None


def _with_right_sums(data: bytes) -> bytes:
    """Return a PNG whose chunks have the checksums of what they hold; anything else as it is."""
    at, parts = 8, [data[:8]]
    while data[:4] == b"\x89PNG" and at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        parts += [data[at:end], zlib.crc32(data[at + 4 : end]).to_bytes(4)]
        at = end + 4
    return b"".join(parts) if at > 8 else data
