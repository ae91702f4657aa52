"""Equal to tidecv, the toolbox of TIDE's authors, where it is installed: kinds, and what they cost each class.

Three things in which it departs from its own paper are kept out: the mean over classes without truth (each class is
compared by itself), 100 detections an image over all classes (there are fewer), and one kind of error keeping another
from being put right (see `error_costs`): there, it must be what plain loops with that rule give. Its curve is read by
our own reading, for its 101 recalls differ from COCO's in the last bit.
"""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from error_oracle import average_precision_101, oracle
from evaluation_sets import random_set

from annotations.tables import BoxDataset, Detections, pixels
from evaluation.error_costs import FALSE_NEGATIVES, FALSE_POSITIVES, error_report
from evaluation.error_kinds import KINDS, MISSED
from evaluation.figures import ScoreSettings
from evaluation.metrics import evaluate_splits

SEEDS = range(30)
NAMES = {
    "classification": "ClassError",
    "localisation": "BoxError",
    "both": "OtherError",
    "duplicate": "DuplicateError",
    "background": "BackgroundError",
    "missed": "MissedError",
}
KIND_OF = {name: kind for kind, name in NAMES.items()}


@pytest.fixture(scope="module")
def tidecv() -> ModuleType:
    return pytest.importorskip("tidecv", exc_type=ImportError)


def without_splits(seed: int) -> tuple[BoxDataset, Detections]:
    """Boxes off the grid, so that no IoU is a threshold; many under another's class; no two scores alike."""
    rng = np.random.default_rng(seed)
    truth, found = random_set(rng, pictures=8, truths=40, found=110, classes=3)
    class_id = np.where(rng.random(110) < 0.3, rng.integers(0, 3, 110), found.class_id)
    moved = found.xyxy_rel + rng.uniform(-1e-4, 1e-4, found.xyxy_rel.shape)
    found = replace(found, class_id=class_id, score=(1 + rng.permutation(110)) / 128, xyxy_rel=moved)
    return replace(truth, images=replace(truth.images, split=np.array([""] * 8, np.str_))), found


def run_of(tidecv: ModuleType, truth: BoxDataset, found: Detections) -> Any:  # noqa: ANN401
    known, seen = tidecv.Data("truth", max_dets=10**6), tidecv.Data("found", max_dets=10**6)
    for table, add in ((truth.annotations, known.add_ground_truth), (found, None)):
        boxes = pixels(truth.images, table.image_row, table.xyxy_rel)
        for row, (x, y, right, bottom) in enumerate(boxes.tolist()):
            place, box = (int(table.image_row[row]), int(table.class_id[row])), [x, y, right - x, bottom - y]
            if add is not None:
                add(*place, box=box)
            else:
                seen.add_detection(*place, float(found.score[row]), box=box)
    for row in range(len(truth.images)):
        known.add_image(row, str(row))
    return tidecv.TIDE().evaluate(known, seen, mode="bbox")


def precision(points: Any, label: int) -> float | None:  # noqa: ANN401
    """AP of a class from tidecv's own points."""
    of_class = points.objs[label]
    return average_precision_101([(p[0], p[1]) for p in of_class.data_points.values()], of_class.num_gt_positives)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_error_has_the_kind_that_tidecv_gives_it(tidecv: ModuleType, seed: int) -> None:
    truth, found = without_splits(seed)
    run = run_of(tidecv, truth, found)
    table = error_report(truth, found, evaluate_splits(truth, found, ScoreSettings(resamples=0))).table
    table = table.take(table.any_score)
    rows = np.where(table.kind == MISSED, table.truth_row, table.detection_row).tolist()
    expected = {(KIND_OF[type(error).__name__], error.get_id()) for error in run.errors}
    assert {(KINDS[kind], row) for kind, row in zip(table.kind.tolist(), rows, strict=True)} == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_costs_each_class_what_tidecv_finds(tidecv: ModuleType, seed: int) -> None:
    truth, found = without_splits(seed)
    run, plain = run_of(tidecv, truth, found), oracle(truth, found)
    split = error_report(truth, found, evaluate_splits(truth, found, ScoreSettings(resamples=0))).splits["all"]
    errors = tidecv.errors.main_errors
    fixed: dict[str, Callable[[], Any]] = {
        kind: lambda name=name: run.fix_errors(lambda error: isinstance(error, getattr(errors, name)))  # type: ignore[misc]
        for kind, name in NAMES.items()
    }
    fixed[FALSE_POSITIVES] = lambda: run.fix_errors(transform=errors.FalsePositiveError.fix)
    fixed[FALSE_NEGATIVES] = lambda: run.fix_errors(false_neg_dict=run.false_negatives)
    for kind, make in fixed.items():
        points = make()
        for label, name in enumerate(truth.classes):
            before, after = precision(run.ap_data, label), precision(points, label)
            gain = None if before is None or after is None else after - before
            if kind in ("classification", "localisation") and plain.contested():
                assert after == pytest.approx(plain.precision(label, plain.without(kind, shared=True)), abs=1e-9)
            else:
                got = split.classes[name][kind].dap
                assert got == (None if gain is None else pytest.approx(gain, abs=1e-9))


def test_most_sets_are_compared_without_the_rule_of_its_own() -> None:
    assert sum(not oracle(*without_splits(seed)).contested() for seed in SEEDS) >= 3
