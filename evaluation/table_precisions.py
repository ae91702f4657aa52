"""AP of every split and class, read from a match table that may have been altered."""

import numpy as np
from numpy.typing import NDArray

from evaluation.average_precision import average_precision
from evaluation.curves import class_curves
from evaluation.figures import Metrics
from evaluation.matching import MatchTable


def table_precisions(table: MatchTable, metrics: Metrics) -> dict[str, NDArray[np.float64]]:
    """Return the (classes,) APs of every split at the IoU of the table, NaN without truth.

    `metrics` says what the splits are, and how the curve is read.
    """
    settings, classes, result = metrics.settings, len(metrics.thresholds), {}
    for split, inside in metrics.split_images.items():
        curves = class_curves(table.of_images(inside), classes, settings.ties)
        result[split] = np.array([average_precision(curve, settings.ap) for curve in curves], np.float64)
    return result
