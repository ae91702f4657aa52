"""The sizes of boxes at the network's input, and what is told of them when a training starts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detector_samples import annotations_table, images_table

from annotations.tables import BoxDataset
from detector.box_sizes import box_sizes
from detector.settings import Settings


def dataset(sides: list[float], parts: list[float], *, size: tuple[int, int] = (1000, 500)) -> BoxDataset:
    """One image with square objects and parts of these sides in its own pixels."""
    rows = [(0, class_id, side) for class_id, group in enumerate((sides, parts)) for side in group]
    table = annotations_table([(row, c, [0.0, 0.0, side / size[0], side / size[1]]) for row, c, side in rows])
    images = images_table(["a.png"], ["train"], size)
    return BoxDataset(Path(), ("code", "fip"), {"fip": "code"}, images, table)


def test_sizes_are_those_in_the_letterboxed_picture() -> None:
    # 1000 x 500 in 256 x 256: 0.256 of the size.
    found = box_sizes(dataset([100.0, 200.0, 300.0], []), Settings(input=(256, 256)))
    assert [one.label for one in found] == ["code"]
    assert found[0].boxes == 3
    assert found[0].median == pytest.approx(51.2)
    assert found[0].least == pytest.approx(0.256 * 120)
    assert found[0].most == pytest.approx(0.256 * 280)
    assert found[0].small == found[0].unfitted == 0
    told = found[0].text(Settings(input=(256, 256)))
    assert told == "code: 3 boxes, 80% of them 31 to 72 px (median 51) at input 256"


def test_small_boxes_are_told_with_an_input_that_shows_them() -> None:
    # 20 pixels are 5.12 at 256: at 416 they are 8.3.
    found = box_sizes(dataset([100.0], [20.0, 20.0, 20.0, 50.0]), Settings(input=(256, 256)))[1]
    assert found.small == 0.75
    assert "75% are under 8 px: consider --set input=416" in found.text(Settings(input=(256, 256)))
    assert box_sizes(dataset([100.0], [20.0, 20.0, 20.0, 50.0]), Settings(input=(416, 416)))[1].small == 0


def test_an_input_of_more_than_twice_the_side_is_not_the_only_advice() -> None:
    found = box_sizes(dataset([100.0], [10.0]), Settings(input=(256, 256)))[1]
    assert "input 800, or tiles, would show them" in found.text(Settings(input=(256, 256)))


def test_boxes_far_from_every_prior_box_are_told() -> None:
    # Priors of objects are 32 to 256 pixels: three times smaller is 10.7. Parts': 12 to 96, so 4.
    settings = Settings(input=(512, 512))
    square = dataset([10.5, 10.8, 500.0, 500.0], [3.9, 4.1, 200.0, 200.0], size=(512, 512))
    code, fip = box_sizes(square, settings)
    assert code.unfitted == fip.unfitted == 0.25
    assert "25% are over 3 times smaller or larger than every prior box" in code.text(settings)
    assert box_sizes(square, replace(settings, family="ppn_classic"))[0].unfitted is None


def test_boxes_that_do_not_count_are_left_out() -> None:
    data = dataset([100.0, 1.0], [])
    marked = replace(data.annotations, ignore=np.array([False, True]))
    found = box_sizes(replace(data, annotations=marked), Settings())
    assert [one.boxes for one in found] == [1]
    assert box_sizes(replace(data, annotations=data.annotations.take(np.empty(0, np.int64))), Settings()) == []
