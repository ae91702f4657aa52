"""Scoring of masks from files, split by split: objects of label images, classes of pixels, or probability maps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from annotations.errors import AnnotationError, UsageError
from annotations.tables import SPLITS
from evaluation.label_pairs import FilePair, FilePairs, file_pairs
from evaluation.label_sources import label_source
from evaluation.mask_figures import MaskMetrics, MaskSettings
from evaluation.mask_metrics import score_label_pairs
from evaluation.metrics import WHOLE
from evaluation.pixel_folders import (
    ClassPixelMetrics,
    ProbabilityMetrics,
    score_class_pairs,
    score_probability_pairs,
)
from evaluation.threshold_sweep import THRESHOLDS
from evaluation.thresholds import BY_DEFAULT, DEFAULT, GIVEN, Threshold, choosing_splits

SCHEMA = 1
INSTANCE, CLASS, PROBABILITY = "instance", "class", "probability"
MASKS = (INSTANCE, CLASS, PROBABILITY)
"""What masks can be: label images whose numbers are objects or classes, or maps of one class's probability."""

Progress = Callable[[int, int], None]
SplitScores = MaskMetrics | ClassPixelMetrics | ProbabilityMetrics

_OF_ALL = ("schema", "kind", "without_partner")
"""Keys of a split's figures that stand once, beside the splits."""


@dataclass(frozen=True, slots=True)
class MaskScores:
    """The figures of every split; `pairs` are the files that they were read from.

    `threshold` is the probability from which a pixel counts, chosen by Dice on val (as `evaluation.thresholds` has it
    for boxes), None unless the masks are probability maps.
    """

    masks: str
    splits: Mapping[str, SplitScores]
    pairs: Mapping[str, tuple[FilePair, ...]]
    images_without_split: int = 0
    without_partner: tuple[str, ...] = ()
    threshold: Threshold | None = None
    classes: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return metrics.json's content: plain, with stable keys, and without NaN."""
        chosen = self.threshold
        threshold = {} if chosen is None else {"threshold": chosen.value, "threshold_from": chosen.chosen_on}
        return {
            "schema": SCHEMA,
            "masks": self.masks,
            **threshold,
            "images_without_split": self.images_without_split,
            "without_partner": list(self.without_partner),
            "splits": {name: self._split_json(split) for name, split in self.splits.items()},
        }

    def _split_json(self, split: SplitScores) -> dict[str, Any]:
        content = {key: value for key, value in split.to_json().items() if key not in _OF_ALL}
        if isinstance(split, ProbabilityMetrics) and self.threshold is not None:
            content["at_threshold"] = split.sweep.at(self.threshold.value).to_json()
        return content


def score_masks(
    masks: str,
    truth: Path,
    predicted: Path,
    *,
    splits: Sequence[str] | None = None,
    settings: MaskSettings | None = None,
    classes: Mapping[str, int] | None = None,
    threshold: float | None = None,
    pictures: Path | None = None,
    lenient: bool = False,
    progress: Progress | None = None,
) -> MaskScores:
    """Return the figures of `splits` (None: every split that there is; `all` without splits) of two sources of masks.

    `masks` is one of MASKS, `settings` are for objects, `classes` gives each class the number of its pixels (None: what
    a box dataset says), `threshold` is for probability maps (None: the best Dice on val, which is read too).

    Raises:
        AnnotationError: files that `file_pairs` or `read_pair` refuse, or a dataset of label images of another kind.
        UsageError: classes without numbers, or a threshold outside 0 to 1.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"threshold of probability maps must be 0 to 1, got {threshold}")
    chooses = masks == PROBABILITY and threshold is None
    needed = _needed(truth, splits, chooses)
    files = file_pairs(truth, predicted, lenient=lenient, splits=needed, pictures=pictures)
    _check_kind(masks, truth, files)
    if masks == CLASS and not (classes or files.classes):
        raise UsageError(
            "classes must be given as NAME=VALUE,... where the truth is no box dataset of classes, got none"
        )
    wanted = _split_pairs(files, splits)
    read = _Reading(masks, settings, classes or files.classes, _thresholds(threshold))
    every = {**_choosing_pairs(files, wanted, chooses), **wanted}
    counted = _counting(progress, sum(map(len, every.values())))
    scores = {name: read.scores(counted(pairs)) for name, pairs in every.items()}
    return MaskScores(
        masks,
        {name: scores[name] for name in wanted},
        wanted,
        files.images_without_split,
        files.without_partner,
        _chosen(scores, threshold) if masks == PROBABILITY else None,
        read.classes,
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is made of pairs of files."""

    masks: str
    settings: MaskSettings | None
    classes: Mapping[str, int]
    thresholds: Sequence[float]

    def scores(self, pairs: Iterator[FilePair]) -> SplitScores:
        if self.masks == INSTANCE:
            return score_label_pairs(pairs, self.settings)
        if self.masks == CLASS:
            return score_class_pairs(pairs, self.classes)
        return score_probability_pairs(pairs, thresholds=self.thresholds)


def _needed(truth: Path, splits: Sequence[str] | None, chooses: bool) -> Sequence[str] | None:
    """Return the splits whose files must have partners: those asked for, and the one that chooses a threshold."""
    if splits is None or WHOLE in splits:
        return None
    present = {file.split for file in label_source(truth).files} if chooses else set()
    return (*splits, *choosing_splits(tuple(name for name in SPLITS if name in present))[:1])


def _check_kind(masks: str, truth: Path, files: FilePairs) -> None:
    if files.kind is not None and masks in (INSTANCE, CLASS) and files.kind != masks:
        raise AnnotationError(f"{truth}: label images must be of kind {masks}, got {files.kind} (convert --masks)")


def _split_pairs(files: FilePairs, splits: Sequence[str] | None) -> dict[str, tuple[FilePair, ...]]:
    present = files.by_split
    if splits is None:
        return present
    for name in splits:
        if name not in (*SPLITS, WHOLE):
            raise UsageError(f"split must be one of {', '.join((*SPLITS, WHOLE))}, got {name}")
    # Files of one name in several splits are told apart where all are one.
    whole = tuple(replace(pair, name=f"{pair.split}/{pair.name}") if pair.split else pair for pair in files.pairs)
    return {name: whole if name == WHOLE else present.get(name, ()) for name in dict.fromkeys(splits)}


def _choosing_pairs(
    files: FilePairs, wanted: Mapping[str, tuple[FilePair, ...]], chooses: bool
) -> dict[str, tuple[FilePair, ...]]:
    """Return the pairs that are read for the threshold alone: the first split that may choose it."""
    first = choosing_splits(tuple(files.by_split))[:1] if chooses else ()
    return {name: files.by_split[name] for name in first if name not in wanted}


def _thresholds(given: float | None) -> tuple[float, ...]:
    return tuple(sorted({*THRESHOLDS, *(() if given is None else (given,))}))


def _chosen(scores: Mapping[str, SplitScores], given: float | None) -> Threshold:
    if given is not None:
        return Threshold(given, GIVEN)
    for name in choosing_splits(tuple(scores)):
        split = scores[name]
        if isinstance(split, ProbabilityMetrics) and split.sweep.best_dice is not None:
            return Threshold(split.sweep.best_dice, name)
    return Threshold(DEFAULT, BY_DEFAULT)


def _counting(progress: Progress | None, total: int) -> Callable[[Sequence[FilePair]], Iterator[FilePair]]:
    """Return what gives pairs one by one, and tells the progress over all of them as each is done with."""
    done = 0

    def counted(pairs: Sequence[FilePair]) -> Iterator[FilePair]:
        nonlocal done
        for pair in pairs:
            yield pair
            done += 1
            if progress is not None:
                progress(done, total)

    return counted
