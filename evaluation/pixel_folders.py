"""Pixel scores of files: class pictures (each pixel the number of its class), and probability maps of one class."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError, UsageError
from evaluation.emptiness import NEITHER, NO_IMAGES, NO_PIXELS, NO_TRUTH, ratio
from evaluation.label_files import read_probabilities
from evaluation.label_overlaps import label_overlaps
from evaluation.label_pairs import FilePair, file_pairs, read_pair
from evaluation.pixel_curves import PixelCurve, merged_curves, pixel_curve
from evaluation.pixel_scores import PixelCounts, PixelFigures, class_counts, pixel_figures, summed
from evaluation.threshold_sweep import THRESHOLDS, Sweep, threshold_sweep

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class ImagePixels:
    """The pixel counts of one image: for each class, or of one class at each threshold, in the order of the metrics."""

    name: str
    counts: tuple[PixelCounts, ...]

    def wrong(self, place: int | None = None) -> int:
        """Return the number of wrong pixels of the class or threshold at that place, or (None) of all together."""
        return sum(counts.wrong for counts in (self.counts if place is None else self.counts[place : place + 1]))


@dataclass(frozen=True, slots=True)
class ClassPixelMetrics:
    """The pixel scores of each class over a set of class pictures.

    `mean_dice` and `mean_iou` are over the classes in which they have a value; `classes_left_out` counts the others.
    `without_partner` names files that were left out. None has its reason in `undefined`.
    """

    images: int
    classes: Mapping[str, PixelFigures]
    mean_dice: float | None
    mean_iou: float | None
    classes_left_out: int
    undefined: Mapping[str, str]
    per_image: tuple[ImagePixels, ...] = ()
    without_partner: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON holds them."""
        return {
            "schema": SCHEMA,
            "kind": "class-pixels",
            "images": self.images,
            "classes": {name: figures.to_json() for name, figures in self.classes.items()},
            "mean_dice": self.mean_dice,
            "mean_iou": self.mean_iou,
            "classes_left_out": self.classes_left_out,
            "undefined": dict(self.undefined),
            "without_partner": list(self.without_partner),
        }


@dataclass(frozen=True, slots=True)
class ProbabilityMetrics:
    """The scores of one class's probability maps: the PR-AUC of their pixels, the mean distance from the truth, and the
    figures at every threshold. None has its reason in `undefined`.
    """

    images: int
    pr_auc: float | None
    mean_l1_error: float | None
    sweep: Sweep
    undefined: Mapping[str, str]
    per_image: tuple[ImagePixels, ...] = ()
    without_partner: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON holds them."""
        return {
            "schema": SCHEMA,
            "kind": "probabilities",
            "images": self.images,
            "pr_auc": self.pr_auc,
            "mean_l1_error": self.mean_l1_error,
            "sweep": self.sweep.to_json(),
            "undefined": dict(self.undefined),
            "without_partner": list(self.without_partner),
        }


def score_class_folders(
    truth: Path, predicted: Path, classes: Mapping[str, int], *, lenient: bool = False
) -> ClassPixelMetrics:
    """Return the pixel scores of two folders of class pictures, paired by their names.

    `classes` gives each class the number that its pixels hold; 0 is background unless a class has it.

    Raises:
        AnnotationError: files that `file_pairs` or `read_pair` refuse, or a pixel of no known class.
        UsageError: there is no class, two have one number, or a number is below 0.
    """
    files = file_pairs(truth, predicted, lenient=lenient)
    return score_class_pairs(files.pairs, classes, without_partner=files.without_partner)


def score_class_pairs(
    pairs: Iterable[FilePair], classes: Mapping[str, int], *, without_partner: Sequence[str] = ()
) -> ClassPixelMetrics:
    """Return the pixel scores of the class pictures of these pairs, read one after the other.

    Raises:
        AnnotationError: files that `read_pair` refuses, or a pixel of no known class.
        UsageError: there is no class, two have one number, or a number is below 0.
    """
    values = list(classes.values())
    if not values or len(set(values)) < len(values) or min(values) < 0:
        raise UsageError(f"classes must have numbers of their own, from 0, got {dict(classes)}")
    images = tuple(ImagePixels(pair.name, tuple(_pair_counts(pair, values))) for pair in pairs)
    figures = {
        name: pixel_figures(summed(image.counts[place] for image in images), len(images))
        for place, name in enumerate(classes)
    }
    dice = [row.dice for row in figures.values() if row.dice is not None]
    iou = [row.iou for row in figures.values() if row.iou is not None]
    means = {"mean_dice": ratio(sum(dice), len(dice)), "mean_iou": ratio(sum(iou), len(iou))}
    return ClassPixelMetrics(
        images=len(images),
        classes=figures,
        **means,
        classes_left_out=len(figures) - len(dice),
        undefined={name: NEITHER if images else NO_IMAGES for name, value in means.items() if value is None},
        per_image=images,
        without_partner=tuple(without_partner),
    )


def score_probability_folders(
    truth: Path,
    predicted: Path,
    *,
    value: int | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    levels: int | None = None,
    lenient: bool = False,
) -> ProbabilityMetrics:
    """Return the scores of a folder of probability maps against label images or class pictures of the same names.

    The class is where the truth is `value`; None: wherever it is not background. `levels` bounds memory; see
    `pixel_curve`.

    Raises:
        AnnotationError: files that `file_pairs` or `read_pair` refuse.
    """
    files = file_pairs(truth, predicted, lenient=lenient)
    return score_probability_pairs(
        files.pairs, value=value, thresholds=thresholds, levels=levels, without_partner=files.without_partner
    )


def score_probability_pairs(
    pairs: Iterable[FilePair],
    *,
    value: int | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    levels: int | None = None,
    without_partner: Sequence[str] = (),
) -> ProbabilityMetrics:
    """Return the scores of the probability maps of these pairs, read one after the other; see the function above.

    Raises:
        AnnotationError: files that `read_pair` refuses.
    """
    images: list[ImagePixels] = []

    def curves() -> Iterator[PixelCurve]:
        for pair in pairs:
            curve = _pair_curve(pair, value, levels)
            images.append(ImagePixels(pair.name, tuple(curve.counts_at(thresholds))))
            yield curve

    curve = merged_curves(curves())
    metrics = probability_metrics(curve, len(images), thresholds=thresholds, without_partner=tuple(without_partner))
    return replace(metrics, per_image=tuple(images))


def probability_metrics(
    curve: PixelCurve,
    images: int = 1,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    without_partner: tuple[str, ...] = (),
) -> ProbabilityMetrics:
    """Return the scores of one class from the curve of all pixels of `images` pictures."""
    nothing = {"pr_auc": NO_TRUTH, "mean_l1_error": NO_PIXELS}
    values = {"pr_auc": curve.average_precision, "mean_l1_error": curve.mean_l1_error}
    return ProbabilityMetrics(
        images=images,
        pr_auc=values["pr_auc"],
        mean_l1_error=values["mean_l1_error"],
        sweep=threshold_sweep(curve, thresholds, images=images),
        undefined={name: nothing[name] if images else NO_IMAGES for name, number in values.items() if number is None},
        without_partner=without_partner,
    )


def _pair_counts(pair: FilePair, values: Sequence[int]) -> list[PixelCounts]:
    overlaps = label_overlaps(*read_pair(pair))
    for path, labels in ((pair.truth, overlaps.truth_label), (pair.predicted, overlaps.predicted_label)):
        unknown = labels[~np.isin(labels, values)]
        if len(unknown):
            raise AnnotationError(f"{path}: pixels must be one of {sorted({0, *values})}, got {unknown[0]}")
    return class_counts(overlaps, values)


def _pair_curve(pair: FilePair, value: int | None, levels: int | None) -> PixelCurve:
    truth, probability = read_pair(pair, read_probabilities)
    mask: NDArray[np.bool_] = np.asarray(truth != 0 if value is None else truth == value)
    return pixel_curve(mask, probability, levels=levels)
