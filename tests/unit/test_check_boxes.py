"""What check says of boxes, parts, names and splits."""

import shlex

import numpy as np
import pytest
from check_sets import Box, codes_of, dataset_of, square

from annotations.check_boxes import check_boxes
from annotations.check_counts import check_input, flag_counts, size_counts
from annotations.check_names import check_names, plain_label
from annotations.check_parts import check_parts
from annotations.check_splits import check_splits
from annotations.tables import NO_PARENT

CODE: Box = ("qr_code", 100, 100, 200, 200)
CORNERS: list[Box] = [("fip", 100, 100, 130, 130), ("fip", 170, 100, 200, 130), ("fip", 100, 170, 130, 200)]


def test_overlapping_objects_of_one_class_are_found_once() -> None:
    dataset = dataset_of([[square("a", 100), square("a", 98)], [square("a", 100)]])
    (seen,) = check_boxes(dataset)
    assert seen.finding.code == "overlapping-objects"
    assert seen.finding.image_id == "i0000"
    assert seen.finding.shape == "object 0"
    assert "IoU 0.96" in seen.finding.message
    assert seen.views[0].box_rows == (0, 1)


@pytest.mark.parametrize("other", [square("b", 100), square("a", 100, x=118)])
def test_overlap_of_another_class_or_below_the_threshold_is_no_finding(other: Box) -> None:
    assert list(check_boxes(dataset_of([[square("a", 100), other]]))) == []


def test_boxes_of_other_images_do_not_overlap() -> None:
    assert list(check_boxes(dataset_of([[square("a", 100)], [square("a", 100)]]))) == []


def test_part_outside_its_object_is_found_with_both_boxes() -> None:
    dataset = dataset_of(
        [[CODE, ("fip", 300, 300, 320, 320), CORNERS[0]]], parts={"fip": "qr_code"}, parents=[-1, 0, 0]
    )
    (seen,) = check_boxes(dataset)
    assert seen.finding.code == "part-outside"
    assert "0% of it inside" in seen.finding.message
    assert seen.views[0].box_rows == (1, 0)
    assert "[300, 300, 320, 320]" in seen.finding.message


def test_object_of_other_size_or_shape_than_its_class_is_found() -> None:
    boxes: list[list[Box]] = [[square("a", 50 + row % 5)] for row in range(30)]
    boxes += [[square("a", 300)], [("a", 10, 10, 210, 22)]]
    assert codes_of(list(check_boxes(dataset_of(boxes)))) == ["odd-shape", "odd-size"]


@pytest.mark.parametrize(("left", "told"), [(170, []), (185, ["part-outside"])])
def test_part_is_outside_when_more_than_half_of_it_is(left: float, told: list[str]) -> None:
    boxes = [[("qr_code", 100, 100, 200, 200), ("fip", left, 120, left + 50, 170)]]
    dataset = dataset_of(boxes, classes=["qr_code", "fip"], parts={"fip": "qr_code"}, parents=[NO_PARENT, 0])
    assert codes_of(list(check_boxes(dataset))) == told  # 60 % and 30 % of it are inside


@pytest.mark.parametrize(("side", "told"), [(80, []), (94, ["odd-size"]), (34, []), (29, ["odd-size"])])
def test_size_is_odd_from_five_deviations_on(side: float, told: list[str]) -> None:
    # Of boxes this alike, the deviation is taken as 10 %: five are a factor of exp(0.5) = 1.65 from the median, 52.
    boxes: list[list[Box]] = [[square("a", 50 + row % 5)] for row in range(30)]
    assert codes_of(list(check_boxes(dataset_of([*boxes, [square("a", side)]])))) == told


def test_upright_and_lying_boxes_are_of_one_shape() -> None:
    boxes: list[list[Box]] = [[("a", 100, 100, 200, 150)] for _ in range(29)]
    assert list(check_boxes(dataset_of([*boxes, [("a", 100, 100, 150, 200)]]))) == []


@pytest.mark.parametrize(("left", "told"), [(0, []), (3, []), (5, ["odd-shape"])])
def test_object_cut_off_by_the_edge_has_no_odd_shape(left: float, told: list[str]) -> None:
    boxes: list[list[Box]] = [[square("a", 50 + row % 5)] for row in range(30)]
    dataset = dataset_of([*boxes, [("a", left, 10, left + 20, 130)]])
    assert codes_of(list(check_boxes(dataset))) == told  # half a per cent of 640 pixels is 3.2


def test_few_boxes_have_no_usual_size() -> None:
    assert list(check_boxes(dataset_of([[square("a", 20)], [square("a", 300)], [square("a", 22)]]))) == []


def _codes_with(counts: list[int], split: list[str] | None = None) -> list[str]:
    boxes, parents = [], list[int]()
    for count in counts:
        first = len(parents)
        boxes.append([CODE, *CORNERS[:count]])
        parents += [NO_PARENT, *[first] * count]
    dataset = dataset_of(boxes, classes=["qr_code", "fip"], parts={"fip": "qr_code"}, parents=parents, split=split)
    return [seen.finding.message for seen in check_parts(dataset)]


def test_object_with_an_unusual_number_of_parts_is_told_with_the_usual_one() -> None:
    (message,) = _codes_with([3] * 19 + [2])
    assert message == "'qr_code' must have 3 'fip' as 19 of 20 in the dataset have, got 2"


@pytest.mark.parametrize(("usual", "told"), [(12, 8), (11, 0)])
def test_number_of_parts_is_usual_from_three_in_five_on(usual: int, told: int) -> None:
    assert len(_codes_with([3] * usual + [2] * (20 - usual))) == told


def test_usual_number_of_parts_is_that_of_train() -> None:
    messages = _codes_with([3] * 12 + [2] * 20, ["train"] * 12 + ["val"] * 20)
    assert len(messages) == 20
    assert "12 of 12 in train" in messages[0]


@pytest.mark.parametrize("counts", [[3] * 5 + [2] * 5 + [1] * 5, [0] * 19 + [3], [3, 3, 3, 2]])
def test_no_number_of_parts_is_usual_where_it_varies_or_parts_are_rare_or_objects_few(counts: list[int]) -> None:
    assert _codes_with(counts) == []


def test_part_without_object_is_an_orphan() -> None:
    dataset = dataset_of([[CORNERS[0]]], classes=["qr_code", "fip"], parts={"fip": "qr_code"})
    assert codes_of(list(check_parts(dataset))) == ["orphan-part"]


@pytest.mark.parametrize("other", ["QR code", "qr-code", "qr_codes", "QRCode", "qr__code "])
def test_labels_that_differ_by_writing_are_similar(other: str) -> None:
    assert plain_label(other) == plain_label("qr_code")


@pytest.mark.parametrize(("one", "other"), [("bus", "bu"), ("boss", "bos"), ("cell1", "cell2"), ("gas", "ga")])
def test_labels_that_are_other_words_are_not_similar(one: str, other: str) -> None:
    assert plain_label(one) != plain_label(other)


def test_similar_labels_are_told_with_the_rename_that_helps() -> None:
    dataset = dataset_of([[square("Cell", 20), square("cell", 40, 300)], [square("cell", 30)]])
    (seen,) = check_names(dataset)
    assert "'cell' (2 boxes) and 'Cell' (1 boxes)" in seen.finding.message
    assert seen.finding.message.endswith("convert --rename Cell=cell")


def test_rename_can_be_pasted_into_a_shell_whatever_the_labels() -> None:
    dataset = dataset_of([[square("it's $A", 20)], [square("it's $a", 30)], [square("it's $a", 30)]])
    (seen,) = check_names(dataset)
    assert shlex.split(seen.finding.message.partition("convert ")[2]) == ["--rename", "it's $A=it's $a"]


def test_class_without_boxes_is_told() -> None:
    (seen,) = check_names(dataset_of([[square("a", 20)]], classes=["a", "b"]))
    assert seen.finding.code == "unused-class"


def test_class_missing_from_a_split_and_few_of_it_are_told() -> None:
    boxes = [[square("a", 50), square("b", 40, 300)]] * 12 + [[square("a", 50)]] * 12 + [[square("a", 50)]] * 3
    split = ["train"] * 12 + ["val"] * 12 + ["test"] * 3
    messages = [seen.finding.message for seen in check_splits(dataset_of(boxes, split=split))]
    assert "class 'b' must have boxes in val, got none (of 12 in all)" in messages
    assert "class 'b' must have boxes in test, got none (of 12 in all)" in messages
    assert "class 'a' should have 10 boxes or more in test, got 3" in messages
    assert len(messages) == 3


def test_group_in_two_splits_is_told() -> None:
    boxes = [[square("a", 50)] * 10] * 3
    dataset = dataset_of(boxes, split=["train", "val", "train"], group=["g", "g", "h"])
    messages = [seen.finding.message for seen in check_splits(dataset)]
    assert messages == ["group 'g' must be in one split, got train and val"]


def test_images_without_a_split_and_without_objects_are_counted() -> None:
    dataset = dataset_of([[square("a", 50)] * 10, [], []], split=["train", "train", ""])
    messages = [seen.finding.message for seen in check_splits(dataset)]
    assert messages == [
        "images must be in a split to be trained or evaluated on, got 1 of 3 without",
        "1 of 2 images of train have no box",
        "1 of 1 images without a split have no box",
    ]


def test_class_that_nearly_every_image_shows_is_missed_where_it_is_not_drawn() -> None:
    boxes = [[square("red", 50), square("white", 90, 300)] for _ in range(59)]
    messages = [seen.finding for seen in check_splits(dataset_of([*boxes, [square("white", 90)]]))]
    (forgotten,) = (finding for finding in messages if finding.code == "class-not-drawn")
    assert forgotten.image_id == "i0059"


@pytest.mark.parametrize(("without", "told"), [(3, 3), (4, 0)])
def test_class_is_missed_where_nineteen_of_twenty_images_show_it(without: int, told: int) -> None:
    boxes = [[square("red", 50), square("white", 90, 300)]] * 57 + [[square("white", 90)]] * without
    codes = codes_of(list(check_splits(dataset_of(boxes))))
    assert codes.count("class-not-drawn") == told


@pytest.mark.parametrize(("small", "told"), [(1, 0), (2, 1)])
def test_one_small_object_of_a_hundred_asks_for_no_larger_input(small: int, told: int) -> None:
    boxes = [[square("a", 10)]] * small + [[square("a", 40)]] * (100 - small)
    assert len(list(check_input(dataset_of(boxes), 320))) == told


def test_objects_too_small_at_the_input_are_counted_with_the_input_that_would_do() -> None:
    # 640 pixels long: at input 320 a box of 10 pixels has 5, and one of 40 has 20.
    dataset = dataset_of([[square("a", 10)], *[[square("a", 40)]] * 9])
    (seen,) = check_input(dataset, 320)
    assert "1 of 10 (10%) with less, least 5.0" in seen.finding.message
    # The 1 % quantile of ten is 10 + 0.09 * 30 = 12.7 pixels of 640: 8 / (12.7 / 640) = 403.1, the next 32 is 416.
    assert "input 416 would do" in seen.finding.message
    assert list(check_input(dataset, 640)) == []


def test_sizes_are_counted_by_cocos_areas_in_pixels_and_at_the_input() -> None:
    dataset = dataset_of([[square("a", 31), square("a", 32, 200), square("a", 95, 300), square("a", 96, 400)]])
    sizes = size_counts(dataset, 1280)["a"]
    assert sizes.in_pixels == {"small": 1, "medium": 2, "large": 1}
    assert sizes.at_input == {"small": 0, "medium": 2, "large": 2}  # twice as large: 62, 64, 190, 192
    assert sizes.below == 0
    assert size_counts(dataset, None)["a"].at_input is None


def test_flags_are_counted_by_split() -> None:
    dataset = dataset_of([[], [], []], classes=["a"], split=["train", "val", ""], flags=["dark;wet", "dark", ""])
    counts = flag_counts(dataset)
    assert counts["dark"] == {"train": 1, "val": 1, "test": 0, "": 0}
    assert counts["wet"]["train"] == 1


def test_a_heap_of_equal_boxes_gives_no_more_findings_than_boxes() -> None:
    side = np.full(2000, 50.0)
    dataset = dataset_of([[square("a", float(value)) for value in side]])
    assert len(list(check_boxes(dataset))) == 1999
