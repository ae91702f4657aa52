"""Folders of label images: every format that people keep, and everything that goes wrong in them."""

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from annotations.errors import AnnotationError, UsageError
from evaluation.label_files import read_labels, read_probabilities
from evaluation.label_pairs import file_pairs
from evaluation.mask_figures import MaskSettings
from evaluation.mask_metrics import score_label_folders
from evaluation.pixel_folders import score_class_folders, score_class_pairs, score_probability_folders
from evaluation.tiff_pages import tiff_pages

LABELS = np.array([[0, 1, 1, 0], [0, 1, 300, 300], [0, 0, 300, 300]], np.uint16)
SETTINGS = MaskSettings(resamples=0)


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def save_stack(path: Path, pages: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    first, *rest = (Image.fromarray(page) for page in pages)
    first.save(path, save_all=True, append_images=rest, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.TIFF"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_labels_read_back_from_every_format(tmp_path: Path, name: str, dtype: type[np.integer]) -> None:
    if name == "a.png" and dtype == np.int32:
        name = "a.bmp"  # PNG ends at 16 bits
        dtype = np.uint8
    pixels = (LABELS % 200).astype(dtype)
    read = read_labels(save(tmp_path / name, pixels, **({"compression": "tiff_lzw"} if "tif" in name.lower() else {})))
    assert read.dtype.kind in "iu"
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_a_stack_reads_back_with_all_its_pages(tmp_path: Path, compression: str | None) -> None:
    stack = np.stack([LABELS, LABELS * 0, LABELS[::-1]])
    np.testing.assert_array_equal(read_labels(save_stack(tmp_path / "a.tif", stack, compression=compression)), stack)


def test_a_big_endian_file_reads_as_plain_numbers(tmp_path: Path) -> None:
    image = Image.fromarray(LABELS)
    image.save(tmp_path / "a.tif", tiffinfo=TiffImagePlugin.ImageFileDirectory_v2(prefix=b"MM"))
    read = read_labels(tmp_path / "a.tif")
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, LABELS)


def test_a_palette_reads_as_the_numbers_of_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray((LABELS % 7).astype(np.uint8)).convert("P")
    image.putpalette([value for number in range(256) for value in (number, 0, 255 - number)])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), LABELS % 7)


def test_a_mask_of_one_bit_reads_as_one_object(tmp_path: Path) -> None:
    Image.fromarray(LABELS > 0).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), LABELS > 0)
    np.testing.assert_array_equal(read_probabilities(tmp_path / "a.png"), (LABELS > 0).astype(np.float32))


def test_whole_numbers_stored_as_floats_are_labels_and_others_are_not(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_labels(save(tmp_path / "a.tif", LABELS.astype(np.float32))), LABELS)
    for value in (0.5, np.nan, np.inf, -1):
        pixels = LABELS.astype(np.float32)
        pixels[1, 1] = value
        with pytest.raises(AnnotationError, match=r"b\.tif: label image must hold"):
            read_labels(save(tmp_path / "b.tif", pixels))


def test_negative_numbers_are_no_labels(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"a\.tif: label image must hold numbers from 0, got -4"):
        read_labels(save(tmp_path / "a.tif", np.full((2, 2), -4, np.int32)))


def test_a_coloured_picture_is_no_label_image(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"a\.png: label image must have one channel, got RGB"):
        read_labels(save(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8)))


def test_a_stack_that_imagej_wrote_as_one_page_is_refused_and_not_read_in_part(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", LABELS, description="ImageJ=1.54f\nimages=70\nslices=70\n")
    with pytest.raises(AnnotationError, match="must hold its 70 pages as TIFF pages, got 1"):
        read_labels(path)


def test_a_page_that_would_unpack_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotations.pictures.LARGEST", 11)
    for name in ("a.png", "a.tif"):
        with pytest.raises(AnnotationError, match=rf"{name}: label image must be at most 11 pixels a page, got 4 x 3"):
            read_labels(save(tmp_path / name, LABELS))


def tiff_of_pages(
    order: str,
    pages: list[np.ndarray],
    *,
    wide: bool = False,
    ends: bool = True,
    last: dict[int, int] | None = None,
) -> bytes:
    """A TIFF with all pixels before the pages' tags, written by the standard; `last` changes tags of the last page."""
    place, entry, count = ("Q", "HHQ", "Q") if wide else ("I", "HHI", "H")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if wide else 42)
    head += struct.pack(order + "HH", 8, 0) if wide else b""
    start = len(head) + struct.calcsize("<" + place)
    body = b"".join(page.astype(page.dtype.newbyteorder(order)).tobytes() for page in pages)
    file, pixels = [head, struct.pack(order + place, start + len(body)), body], start
    for number, page in enumerate(pages):
        kind = {"u": 1, "i": 2, "f": 3}[page.dtype.kind]
        tags = {256: page.shape[1], 257: page.shape[0], 258: page.itemsize * 8, 259: 1, 262: 1, 273: pixels, 277: 1}
        tags |= {278: page.shape[0], 279: page.nbytes, 339: kind}
        tags |= (last or {}) if number == len(pages) - 1 else {}
        pixels += page.nbytes
        long = 16 if wide else 4
        file.append(struct.pack(order + count, len(tags)))
        file += [struct.pack(order + entry + place, tag, long, 1, value) for tag, value in tags.items()]
        here = sum(map(len, file)) + struct.calcsize("<" + place)
        file.append(struct.pack(order + place, 0 if ends and number == len(pages) - 1 else here))
    return b"".join(file)


@pytest.mark.parametrize("dtype", [np.uint32, np.int64, np.uint64, np.float64])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [False, True])
def test_stacks_of_wide_numbers_read_back(tmp_path: Path, dtype: type[np.generic], order: str, wide: bool) -> None:
    stack = np.stack([LABELS, LABELS[::-1]]).astype(dtype)
    (tmp_path / "a.tif").write_bytes(tiff_of_pages(order, list(stack), wide=wide))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), stack)


@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_a_stack_that_was_cut_off_is_not_read_as_a_shorter_one(tmp_path: Path, dtype: type[np.generic]) -> None:
    whole = tiff_of_pages("<", list(np.arange(5 * 8 * 7).reshape(5, 8, 7).astype(dtype)))
    assert len(tiff_pages(whole)) == 5
    for length in range(1, len(whole), 7):
        (tmp_path / "a.tif").write_bytes(whole[:length])
        with pytest.raises(AnnotationError, match=r"a\.tif: label image must be readable, got"):
            read_labels(tmp_path / "a.tif")


def test_a_chain_of_pages_without_an_end_is_refused() -> None:
    whole = tiff_of_pages("<", [LABELS, LABELS])
    first = struct.unpack_from("<I", whole, 4)[0]
    with pytest.raises(ValueError, match="without an end"):
        tiff_pages(whole[:-4] + struct.pack("<I", first))
    with pytest.raises(ValueError, match="ends before"):
        tiff_pages(tiff_of_pages("<", [LABELS, LABELS], ends=False))


@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
@pytest.mark.parametrize(
    ("last", "text"),
    [
        ({273: 10**6}, "ends before its pixels do"),
        ({279: 10**6}, "ends before its pixels do"),
        ({256: 10**5, 257: 10**4}, "bytes for 100000 x 10000 pixels"),
        ({259: 9999}, ""),
    ],
)
def test_a_stack_whose_last_page_is_damaged_is_not_read_as_a_shorter_one(
    tmp_path: Path, dtype: type[np.generic], last: dict[int, int], text: str
) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_of_pages("<", [LABELS.astype(dtype)] * 3, last=last))
    with pytest.raises(AnnotationError, match=rf"a\.tif: label image must be readable, got .*{text}"):
        read_labels(tmp_path / "a.tif")


def test_pages_that_share_their_bytes_are_refused_before_they_cost_time() -> None:
    # Each page says that all the file's bytes are the places and the lengths of its pixels.
    pages, size = 40, 8 + 40 * (2 + 4 * 12 + 4)
    file, here = [b"II*\0" + struct.pack("<I", 8)], 8
    for number in range(pages):
        here += 2 + 4 * 12 + 4
        long = ((256, 4, 1, 1), (257, 4, 1, 1), (273, 1, size, 0), (279, 1, size, 0))
        file += [struct.pack("<H", 4), *(struct.pack("<HHII", *tag) for tag in long)]
        file.append(struct.pack("<I", here if number + 1 < pages else 0))
    whole = b"".join(file)
    assert len(whole) == size
    with pytest.raises(ValueError, match="pages that overlap"):
        tiff_pages(whole)


def test_a_mask_whose_white_is_0_keeps_its_numbers(tmp_path: Path) -> None:
    # tifffile writes masks so: 1 is the object, and black.
    save(tmp_path / "a.tif", LABELS > 0, tiffinfo={262: 0})
    assert tiff_pages((tmp_path / "a.tif").read_bytes())[0].white_is_zero
    stored = np.array(Image.open(tmp_path / "a.tif"))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), ~stored)


def test_shades_of_4_bits_are_refused_for_they_would_be_stretched(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", (LABELS % 7).astype(np.uint8), bits=4)
    with pytest.raises(AnnotationError, match="must have 1, 8, 16 or more bits a pixel, got 4"):
        read_labels(path)


def test_pages_of_several_sizes_are_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(LABELS), Image.fromarray(LABELS[:2])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(AnnotationError, match="pages of one size, 4 x 3, got 4 x 2 on page 1"):
        read_labels(tmp_path / "a.tif")


def test_a_stack_that_would_unpack_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.label_files.LARGEST_STACK", 20)
    with pytest.raises(AnnotationError, match="at most 20 voxels, got 24"):
        read_labels(save_stack(tmp_path / "a.tif", np.stack([LABELS] * 2)))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_file_cut_anywhere_is_refused_by_name_or_read_in_full(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 65535, (40, 30)).astype(np.uint16)
    whole = save(tmp_path / name, pixels).read_bytes()
    refused = 0
    for length in range(0, len(whole), 37):
        (tmp_path / name).write_bytes(whole[:length])
        try:
            np.testing.assert_array_equal(read_labels(tmp_path / name), pixels)
        except AnnotationError as error:
            refused += 1
            assert str(error).startswith(str(tmp_path / name))
    assert refused >= len(whole) // 37 - 3


def test_random_bytes_in_a_file_never_end_in_a_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    files = [save(tmp_path / "a.png", LABELS), save_stack(tmp_path / "a.tif", np.stack([LABELS] * 3))]
    for path in files:
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(150):
            broken = whole.copy()
            places = rng.integers(0, len(whole), int(rng.integers(1, 6)))
            broken[places] = rng.integers(0, 256, len(places))
            path.write_bytes(broken.tobytes())
            try:
                assert read_labels(path).ndim in (2, 3)
            except AnnotationError as error:
                assert str(path) in str(error)


@pytest.mark.parametrize("content", [b"", b"not a picture", None])
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.png"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"a\.png: "):
        read_labels(path)
    with pytest.raises(AnnotationError, match=r"b\.png: "):
        read_labels(tmp_path / "b.png")
    with pytest.raises(UsageError, match=r"a\.jpg: label image must be a file of"):
        read_labels(tmp_path / "a.jpg")


def test_a_link_to_a_device_is_refused_and_not_read_without_end(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("/dev/zero")
    with pytest.raises(AnnotationError, match=r"a\.png: label image must be a file, got no plain file"):
        read_labels(tmp_path / "a.png")


def folders(tmp_path: Path) -> tuple[Path, Path]:
    truth, predicted = tmp_path / "truth", tmp_path / "predicted"
    save(truth / "one.png", LABELS)
    save(predicted / "one.tif", LABELS.astype(np.int32) * 2)
    save_stack(truth / "stack.tif", np.stack([LABELS] * 2))
    save_stack(predicted / "stack.tif", np.stack([LABELS, LABELS * 0]))
    return truth, predicted


def test_folders_are_scored_by_stems_over_formats_and_dimensions(tmp_path: Path) -> None:
    truth, predicted = folders(tmp_path)
    (truth / ".hidden.png").write_bytes(b"")
    (predicted / "notes.txt").write_text("passed over")
    metrics = score_label_folders(truth, predicted, SETTINGS)
    assert [(image.name, image.truth, image.predicted) for image in metrics.images] == [("one", 2, 2), ("stack", 2, 2)]
    # In the stack half of each object is found: IoU 0.5.
    assert [row.tp for row in metrics.pooled] == [4, 4, 4, 4, 4, 2, 2, 2, 2]
    assert json.dumps(metrics.to_json(), allow_nan=False)


@pytest.mark.parametrize("lonely", ["truth", "predicted"])
def test_files_without_a_partner_are_named_and_left_out_only_when_asked(tmp_path: Path, lonely: str) -> None:
    truth, predicted = folders(tmp_path)
    for number in range(7):
        save(tmp_path / lonely / f"more{number}.png", LABELS)
    with pytest.raises(AnnotationError, match=r"got none for more0\.png.*more4\.png and 2 more"):
        score_label_folders(truth, predicted, SETTINGS)
    metrics = score_label_folders(truth, predicted, SETTINGS, lenient=True)
    assert len(metrics.images) == 2
    assert metrics.without_partner == tuple(str(tmp_path / lonely / f"more{number}.png") for number in range(7))


def test_folders_that_cannot_be_paired_are_refused(tmp_path: Path) -> None:
    truth, predicted = folders(tmp_path)
    with pytest.raises(AnnotationError, match="must be a file, a folder or a box dataset, got nothing there"):
        file_pairs(truth, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match="got none"):
        file_pairs(truth, tmp_path / "empty", lenient=True)
    save(truth / "one.tif", LABELS)
    with pytest.raises(AnnotationError, match=r"names of their own, got one\.png and one\.tif"):
        file_pairs(truth, predicted)


Scoring = Callable[[Path, Path], object]


@pytest.mark.parametrize(
    "score",
    [
        lambda truth, predicted: score_label_folders(truth, predicted, SETTINGS),
        lambda truth, predicted: score_class_folders(truth, predicted, {"cell": 1}),
        lambda truth, predicted: score_probability_folders(truth, predicted),
    ],
)
def test_a_512_pixel_label_is_never_scored_against_a_472_pixel_output(tmp_path: Path, score: Scoring) -> None:
    truth = save(tmp_path / "truth" / "a.png", np.ones((512, 512), np.uint8))
    predicted = save(tmp_path / "predicted" / "a.png", np.ones((472, 472), np.uint8))
    with pytest.raises(AnnotationError) as caught:
        score(truth.parent, predicted.parent)
    message = str(caught.value)
    assert message.startswith(f"{predicted}: size must be 512 x 512 as of {truth}, got 472 x 472")


def test_a_stack_is_not_scored_against_one_page(tmp_path: Path) -> None:
    truth = save_stack(tmp_path / "truth" / "a.tif", np.stack([LABELS] * 5))
    predicted = save(tmp_path / "predicted" / "a.tif", LABELS)
    with pytest.raises(AnnotationError, match=r"must be 4 x 3 x 5 as of .*, got 4 x 3;"):
        score_label_folders(truth.parent, predicted.parent, SETTINGS)


def test_class_pictures_are_scored_by_class(tmp_path: Path) -> None:
    classes = {"alive": 1, "dead": 2, "unseen": 5}
    pixels = np.array([[0, 1, 1, 2]] * 2, np.uint8)
    save(tmp_path / "truth" / "a.png", pixels)
    save(tmp_path / "predicted" / "a.png", np.array([[0, 1, 2, 2]] * 2, np.uint8))
    metrics = score_class_folders(tmp_path / "truth", tmp_path / "predicted", classes)
    assert metrics.classes["alive"].dice == 2 / 3
    assert metrics.classes["dead"].dice == 2 / 3
    assert metrics.classes["unseen"].dice is None
    assert (metrics.mean_dice, metrics.mean_iou, metrics.classes_left_out) == (2 / 3, 1 / 2, 1)
    assert json.dumps(metrics.to_json(), allow_nan=False)


@pytest.mark.parametrize("side", ["truth", "predicted"])
def test_a_pixel_of_no_known_class_is_refused(tmp_path: Path, side: str) -> None:
    for name in ("truth", "predicted"):
        save(tmp_path / name / "a.png", np.array([[0, 1], [1, 7 if name == side else 1]], np.uint8))
    with pytest.raises(AnnotationError, match=rf"{side}/a\.png: pixels must be one of \[0, 1\], got 7"):
        score_class_folders(tmp_path / "truth", tmp_path / "predicted", {"cell": 1})


@pytest.mark.parametrize("classes", [{}, {"a": 1, "b": 1}, {"a": -1}])
def test_classes_without_numbers_of_their_own_are_refused(classes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="classes must have numbers of their own"):
        score_class_pairs((), classes)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_probability_maps_are_scored_whatever_their_type(tmp_path: Path, dtype: type[np.generic]) -> None:
    probability = np.array([[0, 51, 255, 102], [0, 204, 255, 0]])
    factor = {np.uint8: 1, np.uint16: 257}.get(dtype, 1 / 255)
    save(tmp_path / "predicted" / "a.tif", (probability * factor).astype(dtype))
    save(tmp_path / "truth" / "a.png", np.array([[0, 0, 3, 3], [0, 1, 3, 0]], np.uint8))
    every = score_probability_folders(tmp_path / "truth", tmp_path / "predicted")
    assert every.pr_auc == 1.0
    assert every.sweep.best_dice == 0.4
    third = score_probability_folders(tmp_path / "truth", tmp_path / "predicted", value=3)
    # Ranked: two hits, the miss at 0.8, a hit: (1 + 1 + 3 / 4) / 3
    assert third.pr_auc == pytest.approx(2.75 / 3)
    assert third.mean_l1_error == pytest.approx((0.2 + 0.6 + 0.8) / 8)
    nothing = score_probability_folders(tmp_path / "truth", tmp_path / "predicted", value=9)
    assert (nothing.pr_auc, nothing.undefined["pr_auc"]) == (None, "no-truth")


@pytest.mark.parametrize("value", [1.5, -0.5, np.nan])
def test_a_map_that_holds_no_probabilities_is_refused(tmp_path: Path, value: float) -> None:
    path = save(tmp_path / "a.tif", np.full((2, 2), value, np.float32))
    with pytest.raises(AnnotationError, match=r"a\.tif: probability map must hold floats 0 to 1, or 8 or 16 bits, got"):
        read_probabilities(path)
    with pytest.raises(AnnotationError, match="got int32"):
        read_probabilities(save(tmp_path / "b.tif", np.ones((2, 2), np.int32)))


def test_reading_leaves_the_file_as_it_is_and_the_array_writable(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", LABELS)
    before = path.read_bytes()
    read_labels(path)[:] = 0
    assert path.read_bytes() == before
    assert Image.open(io.BytesIO(before)).size == (4, 3)
