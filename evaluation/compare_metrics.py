"""Figures of metrics.json files side by side: without detections there is nothing to resample, so no intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotations.errors import AnnotationError
from evaluation.bootstrap_figures import FIGURES

SCHEMA = 1
NO_INTERVALS = (
    "From metrics.json alone there are no intervals: they need the detections of all sides and the truth. Whether a "
    "difference is more than chance cannot be told."
)
_SETTINGS = ("iou", "matching", "ap", "ties", "score_floor", "max_detections")
_TRUTH = ("images", "truth")

Figures = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class MetricsComparison:
    """`figures` maps a split to the names of the sides, and these to their figures; the first side is the measure."""

    names: tuple[str, ...]
    figures: Mapping[str, Mapping[str, Figures]]
    classes: Mapping[str, Mapping[str, Mapping[str, Figures]]]

    def to_json(self) -> dict[str, Any]:
        """Return the figures and their differences from the first, plain, without intervals."""
        first, *others = self.names
        return {
            "schema": SCHEMA,
            "first": first,
            "others": others,
            "remarks": [NO_INTERVALS],
            "splits": {
                split: {
                    "sides": {name: {**sides[name], "classes": self.classes[split][name]} for name in self.names},
                    "differences": {name: self.differences(split, name) for name in others},
                }
                for split, sides in self.figures.items()
            },
        }

    def differences(self, split: str, name: str) -> dict[str, Any]:
        """Return how much more each figure of a side is than that of the first, in the form of compare.json."""
        first, other = self.figures[split][self.names[0]], self.figures[split][name]
        return {figure: {"difference": _difference(first[figure], other[figure]), "ci": None} for figure in FIGURES}


def compare_metrics(contents: Mapping[str, Mapping[str, Any]]) -> MetricsComparison:
    """Return the figures of metrics.json contents by the name of their side, in that order.

    Raises:
        AnnotationError: they are of other truth, made in another way, or have no split in common; what differs is
            named.
    """
    names = tuple(contents)
    first = contents[names[0]]
    for name in names[1:]:
        for key in _SETTINGS:
            if first.get(key) != contents[name].get(key):
                raise AnnotationError(
                    f"{name}: {key} must be {first.get(key)} as in {names[0]}, got {contents[name].get(key)}"
                )
    splits = [split for split in first["splits"] if all(split in content["splits"] for content in contents.values())]
    if not splits:
        raise AnnotationError(f"{names[1]}: splits must be some of {', '.join(first['splits'])}, got none of them")
    for split in splits:
        _check_truth({name: content["splits"][split] for name, content in contents.items()}, split)
    chosen = {split: {name: content["splits"][split] for name, content in contents.items()} for split in splits}
    return MetricsComparison(
        names,
        {split: {name: _figures(part) for name, part in sides.items()} for split, sides in chosen.items()},
        {
            split: {
                name: {label: _figures(one) for label, one in part["classes"].items()} for name, part in sides.items()
            }
            for split, sides in chosen.items()
        },
    )


def metrics_text(comparison: MetricsComparison) -> str:
    """Return the text for a terminal."""
    from evaluation.compare_text import LABELS, aligned, figure_text

    lines = []
    for split, sides in comparison.figures.items():
        rows = [("", *comparison.names, *(f"{name} − {comparison.names[0]}" for name in comparison.names[1:]))]
        for figure in FIGURES:
            values = [sides[name][figure] for name in comparison.names]
            changes = [_difference(values[0], value) for value in values[1:]]
            told = ["–" if change is None else f"{change:+.3f}" for change in changes]
            rows.append((LABELS[figure], *(figure_text(value) for value in values), *told))
        lines += [f"{split}:", *aligned(rows, left=(0,)), ""]
    return "\n".join([*lines, f"note: {NO_INTERVALS}"])


def _figures(part: Mapping[str, Any]) -> Figures:
    return {figure: part.get(figure) for figure in FIGURES}


def _difference(first: float | None, other: float | None) -> float | None:
    return None if first is None or other is None else other - first


def _check_truth(sides: Mapping[str, Mapping[str, Any]], split: str) -> None:
    """Refuse sides whose split does not hold as many images and objects of each class as the first one's."""
    (first, measure), *others = sides.items()
    for name, part in others:
        _check_counts(f"{name}: {split}", first, measure, part, _TRUTH)
        labels, wanted = list(part["classes"]), list(measure["classes"])
        if labels != wanted:
            raise AnnotationError(f"{name}: {split}: classes must be {wanted} as in {first}, got {labels}")
        for label in labels:
            own, other = measure["classes"][label], part["classes"][label]
            _check_counts(f"{name}: {split}: {label}", first, own, other, _TRUTH[1:])


def _check_counts(
    where: str, first: str, measure: Mapping[str, Any], part: Mapping[str, Any], keys: tuple[str, ...]
) -> None:
    for key in keys:
        if measure.get(key) != part.get(key):
            raise AnnotationError(
                f"{where}: {key} must be {measure.get(key)} as in {first}, got {part.get(key)}: the truth is another"
            )
