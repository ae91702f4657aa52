"""Objects of other training images, pasted with their parts where no box is: smaller than they were, feathered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.label_images import rows_by_image
from annotations.tables import BoxDataset
from detector.augment import LEAST_SIDE, Sample, turned
from detector.letterbox import letterbox
from detector.pasting import feathered, free_corner, touches, with_truth
from detector.settings import Settings

SMALLEST: Final = 12.0
"""Pixels of an object's longer side at the input, at least, unless it is smaller in its own picture."""
SMALLEST_PART: Final = 3.0
"""The same of each of its parts: a large code whose finder patterns vanish is a grey square."""
MARGIN: Final = 0.12
"""Share of an object's sides that comes with it all round, and fades: a code's quiet zone is a part of its looks."""
_MOST: Final = 3
_TRIES: Final = 6
ReadPicture = Callable[[int], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A piece of an image: `piece` (4,) is its box, `xyxy` (N, 4) the object's and its parts', all normalised.

    `class_id` is (N,). The object comes first; without any (N = 0) the piece is what is no object, all of it.
    """

    image_row: int
    piece: NDArray[np.float64]
    xyxy: NDArray[np.float64]
    class_id: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a dataset that can be cut out: whole ones that count, with nothing of another object round them.

    Which of them a draw gives depends on its generator alone.
    """

    data: BoxDataset
    _order: NDArray[np.int64] = field(init=False, repr=False)
    _first: NDArray[np.int64] = field(init=False, repr=False)
    _objects: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        truth = self.data.annotations
        order, first = rows_by_image(self.data.images, truth)
        counts = np.isin(truth.class_id, self.data.object_class_ids) & ~truth.crowd & ~truth.ignore
        object.__setattr__(self, "_order", order)
        object.__setattr__(self, "_first", first)
        object.__setattr__(self, "_objects", np.flatnonzero(counts))

    def draw(self, rng: np.random.Generator) -> Cutout | None:
        """Return an object at random, or None where some draws gave none that stands alone."""
        for row in rng.choice(self._objects, _TRIES).tolist() if len(self._objects) else []:
            cutout = self._cut_out(row)
            if cutout is not None:
                return cutout
        return None

    def _cut_out(self, row: int) -> Cutout | None:
        truth = self.data.annotations
        image_row = int(truth.image_row[row])
        near = self._order[self._first[image_row] : self._first[image_row + 1]]
        own = (near == row) | (truth.parent_id[near] == truth.object_id[row])
        piece = np.clip(with_margin(truth.xyxy_rel[row]), 0.0, 1.0)
        others, mine = truth.xyxy_rel[near[~own]], near[own & (near != row)]
        xyxy = truth.xyxy_rel[[row, *mine]]
        jutting = (xyxy[:, :2] < piece[:2]).any() or (xyxy[:, 2:] > piece[2:]).any()
        if touches(piece, others).any() or jutting or (truth.crowd | truth.ignore)[mine].any():
            return None
        return Cutout(image_row, piece, xyxy, truth.class_id[[row, *mine]])


def with_margin(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return boxes (..., 4) with the MARGIN that comes with an object."""
    margin = MARGIN * (xyxy[..., 2:] - xyxy[..., :2])
    return np.concatenate([xyxy[..., :2] - margin, xyxy[..., 2:] + margin], axis=-1)


def with_pasted(
    sample: Sample,
    draw: Callable[[np.random.Generator], Cutout | None],
    read: ReadPicture,
    settings: Settings,
    rng: np.random.Generator,
) -> Sample:
    """Return the sample with 1 to 3 cutouts laid over it where no box is; `read` gives the picture of an image row.

    Raises:
        AnnotationError: the one of `read`.
    """
    for _ in range(rng.integers(1, _MOST + 1)):
        cutout = draw(rng)
        if cutout is not None:
            sample = _pasted(sample, cutout, read(cutout.image_row), settings, rng)
    return sample


def _pasted(
    sample: Sample, cutout: Cutout, picture: NDArray[np.uint8], settings: Settings, rng: np.random.Generator
) -> Sample:
    piece, xyxy = _cut(picture, cutout)
    found = xyxy if len(xyxy) else np.array([[0.0, 0.0, *piece.shape[1::-1]]])
    factor = _factor(picture, found, sample.picture.shape[:2], rng)
    quarters, mirror = int(rng.integers(4)) if settings.rotate else 0, bool(rng.integers(2)) and settings.flip
    piece, xyxy = _resized(piece, xyxy, factor)
    piece, xyxy = turned(piece, xyxy, quarters, mirror=mirror)
    corner = free_corner((piece.shape[1], piece.shape[0]), sample, rng)
    if corner is None:
        return sample
    seen = (xyxy[:, 2:] - xyxy[:, :2]).min(axis=1, initial=np.inf) >= LEAST_SIDE
    if not seen[:1].all():
        return sample  # the object itself would be too small
    inner = xyxy[0] if len(xyxy) else _inner(piece.shape)
    laid = feathered(sample.picture, piece, inner, corner)
    return with_truth(sample, laid, xyxy[seen] + np.tile(corner, 2), cutout.class_id[seen])


def _cut(picture: NDArray[np.uint8], cutout: Cutout) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the (h, w, 3) piece of the picture, and the (N, 4) boxes in its pixels."""
    sides = np.tile(np.array(picture.shape[1::-1], np.float64), 2)
    bounds = cutout.piece * sides
    left, top = np.floor(bounds[:2]).astype(int).tolist()
    right, bottom = np.ceil(bounds[2:]).astype(int).tolist()
    return picture[top:bottom, left:right], cutout.xyxy * sides - np.tile([left, top], 2)


def _factor(
    picture: NDArray[np.uint8], xyxy: NDArray[np.float64], canvas: tuple[int, ...], rng: np.random.Generator
) -> float:
    """Return by how much a piece is to be shrunk: from its size in the letterboxed picture down to SMALLEST."""
    height, width = picture.shape[:2]
    fitted = letterbox(width, height, (canvas[0], canvas[1]))
    side = float((xyxy[0, 2:] - xyxy[0, :2]).max())
    # No larger than in its own picture, nor than half the input: it would find no room.
    natural = min(side * fitted.new_width / width, min(canvas) / 2)
    part = float((xyxy[1:, 2:] - xyxy[1:, :2]).max(axis=1).min(initial=np.inf))
    smallest = min(max(SMALLEST, SMALLEST_PART * side / part), natural)
    # Even in the logarithm: small ones are as many as large ones, which in most photographs they are not.
    wanted = np.exp(rng.uniform(np.log(smallest), np.log(natural)))
    return float(wanted / side)


def _resized(
    piece: NDArray[np.uint8], xyxy: NDArray[np.float64], factor: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    height, width = piece.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(piece, size, interpolation=method), np.uint8)
    return small, xyxy * np.tile([size[0] / width, size[1] / height], 2)


def _inner(shape: Sequence[int]) -> NDArray[np.float64]:
    fade = MARGIN / (1 + 2 * MARGIN)
    return np.asarray(np.array([fade, fade, 1 - fade, 1 - fade]) * np.tile(shape[1::-1], 2))
