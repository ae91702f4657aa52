"""Label images: which object a pixel belongs to, what is told of overlaps, and what cannot be read."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_pictures import in_frame, picture_bytes, write_labels
from numpy.typing import NDArray
from PIL import Image

from annotations import painting
from annotations.drawn import Patch
from annotations.errors import AnnotationError
from annotations.extents import extents_of
from annotations.findings import Finding
from annotations.label_files import pages_of, read_label_image, write_label_image
from annotations.label_images import MaskKind, dataset_patches, patches_of_label_image, write_label_images
from annotations.patches import DrawnPatches, empty_patch, tight, united, within
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Images

WIDTH, HEIGHT = 10, 8


def images(*ids: str, width: int = WIDTH, height: int = HEIGHT) -> Images:
    texts = {name: np.array([""] * len(ids)) for name in ("split", "group", "flags")}
    paths, sources = (np.array([f"{name}.{suffix}" for name in ids]) for suffix in ("jpg", "json"))
    sizes = np.full(len(ids), width), np.full(len(ids), height)
    return Images(np.array(ids), paths, *sizes, **texts, source=sources)


def boxes(*rows: int, parents: list[int] | None = None, classes: list[int] | None = None) -> Annotations:
    count = len(rows)
    empty = np.array([""] * count)
    return Annotations(
        image_row=np.array(rows, np.int64),
        object_id=np.arange(count) + 100,
        parent_id=np.array(parents if parents is not None else [NO_PARENT] * count, np.int64),
        group_id=empty,
        class_id=np.array(classes if classes is not None else [0] * count, np.int64),
        xyxy_rel=np.tile([0.0, 0.0, 1.0, 1.0], (count, 1)),
        shape_type=empty,
    )


def block(left: int, top: int, right: int, bottom: int) -> Patch:
    return Patch(left, top, np.ones((bottom - top, right - left), np.bool_))


def written(
    aside: Path, patches: list[Patch], table: Annotations | None = None, kind: MaskKind = "instance"
) -> tuple[NDArray[Any], list[Finding]]:
    """Return the label image of one image with these objects, and what was found."""
    table = boxes(*[0] * len(patches)) if table is None else table
    after, findings = write_label_images(aside, images("a"), table, lambda row: patches, kind)
    return read_label_image(aside / str(after.labels[0]), (WIDTH, HEIGHT)), findings


def test_box_k_has_the_value_k_plus_one(tmp_path: Path) -> None:
    labels, findings = written(tmp_path, [block(0, 0, 2, 2), block(5, 5, 10, 8)])
    expected = np.zeros((HEIGHT, WIDTH), int)
    expected[:2, :2], expected[5:, 5:] = 1, 2
    np.testing.assert_array_equal(labels, expected)
    assert findings == []


def test_boxes_are_numbered_within_their_image_in_the_order_of_the_table(tmp_path: Path) -> None:
    patches = {0: [block(0, 0, 1, 1), block(1, 1, 2, 2)], 1: [block(3, 3, 4, 4)]}
    after, _ = write_label_images(
        tmp_path, images("a", "b", "c"), boxes(1, 0, 0), lambda row: patches.get(row, []), "instance"
    )
    assert after.labels.tolist() == ["labels/a.png", "labels/b.png", "labels/c.png"]
    first, second, third = (read_label_image(tmp_path / name) for name in after.labels.tolist())
    assert (first[0, 0], first[1, 1], second[3, 3]) == (1, 2, 1)
    assert not third.any()


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_smaller_object_lies_over_a_larger_one_and_the_loss_is_told(tmp_path: Path, order: list[int]) -> None:
    patches = [block(0, 0, 8, 8), block(2, 2, 4, 4)]
    labels, findings = written(tmp_path, [patches[place] for place in order])
    small = order.index(1) + 1
    assert (labels[2:4, 2:4] == small).all()
    assert (labels == small).sum() == 4
    (finding,) = findings
    assert (finding.code, finding.source, finding.image_id) == ("overlapping-masks", "a.json", "a")
    assert finding.message == (
        f"1 of 2 objects lost 4 pixels to others drawn over them, most of them object_id {100 + order.index(0)}: "
        "4 of 64"
    )


def test_part_lies_over_its_object_without_a_finding(tmp_path: Path) -> None:
    table = boxes(0, 0, parents=[101, NO_PARENT])
    labels, findings = written(tmp_path, [block(0, 0, 3, 3), block(0, 0, 5, 5)], table)
    assert ((labels == 1).sum(), (labels == 2).sum()) == (9, 16)
    assert findings == []


def test_part_larger_than_its_object_still_lies_over_it(tmp_path: Path) -> None:
    table = boxes(0, 0, parents=[NO_PARENT, 100])
    labels, findings = written(tmp_path, [block(2, 2, 4, 4), block(0, 0, 8, 8)], table)
    assert set(np.unique(labels)) == {0, 2}
    # Its own part took all of it: no overlap of strangers, but there is nothing left of it.
    assert [finding.code for finding in findings] == ["hidden-mask"]
    assert "object_id 100 must keep a pixel of the label image, got none of its 4" in findings[0].message


def test_part_over_another_object_is_told(tmp_path: Path) -> None:
    table = boxes(0, 0, 0, parents=[NO_PARENT, NO_PARENT, 101])
    patches = [block(0, 0, 4, 4), block(5, 0, 9, 4), block(3, 0, 6, 1)]
    _, findings = written(tmp_path, patches, table)
    assert [finding.code for finding in findings] == ["overlapping-masks"]
    assert "object_id 100: 1 of 16" in findings[0].message


def test_object_without_a_pixel_is_told(tmp_path: Path) -> None:
    twins = [block(1, 1, 3, 3), block(1, 1, 3, 3), empty_patch()]
    _, findings = written(tmp_path, twins)
    assert sorted(finding.code for finding in findings) == ["hidden-mask", "hidden-mask", "overlapping-masks"]
    assert [finding.message.partition(" ")[2].partition(" ")[0] for finding in findings[1:]] == ["100", "102"]


def test_class_image_holds_class_ids_and_tells_losses_between_classes_alone(tmp_path: Path) -> None:
    table = boxes(0, 0, 0, classes=[2, 2, 0])
    patches = [block(0, 0, 6, 6), block(4, 4, 8, 8), block(0, 0, 2, 1)]
    labels, findings = written(tmp_path, patches, table, "class")
    assert ((labels == 3).sum(), (labels == 1).sum()) == (36 + 16 - 4 - 2, 2)
    assert [finding.code for finding in findings] == ["overlapping-masks"]
    assert "1 of 3 objects lost 2 pixels" in findings[0].message


def test_image_whose_patches_cannot_be_had_is_kept_without_labels(tmp_path: Path) -> None:
    def patches(row: int) -> list[Patch]:
        if row == 0:
            raise AnnotationError("a.json: file must be readable, got no such file")
        return [block(0, 0, 1, 1)]

    after, findings = write_label_images(tmp_path, images("a", "b"), boxes(0, 1), patches, "instance")
    assert after.labels.tolist() == ["", "labels/b.png"]
    assert [(finding.code, finding.severity, finding.image_id) for finding in findings] == [
        ("no-label-image", "error", "a")
    ]


def test_frame_of_a_bomb_is_refused_before_any_memory_is_taken(tmp_path: Path) -> None:
    vast = images("a", width=10**6, height=10**6)
    after, findings = write_label_images(tmp_path, vast, boxes(), lambda row: [], "instance")
    assert (after.labels.tolist(), findings[0].code) == ([""], "no-label-image")


def test_objects_that_would_take_an_hour_to_paint_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "MOST_PAINT", 300)
    patches = DrawnPatches(lambda place: block(0, 0, 10, 8), 4)
    after, findings = write_label_images(tmp_path, images("a"), boxes(*[0] * 4), lambda row: patches, "instance")
    assert after.labels.tolist() == [""]
    assert "at most 300 pixels together" in findings[0].message


def test_patches_that_are_too_many_to_keep_are_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "_KEPT", 20)
    drawn: list[int] = []

    def draw(place: int) -> Patch:
        drawn.append(place)
        return block(place, 0, place + 4, 4)

    patches = DrawnPatches(draw, 3)
    after, _ = write_label_images(tmp_path, images("a"), boxes(0, 0, 0), lambda row: patches, "instance")
    assert drawn == [0, 1, 2, 1, 2]
    assert read_label_image(tmp_path / after.labels[0])[0].tolist() == [1, 2, 3, 3, 3, 3, 0, 0, 0, 0]


def test_patches_of_another_number_are_misuse(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="as many as its boxes, 1, got 2"):
        written(tmp_path, [block(0, 0, 1, 1), block(1, 1, 2, 2)], boxes(0))


def test_image_ids_that_are_paths_make_folders_and_none_leaves_the_dataset(tmp_path: Path) -> None:
    ids = ("a/b", "../../out", "/etc/x", "A/B", "c:d")
    after, _ = write_label_images(tmp_path / "in", images(*ids), boxes(), lambda row: [], "instance")
    assert after.labels[0] == "labels/a/b.png"
    found = {path.relative_to(tmp_path / "in").as_posix() for path in tmp_path.rglob("*.png")}
    assert found == set(after.labels.tolist())
    assert len({name.casefold() for name in found}) == len(ids)


def test_dataset_gives_the_pixels_of_its_label_images_back(tmp_path: Path) -> None:
    table = boxes(0, 0, 0, parents=[102, NO_PARENT, NO_PARENT])
    patches = [block(0, 0, 2, 2), block(9, 7, 10, 8), block(0, 0, 5, 5)]
    after, _ = write_label_images(tmp_path, images("a"), table, lambda row: patches, "instance")
    given = dataset_patches(BoxDataset(tmp_path, ("thing",), {}, after, table))
    assert given is not None
    for patch, expected in zip(given(0), patches, strict=True):
        np.testing.assert_array_equal(in_frame(patch, 10, 8), in_frame(expected, 10, 8))


def test_dataset_without_instances_gives_no_pixels(tmp_path: Path) -> None:
    after, _ = write_label_images(tmp_path, images("a"), boxes(0), lambda row: [block(0, 0, 1, 1)], "class")
    assert dataset_patches(BoxDataset(tmp_path, ("thing",), {}, images("a"), boxes(0))) is None
    assert dataset_patches(BoxDataset(tmp_path, ("thing",), {}, after, boxes(0), {"masks": "class"})) is None


def test_image_without_its_label_image_is_named_when_its_pixels_are_asked_for(tmp_path: Path) -> None:
    after, _ = write_label_images(tmp_path, images("a"), boxes(0), lambda row: [block(0, 0, 1, 1)], "instance")
    both = images("a", "b")
    both = Images(
        **{name: getattr(both, name) for name in both.__slots__} | {"labels": np.array([after.labels[0], ""])}
    )
    given = dataset_patches(BoxDataset(tmp_path, ("thing",), {}, both, boxes(0)))
    assert given is not None
    with pytest.raises(AnnotationError, match="b: image must have a label image"):
        given(1)


def test_value_that_is_missing_is_a_patch_without_pixels() -> None:
    labels = np.zeros((4, 4), np.uint16)
    labels[1, 2] = 2
    first, second = patches_of_label_image(labels, np.array([-1, -1]))
    assert (first.pixels.shape, second.left, second.top) == ((0, 0), 2, 1)


def test_extents_count_the_last_column_and_row_in_full() -> None:
    labels = np.zeros((5, 7), np.int32)
    labels[1:3, 2:6] = 70_000
    labels[4, 0] = labels[0, 6] = 3
    extents = extents_of(labels)
    assert extents.values.tolist() == [3, 70_000]
    assert extents.xyxy.tolist() == [[0, 0, 7, 5], [2, 1, 6, 3]]
    assert extents_of(np.zeros((3, 3), np.int32)).xyxy.shape == (0, 4)


def test_extents_of_more_objects_than_any_photograph_has_are_refused() -> None:
    with pytest.raises(AnnotationError, match="at most 100,000 objects"):
        extents_of(np.arange(1, 120_001).reshape(300, 400))


def test_patches_are_cut_and_united() -> None:
    assert within(block(-2, -2, 3, 3), 10, 8)[:2] == (0, 0)
    assert within(block(8, 6, 20, 20), 10, 8).pixels.shape == (2, 2)
    assert within(block(10, 0, 12, 2), 10, 8).pixels.size == 0
    both = united([block(1, 1, 3, 3), empty_patch(), Patch(3, 0, np.eye(3, dtype=np.bool_))])
    np.testing.assert_array_equal(
        in_frame(both, 8, 8), in_frame(block(1, 1, 3, 3), 8, 8) | in_frame(Patch(3, 0, np.eye(3, dtype=np.bool_)), 8, 8)
    )
    assert united([]).pixels.shape == (0, 0)
    assert tight(np.zeros((3, 3), np.bool_)).pixels.shape == (0, 0)


def test_drawn_patches_are_a_sequence() -> None:
    patches = DrawnPatches(lambda place: block(place, 0, place + 1, 1), 3)
    assert (patches[-1].left, [patch.left for patch in patches], [p.left for p in patches[1:]]) == (
        2,
        [0, 1, 2],
        [1, 2],
    )
    with pytest.raises(IndexError):
        patches[3]


# Label image files


@pytest.mark.parametrize("highest", [1, 255, 256, 65_535, 65_536, 100_000])
def test_label_image_is_read_as_it_was_written(tmp_path: Path, highest: int) -> None:
    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    labels[2, 3] = highest
    path = write_label_image(tmp_path / "deep" / "a.b", labels)
    assert path.name == ("a.b.png" if highest < 2**16 else "a.b.tif")
    np.testing.assert_array_equal(read_label_image(path, (4, 3)), labels)


# What Pillow cannot write.
NOT_WRITTEN = {(".png", "I"), (".png", "F"), (".bmp", "LA"), (".bmp", "I"), (".bmp", "F"), (".bmp", "I;16")}
STORED = [
    (suffix, mode)
    for suffix in (".png", ".tif", ".bmp")
    for mode in ("1", "L", "RGB", "RGBA", "LA", "I", "F", "I;16", "P")
    if (suffix, mode) not in NOT_WRITTEN
]


@pytest.mark.parametrize(("suffix", "mode"), STORED)
def test_grey_numbers_are_read_from_whatever_stores_them(tmp_path: Path, suffix: str, mode: str) -> None:
    numbers = np.array([[0, 1, 1], [1, 0, 0]]) if mode == "1" else np.array([[0, 7, 255], [3, 0, 9]])
    drawn = numbers.astype(np.bool_) if mode == "1" else numbers.astype(np.uint8)
    Image.fromarray(drawn).convert(mode).save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_label_image(tmp_path / f"a{suffix}"), numbers)


@pytest.mark.parametrize(("bits", "highest"), [(1, 1), (2, 3), (4, 15)])
def test_pixels_of_few_bits_are_not_stretched(tmp_path: Path, bits: int, highest: int) -> None:
    numbers = np.array([[0, 1, highest], [highest, 0, 1]], np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(png_of_bits(numbers, bits))
    np.testing.assert_array_equal(read_label_image(path), numbers)


def png_of_bits(numbers: NDArray[np.uint8], bits: int) -> bytes:
    """Return a grey PNG whose pixels have 1, 2 or 4 bits."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = numbers.shape
    spread = (numbers[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(spread.reshape(height, -1).astype(np.bool_), axis=1)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def save(path: Path, array: object, mode: str | None = None, **options: object) -> Path:
    picture = Image.fromarray(np.array(array))
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


COLOURS = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


def palette(path: Path) -> Path:
    picture = Image.fromarray(np.array([[0, 1, 2, 1]] * 3, np.uint8))
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.save(path)
    return path


def stack(path: Path) -> Path:
    pages = [Image.fromarray(np.full((3, 4), page, np.uint16)) for page in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


UNFIT: dict[str, Any] = {
    "colours": (lambda folder: save(folder / "a.png", COLOURS), "must be grey, got colours"),
    "palette": (lambda folder: palette(folder / "a.png"), "must be grey, got a palette of colours"),
    "lossy": (lambda folder: save(folder / "a.jpg", np.zeros((3, 4), np.uint8)), "must be PNG, TIFF or BMP"),
    "stack": (lambda folder: stack(folder / "a.tif"), "must be of one page, got a stack of 3"),
    "fractions": (lambda folder: save(folder / "a.tif", np.full((3, 4), 0.5, np.float32)), "must hold whole numbers"),
    "nan": (lambda folder: save(folder / "a.tif", np.full((3, 4), np.nan, np.float32)), "must hold whole numbers"),
    "negative": (lambda folder: save(folder / "a.tif", np.full((3, 4), -1, np.int32)), "got -1"),
    "cmyk": (lambda folder: save(folder / "a.tif", COLOURS, "CMYK"), "must be grey, got colours"),
    "missing": (lambda folder: folder / "a.png", "no such file"),
    "folder": (lambda folder: folder.joinpath("a.png").mkdir() or folder / "a.png", "got no file"),
    "text": (lambda folder: folder.joinpath("a.png").write_text("no") and folder / "a.png", "no known picture"),
    "size": (lambda folder: write_labels(folder / "a.png", np.zeros((4, 3))), "must be 4 x 3 as its image, got 3 x 4"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_label_image_is_refused_by_name(tmp_path: Path, name: str) -> None:
    make, message = UNFIT[name]
    path = make(tmp_path)
    with pytest.raises(AnnotationError, match=message) as error:
        read_label_image(path, (4, 3))
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_label_image_cut_anywhere_is_refused_or_whole(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(3).integers(0, 65_535, (40, 50)).astype(np.uint16)
    data = save(tmp_path / f"whole{suffix}", noise).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        try:
            np.testing.assert_array_equal(read_label_image(path), noise)
        except AnnotationError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(("dtype", "expected"), [("u1", "u1"), ("<u2", "u2"), (">u2", "u2"), ("<i4", "i4")])
def test_numbers_take_no_more_memory_than_in_the_file(tmp_path: Path, dtype: str, expected: str) -> None:
    path = save(tmp_path / "a.tif", np.arange(12, dtype=dtype).reshape(3, 4))
    numbers = read_label_image(path)
    assert numbers.dtype == np.dtype(expected)
    np.testing.assert_array_equal(numbers, np.arange(12).reshape(3, 4))


def test_bomb_is_no_stack_and_no_label_image(tmp_path: Path) -> None:
    data = bytearray(png_of_bits(np.zeros((3, 4), np.uint8), 1))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for read in (read_label_image, pages_of):
        with pytest.raises(AnnotationError, match=r"a\.png: .* must be"):
            read(path)


def test_pages_are_those_of_a_stack_alone(tmp_path: Path) -> None:
    assert pages_of(stack(tmp_path / "a.tif")) == 3
    (tmp_path / "b.jpg").write_bytes(picture_bytes("JPEG", 4, 3))
    assert pages_of(tmp_path / "b.jpg") == 1
    with pytest.raises(AnnotationError, match="must be readable"):
        pages_of(tmp_path / "c.png")


def test_photograph_of_noise_is_a_picture() -> None:
    assert Image.open(io.BytesIO(picture_bytes("PNG", 4, 3))).size == (4, 3)
