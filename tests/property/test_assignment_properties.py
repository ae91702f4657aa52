"""Assignment and losses against their definitions, followed cell by cell and number by number."""

import math

import keras
import numpy as np
import pytest
from detector_samples import THREADS
from numpy.typing import NDArray

from detector.assignment import IOU_POWER, SCORE_POWER, SIZE_RATIO, TOP_CELLS, Targets, assign
from detector.box_coding import complete_iou
from detector.cells import Cells, cells
from detector.engine import configure
from detector.losses import NEGATIVE_POWER, NEGATIVE_WEIGHT, box_loss, class_loss

configure(THREADS, deterministic=True)

GRID = cells((64, 96), (8, 16, 32), 4.0)
CLASSES = 3


def plain_iou(a: list[float], b: list[float]) -> float:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / max(sum(areas) - width * height, 1e-9)


def may_answer(box: list[float], cell: int, grid: Cells) -> bool:
    """Whether a cell lies in the box (or near its middle), on a level that fits its size."""
    for axis in (0, 1):
        middle, half = (box[axis] + box[axis + 2]) / 2, (box[axis + 2] - box[axis]) / 2
        if abs(float(grid.centre[cell, axis]) - middle) >= max(half, float(grid.stride[cell])):
            return False
    size = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    gaps = {prior: abs(math.log(size / prior)) for prior in set(grid.prior.tolist())}
    own = gaps[float(grid.prior[cell])]
    return own <= math.log(SIZE_RATIO) or own <= min(gaps.values())


def by_definition(
    probabilities: NDArray[np.float64], boxes: list[list[float]], truth: list[list[float]], classes: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score (A, C) and box (A, 4) targets of one image."""
    overlap = {(m, a): plain_iou(truth[m], boxes[a]) for m in range(len(truth)) for a in range(len(boxes))}
    wants: dict[int, dict[int, float]] = {}
    for m in range(len(truth)):
        alignment = {
            a: float(probabilities[a, classes[m]]) ** SCORE_POWER * overlap[m, a] ** IOU_POWER
            for a in range(len(boxes))
            if may_answer(truth[m], a, GRID)
        }
        best = sorted(alignment, key=lambda a: -alignment[a])[:TOP_CELLS]
        wants[m] = {a: alignment[a] for a in best if alignment[a] > 0}
    owner = {a: max((m for m in wants if a in wants[m]), key=lambda m: (overlap[m, a], -m))
             for a in {a for m in wants for a in wants[m]}}  # fmt: skip
    score, box = np.zeros((len(boxes), CLASSES)), np.zeros((len(boxes), 4))
    for m in wants:
        mine = [a for a in owner if owner[a] == m]
        for a in mine:
            most = max(wants[m][other] for other in mine)
            score[a, classes[m]] = wants[m][a] / most * max(overlap[m, other] for other in mine)
            box[a] = truth[m]
    return score, box


@pytest.mark.parametrize("seed", range(12))
def test_assignment_follows_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 7))
    start = rng.uniform(0, [70, 40], (count, 2))
    truth = np.concatenate([start, start + np.exp(rng.uniform(np.log(3), np.log(50), (count, 2)))], axis=1)
    classes = rng.integers(0, CLASSES, count)
    # Half of the cells say something near an object, the others near their prior box.
    reach = GRID.prior[:, None] / 2 * np.exp(rng.normal(0, 0.3, (len(GRID), 2)))
    boxes = np.concatenate([GRID.centre - reach, GRID.centre + reach], axis=1)
    if count:
        near = rng.random(len(GRID)) < 0.5
        boxes[near] = truth[rng.integers(0, count, near.sum())] + rng.normal(0, 2, (near.sum(), 4))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 0.5)
    truth, boxes = truth.astype(np.float32), boxes.astype(np.float32)
    probabilities = rng.uniform(0.01, 0.99, (len(GRID), CLASSES)).astype(np.float32)
    # A row of padding among the objects.
    rows, names = np.vstack([truth, np.zeros((1, 4), np.float32)])[None], np.append(classes, -1)[None].astype(np.int32)
    found = assign(probabilities[None], boxes[None], GRID, rows, names)
    score, box = by_definition(probabilities.astype(np.float64), boxes.tolist(), truth.tolist(), classes.tolist())
    np.testing.assert_allclose(array(found.score)[0], score, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(array(found.box)[0], box, atol=1e-4)
    assert (array(found.counted) == 1).all()


def array(tensor: object) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


@pytest.mark.parametrize("seed", range(5))
def test_class_loss_follows_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (2, 9, CLASSES)).astype(np.float32)
    score = (rng.random((2, 9, CLASSES)) * (rng.random((2, 9, CLASSES)) < 0.3)).astype(np.float32)
    counted = (rng.random((2, 9)) < 0.8).astype(np.float32)
    total = 0.0
    for place in np.ndindex(2, 9, CLASSES):
        p = 1 / (1 + math.exp(-float(logits[place])))
        q = float(score[place])
        weight = q if q > 0 else NEGATIVE_WEIGHT * p**NEGATIVE_POWER * float(counted[place[:2]])
        total -= weight * (q * math.log(p) + (1 - q) * math.log(1 - p))
    assert float(class_loss(logits, Targets(score, np.zeros((2, 9, 4)), counted))) == pytest.approx(total, rel=1e-4)


def plain_complete_iou(a: list[float], b: list[float]) -> float:
    """Zheng et al. 2020, equations 7 to 11, on two boxes with area."""
    overlap = plain_iou(a, b)
    diagonal = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    gap = sum(((a[axis] + a[axis + 2]) / 2 - (b[axis] + b[axis + 2]) / 2) ** 2 for axis in (0, 1))
    turn = [math.atan((box[2] - box[0]) / (box[3] - box[1])) for box in (a, b)]
    aspect = 4 / math.pi**2 * (turn[0] - turn[1]) ** 2
    trade_off = aspect / (1 - overlap + aspect) if aspect else 0.0
    return overlap - gap / diagonal - trade_off * aspect


@pytest.mark.parametrize("seed", range(5))
def test_box_loss_follows_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 40, (2, 30, 2))
    a, b = (np.concatenate([at, at + rng.uniform(1, 40, (30, 2))], axis=1).astype(np.float32) for at in start)
    score = (rng.random((1, 30, 1)) * (rng.random((1, 30, 1)) < 0.5)).astype(np.float32)
    values = [plain_complete_iou(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)]
    np.testing.assert_allclose(array(complete_iou(a, b)), values, rtol=1e-3, atol=1e-4)
    expected = sum(float(weight) * (1 - value) for weight, value in zip(score[0, :, 0], values, strict=True))
    targets = Targets(score, b[None], np.ones((1, 30), np.float32))
    assert float(box_loss(a[None], targets)) == pytest.approx(expected, rel=1e-3)
