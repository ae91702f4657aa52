"""Kinds of errors and their costs against plain loops, and the laws that they obey on any set."""

from dataclasses import replace

import numpy as np
import pytest
from error_oracle import oracle
from evaluation_sets import marked, random_set
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.tables import BoxDataset, Detections
from evaluation.error_costs import FALSE_NEGATIVES, FALSE_POSITIVES, SPECIALS, error_report
from evaluation.error_kinds import KINDS, MISSED, NO_ROW
from evaluation.figures import ScoreSettings
from evaluation.metrics import evaluate_splits

PLAIN = ScoreSettings(resamples=0)


def crowded(seed: int, *, scores: int | None = None) -> tuple[BoxDataset, Detections]:
    """A set in which many detections have another's class; all scores differ unless their number is given."""
    rng = np.random.default_rng(seed)
    truth, found = random_set(rng, pictures=6, truths=25, found=60, classes=3)
    class_id = np.where(rng.random(60) < 0.3, rng.integers(0, 3, 60), found.class_id)
    score = (1 + rng.permutation(60)) / 64 if scores is None else rng.integers(1, scores + 1, 60) / scores
    return truth, replace(found, class_id=class_id, score=score)


@pytest.mark.parametrize("seed", range(12))
def test_kinds_and_costs_are_those_of_plain_loops(seed: int) -> None:
    truth, found = crowded(seed)
    report = error_report(truth, found, evaluate_splits(truth, found, PLAIN))
    table, expected = report.table, oracle(truth, found)
    wrong = table.take(table.kind != MISSED)
    got = {
        (row, KINDS[kind], None if on == NO_ROW else on)
        for row, kind, on in zip(
            wrong.detection_row.tolist(), wrong.kind.tolist(), wrong.truth_row.tolist(), strict=True
        )
    }
    assert got == {(d.row, d.kind, d.on) for d in expected.found if d.truth is None}
    missed = table.truth_row[(table.kind == MISSED) & table.any_score]
    assert missed.tolist() == expected.missed


@pytest.mark.parametrize("seed", range(12))
def test_what_a_kind_costs_is_the_ap_of_plain_loops_without_it(seed: int) -> None:
    truth, found = crowded(seed)
    images = replace(truth.images, split=np.array([""] * len(truth.images), np.str_))
    truth = replace(truth, images=images)
    split = error_report(truth, found, evaluate_splits(truth, found, PLAIN)).splits["all"]
    expected = oracle(truth, found)
    for label, name in enumerate(truth.classes):
        before = expected.precision(label, expected.rows())
        after = {kind: expected.precision(label, expected.without(kind)) for kind in KINDS if kind != "missed"}
        after["missed"] = expected.precision(label, expected.rows(), set(expected.missed))
        after[FALSE_POSITIVES] = expected.precision(label, [row for row in expected.rows() if row[2]])
        unfound = set(range(len(truth.annotations))) - expected.taken
        after[FALSE_NEGATIVES] = expected.precision(label, expected.rows(), unfound)
        for kind, value in after.items():
            gain = None if value is None or before is None else value - before
            assert split.classes[name][kind].dap == (None if gain is None else pytest.approx(gain, abs=1e-12))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), ties=st.booleans())
def test_errors_add_up_to_the_figures(seed: int, ties: bool) -> None:
    truth, found = crowded(seed, scores=4 if ties else None)
    rng = np.random.default_rng(seed)
    truth = marked(truth, ignore=(rng.random(25) < 0.2).tolist(), crowd=(rng.random(25) < 0.1).tolist())
    metrics = evaluate_splits(truth, found, replace(PLAIN, matching="voc" if seed % 2 else "coco"))
    report = error_report(truth, found, metrics)
    for name, split in report.splits.items():
        figures = metrics.splits[name]
        assert split.ap == pytest.approx(figures.ap50, abs=1e-12)
        at_threshold = sum(split.kinds[kind].count_at_threshold for kind in KINDS if kind != "missed")
        assert at_threshold == figures.fp == split.kinds[FALSE_POSITIVES].count_at_threshold
        assert split.kinds[FALSE_NEGATIVES].count_at_threshold == figures.fn
        assert split.kinds["missed"].count_at_threshold <= figures.fn
        for kind in (*KINDS, *SPECIALS):
            whole, parts = split.kinds[kind], [costs[kind] for costs in split.classes.values()]
            assert sum(part.count for part in parts) == whole.count
            gains = [part.dap for part in parts if part.dap is not None]
            assert whole.dap == (pytest.approx(np.mean(gains), abs=1e-12) if gains else None)
        assert all(cost.dap is None or 0 <= cost.dap <= 1 for cost in split.kinds.values())


@pytest.mark.parametrize("seed", range(6))
def test_no_kind_costs_more_than_the_ap_that_lacks(seed: int) -> None:
    truth, found = crowded(seed)
    metrics = evaluate_splits(truth, found, PLAIN)
    split = error_report(truth, found, metrics).splits["test"]
    best = [kind for kind in (*KINDS, *SPECIALS) if split.kinds[kind].dap is not None]
    assert best
    for kind in best:
        assert split.ap is not None
        assert split.ap + (split.kinds[kind].dap or 0) <= 1 + 1e-12
    # Taking away every false positive gives at least what taking away those of one kind does.
    for kind in ("both", "duplicate", "background"):
        assert (split.kinds[kind].dap or 0) <= (split.kinds[FALSE_POSITIVES].dap or 0) + 1e-12
