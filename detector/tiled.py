"""Detections on a picture that is looked at in tiles: a batch of tiles in memory at a time, beside the picture."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detector.decoding import Found
from detector.family import Predict
from detector.letterbox import letterbox, place
from detector.parents import parents
from detector.tiling import Tile, TileBoxes, Tiling, joined, tiles

if TYPE_CHECKING:
    from detector.ppn_family import PpnModel


def detect_tiled(model: "PpnModel", picture: NDArray[np.uint8], predict: Predict, tiling: Tiling) -> Found:
    """Return the detections in an (H, W, 3) RGB picture, in its own pixels; `max_detections` bounds those of each tile.

    A picture no larger than a tile gives what `model.detect` gives.
    """
    height, width = picture.shape[:2]
    parts = tiles(width, height, tiling, model.settings.input)
    size = model.settings.batch
    chunks = [parts[first : first + size] for first in range(0, len(parts), size)]
    found = [one for chunk in chunks for one in _detected(model, picture, predict, chunk)]
    if parts == [Tile(0, 0, width, height)]:
        return found[0]
    xyxy, rows = joined(_in_picture(found, parts), parts, model.settings.nms_iou)
    class_id, score = (np.concatenate([getattr(one, name) for one in found])[rows] for name in ("class_id", "score"))
    known = [one.support for one in found if one.support is not None]
    support = np.concatenate(known)[rows] if len(known) == len(found) else None
    return Found(class_id, score, xyxy, parents(class_id, score, xyxy, model.object_of, model.densities), support)


def _detected(model: "PpnModel", picture: NDArray[np.uint8], predict: Predict, parts: list[Tile]) -> list[Found]:
    canvas = model.settings.input
    placements = [letterbox(part.width, part.height, canvas) for part in parts]
    views = [picture[part.top : part.top + part.height, part.left : part.left + part.width] for part in parts]
    placed = [place(view, at, canvas) for view, at in zip(views, placements, strict=True)]
    return model.found(predict(np.stack(placed)), placements)


def _in_picture(found: list[Found], parts: list[Tile]) -> TileBoxes:
    corner = np.array([(part.left, part.top) * 2 for part in parts], np.float64)
    tile = np.repeat(np.arange(len(found)), [len(one.score) for one in found])
    xyxy = np.concatenate([one.xyxy for one in found])
    score, class_id = (np.concatenate([getattr(one, name) for one in found]) for name in ("score", "class_id"))
    return TileBoxes(xyxy + corner[tile], score, class_id, tile)
