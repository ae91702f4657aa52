"""One hand-worked case for each kind of error, and for each way of putting one right."""

from collections.abc import Sequence

import numpy as np
import pytest
from evaluation_sets import Row, dataset, detections, images, marked

from evaluation.emptiness import MEANINGS
from evaluation.error_costs import SPECIALS, ErrorReport, error_report
from evaluation.error_kinds import KINDS, MISSED
from evaluation.figures import ScoreSettings
from evaluation.metrics import evaluate_splits

CODE, FACE = 0, 1
BOX, FAR = (0, 0, 10, 10), (40, 40, 50, 50)
HALF, THIRD, SHIFTED, TOUCHING = (0, 0, 10, 5), (0, 5, 10, 15), (0, 0, 10, 1), (0, 9, 10, 19)
"""IoU with BOX: 1/2, 1/3, 1/10, and 1/19."""


def report(
    truth: Sequence[Row], found: Sequence[Row], settings: ScoreSettings | None = None, count: int = 1
) -> ErrorReport:
    table = images(count)
    known, seen = dataset(table, truth, classes=("code", "face")), detections(table, found)
    return error_report(known, seen, evaluate_splits(known, seen, settings or ScoreSettings(threshold=0.2)))


def kinds(errors: ErrorReport) -> list[str]:
    return [KINDS[kind] for kind in errors.table.kind.tolist()]


def gain(errors: ErrorReport, kind: str) -> float | None:
    return errors.splits["all"].kinds[kind].dap


@pytest.mark.parametrize(
    ("label", "box", "expected", "iou"),
    [
        (CODE, THIRD, "localisation", 1 / 3),
        (CODE, SHIFTED, "localisation", 0.1),
        (FACE, BOX, "classification", 1.0),
        (FACE, HALF, "classification", 0.5),
        (FACE, THIRD, "both", 1 / 3),
        (FACE, SHIFTED, "both", 0.1),
        (CODE, TOUCHING, "background", None),
        (FACE, FAR, "background", None),
    ],
)
def test_a_lone_false_positive_has_its_kind(label: int, box: tuple[int, ...], expected: str, iou: float | None) -> None:
    errors = report([(0, CODE, BOX)], [(0, label, box, 0.9)])
    covered = expected in ("localisation", "classification")
    assert kinds(errors) == [expected] if covered else [expected, "missed"]
    row = errors.table.take(np.array([0]))
    got = (row.truth_row[0], row.detection_row[0], row.class_id[0], row.score[0])
    assert got == (-1 if iou is None else 0, 0, label, 0.9)
    assert np.isnan(row.iou[0]) if iou is None else row.iou[0] == pytest.approx(iou, abs=1e-12)


def test_a_detection_of_a_taken_object_is_a_duplicate_of_it_from_an_iou_of_one_half() -> None:
    errors = report([(0, CODE, BOX)], [(0, CODE, BOX, 0.9), (0, CODE, HALF, 0.8), (0, CODE, THIRD, 0.7)])
    assert kinds(errors) == ["duplicate", "localisation"]
    assert errors.table.truth_row.tolist() == [0, 0]


def test_of_two_fitting_kinds_the_first_is_taken() -> None:
    # On the face as a hit, and on the code (of its own class) a little: it is the own class that counts.
    near_code = (0, 2, 10, 12)
    errors = report([(0, CODE, (0, 8, 10, 18)), (0, FACE, near_code)], [(0, CODE, near_code, 0.9)])
    assert kinds(errors) == ["localisation", "missed"]
    # A duplicate that lies on a face too is one of classification.
    both = [(0, CODE, BOX), (0, FACE, BOX)]
    errors = report(both, [(0, CODE, BOX, 0.9), (0, CODE, BOX, 0.8)])
    assert kinds(errors) == ["classification"]


def test_the_object_of_an_error_is_the_one_that_is_overlapped_best() -> None:
    truth = [(0, CODE, (0, 0, 10, 40)), (0, CODE, (0, 0, 10, 30)), (0, CODE, (0, 0, 10, 30))]
    errors = report(truth, [(0, CODE, (0, 0, 10, 12), 0.9)])
    assert errors.table.truth_row.tolist() == [1, 0, 2]
    assert kinds(errors) == ["localisation", "missed", "missed"]


def test_what_a_wrong_name_lies_on_is_not_missed_and_costs_both_classes() -> None:
    # The face is found; its class's other detection is a code by its name only, and ranks first.
    errors = report([(0, CODE, BOX), (0, FACE, FAR)], [(0, FACE, BOX, 0.9), (0, FACE, FAR, 0.8)])
    assert kinds(errors) == ["classification"]
    by_class = errors.splits["all"].classes
    # The face's precision at its one hit goes from 1/2 to 1, the code is found: from 0 to 1.
    assert by_class["face"]["classification"].dap == pytest.approx(0.5)
    assert by_class["code"]["classification"].dap == pytest.approx(1.0)
    assert gain(errors, "classification") == pytest.approx(0.75)


def test_of_several_errors_on_one_object_the_best_score_is_put_right() -> None:
    found = [(0, CODE, THIRD, 0.9), (0, CODE, FAR, 0.8), (0, CODE, (0, 6, 10, 16), 0.7)]
    errors = report([(0, CODE, BOX)], found)
    assert kinds(errors) == ["localisation", "background", "localisation"]
    # The first becomes the hit, at rank 1. Had it been the third, AP would be 1/2.
    assert gain(errors, "localisation") == pytest.approx(1.0)


def test_an_error_on_an_object_that_is_found_is_only_taken_away() -> None:
    found = [(0, CODE, THIRD, 0.9), (0, CODE, BOX, 0.8)]
    errors = report([(0, CODE, BOX), (0, CODE, FAR)], found)
    # Precision at the one hit of two objects goes from 1/2 to 1; 51 of the 101 recalls are reached.
    assert gain(errors, "localisation") == pytest.approx(0.5 * 51 / 101)


@pytest.mark.parametrize(
    ("kind", "stray"), [("background", (0, CODE, FAR)), ("both", (0, FACE, THIRD)), ("duplicate", (0, CODE, BOX))]
)
def test_what_cannot_be_a_hit_is_taken_away(kind: str, stray: tuple[int, int, tuple[int, ...]]) -> None:
    others = [(1, CODE, BOX), (1, FACE, BOX)]
    hits = [(1, CODE, BOX, 0.3), (1, FACE, BOX, 0.3)]
    found = [(0, CODE, BOX, 0.95), (*stray, 0.9), *hits]
    errors = report([(0, CODE, BOX), *others], found, count=2)
    assert kinds(errors) == [kind]
    # Codes: hit, stray, hit has precision 2/3 at recalls above 1/2 (50 of 101). Faces: stray, hit has 1/2 at all.
    lost = {"both": 0.5}.get(kind, 50 / 101 / 3)
    assert gain(errors, kind) == pytest.approx(lost / 2)
    assert gain(errors, "false-positives") == pytest.approx(lost / 2)


def test_missed_objects_are_taken_off_the_number_to_find() -> None:
    # One of two is found, behind a stray: AP is 1/2 at 51 of 101 recalls, and 1/2 at all without the missed one.
    errors = report([(0, CODE, BOX), (1, CODE, BOX)], [(0, CODE, FAR, 0.9), (0, CODE, BOX, 0.8)], count=2)
    assert kinds(errors) == ["background", "missed"]
    assert gain(errors, "missed") == pytest.approx(0.5 * 50 / 101)
    assert gain(errors, "false-negatives") == pytest.approx(0.5 * 50 / 101)
    assert np.isnan(errors.table.score[1])


def test_what_an_error_of_place_covers_is_a_false_negative_but_not_missed() -> None:
    found = [(0, CODE, THIRD, 0.9), (1, CODE, BOX, 0.8)]
    errors = report([(0, CODE, BOX), (1, CODE, BOX)], found, count=2)
    assert gain(errors, "missed") == 0.0
    assert gain(errors, "false-negatives") == pytest.approx(0.5 * 50 / 101)


def test_a_class_of_which_everything_was_missed_is_left_out_of_the_mean_and_counted() -> None:
    truth = [(0, CODE, BOX), (0, FACE, FAR), (0, FACE, BOX)]
    errors = report(truth, [(0, FACE, BOX, 0.9)])
    split = errors.splits["all"]
    code = split.classes["code"]["false-negatives"]
    assert (code.dap, code.undefined) == (None, {"dap": "every-object-missed"})
    whole = split.kinds["false-negatives"]
    assert whole.dap == pytest.approx(1 - 51 / 101)
    assert whole.classes_left_out == 1
    assert (split.kinds["duplicate"].dap, split.kinds["duplicate"].classes_left_out) == (0.0, 0)


@pytest.mark.parametrize(
    ("truth", "found", "why"),
    [([], [], "no-truth"), ([], [(0, CODE, BOX, 0.9)], "no-truth"), ([(0, CODE, BOX)], [], "every-object-missed")],
)
def test_a_cost_that_does_not_exist_has_a_reason(truth: list[Row], found: list[Row], why: str) -> None:
    split = report(truth, found).splits["all"]
    assert split.kinds["missed"].dap is None
    assert split.kinds["missed"].undefined == {"dap": why}
    assert why in MEANINGS
    # A class without truth is not left out of the mean: it was never in it.
    assert split.kinds["missed"].classes_left_out == len(truth)
    assert split.kinds["background"].dap == (0.0 if truth else None)
    assert split.kinds["background"].count == len(found)


def test_zero_images_and_zero_classes_have_no_errors() -> None:
    table = images(0)
    for classes in (("code",), ()):
        known, seen = dataset(table, [], classes=classes), detections(table, [])
        split = error_report(known, seen, evaluate_splits(known, seen)).splits["all"]
        assert split.ap is None
        assert {cost.undefined["dap"] for cost in split.kinds.values()} == {"no-images"}
        assert set(split.kinds) == {*KINDS, *SPECIALS}


def test_errors_below_the_threshold_cost_ap_and_are_not_counted_at_it() -> None:
    found = [(0, CODE, FAR, 0.1), (0, CODE, BOX, 0.05)]
    errors = report([(0, CODE, BOX)], found)
    # The hit lies below the threshold of 0.2 too: at it, the object is missed.
    assert kinds(errors) == ["background", "missed"]
    assert (errors.table.any_score.tolist(), errors.table.at_threshold.tolist()) == ([True, False], [False, True])
    background, missed = (errors.splits["all"].kinds[kind] for kind in ("background", "missed"))
    assert (background.count, background.count_at_threshold, background.dap) == (1, 0, pytest.approx(0.5))
    assert (missed.count, missed.count_at_threshold, missed.dap) == (0, 1, 0.0)


def test_an_object_whose_only_error_lies_below_the_threshold_is_missed_at_it() -> None:
    errors = report([(0, CODE, BOX)], [(0, CODE, THIRD, 0.1)])
    missed = errors.table.kind == MISSED
    assert (missed.sum(), errors.table.any_score[missed].tolist()) == (1, [False])


def test_errors_are_put_right_by_size() -> None:
    large, small = (0, 0, 100, 100), (0, 110, 10, 120)
    truth = [(0, CODE, large), (0, CODE, small)]
    table = images(1, size=(200, 200))
    known, seen = (
        dataset(table, truth, classes=("code", "face")),
        detections(table, [(0, CODE, (0, 0, 100, 40), 0.9), (0, CODE, (0, 110, 10, 114), 0.8)]),
    )
    split = error_report(known, seen, evaluate_splits(known, seen)).splits["all"]
    costs = {size: some["localisation"] for size, some in split.by_size.items()}
    assert {size: cost.count for size, cost in costs.items()} == {"small": 1, "medium": 0, "large": 1}
    # The large one ranks first: precision 1 up to recall 1/2. The small one alone is second: 1/2.
    assert (costs["large"].dap, costs["medium"].dap) == (pytest.approx(51 / 101), 0.0)
    assert costs["small"].dap == pytest.approx(0.5 * 51 / 101)
    assert split.kinds["localisation"].dap == pytest.approx(1.0)


def test_ignored_truth_is_nothing_to_lie_on_and_its_detection_no_error() -> None:
    table = images(1)
    known = marked(dataset(table, [(0, CODE, BOX), (0, CODE, FAR)], classes=("code", "face")), ignore=[True, False])
    seen = detections(table, [(0, CODE, BOX, 0.9), (0, CODE, THIRD, 0.8), (0, FACE, BOX, 0.7)])
    errors = error_report(known, seen, evaluate_splits(known, seen, ScoreSettings(threshold=0.2)))
    assert kinds(errors) == ["background", "background", "missed"]
    assert errors.table.truth_row.tolist() == [-1, -1, 1]


def test_kinds_go_by_the_iou_that_a_hit_was_asked_to_have() -> None:
    settings = ScoreSettings(iou=0.75, threshold=0.2)
    errors = report([(0, CODE, BOX)], [(0, CODE, HALF, 0.9)], settings)
    assert kinds(errors) == ["localisation"]
    assert errors.to_json()["iou"] == 0.75
