"""The training images of a box dataset as samples: drawn, read, kept, and changed at random, by step."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError
from annotations.label_images import rows_by_image
from annotations.pictures import read_picture
from annotations.tables import BoxDataset
from detector.augment import Sample, Source, finished, ignored_class, moved_sample, plain_sample
from detector.augment_warp import bends
from detector.canvases import Canvas, canvas, largest
from detector.copy_paste import Objects, ReadPicture, with_pasted
from detector.hard_negatives import false_alarms, with_look_alikes
from detector.letterbox import reduced
from detector.mosaic import PICTURES, mosaic, mosaic_epochs
from detector.order import batch_draws, sample_generator, steps_per_epoch
from detector.outlines import Outlines
from detector.picture_cache import Kept, NoCache, PictureCache
from detector.rendered_codes import code_classes, with_rendered
from detector.sampling import image_weights
from detector.settings import Settings

Paste = Callable[[Sample, np.random.Generator], Sample]


@dataclass(frozen=True)
class BoxSamples:
    """Batches of samples from `data`; a pure function of the step, called from several threads.

    Raises:
        UsageError, AnnotationError: what the settings draw or paste is not there.
    """

    data: BoxDataset
    settings: Settings
    cache: PictureCache = field(default_factory=NoCache)
    _truth: tuple[NDArray[np.float64], NDArray[np.int64]] = field(init=False, repr=False)
    _first: NDArray[np.int64] = field(init=False, repr=False)
    _weight: NDArray[np.float64] | None = field(init=False, repr=False)
    _outlines: Outlines | None = field(init=False, repr=False)
    _pastes: tuple[tuple[float, Paste], ...] = field(init=False, repr=False)
    _mosaics: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        truth = self.data.annotations
        # Sorted once, and kept in one piece: there may be a hundred thousand images.
        by_image, first = rows_by_image(self.data.images, truth)
        class_id = ignored_class(truth.class_id, truth.crowd | truth.ignore)
        object.__setattr__(self, "_truth", (truth.xyxy_rel[by_image], class_id[by_image]))
        object.__setattr__(self, "_first", first)
        object.__setattr__(self, "_weight", image_weights(self.data.images, self.settings.sampling))
        changing = self.settings.augment
        object.__setattr__(self, "_outlines", Outlines(self.data) if changing and bends(self.settings) else None)
        object.__setattr__(self, "_pastes", _pastes(self.data, self.settings, self._picture) if changing else ())
        object.__setattr__(self, "_mosaics", mosaic_epochs(len(self.data.images), self.settings))

    def batch(self, step: int) -> list[Sample]:
        """Return the samples of the batch at `step`.

        Raises:
            AnnotationError: a picture is missing or damaged, or has another shape than its boxes were drawn in.
        """
        images, size = len(self.data.images), self.settings.batch
        epoch = step // steps_per_epoch(images, size)
        draws = batch_draws(self.settings.seed, step, images, size, self._weight)
        sides = canvas(images, self.settings, step)
        return [
            self._sample(row, epoch, again, sides)
            for row, again in zip(draws.row.tolist(), draws.again.tolist(), strict=True)
        ]

    def _sample(self, row: int, epoch: int, again: int, sides: Canvas) -> Sample:
        settings = self.settings
        source = self._source(row)
        if not settings.augment:
            return plain_sample(source.picture, source.xyxy, source.class_id, sides)
        rng = sample_generator(settings.seed, epoch, row, again)
        # Nothing is drawn for what is off: the samples are those of a training without it.
        if epoch < self._mosaics and rng.random() < settings.mosaic:
            sample = mosaic([source, *map(self._source, self._others(rng))], sides, settings, rng)
        else:
            sample = moved_sample(source, sides, settings, rng)
        for probability, paste in self._pastes:
            if rng.random() < probability:
                sample = paste(sample, rng)
        return finished(sample, settings, rng)

    def _others(self, rng: np.random.Generator) -> list[int]:
        """Return the rows of the other images of a mosaic, drawn as an epoch draws them."""
        share = None if self._weight is None else self._weight / self._weight.sum()
        return [int(row) for row in rng.choice(len(self.data.images), PICTURES - 1, p=share)]

    def _source(self, row: int) -> Source:
        picture, mine = self._picture(row), slice(self._first[row], self._first[row + 1])
        xyxy_rel, class_id = self._truth[0][mine], self._truth[1][mine]
        sides = np.array([picture.shape[1], picture.shape[0]], np.float64)
        outlines = self._outlines(row) if self._outlines is not None else None
        if outlines is None:
            return Source.of_boxes(picture, xyxy_rel * np.tile(sides, 2), class_id)
        return Source(picture, xyxy_rel * np.tile(sides, 2), class_id, outlines.points_rel * sides, outlines.known)

    def _picture(self, row: int) -> NDArray[np.uint8]:
        most, sides = self.settings.scale[1] if self.settings.augment else 1.0, largest(self.settings)
        read = functools.partial(_reduced_picture, self.data, row, sides, most)
        form = f"reduced for {sides} x {most}, in the frame {frame(self.data, row)}"
        return self.cache.get(self.data.picture(row), form, read).pixels


def _pastes(data: BoxDataset, settings: Settings, read: ReadPicture) -> tuple[tuple[float, Paste], ...]:
    """Return what the settings want pasted: with its probability, what returns a sample with it."""
    pastes: list[tuple[float, Paste]] = []
    if settings.copy_paste:
        draw = Objects(data).draw
        pastes.append((settings.copy_paste, lambda sample, rng: with_pasted(sample, draw, read, settings, rng)))
    if settings.rendered:
        classes = code_classes(data, settings)
        pastes.append((settings.rendered, lambda sample, rng: with_rendered(sample, classes, rng)))
    if settings.hard_negatives and settings.false_alarms:
        alarm = false_alarms(data, Path(settings.false_alarms)).draw
        pastes.append((settings.hard_negatives, lambda sample, rng: with_pasted(sample, alarm, read, settings, rng)))
    elif settings.hard_negatives:
        pastes.append((settings.hard_negatives, with_look_alikes))
    return tuple(pastes)


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
