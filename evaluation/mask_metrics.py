"""Instance masks: precision, recall, accuracy, F1 and panoptic quality of label images, over IoU thresholds.

| truth | predicted | precision | recall, mean true score | accuracy, F1, panoptic quality | mean matched score |
|-------|-----------|-----------|-------------------------|--------------------------------|--------------------|
| some  | some      | value     | value                   | value                          | value, None if TP 0 |
| some  | none      | None      | 0                       | 0                              | None               |
| none  | some      | 0         | None                    | 0                              | None               |
| none  | none      | None      | None                    | None                           | None               |

A set has every figure twice: `pooled` from the sums over its images, and `by_image` as the mean over the images in
which the figure has a value, with the number of those left out. StarDist counts 0 for them.

`accuracy` is TP / (TP + FP + FN), which papers on cells call AP; here AP is an area under a curve, and nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import Interval, bias_corrected_interval, drawing_units
from evaluation.emptiness import (
    NEITHER,
    NO_DETECTIONS,
    NO_IMAGES,
    NO_MATCHES,
    NO_TRUTH,
    NOT_ASKED,
    TOO_FEW_IMAGES,
    ratio,
)
from evaluation.label_matching import IOU_THRESHOLDS, match_labels
from evaluation.label_overlaps import Labels, label_overlaps
from evaluation.label_pairs import FilePair, file_pairs, read_pair
from evaluation.mask_figures import (
    RATES,
    WITH_INTERVALS,
    ImageMasks,
    MaskFigures,
    MaskMetrics,
    MaskSettings,
    MeanFigures,
)
from evaluation.pixel_scores import foreground_counts, pixel_figures, summed

_REASONS = dict(zip(RATES, (NO_DETECTIONS, NO_TRUTH, NEITHER, NEITHER, NO_TRUTH, NO_MATCHES, NEITHER), strict=True))


def image_masks(
    name: str,
    truth: Labels,
    predicted: Labels,
    *,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    group: str = "",
) -> ImageMasks:
    """Return what the label images (H, W) or (D, H, W) of one image add to a set's figures.

    Raises:
        AnnotationError: their sizes differ.
        ValueError: an array is no label image, or a threshold is not above 0 and at most 1.
    """
    overlaps = label_overlaps(truth, predicted)
    matches = [match_labels(overlaps, iou_threshold) for iou_threshold in iou_thresholds]
    return ImageMasks(
        name=name,
        size=truth.shape,
        truth=len(overlaps.truth_label),
        predicted=len(overlaps.predicted_label),
        tp=tuple(len(found) for found in matches),
        matched_iou=tuple(float(found.iou.sum()) for found in matches),
        foreground=foreground_counts(overlaps),
        group=group,
    )


def image_figures(image: ImageMasks, settings: MaskSettings) -> tuple[MaskFigures, ...]:
    """Return the figures of one image at each of the settings' IoU thresholds, without intervals."""
    counts = [_Counts(1, image.truth, image.predicted, *row) for row in zip(image.tp, image.matched_iou, strict=True)]
    without: dict[str, Interval | str] = dict.fromkeys(WITH_INTERVALS, NOT_ASKED)
    return tuple(
        _figures(row, threshold, without) for row, threshold in zip(counts, settings.iou_thresholds, strict=True)
    )


def mask_metrics(
    images: Iterable[ImageMasks], settings: MaskSettings | None = None, *, without_partner: Sequence[str] = ()
) -> MaskMetrics:
    """Return the figures of a set of images, which were made with the settings' IoU thresholds; zero images are fine.

    `without_partner` names files that could not take part.
    """
    settings, members = settings or MaskSettings(), tuple(images)
    intervals = _intervals(members, settings)
    single = [image_figures(image, settings) for image in members]
    thresholds = list(enumerate(settings.iou_thresholds))
    return MaskMetrics(
        settings=settings,
        images=members,
        pooled=tuple(_figures(_pooled(members, place), value, intervals[place]) for place, value in thresholds),
        by_image=tuple(_means(value, [figures[place] for figures in single]) for place, value in thresholds),
        foreground=pixel_figures(summed(image.foreground for image in members), len(members)),
        without_partner=tuple(without_partner),
    )


def score_label_folders(
    truth: Path,
    predicted: Path,
    settings: MaskSettings | None = None,
    *,
    lenient: bool = False,
    groups: Mapping[str, str] | None = None,
) -> MaskMetrics:
    """Return the figures of the label images of two folders, paired by their names; see `label_files` for the formats.

    `lenient` leaves files without a partner out and names them in the result; `groups` gives stems their group.

    Raises:
        AnnotationError: a missing folder, a file without a partner, a file that is no label image, unequal sizes.
    """
    files = file_pairs(truth, predicted, lenient=lenient)
    pairs = [replace(pair, group=(groups or {}).get(pair.name, pair.group)) for pair in files.pairs]
    return score_label_pairs(pairs, settings, without_partner=files.without_partner)


def score_label_pairs(
    pairs: Iterable[FilePair], settings: MaskSettings | None = None, *, without_partner: Sequence[str] = ()
) -> MaskMetrics:
    """Return the figures of the label images of these pairs, read one after the other.

    Raises:
        AnnotationError: a file that is no label image, or unequal sizes.
    """
    settings = settings or MaskSettings()
    images = [_pair_masks(pair, settings) for pair in pairs]
    return mask_metrics(images, settings, without_partner=without_partner)


def _pair_masks(pair: FilePair, settings: MaskSettings) -> ImageMasks:
    truth, predicted = read_pair(pair)
    return image_masks(pair.name, truth, predicted, iou_thresholds=settings.iou_thresholds, group=pair.group)


@dataclass(frozen=True, slots=True)
class _Counts:
    """What the figures of one image or of a set are made of."""

    images: int
    truth: int
    predicted: int
    tp: int
    matched_iou: float

    @property
    def rates(self) -> dict[str, float | None]:
        """Return RATES; see `MaskFigures` for the sources."""
        either = self.truth + self.predicted
        return {
            "precision": ratio(self.tp, self.predicted),
            "recall": ratio(self.tp, self.truth),
            "accuracy": ratio(self.tp, either - self.tp),
            "f1": ratio(2 * self.tp, either),
            "mean_true_score": ratio(self.matched_iou, self.truth),
            "mean_matched_score": ratio(self.matched_iou, self.tp),
            # TP + FP / 2 + FN / 2 is half of all objects.
            "panoptic_quality": ratio(2 * self.matched_iou, either),
        }


def _pooled(images: Sequence[ImageMasks], place: int) -> _Counts:
    return _Counts(
        images=len(images),
        truth=sum(image.truth for image in images),
        predicted=sum(image.predicted for image in images),
        tp=sum(image.tp[place] for image in images),
        matched_iou=sum(image.matched_iou[place] for image in images),
    )


def _figures(counts: _Counts, iou_threshold: float, intervals: Mapping[str, Interval | str]) -> MaskFigures:
    rates = counts.rates
    undefined = {name: _REASONS[name] if counts.images else NO_IMAGES for name, value in rates.items() if value is None}
    for name, found in intervals.items():
        if isinstance(found, str):
            undefined[f"{name}_ci"] = undefined.get(name, found)
    shown = {f"{name}_ci": None if isinstance(found, str) else found for name, found in intervals.items()}
    values: dict[str, Any] = {**rates, **shown}
    return MaskFigures(
        iou_threshold=iou_threshold,
        truth=counts.truth,
        predicted=counts.predicted,
        tp=counts.tp,
        fp=counts.predicted - counts.tp,
        fn=counts.truth - counts.tp,
        **values,
        undefined=undefined,
    )


def _means(iou_threshold: float, figures: Sequence[MaskFigures]) -> MeanFigures:
    values = {name: [getattr(row, name) for row in figures] for name in RATES}
    known = {name: [value for value in row if value is not None] for name, row in values.items()}
    nothing = {name: _REASONS[name] if figures else NO_IMAGES for name in RATES}
    return MeanFigures(
        iou_threshold=iou_threshold,
        images=len(figures),
        **{name: ratio(sum(row), len(row)) for name, row in known.items()},
        left_out={name: len(figures) - len(row) for name, row in known.items() if len(row) < len(figures)},
        undefined={name: nothing[name] for name, row in known.items() if not row},
    )


def _intervals(images: Sequence[ImageMasks], settings: MaskSettings) -> list[dict[str, Interval | str]]:
    """Return for each IoU threshold the interval of each of WITH_INTERVALS, or the word that says why there is none."""
    places = range(len(settings.iou_thresholds))
    unit = drawing_units(np.array([image.group for image in images], np.str_), np.ones(len(images), np.bool_))
    with_objects = {int(number) for number, image in zip(unit, images, strict=True) if image.truth + image.predicted}
    if not settings.resamples or len(with_objects) < 2:
        word = TOO_FEW_IMAGES if settings.resamples else NOT_ASKED
        return [dict.fromkeys(WITH_INTERVALS, word) for _ in places]
    resampled = _resampled_rates(images, unit, settings)
    points = [_pooled(images, place).rates for place in places]
    return [
        {
            # There are objects, so there is a figure.
            name: bias_corrected_interval(points[place][name] or 0.0, values[:, place]) or TOO_FEW_IMAGES
            for name, values in resampled.items()
        }
        for place in places
    ]


def _resampled_rates(
    images: Sequence[ImageMasks], unit: NDArray[np.int64], settings: MaskSettings
) -> dict[str, NDArray[np.float64]]:
    """Return the (resamples, thresholds) WITH_INTERVALS of resampled images; NaN where nothing at all was drawn.

    A resample draws as many units (images, or groups of them) as there are, with replacement: a weight for each.
    """
    rng, units, count = np.random.default_rng(settings.seed), int(unit.max()) + 1, len(settings.iou_thresholds)
    table = np.zeros((units, 1 + 2 * count))
    np.add.at(table, unit, [(image.truth + image.predicted, *image.tp, *image.matched_iou) for image in images])
    sums = np.empty((settings.resamples, table.shape[1]))
    for row in sums:
        row[:] = np.bincount(rng.integers(0, units, units), minlength=units) @ table
    either, tp, matched_iou = sums[:, :1], sums[:, 1 : 1 + count], sums[:, 1 + count :]
    either = np.where(either > 0, either, np.nan)
    return {"accuracy": tp / (either - tp), "f1": 2 * tp / either, "panoptic_quality": 2 * matched_iou / either}
