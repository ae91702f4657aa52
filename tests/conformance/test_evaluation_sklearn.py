"""scikit-learn's average precision has no envelope and knows no truth that was never found; the rest is the same."""

import numpy as np
import pytest
from evaluation_sets import random_set

from evaluation.average_precision import average_precision
from evaluation.curves import class_curves
from evaluation.matching import match

metrics = pytest.importorskip("sklearn.metrics")


@pytest.mark.parametrize("seed", range(10))
def test_average_precision_is_sklearns_with_the_envelope_and_the_missed_truth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = random_set(rng, pictures=10, truths=40, found=120, classes=1, scores=10**9)
    curve = class_curves(match(truth, found), 1)[0]
    hits = int(curve.hit.sum())
    peer = metrics.average_precision_score(curve.hit, curve.score) * hits / curve.truth
    # Distinct scores: the plain sum of the precisions at the hits, over the truth.
    assert peer == pytest.approx(curve.precision[curve.hit].sum() / curve.truth, abs=1e-9)
    ours = average_precision(curve, "all-point")
    assert ours >= peer - 1e-12
    # With the precision at each hit raised to the best at or behind it, the two are one.
    envelope = np.maximum.accumulate(curve.precision[curve.hit][::-1])
    assert ours == pytest.approx(peer + (envelope - curve.precision[curve.hit][::-1]).sum() / curve.truth, abs=1e-9)


def test_average_precision_is_sklearns_where_the_precision_only_falls() -> None:
    rng = np.random.default_rng(0)
    truth, found = random_set(rng, pictures=10, truths=40, found=120, classes=1, scores=10**9)
    curve = class_curves(match(truth, found), 1)[0]
    order = np.argsort(~curve.hit, kind="stable")
    # The same scores, given to the hits first.
    falling = type(curve)(curve.score, curve.hit[order], curve.image_row[order], curve.truth_image_row)
    peer = metrics.average_precision_score(falling.hit, falling.score) * falling.hit.sum() / falling.truth
    assert average_precision(falling, "all-point") == pytest.approx(peer, abs=1e-9)
