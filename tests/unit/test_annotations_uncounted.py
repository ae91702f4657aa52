"""Boxes that do not count as truth: crowd regions, and objects that need not be found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_sets import dataset, images

from annotations.dataset import read_dataset, write_dataset
from annotations.errors import AnnotationError
from annotations.tables import BoxDataset

BOX = (8.0, 8.0, 24.0, 16.0)


def marked(crowd: list[bool], ignore: list[bool]) -> BoxDataset:
    truth = dataset(images(2), [(row % 2, 0, BOX) for row in range(len(crowd))])
    return replace(truth, annotations=replace(truth.annotations, crowd=np.array(crowd), ignore=np.array(ignore)))


def test_boxes_count_unless_it_is_said() -> None:
    truth = dataset(images(2), [(0, 0, BOX), (1, 0, BOX)]).annotations
    assert (truth.crowd.tolist(), truth.ignore.tolist()) == ([False, False], [False, False])


def test_marks_come_back_and_have_columns_only_where_there_are_some(tmp_path: Path) -> None:
    truth = marked([False, True, False], [False, False, False])
    write_dataset(tmp_path / "data", truth, [], command="")
    back = read_dataset(tmp_path / "data").annotations
    assert (back.crowd.tolist(), back.ignore.tolist()) == ([False, True, False], [False, False, False])
    header = (tmp_path / "data" / "boxes.csv").read_text().splitlines()[0].split(",")
    assert header[-1] == "crowd"
    assert "ignore" not in header


def test_a_mark_goes_with_its_row() -> None:
    truth = marked([True, False, False], [False, True, False])
    taken = truth.annotations.take(np.array([1, 0]))
    assert (taken.crowd.tolist(), taken.ignore.tolist()) == ([False, True], [True, False])
    assert truth.of_images(np.array([1])).annotations.ignore.tolist() == [True]


def test_a_mark_that_is_neither_1_nor_0_is_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", marked([True], [False]), [], command="")
    boxes = tmp_path / "data" / "boxes.csv"
    boxes.write_text(boxes.read_text().replace(",1\n", ",yes\n"))
    with pytest.raises(AnnotationError, match=r"row 2: crowd must be 1, 0 or empty, got 'yes'"):
        read_dataset(tmp_path / "data")


def test_marks_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Annotations.crowd must have shape \(1,\)"):
        marked([True], [False]).annotations.__class__(
            *[np.zeros(1, np.int64)] * 3, [""], np.zeros(1, np.int64), np.zeros((1, 4)), [""], np.array([True, False])
        )
