"""Fitting how far objects and parts make each other surer, and finding out whether that helps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from annotations.box_overlaps import iou
from annotations.tables import BoxDataset, Detections, pixels
from detector.decoding import Found, detections_table
from detector.family import Scores
from detector.part_knowledge import PartKnowledge
from detector.rescoring import Gain, Rescoring, evidence, log_odds, log_support, rescored

Monitor = Callable[[BoxDataset, Detections], Scores]

MOST_IMAGES: Final = 200
"""Training images that are looked at; more would change two numbers a class by little."""
_THRESHOLDS: Final = np.arange(50, 100, 5) / 100
"""The IoUs at which a hit counts. Source: COCO's AP@[.5:.95]."""
_ROUNDS: Final = 30
_RIDGE: Final = 1.0
"""Weight of the belief that nothing changes, in detections."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Images of a dataset with the detections on each, and their `sizes` (I, 2), width and height in pixels."""

    dataset: BoxDataset
    found: Sequence[Found]
    sizes: NDArray[np.int64]

    def scores(self, score: Monitor) -> Scores:
        """Return what `score` says of the detections."""
        return score(self.dataset, detections_table(list(self.found), self.sizes))


def measured_rescoring(train: Examples, val: Examples, known: PartKnowledge, score: Monitor, step: int) -> Rescoring:
    """Return the re-scoring for the weights of `step`, fitted on train images, and measured on val.

    It is on for the classes whose AP on the validation images, `ap/CLASS` of `score`, it raises.
    """
    gains = fitted(train.dataset, train.found, known)
    if not gains:
        return Rescoring(step)
    names, trial = val.dataset.classes, _all_on(gains)
    changed = replace(val, found=[rescored(one, names, known, trial) for one in val.found])
    return measured(gains, val.scores(score), changed.scores(score), step)


def fitting_images(dataset: BoxDataset) -> NDArray[np.int64]:
    """Return the (K,) rows of the images to fit on, from all over the training images; the same every time."""
    rows = dataset.images.rows_of("train")
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(MOST_IMAGES, len(rows))).round().astype(np.int64))]


def goodness(found: Found, truth_class: NDArray[np.int64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) the share of IoUs at which each detection hits truth, of boxes (M, 4) and (M,) classes.

    The surest detection takes the box of its class that it overlaps most, and no other can.
    """
    result, free = np.zeros(len(found.score)), np.ones(len(truth), np.bool_)
    overlap = iou(found.xyxy, truth) * (found.class_id[:, None] == truth_class)
    for row in np.argsort(-found.score, kind="stable"):
        left = np.where(free, overlap[row], 0.0)
        best = int(np.argmax(left)) if len(left) else 0
        if len(left) and left[best] >= _THRESHOLDS[0]:
            free[best] = False
            result[row] = (left[best] >= _THRESHOLDS).mean()
    return result


def fitted(dataset: BoxDataset, detected: Sequence[Found], known: PartKnowledge) -> dict[str, Gain]:
    """Return offset and weights of each class, fitted on the detections on each image of a dataset.

    Classes on which neither evidence nor support has anything to say, or speaks against, are left out.
    """
    truth, boxes = dataset.annotations, pixels(
        dataset.images, dataset.annotations.image_row, dataset.annotations.xyxy_rel
    )  # fmt: skip
    rows: list[tuple[NDArray[Any], ...]] = []
    for image, found in enumerate(detected):
        own = np.flatnonzero(truth.image_row == image)
        good = goodness(found, truth.class_id[own], boxes[own])
        said = np.stack([evidence(found, dataset.classes, known), log_support(found)], axis=1)
        rows.append((found.class_id, log_odds(found.score), said, good))
    if not rows:
        return {}
    class_id, odds, said, good = (np.concatenate(column) for column in zip(*rows, strict=True))
    gains = {}
    for number, name in enumerate(dataset.classes):
        mine = class_id == number
        offset, weight = _without_contradiction(odds[mine], said[mine], good[mine])
        if weight.any():
            gains[name] = Gain(offset, float(weight[0]), support=float(weight[1]))
    return gains


def _without_contradiction(
    odds: NDArray[np.float64], said: NDArray[np.float64], good: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return offset and (k,) weights of what is `said` (N, k), 0 for what would make less sure what it speaks for."""
    used = np.ones(said.shape[1], np.bool_)
    while True:
        offset, weight = _regression(odds, said * used, good)
        against = used & (weight <= 0)
        if not against.any():
            return offset, weight
        used &= ~against


def _regression(
    odds: NDArray[np.float64], said: NDArray[np.float64], good: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return offset and (k,) weights with which log odds (N,) and what is said (N, k) tell how good detections are.

    Source: logistic regression by Newton's method, as in Hastie, Tibshirani & Friedman 2009, section 4.4.1; the log
    odds enter with a coefficient of 1, and a ridge holds all numbers near 0.
    """
    columns = np.concatenate([np.ones((len(said), 1)), said], axis=1)
    solution = np.zeros(columns.shape[1])
    for _ in range(_ROUNDS if len(odds) else 0):
        chance = 1 / (1 + np.exp(-np.clip(odds + columns @ solution, -50, 50)))
        slope = columns.T @ (good - chance) - _RIDGE * solution
        bend = (columns * (chance * (1 - chance))[:, None]).T @ columns + _RIDGE * np.eye(len(solution))
        solution = solution + np.clip(np.linalg.solve(bend, slope), -2, 2)
    return float(solution[0]), solution[1:]


def measured(
    gains: Mapping[str, Gain], before: Mapping[str, float | None], after: Mapping[str, float | None], step: int
) -> Rescoring:
    """Return the gains with the APs of their classes without and with them, as the monitor tells (`ap/CLASS`)."""
    pairs = {name: (before.get(f"ap/{name}"), after.get(f"ap/{name}")) for name in gains}
    return Rescoring(step, {name: gain._replace(ap_before=pairs[name][0], ap_after=pairs[name][1])
                            for name, gain in gains.items()})  # fmt: skip


def _all_on(gains: Mapping[str, Gain]) -> Rescoring:
    # As if each helped: that is to be found out.
    return Rescoring(0, {name: gain._replace(ap_before=0.0, ap_after=1.0) for name, gain in gains.items()})
