"""The pixels of Labelme's shapes: drawn as Labelme draws them, where a shape names pixels, else by pixel centres."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from annotations.drawn import Patch
from annotations.errors import AnnotationError
from annotations.labelme import read_labelme
from annotations.masks import mask_corner, mask_pixels
from annotations.patches import DrawnPatches, box_patch, empty_patch, tight, within
from annotations.shapes import Region, regions_of
from annotations.tables import BoxDataset

MOST_WORK = 1_000_000_000
"""Rows times points of one polygon, and its length, which Pillow's time grows with: about a quarter of a minute."""

_FAR = 16_384
"""Pixels outside the frame, at least, where a polygon is cut off."""

_POLYGONS = frozenset({"polygon", "oriented_rectangle", "rotation"})


def labelme_patches(dataset: BoxDataset, numbers: NDArray[np.int64]) -> Callable[[int], Sequence[Patch]]:
    """Return what gives the pixels of each box of an image row, in the order of the boxes, drawn when asked for.

    `numbers` are the (N,) boxes' places in their files' shapes. The files, below `dataset.root`, are read again.
    What it returns raises AnnotationError where a file is gone, or is no longer what it was.
    """
    order = np.argsort(dataset.annotations.image_row, kind="stable")
    rows = dataset.annotations.image_row[order]

    def patches(row: int) -> Sequence[Patch]:
        first, past = np.searchsorted(rows, [row, row + 1])
        if first == past:
            return []
        source = str(dataset.images.source[row])
        shapes = _shapes_of(dataset.root, source)
        wanted = numbers[order[first:past]].tolist()
        if max(wanted) >= len(shapes):
            raise AnnotationError(f"{source}: shapes must be those of a moment ago, got {len(shapes)}")
        width, height = int(dataset.images.width[row]), int(dataset.images.height[row])
        return DrawnPatches(lambda place: shape_patch(shapes[wanted[place]], width, height), len(wanted))

    return patches


def shape_patch(shape: Mapping[str, Any], width: int, height: int) -> Patch:
    """Return the pixels of a Labelme shape in a frame of `width` x `height` pixels; of 0 x 0 where it has none there.

    A polygon (an oriented rectangle, a rotation) is drawn as Labelme draws it: each point names the pixel that it lies
    in, and the outline through those pixels belongs to it. A mask is its set pixels. A rectangle and a circle, whose
    box is exact, are the pixels whose centres lie inside.

    Raises:
        AnnotationError: the shape has no area, is corrupt, or would take too long to draw.

    Source: Labelme's export draws polygons with Pillow's ImageDraw.polygon, outline and inside; its own examples and
    the 169 pictures of DSB 2018 (polygons through the outermost pixels) come out to the pixel.
    """
    regions = regions_of([shape], [])
    if not regions:
        raise AnnotationError("shape must have an area, got none")
    region, points = regions[0], shape["points"]
    if region.shape_type == "mask":
        left, top = mask_corner(float(points[0][0]), float(points[0][1]))
        return within(tight(mask_pixels(shape["mask"]), left, top), width, height)
    if not (region.xmin < width and region.ymin < height and region.xmax > 0 and region.ymax > 0):
        return empty_patch()
    if region.shape_type in _POLYGONS:
        return polygon_patch(np.array(points, np.float64), width, height)
    if region.shape_type == "circle":
        return _circle_patch(region, float(points[0][0]), float(points[0][1]), width, height)
    return box_patch(region[2:6], width, height)


def polygon_patch(points: NDArray[np.float64], width: int, height: int) -> Patch:
    """Return the pixels of a polygon of (N, 2) points, as `shape_patch` says.

    Raises:
        AnnotationError: it has too many points for its height, or is too long.
    """
    near = _near(points, width, height)
    if not len(near):
        return empty_patch()
    left, top = np.maximum(np.trunc(near.min(axis=0)), 0).astype(np.int64).tolist()
    right, bottom = np.minimum(np.trunc(near.max(axis=0)) + 1, [width, height]).astype(np.int64).tolist()
    if right <= left or bottom <= top:
        return empty_patch()
    length = np.abs(near - np.roll(near, -1, axis=0)).max(axis=1).sum()
    if len(near) * (bottom - top) + length > MOST_WORK:
        got = f"{len(near):,} points in {bottom - top:,} rows, {length:,.0f} pixels long"
        raise AnnotationError(f"polygon must take at most {MOST_WORK:,} steps to draw, got {got}")
    # From the frame's own origin: Pillow rounds otherwise, here and there, where a polygon is moved.
    canvas = Image.new("L", (right, bottom))
    ImageDraw.Draw(canvas).polygon([(x, y) for x, y in near.tolist()], fill=1, outline=1)
    return Patch(left, top, np.asarray(canvas.crop((left, top, right, bottom))).view(np.bool_))


def _circle_patch(region: Region, x: float, y: float, width: int, height: int) -> Patch:
    box = box_patch(region[2:6], width, height)
    rows, columns = box.pixels.shape
    across = np.arange(box.left, box.left + columns) + 0.5 - x
    down = np.arange(box.top, box.top + rows) + 0.5 - y
    # Not of squares, which overflow.
    pixels = np.hypot(down[:, None], across[None, :]) <= (region.xmax - region.xmin) / 2
    return Patch(box.left, box.top, pixels) if pixels.size > 1 else box


def _near(points: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """Return the polygon, cut off far outside the frame: Pillow walks along each line, pixel by pixel.

    What lies inside may move by a pixel then, as lines begin elsewhere.

    Source: Sutherland & Hodgman 1974, "Reentrant polygon clipping".
    """
    beyond = float(max(width, height, _FAR))
    for axis, size in enumerate((width, height)):
        for sign, limit in ((-1.0, beyond), (1.0, size + beyond)):
            points = _cut(points, axis, sign, limit)
    return points


def _cut(points: NDArray[np.float64], axis: int, sign: float, limit: float) -> NDArray[np.float64]:
    """Return what of a polygon has `sign` times its coordinate at most `limit`."""
    depth = limit - sign * points[:, axis]
    inside = depth >= 0
    if inside.all():
        return points
    after, depth_after = np.roll(points, -1, axis=0), np.roll(depth, -1)
    crosses = inside != np.roll(inside, -1)
    along = np.divide(depth, depth - depth_after, out=np.zeros_like(depth), where=crosses)
    crossing = points + along[:, None] * (after - points)
    crossing[:, axis] = sign * limit  # exactly, wherever the corners are
    kept = np.stack([inside, crosses], axis=1).ravel()
    cut: NDArray[np.float64] = np.stack([points, crossing], axis=1).reshape(-1, 2)[kept]
    return cut


def _shapes_of(root: Path, source: str) -> Sequence[Mapping[str, Any]]:
    try:
        document = read_labelme(root / source)
    except AnnotationError as error:
        raise AnnotationError(f"{source}: {error}") from error
    if document is None:
        raise AnnotationError(f"{source}: file must be the Labelme file of a moment ago, got JSON of another kind")
    shapes: Sequence[Mapping[str, Any]] = document["shapes"]
    return shapes
