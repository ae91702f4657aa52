"""Made-up QR codes in perspective, as boxes alone: their parts, their true corners, and data sets of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.scene_planes import envelope, pose, projected
from annotations.scene_symbols import Label
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Images

SIDE = 400
CLASSES, PARTS = ("qr_code", "fip"), {"fip": "qr_code"}


class Code(NamedTuple):
    """A code: its box (4,), its parts' boxes (3, 4), and its true corners (4, 2) from its own upper left, in pixels."""

    box: NDArray[np.float64]
    parts: NDArray[np.float64]
    corners: NDArray[np.float64]


def code(rng: np.random.Generator, turn: float, tilt: float = 0.6) -> Code:
    """A code of version 1 to 4, about 120 pixels wide, in the middle of a picture."""
    label = Label(int(rng.integers(1, 5)), 2.0, 0)
    onto = pose(rng, float(rng.uniform(90, 150)), tilt, turn, np.array([SIDE, SIDE]) / 2)
    one = 1 / label.modules
    view = onto @ np.array([[one, 0, -0.5], [0, one, -0.5], [0, 0, 1]])
    corners = projected(view, label.outline)
    parts = np.array([envelope(projected(view, finder)) for finder in label.finders])
    return Code(envelope(corners), parts, corners)


def turned_codes(seed: int, count: int, *, upright: bool = False) -> list[Code]:
    """Codes turned any way, or about upright."""
    rng = np.random.default_rng(seed)
    turns = rng.normal(0, 0.1, count) if upright else rng.uniform(0, 2 * np.pi, count)
    return [code(rng, float(turn)) for turn in turns]


def dataset_of(codes: list[Code], *, split: str = "train") -> BoxDataset:
    """A data set with a picture for each code; there are no files."""
    rows = len(codes)
    names = np.array([f"s{row}" for row in range(rows)], np.str_)
    side, empty = np.full(rows, SIDE), np.full(rows, "", np.str_)
    images = Images(names, names, side, side, np.full(rows, split), empty, empty, empty)
    boxes = np.concatenate([np.zeros((0, 4)), *(np.vstack([one.box[None], one.parts]) for one in codes)])
    first = np.arange(rows) * 4
    parent = np.stack([np.full(rows, NO_PARENT), first, first, first], axis=1).reshape(-1)
    texts = np.full(4 * rows, "", np.str_)
    truth = Annotations(
        image_row=np.repeat(np.arange(rows), 4),
        object_id=np.arange(4 * rows),
        parent_id=parent,
        group_id=texts,
        class_id=np.tile([0, 1, 1, 1], rows),
        xyxy_rel=boxes / SIDE,
        shape_type=texts,
    )
    return BoxDataset(Path("nowhere"), CLASSES, PARTS, images, truth)


def noisy(rng: np.random.Generator, xyxy: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Boxes (N, 4) as a detector would give them: each edge off by about this share of the side."""
    side = np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
    return np.asarray(xyxy + rng.normal(0, share, xyxy.shape) * side)
