import numpy as np
import pytest
from evaluation_sets import dataset, detections, images, random_set
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from annotations.tables import BoxDataset, Detections, pixels
from evaluation.average_precision import READINGS
from evaluation.iou import area, iou, iou_of_pairs
from evaluation.matching import candidates, match
from evaluation.precisions import average_precisions


def _quarter_boxes(most: int = 6) -> st.SearchStrategy[np.ndarray]:
    """(N, 4) xyxy boxes on a quarter-pixel grid, where all sums and products are exact; some without area."""
    corners = arrays.arrays(np.int64, st.tuples(st.integers(0, most), st.just(4)), elements=st.integers(0, 400))
    return corners.map(
        lambda c: np.concatenate([np.minimum(c[:, :2], c[:, 2:]), np.maximum(c[:, :2], c[:, 2:])], axis=1) / 4
    )


SETS = st.builds(
    lambda seed, shape: random_set(
        np.random.default_rng(seed), pictures=shape[0], truths=shape[1], found=shape[2], classes=shape[3]
    ),
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 4), st.integers(0, 12), st.integers(0, 25), st.integers(1, 3)),
)


@given(_quarter_boxes(), _quarter_boxes())
@settings(deadline=None)
def test_iou_is_symmetric_within_0_and_1_and_never_nan(a: np.ndarray, b: np.ndarray) -> None:
    values = iou(a, b)
    assert values.shape == (len(a), len(b))
    assert ((values >= 0) & (values <= 1)).all()
    np.testing.assert_array_equal(values, iou(b, a).T)


@given(_quarter_boxes(), _quarter_boxes(), st.integers(-4000, 4000), st.integers(-4000, 4000))
@settings(deadline=None)
def test_iou_does_not_change_when_both_boxes_move(a: np.ndarray, b: np.ndarray, x: int, y: int) -> None:
    shift = np.array([x, y, x, y]) / 4
    np.testing.assert_array_equal(iou(a + shift, b + shift), iou(a, b))


@given(_quarter_boxes())
@settings(deadline=None)
def test_iou_with_itself_is_1_where_there_is_area(a: np.ndarray) -> None:
    np.testing.assert_array_equal(np.diagonal(iou(a, a)), area(a) > 0)


@given(_quarter_boxes())
@settings(deadline=None)
def test_iou_of_an_inverted_box_is_0(a: np.ndarray) -> None:
    assert not iou_of_pairs(a[:, [2, 3, 0, 1]], a).any()


def _naive_match(truth: BoxDataset, found: Detections, threshold: float, matching: str) -> dict[int, int]:
    """The truth that each detection finds, by taking turns, one after the other."""
    order = sorted(range(len(found)), key=lambda row: (-found.score[row], found.image_row[row], row))
    truth_boxes = pixels(truth.images, truth.annotations.image_row, truth.annotations.xyxy_rel).round(6)
    boxes = pixels(truth.images, found.image_row, found.xyxy_rel).round(6)
    taken: dict[int, int] = {}
    for row in order:
        same = (truth.annotations.image_row == found.image_row[row]) & (
            truth.annotations.class_id == found.class_id[row]
        )
        best, best_iou = -1, threshold
        for other in np.flatnonzero(same).tolist():
            value = iou(boxes[[row]], truth_boxes[[other]])[0, 0]
            if matching == "coco" and other not in taken.values() and value >= best_iou:
                best, best_iou = other, value
            if matching == "voc" and (value > best_iou or (best < 0 and value >= best_iou)):
                best, best_iou = other, value
        if best >= 0 and best not in taken.values():
            taken[row] = best
    return taken


@pytest.mark.parametrize("matching", ["coco", "voc"])
@given(SETS, st.sampled_from([0.1, 0.5, 0.75]))
@settings(deadline=None)
def test_rounds_find_what_taking_turns_finds(
    matching: str, both: tuple[BoxDataset, Detections], threshold: float
) -> None:
    table = match(*both, iou_threshold=threshold, matching=matching)
    ours = dict(zip(table.detection_row[table.hit].tolist(), table.truth_row[table.hit].tolist(), strict=True))
    assert ours == _naive_match(*both, threshold, matching)


@pytest.mark.parametrize("reading", READINGS)
@given(SETS, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_average_precision_does_not_depend_on_the_order_of_rows(
    reading: str, both: tuple[BoxDataset, Detections], random: object
) -> None:
    truth, found = both
    distinct = detections(
        truth.images,
        [
            (int(image), int(class_id), tuple(box), (row + 1) / 100)
            for row, (image, class_id, box) in enumerate(
                zip(
                    found.image_row,
                    found.class_id,
                    pixels(truth.images, found.image_row, found.xyxy_rel),
                    strict=True,
                )
            )
        ],
    )
    order = list(range(len(found)))
    random.shuffle(order)
    everywhere = {"all": np.ones(len(truth.images), np.bool_)}
    plain, shuffled = (
        average_precisions(candidates(truth, rows), everywhere, reading)["all"]
        for rows in (distinct, distinct.take(np.array(order, np.int64)))
    )
    np.testing.assert_array_equal(plain, shuffled)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_coco_and_voc_agree_where_truths_are_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = images(2, size=(400, 100))
    corners = [(40.0 * place, 10.0) for place in range(8)]
    truth = [(int(rng.integers(2)), 0, (x, y, x + 20, y + 20)) for x, y in corners]
    found = [
        (image, 0, tuple(np.array(box) + rng.integers(-20, 20, 4) / 4), int(rng.integers(5)) / 5)
        for image, _, box in truth
        for _ in range(rng.integers(4))
    ]
    coco, voc = (
        match(dataset(table, truth), detections(table, found), matching=matching) for matching in ("coco", "voc")
    )
    np.testing.assert_array_equal(coco.truth_row, voc.truth_row)


@given(SETS)
@settings(max_examples=50, deadline=None)
def test_no_truth_is_found_twice_and_every_hit_reaches_the_threshold(both: tuple[BoxDataset, Detections]) -> None:
    for matching in ("coco", "voc"):
        table = match(*both, matching=matching)
        found = table.truth_row[table.hit]
        assert len(np.unique(found)) == len(found)
        assert (table.iou[table.hit] >= 0.5).all()
        assert (np.diff(table.score) <= 0).all()
