"""Which detection found which truth: one pass, one table that every figure is read from.

`coco`: best score first, each detection takes the free truth that it overlaps best, if the IoU reaches the threshold.
`voc`: each detection goes for the truth that it overlaps best; when that one is taken already, it is a false positive.
Source: pycocotools `COCOeval.evaluateImg`; the VOC 2012 development kit, `VOCevaldet.m`, with `>=` in place of `>`.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from annotations.tables import BoxDataset, Detections
from evaluation.iou import pixel_boxes
from evaluation.pairs import Pairs, overlapping_pairs

MATCHINGS = ("coco", "voc")
_NOBODY = -1
_OF_DETECTIONS = ("detection_row", "image_row", "class_id", "score", "truth_row", "iou")
_OF_TRUTH = ("every_truth_row", "every_truth_image_row", "every_truth_class_id")


@dataclass(frozen=True, slots=True, eq=False)
class MatchTable:
    """One row a detection, best score first; ties stand in the order of image, then of the table they came from.

    `detection_row` is the row of Detections, `truth_row` the row of Annotations that it found, or -1; `iou` is the IoU
    with that truth, 0 without one. The `every_truth_*` columns hold all truth that could be found, one row each.
    """

    matching: str
    iou_threshold: float
    detection_row: NDArray[np.int64]
    image_row: NDArray[np.int64]
    class_id: NDArray[np.int64]
    score: NDArray[np.float64]
    truth_row: NDArray[np.int64]
    iou: NDArray[np.float64]
    every_truth_row: NDArray[np.int64]
    every_truth_image_row: NDArray[np.int64]
    every_truth_class_id: NDArray[np.int64]

    def __post_init__(self) -> None:
        for names, rows in ((_OF_DETECTIONS, len(self.detection_row)), (_OF_TRUTH, len(self.every_truth_row))):
            for name in names:
                dtype = np.float64 if name in ("score", "iou") else np.int64
                object.__setattr__(self, name, column("MatchTable", name, getattr(self, name), dtype, (rows,)))

    def __len__(self) -> int:
        return len(self.detection_row)

    @property
    def hit(self) -> NDArray[np.bool_]:
        """Return the (N,) mask of the detections that found a truth."""
        return np.asarray(self.truth_row != _NOBODY)

    def of_images(self, inside: NDArray[np.bool_]) -> Self:
        """Return the table of the images whose rows are true in `inside` (images,); rows keep their numbers."""
        kept, truths = inside[self.image_row], inside[self.every_truth_image_row]
        columns = {name: getattr(self, name)[kept] for name in _OF_DETECTIONS}
        return replace(self, **columns, **{name: getattr(self, name)[truths] for name in _OF_TRUTH})


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Everything that matching needs at any IoU threshold from `lowest_iou` up: made once, matched many times."""

    matching: str
    lowest_iou: float
    dataset: BoxDataset
    detection_row: NDArray[np.int64]
    detections: Detections
    pairs: Pairs

    def match(self, iou_threshold: float) -> MatchTable:
        """Return the match table at this IoU threshold.

        Raises:
            ValueError: the threshold is below the lowest that the candidates were made for.
        """
        if iou_threshold < self.lowest_iou:
            raise ValueError(f"iou_threshold must be at least {self.lowest_iou}, got {iou_threshold}")
        end = self.pairs.end(iou_threshold)
        truth = self.dataset.annotations
        take = _best_free if self.matching == "coco" else _best_or_none
        truth_row, iou = take(self.pairs, end, len(truth))
        ranked = self.detections
        return MatchTable(
            matching=self.matching,
            iou_threshold=iou_threshold,
            detection_row=self.detection_row,
            image_row=ranked.image_row,
            class_id=ranked.class_id,
            score=ranked.score,
            truth_row=truth_row,
            iou=iou,
            every_truth_row=np.arange(len(truth)),
            every_truth_image_row=truth.image_row,
            every_truth_class_id=truth.class_id,
        )


def candidates(
    dataset: BoxDataset,
    detections: Detections,
    *,
    matching: str = "coco",
    lowest_iou: float = 0.5,
    max_detections: int | None = None,
) -> Candidates:
    """Return the ranked detections with every truth that each could take; empty tables are fine.

    `max_detections` keeps the best of each image and class only (None: all of them).

    Raises:
        ValueError: an unknown matching, an IoU outside (0, 1], or no detections allowed at all.
    """
    if matching not in MATCHINGS:
        raise ValueError(f"matching must be one of {MATCHINGS}, got {matching!r}")
    if not 0 < lowest_iou <= 1:
        raise ValueError(f"lowest_iou must be above 0 and at most 1, got {lowest_iou}")
    if max_detections is not None and max_detections < 1:
        raise ValueError(f"max_detections must be at least 1, got {max_detections}")
    images, truth, classes = dataset.images, dataset.annotations, max(1, len(dataset.classes))
    order = np.lexsort((detections.image_row, -detections.score))
    if max_detections is not None:
        order = order[_place_in_group(_key(detections.take(order), classes)) < max_detections]
    ranked = detections.take(order)
    pairs = overlapping_pairs(
        pixel_boxes(images, ranked.image_row, ranked.xyxy_rel),
        _key(ranked, classes),
        pixel_boxes(images, truth.image_row, truth.xyxy_rel),
        truth.image_row * classes + truth.class_id,
        lowest_iou=lowest_iou,
        last_wins=matching == "coco",
    )
    return Candidates(matching, lowest_iou, dataset, order, ranked, pairs)


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


def _key(detections: Detections, classes: int) -> NDArray[np.int64]:
    """Return the (N,) numbers that are equal exactly for detections of one image and class."""
    return np.asarray(detections.image_row * classes + detections.class_id)


def _place_in_group(key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the (N,) places of each row among the rows of its own key, in their order, from 0."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    place = np.empty(len(key), np.int64)
    place[order] = np.arange(len(key)) - np.searchsorted(ordered, ordered, "left")
    return place


def _best_free(pairs: Pairs, end: NDArray[np.int64], truths: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return (N,) truth rows and (N,) IoUs when each detection in turn takes the best truth that is still free.

    In turn would be a loop over all detections. All truths prefer the same detections (the better score), so the
    result of taking turns is the one stable marriage, and proposing in rounds finds it: whoever is turned down, or put
    out by a better one, asks the next best. A handful of rounds, each over those still asking.
    Source: Gale & Shapley, College Admissions and the Stability of Marriage, 1962.
    """
    asking, number = pairs.first[:-1].copy(), len(end)
    holder = np.full(truths, number)
    active = np.flatnonzero(asking < end)
    while active.size:
        wanted = pairs.truth[asking[active]]
        before = holder[wanted]
        np.minimum.at(holder, wanted, active)
        bidders = np.unique(np.concatenate([active, before[before < number]]))
        refused = bidders[holder[pairs.truth[asking[bidders]]] != bidders]
        asking[refused] += 1
        active = refused[asking[refused] < end[refused]]
    return _taken(pairs, asking, holder, number)


def _best_or_none(pairs: Pairs, end: NDArray[np.int64], truths: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return (N,) truth rows and (N,) IoUs when each detection may take only the truth that it overlaps best."""
    asking, number = pairs.first[:-1], len(end)
    holder = np.full(truths, number)
    active = np.flatnonzero(asking < end)
    np.minimum.at(holder, pairs.truth[asking[active]], active)
    return _taken(pairs, asking, holder, number)


def _taken(
    pairs: Pairs, asking: NDArray[np.int64], holder: NDArray[np.int64], number: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return (N,) truth rows and (N,) IoUs of the detections, given which one holds each truth (`number`: none)."""
    truth_row, iou = np.full(number, _NOBODY), np.zeros(number)
    held = np.flatnonzero(holder < number)
    truth_row[holder[held]] = held
    iou[holder[held]] = pairs.iou[asking[holder[held]]]
    return truth_row, iou
