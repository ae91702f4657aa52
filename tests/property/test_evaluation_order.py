import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from evaluation.order import best_first, order_of

CLOSE = [1.0, np.nextafter(1.0, 0), np.nextafter(1.0, 2), 0.0, -0.0, 5e-324, -5e-324, -1.0, np.inf, -np.inf, 1e300]
SCORES = arrays.arrays(
    np.float64,
    st.integers(0, 60),
    elements=st.sampled_from(CLOSE) | st.floats(allow_nan=False) | st.integers(0, 5).map(lambda n: n / 5),
)


@given(SCORES)
def test_best_first_is_the_stable_order(score: np.ndarray) -> None:
    assert best_first(score).tolist() == np.argsort(-score, kind="stable").tolist()


@pytest.mark.parametrize("kinds", [3, 1000, 10**9])
def test_best_first_of_many_is_the_stable_order(kinds: int) -> None:
    rng = np.random.default_rng(kinds)
    # Neighbours in the last bit among them, which packing alone would leave in the order of their rows.
    score = rng.integers(0, kinds, 20_000) / kinds
    score[::7] = np.nextafter(score[::7], 2)
    np.testing.assert_array_equal(best_first(score), np.argsort(-score, kind="stable"))


@given(arrays.arrays(np.int64, st.integers(0, 60), elements=st.integers(0, 2**63 - 1) | st.integers(0, 5)))
def test_order_of_numbers_is_the_stable_order(number: np.ndarray) -> None:
    assert order_of(number).tolist() == np.argsort(number, kind="stable").tolist()
