"""Drawn scenes: pure functions of seed and index, true to the pixel, and Labelme's own format on disk."""

import itertools
import json
import os
from pathlib import Path
from typing import Any, Never

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotations.convert import convert
from annotations.errors import AnnotationError, UsageError
from annotations.scene_symbols import Label
from annotations.scenes import OBJECT, PART, Scene, SceneSettings, draw_scene, split_names, write_scenes
from annotations.tables import pixels

SMALL = SceneSettings(width=128, height=128)
BUSY = SceneSettings(width=320, height=192, empty=0.0)


@pytest.fixture(scope="module")
def busy_scenes() -> list[Scene]:
    return [draw_scene(11, index, BUSY) for index in range(16)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("scenes") / "labelme"
    write_scenes(directory, 12, 3, SMALL)
    return directory


def documents(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((folder / "annotations").iterdir())]


def test_scene_is_the_same_at_every_call() -> None:
    first, again = draw_scene(5, 2, SMALL), draw_scene(5, 2, SMALL)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    for shape, other in zip(first.shapes, again.shapes, strict=True):
        np.testing.assert_array_equal(shape.points, other.points)
        assert (shape.label, shape.group_id, shape.shape_type) == (other.label, other.group_id, other.shape_type)


@pytest.mark.parametrize(("seed", "index"), [(5, 3), (6, 2)])
def test_other_seed_or_index_gives_another_scene(seed: int, index: int) -> None:
    assert (draw_scene(seed, index, SMALL).pixels != draw_scene(5, 2, SMALL).pixels).any()


def test_scene_has_the_size_and_kind_of_a_photograph(busy_scenes: list[Scene]) -> None:
    for scene in busy_scenes:
        assert scene.pixels.shape == (192, 320, 3)
        assert scene.pixels.dtype == np.uint8
        assert scene.pixels.std() > 3


def test_every_code_has_three_parts_of_its_group_and_inside_it(busy_scenes: list[Scene]) -> None:
    for scene in busy_scenes:
        codes = {shape.group_id: shape.xyxy for shape in scene.shapes if shape.label == OBJECT}
        assert sorted(codes) == list(range(len(codes)))
        for group_id, code in codes.items():
            parts = [shape.xyxy for shape in scene.shapes if shape.label == PART and shape.group_id == group_id]
            assert len(parts) == 3
            assert all((part[:2] >= code[:2] - 1e-9).all() and (part[2:] <= code[2:] + 1e-9).all() for part in parts)


def test_boxes_lie_inside_the_scene_and_are_not_too_small(busy_scenes: list[Scene]) -> None:
    for scene in busy_scenes:
        boxes = np.concatenate([scene.xyxy(OBJECT), scene.xyxy(PART)])
        assert (boxes[:, :2] > 0).all()
        assert (boxes[:, 2:] < [320, 192]).all()
        # 8 pixels in a scene of 256: 6 in one of 192.
        assert (scene.xyxy(PART)[:, 2:] - scene.xyxy(PART)[:, :2]).min() >= 6


def test_codes_do_not_overlap(busy_scenes: list[Scene]) -> None:
    assert max(len(scene.xyxy(OBJECT)) for scene in busy_scenes) > 1
    for scene in busy_scenes:
        for first, second in itertools.combinations(scene.xyxy(OBJECT), 2):
            assert (np.minimum(first[2:], second[2:]) <= np.maximum(first[:2], second[:2])).any()


def corner_order(points: NDArray[np.float64]) -> tuple[bool, bool]:
    (x0, y0), (x1, y1) = points
    return (x0 < x1, y0 < y1)


def test_rectangles_are_drawn_in_all_four_corner_orders(busy_scenes: list[Scene]) -> None:
    rectangles = [shape for scene in busy_scenes for shape in scene.shapes if shape.shape_type == "rectangle"]
    assert all(len(shape.points) == 2 for shape in rectangles)
    for label in (OBJECT, PART):
        assert len({corner_order(shape.points) for shape in rectangles if shape.label == label}) == 4


def test_some_codes_are_polygons_of_four_points(busy_scenes: list[Scene]) -> None:
    polygons = [shape for scene in busy_scenes for shape in scene.shapes if shape.shape_type == "polygon"]
    assert polygons
    assert all(shape.label == OBJECT and shape.points.shape == (4, 2) for shape in polygons)


def test_empty_share_is_kept() -> None:
    assert all(not draw_scene(0, index, SceneSettings(96, 96, empty=1.0)).shapes for index in range(5))
    # 0.5 of 40: between 10 and 30 for all but one seed in a thousand.
    without = sum(not draw_scene(1, index, SceneSettings(96, 96, empty=0.5)).shapes for index in range(40))
    assert 10 <= without <= 30


def test_scene_without_shapes_has_no_boxes() -> None:
    assert draw_scene(0, 0, SceneSettings(96, 96, empty=1.0)).xyxy(PART).shape == (0, 4)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"width": 40}, "width must be 96 to 8192, got 40"),
        ({"most_codes": 0}, "most_codes must be 1 to 20, got 0"),
        ({"empty": 1.5}, "empty must be 0 to 1, got 1.5"),
        ({"difficulty": float("nan")}, "difficulty must be 0 to 1, got nan"),
    ],
)
def test_settings_refuse_what_cannot_be_drawn(setting: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        SceneSettings(**setting)


@pytest.mark.parametrize(
    "setting", [SceneSettings(96, 400), SceneSettings(400, 96), SceneSettings(96, 96, 20, 0.0, 1.0)]
)
def test_odd_sizes_and_many_codes_are_drawn(setting: SceneSettings) -> None:
    assert draw_scene(2, 0, setting).pixels.shape == (setting.height, setting.width, 3)


def test_finder_patterns_lie_in_three_corners_of_the_symbol() -> None:
    label = Label(version=2, quiet=2.5, caption=4)
    # Version 2 has 25 modules, so the far finder patterns begin at 18.
    assert label.finders[:, 0].tolist() == [[0, 0], [18, 0], [0, 18]]
    assert label.outline[2].tolist() == [25, 25]
    assert label.sheet[[0, 2]].tolist() == [[-2.5, -2.5], [27.5, 31.5]]


def test_folder_holds_labelme_documents(folder: Path) -> None:
    for number, document in enumerate(documents(folder), start=1):
        assert list(document) == [
            "version",
            "flags",
            "shapes",
            "imagePath",
            "imageData",
            "imageHeight",
            "imageWidth",
        ]
        assert document["imageData"] is None
        assert (document["imageHeight"], document["imageWidth"]) == (128, 128)
        picture = folder / "annotations" / document["imagePath"].replace("\\", "/")
        assert picture.name == f"scene_{number:04d}.jpg"
        assert cv2.imread(os.fspath(picture)).shape == (128, 128, 3)
        for shape in document["shapes"]:
            assert list(shape) == ["label", "points", "group_id", "description", "shape_type", "flags"]


def test_image_paths_have_both_kinds_of_slash(folder: Path) -> None:
    slashes = {document["imagePath"][2] for document in documents(folder)}
    assert slashes == {"/", "\\"}


def test_flags_name_one_split_and_hold_the_false_ones(folder: Path) -> None:
    flags = [document["flags"] for document in documents(folder)]
    assert all(list(flag) == ["train", "val", "test"] and sum(flag.values()) == 1 for flag in flags)
    # 0.7, 0.15 and 0.15 of 12 scenes.
    assert [sum(flag[name] for flag in flags) for name in ("train", "val", "test")] == [8, 2, 2]


def test_converted_folder_gives_the_truth_back(folder: Path, tmp_path: Path) -> None:
    report = convert(folder, tmp_path / "dataset", parts={PART: OBJECT})
    dataset = report.dataset
    assert not [finding for finding in report.findings if finding.severity == "error"]
    assert len(dataset.images) == 12
    boxes = pixels(dataset.images, dataset.annotations.image_row, dataset.annotations.xyxy_rel)
    for row, image_id in enumerate(dataset.images.image_id):
        scene = draw_scene(3, int(image_id[-4:]) - 1, SMALL)
        for class_id, label in enumerate(dataset.classes):
            mine = (dataset.annotations.image_row == row) & (dataset.annotations.class_id == class_id)
            found, drawn = sorted(boxes[mine].tolist()), sorted(scene.xyxy(label).tolist())
            np.testing.assert_allclose(np.reshape(found, (-1, 4)), np.reshape(drawn, (-1, 4)), atol=1e-6)


def test_converted_parts_belong_to_their_code(folder: Path, tmp_path: Path) -> None:
    truth = convert(folder, tmp_path / "dataset", parts={PART: OBJECT}).dataset.annotations
    parents = dict(zip(truth.object_id.tolist(), truth.group_id.tolist(), strict=True))
    owned = [(parent, group) for parent, group in zip(truth.parent_id, truth.group_id, strict=True) if parent >= 0]
    assert len(owned) == 0.75 * len(truth)
    assert all(parents[parent] == group for parent, group in owned)


def test_written_folder_is_the_same_again(folder: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path / "again", 12, 3, SMALL)
    for path in sorted(folder.rglob("*.*")):
        assert (tmp_path / "again" / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_progress_counts_every_scene(tmp_path: Path) -> None:
    said = []
    write_scenes(tmp_path / "a", 3, 0, SceneSettings(96, 96), progress=lambda done, of: said.append((done, of)))
    assert said == [(1, 3), (2, 3), (3, 3)]


def test_png_scenes_hold_the_very_pixels(tmp_path: Path) -> None:
    write_scenes(tmp_path / "a", 1, 9, SceneSettings(96, 96), suffix=".png")
    stored = cv2.imread(os.fspath(tmp_path / "a/images/scene_0001.png"), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(stored, draw_scene(9, 0, SceneSettings(96, 96)).pixels)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_split_names_follow_the_shares(count: int) -> None:
    names = split_names(count, 0, {"train": 0.7, "val": 0.15, "test": 0.15})
    assert len(names) == count
    if count >= 3:
        assert set(names) == {"train", "val", "test"}
    # Two scenes at most are taken from train to fill val and test.
    assert abs(names.count("train") - 0.7 * count) < 2
    assert names == split_names(count, 0, {"train": 0.7, "val": 0.15, "test": 0.15})


@pytest.mark.parametrize(
    "shares", [{}, {"train": 0.0}, {"train": -1.0, "val": 2.0}, {"trian": 1.0}, {"val": float("nan")}]
)
def test_split_names_refuse_shares_that_are_none(shares: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="shares must be"):
        split_names(4, 0, shares)


def test_existing_directory_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="must not exist yet"):
        write_scenes(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (1, -1)])
def test_counts_below_the_least_are_refused(tmp_path: Path, count: int, seed: int) -> None:
    with pytest.raises(UsageError, match="must be"):
        write_scenes(tmp_path / "a", count, seed)


def test_unknown_picture_format_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="suffix"):
        write_scenes(tmp_path / "a", 1, suffix=".xyz")
    assert not list(tmp_path.iterdir())


def test_interrupted_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(done: int, of: int) -> Never:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "a", 3, 0, SceneSettings(96, 96), progress=interrupt)
    assert not list(tmp_path.iterdir())
