"""Non-maximum suppression keeps what TensorFlow's keeps."""

import numpy as np
import pytest
import tensorflow as tf
from detector_samples import THREADS

from detector.engine import configure
from detector.suppression import keep_surest

configure(THREADS, deterministic=True)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("most", [5, 300])
def test_suppression_agrees_with_tensorflow(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 4 * 60, (300, 2)) / 4
    boxes = np.concatenate([start, start + rng.integers(1, 4 * 20, (300, 2)) / 4], axis=1)
    # No IoU of such boxes comes near this one in float32, and no two scores are equal.
    threshold, score = 0.45678901, rng.permutation(300) / 300
    expected = tf.image.non_max_suppression(boxes[:, [1, 0, 3, 2]], score, most, threshold).numpy()
    kept = keep_surest(boxes, score, threshold, most)
    assert kept.tolist() == expected.tolist()
    assert 5 <= len(kept) < 300
