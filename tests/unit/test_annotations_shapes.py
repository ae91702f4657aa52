"""Each Labelme shape to its box: types, corners, clipping, corrupt coordinates."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from annotation_files import boxes, codes, convert_one, labels, only, shape
from PIL import Image


@pytest.mark.parametrize(
    ("shape_type", "points", "expected"),
    [
        ("rectangle", [[10, 10], [40, 30]], [10, 10, 40, 30]),
        ("rectangle", [[40, 30], [10, 10]], [10, 10, 40, 30]),
        ("rectangle", [[10, 30], [40, 10]], [10, 10, 40, 30]),
        ("rectangle", [[10, 10], [40, 10], [40, 30], [10, 30]], [10, 10, 40, 30]),
        ("polygon", [[20, 5.5], [30, 20], [5, 25], [10, 10]], [5, 5.5, 30, 25]),
        (None, [[20, 5], [30, 20], [5, 25]], [5, 5, 30, 25]),
        ("circle", [[50, 40], [53, 44]], [45, 35, 55, 45]),  # radius 5: 3-4-5
        ("oriented_rectangle", [[50, 10], [60, 20], [50, 30], [40, 20]], [40, 10, 60, 30]),
        ("rotation", [[50, 10], [60, 20], [50, 30], [40, 20]], [40, 10, 60, 30]),
    ],
)
def test_shape_gives_the_envelope_of_what_was_drawn(
    tmp_path: Path, shape_type: object, points: object, expected: object
) -> None:
    report = convert_one(tmp_path / "in", shape(points=points, shape_type=shape_type))
    assert boxes(report) == [expected]
    assert codes(report, least="warn") == []


def test_shape_without_a_type_is_a_polygon(tmp_path: Path) -> None:
    drawn = shape(points=[[20, 5], [30, 20], [5, 25]])
    del drawn["shape_type"], drawn["group_id"]
    report = convert_one(tmp_path / "in", drawn)
    assert boxes(report) == [[5, 5, 30, 25]]
    assert report.dataset.annotations.shape_type.tolist() == ["polygon"]


def png(rows: np.ndarray) -> str:
    out = io.BytesIO()
    Image.fromarray(rows).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_mask_gives_the_extent_of_its_set_pixels(tmp_path: Path) -> None:
    patch = np.zeros((10, 20), np.uint8)
    patch[2:5, 3:7] = 255
    drawn = shape(points=[[30, 40], [49, 49]], shape_type="mask", mask=png(patch))
    # Columns 3..6 at x 30 are the pixels 33..36, which end at 37.
    assert boxes(convert_one(tmp_path / "in", drawn)) == [[33, 42, 37, 45]]


def test_mask_without_set_pixels_is_dropped_with_a_finding(tmp_path: Path) -> None:
    drawn = shape(points=[[30, 40], [49, 49]], shape_type="mask", mask=png(np.zeros((10, 20), np.uint8)))
    report = convert_one(tmp_path / "in", drawn)
    assert (boxes(report), codes(report)) == ([], ["zero-area"])


@pytest.mark.parametrize("mask", [None, "", "not base64!", base64.b64encode(b"no png").decode(), 7])
def test_mask_that_is_no_picture_refuses_the_file(tmp_path: Path, mask: object) -> None:
    report = convert_one(tmp_path / "in", shape(shape_type="mask", mask=mask))
    assert (len(report.dataset.images), codes(report)) == (0, ["bad-points"])


@pytest.mark.parametrize(
    ("shape_type", "points"),
    [
        ("point", [[5, 5]]),
        ("points", [[5, 5], [6, 6]]),
        ("line", [[5, 5], [9, 9]]),
        ("linestrip", [[5, 5], [9, 9], [9, 5]]),
        ("polygon", [[5, 5], [9, 9]]),
    ],
)
def test_shape_without_an_area_is_dropped_with_a_finding(tmp_path: Path, shape_type: object, points: object) -> None:
    report = convert_one(tmp_path / "in", shape(), shape("fip", points, shape_type=shape_type))
    assert boxes(report) == [[10, 10, 40, 30]]
    finding = only(report, "no-area-shape")
    assert (finding.source, finding.shape, finding.image_id) == ("a.json", "shapes[1]", "a")


def test_shape_of_an_unknown_type_is_dropped_with_a_finding(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", shape(shape_type="cuboid"), shape())
    assert boxes(report) == [[10, 10, 40, 30]]
    assert only(report, "unsupported-shape").shape == "shapes[0]"


@pytest.mark.parametrize("points", [[[5, 5], [5, 20]], [[5, 5], [9, 5]], [[7, 7], [7, 7]]])
def test_shape_of_zero_area_is_dropped_with_a_finding(tmp_path: Path, points: object) -> None:
    report = convert_one(tmp_path / "in", shape(points=points))
    assert (boxes(report), codes(report)) == ([], ["zero-area"])
    assert len(report.dataset.images) == 1


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[-5.5, -3], [20, 30]], [0, 0, 20, 30]),
        ([[90, 70], [100.5, 81]], [90, 70, 100, 80]),
        ([[-1e300, -1e300], [1e300, 1e300]], [0, 0, 100, 80]),
    ],
)
def test_box_outside_is_clipped_with_a_finding(tmp_path: Path, points: object, expected: object) -> None:
    report = convert_one(tmp_path / "in", shape(points=points))
    assert boxes(report) == [expected]
    assert only(report, "clipped").shape == "shapes[0]"


def test_circle_over_the_edge_is_clipped_though_both_points_lie_inside(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", shape(points=[[3, 40], [13, 40]], shape_type="circle"))
    assert boxes(report) == [[0, 30, 13, 50]]
    assert codes(report) == ["clipped"]


def test_overshoot_of_rounding_is_clipped_without_a_word(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", shape(points=[[-1e-9, 0], [100 + 1e-9, 80]]))
    assert boxes(report) == [[0, 0, 100, 80]]
    assert codes(report) == []


@pytest.mark.parametrize("points", [[[-9, 5], [-2, 9]], [[100, 5], [120, 9]], [[5, 90], [9, 99]]])
def test_box_wholly_outside_is_dropped_with_a_finding(tmp_path: Path, points: object) -> None:
    report = convert_one(tmp_path / "in", shape(points=points))
    assert (boxes(report), codes(report)) == ([], ["outside"])


def test_inverted_corners_are_counted_once_a_file(tmp_path: Path) -> None:
    inverted = [shape(points=[[40, 30 + y], [10, 10]]) for y in range(3)]
    report = convert_one(tmp_path / "in", shape(), *inverted)
    assert "3 of 4" in only(report, "inverted-corners").message
    assert report.exit_status == 0


@pytest.mark.parametrize(
    "points",
    [
        None,
        [],
        "points",
        7,
        {"x": 1},
        [[10, 10]],
        [[10, 10], [20, 20], [30, 30]],
        [[10, 10], [20]],
        [[10, 10], [20, 20, 20]],
        [[10, 10], ["20", 20]],
        [[10, 10], [True, 20]],
        [[10, 10], None],
        [[float("nan"), 10], [20, 20]],
        [[10, float("inf")], [20, 20]],
        [[10, 10], [20, -float("inf")]],
        [[10, 10], [20, 10**400]],
    ],
)
def test_corrupt_points_refuse_the_file_by_name_and_shape(tmp_path: Path, points: object) -> None:
    report = convert_one(tmp_path / "in", shape(), shape(points=points))
    finding = only(report, "bad-points")
    assert (finding.source, finding.shape) == ("a.json", "shapes[1]")
    assert (len(report.dataset.images), report.exit_status) == (0, 3)


def test_a_line_with_corrupt_points_refuses_the_file_too(tmp_path: Path) -> None:
    report = convert_one(tmp_path / "in", shape(points=[[float("nan"), 1], [2, 2]], shape_type="line"))
    assert codes(report) == ["bad-points"]


@pytest.mark.parametrize("label", [None, "", 7, ["a"], "\ud800", "a\0b", "x" * 5000])
def test_label_that_is_no_text_refuses_the_file(tmp_path: Path, label: object) -> None:
    report = convert_one(tmp_path / "in", shape(label))
    assert (len(report.dataset.images), codes(report)) == (0, ["bad-shape"])


@pytest.mark.parametrize("wrong", [None, 7, "shape", ["label"], {"points": [[1, 1], [2, 2]]}, shape(shape_type=4)])
def test_shape_that_is_no_shape_refuses_the_file(tmp_path: Path, wrong: object) -> None:
    report = convert_one(tmp_path / "in", shape(), wrong)
    assert only(report, "bad-shape").shape == "shapes[1]"
    assert len(report.dataset.images) == 0


@pytest.mark.parametrize("label", ["QR code", " qr_code ", "NA", "null", "二维码", 'a,"b"\n', "1"])
def test_label_stays_verbatim(tmp_path: Path, label: object) -> None:
    assert labels(convert_one(tmp_path / "in", shape(label))) == [label]


def test_file_of_too_many_shapes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotations.shapes.MOST_SHAPES", 3)
    assert codes(convert_one(tmp_path / "three", *[shape(points=[[1, 1], [9, 9 + y]]) for y in range(3)])) == []
    assert codes(convert_one(tmp_path / "four", *[shape()] * 4)) == ["bad-file"]
