"""Sizes of objects: two populations mixed in one class, splits that differ, and objects too small to be seen.

A network sees a picture fitted into its input, so what counts is an object's size as a share of the picture's longer
side. Objects of one image are alike; so images, not boxes, are the observations.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.robust import Numbers, ashman_d, centre_and_spread, kolmogorov_smirnov
from annotations.sightings import MOST_VIEWS, Sighting, View, sighting_of_all
from annotations.size_mixture import LEAST_D, LEAST_FACTOR, LEAST_SHARE, TwoPopulations, two_populations
from annotations.size_sources import MOST_SOURCES, sources
from annotations.tables import BoxDataset, pixels

FEWEST_IMAGES = 8
"""Images with a class that a source must have to be compared with another."""
_SPREAD_FLOOR = 0.05
"""Of log size; sources with equal objects would otherwise be infinitely far apart."""
_LARGER_GAP = 1.5
"""Factor by which the gap between the two sets of sources must exceed every other gap between neighbours: sources whose
sizes follow each other evenly are no two populations."""
_SPLIT_DISTANCE, _SPLIT_P = 0.35, 1e-3
"""Least Kolmogorov-Smirnov distance between two splits, and its highest p-value: our choice, so that no random split of
ordinary data is told of, not even where images come in scenes of a few."""
_MANY_SIZES = 1.5
"""Factor between the 5th and the 95th percentile of the images' longer sides from which they are called mixed."""


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """The (N,) sizes of all boxes, sqrt(width x height): in pixels, and as a share of the image's longer side."""

    pixels: Numbers
    relative: Numbers


def sizes_of(dataset: BoxDataset) -> Sizes:
    """Return the sizes of all boxes of a dataset."""
    table, images = dataset.annotations, dataset.images
    xyxy = pixels(images, table.image_row, table.xyxy_rel)
    size = np.sqrt((xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1))
    return Sizes(size, size / np.maximum(images.width, images.height)[table.image_row])


def check_sizes(dataset: BoxDataset) -> Iterator[Sighting]:
    """Give the sightings of mixed sizes, of splits whose sizes differ, and of images of very different sizes.

    Parts are looked at where their object gave no sighting: they are as large as their object makes them.
    """
    sizes = sizes_of(dataset)
    mixed = set[str]()
    for class_id in [*dataset.object_class_ids.tolist(), *dataset.part_class_ids.tolist()]:
        label = dataset.classes[class_id]
        rows = np.flatnonzero(dataset.annotations.class_id == class_id)
        if dataset.parts.get(label) in mixed or not len(rows):
            continue
        seen = _ClassSizes(dataset, label, rows, sizes)
        sighting = seen.mixed_by_source() or seen.mixed()
        if sighting is not None:
            mixed.add(label)
            yield sighting
        yield from seen.split_differences()
    yield from _image_sizes(dataset)


class _ClassSizes:
    """The sizes of one class: of its boxes, and of its images, each of which has the median of its boxes."""

    def __init__(self, dataset: BoxDataset, label: str, rows: NDArray[np.int64], sizes: Sizes) -> None:
        self.dataset, self.label, self.rows, self.sizes = dataset, label, rows, sizes
        self.log_size = np.log(sizes.relative[rows])
        image_row = dataset.annotations.image_row[rows]
        self.images, self.place, count = np.unique(image_row, return_inverse=True, return_counts=True)
        self.weight = 1 / count[self.place]
        self.medians = _medians(self.place, self.log_size, count)

    def mixed_by_source(self) -> Sighting | None:
        """Return the sighting of two sets of sources with sizes far apart, those furthest apart; None for none."""
        found = [split for name, source in sources(self.dataset) if (split := self._two_sets(name, source)) is not None]
        if not found:
            return None
        # Of equally good ways to tell sources apart, the first: a group says more than a name.
        best = max(found, key=lambda split: round(split.separation, 1))
        small, large = (self._typical(members) for members in (best.small, best.large))
        message = (
            f"{self.label!r} is {small} in {best.kind} {_names(best.small_names)} ({len(best.small)} images) and"
            f" {large} in {_names(best.large_names)} ({len(best.large)}): two populations (separation"
            f" {best.separation:.1f}); see that every split has both, or bring them to one scale"
        )
        return self._sighting(message, self.images[best.small], self.images[best.large])

    def mixed(self) -> Sighting | None:
        """Return the sighting of two populations of sizes that no source tells apart; None where there is one."""
        found = two_populations(self.log_size, self.weight)
        if found is None:
            return None
        small, large = (self._share(centre) for centre in (found.small[0], found.large[0]))
        message = (
            f"{self.label!r} has two populations of sizes, about {small} ({1 - found.share_of_large:.0%}) and {large}"
            f" ({found.share_of_large:.0%}), with few between (separation {found.separation:.1f}); find out what they"
            " are: two sources, two magnifications or two kinds of object?"
        )
        return self._sighting(message, *self._images_of(found))

    def split_differences(self) -> Iterator[Sighting]:
        """Give a sighting for val and test where sizes are not distributed as in train."""
        split = self.dataset.images.split[self.images]
        train = self.medians[split == "train"]
        for name in ("val", "test"):
            other = self.medians[split == name]
            if min(len(train), len(other)) < FEWEST_IMAGES:
                continue
            distance, p = kolmogorov_smirnov(train, other)
            if distance >= _SPLIT_DISTANCE and p <= _SPLIT_P:
                sizes = [f"{math.exp(float(np.median(values))):.1%}" for values in (train, other)]
                message = (
                    f"{self.label!r} must be as large in {name} as in train, got a median of {sizes[1]} of the image's"
                    f" longer side against {sizes[0]} (Kolmogorov-Smirnov distance {distance:.2f}, p {p:.1g})"
                )
                yield self._sighting(message, self.images[split == "train"], self.images[split == name], "split-sizes")

    def _two_sets(self, kind: str, source: NDArray[np.str_]) -> "_TwoSets | None":
        of_image = source[self.images]
        names, place = np.unique(of_image, return_inverse=True)
        count = np.bincount(place, minlength=len(names))
        least = max(FEWEST_IMAGES, LEAST_SHARE * len(self.images) / 2)
        known = [i for i in np.flatnonzero(count >= least) if kind != "group" or names[i]]
        if not 2 <= len(known) <= MOST_SOURCES:
            return None
        known.sort(key=lambda i: float(np.median(self.medians[place == i])))
        middles = np.array([np.median(self.medians[place == i]) for i in known])
        gaps = np.diff(middles)
        cut = int(np.argmax(gaps))
        if len(gaps) > 1 and gaps[cut] < _LARGER_GAP * np.delete(gaps, cut).max():
            return None
        sets = [np.flatnonzero(np.isin(place, side)) for side in (known[: cut + 1], known[cut + 1 :])]
        (small, spread), (large, other) = (centre_and_spread(self.medians[members]) for members in sets)
        separation = ashman_d((small, max(spread, _SPREAD_FLOOR)), (large, max(other, _SPREAD_FLOOR)))
        if large - small < math.log(LEAST_FACTOR) or separation < LEAST_D:
            return None
        low, high = ([str(names[i]) for i in side] for side in (known[: cut + 1], known[cut + 1 :]))
        return _TwoSets(kind, low, high, sets[0], sets[1], separation)

    def _typical(self, members: NDArray[np.int64]) -> str:
        boxes = self.rows[np.isin(self.place, members)]
        return (
            f"{np.median(self.sizes.pixels[boxes]):.0f} pixels, {self._share(float(np.median(self.medians[members])))}"
        )

    def _share(self, log_size: float) -> str:
        return f"{math.exp(log_size):.1%} of the image's longer side"

    def _images_of(self, found: TwoPopulations) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        is_large = self.log_size >= found.border
        return self.images[np.unique(self.place[~is_large])], self.images[np.unique(self.place[is_large])]

    def _sighting(
        self, message: str, first: NDArray[np.int64], second: NDArray[np.int64], code: str = "mixed-sizes"
    ) -> Sighting:
        views = [self._view(row) for images in (first, second) for row in _some(images, MOST_VIEWS // 2)]
        return sighting_of_all(code, message, views)

    def _view(self, image_row: int) -> View:
        boxes = self.rows[self.dataset.annotations.image_row[self.rows] == image_row]
        words = f"{self.label} {np.median(self.sizes.relative[boxes]):.1%}"
        split = str(self.dataset.images.split[image_row])
        return View(image_row, (), f"{words}, {split}" if split else words)


@dataclass(frozen=True, slots=True, eq=False)
class _TwoSets:
    """Sources of one kind in two sets by size: their names, their images (places among those of the class)."""

    kind: str
    small_names: list[str]
    large_names: list[str]
    small: NDArray[np.int64]
    large: NDArray[np.int64]
    separation: float


def _medians(place: NDArray[np.int64], values: Numbers, count: NDArray[np.int64]) -> Numbers:
    """Return the median of the values of each place, 0 to len(count) - 1, each of which has one or more."""
    ordered = values[np.lexsort((values, place))]
    first = np.cumsum(count) - count
    return np.asarray((ordered[first + (count - 1) // 2] + ordered[first + count // 2]) / 2)


def _some(rows: NDArray[np.int64], most: int) -> list[int]:
    return [int(row) for row in rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64)]]


def _names(names: list[str]) -> str:
    shown = [repr(name) for name in names[:4]]
    return " and ".join(shown) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _image_sizes(dataset: BoxDataset) -> Iterator[Sighting]:
    images = dataset.images
    if not len(images):
        return
    longer = np.maximum(images.width, images.height)
    low, high = np.percentile(longer, [5, 95])
    if high / low >= _MANY_SIZES:
        count = Counter(zip(images.width.tolist(), images.height.tolist(), strict=True))
        most = ", ".join(f"{width} x {height} ({times})" for (width, height), times in count.most_common(3))
        ends = f"{longer.min()} to {longer.max()} pixels"
        message = f"images have {len(count)} sizes, the longer side from {ends}; most: {most}"
        order = np.argsort(longer, kind="stable")
        views = [View(row, (), f"{images.width[row]} x {images.height[row]}") for row in _some(order, 8)]
        yield sighting_of_all("mixed-image-sizes", message, views)
