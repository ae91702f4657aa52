"""Which detected object a detected part belongs to (plain numpy)."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotations.best_assignment import best_assignment
from annotations.tables import NO_PARENT, Boxes
from detector.part_layout import Density, places_of

_LEAST_SCORE: Final = 0.01
"""Scores nearer to 0 or 1 than this count as so near: between two boxes of next to no score, the place decides."""
_LEAST_ODDS: Final = -20.0
"""Log odds that count as none at all, below all that scores and places give."""
_ANYWHERE: Final = 2.0
"""How well a place must fit to say nothing for or against: as well as any in the object's box, for a usual size."""
_BEST_FIT: Final = 5.0
"""The most that a place says; the places of an object's parts err together where its box does, and say less than they
seem to. With this and the next, no part of qr_photos' training images goes to a wrong object (old rule: 1.2 %)."""
_OBJECT: Final = 2.0
"""How much the logarithm of the object's score counts: false objects often lie around true parts."""


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
    that would hold the parts of a better one is taken to show the same object. What is likelier to be a part of an
    object than anything else is given away first; what is left over takes the places that are left.
    """
    possible, odds = pair_odds(rows, objects, score, xyxy, density)
    alone = _alone(np.where(possible, odds - _LEAST_ODDS, 0.0), max(density.known.expected, 1))
    owner, room = np.full(len(rows), NO_PARENT, np.int64), np.full(len(objects), density.known.most)
    for allowed, least in ((alone & (odds > 0), 0.0), (alone, _LEAST_ODDS), (True, _LEAST_ODDS)):
        free = possible & allowed & (owner == NO_PARENT)[:, None]
        part, whole = best_owners(np.where(free, odds - least, 0.0), room)
        owner[part] = objects[whole]
        room = room - np.bincount(whole, minlength=len(objects))
    return owner


def pair_odds(
    rows: NDArray[np.int64], objects: NDArray[np.int64], score: NDArray[np.float64], xyxy: Boxes, density: Density
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return (K, M) whether each part can belong to each object, and the log odds that it does.

    They are the sum of the part's own log odds, of the logarithm of the object's score, and of how well the place fits.
    """
    likely = density.log_ratio(places_of(xyxy[rows][:, None, :], xyxy[objects][None, :, :]))
    sure = np.clip(score, _LEAST_SCORE, 1 - _LEAST_SCORE)
    own = np.log(sure / (1 - sure))[rows][:, None] + _OBJECT * np.log(sure[objects])
    return likely > 0, np.maximum(own + np.minimum(likely, _BEST_FIT) - _ANYWHERE, _LEAST_ODDS + 1)


def _alone(weight: NDArray[np.float64], expected: int) -> NDArray[np.bool_]:
    """Return the (M,) mask of the objects most of whose best parts are not those of a better object.

    The better of two is the one with more in the mean weight of its best parts and its own score together.
    """
    order = np.argsort(-weight, axis=0, kind="stable")[:expected]
    best = np.take_along_axis(weight, order, axis=0)
    quality = best.sum(axis=0) / expected
    holds = np.zeros(weight.shape, np.bool_)
    np.put_along_axis(holds, order, best > 0, axis=0)
    alone = np.ones(weight.shape[1], np.bool_)
    for place in np.argsort(-quality, kind="stable"):
        shared = (holds[:, place, None] & holds[:, alone & (quality > quality[place])]).sum(axis=0)
        alone[place] = 2 * shared.max(initial=0) <= holds[:, place].sum()
    return alone


def best_owners(weight: NDArray[np.float64], room: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places (A,) of parts and of the objects that get them, of greatest total weight.

    `weight` is (K, M), with 0 for a part and an object that cannot belong together; an object gets `room` (M,) parts.
    """
    part, whole = np.nonzero(weight > 0)
    # An object is as many columns as it may have parts.
    pair = np.repeat(np.arange(len(part)), room[whole])
    first = np.concatenate([[0], np.cumsum(room[whole])])[pair]
    column = whole[pair] * int(room.max(initial=0)) + np.arange(len(pair)) - first
    chosen = pair[best_assignment(part[pair], column, weight[part[pair], whole[pair]])]
    return part[chosen], whole[chosen]
