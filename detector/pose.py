"""How an object lies in a picture, from where its parts are: a known layout of parts, and its likeliest view.

The layout (`Template`) is flat: its parts' centres lie on a rectangle, the object's outline. A view of it is a
homography, fitted to the centres of the detected parts and to the edges of the detected box, which the outline must
touch from within. Three centres alone fix an affine view; box and prior decide on the rest, and how far the outline
reaches beyond the parts (a QR code of another version has its finder patterns elsewhere).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from annotations.tables import Boxes

Array = NDArray[np.float64]
LEAST_PARTS: Final = 3
"""Fewer centres fix no view."""
_MOST_WAYS: Final = 720
"""Ways to give a layout's places to parts that are tried; a layout with more is none that can be read off."""

_CENTRE_ERROR: Final = 0.02
"""Standard deviations, in sizes of the object: of a detected part's centre,"""
_EDGE_ERROR: Final = 0.025
"""of an edge of a detected box;"""
_TILT: Final = 0.25
"""of how much a view is narrower one way than the other;"""
_DEPTH: Final = 0.12
"""and of how much nearer, in distances of the camera, one side is than the middle."""
_ROUNDS: Final = 8
_STEP: Final = 1e-5
_CORNERS: Final = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The layout of an object: the class of each part, and the (n, 2) places of the parts in the outline.

    The outline is 1 high and `aspect` wide, with its centre at (0, 0), x to the right and y down. `zoom_spread` is the
    standard deviation of the logarithm of the outline's size from object to object, the parts staying where they are.
    """

    labels: tuple[str, ...]
    points: Array
    aspect: float
    zoom_spread: float

    @property
    def corners(self) -> Array:
        """Return the (4, 2) corners of the outline, clockwise on the screen from the upper left."""
        return np.asarray(_CORNERS * [self.aspect, 1.0])

    def to_json(self) -> dict[str, Any]:
        """Return the template as JSON holds it."""
        return {
            "parts": list(self.labels),
            "points": np.round(self.points, 5).tolist(),
            "aspect": round(self.aspect, 5),
            "zoom_spread": round(self.zoom_spread, 5),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the template that `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: `values` are others.
        """
        labels, points = tuple(map(str, values["parts"])), np.array(values["points"], np.float64)
        aspect, spread = float(values["aspect"]), float(values["zoom_spread"])
        if points.shape != (len(labels), 2) or not np.isfinite(points).all() or not (aspect > 0 and spread > 0):
            raise ValueError(f"points must be one (x, y) a part, got {points.shape} for {len(labels)}")
        return cls(labels, points, aspect, spread)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """An object as it was seen: its `box` (4,) xyxy pixels, the part `labels`, and their `centres` (m, 2) in pixels.

    `cut` (4,) marks edges of the box that are the picture's own: the object may reach beyond them.
    """

    box: Array
    labels: tuple[str, ...]
    centres: Array
    cut: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """How an object lies in the picture.

    `homography` (3, 3) takes the unit square, upper left (0, 0) and lower right (1, 1), to the outline in the picture's
    pixels; `corners` (4, 2) are the outline's, clockwise on the screen from the object's own upper left. `turn` is the
    angle in degrees, -180 to 180, clockwise on the screen, of its upper edge; `parts` says from how many it was worked
    out; `error` is the root mean square distance of centres and edges to what the pose says, in sizes of the object,
    and `cost` the sum of all squared errors in standard deviations, the unlikelihood of the view among them.
    """

    homography: Array
    corners: Array
    turn: float
    parts: int
    error: float
    cost: float


def ways(labels: Sequence[str], template: Template) -> NDArray[np.int64]:
    """Return the (W, m) ways to give parts of these classes the places of a template; none where it has too few."""
    tried = permutations(range(len(template.labels)), len(labels)) if len(labels) <= len(template.labels) else iter(())
    fitting = [way for way in tried if all(template.labels[s] == own for s, own in zip(way, labels, strict=True))]
    return np.array(fitting, np.int64).reshape(-1, len(labels))


def can_be_read(labels: Sequence[str]) -> bool:
    """Return whether a layout of parts of these classes has enough of them, and not too many ways to place them."""
    alike = [sum(1 for other in labels if other == name) for name in sorted(set(labels))]
    ways_in_all = np.prod([float(np.prod(np.arange(1, count + 1))) for count in alike])
    return len(labels) >= LEAST_PARTS and len(labels) <= 8 and bool(ways_in_all <= _MOST_WAYS)


def pose(view: View, template: Template) -> Pose | None:
    """Return the likeliest pose of an object that is not mirrored, or None: too few parts, or no such layout."""
    if len(view.labels) < LEAST_PARTS:
        return None
    order = ways(view.labels, template)
    size = float(np.sqrt((view.box[2:] - view.box[:2]).prod()))
    if not len(order) or not size > 0:
        return None
    middle = (view.box[:2] + view.box[2:]) / 2
    seen = _Seen((view.centres - middle) / size, (view.box - np.tile(middle, 2)) / size, ~view.cut, template)
    points = template.points[order]
    points = points[_not_mirrored(affine(points, seen.centres))]
    if not len(points):
        return None
    values, cost = _fitted(seen, points)
    best = int(np.argmin(cost))
    error = seen.misfit(values[best], points[best])
    return _pose(values[best], template, middle, size, len(view.labels), error, float(cost[best]))


def _not_mirrored(values: Array) -> NDArray[np.bool_]:
    a, b, c, d = values[:, :4].T
    return np.asarray(a * d - b * c > 1e-6)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What a view is fitted to, in sizes of the object from its box's middle: (m, 2) centres and the (4,) box."""

    centres: Array
    box: Array
    edges: NDArray[np.bool_]
    template: Template

    def errors(self, values: Array, points: Array) -> tuple[Array, Array]:
        """Return (W, m, 2) and (W, 4) how far centres and edges are from what views (W, 9) of points say."""
        corners = _seen_at(values, self.template.corners * np.exp(values[:, 8])[:, None, None])
        edges = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        return _seen_at(values, points) - self.centres, np.where(self.edges, edges - self.box, 0.0)

    def residuals(self, values: Array, points: Array) -> Array:
        """Return the (W, R) errors of views in standard deviations, those of the view itself after the rest."""
        centres, edges = self.errors(values, points)
        flat, zoom = centres.reshape(len(values), -1) / _CENTRE_ERROR, values[:, 8:] / self.template.zoom_spread
        tilt, lean = tilts(values[:, :4])[:, None] / _TILT, values[:, 6:8] / _DEPTH
        return np.concatenate([flat, edges / _EDGE_ERROR, tilt, lean, zoom], axis=1)

    def misfit(self, values: Array, points: Array) -> float:
        """Return the root mean square distance of centres and edges to what one view (9,) says."""
        centres, edges = self.errors(values[None], points[None])
        squares = [*np.square(centres).sum(axis=-1).ravel(), *np.square(edges[0][self.edges])]
        return float(np.sqrt(np.mean(squares)))


def tilts(matrix: Array) -> Array:
    """Return the (W,) differences of the two stretches of (W, 4) matrices (rows a b, c d) over their mean's size.

    A turned and magnified picture has none. Source: the singular values of a 2 x 2 matrix are the sum and the
    difference of the norms of its parts that turn and that mirror.
    """
    a, b, c, d = matrix.T
    size = np.sqrt(np.maximum(np.abs(a * d - b * c), 1e-6))
    return np.asarray(np.hypot(a - d, b + c) / 2 / size)


def _seen_at(values: Array, points: Array) -> Array:
    """Return the (W, k, 2) pictures of points (W, k, 2) under views (W, 9)."""
    matrix, shift, lean = values[:, :4].reshape(-1, 2, 2), values[:, 4:6], values[:, 6:8]
    depth = 1 + (points * lean[:, None]).sum(axis=-1, keepdims=True)
    return np.asarray((points @ matrix.transpose(0, 2, 1) + shift[:, None]) / np.maximum(depth, 0.2))


def _fitted(seen: _Seen, points: Array) -> tuple[Array, Array]:
    """Return the (W, 9) likeliest views for parts at `points` (W, m, 2), and their costs.

    Source: Levenberg 1944 and Marquardt 1963, damped least squares, from the affine view of the centres.
    """
    values = affine(points, seen.centres)
    damping = np.full(len(values), 1e-3)
    residual = seen.residuals(values, points)
    cost = np.square(residual).sum(axis=1)
    for _ in range(_ROUNDS):
        slopes = np.stack(
            [(seen.residuals(values + _STEP * unit, points) - residual) / _STEP for unit in np.eye(9)], axis=2
        )
        normal = slopes.transpose(0, 2, 1) @ slopes
        diagonal = np.einsum("wii->wi", normal)
        damped = normal + np.eye(9) * (damping[:, None] * diagonal + 1e-9)[:, None, :]
        step = np.linalg.solve(damped, -(slopes.transpose(0, 2, 1) @ residual[..., None]))[..., 0]
        trial = values + step
        new = seen.residuals(trial, points)
        better = np.square(new).sum(axis=1) < cost
        values = np.where(better[:, None], trial, values)
        residual = np.where(better[:, None], new, residual)
        cost = np.square(residual).sum(axis=1)
        damping = np.where(better, damping / 10, damping * 10)
    return values, cost


def affine(points: Array, centres: Array) -> Array:
    """Return the (W, 9) affine views that take points (W, m, 2) nearest to the centres (m, 2).

    A view holds a matrix (a, b, c, d), a shift, how the depth grows along x and y, and the outline's magnification as
    a logarithm; an affine one has 0 for the last three.
    """
    ones = np.ones((*points.shape[:2], 1))
    solution = np.linalg.pinv(np.concatenate([points, ones], axis=2)) @ centres
    values = np.zeros((len(points), 9))
    values[:, :4] = solution[:, :2].transpose(0, 2, 1).reshape(-1, 4)
    values[:, 4:6] = solution[:, 2]
    return values


def _pose(values: Array, template: Template, middle: Array, size: float, parts: int, error: float, cost: float) -> Pose:
    """Return the pose of a view (9,) that was fitted in sizes of the object from the middle of its box."""
    outline = template.corners * np.exp(values[8])
    corners = _seen_at(values[None], outline[None])[0] * size + middle
    view = np.array([[*values[0:2], values[4]], [*values[2:4], values[5]], [*values[6:8], 1.0]])
    width, height = outline[2] - outline[0]
    from_square = np.array([[width, 0, outline[0, 0]], [0, height, outline[0, 1]], [0, 0, 1.0]])
    to_picture = np.array([[size, 0, middle[0]], [0, size, middle[1]], [0, 0, 1.0]])
    homography = to_picture @ view @ from_square
    upper = corners[1] - corners[0]
    turn = float(np.degrees(np.arctan2(upper[1], upper[0])))
    return Pose(homography / homography[2, 2], corners, turn, parts, error, cost)


def view_of(box: Array, parts: Boxes, labels: Sequence[str], size: tuple[int, int]) -> View:
    """Return the view of an object with this box (4,) and the boxes of its `parts` (m, 4), all xyxy pixels.

    `size` is width and height of the picture.
    """
    edges = np.array([0.0, 0.0, *size])
    cut = np.abs(box - edges) < 1e-3 * np.tile(np.array(size, np.float64), 2)
    return View(box, tuple(labels), (parts[:, :2] + parts[:, 2:]) / 2, cut)
