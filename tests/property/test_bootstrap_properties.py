import numpy as np
from evaluation_sets import marked, random_set
from hypothesis import given, settings
from hypothesis import strategies as st
from resampled_sets import really_resampled

from evaluation.average_precision import READINGS
from evaluation.bootstrap_counts import counted
from evaluation.bootstrap_precision import all_taken, ranking
from evaluation.matching import MATCHINGS, candidates, match
from evaluation.precisions import average_precisions
from evaluation.sizes import ALL, SIZES


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    drawn=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    truths=st.integers(0, 25),
    found=st.integers(0, 50),
    matching=st.sampled_from(MATCHINGS),
    reading=st.sampled_from(list(READINGS)),
    size=st.sampled_from([ALL, *SIZES]),
)
def test_weights_equal_a_set_in_which_the_images_really_stand_so_often(
    seed: int, drawn: list[int], truths: int, found: int, matching: str, reading: str, size: str
) -> None:
    rng = np.random.default_rng(seed)
    truth, detections = random_set(
        rng, pictures=7, truths=truths, found=found, classes=2, scores=10**9, scale=1 + 7 * (seed % 2)
    )
    truth = marked(truth, crowd=list(rng.random(truths) < 0.1), ignore=list(rng.random(truths) < 0.1))
    weight, unit = np.bincount(drawn, minlength=7)[None], np.arange(7)
    found_pairs = candidates(truth, detections, matching=matching)
    ranked = ranking(found_pairs, unit, all_taken(found_pairs, size))
    copies = really_resampled(truth, detections, np.sort(drawn))
    everywhere = {"": np.ones(len(drawn), np.bool_)}
    pairs = candidates(*copies, matching=matching)
    expected = average_precisions(pairs, everywhere, reading, size=size)[""]
    np.testing.assert_allclose(ranked.precisions(weight, reading)[0], expected, atol=1e-14, rtol=0)

    thresholds = rng.random(2)
    rates = counted(match(truth, detections, matching=matching), unit, thresholds, 2).rates(weight)
    table, copy_unit = match(*copies, matching=matching), np.arange(len(drawn))
    real = counted(table, copy_unit, thresholds, 2).rates(np.ones((1, len(drawn)), np.int64))
    for name, values in rates.items():
        np.testing.assert_array_equal(values, real[name])
