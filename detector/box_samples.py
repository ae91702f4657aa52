"""The training images of a box dataset as samples: drawn, read, kept, and changed at random, by step."""

import functools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError
from annotations.pictures import read_picture
from annotations.tables import BoxDataset
from detector.augment import Sample, ignored_class, plain_sample, random_sample
from detector.letterbox import reduced
from detector.order import batch_draws, sample_generator, steps_per_epoch
from detector.picture_cache import Kept, NoCache, PictureCache
from detector.sampling import image_weights
from detector.settings import Settings


@dataclass(frozen=True)
class BoxSamples:
    """Batches of samples from `data`; a pure function of the step, called from several threads."""

    data: BoxDataset
    settings: Settings
    cache: PictureCache = field(default_factory=NoCache)
    _truth: tuple[NDArray[np.float64], NDArray[np.int64]] = field(init=False, repr=False)
    _first: NDArray[np.int64] = field(init=False, repr=False)
    _weight: NDArray[np.float64] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        truth = self.data.annotations
        # Sorted once, and kept in one piece: there may be a hundred thousand images.
        by_image = np.argsort(truth.image_row, kind="stable")
        first = np.searchsorted(truth.image_row[by_image], np.arange(len(self.data.images) + 1))
        class_id = ignored_class(truth.class_id, truth.crowd | truth.ignore)
        object.__setattr__(self, "_truth", (truth.xyxy_rel[by_image], class_id[by_image]))
        object.__setattr__(self, "_first", first)
        object.__setattr__(self, "_weight", image_weights(self.data.images, self.settings.sampling))

    def batch(self, step: int) -> list[Sample]:
        """Return the samples of the batch at `step`.

        Raises:
            AnnotationError: a picture is missing or damaged, or has another shape than its boxes were drawn in.
        """
        images, size = len(self.data.images), self.settings.batch
        epoch = step // steps_per_epoch(images, size)
        draws = batch_draws(self.settings.seed, step, images, size, self._weight)
        return [
            self._sample(row, epoch, again) for row, again in zip(draws.row.tolist(), draws.again.tolist(), strict=True)
        ]

    def _sample(self, row: int, epoch: int, again: int) -> Sample:
        most = self.settings.scale[1] if self.settings.augment else 1.0
        read = functools.partial(_reduced_picture, self.data, row, self.settings.input, most)
        form = f"reduced for {self.settings.input} x {most}, in the frame {frame(self.data, row)}"
        picture = self.cache.get(self.data.picture(row), form, read).pixels
        mine = slice(self._first[row], self._first[row + 1])
        xyxy, class_id = self._truth[0][mine], self._truth[1][mine]
        xyxy = xyxy * np.tile(np.array([picture.shape[1], picture.shape[0]], np.float64), 2)
        if not self.settings.augment:
            return plain_sample(picture, xyxy, class_id, self.settings.input)
        generator = sample_generator(self.settings.seed, epoch, row, again)
        return random_sample(picture, xyxy, class_id, self.settings, generator)


def _reduced_picture(data: BoxDataset, row: int, canvas: tuple[int, int], most: float) -> Kept:
    picture = dataset_picture(data, row)
    return Kept(reduced(picture, canvas, most), (picture.shape[1], picture.shape[0]))


def frame(dataset: BoxDataset, row: int) -> tuple[int, int]:
    """Return the (width, height) that the boxes of an image are relative to."""
    return int(dataset.images.width[row]), int(dataset.images.height[row])


def dataset_picture(dataset: BoxDataset, row: int) -> NDArray[np.uint8]:
    """Return the (H, W, 3) picture of a dataset's image, in the shape in which its boxes were drawn.

    Raises:
        AnnotationError: it is missing or damaged, or has another shape.
    """
    # The boxes are normalised by the annotator's frame: a picture of that shape in another size is the same picture.
    width, height = frame(dataset, row)
    picture = read_picture(dataset.picture(row), (width, height))
    if abs(picture.shape[1] * height - picture.shape[0] * width) > max(width, height, *picture.shape[:2]):
        raise AnnotationError(
            f"{dataset.picture(row)}: picture must have the shape of {width} x {height} pixels, "
            f"got {picture.shape[1]} x {picture.shape[0]}; convert the annotations again"
        )
    return picture
