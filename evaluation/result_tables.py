"""The figures as CSV tables, whose columns stay as they are. What has no value is an empty cell."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from annotations.csvtable import Column, Sparse, csv_text
from annotations.tables import BoxDataset, Detections
from annotations.words import Words
from evaluation.error_costs import ErrorCost, ErrorReport
from evaluation.error_kinds import KINDS, NO_ROW
from evaluation.figures import ClassMetrics, Metrics
from evaluation.image_errors import image_errors
from evaluation.sizes import SIZES

_WITH_INTERVALS = ("ap50", "ap75", "ap", "precision", "recall", "f1")
_PLAIN = (
    *("truth", "detections", "ignored_truth", "ignored_detections"),
    *("threshold", "threshold_from", "threshold_reached", "tp", "fp", "fn"),
)
_RATES = ("fp_per_image", "fp_per_image_without_truth", "ece", "mce")
_ERRORS = (
    *("kind", "split", "image_id", "class", "truth_class", "detection_id", "truth_id", "iou", "score", "size"),
    *("any_score", "at_threshold"),
)
_CALIBRATION = ("from", "to", "detections", "hits", "mean_score", "precision")


def per_class_csv(metrics: Metrics, errors: ErrorReport) -> str:
    """Return the table of every class in every split.

    `X_low` and `X_high` are the ends of the interval of X; `ap50_worst` and `ap50_best` those of AP@.5 over all orders
    of equal scores; `ap_SIZE` is AP@[.5:.95] of the objects of a size; `dap_KIND` is what the errors of a kind cost.
    `undefined` says why cells are empty, as `column:reason`, joined by ";".
    """
    rows = [
        _class_row(split, name, figures, errors.splits[split].classes[name])
        for split, part in metrics.splits.items()
        for name, figures in part.classes.items()
    ]
    # The names of the columns do not depend on there being any row.
    header = ["split", "class", *_PLAIN]
    header += [f"{name}{end}" for name in _WITH_INTERVALS for end in ("", "_low", "_high")]
    header += ["ap50_worst", "ap50_best", *_RATES, *(f"ap_{size}" for size in SIZES)]
    header += [*(f"dap_{kind}" for kind in KINDS), "undefined"]
    return csv_text(header, [[_cell(row[name]) for row in rows] for name in header])


def _class_row(split: str, name: str, figures: ClassMetrics, costs: Mapping[str, ErrorCost]) -> dict[str, Any]:
    row: dict[str, Any] = {"split": split, "class": name}
    row |= {key: getattr(figures, key) for key in (*_PLAIN, *_RATES, *_WITH_INTERVALS)}
    for key in _WITH_INTERVALS:
        interval = getattr(figures, f"{key}_ci")
        row |= {f"{key}_low": interval and interval.low, f"{key}_high": interval and interval.high}
    ties = figures.ap50_ties
    row |= {"ap50_worst": ties and ties.low, "ap50_best": ties and ties.high}
    row |= {f"ap_{size}": some.ap for size, some in figures.by_size.items()}
    row |= {f"dap_{kind}": costs[kind].dap for kind in KINDS}
    reasons = dict(figures.undefined)
    reasons |= {f"ap_{size}": some.undefined["ap"] for size, some in figures.by_size.items() if some.ap is None}
    reasons |= {f"dap_{kind}": costs[kind].undefined["dap"] for kind in KINDS if costs[kind].dap is None}
    return {**row, "undefined": ";".join(f"{key}:{reason}" for key, reason in reasons.items())}


def per_image_csv(metrics: Metrics, errors: ErrorReport, dataset: BoxDataset) -> str:
    """Return the table of every image of every split, counted at the thresholds over all classes.

    A column of each kind of error (see `error_kinds`) follows; an object can be missed (`fn`) without being of the kind
    `missed`, where an error of another kind lies on it.
    """
    images = dataset.images
    counts, table = image_errors(metrics, len(images)), errors.table.take(errors.table.at_threshold)
    kinds = {
        name: np.bincount(table.image_row[table.kind == kind], minlength=len(images)) for kind, name in enumerate(KINDS)
    }
    values = {"truth": counts.truth, "tp": counts.tp, "fp": counts.fp, "fn": counts.fn, **kinds}
    splits, rows = _rows_of_splits(metrics)
    columns: list[Column] = [images.image_id[rows], splits, *(column[rows] for column in values.values())]
    return csv_text(("image_id", "split", *values), columns)


def errors_csv(metrics: Metrics, errors: ErrorReport, dataset: BoxDataset, detections: Detections) -> str:
    """Return the table of every error of every split: false positives, best score first, then missed objects.

    `detection_id` and `truth_id` are the object_ids of the detections and of boxes.csv. `any_score` is 1 for the errors
    that cost AP, `at_threshold` for those that there are at the score thresholds; `size` is that of the object, of the
    detection where there is none.
    """
    table, classes = errors.table, (*dataset.classes, "")
    places = np.concatenate(
        [np.zeros(0, np.int64), *(np.flatnonzero(inside[table.image_row]) for inside in metrics.split_images.values())]
    )
    counts = [int(inside[table.image_row].sum()) for inside in metrics.split_images.values()]
    mine, truth = table.take(places), dataset.annotations
    truth_class = np.append(truth.class_id, len(dataset.classes))[mine.truth_row]
    sizes = np.select([~size.outside(mine.area) for size in SIZES.values()], range(len(SIZES)))
    columns: list[Column] = [
        Words(KINDS, mine.kind),
        Words(tuple(metrics.split_images), np.repeat(np.arange(len(counts)), counts)),
        Words(tuple(dataset.images.image_id.tolist()), mine.image_row),
        Words(classes, mine.class_id),
        Words(classes, truth_class),
        Sparse(np.append(detections.object_id, NO_ROW)[mine.detection_row], NO_ROW),
        Sparse(np.append(truth.object_id, NO_ROW)[mine.truth_row], NO_ROW),
        [_cell(value) for value in mine.iou.tolist()],
        [_cell(value) for value in mine.score.tolist()],
        Words(tuple(SIZES), sizes.astype(np.int64)),
        mine.any_score.astype(np.int64),
        mine.at_threshold.astype(np.int64),
    ]
    return csv_text(_ERRORS, columns)


def confusion_csv(metrics: Metrics) -> str:
    """Return the cells of every split's confusion matrix that are not 0: what is there, what was found, how often.

    An empty cell stands for background: a detection where nothing is, or an object that nothing lies on.
    """
    rows: list[tuple[str, str, str, int]] = []
    for split, figures in metrics.splits.items():
        names = [*figures.classes, ""]
        counts = np.array(figures.confusion["counts"], np.int64)
        rows += [(split, names[t], names[f], int(counts[t, f])) for t, f in np.argwhere(counts).tolist()]
    return csv_text(("split", "truth", "found", "count"), _columns(rows, 4))


def calibration_csv(metrics: Metrics) -> str:
    """Return the bins of every split's calibration, over all classes; none where scores are no shares."""
    rows = []
    for split, figures in metrics.splits.items():
        table = figures.calibration
        for cells in zip(*(table[name] for name in _CALIBRATION), strict=True) if table else ():
            rows.append((split, *map(_cell, cells)))
    return csv_text(("split", *_CALIBRATION), _columns(rows, 1 + len(_CALIBRATION)))


def _rows_of_splits(metrics: Metrics) -> tuple[Words, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the split of every image of every split, and its row."""
    rows = [np.flatnonzero(inside) for inside in metrics.split_images.values()]
    number = np.repeat(np.arange(len(rows)), [len(some) for some in rows])
    return Words(tuple(metrics.split_images), number), np.concatenate([np.zeros(0, np.int64), *rows])


def _columns(rows: Iterable[Sequence[object]], count: int) -> Sequence[Sequence[object]]:
    columns = list(zip(*rows, strict=True))
    return columns or [()] * count


def _cell(value: object) -> str:
    return "" if value is None or value != value else str(value)
