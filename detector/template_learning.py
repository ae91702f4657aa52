"""Learning an object's layout of parts for its pose: the usual constellation, and the outline round it.

Nobody annotates how an object is turned. But the constellations of its parts' centres are alike up to a turn, a size
and some tilt, so they can be laid over each other; and the outline is the rectangle that, turned and tilted with each
constellation, touches the edges of each object's box.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotations.tables import BoxDataset
from detector.part_layout import true_parts
from detector.pose import Array, Template, View, affine, can_be_read, pose, tilts

_LEAST_OBJECTS: Final = 8
"""Fewer constellations could be alike by chance."""
_MOST_OBJECTS: Final = 60
_STARTS: Final = 8
_ROUNDS: Final = 4
_FLATTEST: Final = 0.05
"""Least extent of a layout across its longest direction, in sizes of the object: parts in a row tell no view."""
_SHARE: Final = 0.5
"""Share of the objects that must have the usual number of each part."""
_WORST_MISFIT: Final = 0.06
"""Median distance, in sizes of the object, from the edges of the boxes to those that a layout predicts."""
_WORST_TILT: Final = 0.45
"""Median tilt of the objects of a layout; constellations that are not alike need more to be laid over each other."""
_AS_WELL: Final = 1.2
"""A misfit that is so many times the least tells no angle from the best one."""
_STRAIGHT: Final = 0.6
"""Mean of the cosine of four times the turn from which on objects are taken to be not turned: about 13 degrees."""
_DEGREES: Final = (-8.0, -4.0, 0.0, 4.0, 8.0)
"""Angles by which a layout that was learnt from affine views is tried to be turned, and on how many objects."""
_LOOKED_AT: Final = 20
_WORST_COST: Final = 30.0
_EDGE: Final = 0.05
_TILT: Final = 0.25
_LEAST_SPREAD: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class _Objects:
    """Constellations: `centres` (M, n, 2) of the parts and `box` (M, 4), in sizes of the object from its box's middle.

    `labels` (n,) are the classes of the parts, alike for all; `orders` (W, n) the ways to reorder those of one class.
    """

    centres: Array
    box: Array
    labels: tuple[str, ...]
    orders: NDArray[np.int64]


def learnt_template(dataset: BoxDataset, whole: str) -> Template | None:
    """Return the layout of the parts of the class `whole`, or None where its objects have no common one."""
    objects = _complete_objects(dataset, whole)
    if objects is None:
        return None
    shape = _usual_constellation(objects)
    if np.linalg.svd(shape - shape.mean(axis=0), compute_uv=False)[-1] < _FLATTEST:
        return None
    outline = _outline(objects, *_laid_over(objects, shape, None))
    for _ in range(_ROUNDS):
        order, view = _laid_over(objects, shape, outline)
        shape = _mean_shape(objects, order, view, shape)
        order, view = _laid_over(objects, shape, outline)
        outline = _outline(objects, order, view)
    order, view = _laid_over(objects, shape, outline)
    misfit, zoom = _misfits(objects, view, outline)
    if np.median(misfit) > _WORST_MISFIT or np.median(tilts(view[:, :4])) > _WORST_TILT:
        return None
    template = _template(objects, shape, outline, view, zoom)
    # Objects that stand straight told the outline's angle already, and better.
    return template if _straightness(outline, view) > _STRAIGHT else _straightened(objects, template)


def _straightened(objects: _Objects, template: Template) -> Template:
    """Return the layout with its parts turned a little in the outline, as it fits the views in perspective best.

    The affine views from which it was learnt leave some degrees open.
    """
    views = [
        View(box, template.labels, centres, np.zeros(4, np.bool_))
        for centres, box in zip(objects.centres[:_LOOKED_AT], objects.box[:_LOOKED_AT], strict=True)
    ]
    costs = [_cost(views, _turned(template, degrees)) for degrees in _DEGREES]
    if not np.isfinite(costs).all():
        return template
    a, b, _ = np.polyfit(_DEGREES, costs, 2)
    if a <= 0:
        return template
    return _turned(template, float(np.clip(-b / (2 * a), _DEGREES[0], _DEGREES[-1])))


def _turned(template: Template, degrees: float) -> Template:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return replace(template, points=template.points @ np.array([[cosine, sine], [-sine, cosine]]))


def _cost(views: Sequence[View], template: Template) -> float:
    """Return the mean cost of the likeliest poses of the views, each at most so much."""
    found = [pose(view, template) for view in views]
    return float(np.mean([min(at.cost, _WORST_COST) for at in found if at is not None] or [np.inf]))


def _complete_objects(dataset: BoxDataset, whole: str) -> _Objects | None:
    true = true_parts(dataset, whole)
    part_ids = sorted({int(class_id) for class_id in true.class_id[true.parts]})
    table = np.zeros((len(true.objects), len(part_ids)), np.int64)
    for column, class_id in enumerate(part_ids):
        mine = true.owner[true.class_id[true.parts] == class_id]
        table[:, column] = np.bincount(mine, minlength=len(true.objects))
    if not len(table):
        return None
    kinds, kind_of, count = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    usual = int(np.argmax(count))
    labels = tuple(dataset.classes[c] for c, n in zip(part_ids, kinds[usual], strict=True) for _ in range(int(n)))
    chosen = np.flatnonzero(kind_of.reshape(-1) == usual)
    if len(chosen) < max(_LEAST_OBJECTS, _SHARE * len(table)) or not can_be_read(labels):
        return None
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, _MOST_OBJECTS).round().astype(np.int64))]
    order = np.lexsort((true.class_id[true.parts], true.owner))
    rows = np.stack([true.parts[order][true.owner[order] == owner] for owner in chosen])
    box = true.xyxy[true.objects[chosen]]
    size = np.sqrt((box[:, 2:] - box[:, :2]).prod(axis=1))[:, None]
    middle = (box[:, :2] + box[:, 2:]) / 2
    parts = true.xyxy[rows]
    centres = ((parts[..., :2] + parts[..., 2:]) / 2 - middle[:, None]) / size[:, None]
    return _Objects(centres, (box - np.tile(middle, 2)) / size, labels, _orders(labels))


def _orders(labels: Sequence[str]) -> NDArray[np.int64]:
    tried = permutations(range(len(labels)))
    return np.array([way for way in tried if all(labels[i] == own for i, own in zip(way, labels, strict=True))])


def _complex(points: Array) -> NDArray[np.complex128]:
    """Return points (..., n, 2) as complex numbers (..., n) about their mean, of unit norm."""
    numbers = points[..., 0] + 1j * points[..., 1]
    numbers = numbers - numbers.mean(axis=-1, keepdims=True)
    return np.asarray(numbers / np.maximum(np.linalg.norm(numbers, axis=-1, keepdims=True), 1e-12))


def _usual_constellation(objects: _Objects) -> Array:
    """Return the (n, 2) constellation that most others come nearest to when they are turned, sized and reordered."""
    shapes = _complex(objects.centres)
    starts = np.unique(np.linspace(0, len(shapes) - 1, _STARTS).round().astype(np.int64))
    likeness = [np.abs(shapes[:, objects.orders] @ shapes[start].conj()).max(axis=1) for start in starts]
    return np.asarray(objects.centres[starts[int(np.argmax(np.median(likeness, axis=1)))]])


def _laid_over(objects: _Objects, shape: Array, outline: Array | None) -> tuple[NDArray[np.int64], Array]:
    """Return for each object the best order (M, n) of its parts, and the (M, 9) affine view of `shape` that it is.

    The best one needs the least tilt, and fits an outline best where there is one; it mirrors nothing.
    """
    chosen, views = [], []
    for centres, box in zip(objects.centres, objects.box, strict=True):
        ordered = centres[objects.orders]
        # From the object's own order to that of the shape: the parts move, the shape stays.
        view = np.concatenate([affine(shape[None], one) for one in ordered])
        a, b, c, d = view[:, :4].T
        cost = np.where(a * d - b * c > 1e-6, np.square(tilts(view[:, :4]) / _TILT), np.inf)
        cost = cost + np.square((_seen(view, shape) - ordered) / _EDGE).sum(axis=(1, 2))
        if outline is not None:
            cost = cost + np.square((_edges(view, outline, np.zeros(len(view))) - box) / _EDGE).sum(axis=1)
        best = int(np.argmin(cost))
        chosen.append(objects.orders[best])
        views.append(view[best])
    return np.array(chosen), np.array(views)


def _seen(view: Array, points: Array) -> Array:
    return np.asarray(points @ view[:, :4].reshape(-1, 2, 2).transpose(0, 2, 1) + view[:, None, 4:6])


def _edges(view: Array, outline: Array, zoom: Array) -> Array:
    """Return the (M, 4) boxes round the outline: its centre and half axes (3, 2), these magnified by exp(zoom) (M,)."""
    middle = _seen(view, outline[:1])[:, 0]
    matrix = view[:, :4].reshape(-1, 2, 2)
    half = np.abs(outline[1:] @ matrix.transpose(0, 2, 1)).sum(axis=1) * np.exp(zoom)[:, None]
    return np.concatenate([middle - half, middle + half], axis=1)


def _mean_shape(objects: _Objects, order: NDArray[np.int64], view: Array, shape: Array) -> Array:
    """Return the (n, 2) mean of the constellations, each turned and sized as `shape` is; the less tilted count more."""
    ordered = np.take_along_axis(objects.centres, order[..., None], axis=1)
    turned, aim = _complex(ordered), _complex(shape)
    likeness = turned.conj() @ aim
    turned = turned * (likeness / np.maximum(np.abs(likeness), 1e-12))[:, None]
    weight = 1 / (0.1 + np.square(tilts(view[:, :4])))
    mean = (turned * weight[:, None]).sum(axis=0) / weight.sum()
    # As large as the shape was, and where it was: the outline is known from there.
    numbers = shape[:, 0] + 1j * shape[:, 1]
    mean = mean / max(float(np.linalg.norm(mean)), 1e-12) * np.linalg.norm(numbers - numbers.mean()) + numbers.mean()
    return np.stack([mean.real, mean.imag], axis=1)


def _outline(objects: _Objects, order: NDArray[np.int64], view: Array) -> Array:
    """Return the outline that fits the boxes best: its centre and half axes, (3, 2), in the frame of the shape.

    For an angle of the axes, edges are linear in the rest, and each angle is tried. Where objects are not turned, all
    angles fit about as well: then the outline is as straight as they are.
    """
    matrix = view[:, :4].reshape(-1, 2, 2)
    middle = (objects.box[:, :2] + objects.box[:, 2:]) / 2 - view[:, 4:6]
    centre = np.linalg.lstsq(matrix.reshape(-1, 2), middle.reshape(-1))[0]
    half = (objects.box[:, 2:] - objects.box[:, :2]).reshape(-1) / 2
    found = []
    for angle in np.radians(np.arange(0, 90, 1.0)):
        axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        reach = np.abs(np.einsum("mij,kj->mik", matrix, axes)).reshape(-1, 2)
        lengths = np.maximum(np.linalg.lstsq(reach, half)[0], 1e-3)
        found.append((float(np.abs(reach @ lengths - half).mean()), np.vstack([centre, axes * lengths[:, None]])))
    least, best = min(found, key=lambda one: one[0])
    near = [outline for misfit, outline in found if misfit <= _AS_WELL * least]
    straightest = max(near, key=lambda outline: _straightness(outline, view))
    return straightest if _straightness(straightest, view) > _STRAIGHT else best


def _straightness(outline: Array, view: Array) -> float:
    """Return how straight the outline lies in the views: the mean of cos(4 angle), 1 where upright or on a side."""
    return float(np.cos(4 * _turns(outline, view)).mean())


def _turns(outline: Array, view: Array) -> Array:
    """Return the (M,) angles of the outline's first half axis in the views, in radians, clockwise on the screen."""
    across = view[:, :4].reshape(-1, 2, 2) @ outline[1]
    return np.asarray(np.arctan2(across[:, 1], across[:, 0]))


def _misfits(objects: _Objects, view: Array, outline: Array) -> tuple[Array, Array]:
    """Return the (M,) mean distances of each box's edges to the outline's, and the (M,) best magnifications for it."""
    half = (objects.box[:, 2:] - objects.box[:, :2]) / 2
    edges = _edges(view, outline, np.zeros(len(view)))
    predicted = (edges[:, 2:] - edges[:, :2]) / 2
    zoom = _zoom(predicted, half)
    return np.abs(_edges(view, outline, zoom) - objects.box).mean(axis=1), zoom


def _zoom(predicted: Array, half: Array) -> Array:
    """Return the (M,) logarithms of the factors that bring half sides (M, 2) nearest to what they should be."""
    return np.asarray(np.log((half * predicted).sum(axis=1) / np.square(predicted).sum(axis=1)))


def _template(objects: _Objects, shape: Array, outline: Array, view: Array, zoom: Array) -> Template:
    """Return the layout in its own frame, the right way up."""
    outline = np.vstack([outline[0], outline[1:] * np.exp(np.median(zoom))])
    across, down = _right_way_up(shape, outline, view)
    width, height = 2 * np.linalg.norm(across), 2 * np.linalg.norm(down)
    axes = np.stack([across / np.linalg.norm(across), down / np.linalg.norm(down)])
    points = (shape - outline[0]) @ axes.T / height
    spread = max(float(np.median(np.abs(zoom - np.median(zoom))) * 1.4826), _LEAST_SPREAD)
    return Template(objects.labels, points, float(width / height), spread)


def _right_way_up(shape: Array, outline: Array, view: Array) -> tuple[Array, Array]:
    """Return the half axes to the right and down of an upright object.

    As it is in most pictures; where they do not agree (Rayleigh's test at 5 %), with the parts to the upper left.
    """
    first, second = outline[1], outline[2]
    ways = [(first, second), (second, -first), (-first, -second), (-second, first)]
    turns = [_turns(np.stack([outline[0], across, down]), view) for across, down in ways]
    upright = [float(np.cos(turn).sum()) for turn in turns]
    length = float(np.abs(np.exp(1j * turns[0]).sum()))
    if length**2 / len(view) > 3:
        return ways[int(np.argmax(upright))]
    mean = shape.mean(axis=0) - outline[0]
    return max(ways, key=lambda way: -float(mean @ (way[0] / np.linalg.norm(way[0]) + way[1] / np.linalg.norm(way[1]))))
