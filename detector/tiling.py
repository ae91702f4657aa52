"""Large pictures in overlapping tiles, at several scales, and the boxes of the tiles made those of the picture."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.box_overlaps import iou
from annotations.errors import UsageError
from annotations.tables import Boxes

Scales = Literal["all", "whole", "tiles"]
LEAST_TILE: Final = 32
LEAST_OVERLAP: Final = 0.1
MOST_OVERLAP: Final = 0.75
_WORTH: Final = 1.5
"""A scale between the tiles' and the whole picture's is left out where the whole is not so many times larger."""
_EDGE: Final = 0.01
"""Share of a tile's side: a box that ends so near an edge within the picture is taken to be cut there."""
_AGREE: Final = 0.5
"""IoU, in what two tiles have in common, from which their boxes show one object."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a large picture is cut; `size` is a tile's width in the picture's pixels, 0: the network's input.

    `overlap` is the least share of a tile that its neighbour has too: an object up to that size lies whole in one of
    them. `scales` says at which sizes the picture is looked at: `tiles` only, the `whole` picture too, or `all`
    halvings in between as well, at one of which an object of any size is whole.
    """

    size: int = 0
    overlap: float = 0.25
    scales: Scales = "all"

    def __post_init__(self) -> None:
        if self.size and self.size < LEAST_TILE:
            raise UsageError(f"tiling: size must be at least {LEAST_TILE} pixels, got {self.size}")
        # Pieces are known by what they have in common: without any, an object on a seam would be found twice.
        if not LEAST_OVERLAP <= self.overlap <= MOST_OVERLAP:
            raise UsageError(f"tiling: overlap must be {LEAST_OVERLAP:g} to {MOST_OVERLAP:g}, got {self.overlap:g}")


class Tile(NamedTuple):
    """A part of a picture, in its pixels."""

    left: int
    top: int
    width: int
    height: int


def tiles(width: int, height: int, tiling: Tiling, canvas: tuple[int, int]) -> list[Tile]:
    """Return the tiles of a picture for a (height, width) input, scale after scale, row after row.

    They lie evenly, cover the picture and do not leave it. The whole picture comes last where it is among them; it is
    the only one of a picture no larger than a tile.
    """
    first = tiling.size or canvas[1]
    cut: list[Tile] = []
    for level in itertools.count():
        across, down = first << level, max(1, round((first << level) * canvas[0] / canvas[1]))
        larger = max(width / across, height / down)
        if larger <= (_WORTH if level else 1.0) or (level and tiling.scales != "all"):
            break
        rows, columns = (_starts(*side, tiling.overlap) for side in ((height, down), (width, across)))
        size = (min(across, width), min(down, height))
        cut += [Tile(left, top, *size) for top in rows for left in columns]
    return cut if cut and tiling.scales == "tiles" else [*cut, Tile(0, 0, width, height)]


def _starts(whole: int, tile: int, overlap: float) -> list[int]:
    """Return where tiles begin along a side of a picture."""
    if tile >= whole:
        return [0]
    step = max(1, int(tile * (1.0 - overlap)))
    count = 1 + -(-(whole - tile) // step)
    return [round(place * (whole - tile) / (count - 1)) for place in range(count)]


@dataclass(frozen=True, slots=True, eq=False)
class TileBoxes:
    """The boxes of all tiles: `xyxy` (N, 4) pixels of the picture, `score` and `class_id` (N,), `tile` (N,) numbers."""

    xyxy: Boxes
    score: NDArray[np.float64]
    class_id: NDArray[np.int64]
    tile: NDArray[np.int64]


def joined(found: TileBoxes, parts: Sequence[Tile], iou_threshold: float) -> tuple[Boxes, NDArray[np.int64]]:
    """Return the (K, 4) boxes of a picture from those of its tiles, and (K,) the row of each, class by class, by score.

    A box that an edge of its tile cuts gives way to the whole one that another tile has in its place. Where no tile
    has it whole, the pieces are united; what a tile around it does not know of is dropped. Of what is left,
    the surest of boxes of a class whose IoU is above `iou_threshold` stays; equal scores go by row.
    """
    frames = np.array([(p.left, p.top, p.left + p.width, p.top + p.height) for p in parts], np.int64).reshape(-1, 4)
    xyxy, alive, several = _without_pieces(found, frames)
    # United boxes belong to no tile: to the whole picture, as a tile more.
    tile = np.where(several, len(parts), found.tile)
    picture = np.concatenate([frames.min(axis=0, initial=0)[:2], frames.max(axis=0, initial=0)[2:]])
    kept = _surest(
        TileBoxes(xyxy, found.score, found.class_id, tile), np.vstack([frames, picture]), alive, iou_threshold
    )
    rows = kept[np.lexsort((kept, -found.score[kept], found.class_id[kept]))]
    return xyxy[rows], rows


def _without_pieces(found: TileBoxes, frames: NDArray[np.int64]) -> tuple[Boxes, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (N, 4) the boxes with united pieces in place of their surest, (N,) which stay, and which are united."""
    cut = cut_sides(found.xyxy, frames[found.tile], frames)
    is_cut = np.asarray(cut.any(axis=1))
    group = _groups(found, frames, is_cut)
    whole_in = np.zeros(len(group), np.bool_)
    whole_in[group[~is_cut]] = True
    members = np.bincount(group, minlength=len(group))[group] if len(group) else group
    xyxy, pieces = found.xyxy.copy(), is_cut & (members == 1)
    several = np.zeros(len(is_cut), np.bool_)
    for number in np.unique(group[is_cut & (members > 1) & ~whole_in[group]]):
        rows = np.flatnonzero(group == number)
        surest = rows[np.argmax(found.score[rows])]
        xyxy[surest] = [*found.xyxy[rows, :2].min(axis=0), *found.xyxy[rows, 2:].max(axis=0)]
        # A side of the whole is cut where the piece is that reaches farthest.
        cut[surest] = (cut[rows] & (found.xyxy[rows] == xyxy[surest])).any(axis=0)
        several[surest] = True
    pieces |= several & cut.any(axis=1)
    alive = np.logical_not(is_cut) | several
    alive[pieces] = np.logical_not(_overseen(xyxy[pieces], cut[pieces], frames))
    return xyxy, alive, several


def cut_sides(xyxy: Boxes, frame: NDArray[np.int64], frames: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (N, 4) whether a side of a box lies at an edge of its tile `frame` (N, 4) that is none of the picture's.

    `frames` (T, 4) are the tiles of the picture, xyxy in its pixels.
    """
    near = np.tile((frame[:, 2:] - frame[:, :2]) * _EDGE, 2)
    picture = np.concatenate([frames[:, :2].min(axis=0), frames[:, 2:].max(axis=0)]) if len(frames) else np.zeros(4)
    return np.asarray((np.abs(xyxy - frame) <= near) & (frame != picture))


def _overseen(xyxy: Boxes, cut: NDArray[np.bool_], frames: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (K,) whether a tile has all of a piece and what lies beyond the sides at which it is cut."""
    if not len(xyxy):
        return np.zeros(0, np.bool_)
    near = np.tile((frames[:, 2:] - frames[:, :2]) * _EDGE, 2)
    # How far each side of a piece lies within each tile, (K, T, 4).
    within = (xyxy[:, None] - frames[None]) * np.array([1, 1, -1, -1])
    return np.asarray((within >= np.where(cut[:, None], 2 * near[None], 0.0)).all(axis=2).any(axis=1))


def _groups(found: TileBoxes, frames: NDArray[np.int64], is_cut: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (N,) a number for each box, the same for boxes that tiles agree on, as far as one of them is cut."""
    leader = list(range(len(is_cut)))

    def first(row: int) -> int:
        while leader[row] != row:
            leader[row] = row = leader[leader[row]]
        return row

    for ours, theirs, common in _meeting(found.xyxy, found.tile, frames):
        a, b = (np.clip(found.xyxy[rows], np.tile(common[:2], 2), np.tile(common[2:], 2)) for rows in (ours, theirs))
        same = iou(a, b) >= _AGREE
        same &= found.class_id[ours][:, None] == found.class_id[theirs]
        same &= is_cut[ours][:, None] | is_cut[theirs]
        for one, other in zip(*(index.tolist() for index in np.nonzero(same)), strict=True):
            low, high = sorted((first(int(ours[one])), first(int(theirs[other]))))
            leader[high] = low
    return np.array([first(row) for row in range(len(leader))], np.int64)


def _meeting(
    xyxy: Boxes, tile: NDArray[np.int64], frames: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield, for each two tiles that have something in common, that (4,) frame last, and the rows of boxes in it."""
    order = np.argsort(tile, kind="stable")
    ends = np.searchsorted(tile[order], np.arange(len(frames) + 1))
    for one in range(len(frames)):
        ours = order[ends[one] : ends[one + 1]]
        if not len(ours):
            continue
        low = np.maximum(frames[one, :2], frames[one + 1 :, :2])
        high = np.minimum(frames[one, 2:], frames[one + 1 :, 2:])
        for other in np.flatnonzero((low < high).all(axis=1)):
            theirs = order[ends[one + 1 + other] : ends[one + 2 + other]]
            common = np.concatenate([low[other], high[other]])
            yield _within(ours, xyxy, common), _within(theirs, xyxy, common), common


def _within(rows: NDArray[np.int64], xyxy: Boxes, frame: NDArray[np.int64]) -> NDArray[np.int64]:
    boxes = xyxy[rows]
    return rows[(boxes[:, :2] < frame[2:]).all(axis=1) & (boxes[:, 2:] > frame[:2]).all(axis=1)]


def _surest(
    found: TileBoxes, frames: NDArray[np.int64], alive: NDArray[np.bool_], iou_threshold: float
) -> NDArray[np.int64]:
    """Return the rows that greedy suppression keeps; boxes of one tile were compared when it was looked at."""
    rows = np.flatnonzero(alive)
    rivals: dict[int, list[int]] = {}
    united = rows[found.tile[rows] == len(frames) - 1]
    pairs = [(rows[ours], rows[theirs]) for ours, theirs, _ in _meeting(found.xyxy[rows], found.tile[rows], frames)]
    for ours, theirs in [*pairs, (united, united)]:
        near = iou(found.xyxy[ours], found.xyxy[theirs]) > iou_threshold
        near &= (found.class_id[ours][:, None] == found.class_id[theirs]) & (ours[:, None] != theirs)
        for one, other in zip(*(index.tolist() for index in np.nonzero(near)), strict=True):
            rivals.setdefault(int(ours[one]), []).append(int(theirs[other]))
            rivals.setdefault(int(theirs[other]), []).append(int(ours[one]))
    left, kept = set(rows.tolist()), []
    for row in rows[np.argsort(-found.score[rows], kind="stable")].tolist():
        if row in left:
            kept.append(row)
            left.difference_update(rivals.get(row, ()))
    return np.array(kept, np.int64)
