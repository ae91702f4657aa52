"""The outlines of a dataset's objects, as far as it knows them: from label images of instances, or of circles."""

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.drawn import Patch
from annotations.errors import AnnotationError
from annotations.label_images import Patches, dataset_patches, rows_by_image
from annotations.tables import BoxDataset
from detector.augment_warp import corner_outlines, round_outlines


class Outline(NamedTuple):
    """Convex outlines (N, K, 2) of one image's boxes, normalised; `known` tells that no box stands for one."""

    points_rel: NDArray[np.float64]
    known: bool


@dataclass(frozen=True, slots=True)
class Outlines:
    """Called with an image row, gives the outlines of its boxes, in their order; called from several threads.

    Polygons are in the dataset only as label images (`ppnlab convert --masks instance`). Other shapes than circles
    have their box's corners without one.
    """

    data: BoxDataset
    _rows: tuple[NDArray[np.int64], NDArray[np.int64]] = field(init=False, repr=False)
    _patches: Patches | None = field(init=False, repr=False)
    _kept: dict[int, Outline] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", rows_by_image(self.data.images, self.data.annotations))
        object.__setattr__(self, "_patches", dataset_patches(self.data))

    def __call__(self, row: int) -> Outline:
        """Return the outlines of an image row's boxes."""
        # Two threads may both find one; it is the same.
        if row not in self._kept:
            self._kept[row] = self._found(row)
        return self._kept[row]

    def _found(self, row: int) -> Outline:
        order, first = self._rows
        boxes = self.data.annotations.take(order[first[row] : first[row + 1]])
        sides = np.array([self.data.images.width[row], self.data.images.height[row]], np.float64)
        xyxy_rel, is_round = boxes.xyxy_rel, boxes.shape_type == "circle"
        hulls = self._hulls(row, xyxy_rel * np.tile(sides, 2))
        outlines = [
            round_outlines(box[None])[0] if circle else corner_outlines(box[None])[0] if hull is None else hull / sides
            for box, circle, hull in zip(xyxy_rel, is_round.tolist(), hulls, strict=True)
        ]
        known = all(circle or hull is not None for circle, hull in zip(is_round.tolist(), hulls, strict=True))
        return Outline(_padded(outlines), known)

    def _hulls(self, row: int, xyxy: NDArray[np.float64]) -> list[NDArray[np.float64] | None]:
        if self._patches is None or not len(xyxy):
            return [None] * len(xyxy)
        try:
            patches = self._patches(row)
        except AnnotationError:
            # Without its label image an image is one of boxes.
            return [None] * len(xyxy)
        return [_hull(patch, box) for patch, box in zip(patches, xyxy, strict=True)]


def _hull(patch: Patch, box: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the (K, 2) convex hull of an object's pixels, fitted into its box (4,), or None where it has none."""
    rows, columns = np.nonzero(patch.pixels)
    if not len(rows):
        return None
    corners = np.concatenate([np.stack([columns + x, rows + y], axis=1) for x in (0, 1) for y in (0, 1)])
    hull = cv2.convexHull(corners.astype(np.int32))[:, 0].astype(np.float64)
    low, high = hull.min(axis=0), hull.max(axis=0)
    # An outline is drawn through the pixels that its points lie in: up to a pixel beside the box, which is the truth.
    return np.asarray(box[:2] + (hull - low) * (box[2:] - box[:2]) / (high - low))


def _padded(outlines: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the outlines as one (N, K, 2) array; shorter ones stay at their last point, which adds nothing."""
    most = max(map(len, outlines), default=4)
    rows = [np.concatenate([one, np.repeat(one[-1:], most - len(one), axis=0)]) for one in outlines]
    return np.array(rows, np.float64).reshape(len(outlines), most, 2)
