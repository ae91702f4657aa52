"""Labelme's shapes to boxes: the envelope of what was drawn, in pixels, corners in order, clipped to the frame."""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from annotations.notes import FileRefused, Note, is_plain, shown

MOST_SHAPES = 100_000
"""Shapes in one file; no annotated photograph has as many, and a file with more would hold up the others."""
LONGEST_LABEL = 1000
"""Letters."""
LARGEST_GROUP = 10**18
"""A group_id is smaller than this, and larger than its negative."""

_LONGEST_GROUP = 40
_OVERSHOOT = 1e-6
"""Pixels; what reaches this little outside the frame is rounding, and clipped without a word."""

POINT_COUNTS: Mapping[str, tuple[int, ...]] = {
    "rectangle": (2, 4),
    "circle": (2,),
    "oriented_rectangle": (4,),
    "rotation": (4,),
    "mask": (2,),
}
"""How many points a shape of this type has; a polygon has any number from LEAST_OF_POLYGON.

Source: labelme 7's reader; X-AnyLabeling for rectangles of four points and for rotation.
"""
LEAST_OF_POLYGON = 3
UNTYPED = "polygon"
"""The type of a shape without one: Labelme 3.4 to 5.8 wrote none for a polygon."""

_NO_AREA = frozenset({"point", "points", "line", "linestrip"})


class Region(NamedTuple):
    """A shape with an area: label, group ("" for none), box in pixels, type, and its number in the file (from 0).

    `place_form` is how its file numbers what it holds; findings name the shape so.
    """

    label: str
    group_id: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    shape_type: str
    number: int
    place_form: str = "shapes[{}]"

    @property
    def place(self) -> str:
        """Return the shape's name in a finding."""
        return self.place_form.format(self.number)


def _place(index: int) -> str:
    return f"shapes[{index}]"


def regions_of(shapes: list[Any], notes: list[Note]) -> list[Region]:
    """Return the shapes that have an area, in their order; the others are noted.

    Raises:
        FileRefused: a shape's label, type or coordinates are corrupt: a file that silently lost one box would teach
            a detector that nothing is there.
    """
    if len(shapes) > MOST_SHAPES:
        raise FileRefused("bad-file", f"shapes must be at most {MOST_SHAPES:,}, got {len(shapes):,}")
    regions: list[Region] = []
    inverted = 0
    index = 0
    try:
        for index, shape in enumerate(shapes):
            region = _region(shape, index, notes)
            if region is not None:
                regions.append(region)
                inverted += region.shape_type == "rectangle" and _is_inverted(region, shape["points"])
    except FileRefused as error:
        raise FileRefused(error.note.code, error.note.message, f"shapes[{index}]") from error
    if inverted:
        notes.append(inverted_note(inverted, len(shapes)))
    return regions


@cache
def inverted_note(inverted: int, shapes: int) -> Note:
    """Return the note that so many of a file's shapes are rectangles drawn from another corner than the top left."""
    message = f"{inverted} of {shapes} shapes are rectangles not drawn from the top left; put in order"
    return Note("inverted-corners", "", message)


def _is_inverted(region: Region, points: list[Any]) -> bool:
    return len(points) == 2 and (points[0][0] != region.xmin or points[0][1] != region.ymin)


def _region(shape: object, index: int, notes: list[Note]) -> Region | None:
    if not isinstance(shape, dict):
        raise FileRefused("bad-shape", f"shape must be an object, got {shown(shape)}")
    label = shape.get("label")
    if not isinstance(label, str) or not label or not is_plain(label, LONGEST_LABEL):
        raise FileRefused("bad-shape", f"label must be a text, got {shown(label)}")
    shape_type = shape.get("shape_type")
    if shape_type is None:
        shape_type = UNTYPED
    if not isinstance(shape_type, str):
        raise FileRefused("bad-shape", f"shape_type must be a text, got {shown(shape_type)}")
    box = _box(shape, shape_type, index, notes)
    if box is None:
        return None
    group_id = shape.get("group_id")
    group = "" if group_id is None else _group(group_id, index, notes)
    return Region(label, group, *box, shape_type, index)


def _box(
    shape: Mapping[str, Any], shape_type: str, index: int, notes: list[Note]
) -> tuple[float, float, float, float] | None:
    xs, ys = _coordinates(shape.get("points"))
    if shape_type in _NO_AREA or (shape_type == "polygon" and len(xs) < LEAST_OF_POLYGON):
        notes.append(Note("no-area-shape", _place(index), f"a {shape_type} of {len(xs)} points has no area; dropped"))
        return None
    if shape_type != "polygon":
        counts = POINT_COUNTS.get(shape_type)
        if counts is None:
            notes.append(
                Note("unsupported-shape", _place(index), f"shape_type {shown(shape_type)} has no box; dropped")
            )
            return None
        if len(xs) not in counts:
            wanted = " or ".join(map(str, counts))
            raise FileRefused("bad-points", f"points of a {shape_type} must be {wanted}, got {len(xs)}")
    if shape_type == "mask":
        from annotations.masks import mask_extent  # few files have masks, and OpenCV is slow to load

        extent = mask_extent(shape.get("mask"), xs[0], ys[0])
        if extent is None:
            notes.append(Note("zero-area", _place(index), "mask must have a pixel, got none; dropped"))
        return extent
    if shape_type == "circle":
        radius = math.hypot(xs[1] - xs[0], ys[1] - ys[0])
        return xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius
    return min(xs), min(ys), max(xs), max(ys)


def _coordinates(points: object) -> tuple[list[float], list[float]]:
    if not isinstance(points, list) or not points:
        raise FileRefused("bad-points", f"points must be a list of [x, y], got {shown(points)}")
    xs: list[float] = []
    ys: list[float] = []
    for place, point in enumerate(points):
        if type(point) is not list or len(point) != 2 or not (_is_number(point[0]) and _is_number(point[1])):
            raise FileRefused("bad-points", f"points[{place}] must be two finite numbers, got {shown(point)}")
        xs.append(float(point[0]))
        ys.append(float(point[1]))
    return xs, ys


def _is_number(value: object) -> bool:
    if type(value) is float:
        return math.isfinite(value)
    # An integer beyond the largest float is none.
    return type(value) is int and abs(value) < 10**300


def _group(group_id: object, index: int, notes: list[Note]) -> str:
    if type(group_id) is int and abs(group_id) < LARGEST_GROUP:
        return str(group_id)
    group = ""
    if isinstance(group_id, float) and group_id.is_integer() and abs(group_id) < 10**15:
        group = str(int(group_id))
    elif isinstance(group_id, str) and is_plain(group_id, _LONGEST_GROUP):
        group = group_id.strip()
    done = f"read as {group}" if group else "left out"
    notes.append(
        Note("odd-group", _place(index), f"group_id must be an integer or null, got {shown(group_id)}; {done}")
    )
    return group


def inside_frame(region: Region, width: int, height: int, notes: list[Note]) -> Region | None:
    """Return the region clipped to the frame of `width` x `height` pixels, or None where it has no area there."""
    xmin, ymin, xmax, ymax = region[2:6]
    if xmin >= 0.0 and ymin >= 0.0 and xmax <= width and ymax <= height:
        clipped = region
    else:
        clipped = _clipped(region, width, height)
    # Divided as the file holds it: a box far thinner than a pixel can lose its area there.
    if clipped.xmin / width < clipped.xmax / width and clipped.ymin / height < clipped.ymax / height:
        if _overshoot(region, width, height) > _OVERSHOOT:
            message = f"box {_corners(region)} clipped to the image, {width} x {height}"
            notes.append(Note("clipped", region.place, message))
        return clipped
    got = f"got {_corners(region)}; dropped"
    if clipped is region or not (xmin < xmax and ymin < ymax):
        notes.append(Note("zero-area", region.place, f"box must have an area, {got}"))
    else:
        notes.append(Note("outside", region.place, f"box must meet the image, {width} x {height}, {got}"))
    return None


def _clipped(region: Region, width: int, height: int) -> Region:
    return region._replace(
        xmin=min(max(region.xmin, 0.0), float(width)),
        ymin=min(max(region.ymin, 0.0), float(height)),
        xmax=min(max(region.xmax, 0.0), float(width)),
        ymax=min(max(region.ymax, 0.0), float(height)),
    )


def _overshoot(region: Region, width: int, height: int) -> float:
    return max(-region.xmin, -region.ymin, region.xmax - width, region.ymax - height)


def _corners(region: Region) -> str:
    return f"[{region.xmin:.6g}, {region.ymin:.6g}, {region.xmax:.6g}, {region.ymax:.6g}]"
