"""Box coding and matching of the published network, for all boxes on the quarter-pixel grid."""

import keras
import numpy as np
from detector_samples import THREADS, quarter_boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.classic_anchors import PART_SHARE, Anchors, anchors
from detector.classic_coding import decode, encode
from detector.classic_matching import match, overlaps, targets
from detector.engine import configure

# Before the first tensor: TensorFlow fixes its threads then.
configure(THREADS, deterministic=True)

KNOWN = anchors((64, 96))
CANVASES = st.tuples(*[st.sampled_from([32, 64, 96, 160, 480])] * 2)


def brute_force(boxes: NDArray[np.float64], known: Anchors) -> list[int]:
    """The anchors' answers, one at a time, as the reference's description reads: -1 background, -2 neither."""
    iou = [[float(overlaps(box[None], anchor[None])[0, 0]) for anchor in known.xyxy] for box in boxes]
    answers = [-1] * len(known)
    free, waiting = set(range(len(known))), set(range(len(boxes)))
    while free and waiting:
        _, box, anchor = min((-iou[box][anchor], box, anchor) for box in waiting for anchor in free)
        answers[anchor] = box
        free.remove(anchor)
        waiting.remove(box)
    for anchor in free if len(boxes) else ():
        value, box = max((iou[box][anchor], -box) for box in range(len(boxes)))
        answers[anchor] = -box if value >= 0.5 else -1 if value < 0.3 else -2
    return answers


@given(quarter_boxes(96, 64))
@settings(max_examples=30, deadline=None)
def test_matching_agrees_with_brute_force(boxes: NDArray[np.float64]) -> None:
    few = KNOWN.of(np.arange(0, len(KNOWN), 5))
    assert match(boxes, few).tolist() == brute_force(boxes, few)


@given(quarter_boxes(96, 64, most=3))
@settings(max_examples=15, deadline=None)
def test_matching_agrees_with_brute_force_where_anchors_run_out(boxes: NDArray[np.float64]) -> None:
    few = KNOWN.of(np.array([60, 100]))
    assert match(boxes, few).tolist() == brute_force(boxes, few)


@given(quarter_boxes(96, 64).filter(len), st.sampled_from([1.0, PART_SHARE]), CANVASES)
@settings(max_examples=30, deadline=None)
def test_decode_undoes_encode(boxes: NDArray[np.float64], share: float, canvas: tuple[int, int]) -> None:
    known = anchors(canvas, share)
    every = boxes[np.arange(len(known)) % len(boxes)]
    np.testing.assert_allclose(decode(encode(every, known), known), every, atol=1e-9)
    np.testing.assert_allclose(encode(known.xyxy, known), 0, atol=1e-12)


@given(quarter_boxes(96, 64).filter(len), st.sampled_from([1.0, PART_SHARE]))
@settings(max_examples=15, deadline=None)
def test_tensors_and_arrays_agree(boxes: NDArray[np.float64], share: float) -> None:
    known = anchors((64, 96), share)
    every = boxes[np.arange(len(known)) % len(boxes)]
    offsets = encode(every, known)
    as_tensors = keras.ops.convert_to_numpy(encode(every[None].astype(np.float32), known, keras.ops))[0]
    np.testing.assert_allclose(as_tensors, offsets, rtol=1e-5, atol=1e-5)
    back = keras.ops.convert_to_numpy(decode(offsets[None].astype(np.float32), known, keras.ops))[0]
    np.testing.assert_allclose(back, every, rtol=1e-5, atol=1e-4)


@given(quarter_boxes(96, 64, most=12))
@settings(max_examples=30, deadline=None)
def test_targets_decode_to_the_boxes_that_they_were_made_of(boxes: NDArray[np.float64]) -> None:
    classes = np.arange(len(boxes)) % 3
    said, offsets = targets(boxes, classes, KNOWN)
    positive = np.flatnonzero(said > 0)
    found = decode(offsets[positive].astype(np.float64), KNOWN.of(positive))
    gap = np.abs(found[:, None] - boxes[None]).max(axis=-1)
    gap[(said[positive] - 1)[:, None] != classes[None]] = np.inf
    # Every positive is a box of its class, and every box that is not under a pixel has a positive.
    assert (gap.min(axis=1, initial=np.inf) < 1e-3).all()
    large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 1.0
    assert (gap.min(axis=0, initial=np.inf)[large] < 1e-3).all()
    assert not offsets[said <= 0].any()
