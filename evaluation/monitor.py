"""The figures that choose the best checkpoint: quick enough for every epoch."""

import numpy as np

from annotations.tables import BoxDataset, Detections
from evaluation.average_precision import IOU_THRESHOLDS
from evaluation.checks import check_detections
from evaluation.matching import candidates
from evaluation.metrics import WHOLE
from evaluation.precisions import average_precisions
from evaluation.slices import mean_or_none


def monitor_ap(truth: BoxDataset, detections: Detections) -> dict[str, float | None]:
    """Return AP of all images of `truth`, whatever their split: `ap50` and `ap` (at IoU .5, and the mean over
    .5:.95), the means over the classes with truth, then `ap50/CLASS` and `ap/CLASS`; None without truth.

    Boxes without area are let through: a young network makes them, and they cannot hit.

    Raises:
        AnnotationError: a score or coordinate is NaN or infinite, or a row does not fit the dataset.
    """
    check_detections(truth, detections, empty_boxes=True)
    found = candidates(truth, detections, lowest_iou=float(IOU_THRESHOLDS[0]))
    everywhere = {WHOLE: np.ones(len(truth.images), np.bool_)}
    precisions = average_precisions(found, everywhere, "coco-101")[WHOLE]
    means = precisions.mean(axis=0)
    values = {"ap50": mean_or_none(precisions[0]), "ap": mean_or_none(means)}
    for class_id, name in enumerate(truth.classes):
        values[f"ap50/{name}"] = mean_or_none(precisions[0, class_id : class_id + 1])
        values[f"ap/{name}"] = mean_or_none(means[class_id : class_id + 1])
    return values
