"""Detections on a dataset's pictures, which threads read and place ahead of the network."""

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.tables import BoxDataset, Detections
from detector.box_samples import dataset_picture, frame
from detector.decoding import Found, detections_table
from detector.family import Predict
from detector.feeding import batches_ahead
from detector.letterbox import Placement, letterbox, place
from detector.picture_cache import Kept, NoCache, PictureCache
from detector.tiled import detect_tiled
from detector.tiling import Tiling

if TYPE_CHECKING:
    from detector.ppn_family import PpnModel


class _Placed(NamedTuple):
    """Pictures as the network gets them, (B, H, W, 3) uint8, and where each lies in its canvas."""

    pictures: NDArray[np.uint8]
    placements: list[Placement]


def detect_images(
    model: "PpnModel",
    dataset: BoxDataset,
    predict: Predict,
    progress: Callable[[int, int], None] | None = None,
    cache: PictureCache | None = None,
    tiling: Tiling | None = None,
) -> Detections:
    """Return the detections on every picture of a dataset, in batches as large as training's.

    `progress` is called with the number of images done and of all; `cache` keeps the pictures for the next time. With
    `tiling`, large pictures are looked at in tiles, and not kept.

    Raises:
        AnnotationError: a picture is missing or damaged.
    """
    return detections_table(*found_images(model, dataset, predict, progress, cache, tiling))


def found_images(
    model: "PpnModel",
    dataset: BoxDataset,
    predict: Predict,
    progress: Callable[[int, int], None] | None = None,
    cache: PictureCache | None = None,
    tiling: Tiling | None = None,
) -> tuple[list[Found], NDArray[np.int64]]:
    """Return what `detect_images` does picture by picture, and their sizes (I, 2), width and height in pixels.

    Raises:
        AnnotationError: a picture is missing or damaged.
    """
    images = len(dataset.images)
    pieces = _whole(model, dataset, predict, cache or NoCache()) if tiling is None else _in_tiles(
        model, dataset, predict, tiling)  # fmt: skip
    found: list[Found] = []
    sizes: list[tuple[int, int]] = []
    for one, size in pieces:
        found.append(model.judged(one, size))
        sizes.append(size)
        if progress:
            progress(len(found), images)
    return found, np.array(sizes, np.int64).reshape(-1, 2)


def _whole(
    model: "PpnModel", dataset: BoxDataset, predict: Predict, cache: PictureCache
) -> Iterator[tuple[Found, tuple[int, int]]]:
    size, images = model.settings.batch, len(dataset.images)

    def placed(number: int) -> _Placed:
        rows = range(number * size, min((number + 1) * size, images))
        kept = [_placed(dataset, row, model.settings.input, cache) for row in rows]
        # Not the sizes of the table: a picture may have been made smaller since.
        placements = [letterbox(*one.size, model.settings.input) for one in kept]
        return _Placed(np.stack([one.pixels for one in kept]), placements)

    for batch in batches_ahead(placed, 0, -(-images // size), model.settings.loaders):
        found = model.found(predict(batch.pictures), batch.placements)
        yield from zip(found, [(one.width, one.height) for one in batch.placements], strict=True)


def _in_tiles(
    model: "PpnModel", dataset: BoxDataset, predict: Predict, tiling: Tiling
) -> Iterator[tuple[Found, tuple[int, int]]]:
    read = functools.partial(dataset_picture, dataset)
    # One thread: pictures worth tiles are large, and the network is what takes the time.
    for picture in batches_ahead(read, 0, len(dataset.images), 1):
        yield detect_tiled(model, picture, predict, tiling), (picture.shape[1], picture.shape[0])


def _placed(dataset: BoxDataset, row: int, canvas: tuple[int, int], cache: PictureCache) -> Kept:
    def make() -> Kept:
        picture = dataset_picture(dataset, row)
        size = (picture.shape[1], picture.shape[0])
        return Kept(place(picture, letterbox(*size, canvas), canvas), size)

    return cache.get(dataset.picture(row), f"placed in {canvas}, in the frame {frame(dataset, row)}", make)
