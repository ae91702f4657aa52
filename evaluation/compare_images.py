"""Which images two detectors differ on: found by one only, false alarms of one only."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column, text_column
from annotations.csvtable import csv_text
from annotations.tables import BoxDataset, Detections
from evaluation.figures import Metrics
from evaluation.image_errors import kept_rows
from evaluation.iou import pixel_boxes
from evaluation.pairs import overlapping_pairs


@dataclass(frozen=True, slots=True, eq=False)
class ImageChanges:
    """One row an image that changed from the first detector to another, worst first, counted at their thresholds.

    `image_row` is the row in the dataset's images. The objects of an image are found by both, by one only, or by
    neither; a false alarm is of one only where the other has none of its class that overlaps it.
    """

    image_row: NDArray[np.int64]
    split: NDArray[np.str_]
    found_by_both: NDArray[np.int64]
    found_by_first_only: NDArray[np.int64]
    found_by_other_only: NDArray[np.int64]
    missed_by_both: NDArray[np.int64]
    false_alarms_of_first_only: NDArray[np.int64]
    false_alarms_of_other_only: NDArray[np.int64]

    def __post_init__(self) -> None:
        for one in fields(self):
            values, rows = getattr(self, one.name), len(self.image_row)
            if one.name == "split":
                object.__setattr__(self, one.name, text_column("ImageChanges", one.name, values, rows))
            else:
                fixed = column("ImageChanges", one.name, values, np.int64, (rows,))
                object.__setattr__(self, one.name, fixed)

    def __len__(self) -> int:
        return len(self.image_row)

    @property
    def worsened(self) -> NDArray[np.int64]:
        """Return the (N,) numbers of errors that the other has more than the first; below 0 where it has fewer."""
        lost = self.found_by_first_only + self.false_alarms_of_other_only
        return np.asarray(lost - self.found_by_other_only - self.false_alarms_of_first_only)

    def of_split(self, split: str) -> "ImageChanges":
        """Return the rows of one split."""
        rows = self.split == split
        return ImageChanges(*(getattr(self, one.name)[rows] for one in fields(self)))

    def counts(self) -> dict[str, int]:
        """Return how many images changed, to the worse and to the better, and the sums of what changed."""
        return {
            "images": len(self),
            "worse": int((self.worsened > 0).sum()),
            "better": int((self.worsened < 0).sum()),
            **{name: int(getattr(self, name).sum()) for name in CHANGED},
        }


CHANGED = (
    *("found_by_first_only", "found_by_other_only"),
    *("false_alarms_of_first_only", "false_alarms_of_other_only"),
)
"""The columns of which one is not 0 where an image changed."""


def image_changes(
    truth: BoxDataset, first: tuple[Detections, Metrics], other: tuple[Detections, Metrics]
) -> ImageChanges:
    """Return the images of the splits that the two differ on; each pair is one side's detections and figures."""
    images, labels = len(truth.images), truth.annotations
    wanted = ~first[1].table.every_truth_ignored
    rows = first[1].table.every_truth_row
    found = [_found(len(labels), metrics)[rows][wanted] for _, metrics in (first, other)]
    image_row = first[1].table.every_truth_image_row[wanted]

    def per_image(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(image_row[chosen], minlength=images)

    false = [_false_positives(*side) for side in (first, other)]
    columns = {
        "found_by_both": per_image(found[0] & found[1]),
        "found_by_first_only": per_image(found[0] & ~found[1]),
        "found_by_other_only": per_image(found[1] & ~found[0]),
        "missed_by_both": per_image(~found[0] & ~found[1]),
        "false_alarms_of_first_only": _alone(truth, false[0], false[1], first[1].settings.iou),
        "false_alarms_of_other_only": _alone(truth, false[1], false[0], first[1].settings.iou),
    }
    return _worst_first(columns, _split_names(first[1], images))


def _found(truths: int, metrics: Metrics) -> NDArray[np.bool_]:
    """Return the (truths,) mask of the objects that were found at the thresholds."""
    table = metrics.table
    found = np.zeros(truths, np.bool_)
    found[table.truth_row[kept_rows(metrics) & table.hit]] = True
    return found


def _false_positives(detections: Detections, metrics: Metrics) -> Detections:
    table = metrics.table
    return detections.take(table.detection_row[kept_rows(metrics) & table.false_positive])


def _alone(truth: BoxDataset, own: Detections, others: Detections, iou: float) -> NDArray[np.int64]:
    """Return how many boxes in each image overlap none of the others' of their class, (images,)."""
    classes = max(1, len(truth.classes))
    pairs = overlapping_pairs(
        pixel_boxes(truth.images, own.image_row, own.xyxy_rel),
        own.image_row * classes + own.class_id,
        pixel_boxes(truth.images, others.image_row, others.xyxy_rel),
        others.image_row * classes + others.class_id,
        lowest_iou=iou,
    )
    alone = np.ones(len(own), np.bool_)
    alone[pairs.detection] = False
    return np.bincount(own.image_row[alone], minlength=len(truth.images))


def _split_names(metrics: Metrics, images: int) -> NDArray[np.str_]:
    """Return the (images,) name of the split of each image that is in one of the splits asked for, else ""."""
    names = np.full(images, "", "U16")
    for split, inside in metrics.split_images.items():
        names[inside] = split
    return names


def _worst_first(columns: dict[str, NDArray[np.int64]], split: NDArray[np.str_]) -> ImageChanges:
    changed = np.sum([columns[name] for name in CHANGED], axis=0)
    rows = np.flatnonzero((changed > 0) & (split != ""))
    every = ImageChanges(rows, split[rows], **{name: values[rows] for name, values in columns.items()})
    order = np.lexsort((-changed[rows], -every.worsened))
    return ImageChanges(*(getattr(every, one.name)[order] for one in fields(every)))


def per_image_changes_csv(image_ids: NDArray[np.str_], others: Mapping[str, ImageChanges]) -> str:
    """Return the table of the images that changed, worst first, of each of the `others` by its name."""
    names = [one.name for one in fields(ImageChanges) if one.name != "image_row"]
    head = ("image_id", "other", *names, "worsened")
    parts: list[list[object]] = [[] for _ in head]
    for other, changes in others.items():
        cells = (
            *(image_ids[changes.image_row].tolist(), [other] * len(changes)),
            *(getattr(changes, name).tolist() for name in names),
            changes.worsened.tolist(),
        )
        for part, values in zip(parts, cells, strict=True):
            part += values
    return csv_text(head, parts)
