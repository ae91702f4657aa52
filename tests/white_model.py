"""A stand-in for the network: it finds white rectangles, so that tests of prediction need no training."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.tables import NO_PARENT
from detector.decoding import Found
from detector.letterbox import Placement, letterbox, place
from detector.settings import Settings

INPUT = (128, 128)


class White:
    """Finds upright white rectangles (class 0) and grey ones (class 1, a part) of 4 input pixels or more."""

    def __init__(self) -> None:
        self.settings = Settings(input=INPUT, batch=4, nms_iou=0.5)
        self.object_of = {1: 0}
        self.densities: dict[int, Any] = {}
        self.classes = ("card", "spot")
        self.parts: dict[str, str] = {}
        self.batches: list[int] = []

    def predict(self, pictures: NDArray[Any]) -> dict[str, NDArray[Any]]:
        self.batches.append(len(pictures))
        return {"pictures": pictures}

    def found(self, outputs: dict[str, NDArray[Any]], placements: list[Placement]) -> list[Found]:
        return [self._one(picture[..., 0], at) for picture, at in zip(outputs["pictures"], placements, strict=True)]

    def _one(self, picture: NDArray[np.uint8], at: Placement) -> Found:
        rows = []
        for class_id, mask in enumerate((picture > 150, (picture > 170) & (picture < 230))):
            closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
            _, _, stats, _ = cv2.connectedComponentsWithStats(closed)
            rows += [(class_id, *stat[:4]) for stat in stats[1:] if min(stat[2:4]) >= 4]
        table = np.array(rows, np.float64).reshape(-1, 5)
        boxes = at.inverse(np.concatenate([table[:, 1:3], table[:, 1:3] + table[:, 3:5]], axis=1))
        class_id = table[:, 0].astype(np.int64)
        score = np.full(len(table), 0.5) + (boxes[:, 2] - boxes[:, 0]) / 1e5
        return Found(class_id, score, boxes, np.full(len(table), NO_PARENT))

    def detect(self, pictures: list[NDArray[np.uint8]], predict: Any) -> list[Found]:  # noqa: ANN401
        at = [letterbox(picture.shape[1], picture.shape[0], INPUT) for picture in pictures]
        return self.found(predict(np.stack([place(p, a, INPUT) for p, a in zip(pictures, at, strict=True)])), at)

    def judged(self, found: Found, size: tuple[int, int]) -> Found:
        return found
