"""Learning where the sides of objects are, by their parts, and finding out whether that helps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotations.box_overlaps import iou
from annotations.tables import BoxDataset, Boxes, pixels
from detector.decoding import Found
from detector.evidence_fitting import Examples, Monitor
from detector.part_layout import TrueParts, true_parts
from detector.tightening import MOST_ERROR, Array, Sides, Tightening, beyond, tightened

MOST_OFFSETS: Final = 200
"""Examples of offsets that are kept for a number of parts, evenly from all of them in their order."""
LEAST_EXAMPLES: Final = 20
"""Objects, and detections of each class, below which nothing is learnt."""
_SAME: Final = 0.5
"""IoU from which a detection shows a true box."""
_SEEN: Final = 1.5
"""How many times larger errors are on pictures that the network was not trained on. Source: own measurement (1.3)."""
_LEAST_ERROR: Final = 0.002


def true_offsets(dataset: BoxDataset, whole: str) -> dict[int, Array]:
    """Return by the number of parts (K,) ascending: how far objects of a class reach beyond their outermost part.

    An object with n parts is an example for n, and with each of them left out for n - 1: one may not be found.
    """
    true = true_parts(dataset, whole)
    if len(true.objects) < LEAST_EXAMPLES:
        return {}
    examples: dict[int, list[Array]] = {}
    for box, parts in zip(true.xyxy[true.objects], _parts_by_object(true), strict=True):
        if len(parts) and (box[2:] > box[:2]).all():
            examples.setdefault(len(parts), []).append(beyond(box, parts))
        for left_out in range(len(parts) if len(parts) > 1 else 0):
            examples.setdefault(len(parts) - 1, []).append(beyond(box, np.delete(parts, left_out, axis=0)))
    return {
        n: _evenly(np.sort(np.concatenate(one))) for n, one in sorted(examples.items()) if len(one) >= LEAST_EXAMPLES
    }


def _parts_by_object(true: TrueParts) -> list[Boxes]:
    # Sorted once: there may be a hundred thousand objects.
    order = np.argsort(true.owner, kind="stable")
    ends = np.cumsum(np.bincount(true.owner, minlength=len(true.objects)))
    return np.split(true.xyxy[true.parts[order]], ends[:-1])


def _evenly(values: Array) -> Array:
    return np.asarray(values[np.unique(np.linspace(0, len(values) - 1, MOST_OFFSETS).round().astype(np.int64))])


def side_error(dataset: BoxDataset, found: Sequence[Found], classes: Sequence[int]) -> float | None:
    """Return the standard deviation of a side of the detections of some classes, in sides of the true box.

    `found` holds the detections of each training image; None where too few show a true box.
    """
    truth = dataset.annotations
    boxes = pixels(dataset.images, truth.image_row, truth.xyxy_rel)
    errors = [np.zeros((0, 4))]
    for image, one in enumerate(found):
        true = (truth.image_row == image) & np.isin(truth.class_id, classes) & ~(truth.crowd | truth.ignore)
        errors.append(_errors(one, boxes[true], truth.class_id[true]))
    sides = np.concatenate(errors)
    if len(sides) < LEAST_EXAMPLES:
        return None
    # The median of many wrong and few very wrong ones. Source: 1.4826 makes it a normal's standard deviation.
    spread = 1.4826 * float(np.median(np.abs(sides)))
    return float(np.clip(_SEEN * spread, _LEAST_ERROR, MOST_ERROR))


def _errors(found: Found, truth: Boxes, truth_class: NDArray[np.int64]) -> Array:
    """Return (K, 4) how far the sides of the detections are off that show a true box best, in sides of that."""
    overlap = iou(found.xyxy, truth) * (found.class_id[:, None] == truth_class)
    if not overlap.size:
        return np.zeros((0, 4))
    best = overlap.argmax(axis=0)
    shown = overlap[best, np.arange(len(truth))] >= _SAME
    extent = np.tile(truth[:, 2:] - truth[:, :2], 2)
    return np.asarray(((found.xyxy[best] - truth) / extent)[shown])


def learnt_sides(dataset: BoxDataset, found: Sequence[Found], train: BoxDataset) -> dict[str, Sides]:
    """Return what is learnt of the sides of each class that has parts.

    Offsets come from the true boxes of `train`, and errors from the detections on each image of `dataset`.
    """
    result = {}
    for whole in dict.fromkeys(dataset.parts.values()):
        parts = [dataset.classes.index(part) for part, of in dataset.parts.items() if of == whole]
        own, part = (side_error(dataset, found, ids) for ids in ([dataset.classes.index(whole)], parts))
        offsets = true_offsets(train, whole)
        if offsets and own is not None and part is not None:
            result[whole] = Sides(offsets, own, part)
    return result


def measured_tightening(known: Mapping[str, Sides], val: Examples, score: Monitor, step: int) -> Tightening:
    """Return what is known of sides with the APs of the classes on validation images without and with it.

    They are `ap/CLASS` of `score`; `step` is that of the weights that found the detections.
    """
    if not known:
        return Tightening(step)
    trial = Tightening(step, {name: replace(sides, ap_before=0.0, ap_after=1.0) for name, sides in known.items()})
    before, after = val.scores(score), tightened_examples(val, trial).scores(score)
    measured = {
        name: replace(sides, ap_before=before.get(f"ap/{name}"), ap_after=after.get(f"ap/{name}"))
        for name, sides in known.items()
    }
    return Tightening(step, measured)


def tightened_examples(examples: Examples, tightening: Tightening) -> Examples:
    """Return the examples with the sides of their objects moved by their parts."""
    names, sizes = examples.dataset.classes, examples.sizes.tolist()
    found = [tightened(one, names, tightening, (w, h)) for one, (w, h) in zip(examples.found, sizes, strict=True)]
    return replace(examples, found=found)
