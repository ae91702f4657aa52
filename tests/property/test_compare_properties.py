import numpy as np
import pytest
from evaluation_sets import random_set
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.bootstrap import Interval
from evaluation.compare import Change, Side, compare
from evaluation.differences import Difference, Differences
from evaluation.figures import ScoreSettings


def negated(one: Difference) -> Difference:
    ends = None if one.ci is None else Interval(-one.ci.high, -one.ci.low)
    return Difference(None if one.difference is None else -one.difference, ends)


def check_equal(one: Difference, other: Difference) -> None:
    assert (one.difference is None, one.ci is None) == (other.difference is None, other.ci is None)
    if one.difference is not None:
        assert one.difference == other.difference
    if one.ci is not None and other.ci is not None:
        assert (one.ci.low, one.ci.high) == pytest.approx((other.ci.low, other.ci.high), abs=1e-12)


def parts(change: Change) -> list[Differences]:
    return [change.gap.together, *change.gap.classes.values(), *change.by_size.values()]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), kept=st.floats(0, 1), truths=st.integers(0, 20), grouped=st.booleans())
def test_swapping_the_sides_negates_every_difference(seed: int, kept: float, truths: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    groups = ["a", "b", "", "c"] if grouped else [""]
    truth, found = random_set(rng, pictures=12, truths=truths, found=40, classes=2, groups=groups, scale=4)
    other = found.take(rng.random(len(found)) < kept)
    chosen = ScoreSettings(resamples=40, seed=seed)
    there = compare(truth, [Side("A", found), Side("B", other)], chosen)
    back = compare(truth, [Side("B", other), Side("A", found)], chosen)
    for name, split in there.splits.items():
        for one, two in zip(parts(split.changes[0]), parts(back.splits[name].changes[0]), strict=True):
            for figure, difference in one.figures.items():
                check_equal(negated(difference), two.figures[figure])
    (one_way,), (other_way,) = there.images, back.images
    assert sorted(one_way.image_row) == sorted(other_way.image_row)
    assert sorted(one_way.worsened) == sorted(-other_way.worsened)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), truths=st.integers(0, 20))
def test_a_run_against_itself_differs_by_exactly_nothing(seed: int, truths: int) -> None:
    truth, found = random_set(np.random.default_rng(seed), pictures=12, truths=truths, found=40, classes=2)
    comparison = compare(truth, [Side("A", found), Side("B", found)], ScoreSettings(resamples=40, seed=seed))
    for split in comparison.splits.values():
        for part in parts(split.changes[0]):
            for one in part.figures.values():
                assert one.difference in (None, 0.0)
                assert one.ci in (None, Interval(0.0, 0.0))
    assert len(comparison.images[0]) == 0
