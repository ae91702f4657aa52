"""The object table: one row an object of a label image, with its place, size, intensity and score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from annotations.errors import UsageError
from evaluation.label_overlaps import Labels, check_labels, check_same_size

_AXES = ("z", "y", "x")


@dataclass(frozen=True, slots=True, eq=False)
class ObjectTable:
    """The (N,) objects of a label image, by ascending label; axes are in the order of the array: (z,) y, x.

    `centroid` (N, axes) pixels, the mean of pixel centres, where the first pixel's centre is at 0. `low` and `high` (N,
    axes) pixels: the box, half-open. `size` pixels (voxels), `physical_size` the same in `unit` squared (cubed), which
    is size x the product of `spacing` (one length a pixel for each axis); NaN without a unit. `mean_intensity` and
    `max_intensity` are of the picture under the object, `score` is how sure its prediction is: NaN where that is not
    known.
    """

    spacing: tuple[float, ...]
    unit: str
    label: NDArray[np.int64]
    centroid: NDArray[np.float64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    size: NDArray[np.int64]
    mean_intensity: NDArray[np.float64]
    max_intensity: NDArray[np.float64]
    score: NDArray[np.float64]

    def __post_init__(self) -> None:
        rows, axes = len(self.label), len(self.spacing)
        for name, dtype, shape in (
            ("label", np.int64, (rows,)),
            ("centroid", np.float64, (rows, axes)),
            ("low", np.int64, (rows, axes)),
            ("high", np.int64, (rows, axes)),
            ("size", np.int64, (rows,)),
            ("mean_intensity", np.float64, (rows,)),
            ("max_intensity", np.float64, (rows,)),
            ("score", np.float64, (rows,)),
        ):
            object.__setattr__(self, name, column("ObjectTable", name, getattr(self, name), dtype, shape))

    def __len__(self) -> int:
        return len(self.label)

    @property
    def physical_size(self) -> NDArray[np.float64]:
        """Return the (N,) areas (volumes) in `unit` squared (cubed); NaN without a unit."""
        return np.asarray(self.size * (np.prod(self.spacing) if self.unit else np.nan))

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one row an object, as a CSV or JSON file holds it; None where something is not known."""
        columns: list[NDArray[Any]] = [
            self.label,
            *self.centroid.T[::-1],
            *self.low.T[::-1],
            *self.high.T[::-1],
            self.size,
        ]
        columns += [self.physical_size, self.mean_intensity, self.max_intensity, self.score]
        names = column_names(len(self.spacing))
        rows = zip(*(values.tolist() for values in columns), strict=True)
        # NaN alone is not equal to itself.
        known = ([value if value == value else None for value in row] for row in rows)
        unit = f"{self.unit}^{len(self.spacing)}" if self.unit else None
        return [dict(zip(names, (*row, unit), strict=True)) for row in known]


def object_table(
    labels: Labels,
    intensity: NDArray[np.integer] | NDArray[np.floating] | None = None,
    *,
    spacing: Sequence[float] | None = None,
    unit: str = "",
    scores: Mapping[int, float] | None = None,
) -> ObjectTable:
    """Return the table of the objects of `labels` (H, W) or (D, H, W).

    `intensity` is the picture, of the same shape; `spacing` the length of a pixel along each axis, (z,) y, x, in
    `unit` (um, say; none is known without it); `scores` gives labels their scores.

    Raises:
        AnnotationError: the picture has another size.
        UsageError: there is not one spacing above 0 for each axis.
        ValueError: the array is no label image.
    """
    check_labels("labels", labels)
    if labels.ndim not in (2, 3):
        raise ValueError(f"labels must have 2 or 3 axes, got {labels.ndim}")
    lengths = _checked_spacing(spacing, labels.ndim)
    if intensity is not None:
        check_same_size(labels.shape, intensity.shape, truth_name="the label image", name="picture")
    runs = _foreground_runs(labels)
    known, place = np.unique(runs.label, return_inverse=True)
    size = np.bincount(place, runs.length, len(known)).astype(np.int64)
    sums = [np.bincount(place, total, len(known)) for total in runs.coordinate_sums]
    mean, most = _intensities(runs, place, size, intensity)
    given = scores or {}
    return ObjectTable(
        spacing=lengths,
        unit=unit,
        label=known,
        centroid=np.stack(sums, axis=1) / size[:, None],
        low=_extremes(np.minimum, place, runs.first, len(known)),
        high=_extremes(np.maximum, place, runs.last, len(known)) + 1,
        size=size,
        mean_intensity=mean,
        max_intensity=most,
        score=np.array([given.get(label, np.nan) for label in known.tolist()], np.float64),
    )


def column_names(axes: int) -> list[str]:
    """Return the names of a table's columns; x first, and of boxes all lows, then all highs, as in our other tables."""
    names = _AXES[-axes:][::-1]
    boxes = [f"{axis}{end}" for end in ("min", "max") for axis in names]
    centroids = [f"centroid_{axis}" for axis in names]
    return ["label", *centroids, *boxes, "size", "physical_size", "mean_intensity", "max_intensity", "score", "unit"]


def _checked_spacing(spacing: Sequence[float] | None, axes: int) -> tuple[float, ...]:
    lengths = tuple(float(length) for length in spacing) if spacing is not None else (1.0,) * axes
    if len(lengths) != axes or not all(0 < length < np.inf for length in lengths):
        raise UsageError(f"spacing must be {axes} lengths above 0, got {lengths}")
    return lengths


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Runs of one label along the last axis: `start` in the flat picture, `length`, and the run's (axes, R) first and
    last coordinates."""

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    label: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @property
    def coordinate_sums(self) -> NDArray[np.float64]:
        """Return the (axes, R) sums of each coordinate over the run's pixels."""
        # Along the run coordinates rise by 1, across it first and last are the same.
        return np.asarray((self.first + self.last) * self.length / 2)


def _foreground_runs(labels: Labels) -> _Runs:
    flat, width = labels.reshape(-1), labels.shape[-1]
    starts = np.zeros(len(flat), np.bool_)
    if len(flat):
        np.not_equal(flat[1:], flat[:-1], out=starts[1:])
        starts[::width] = True
    start = np.flatnonzero(starts)
    length = np.diff(start, append=len(flat))
    inside = flat[start] != 0
    start, length = start[inside], length[inside]
    first = np.stack(np.unravel_index(start, labels.shape)).astype(np.int64)
    last = first.copy()
    last[-1] += length - 1
    return _Runs(start, length, flat[start].astype(np.int64), first, last)


def _extremes(pick: np.ufunc, place: NDArray[np.int64], values: NDArray[np.int64], objects: int) -> NDArray[np.int64]:
    """Return the (objects, axes) least or greatest of (axes, R) `values` of each object."""
    if not objects:
        return np.zeros((0, len(values)), np.int64)
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(objects))
    return np.asarray(pick.reduceat(values[:, order], bounds, axis=1).T, np.int64)


def _intensities(
    runs: _Runs, place: NDArray[np.int64], size: NDArray[np.int64], intensity: NDArray[Any] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (N,) mean and greatest intensity of each object; NaN without a picture."""
    if intensity is None:
        return np.full(len(size), np.nan), np.full(len(size), np.nan)
    if not len(size):
        return np.zeros(0), np.zeros(0)
    flat = intensity.reshape(-1)
    # reduceat also reduces from a run's end to the next one's start: every second result is of a run. The last run may
    # end where the picture does, where no index is allowed.
    bounds = np.stack([runs.start, runs.start + runs.length], axis=1).reshape(-1)
    bounds = bounds[:-1] if bounds[-1] == len(flat) else bounds
    total = np.add.reduceat(flat, bounds, dtype=np.float64)[::2]
    highest = np.maximum.reduceat(flat, bounds)[::2].astype(np.float64)
    most = np.full(len(size), -np.inf)
    np.maximum.at(most, place, highest)
    return np.bincount(place, total, len(size)) / size, most
