"""The sheet of training samples: as many as there are, with their boxes, and the files it may be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detector_samples import QUICK, drawn_dataset
from numpy.typing import NDArray

from annotations.errors import AnnotationError, UsageError
from annotations.palette import COLOURS
from annotations.pictures import read_picture
from detector.augment import Sample
from detector.canvases import canvas
from detector.sample_sheet import draw_samples, marked, sheet


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_dataset(tmp_path_factory.mktemp("sheet"), {"train": 5, "val": 1})


def has(pixel: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    # Lines have soft edges.
    return bool(np.abs(pixel.astype(int) - colour).max() <= 20)


def test_the_sheet_has_every_sample_once(data: Path, tmp_path: Path) -> None:
    assert draw_samples(data, QUICK, tmp_path / "a.png") == 5
    drawn = read_picture(tmp_path / "a.png")
    # Five samples of 64 pixels: four beside each other, and one below.
    assert drawn.shape == (2 * 68 + 4, 4 * 68 + 4, 3)
    assert (drawn[72:136, 72:] == 255).all()


def test_samples_of_several_sizes_have_cells_of_the_largest(data: Path, tmp_path: Path) -> None:
    settings = replace(QUICK, input=(96, 96), batch=1, multi_scale=0.35)
    assert {canvas(5, settings, step) for step in range(5)} == {(64, 64), (96, 96), (128, 128)}
    draw_samples(data, settings, tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").shape == (2 * 132 + 4, 4 * 132 + 4, 3)


def test_two_sheets_of_the_same_settings_are_the_same(data: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_samples(data, replace(QUICK, mosaic=0.5, rendered=0.5), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_boxes_are_drawn_in_the_colours_of_their_classes() -> None:
    boxes = np.array([[10.0, 10.0, 50.0, 50.0], [12.0, 12.0, 20.0, 20.0], [30.0, 30.0, 40.0, 40.0]])
    sample = Sample(np.zeros((64, 64, 3), np.uint8), boxes, np.array([0, 1, -2]))
    drawn = marked(sample)
    assert has(drawn[10, 30], COLOURS[0])
    assert has(drawn[12, 16], COLOURS[1])
    assert has(drawn[30, 35], (128, 128, 128))
    assert not sample.picture.any()


def test_large_inputs_are_shown_smaller() -> None:
    sample = Sample(np.zeros((832, 1280, 3), np.uint8), np.array([[300.0, 300.0, 600.0, 600.0]]), np.array([0]))
    drawn = marked(sample)
    assert drawn.shape == (277, 426, 3)
    assert has(drawn[100, 150], COLOURS[0])


def test_one_sample_is_a_sheet() -> None:
    assert sheet([np.zeros((10, 12, 3), np.uint8)]).shape == (18, 20, 3)


def test_other_files_and_datasets_without_training_images_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.gif"):
        draw_samples(data, QUICK, tmp_path / "a.gif")
    with pytest.raises(AnnotationError, match=r"file must be writable, got No such file"):
        draw_samples(data, QUICK, tmp_path / "none" / "a.png")
    with pytest.raises(UsageError, match="split train"):
        draw_samples(drawn_dataset(tmp_path, {"val": 1}), QUICK, tmp_path / "a.png")
