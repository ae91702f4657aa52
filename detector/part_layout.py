"""How the objects of a training set hold their parts: how many, where in the object's box, and how large.

A part's place is (u, v, s): its centre in the frame of its object's box, which reaches from -1 to 1 on both axes, and
the logarithm of its size over the object's (a size is the root of a box's area). Turning or mirroring a picture turns
and mirrors the places about the box's centre; the layout learns whether that leaves the parts where parts are
(`Symmetry`), and at how close a look (`width`), from the examples themselves: each object must be as likely as can be
under what all others say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from annotations.tables import NO_PARENT, BoxDataset, Boxes, pixels

Symmetry = Literal["none", "mirror", "mirrors", "square"]
"""What leaves the places of parts as they are: nothing; left for right; also up for down; quarter turns as well."""

Places = NDArray[np.float64]

_WIDTHS: Final = (0.06, 0.1, 0.16, 0.25, 0.4)
"""Standard deviations of the blurs that are tried, in halves of a box."""
_SIZE_ERROR: Final = 0.15
"""Standard deviation of the logarithm of a detected box's size; it adds to the spread of the true ones."""
_PLACE_ERROR: Final = 0.12
"""Standard deviation of the place of a detected part, in halves of a detected box; it adds to that of the true ones."""
_OUTSIDE: Final = 0.2
"""How far from a detected box, in halves of it, a part of it may lie just because the box is wrong."""
_UNKNOWN: Final = 0.1
"""Share of parts that are granted to lie anywhere in their object: not all kinds were seen in training."""
_MOST_OBJECTS: Final = 100
"""Objects that are examples; more tell no more about where parts are."""
_REACH: Final = 2.5
"""How far from the centre of an object, in halves of its box, a part of it can lie."""
_CELLS: Final = 100
"""Cells of the table of densities along an axis; a cell is narrower than the finest blur."""
_EDGE: Final = 2e-3
"""Share of a picture's side within which a box is taken to be cut off by its edge."""


@dataclass(frozen=True, slots=True, eq=False)
class PartPlaces:
    """One class of parts: `counts[n]` objects have n of them; the examples' `places` (K, 3); symmetry and blur."""

    whole: str
    counts: tuple[int, ...]
    places: Places
    symmetry: Symmetry
    width: float

    @property
    def expected(self) -> int:
        """Return how many parts an object has most often; of equals the more."""
        return max(range(len(self.counts)), key=lambda n: (self.counts[n], n), default=0)

    @property
    def most(self) -> int:
        """Return the most parts that an object had."""
        return max(len(self.counts) - 1, 1)

    def to_json(self) -> dict[str, Any]:
        """Return the places as JSON holds them."""
        places = np.round(self.places, 4).tolist()
        return {
            "object": self.whole,
            "counts": list(self.counts),
            "symmetry": self.symmetry,
            "width": self.width,
            "places": places,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the places that `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: `values` are others.
        """
        places = np.array(values["places"], np.float64).reshape(-1, 3)
        if values["symmetry"] not in get_args(Symmetry) or not np.isfinite(places).all() or not len(places):
            raise ValueError(f"symmetry and places must be known ones, got {values['symmetry']!r}")
        counts = tuple(int(count) for count in values["counts"])
        return cls(str(values["object"]), counts, places, values["symmetry"], float(values["width"]))


@dataclass(frozen=True)
class Density:
    """How likely a part of an object is at a place, from the examples; its tables are worked out once."""

    known: PartPlaces

    def log_ratio(self, places: Places) -> NDArray[np.float64]:
        """Return (...) how much likelier a part of the object is at `places` (..., 3) than at the edge of belief.

        0 or less says that the part is none of this object's.
        """
        u, v, size = np.moveaxis(places, -1, 0)
        mean, spread = self._size
        seen = self._at(u, v) * _bell(size, mean, spread)
        outside = np.maximum(np.maximum(np.abs(u), np.abs(v)) - 1, 0)
        anywhere = 0.25 * np.exp(-0.5 * (outside / _OUTSIDE) ** 2) * _bell(size, mean, 3 * spread)
        density = (1 - _UNKNOWN) * seen + _UNKNOWN * anywhere
        # At twice its spread off the usual size, a part that lies anywhere in the box is at the edge of belief.
        least = _UNKNOWN * 0.25 * float(_bell(mean + 2 * 3 * spread, mean, 3 * spread))
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(density / least))

    @property
    def typical_size(self) -> float:
        """Return the mean of the examples' logarithms of sizes."""
        return self._size[0]

    @cached_property
    def _size(self) -> tuple[float, float]:
        size = self.known.places[:, 2]
        return float(size.mean()), float(np.hypot(size.std(), _SIZE_ERROR))

    @cached_property
    def _table(self) -> NDArray[np.float64]:
        """Return the (cells, cells) densities at the cells' centres, row v and column u; they add up to 1."""
        centre = (np.arange(_CELLS) + 0.5) * (2 * _REACH / _CELLS) - _REACH
        turned = orbit(self.known.places[:, :2], self.known.symmetry).reshape(-1, 2)
        blur = float(np.hypot(self.known.width, _PLACE_ERROR))
        across, down = (_bell(centre[:, None], turned[:, axis], blur) for axis in range(2))
        return np.asarray(down @ across.T / len(turned))

    def _at(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        # Not between the cells: a blur is wider than one.
        across, down = (np.floor((np.nan_to_num(x) + _REACH) * (_CELLS / (2 * _REACH))) for x in (u, v))
        inside = (across >= 0) & (across < _CELLS) & (down >= 0) & (down < _CELLS)
        cell = [np.clip(x, 0, _CELLS - 1).astype(np.int64) for x in (down, across)]
        return np.asarray(np.where(inside, self._table[cell[0], cell[1]], 0.0))


def _bell(x: Any, mean: Any, deviation: float) -> NDArray[np.float64]:  # noqa: ANN401
    return np.asarray(np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi)))


def orbit(points: NDArray[np.float64], symmetry: Symmetry) -> NDArray[np.float64]:
    """Return the (K, G, 2) images of points (K, 2) under the G moves of a symmetry, the points themselves first."""
    x, y = points[:, 0], points[:, 1]
    images = [(x, y)]
    if symmetry != "none":
        images += [(-x, y)]
    if symmetry in ("mirrors", "square"):
        images += [(x, -y), (-x, -y)]
    if symmetry == "square":
        images += [(b, a) for a, b in images]
    return np.stack([np.stack(pair, axis=1) for pair in images], axis=1)


def places_of(part_xyxy: Boxes, whole_xyxy: Boxes) -> Places:
    """Return the (..., 3) places of boxes (..., 4) in objects' boxes (..., 4), broadcast; both in one unit."""
    part, whole = (np.broadcast_to(x, np.broadcast_shapes(part_xyxy.shape, whole_xyxy.shape)) for x in (
        part_xyxy, whole_xyxy))  # fmt: skip
    side, whole_side = (np.maximum(x[..., 2:] - x[..., :2], 1e-12) for x in (part, whole))
    offset = (part[..., :2] + part[..., 2:] - whole[..., :2] - whole[..., 2:]) / whole_side
    size = np.log(side / whole_side).mean(axis=-1, keepdims=True)
    return np.concatenate([offset, size], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class TrueParts:
    """The objects of one class that lie whole in their picture, with their parts: all that the layout learns from.

    `objects` (M,) are rows of the table; part `parts[k]` belongs to `objects[owner[k]]`; `xyxy` is that of the whole
    table in pixels, as is `class_id`.
    """

    objects: NDArray[np.int64]
    parts: NDArray[np.int64]
    owner: NDArray[np.int64]
    xyxy: Boxes
    class_id: NDArray[np.int64]


def true_parts(dataset: BoxDataset, whole: str) -> TrueParts:
    """Return the objects of the class `whole` with their parts, in the order of the table."""
    truth, names = dataset.annotations, np.array(dataset.classes)
    part_ids = [dataset.classes.index(part) for part, of in dataset.parts.items() if of == whole]
    near_edge = (truth.xyxy_rel < _EDGE) | (truth.xyxy_rel > 1 - _EDGE)
    counted = ~(truth.crowd | truth.ignore)
    objects = np.flatnonzero((names[truth.class_id] == whole) & counted & ~near_edge.any(axis=1))
    parts = np.flatnonzero(np.isin(truth.class_id, part_ids) & counted & (truth.parent_id != NO_PARENT))
    order = np.argsort(truth.object_id[objects], kind="stable")
    ids = truth.object_id[objects][order]
    place = np.minimum(np.searchsorted(ids, truth.parent_id[parts]), max(len(ids) - 1, 0))
    held = ids[place] == truth.parent_id[parts] if len(ids) else np.zeros(len(parts), np.bool_)
    owner = order[place[held]] if len(ids) else np.zeros(0, np.int64)
    xyxy = pixels(dataset.images, truth.image_row, truth.xyxy_rel)
    return TrueParts(objects, parts[held], owner, xyxy, truth.class_id)


def learnt_places(dataset: BoxDataset, part: str) -> PartPlaces | None:
    """Return where the parts of the class `part` are in a dataset's objects; None where no object has one."""
    whole = dataset.parts[part]
    true = true_parts(dataset, whole)
    mine = true.class_id[true.parts] == dataset.classes.index(part)
    owner, rows = true.owner[mine], true.parts[mine]
    if not len(rows):
        return None
    counts = np.bincount(np.bincount(owner, minlength=len(true.objects)))
    # Examples from all over the set, the same whenever it is learnt.
    owners = np.unique(owner)
    chosen = owners[np.unique(np.linspace(0, len(owners) - 1, _MOST_OBJECTS).round().astype(np.int64))]
    few = np.isin(owner, chosen)
    places = places_of(true.xyxy[rows[few]], true.xyxy[true.objects[owner[few]]])
    symmetry, width = _likeliest(places[:, :2], owner[few])
    return PartPlaces(whole, tuple(counts.tolist()), places, symmetry, width)


def _likeliest(points: NDArray[np.float64], owner: NDArray[np.int64]) -> tuple[Symmetry, float]:
    """Return symmetry and blur under which the points (K, 2) of each object are the likeliest, given all others'."""
    other = owner[:, None] != owner[None, :]
    if not other.any():
        return "square", _WIDTHS[-1]
    best: tuple[float, Symmetry, float] | None = None
    for symmetry in get_args(Symmetry):
        turned = orbit(points, symmetry)
        gap = np.square(points[:, None, None, :] - turned[None]).sum(axis=-1)
        for width in _WIDTHS:
            kernel = np.exp(-gap / (2 * width**2)).mean(axis=2) / (2 * np.pi * width**2)
            density = (kernel * other).sum(axis=1) / np.maximum(other.sum(axis=1), 1)
            # What nobody would expect costs as much as lying anywhere.
            score = float(np.log((1 - _UNKNOWN) * density + _UNKNOWN * 0.25).mean())
            if best is None or score > best[0]:
                best = (score, symmetry, width)
    return (best[1], best[2]) if best else ("square", _WIDTHS[-1])
