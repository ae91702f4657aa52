"""Where the sides of an object are, by its parts: a part is smaller than its object, and its box errs by less.

A side of an object often is where the outermost part's is (a QR code's finder patterns make three of its corners), or
lies beyond it by an offset that objects of the class have. What is known of a side is what the network says of it, what
the outermost part's box says, and the offsets that objects had in training; the side is put at the mean of where it is
likely, given all three. Where offsets are scattered that is next to what the network says.

Offsets are learnt on the training images, and used for a class only where they raise its AP on the validation images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from annotations.tables import Boxes
from detector.learnt_file import raises_ap, read_learnt, worth, write_learnt

if TYPE_CHECKING:
    from detector.decoding import Found

FILE: Final = "tightening.json"
SCHEMA: Final = 1
LEAST_PART: Final = 0.1
"""Score from which on a part has a say in where its object's sides are."""
MOST_ERROR: Final = 0.1
"""The largest standard deviation of a side that is believed, in sides of the box."""
_FARTHEST: Final = 3.0
"""The farthest that a side is moved, in its standard deviations."""
_NEIGHBOURS: Final = 0.05
"""Share of the offsets up to which an offset's own spread reaches: where many lie together it is narrow."""
_UNKNOWN: Final = 0.1
"""Share of sides that are granted to lie at any offset: not all kinds were seen in training."""
_ANY: Final = 1.0
"""The width of any offset, in sides of the box."""
_INWARD: Final = np.array([1.0, 1.0, -1.0, -1.0])
_EDGE: Final = 1e-3
"""Share of a picture's side within which a box is taken to be cut off by its edge."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sides:
    """What is known of the sides of a class of objects, all in sides of the object's box, of that side's axis.

    `offsets` holds by the number of parts (K,) ascending examples of how far an object reaches beyond its outermost
    part; `own_error` is the standard deviation of a side as the network gives it, and `part_error` that of a part's in
    sides of the part.
    """

    offsets: Mapping[int, Array]
    own_error: float
    part_error: float
    ap_before: float | None = None
    ap_after: float | None = None

    @property
    def helps(self) -> bool:
        """Return whether the AP rises."""
        return raises_ap(self)

    @cached_property
    def spreads(self) -> Mapping[int, Array]:
        """Return for each example the distance within which its share of all others lies, by the number of parts."""
        return {count: neighbour_distance(offsets) for count, offsets in self.offsets.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the knowledge as JSON holds it."""
        return {
            "own_error": self.own_error,
            "part_error": self.part_error,
            "ap_before": self.ap_before,
            "ap_after": self.ap_after,
            "on": self.helps,
            "offsets": {str(count): np.round(offsets, 4).tolist() for count, offsets in self.offsets.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the knowledge that `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: `values` are others.
        """
        offsets = {int(n): np.sort(np.array(one, np.float64).ravel()) for n, one in values["offsets"].items()}
        errors = [float(values[name]) for name in ("own_error", "part_error")]
        if not all(0 < error <= MOST_ERROR for error in errors):
            raise ValueError(f"errors must be above 0 and at most {MOST_ERROR:g}, got {errors}")
        if not all(len(one) and np.isfinite(one).all() for one in offsets.values()):
            raise ValueError("offsets must be finite numbers")
        before, after = (None if values[n] is None else float(values[n]) for n in ("ap_before", "ap_after"))
        return cls(offsets, errors[0], errors[1], before, after)


@dataclass(frozen=True)
class Tightening:
    """What is known by object class; `step` is that of the weights that it was measured with."""

    step: int = 0
    classes: Mapping[str, Sides] = field(default_factory=dict)

    @property
    def used(self) -> dict[str, Sides]:
        """Return what is known of the classes for which it helps."""
        return {name: sides for name, sides in self.classes.items() if sides.helps}

    def summary(self) -> str:
        """Return what it is worth, for people."""
        return worth(self.classes)

    def figures(self) -> dict[str, Any]:
        """Return what it is worth, by class."""
        return {n: {"ap_before": s.ap_before, "ap_after": s.ap_after, "on": s.helps} for n, s in self.classes.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the knowledge as tightening.json holds it."""
        return {
            "schema": SCHEMA,
            "step": self.step,
            "classes": {name: sides.to_json() for name, sides in self.classes.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: `values` are others.
        """
        if values["schema"] != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA}, got {values['schema']!r}")
        return cls(int(values["step"]), {str(n): Sides.from_json(one) for n, one in values["classes"].items()})


def neighbour_distance(offsets: Array) -> Array:
    """Return (K,) how far from each of the ascending offsets (K,) the nearest share `_NEIGHBOURS` of all lie."""
    count = min(max(int(len(offsets) * _NEIGHBOURS), 1), len(offsets) - 1)
    if not count:
        return np.full(len(offsets), _ANY)
    # The nearest `count` others are a run of the ascending row that holds the offset itself.
    first = np.arange(len(offsets))[:, None] - np.arange(count + 1)
    inside = (first >= 0) & (first + count < len(offsets))
    low = np.clip(first, 0, len(offsets) - 1 - count)
    farthest = np.maximum(offsets[:, None] - offsets[low], offsets[low + count] - offsets[:, None])
    return np.asarray(np.where(inside, farthest, np.inf).min(axis=1))


def outermost(parts: Boxes) -> Array:
    """Return (4,) the outermost sides of the boxes of parts (m, 4), m at least 1."""
    return np.concatenate([parts[:, :2].min(axis=0), parts[:, 2:].max(axis=0)])


def beyond(box: Array, parts: Boxes) -> Array:
    """Return (4,) how far each side of a box (4,) lies beyond its outermost part, in sides of the box."""
    return np.asarray((outermost(parts) - box) * _INWARD / np.tile(box[2:] - box[:2], 2))


def tightened(found: "Found", classes: Sequence[str], tightening: Tightening, size: tuple[int, int]) -> "Found":
    """Return the detections of a picture of this width and height with the sides of objects moved by their parts.

    Scores, order and parents stay, and so do objects without parts, or with another number of them than in training.
    """
    used = {classes.index(name): sides for name, sides in tightening.used.items() if name in classes}
    sure = found.score >= LEAST_PART
    xyxy: Boxes | None = None
    for row in np.unique(found.parent[sure & (found.parent >= 0)]).tolist():
        sides = used.get(int(found.class_id[row]))
        if sides is None:
            continue
        if xyxy is None:
            xyxy = found.xyxy.copy()
        xyxy[row] = tighter_box(found.xyxy[row], found.xyxy[sure & (found.parent == row)], sides, size)
    return found if xyxy is None else replace(found, xyxy=xyxy)


def tighter_box(box: Array, parts: Boxes, sides: Sides, size: tuple[int, int]) -> Array:
    """Return the (4,) box of an object, given that of the network and those of its parts (m, 4), all xyxy pixels.

    A side moves by three standard deviations at the most; where the picture's edge cuts the object it stays.
    """
    offsets, extent = sides.offsets.get(len(parts)), np.tile(box[2:] - box[:2], 2)
    if offsets is None or not (extent > 0).all():
        return box
    edges = np.array([0.0, 0.0, *size])
    cut = np.abs(box - edges) < _EDGE * np.tile(np.array(size, np.float64), 2)
    setting = np.concatenate([parts[:, :2].argmin(axis=0), parts[:, 2:].argmax(axis=0)])
    part_extent = (parts[:, 2:] - parts[:, :2])[setting, [0, 1, 0, 1]]
    told = beyond(box, parts)
    likely = likely_offset(
        told, offsets, sides.spreads[len(parts)], sides.own_error, sides.part_error * part_extent / extent
    )
    step = np.clip(told - likely, -_FARTHEST * sides.own_error, _FARTHEST * sides.own_error)
    moved = np.clip(box + step * _INWARD * extent, 0.0, np.tile(np.array(size, np.float64), 2))
    return np.where(cut, box, moved)


def likely_offset(told: Array, offsets: Array, spread: Array, own_error: float, part_error: Array) -> Array:
    """Return (n,) the mean of where sides are likely beyond the outermost part, as the network has `told` (n,).

    Offsets are spread round the (K,) examples, each by its own, and round those by the (n,) error of the part.
    Source: kernel density with the distance to the k-th neighbour as its width, Silverman 1986, section 2.6; the mean
    of two normal estimates of one number weighs each by the other's variance.
    """
    prior = np.square(spread) + np.square(part_error)[:, None]
    total = prior + own_error**2
    gap = told[:, None] - offsets
    weight = np.exp(-np.square(gap) / (2 * total)) / np.sqrt(2 * np.pi * total) * (1 - _UNKNOWN) / len(offsets)
    means = offsets + gap * prior / total
    anywhere = _UNKNOWN / _ANY
    return np.asarray(((weight * means).sum(axis=1) + anywhere * told) / (weight.sum(axis=1) + anywhere))


def write_tightening(run: Path, tightening: Tightening) -> None:
    """Write tightening.json into a run's directory, whole.

    Raises:
        PpnlabError: it cannot be written.
    """
    write_learnt(run / FILE, tightening.to_json())


def read_tightening(run: Path) -> Tightening:
    """Return what a run knows of its objects' sides; one that has none leaves them as the network gives them.

    Raises:
        PpnlabError: the file is damaged, or of a newer version.
    """
    without = "boxes stay as the network gives them"
    return read_learnt(run / FILE, Tightening.from_json, "what the run knows of sides", without) or Tightening()
