import numpy as np
import pytest

from annotations.errors import AnnotationError, UsageError
from evaluation.object_table import object_table

LABELS = np.array([[4, 4, 0, 0], [4, 0, 0, 2], [0, 0, 0, 2]], np.uint16)
PICTURE = np.array([[10, 20, 0, 0], [60, 0, 0, 5], [0, 0, 0, 6]], np.uint8)


def test_rows_of_a_flat_picture_by_hand() -> None:
    table = object_table(LABELS, PICTURE, spacing=(0.5, 0.25), unit="um", scores={4: 0.9})
    two, four = table.to_rows()
    assert two == {
        "label": 2,
        "centroid_y": 1.5,
        "centroid_x": 3.0,
        "xmin": 3,
        "ymin": 1,
        "xmax": 4,
        "ymax": 3,
        "size": 2,
        "physical_size": 0.25,
        "mean_intensity": 5.5,
        "max_intensity": 6.0,
        "score": None,
        "unit": "um^2",
    }
    assert (four["centroid_y"], four["centroid_x"]) == (1 / 3, 1 / 3)
    assert (four["xmin"], four["ymin"], four["xmax"], four["ymax"]) == (0, 0, 2, 2)
    assert (four["mean_intensity"], four["max_intensity"], four["score"]) == (30.0, 60.0, 0.9)


def test_a_stack_has_its_depth_and_its_volume_in_physical_units() -> None:
    stack = np.zeros((4, 3, 5), np.int32)
    stack[1:3, 1, 2:5] = 9
    (row,) = object_table(stack, spacing=(300, 100, 100), unit="nm").to_rows()
    assert (row["centroid_z"], row["centroid_y"], row["centroid_x"]) == (1.5, 1, 3)
    assert [row[f"{axis}{end}"] for axis in "xyz" for end in ("min", "max")] == [2, 5, 1, 2, 1, 3]
    assert (row["size"], row["physical_size"]) == (6, 6 * 3_000_000)
    assert row["mean_intensity"] is None


def test_an_object_that_fills_the_picture_has_its_intensity() -> None:
    (row,) = object_table(np.ones((2, 3), np.bool_), np.arange(6.0).reshape(2, 3)).to_rows()
    assert (row["size"], row["mean_intensity"], row["max_intensity"]) == (6, 2.5, 5)


def test_intensities_of_8_bits_do_not_overflow() -> None:
    (row,) = object_table(np.ones((40, 50), np.uint8), np.full((40, 50), 255, np.uint8)).to_rows()
    assert row["mean_intensity"] == 255


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (2, 3, 4)], ids=str)
def test_no_objects_have_a_table_of_no_rows(shape: tuple[int, ...]) -> None:
    table = object_table(np.zeros(shape, np.uint8), np.zeros(shape))
    assert (len(table), table.to_rows(), table.low.shape) == (0, [], (0, len(shape)))


def test_without_a_unit_no_physical_size_is_known() -> None:
    (row,) = object_table(np.ones((2, 3), np.bool_)).to_rows()
    assert (row["size"], row["physical_size"], row["unit"]) == (6, None, None)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(AnnotationError, match="picture: size must be 4 x 3 as of the label image, got 3 x 4"):
        object_table(LABELS, PICTURE.T)


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 1.0, 1.0), (1.0, 0.0), (1.0, float("nan")), (-1.0, 1.0)])
def test_a_spacing_that_cannot_be_is_refused(spacing: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="spacing must be 2 lengths above 0"):
        object_table(LABELS, spacing=spacing)


def test_a_row_of_pixels_is_no_picture() -> None:
    with pytest.raises(ValueError, match="2 or 3 axes"):
        object_table(np.zeros(4, np.uint8))
