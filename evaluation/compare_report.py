"""A comparison as files: compare.json, per_image.csv, and one page that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.bootstrap_figures import FIGURES
from evaluation.compare import POWER, Change, Comparison, SplitComparison
from evaluation.compare_images import ImageChanges, per_image_changes_csv
from evaluation.compare_text import (
    CLASS_FIGURES,
    LABELS,
    chance_note,
    difference_text,
    figure_text,
    interval_text,
    short_verdict,
    verdicts,
)
from evaluation.differences import Difference, Differences
from evaluation.emptiness import MEANINGS
from evaluation.report_pages import json_text, write_files

if TYPE_CHECKING:
    from jinja2 import Template

COMPARISON_FILE, PER_IMAGE_FILE, PAGE_FILE = "compare.json", "per_image.csv", "compare.html"
_TEMPLATE = "compare.html.jinja"
_MOST_IMAGES = 50
"""Images that the page lists for a side and split; per_image.csv has all."""
_MOST_CLASSES = 100
"""Classes that the page lists; compare.json has all."""
_SIZE_FIGURES = ("ap50", "ap")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table of the page: two figures, their difference, and where it lies on the axis, 0 to 100."""

    what: str
    label: str
    first: str
    other: str
    difference: str
    interval: str
    verdict: str
    why: str
    told_apart: bool
    low: float | None
    point: float | None
    high: float | None


def write_comparison(directory: Path, comparison: Comparison, *, facts: Mapping[str, str] | None = None) -> Path:
    """Write compare.json, per_image.csv and compare.html into a directory; return the page's path.

    Each file is written whole; the page comes last. Files of an earlier comparison are replaced, others are left alone.
    `facts` are rows for the list of how it was made (the command, the date).

    Raises:
        PpnlabError: the directory cannot be written, or is a file.
    """
    changes = dict(zip(comparison.names[1:], comparison.images, strict=True))
    files = {
        COMPARISON_FILE: json_text(comparison.to_json()),
        PER_IMAGE_FILE: per_image_changes_csv(comparison.image_ids, changes),
        PAGE_FILE: comparison_html(comparison, facts),
    }
    write_files(directory, files)
    return directory / PAGE_FILE


def comparison_html(comparison: Comparison, facts: Mapping[str, str] | None = None) -> str:
    """Return the text of compare.html."""
    return _template().render(
        comparison=comparison,
        first=comparison.names[0],
        others=[_side(comparison, number) for number in range(len(comparison.names) - 1)],
        power=round(10 * POWER),
        facts=facts or {},
    )


@cache
def _template() -> "Template":
    # jinja2 is needed for a page only.
    from jinja2 import Environment, StrictUndefined

    surroundings = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = resources.files("evaluation").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    return surroundings.from_string(text)


def _side(comparison: Comparison, number: int) -> dict[str, Any]:
    """Return what the page shows of one side against the first, the headline split first."""
    order = sorted(comparison.splits, key=lambda name: name != comparison.headline)
    return {
        "name": comparison.names[number + 1],
        "verdicts": verdicts(comparison, comparison.headline, number),
        "splits": [_split(comparison, name, number) for name in order],
    }


def _split(comparison: Comparison, name: str, number: int) -> dict[str, Any]:
    split = comparison.splits[name]
    change = split.changes[number]
    names = comparison.names[0], comparison.names[number + 1]
    groups = _groups(split, change, number)
    reach = _reach([one for rows in groups.values() for *_, one, _ in rows])
    changes = comparison.images[number].of_split(name)
    return {
        "name": name,
        "images": split.images,
        "units": split.units,
        "groups": {title: [_row(names, reach, *row) for row in rows] for title, rows in groups.items() if rows},
        "reach": f"{reach:.3f}",
        "classes": len(change.gap.classes),
        "note": chance_note(change),
        "needed": {LABELS[figure]: f"{count:,}" for figure, count in change.images_needed.items()},
        "counts": changes.counts(),
        "changed": _changed(comparison, changes),
    }


_Entry = tuple[str, str, object, object, Difference, str | None]
"""What a row is of, the figure's name, the figures of both sides, their difference, and why it has no value."""


def _groups(split: SplitComparison, change: Change, number: int) -> dict[str, list[_Entry]]:
    """Return the rows of the page's tables by title."""
    first, other = split.sides[0], split.sides[number + 1]
    classes = list(change.gap.classes.items())[:_MOST_CLASSES] if len(change.gap.classes) > 1 else []
    return {
        "All classes": _entries("", FIGURES, first, other, change.gap.together),
        "By size": [
            entry
            for size, one in change.by_size.items()
            for entry in _entries(size, _SIZE_FIGURES, first.by_size[size], other.by_size[size], one)
        ],
        "By class": [
            entry
            for label, one in classes
            for entry in _entries(label, CLASS_FIGURES, first.classes[label], other.classes[label], one)
        ],
    }


def _entries(what: str, figures: Sequence[str], first: object, other: object, differences: Differences) -> list[_Entry]:
    return [
        (
            what,
            name,
            getattr(first, name),
            getattr(other, name),
            differences.figures[name],
            differences.undefined.get(name) or differences.undefined.get(f"{name}_ci"),
        )
        for name in figures
    ]


def _reach(differences: Sequence[Difference]) -> float:
    """Return how far the axis of a split reaches to both sides of 0."""
    ends = [abs(one.difference) for one in differences if one.difference is not None]
    ends += [abs(end) for one in differences if one.ci is not None for end in (one.ci.low, one.ci.high)]
    return max([0.01, *ends])


def _row(
    names: tuple[str, str],
    reach: float,
    what: str,
    figure: str,
    first: Any,  # noqa: ANN401
    other: Any,  # noqa: ANN401
    difference: Difference,
    reason: str | None,
) -> Row:
    def place(value: float | None) -> float | None:
        return None if value is None else round(50 + 50 * value / reach, 2)

    return Row(
        what=what,
        label=LABELS[figure],
        first=figure_text(first),
        other=figure_text(other),
        difference=difference_text(difference),
        interval=interval_text(difference),
        verdict=short_verdict(*names, difference),
        why=MEANINGS[reason] if reason else "",
        told_apart=difference.told_apart,
        low=place(None if difference.ci is None else difference.ci.low),
        point=place(difference.difference),
        high=place(None if difference.ci is None else difference.ci.high),
    )


def _changed(comparison: Comparison, changes: ImageChanges) -> list[dict[str, Any]]:
    """Return the rows of the table of images: the worst, then the others as far as there is room."""
    names = (
        *("found_by_other_only", "found_by_first_only", "found_by_both", "missed_by_both"),
        *("false_alarms_of_other_only", "false_alarms_of_first_only"),
    )
    columns = {name: getattr(changes, name)[:_MOST_IMAGES].tolist() for name in names}
    columns["image_id"] = comparison.image_ids[changes.image_row[:_MOST_IMAGES]].tolist()
    columns["worsened"] = changes.worsened[:_MOST_IMAGES].tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
