"""How large a training's boxes are at the network's input, and whether the network has cells for them (plain numpy)."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from annotations.check_counts import NEARLY_ALL, SMALLEST_SIDE, size_counts
from annotations.tables import BoxDataset, sides
from detector.cells import OBJECT_PRIOR, OBJECT_STRIDES, PART_PRIOR, PART_STRIDES, SIZE_RATIO
from detector.settings import Settings

_TOLD: Final = 1 - NEARLY_ALL
"""Share of a class's boxes from which something about them is told."""
_MOST: Final = 2
"""Times the present input up to which a larger one is advised; beyond, tiles cost less."""


@dataclass(frozen=True, slots=True)
class BoxSizes:
    """A class at the network's input: how many boxes count, and the root of their area in pixels, at three quantiles.

    `small` is the share of those whose shorter side is under SMALLEST_SIDE pixels, `unfitted` of those whose size is
    further than SIZE_RATIO from every prior box of the network; None where the family has other anchors. `input` would
    show 99 % of them, as `ppnlab check` tells it.
    """

    label: str
    boxes: int
    least: float
    median: float
    most: float
    small: float
    unfitted: float | None
    input: int

    def to_json(self) -> dict[str, Any]:
        """Return its fields by name."""
        return asdict(self)

    def text(self, settings: Settings) -> str:
        """Return it as a sentence, with what can be done."""
        told = (
            f"{self.label}: {self.boxes} boxes, 80% of them {self.least:.0f} to {self.most:.0f} px "
            f"(median {self.median:.0f}) at input {','.join(map(str, dict.fromkeys(settings.input)))}"
        )
        if self.small >= _TOLD:
            near = self.input <= _MOST * max(settings.input)
            helps = f"consider --set input={self.input}" if near else f"input {self.input}, or tiles, would show them"
            told += f"; {self.small:.0%} are under {SMALLEST_SIDE:.0f} px: {helps}"
        if self.unfitted is not None and self.unfitted >= _TOLD:
            told += f"; {self.unfitted:.0%} are over {SIZE_RATIO:g} times smaller or larger than every prior box"
        return told


def box_sizes(train: BoxDataset, settings: Settings) -> list[BoxSizes]:
    """Return the sizes of each class that has boxes, at the input, unmagnified; crowds and ignored boxes left out.

    10 % of a class's boxes are smaller than `least`, and 10 % larger than `most`.
    """
    truth = train.annotations.take(~(train.annotations.crowd | train.annotations.ignore))
    needed = size_counts(replace(train, annotations=truth), None)
    own = sides(train.images)[truth.image_row]
    scale = np.minimum(settings.input[1] / own[:, 0], settings.input[0] / own[:, 1])
    extent = ((truth.xyxy_rel[:, 2:] - truth.xyxy_rel[:, :2]) * own[:, :2]) * scale[:, None]
    found = []
    for label, counts in needed.items():
        priors = None if settings.family != "ppn" else _priors(part=label in train.parts)
        mine = extent[truth.class_id == train.classes.index(label)]
        found.append(_of_class(label, mine, priors, counts.input_needed))
    return found


def _priors(*, part: bool) -> NDArray[np.float64]:
    """Return the sides of the prior boxes of a branch's levels."""
    strides, prior = (PART_STRIDES, PART_PRIOR) if part else (OBJECT_STRIDES, OBJECT_PRIOR)
    return np.array(strides, np.float64) * prior


def _of_class(label: str, extent: NDArray[np.float64], priors: NDArray[np.float64] | None, needed: int) -> BoxSizes:
    size, shorter = np.sqrt(extent.prod(axis=1)), extent.min(axis=1)
    least, median, most = np.quantile(size, [0.1, 0.5, 0.9]).tolist()
    unfitted = None
    if priors is not None:
        gap = np.abs(np.log(np.maximum(size, 1e-3))[:, None] - np.log(priors)).min(axis=1)
        unfitted = float((gap > math.log(SIZE_RATIO)).mean())
    return BoxSizes(label, len(size), least, median, most, float((shorter < SMALLEST_SIDE).mean()), unfitted, needed)
