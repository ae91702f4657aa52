"""Detections on a dataset's pictures, which threads read and place ahead of the network."""

import functools
from collections.abc import Callable
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
    if tiling is not None:
        return _in_tiles(model, dataset, predict, progress, tiling)
    size, images = model.settings.batch, len(dataset.images)

    def placed(number: int) -> _Placed:
        rows = range(number * size, min((number + 1) * size, images))
        kept = [_placed(dataset, row, model.settings.input, cache or NoCache()) for row in rows]
        # Not the sizes of the table: a picture may have been made smaller since.
        placements = [letterbox(*one.size, model.settings.input) for one in kept]
        return _Placed(np.stack([one.pixels for one in kept]), placements)

    found: list[Found] = []
    sizes: list[tuple[int, int]] = []
    for batch in batches_ahead(placed, 0, -(-images // size), model.settings.loaders):
        found += map(model.judged, model.found(predict(batch.pictures), batch.placements))
        sizes += [(one.width, one.height) for one in batch.placements]
        if progress:
            progress(len(found), images)
    return detections_table(found, np.array(sizes, np.int64).reshape(-1, 2))


def _in_tiles(
    model: "PpnModel",
    dataset: BoxDataset,
    predict: Predict,
    progress: Callable[[int, int], None] | None,
    tiling: Tiling,
) -> Detections:
    images, read = len(dataset.images), functools.partial(dataset_picture, dataset)
    found: list[Found] = []
    sizes: list[tuple[int, int]] = []
    # One thread: pictures worth tiles are large, and the network is what takes the time.
    for picture in batches_ahead(read, 0, images, 1):
        found.append(model.judged(detect_tiled(model, picture, predict, tiling)))
        sizes.append((picture.shape[1], picture.shape[0]))
        if progress:
            progress(len(found), images)
    return detections_table(found, np.array(sizes, np.int64).reshape(-1, 2))


def _placed(dataset: BoxDataset, row: int, canvas: tuple[int, int], cache: PictureCache) -> Kept:
    def make() -> Kept:
        picture = dataset_picture(dataset, row)
        size = (picture.shape[1], picture.shape[0])
        return Kept(place(picture, letterbox(*size, canvas), canvas), size)

    return cache.get(dataset.picture(row), f"placed in {canvas}, in the frame {frame(dataset, row)}", make)
