"""Fitting how far objects and parts make each other surer, and finding out whether that helps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from annotations.box_overlaps import iou
from annotations.tables import BoxDataset, Detections, pixels
from detector.decoding import Found, found_by_image
from detector.detecting import detect_images
from detector.part_knowledge import PartKnowledge
from detector.rescoring import Gain, Rescoring, evidence, log_odds, rescored

if TYPE_CHECKING:
    from detector.family import Predict
    from detector.ppn_family import PpnFamily

MOST_IMAGES: Final = 200
"""Training images that are looked at; more would change two numbers a class by little."""
_THRESHOLDS: Final = np.arange(50, 100, 5) / 100
"""The IoUs at which a hit counts. Source: COCO's AP@[.5:.95]."""
_ROUNDS: Final = 30
_RIDGE: Final = 1.0
"""Weight of the belief that nothing changes, in detections."""


def measured_rescoring(family: "PpnFamily", predict: "Predict", known: PartKnowledge, step: int) -> Rescoring:
    """Return the re-scoring for the weights of `step`, that `predict` has: fitted on train, and measured on val.

    It is on for the classes whose AP on the validation images it raises.
    """
    model = replace(family.model, known=known, rescoring=Rescoring())
    train = family.train.of_images(fitting_images(family.train))
    gains = fitted(train, detect_images(model, train, predict, cache=family.cache), model.parts, known)
    if not gains:
        return Rescoring(step)
    found = detect_images(model, family.val, predict, cache=family.cache)
    before = family.score(family.val, found)
    after = family.score(family.val, rescored_table(found, family.val, known, _all_on(gains)))
    return measured(gains, before, after, step)


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


def fitted(
    dataset: BoxDataset, detections: Detections, parts: Mapping[str, str], known: PartKnowledge
) -> dict[str, Gain]:
    """Return the offset and weight of each class that has or is a part, fitted on the detections of a dataset.

    Classes on which the evidence has nothing to say, or speaks against, are left out.
    """
    truth, boxes = dataset.annotations, pixels(
        dataset.images, dataset.annotations.image_row, dataset.annotations.xyxy_rel
    )  # fmt: skip
    rows: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = []
    for image, (_, found) in enumerate(found_by_image(dataset.images, detections)):
        own = np.flatnonzero(truth.image_row == image)
        good = goodness(found, truth.class_id[own], boxes[own])
        rows.append((found.class_id, log_odds(found.score), evidence(found, dataset.classes, known), good))
    if not rows:
        return {}
    class_id, odds, said, good = (np.concatenate(column) for column in zip(*rows, strict=True))
    gains = {}
    for name in dict.fromkeys([*parts.values(), *parts]):
        mine = class_id == dataset.classes.index(name)
        offset, weight = _regression(odds[mine], said[mine], good[mine])
        if weight > 0:
            gains[name] = Gain(offset, weight)
    return gains


def _regression(odds: NDArray[np.float64], said: NDArray[np.float64], good: NDArray[np.float64]) -> tuple[float, float]:
    """Return offset and weight with which log odds and evidence (N,) tell best how good detections are.

    Source: logistic regression by Newton's method, as in Hastie, Tibshirani & Friedman 2009, section 4.4.1; the log
    odds enter with a coefficient of 1, and a ridge holds both numbers near 0.
    """
    columns = np.stack([np.ones_like(said), said], axis=1)
    solution = np.zeros(2)
    if not len(odds):
        return 0.0, 0.0
    for _ in range(_ROUNDS):
        chance = 1 / (1 + np.exp(-np.clip(odds + columns @ solution, -50, 50)))
        slope = columns.T @ (good - chance) - _RIDGE * solution
        bend = (columns * (chance * (1 - chance))[:, None]).T @ columns + _RIDGE * np.eye(2)
        solution = solution + np.clip(np.linalg.solve(bend, slope), -2, 2)
    return float(solution[0]), float(solution[1])


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


def rescored_table(
    detections: Detections, dataset: BoxDataset, known: PartKnowledge, rescoring: Rescoring
) -> Detections:
    """Return the detections of a dataset's images with their new scores."""
    score = detections.score.copy()
    for rows, found in found_by_image(dataset.images, detections):
        score[rows] = rescored(found, dataset.classes, known, rescoring).score
    return replace(detections, score=score)
