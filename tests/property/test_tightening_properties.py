"""What parts can do to the box of their object, whatever was learnt."""

import numpy as np
from detector_samples import quarter_boxes
from hypothesis import given
from hypothesis import strategies as st

from annotations.tables import Boxes
from detector.tightening import Sides, tighter_box

SIZE = (40, 30)
errors = st.floats(0.002, 0.1)
offsets = st.lists(st.floats(-2, 2), min_size=1, max_size=60).map(lambda values: np.sort(np.array(values)))


@given(quarter_boxes(*SIZE, most=5).filter(lambda boxes: len(boxes) > 1), offsets, errors, errors)
def test_sides_move_by_little_within_the_picture_and_leave_a_box(
    boxes: Boxes, examples: Boxes, own: float, part: float
) -> None:
    box, parts = boxes[0], boxes[1:]
    told = tighter_box(box, parts, Sides({len(parts): examples}, own, part), SIZE)
    extent = np.tile(box[2:] - box[:2], 2)
    assert (np.abs(told - box) <= 3 * own * extent + 1e-9).all()
    assert (told[2:] > told[:2]).all()
    assert (told >= 0).all()
    assert (told <= np.tile(SIZE, 2)).all()


@given(quarter_boxes(*SIZE, most=3).filter(lambda boxes: len(boxes) > 1), offsets, errors, errors)
def test_a_mirrored_picture_gives_the_mirrored_box(boxes: Boxes, examples: Boxes, own: float, part: float) -> None:
    sides = Sides({len(boxes) - 1: examples}, own, part)
    mirrored = np.stack([SIZE[0] - boxes[:, 2], boxes[:, 1], SIZE[0] - boxes[:, 0], boxes[:, 3]], axis=1)
    told, other = (tighter_box(one[0], one[1:], sides, SIZE) for one in (boxes, mirrored))
    np.testing.assert_allclose(other, [SIZE[0] - told[2], told[1], SIZE[0] - told[0], told[3]], atol=1e-9)
