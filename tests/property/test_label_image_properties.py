"""What holds for all label images, outlines and run lengths: round trips, edges, and rubbish that is refused."""

import base64
import tempfile
from pathlib import Path

import numpy as np
import pytest
from annotation_files import shape
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from label_pictures import in_frame, picture_bytes, write_labels, write_photograph
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from annotations.drawn import Patch
from annotations.errors import AnnotationError
from annotations.extents import extents_of
from annotations.forms import ReadOptions
from annotations.label_files import read_label_image, write_label_image
from annotations.label_images import patches_of_label_image, write_label_images
from annotations.naming import Naming
from annotations.outlines import polygon_patch, shape_patch
from annotations.painting import painted
from annotations.patches import tight
from annotations.picture_pairs import read_pairs
from annotations.rle import patch_of, rle_of

# How fast a machine is says nothing about these.
UNTIMED = settings(deadline=None)
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
MASKS = arrays.arrays(np.bool_, SHAPES)
LABELS = arrays.arrays(np.int32, SHAPES, elements=st.sampled_from([0, 0, 1, 2, 3, 7, 300, 65_536]))
QUARTERS = st.integers(-4 * 20, 4 * 40).map(lambda n: n / 4)
POLYGONS = st.lists(st.tuples(QUARTERS, QUARTERS), min_size=3, max_size=8)


@UNTIMED
@given(MASKS)
def test_run_lengths_of_pixels_come_back(pixels: NDArray[np.bool_]) -> None:
    height, width = pixels.shape
    np.testing.assert_array_equal(
        in_frame(patch_of(rle_of(Patch(0, 0, pixels), width, height), width, height), width, height), pixels
    )


@UNTIMED
@given(MASKS)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_run_lengths_are_those_of_pycocotools(pixels: NDArray[np.bool_]) -> None:
    from pycocotools import mask

    height, width = pixels.shape
    expected = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"].decode()
    got = rle_of(tight(pixels), width, height)
    assert got["counts"] == expected
    np.testing.assert_array_equal(mask.decode(got), pixels)


@UNTIMED
@given(st.lists(POLYGONS, min_size=1, max_size=3))
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_polygons_of_coco_are_those_of_pycocotools(polygons: list[list[tuple[float, float]]]) -> None:
    from pycocotools import mask

    flat = [[float(value) for point in polygon for value in point] for polygon in polygons]
    expected = mask.decode(mask.merge(mask.frPyObjects(flat, 16, 20)))
    np.testing.assert_array_equal(in_frame(patch_of(flat, 20, 16), 20, 16), expected)


RUBBISH = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.text("0123;<=>?O_`no~", max_size=30),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["size", "counts", "x"]), inner),
    max_leaves=12,
)


@UNTIMED
@given(RUBBISH | st.builds(lambda counts: {"size": [3, 4], "counts": counts}, RUBBISH))
def test_rubbish_is_refused_or_fits_the_frame(segmentation: object) -> None:
    try:
        patch = patch_of(segmentation, 4, 3)
    except AnnotationError as error:
        assert "must" in str(error)
    else:
        in_frame(patch, 4, 3)


@UNTIMED
@given(POLYGONS, st.integers(1, 50), st.integers(1, 50))
def test_polygon_is_the_one_that_labelme_draws(points: list[tuple[float, float]], width: int, height: int) -> None:
    canvas = Image.new("L", (width, height))
    ImageDraw.Draw(canvas).polygon(points, fill=1, outline=1)
    patch = polygon_patch(np.array(points), width, height)
    np.testing.assert_array_equal(in_frame(patch, width, height), np.asarray(canvas))


@UNTIMED
@given(st.sampled_from(["rectangle", "circle"]), QUARTERS, QUARTERS, QUARTERS, QUARTERS)
def test_pixels_lie_in_the_box_of_their_shape(kind: str, x0: float, y0: float, x1: float, y1: float) -> None:
    patch = shape_patch(shape(points=[[x0, y0], [x1, y1]], shape_type=kind), 20, 16)
    rows, columns = patch.pixels.shape
    if kind == "circle":
        radius = float(np.hypot(x1 - x0, y1 - y0))
        x0, y0, x1, y1 = x0 - radius, y0 - radius, x0 + radius, y0 + radius
    x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    if patch.pixels.any():
        # Half a pixel: a centre inside; a whole one for a shape between centres, and at the frame's last pixel.
        assert patch.left + 1 > x0 and patch.left + columns - 1 < max(x1, x0 + 1)
        assert patch.top + 1 > y0 and patch.top + rows - 1 < max(y1, y0 + 1)
    inside = patch.pixels.sum()
    assert inside <= (x1 - x0 + 1) * (y1 - y0 + 1)


@UNTIMED
@given(LABELS)
def test_label_image_file_comes_back(labels: NDArray[np.int32]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_label_image(Path(folder, "a"), labels)
        np.testing.assert_array_equal(read_label_image(path, labels.shape[::-1]), labels)


@UNTIMED
@given(LABELS)
def test_extents_are_the_boxes_of_the_values(labels: NDArray[np.int32]) -> None:
    extents = extents_of(labels)
    assert extents.values.tolist() == sorted(set(labels[labels > 0].tolist()))
    for value, box in zip(extents.values.tolist(), extents.xyxy.tolist(), strict=True):
        down, across = np.nonzero(labels == value)
        assert box == [across.min(), down.min(), across.max() + 1, down.max() + 1]


@UNTIMED
@given(st.lists(arrays.arrays(np.bool_, (6, 7)), max_size=6), st.data())
def test_painted_pixels_are_of_an_object_that_was_there_and_none_is_lost_untold(
    masks: list[NDArray[np.bool_]], data: st.DataObject
) -> None:
    count = len(masks)
    parents = np.array([data.draw(st.integers(-1, place - 1)) if place else -1 for place in range(count)], np.int64)
    parents[[place for place in range(count) if parents[place] >= 0 and parents[parents[place]] >= 0]] = -1
    result = painted([tight(mask) for mask in masks], parents, None, 7, 6)
    drawn = np.zeros((6, 7), np.bool_)
    for place, mask in enumerate(masks):
        drawn |= mask
        assert (mask[result.labels == place + 1]).all()
        kept = int((result.labels == place + 1).sum())
        families = np.isin(result.labels, np.flatnonzero(parents == place) + 1) & mask
        assert result.hidden[place] == (kept == 0)
        # What an object does not keep went to strangers (told) or lies under its own parts.
        assert kept + result.lost[place] <= mask.sum()
        assert result.lost[place] <= mask.sum() - kept
        if not families.any():
            assert kept + result.lost[place] == mask.sum() or (parents == place).any()
    np.testing.assert_array_equal(result.labels > 0, drawn)


@UNTIMED
@given(LABELS)
def test_patches_of_a_label_image_paint_it_again(labels: NDArray[np.int32]) -> None:
    values = np.unique(labels[labels > 0])
    numbered = np.where(labels > 0, np.searchsorted(values, labels) + 1, 0)
    parents = np.full(len(values), -1)
    patches = patches_of_label_image(numbered, parents)
    height, width = labels.shape
    np.testing.assert_array_equal(painted(patches, parents, None, width, height).labels, numbered)


@UNTIMED
@given(LABELS.filter(lambda labels: labels.max() < 2**16))
def test_pairs_come_back_renumbered(labels: NDArray[np.int32]) -> None:
    height, width = labels.shape
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_labels(root / "in" / "masks" / "a.png", labels)
        write_photograph(root / "in" / "images" / "a.png", width, height)
        found = read_pairs(root / "in", Naming({}, None, {}), ReadOptions())
        table, patches = found.dataset.annotations, found.patches
        assert patches is not None
        after, findings = write_label_images(root, found.dataset.images, table, patches, "instance")
        values = np.unique(labels[labels > 0])
        expected = np.where(labels > 0, np.searchsorted(values, labels) + 1, 0)
        np.testing.assert_array_equal(read_label_image(root / str(after.labels[0])), expected)
    assert findings == []
    assert len(table) == len(values)
    np.testing.assert_array_equal(
        np.rint(table.xyxy_rel * np.array([width, height] * 2)), extents_of(expected).xyxy.reshape(-1, 4)
    )


WHOLE = picture_bytes("PNG", 9, 7)


@UNTIMED
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(WHOLE)))
def test_mask_of_spoilt_bytes_is_refused_or_drawn(flips: list[tuple[int, int]], length: int) -> None:
    data = bytearray(WHOLE)
    for place, value in flips:
        data[place] = value
    text = base64.b64encode(bytes(data[:length])).decode()
    try:
        patch = shape_patch(shape(points=[[2, 1], [10, 7]], shape_type="mask", mask=text), 20, 16)
    except AnnotationError as error:
        assert "must" in str(error)
    else:
        in_frame(patch, 20, 16)


@UNTIMED
@given(st.text(max_size=60))
def test_mask_of_any_text_is_refused(text: str) -> None:
    with pytest.raises(AnnotationError, match="mask must be a base64 PNG"):
        shape_patch(shape(points=[[2, 1], [10, 7]], shape_type="mask", mask=text), 20, 16)
