import numpy as np
import pytest
from evaluation_sets import Row, dataset, detections, images

from evaluation.iou import iou_of_pairs, pixel_boxes
from evaluation.matching import MatchTable, candidates, match

BOX = (0, 0, 10, 10)
SHIFTED = (0, 0, 10, 8)  # IoU with BOX: 80 / 100 = 0.8
HALF = (0, 0, 10, 5)  # IoU with BOX: 50 / 100 = 0.5


def matched(
    truth: list[Row], found: list[Row], *, matching: str = "coco", iou: float = 0.5, most: int | None = None
) -> MatchTable:
    table = images(3)
    return match(
        dataset(table, truth, classes=("a", "b")),
        detections(table, found),
        matching=matching,
        iou_threshold=iou,
        max_detections=most,
    )


def test_match_takes_the_best_score_first_and_each_truth_once() -> None:
    table = matched([(0, 0, BOX)], [(0, 0, BOX, 0.4), (0, 0, SHIFTED, 0.9), (0, 0, BOX, 0.7)])
    assert table.detection_row.tolist() == [1, 2, 0]
    assert table.truth_row.tolist() == [0, -1, -1]
    assert table.iou.tolist() == [0.8, 0.0, 0.0]


def test_match_finds_the_truth_in_row_0() -> None:
    assert matched([(0, 0, BOX)], [(0, 0, BOX, 0.5)]).hit.tolist() == [True]


@pytest.mark.parametrize(("iou", "hit"), [(0.5, True), (0.5000001, False)])
@pytest.mark.parametrize("matching", ["coco", "voc"])
def test_match_counts_an_iou_of_exactly_the_threshold(matching: str, iou: float, hit: bool) -> None:
    assert matched([(0, 0, BOX)], [(0, 0, HALF, 0.9)], matching=matching, iou=iou).hit.tolist() == [hit]


def test_match_keeps_an_exact_iou_through_normalised_coordinates() -> None:
    # Without the grid, 47 and 61 leave 0.4999999999999996 and the like for a part of these.
    table = images(1, size=(61, 47))
    truth = [(0, 0, (x / 4, y / 4, x / 4 + 7.75, y / 4 + 6)) for x in range(0, 160, 3) for y in range(10, 60, 3)]
    found = [(0, 0, (box[0], box[1], box[2], box[1] + 3), 0.5) for _, _, box in truth]
    pairs = zip(
        pixel_boxes(table, np.zeros(len(truth), np.int64), dataset(table, truth).annotations.xyxy_rel),
        pixel_boxes(table, np.zeros(len(found), np.int64), detections(table, found).xyxy_rel),
        strict=True,
    )
    assert {float(iou_of_pairs(one, other)) for one, other in pairs} == {0.5}


def test_coco_takes_the_second_best_truth_where_voc_makes_a_false_positive() -> None:
    # The second detection overlaps truth 0 best (IoU 1), which is taken, and truth 1 with 0.8.
    truth = [(0, 0, BOX), (0, 0, SHIFTED)]
    found = [(0, 0, BOX, 0.9), (0, 0, BOX, 0.8)]
    assert matched(truth, found, matching="coco").truth_row.tolist() == [0, 1]
    assert matched(truth, found, matching="voc").truth_row.tolist() == [0, -1]


def test_coco_puts_out_a_holder_that_then_takes_its_next_best() -> None:
    # Whatever the order of asking: .9 takes truth 0, .8 falls back on truth 1, .7 finds nothing free.
    truth = [(0, 0, BOX), (0, 0, SHIFTED)]
    found = [(0, 0, BOX, 0.7), (0, 0, BOX, 0.8), (0, 0, BOX, 0.9)]
    table = matched(truth, found)
    assert dict(zip(table.score.tolist(), table.truth_row.tolist(), strict=True)) == {0.9: 0, 0.8: 1, 0.7: -1}


def test_equal_ious_go_to_the_last_truth_as_in_pycocotools_and_to_the_first_in_voc() -> None:
    truth = [(0, 0, BOX), (0, 0, BOX)]
    assert matched(truth, [(0, 0, BOX, 0.5)], matching="coco").truth_row.tolist() == [1]
    assert matched(truth, [(0, 0, BOX, 0.5)], matching="voc").truth_row.tolist() == [0]


def test_ties_of_score_stand_in_the_order_of_image_and_then_of_row() -> None:
    found = [(1, 0, BOX, 0.5), (0, 0, BOX, 0.5), (1, 0, SHIFTED, 0.5)]
    assert matched([], found).detection_row.tolist() == [1, 0, 2]


def test_match_never_crosses_images_or_classes() -> None:
    table = matched([(0, 0, BOX)], [(1, 0, BOX, 0.9), (0, 1, BOX, 0.8)])
    assert not table.hit.any()


def test_max_detections_keeps_the_best_of_each_image_and_class() -> None:
    found = [(0, 0, BOX, 0.1), (0, 0, BOX, 0.9), (0, 1, BOX, 0.2), (1, 0, BOX, 0.3)]
    assert sorted(matched([], found, most=1).detection_row.tolist()) == [1, 2, 3]
    assert len(matched([], found)) == 4


def test_more_than_a_hundred_detections_of_an_image_all_count() -> None:
    strays = [(0, 0, (50, 50, 60, 60), 0.9)] * 100
    assert matched([(0, 0, BOX)], [*strays, (0, 0, BOX, 0.1)]).hit.sum() == 1


def test_empty_tables_match_nothing() -> None:
    assert len(matched([], [])) == 0
    assert matched([(0, 0, BOX)], []).every_truth_row.tolist() == [0]
    assert matched([], [(0, 0, BOX, 0.5)]).truth_row.tolist() == [-1]


def test_a_table_of_some_images_keeps_their_rows_and_truth() -> None:
    table = matched([(0, 0, BOX), (1, 1, BOX)], [(0, 0, BOX, 0.9), (1, 1, BOX, 0.8)])
    part = table.of_images(np.array([False, True, False]))
    assert (part.detection_row.tolist(), part.truth_row.tolist(), part.every_truth_row.tolist()) == ([1], [1], [1])


def test_the_columns_of_a_match_table_are_read_only() -> None:
    table = matched([(0, 0, BOX)], [(0, 0, BOX, 0.9)])
    with pytest.raises(ValueError, match="read-only"):
        table.truth_row[0] = 7


def test_a_full_overlap_passes_a_threshold_of_one() -> None:
    assert matched([(0, 0, BOX)], [(0, 0, BOX, 0.5)], iou=1.0).hit.all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"matching": "best"}, "matching must be one of"),
        ({"lowest_iou": 0.0}, "lowest_iou must be above 0"),
        ({"max_detections": 0}, "max_detections must be at least 1"),
    ],
)
def test_candidates_refuses_what_means_nothing(options: dict[str, object], text: str) -> None:
    table = images(1)
    with pytest.raises(ValueError, match=text):
        candidates(dataset(table, []), detections(table, []), **options)


def test_candidates_refuses_a_threshold_below_their_own() -> None:
    table = images(1)
    with pytest.raises(ValueError, match=r"at least 0\.5"):
        candidates(dataset(table, []), detections(table, [])).match(0.3)
