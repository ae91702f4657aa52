"""The outlines that a dataset knows: hulls of instances, circles; corners of boxes where it knows none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from detector_samples import annotations_table, images_table

from annotations.label_files import write_label_image
from annotations.tables import BoxDataset
from detector.augment import Source, moved_sample
from detector.outlines import Outlines
from detector.settings import Settings

SIZE = (80, 60)


def dataset(root: Path, boxes: list[list[float]], types: list[str], labels: str = "") -> BoxDataset:
    table = annotations_table([(0, 0, (np.array(box) / [80, 60, 80, 60]).tolist()) for box in boxes])
    images = replace(images_table(["a.png"], ["train"], SIZE), labels=np.array([labels]))
    return BoxDataset(root, ("cell",), {}, images, replace(table, shape_type=np.array(types)))


def test_a_circle_is_known_and_a_rectangle_is_its_corners(tmp_path: Path) -> None:
    known = Outlines(dataset(tmp_path, [[10, 10, 30, 30]], ["circle"]))(0)
    assert known.known
    middle = np.array([20, 20])
    np.testing.assert_allclose(np.linalg.norm(known.points_rel[0] * SIZE - middle, axis=1), 10)
    both = Outlines(dataset(tmp_path, [[10, 10, 30, 30], [40, 10, 60, 20]], ["circle", "rectangle"]))(0)
    assert not both.known
    corners = {tuple(point) for point in np.round(both.points_rel[1] * SIZE, 6).tolist()}
    assert corners == {(40, 10), (60, 10), (60, 20), (40, 20)}


def test_an_instance_is_the_hull_of_its_pixels_and_fills_its_box(tmp_path: Path) -> None:
    labels = np.zeros((60, 80), np.uint16)
    y, x = np.mgrid[0:60, 0:80] + 0.5
    labels[np.abs(x - 40) + np.abs(y - 30) <= 15] = 1
    path = write_label_image(tmp_path / "labels" / "a", labels).relative_to(tmp_path)
    data = dataset(tmp_path, [[25, 15, 55, 45]], ["polygon"], path.as_posix())
    found = Outlines(data)(0)
    assert found.known
    points = found.points_rel[0] * SIZE
    np.testing.assert_allclose([*points.min(axis=0), *points.max(axis=0)], [25, 15, 55, 45])
    assert (np.abs(points - [40, 30]).sum(axis=1) <= 16.1).all()
    # Turned by 45 degrees the diamond is a square of 30 / sqrt(2), and its box's corners would be one of 42.
    settings = Settings(input=(96, 96), angle=45.0, rotate=False, flip=False, scale=(1.0, 1.0), colour=0.0)
    picture = np.zeros((60, 80, 3), np.uint8)
    source = Source(picture, np.array([[25.0, 15, 55, 45]]), np.array([0]), points[None], True)
    sides = []
    for seed in range(20):
        box = moved_sample(source, (96, 96), settings, np.random.default_rng(seed)).xyxy[0]
        sides.append(float((box[2:] - box[:2]).max()) * 80 / 96)
    assert max(sides) <= 30.1
    assert min(sides) <= 24


def test_images_without_their_label_image_are_images_of_boxes(tmp_path: Path) -> None:
    missing = Outlines(dataset(tmp_path, [[10, 10, 30, 30]], ["polygon"], "labels/none.png"))(0)
    assert not missing.known
    empty = Outlines(dataset(tmp_path, [], []))(0)
    assert empty.known
    assert empty.points_rel.shape == (0, 4, 2)
