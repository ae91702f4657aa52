"""Which detected object a detected part belongs to (plain numpy)."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotations.best_assignment import best_assignment
from annotations.tables import NO_PARENT, Boxes
from detector.part_layout import Density, places_of

_LEAST_SCORE: Final = 0.01
"""Scores below count as this one: between two boxes of next to no score, the place decides."""
_LEAST_WEIGHT: Final = 1e-3
"""What a part is worth to an object that is hardly likely to have it."""


def parents(
    class_id: NDArray[np.int64],
    score: NDArray[np.float64],
    xyxy: Boxes,
    object_class_of: Mapping[int, int],
    densities: Mapping[int, Density] | None = None,
) -> NDArray[np.int64]:
    """Return (N,) the row of each part's object among one image's detections, NO_PARENT for objects and orphans.

    `object_class_of` maps a part's class id to its object's, and `densities` to what is known of where such parts are;
    parts of a class of which nothing is known belong to the object around them (`around`). `xyxy` is (N, 4) in any one
    unit.
    """
    result = np.full(len(class_id), NO_PARENT, np.int64)
    for part, whole in object_class_of.items():
        rows, objects = np.flatnonzero(class_id == part), np.flatnonzero(class_id == whole)
        density = (densities or {}).get(part)
        if density is None:
            result[rows] = around(rows, objects, score, xyxy)
        else:
            result[rows] = placed(rows, objects, score, xyxy, density)
    return result


def around(
    rows: NDArray[np.int64], objects: NDArray[np.int64], score: NDArray[np.float64], xyxy: Boxes
) -> NDArray[np.int64]:
    """Return (K,) for each part the surest object that holds its centre, of equals the smallest, or NO_PARENT."""
    area = (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1)
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    result = np.full(len(rows), NO_PARENT, np.int64)
    for place, row in enumerate(rows):
        inside = ((xyxy[objects, :2] <= centre[row]) & (centre[row] <= xyxy[objects, 2:])).all(axis=1)
        owners = objects[inside]
        if len(owners):
            result[place] = owners[np.lexsort((area[owners], -score[owners]))[0]]
    return result


def placed(
    rows: NDArray[np.int64], objects: NDArray[np.int64], score: NDArray[np.float64], xyxy: Boxes, density: Density
) -> NDArray[np.int64]:
    """Return (K,) for each part the object that it belongs to, or NO_PARENT: all together as likely as can be.

    No object gets more parts than objects had in training, and none a part that lies where no part was seen. A box
    that would hold the parts of a better one is taken to show the same object; it gets what the others leave.
    """
    weight = pair_weights(rows, objects, score, xyxy, density)
    alone = _alone(weight, score[objects], density.known.expected)
    owner = np.full(len(rows), NO_PARENT, np.int64)
    for of in (alone, ~alone):
        free = owner == NO_PARENT
        part, whole = best_owners(np.where(free[:, None] & of, weight, 0.0), density.known.most)
        owner[part] = objects[whole]
    return owner


def pair_weights(
    rows: NDArray[np.int64], objects: NDArray[np.int64], score: NDArray[np.float64], xyxy: Boxes, density: Density
) -> NDArray[np.float64]:
    """Return (K, M) how well each part goes with each object, above 0 where they can belong together, else 0.

    It is the logarithm of a likelihood: that the part is there at all, and lies where it does. The likelihood is by
    area, and not by the object's box: a small object around a part would else count as little as a large one.
    """
    places = places_of(xyxy[rows][:, None, :], xyxy[objects][None, :, :])
    likely = density.log_ratio(places)
    weight = likely + 2 * (places[..., 2] - density.typical_size) + _certainty(score[rows])[:, None]
    return np.where(likely > 0, np.maximum(weight, _LEAST_WEIGHT), 0.0)


def _certainty(score: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(score, _LEAST_SCORE) / _LEAST_SCORE))


def _alone(weight: NDArray[np.float64], score: NDArray[np.float64], expected: int) -> NDArray[np.bool_]:
    """Return the (M,) mask of the objects most of whose best parts are not those of a better object.

    The better of two is the one with more in the mean weight of its best parts and its own score together.
    """
    order = np.argsort(-weight, axis=0, kind="stable")[:expected]
    best = np.take_along_axis(weight, order, axis=0)
    quality = best.sum(axis=0) / expected + _certainty(score)
    holds = np.zeros(weight.shape, np.bool_)
    np.put_along_axis(holds, order, best > 0, axis=0)
    alone = np.ones(len(score), np.bool_)
    for place in np.argsort(-quality, kind="stable"):
        shared = (holds[:, place, None] & holds[:, alone & (quality > quality[place])]).sum(axis=0)
        alone[place] = 2 * shared.max(initial=0) <= holds[:, place].sum()
    return alone


def best_owners(weight: NDArray[np.float64], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places (A,) of parts and of the objects that get them: of greatest total weight, `most` an object.

    `weight` is (K, M), with 0 for a part and an object that cannot belong together.
    """
    part, whole = np.nonzero(weight > 0)
    # An object is as many columns as it may have parts.
    columns = (whole[:, None] * most + np.arange(most)).ravel()
    chosen = best_assignment(np.repeat(part, most), columns, np.repeat(weight[part, whole], most)) // most
    return part[chosen], whole[chosen]
