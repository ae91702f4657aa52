"""What the network is going to see: training samples of the first steps on one sheet, with their boxes."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.dataset import read_dataset
from annotations.drawing import draw_boxes
from annotations.errors import AnnotationError, UsageError
from annotations.palette import COLOURS
from annotations.pictures import write_picture
from annotations.tables import BoxDataset
from detector.augment import Sample, ignored_class
from detector.box_samples import BoxSamples
from detector.order import steps_per_epoch
from detector.settings import Settings

COLUMNS: Final = 4
"""Samples beside each other; there are as many rows, where the training has so many images."""
_SIDE: Final = 416
"""Pixels of a sample's longer side on the sheet, about: large inputs are halved, and so on."""
_IGNORED: Final = (128, 128, 128)
_SUFFIXES: Final = (".png", ".jpg", ".jpeg")


def draw_samples(dataset: Path, settings: Settings, file: Path) -> int:
    """Write a sheet of the first training samples that a run with these settings would learn from; return their number.

    Objects and parts have a colour a class; boxes that do not count are grey.

    Raises:
        UsageError: the file is no .png or .jpg.
        AnnotationError: the dataset or one of its pictures cannot be read, or the file not be written.
    """
    if file.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{file}: samples must be drawn into a .png or .jpg, got {file.suffix or 'no suffix'}")
    data = read_dataset(dataset).split("train")
    if not len(data.images):
        raise UsageError(f"{dataset}: split train must hold images, got none")
    samples = first_samples(data, settings, COLUMNS**2)
    try:
        write_picture(file, sheet([marked(sample) for sample in samples]))
    except OSError as error:
        raise AnnotationError(f"{file}: file must be writable, got {error.strerror or error}") from error
    return len(samples)


def first_samples(train: BoxDataset, settings: Settings, most: int) -> list[Sample]:
    """Return the samples of the first steps of the first epoch, up to `most`."""
    made, samples = BoxSamples(train, settings), list[Sample]()
    for step in range(steps_per_epoch(len(train.images), settings.batch)):
        samples += made.batch(step)
        if len(samples) >= most:
            break
    return samples[:most]


def marked(sample: Sample) -> NDArray[np.uint8]:
    """Return the sample's picture with its boxes drawn on it, at about _SIDE pixels."""
    shrink = max(1, max(sample.picture.shape[:2]) // _SIDE)
    size = (sample.picture.shape[1] // shrink, sample.picture.shape[0] // shrink)
    picture = cv2.resize(sample.picture, size, interpolation=cv2.INTER_AREA) if shrink > 1 else sample.picture
    ignored = sample.class_id < 0
    classes = ignored_class(sample.class_id, ignored)
    # Small boxes last: parts lie over their objects.
    order = np.argsort(-(sample.xyxy[:, 2:] - sample.xyxy[:, :2]).prod(axis=1), kind="stable")
    colours = [_IGNORED if ignored[row] else COLOURS[int(classes[row]) % len(COLOURS)] for row in order.tolist()]
    thin = [True] * len(order)
    return draw_boxes(np.asarray(picture, np.uint8), sample.xyxy[order] / shrink, [""] * len(order), colours, thin)


def sheet(pictures: list[NDArray[np.uint8]], gap: int = 4) -> NDArray[np.uint8]:
    """Return pictures (H, W, 3) as one, COLUMNS beside each other, each in a cell of the largest sides, on white."""
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    rows = -(-len(pictures) // COLUMNS)
    columns = min(len(pictures), COLUMNS)
    result = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, COLUMNS)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        result[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return result
