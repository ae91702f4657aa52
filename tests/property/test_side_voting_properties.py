"""What is said of a box's sides, on boxes of any kind."""

import numpy as np
from detector_samples import quarter_boxes
from hypothesis import given
from hypothesis import strategies as st

from annotations.box_overlaps import iou
from annotations.tables import Boxes
from detector.suppression import agreeing, suppressed, voted

thresholds = st.sampled_from([0.25, 0.5, 0.75])


def _scores(data: st.DataObject, count: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(data.draw(st.lists(st.integers(1, 8), min_size=count, max_size=count)), np.float64) / 8


@given(st.data(), quarter_boxes(20, 20, most=25), thresholds, st.sampled_from([1, 3, 100]))
def test_every_box_shows_the_surest_kept_one_that_it_overlaps(
    data: st.DataObject, boxes: Boxes, threshold: float, most: int
) -> None:
    score = _scores(data, len(boxes))
    kept, shows = suppressed(boxes, score, threshold, most)
    overlap = iou(boxes, boxes)
    for row in range(len(boxes)):
        dropping = [p for p, one in enumerate(kept.tolist()) if one == row or overlap[one, row] > threshold]
        expected = kept.tolist().index(row) if row in kept else min(dropping, default=-1)
        assert shows[row] == expected


@given(st.data(), quarter_boxes(20, 20, most=25), thresholds, thresholds)
def test_sides_stay_among_those_that_have_a_say(
    data: st.DataObject, boxes: Boxes, threshold: float, least: float
) -> None:
    score = _scores(data, len(boxes))
    kept, shows = suppressed(boxes, score, threshold, 100)
    weight = score[:, None] / (1 + np.abs(boxes))
    told = voted(boxes, weight, kept, agreeing(boxes, kept, shows, least))
    for place, row in enumerate(kept.tolist()):
        voters = (shows == place) & (iou(boxes[row : row + 1], boxes)[0] >= least)
        voters[row] = True
        low, high = boxes[voters].min(axis=0), boxes[voters].max(axis=0)
        assert ((low - 1e-9 <= told[place]) & (told[place] <= high + 1e-9)).all()


@given(st.data(), quarter_boxes(20, 20, most=12), thresholds)
def test_the_order_of_the_boxes_does_not_matter(data: st.DataObject, boxes: Boxes, threshold: float) -> None:
    # No two scores alike: equal ones go by row.
    score = 1 / (1 + np.arange(len(boxes), dtype=np.float64))
    order = np.array(data.draw(st.permutations(range(len(boxes)))), np.int64)
    weight = np.repeat(score[:, None], 4, axis=1)
    one = voted(boxes, weight, *suppressed(boxes, score, threshold, 100))
    other = voted(boxes[order], weight[order], *suppressed(boxes[order], score[order], threshold, 100))
    np.testing.assert_allclose(one, other, atol=1e-9)
