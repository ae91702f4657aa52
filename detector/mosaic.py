"""Four training images in one input, side by side, so that a step sees more objects and smaller ones."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from detector.augment import Sample, Source, moved_sample
from detector.canvases import varied_epochs
from detector.settings import Settings

PICTURES: Final = 4
"""Images of a mosaic. Source: Bochkovskiy et al. 2020, "YOLOv4", section 3.3."""
_LEAST_SHARE: Final = 0.3
"""Share of the input's side that a picture gets at least."""


def mosaic_epochs(images: int, settings: Settings) -> int:
    """Return in how many of the first epochs, of so many images, there are mosaics: the last ones are as in use."""
    return varied_epochs(images, settings) if settings.mosaic else 0


def mosaic(sources: Sequence[Source], canvas: tuple[int, int], settings: Settings, rng: np.random.Generator) -> Sample:
    """Return PICTURES pictures, each moved at random in its own rectangle of the (height, width) canvas, as one sample.

    Raises:
        ValueError: there are more or fewer.
    """
    if len(sources) != PICTURES:
        raise ValueError(f"a mosaic must have {PICTURES} pictures, got {len(sources)}")
    height, width = canvas
    # Half a side each is small enough: shrunk further there would be more padding than pictures.
    settings = replace(settings, scale=(max(1.0, settings.scale[0]), max(1.0, settings.scale[1])))
    row, column = (round(side * rng.uniform(_LEAST_SHARE, 1 - _LEAST_SHARE)) for side in (height, width))
    whole = np.empty((height, width, 3), np.uint8)
    boxes, classes = [], []
    corners = [(0, 0, row, column), (0, column, row, width), (row, 0, height, column), (row, column, height, width)]
    for source, (top, left, bottom, right) in zip(sources, corners, strict=True):
        sample = moved_sample(source, (bottom - top, right - left), settings, rng)
        whole[top:bottom, left:right] = sample.picture
        boxes.append(sample.xyxy + np.tile([left, top], 2))
        classes.append(sample.class_id)
    return Sample(whole, np.concatenate(boxes), np.concatenate(classes))
