"""Which detection found which truth: one pass, one table that every figure is read from.

`coco`: best score first, each detection takes the free truth that it overlaps best, if the IoU reaches the threshold.
Crowds and truth that is ignored come after all others; a detection that takes one is neither a hit nor a miss. Any
number of detections may take a crowd, and their IoU with it is the share of them that lies in it.
`voc`: each detection goes for the truth that it overlaps best; when that one is taken already, it is a false positive,
and when that one is ignored (VOC's difficult), it is neither hit nor miss. Crowds, which VOC has not, come last.
Source: pycocotools `COCOeval.evaluateImg`; the VOC 2012 development kit, `VOCevaldet.m`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from annotations.tables import BoxDataset, Boxes, Detections
from evaluation.iou import area, pixel_boxes
from evaluation.order import best_first, order_of
from evaluation.pairs import Pairs, TruthGroups, pairs_in_groups
from evaluation.sizes import ALL, size_range
from evaluation.turns import best_free, best_or_none

MATCHINGS = ("coco", "voc")
_NOBODY = -1
_AT_ONCE = 1 << 17
"""Detections that are looked at together: what fits a processor's cache, whatever the size of the set."""
_AREA_GRID = 2.0**14
"""Steps a square pixel: coarser than what rounding leaves of a box with sides of some thousand pixels."""
_OF_DETECTIONS = ("detection_row", "image_row", "class_id", "score", "truth_row", "iou", "ignored")
_OF_TRUTH = ("every_truth_row", "every_truth_image_row", "every_truth_class_id", "every_truth_ignored")
_TYPES = {"score": np.float64, "iou": np.float64, "ignored": np.bool_, "every_truth_ignored": np.bool_}


@dataclass(frozen=True, slots=True, eq=False)
class MatchTable:
    """One row a detection, best score first; ties stand in the order of image, then of the table they came from.

    `detection_row` is the row of Detections, `truth_row` the row of Annotations that it took, or -1; `iou` is the IoU
    with that truth, 0 without one; `ignored` marks the detections that are neither hit nor false positive. The
    `every_truth_*` columns hold all truth, one row each; what is true in `every_truth_ignored` need not be found.
    """

    matching: str
    iou_threshold: float
    detection_row: NDArray[np.int64]
    image_row: NDArray[np.int64]
    class_id: NDArray[np.int64]
    score: NDArray[np.float64]
    truth_row: NDArray[np.int64]
    iou: NDArray[np.float64]
    ignored: NDArray[np.bool_]
    every_truth_row: NDArray[np.int64]
    every_truth_image_row: NDArray[np.int64]
    every_truth_class_id: NDArray[np.int64]
    every_truth_ignored: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for names, rows in ((_OF_DETECTIONS, len(self.detection_row)), (_OF_TRUTH, len(self.every_truth_row))):
            for name in names:
                values = column("MatchTable", name, getattr(self, name), _TYPES.get(name, np.int64), (rows,))
                object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.detection_row)

    @property
    def hit(self) -> NDArray[np.bool_]:
        """Return the (N,) mask of the detections that found a truth that counts."""
        return np.asarray((self.truth_row != _NOBODY) & ~self.ignored)

    @property
    def false_positive(self) -> NDArray[np.bool_]:
        """Return the (N,) mask of the detections that found nothing and are not ignored."""
        return np.asarray((self.truth_row == _NOBODY) & ~self.ignored)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return the table of these (K,) rows (or of a (N,) mask's true rows), in that order, with all truth."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _OF_DETECTIONS})

    def of_images(self, inside: NDArray[np.bool_]) -> Self:
        """Return the table of the images whose rows are true in `inside` (images,); rows keep their numbers."""
        truths = inside[self.every_truth_image_row]
        return self.take(inside[self.image_row]).with_truth(truths)

    def with_truth(self, kept: NDArray[np.bool_]) -> Self:
        """Return the table with only the truth that is true in `kept` (every_truth_row,), and all detections."""
        return replace(self, **{name: getattr(self, name)[kept] for name in _OF_TRUTH})


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some images: the rows of their truth, and their pairs, which point at places in `truth_row` (B,).

    Detections are known by their places in `Candidates.row`. They stand image by image, so that what is looked at
    together lies together, and those of an image class by class, best score first.
    """

    truth_row: NDArray[np.int64]
    pairs: Pairs


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Everything that matching needs at any IoU threshold from `lowest_iou` up: made once, matched many times.

    `row` (N,) are the rows of `detections` that take part, class by class and best score first, `start` (classes + 1,)
    bounds the places of a class in it. `area` (N,) and `truth_area` (M,) are in square pixels. `blocks` hold who could
    take what, some images each.
    """

    matching: str
    lowest_iou: float
    dataset: BoxDataset
    detections: Detections
    row: NDArray[np.int64]
    start: NDArray[np.int64]
    area: NDArray[np.float64]
    truth_area: NDArray[np.float64]
    blocks: tuple[Block, ...]

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return len(self.dataset.classes)

    def ignored_truth(self, size: str = ALL) -> NDArray[np.bool_]:
        """Return the (M,) mask of the truth that does not count: marked so, a crowd, or of another size."""
        truth = self.dataset.annotations
        return np.asarray(truth.crowd | truth.ignore | size_range(size).outside(self.truth_area))

    def preferred(self, size: str = ALL) -> tuple[Block, ...]:
        """Return the blocks in the order in which detections take truth where only objects of a size count."""
        # For VOC's rule an ignored truth is as good as any other.
        last = self.ignored_truth(size) if self.matching == "coco" else self.dataset.annotations.crowd
        return tuple(replace(block, pairs=block.pairs.preferring(last[block.truth_row])) for block in self.blocks)

    def taken(self, preferred: tuple[Block, ...], ignored_truth: NDArray[np.bool_], iou_threshold: float) -> Pairs:
        """Return which detection takes which truth at this IoU threshold: one pair a detection, at most.

        `preferred` and `ignored_truth` are those of one size. `detection` are places in `row`, ascending.

        Raises:
            ValueError: the threshold is below the lowest that the candidates were made for.
        """
        if iou_threshold < self.lowest_iou:
            raise ValueError(f"iou_threshold must be at least {self.lowest_iou}, got {iou_threshold}")
        shared = self.dataset.annotations.crowd if self.matching == "coco" else ignored_truth
        take = best_free if self.matching == "coco" else best_or_none
        found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
        for block in preferred:
            near = block.pairs.take(block.pairs.iou >= iou_threshold)
            taken = take(near, shared[block.truth_row])
            found.append((taken.detection, block.truth_row[taken.truth], taken.iou))
        pairs = Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
        return pairs.take(order_of(pairs.detection))

    def match(self, iou_threshold: float) -> MatchTable:
        """Return the match table at this IoU threshold.

        Raises:
            ValueError: the threshold is below the lowest that the candidates were made for.
        """
        truth, detections, missed = self.dataset.annotations, self.detections, self.ignored_truth()
        taken = self.taken(self.preferred(), missed, iou_threshold)
        truth_row, iou = np.full(len(detections), _NOBODY), np.zeros(len(detections))
        truth_row[self.row[taken.detection]], iou[self.row[taken.detection]] = taken.truth, taken.iou
        order = ranking(detections)
        if len(self.row) < len(order):
            takes_part = np.zeros(len(detections), np.bool_)
            takes_part[self.row] = True
            order = order[takes_part[order]]
        truth_row = truth_row[order]
        return MatchTable(
            matching=self.matching,
            iou_threshold=iou_threshold,
            detection_row=order,
            image_row=detections.image_row[order],
            class_id=detections.class_id[order],
            score=detections.score[order],
            truth_row=truth_row,
            iou=iou[order],
            # Row -1, of those that took nothing, is the one appended.
            ignored=np.append(missed, False)[truth_row],
            every_truth_row=np.arange(len(truth)),
            every_truth_image_row=truth.image_row,
            every_truth_class_id=truth.class_id,
            every_truth_ignored=missed,
        )


def candidates(
    dataset: BoxDataset,
    detections: Detections,
    *,
    matching: str = "coco",
    lowest_iou: float = 0.5,
    max_detections: int | None = None,
    least_score: float | None = None,
) -> Candidates:
    """Return the ranked detections with every truth that each could take; empty tables are fine.

    `max_detections` keeps the best of each image and class only, `least_score` those with at least that score (None:
    all of them).

    Raises:
        ValueError: an unknown matching, an IoU outside (0, 1], or no detections allowed at all.
    """
    if matching not in MATCHINGS:
        raise ValueError(f"matching must be one of {MATCHINGS}, got {matching!r}")
    if not 0 < lowest_iou <= 1:
        raise ValueError(f"lowest_iou must be above 0 and at most 1, got {lowest_iou}")
    if max_detections is not None and max_detections < 1:
        raise ValueError(f"max_detections must be at least 1, got {max_detections}")
    classes = max(1, len(dataset.classes))
    row = _by_class(detections, classes)
    if least_score is not None:
        row = row[detections.score[row] >= least_score]
    if max_detections is not None:
        row = _best_of_group(row, detections.image_row[row] * classes + detections.class_id[row], max_detections)
    place = np.full(len(detections), _NOBODY)
    place[row] = np.arange(len(row))
    area_of_row = np.empty(len(detections))
    blocks = tuple(_blocks(dataset, detections, place, area_of_row, matching, lowest_iou))
    truth = dataset.annotations
    truth_area = box_areas(pixel_boxes(dataset.images, truth.image_row, truth.xyxy_rel))
    ranked_class = detections.class_id if len(row) == len(detections) else detections.class_id[row]
    start = np.cumsum([0, *np.bincount(ranked_class, minlength=len(dataset.classes))])
    return Candidates(matching, lowest_iou, dataset, detections, row, start, area_of_row[row], truth_area, blocks)


def match(
    dataset: BoxDataset,
    detections: Detections,
    *,
    iou_threshold: float = 0.5,
    matching: str = "coco",
    max_detections: int | None = None,
) -> MatchTable:
    """Return the match table of a whole set at one IoU threshold; see `candidates` for the options."""
    found = candidates(dataset, detections, matching=matching, lowest_iou=iou_threshold, max_detections=max_detections)
    return found.match(iou_threshold)


def ranking(detections: Detections) -> NDArray[np.int64]:
    """Return the (N,) rows, best score first; ties stand in the order of image, then of the table."""
    by_image = _by_image(detections)
    if by_image is None:
        return best_first(detections.score)
    return np.asarray(by_image[best_first(detections.score[by_image])])


def _by_image(detections: Detections) -> NDArray[np.int64] | None:
    """Return the (N,) rows in the order of image, or None where they stand in it already."""
    image_row = detections.image_row
    return None if (image_row[1:] >= image_row[:-1]).all() else order_of(image_row)


def box_areas(xyxy: Boxes) -> NDArray[np.float64]:
    """Return the (N,) areas of (N, 4) xyxy pixels; what was a whole number before normalising is one again."""
    return np.rint(area(xyxy) * _AREA_GRID) / _AREA_GRID


def grouped(number: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Return the (N,) rows in the order of their number, which is below `groups`; equal ones keep their order."""
    # numpy sorts 16-bit integers by radix: quicker than anything else.
    return np.argsort(number.astype(np.uint16), kind="stable") if groups <= 1 << 16 else order_of(number)


def _by_class(detections: Detections, classes: int) -> NDArray[np.int64]:
    """Return the (N,) rows class by class, and within each as `ranking` has them."""
    by_image = _by_image(detections)
    if by_image is None:
        row = grouped(detections.class_id, classes)
    else:
        row = by_image[grouped(detections.class_id[by_image], classes)]
    # One class after the other, for what is sorted together should fit a processor's cache.
    stops = np.cumsum(np.bincount(detections.class_id, minlength=classes)).tolist()
    for start, stop in zip([0, *stops[:-1]], stops, strict=True):
        own = row[start:stop]
        row[start:stop] = own[best_first(detections.score[own])]
    return row


def _best_of_group(row: NDArray[np.int64], key: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the rows without those behind the first `most` of their key."""
    if len(key) and key.max() < 8 * len(key) and np.bincount(key).max() <= most:
        return row
    order = order_of(key)
    ordered = key[order]
    place = np.empty(len(key), np.int64)
    place[order] = np.arange(len(key)) - np.searchsorted(ordered, ordered, "left")
    return row[place < most]


def _blocks(
    dataset: BoxDataset,
    detections: Detections,
    place: NDArray[np.int64],
    areas: NDArray[np.float64],
    matching: str,
    lowest_iou: float,
) -> Iterator[Block]:
    """Yield the blocks of a whole set, and write the (N,) `areas` of the detections, which stand at (N,) `place`."""
    images, truth, classes = dataset.images, dataset.annotations, max(1, len(dataset.classes))
    by_image, truth_by_image = _by_image(detections), order_of(truth.image_row)
    truth_image = truth.image_row[truth_by_image]
    for start, stop in _whole_images(detections.image_row if by_image is None else detections.image_row[by_image]):
        rows = np.arange(start, stop) if by_image is None else by_image[start:stop]
        own = detections.image_row[rows]
        low, high = np.searchsorted(truth_image, own[0], "left"), np.searchsorted(truth_image, own[-1], "right")
        wanted = truth_by_image[low:high]
        boxes = pixel_boxes(images, own, detections.xyxy_rel[rows])
        areas[rows] = box_areas(boxes)
        pairs = pairs_in_groups(
            boxes,
            (own - own[0]) * classes + detections.class_id[rows],
            pixel_boxes(images, truth.image_row[wanted], truth.xyxy_rel[wanted]),
            TruthGroups((truth.image_row[wanted] - own[0]) * classes + truth.class_id[wanted]),
            lowest_iou=lowest_iou,
            crowd=truth.crowd[wanted],
        )
        placed = Pairs(place[rows[pairs.detection]], pairs.truth, pairs.iou)
        order = np.lexsort((placed.detection, own[pairs.detection]))
        placed = placed.take(order[placed.detection[order] != _NOBODY])
        yield Block(wanted, placed.best_first(last_wins=matching == "coco"))


def _whole_images(image_row: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of about `_AT_ONCE` rows of a column in ascending order, never parting those of an image."""
    start, count = 0, len(image_row)
    while start < count:
        last = image_row[min(start + _AT_ONCE, count) - 1]
        stop = int(np.searchsorted(image_row, last, "right"))
        yield start, stop
        start = stop
