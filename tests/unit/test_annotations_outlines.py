"""The pixels of each Labelme shape: which belong to it, at its edges and at the frame's."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from annotation_files import SHARED, document, shape, write_json, write_png
from label_pictures import in_frame
from numpy.typing import NDArray
from PIL import Image

from annotations.errors import AnnotationError
from annotations.forms import read_source
from annotations.label_files import read_label_image
from annotations.naming import Naming
from annotations.outlines import MOST_WORK, labelme_patches, polygon_patch, shape_patch
from annotations.patches import box_patch

NO_NAMES = Naming({}, None, {})


def drawn(points: object, shape_type: str, width: int = 8, height: int = 6, **fields: object) -> NDArray[np.bool_]:
    return in_frame(shape_patch(shape(points=points, shape_type=shape_type, **fields), width, height), width, height)


def window(left: int, top: int, right: int, bottom: int, width: int = 8, height: int = 6) -> NDArray[np.bool_]:
    pixels = np.zeros((height, width), np.bool_)
    pixels[top:bottom, left:right] = True
    return pixels


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[1, 2], [4, 5]], (1, 2, 4, 5)),
        ([[4, 5], [1, 2]], (1, 2, 4, 5)),
        ([[1, 2], [4, 2], [4, 5], [1, 5]], (1, 2, 4, 5)),
        ([[0.4, 0.5], [3.5, 3.6]], (0, 0, 3, 4)),  # centres at 0.5, 1.5, ...: 3.5 is no more inside
        ([[0.6, 0.6], [3.6, 3.6]], (1, 1, 4, 4)),
        ([[-5, -5], [2, 2]], (0, 0, 2, 2)),
        ([[6, 4], [99, 99]], (6, 4, 8, 6)),
        ([[2.6, 3.6], [3.4, 4.4]], (3, 4, 4, 5)),  # between centres: the pixel that its centre (3, 4) lies in
    ],
)
def test_rectangle_is_the_pixels_whose_centres_it_holds(points: object, expected: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(drawn(points, "rectangle"), window(*expected))


@pytest.mark.parametrize("shape_type", ["polygon", "oriented_rectangle", "rotation"])
def test_outline_through_pixels_belongs_to_a_polygon(shape_type: str) -> None:
    # The corners lie in the pixels 1 and 4, 2 and 4: all of these belong to it, wherever in them the corners are.
    corners = [[1.0, 2.9], [4.9, 2.0], [4.0, 4.5], [1.5, 4.0]]
    np.testing.assert_array_equal(drawn(corners, shape_type), window(1, 2, 5, 5))


def test_polygon_as_thin_as_a_line_has_the_pixels_of_the_line() -> None:
    pixels = drawn([[1, 1], [6, 1], [3, 1.4]], "polygon")
    np.testing.assert_array_equal(pixels, window(1, 1, 7, 2))


def test_polygon_within_one_pixel_has_that_pixel() -> None:
    np.testing.assert_array_equal(drawn([[1.1, 2.1], [1.9, 2.2], [1.5, 2.9]], "polygon"), window(1, 2, 2, 3))


def test_polygon_that_leaves_the_frame_keeps_what_is_inside() -> None:
    whole = drawn([[2, 2], [40, 2], [40, 40], [2, 40]], "polygon", 50, 50)
    cut = drawn([[2, 2], [40, 2], [40, 40], [2, 40]], "polygon", 8, 6)
    np.testing.assert_array_equal(cut, whole[:6, :8])


@pytest.mark.parametrize("far", [1e3, 1e6, 1e12, 1e200])
def test_polygon_with_corners_far_away_is_drawn_in_bounded_time(far: float) -> None:
    pixels = drawn([[-far, -far], [far, -far], [far, far], [-far, far]], "polygon")
    assert pixels.all()
    half = drawn([[3, -far], [far, -far], [far, far], [3, far]], "polygon")
    np.testing.assert_array_equal(half, window(3, 0, 8, 6))


def test_polygon_far_away_has_no_pixels_though_its_box_meets_the_frame() -> None:
    assert not drawn([[-1000, 3], [3, -1000], [-1000, -1000]], "polygon").any()
    assert not drawn([[-5, 3], [3, -5], [-5, -5]], "polygon").any()


def test_polygon_of_too_many_points_is_refused() -> None:
    angles = np.linspace(0, 2 * np.pi, 600_000, endpoint=False)
    points = 100_000 * np.stack([np.cos(angles), np.sin(angles)], axis=1) + 100_000
    with pytest.raises(AnnotationError, match=f"at most {MOST_WORK:,} steps to draw, got 600,000 points in 2,000 rows"):
        polygon_patch(points, 200_001, 2_000)
    with pytest.raises(AnnotationError, match="1,600,000,000 pixels long"):
        polygon_patch(np.array([[0.0, 0.0], [16_000.0, 1.0]] * 50_000), 20_000, 10)


def test_circle_is_the_pixels_whose_centres_it_holds() -> None:
    pixels = drawn([[4, 3], [4, 5]], "circle")
    across, down = np.meshgrid(np.arange(8) + 0.5 - 4, np.arange(6) + 0.5 - 3)
    np.testing.assert_array_equal(pixels, across**2 + down**2 <= 4)
    assert pixels.sum() == 12  # 4 + 4 + 2 + 2 of a radius of 2: the corners of its box are left out


@pytest.mark.parametrize("centre", [[4, 3], [-1, -1], [1e150, 3]])
def test_circle_larger_than_the_frame_fills_it(centre: list[float]) -> None:
    reach = abs(centre[0]) + 40
    assert drawn([centre, [centre[0] + reach, centre[1]]], "circle").all()


def test_circle_smaller_than_a_pixel_has_the_pixel_of_its_centre() -> None:
    np.testing.assert_array_equal(drawn([[3.2, 2.2], [3.3, 2.2]], "circle"), window(3, 2, 4, 3))


def mask_text(rows: object) -> str:
    out = io.BytesIO()
    Image.fromarray(np.array(rows, np.uint8) * 255).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_mask_is_its_set_pixels_at_its_rounded_first_point() -> None:
    text = mask_text([[0, 1, 0], [0, 1, 1]])
    pixels = drawn([[1.6, 2.4], [4, 3]], "mask", mask=text)
    expected = np.zeros((6, 8), np.bool_)
    expected[2, 3] = expected[3, 3] = expected[3, 4] = True
    np.testing.assert_array_equal(pixels, expected)


def test_mask_that_leaves_the_frame_is_cut() -> None:
    pixels = drawn([[-1, -1], [1, 1]], "mask", mask=mask_text(np.ones((3, 3))))
    np.testing.assert_array_equal(pixels, window(0, 0, 2, 2))
    assert not drawn([[50, 50], [52, 52]], "mask", mask=mask_text(np.ones((3, 3)))).any()


@pytest.mark.parametrize(("shape_type", "points"), [("line", [[0, 0], [1, 1]]), ("rectangle", [[0, 0], ["a", 1]])])
def test_shape_without_pixels_is_refused(shape_type: str, points: object) -> None:
    with pytest.raises(AnnotationError, match="must"):
        shape_patch(shape(points=points, shape_type=shape_type), 8, 6)


def test_patches_of_a_folder_are_those_of_the_kept_boxes_in_their_order(tmp_path: Path) -> None:
    line, twice = shape(points=[[0, 0], [5, 5]], shape_type="line"), shape(points=[[1, 1], [3, 4]])
    write_json(tmp_path / "a.json", document(line, twice, twice, shape(points=[[90, 70], [120, 99]])))
    write_json(tmp_path / "b.json", document(imagePath="img.png"))
    write_png(tmp_path / "img.png")
    read = read_source(tmp_path, "labelme", NO_NAMES)
    patches = labelme_patches(read.dataset, read.numbers)
    np.testing.assert_array_equal(in_frame(patches(0)[0], 100, 80), window(1, 1, 3, 4, 100, 80))
    np.testing.assert_array_equal(in_frame(patches(0)[1], 100, 80), window(90, 70, 100, 80, 100, 80))
    assert (len(patches(0)), len(patches(1))) == (2, 0)


@pytest.mark.parametrize("now", [None, "", "{}", '{"shapes": [], "imagePath": ""}', '{"shapes": 3}'])
def test_file_that_has_changed_since_is_named(tmp_path: Path, now: str | None) -> None:
    path = write_json(tmp_path / "a.json", document(shape()))
    read = read_source(tmp_path, "labelme", NO_NAMES)
    path.unlink() if now is None else write_json(path, now)
    with pytest.raises(AnnotationError, match=r"^a\.json: "):
        labelme_patches(read.dataset, read.numbers)(0)


def test_box_that_was_divided_and_multiplied_has_the_pixels_of_its_corners() -> None:
    edges = [10.5 / size * size for size in range(12, 2000)]
    assert max(edges) > 10.5  # and yet pixel 10, whose centre 10.5 is, must not be lost
    assert {box_patch((edge, 2.0, 12.0, 3.0), 12, 6).left for edge in edges} == {10}


NUCLEI = SHARED / "data" / "nuclei" / "dsb2018"


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="the nuclei are not here")
def test_polygons_of_the_nuclei_give_their_masks_to_the_pixel() -> None:
    for path in sorted(NUCLEI.glob("*/labelme/*.json")):
        expected = read_label_image(path.parents[1] / "masks" / f"{path.stem}.png") > 0
        height, width = expected.shape
        found = np.zeros_like(expected)
        for each in json.loads(path.read_text())["shapes"]:
            found |= in_frame(shape_patch(each, width, height), width, height)
        np.testing.assert_array_equal(found, expected, err_msg=path.name)


EXAMPLES = SHARED / "data" / "labelme_examples"


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="Labelme's examples are not here")
@pytest.mark.parametrize("kind", ["instance_segmentation", "semantic_segmentation"])
def test_polygons_of_labelme_give_what_labelme_exported(kind: str) -> None:
    names = (EXAMPLES / kind / "expected_voc" / "class_names.txt").read_text().splitlines()
    for path in sorted((EXAMPLES / kind / "data_annotated").glob("*.json")):
        content = json.loads(path.read_text())
        expected = np.asarray(Image.open(EXAMPLES / kind / "expected_voc" / "SegmentationClass" / f"{path.stem}.png"))
        found = np.zeros_like(expected)
        for each in content["shapes"]:
            value = names.index(each["label"]) if each["label"] in names else 255  # __ignore__
            found[in_frame(shape_patch(each, content["imageWidth"], content["imageHeight"]), *expected.shape[::-1])] = (
                value
            )
        # One pixel of 2011_000006 is another with the Pillow of today.
        assert np.count_nonzero(found != expected) <= 1, path.name
