"""Average precision: the area under the precision-recall curve, in the three readings that papers use."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evaluation.curves import Curve

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""The IoU thresholds of AP@[.5:.95]. Source: pycocotools `Params.setDetParams`, to the last bit."""
AT_50, AT_75 = 0, 5
"""Where among them AP@.5 and AP@.75 are."""

RECALLS = {
    # Source: pycocotools `Params.setDetParams`, to the last bit (i / 100 differs at ten of the points).
    "coco-101": np.linspace(0.0, 1.0, 101),
    # Source: Everingham et al. 2010, The PASCAL VOC challenge, section 4.2. i / 10, so that 3 of 10 found reaches 0.3.
    "11-point": np.arange(11) / 10,
}
"""The recalls at which a reading looks, rising, by its name; the reading that has none looks at every recall."""

Numbers = NDArray[np.float64] | NDArray[np.int64]


def average_precision(curve: Curve, reading: str = "coco-101") -> float | None:
    """Return the AP of one class in [0, 1], or None where there is no truth; no detections at all give 0.

    `reading` is `coco-101`, `all-point` or `11-point`.

    Raises:
        ValueError: an unknown reading.
    """
    if reading not in READINGS:
        raise ValueError(f"reading must be one of {tuple(READINGS)}, got {reading!r}")
    if not curve.truth:
        return None
    places = np.flatnonzero(curve.hit)
    return area_under(np.arange(1, len(places) + 1), places + 1, curve.truth, reading)


def area_under(true_positives: Numbers, seen: Numbers, truth: float, reading: str) -> float:
    """Return the AP from the curve's hits alone: only at a hit does the envelope of the curve take a step.

    At each hit, (K,) `true_positives` counts the hits and `seen` the detections so far, both with that hit. `truth` is
    above 0.
    """
    if not len(seen):
        return 0.0
    recall = true_positives / truth
    # Precision at a recall is the best precision at that recall or beyond.
    envelope = np.maximum.accumulate((true_positives / seen)[::-1])[::-1]
    return READINGS[reading](recall, envelope)


def _sampled(recall: NDArray[np.float64], envelope: NDArray[np.float64], levels: NDArray[np.float64]) -> float:
    place = np.searchsorted(recall, levels, "left")
    # Recalls that are never reached count with a precision of 0.
    return float(envelope[place[place < len(envelope)]].sum() / len(levels))


def _coco_101(recall: NDArray[np.float64], envelope: NDArray[np.float64]) -> float:
    return _sampled(recall, envelope, RECALLS["coco-101"])


def _eleven_point(recall: NDArray[np.float64], envelope: NDArray[np.float64]) -> float:
    return _sampled(recall, envelope, RECALLS["11-point"])


def _all_point(recall: NDArray[np.float64], envelope: NDArray[np.float64]) -> float:
    """Return the exact area. Source: the VOC 2012 development kit, `VOCap.m`."""
    return float(np.diff(recall, prepend=0.0) @ envelope)


READINGS: dict[str, Callable[[NDArray[np.float64], NDArray[np.float64]], float]] = {
    "coco-101": _coco_101,
    "all-point": _all_point,
    "11-point": _eleven_point,
}
"""The readings of the curve by name, from (K,) recall and (K,) envelope at the hits."""
