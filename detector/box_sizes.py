"""How large a training's boxes are at the network's input, and whether the network has cells for them (plain numpy)."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from annotations.tables import BoxDataset, sides
from detector.cells import OBJECT_PRIOR, OBJECT_STRIDES, PART_PRIOR, PART_STRIDES, SIZE_RATIO
from detector.settings import STRIDE_MULTIPLE, Settings

SMALL: Final = 8.0
"""Pixels of a shorter side at the input under which a box is hard to find: two cells of the finest stride."""
_TOLD: Final = 0.01
"""Share of a class's boxes from which something about them is told."""
_LARGEST: Final = 1024
"""Input that is suggested at most, beside twice the present one; beyond, tiles cost less."""


@dataclass(frozen=True, slots=True)
class BoxSizes:
    """A class at the network's input: how many boxes count, and the root of their area in pixels, at three quantiles.

    `small` is the share of those whose shorter side is under SMALL pixels, `unfitted` of those whose size is further
    than SIZE_RATIO from every prior box of the network; None where the family has other anchors. `input` is a side
    at which three in four of the small ones would not be, or None where there are hardly any or none helps.
    """

    label: str
    boxes: int
    least: float
    median: float
    most: float
    small: float
    unfitted: float | None
    input: int | None

    def to_json(self) -> dict[str, Any]:
        """Return its fields by name."""
        return asdict(self)

    def text(self, settings: Settings) -> str:
        """Return it as a sentence, with what can be done."""
        told = (
            f"{self.label}: {self.boxes} boxes of {self.least:.0f} to {self.most:.0f} px "
            f"(median {self.median:.0f}) at input {','.join(map(str, dict.fromkeys(settings.input)))}"
        )
        if self.small >= _TOLD:
            helps = f"consider --set input={self.input}" if self.input else "larger pictures, or tiles, would help"
            told += f"; {self.small:.0%} are under {SMALL:.0f} px: {helps}"
        if self.unfitted is not None and self.unfitted >= _TOLD:
            told += f"; {self.unfitted:.0%} are over {SIZE_RATIO:g} times smaller or larger than every prior box"
        return told


def box_sizes(train: BoxDataset, settings: Settings) -> list[BoxSizes]:
    """Return the sizes of each class that has boxes, at the input, unmagnified; crowds and ignored boxes left out.

    10 % of a class's boxes are smaller than `least`, and 10 % larger than `most`.
    """
    truth = train.annotations
    own = sides(train.images)[truth.image_row]
    scale = np.minimum(settings.input[1] / own[:, 0], settings.input[0] / own[:, 1])
    extent = (truth.xyxy_rel * own)[:, 2:] - (truth.xyxy_rel * own)[:, :2]
    counts = ~(truth.crowd | truth.ignore)
    # To enlarge a picture beyond its own pixels shows nothing more.
    room = 1 / scale
    found = []
    for class_id, label in enumerate(train.classes):
        mine = counts & (truth.class_id == class_id)
        if mine.any():
            at_input = extent[mine] * scale[mine, None]
            priors = None if settings.family != "ppn" else _priors(part=label in train.parts)
            found.append(_of_class(label, at_input, room[mine], priors, settings))
    return found


def _priors(*, part: bool) -> NDArray[np.float64]:
    """Return the sides of the prior boxes of a branch's levels."""
    strides, prior = (PART_STRIDES, PART_PRIOR) if part else (OBJECT_STRIDES, OBJECT_PRIOR)
    return np.array(strides, np.float64) * prior


def _of_class(
    label: str,
    extent: NDArray[np.float64],
    room: NDArray[np.float64],
    priors: NDArray[np.float64] | None,
    settings: Settings,
) -> BoxSizes:
    size, shorter = np.sqrt(extent.prod(axis=1)), extent.min(axis=1)
    least, median, most = np.quantile(size, [0.1, 0.5, 0.9]).tolist()
    unfitted = None
    if priors is not None:
        gap = np.abs(np.log(np.maximum(size, 1e-3))[:, None] - np.log(priors)).min(axis=1)
        unfitted = float((gap > math.log(SIZE_RATIO)).mean())
    small = float((shorter < SMALL).mean())
    larger = _larger_input(shorter, room, settings) if small >= _TOLD else None
    return BoxSizes(label, len(size), least, median, most, small, unfitted, larger)


def _larger_input(shorter: NDArray[np.float64], room: NDArray[np.float64], settings: Settings) -> int | None:
    """Return the input at which three in four of the boxes that are small now would not be, or None if none helps."""
    side, small = max(settings.input), shorter < SMALL
    useful = side * float(np.median(room[small]))
    wanted = side * SMALL / max(float(np.quantile(shorter[small], 0.25)), 1e-3)
    chosen = math.ceil(min(wanted, useful, 2 * side, _LARGEST) / STRIDE_MULTIPLE) * STRIDE_MULTIPLE
    return chosen if chosen >= 1.1 * side else None
