"""Look-alikes pasted on training pictures without a box: drawn ones, or what a detector took for objects by mistake.

Drawn are bar codes, grids, nested squares, text and the like. False alarms come from training images alone: what a
detector finds on others is what it is judged by.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotations.detections import read_detections
from annotations.errors import UsageError
from annotations.label_images import rows_by_image
from annotations.scene_codes import turn
from annotations.scene_distractors import distractor
from annotations.scene_planes import envelope, pasted, pose, projected, rectangle
from annotations.tables import BoxDataset
from detector.augment import Sample
from detector.copy_paste import Cutout, with_margin
from detector.pasting import is_free, touches

_SMALLEST, _LARGEST = 16.0, 0.5
"""Pixels of a look-alike's width at the input, at least, and its share of the input's shorter side, at most."""
_MOST: Final = 3
_ATTEMPTS: Final = 8
_TILT: Final = 0.8


def with_look_alikes(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample with 1 to 3 drawn things that are no objects where no box is, if there is room for them."""
    height, width = sample.picture.shape[:2]
    picture = sample.picture.astype(np.float32)
    for _ in range(rng.integers(1, _MOST + 1)):
        drawing = distractor(rng)
        rows, columns = drawing.shape[:2]
        unit_square = np.array([[1 / columns, 0, -0.5], [0, 1 / columns, -0.5 * rows / columns], [0, 0, 1]])
        for _ in range(_ATTEMPTS):
            side = float(np.exp(rng.uniform(np.log(_SMALLEST), np.log(max(_SMALLEST, _LARGEST * min(height, width))))))
            onto = pose(rng, side, _TILT, turn(rng), rng.uniform((0.0, 0.0), (width, height))) @ unit_square
            covered = envelope(projected(onto, rectangle(0, 0, columns, rows)))
            # It may leave the picture, unlike an object.
            if is_free(np.clip(covered, 0, [width, height] * 2), sample):
                picture = pasted(picture, drawing, onto, opacity=float(rng.uniform(0.85, 1.0)))
                break
    return Sample(np.clip(picture, 0, 255).astype(np.uint8), sample.xyxy, sample.class_id)


LEAST_SCORE: Final = 0.1
"""Score from which a false detection is worth learning from; own choice, well below any threshold in use."""


@dataclass(frozen=True, slots=True, eq=False)
class FalseAlarms:
    """Pieces of training images that a detector took for objects: (N,) image rows and (N, 4) normalised boxes."""

    image_row: NDArray[np.int64]
    piece: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> Cutout:
        """Return one at random, as a piece without any object."""
        row = int(rng.integers(len(self.image_row)))
        return Cutout(int(self.image_row[row]), self.piece[row], np.empty((0, 4)), np.empty(0, np.int64))


def false_alarms(train: BoxDataset, path: Path) -> FalseAlarms:
    """Return what detections.csv at `path` has on images of `train` where no box is, scores from LEAST_SCORE.

    Rows of images that `train` does not have are passed over.

    Raises:
        AnnotationError: the file is missing, or no table of detections.
        UsageError: there are none.
    """
    found = read_detections(path, train.images, train.classes, left_out=[])
    found = found.take(found.score >= LEAST_SCORE)
    pieces = np.clip(with_margin(found.xyxy_rel), 0.0, 1.0)
    order, first = rows_by_image(train.images, train.annotations)
    truth = train.annotations.xyxy_rel[order]
    free = [
        bool((piece[2:] > piece[:2]).all()) and not touches(piece, truth[first[row] : first[row + 1]]).any()
        for row, piece in zip(found.image_row.tolist(), pieces, strict=True)
    ]
    kept = np.flatnonzero(free)
    if not len(kept):
        raise UsageError(
            f"{path}: false_alarms must hold a detection from score {LEAST_SCORE} on that touches no box of a training "
            f"image, got none among {len(found)} on training images"
        )
    return FalseAlarms(found.image_row[kept], pieces[kept])
