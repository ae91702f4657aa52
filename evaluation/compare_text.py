"""A comparison in plain words: what is better, by how much, and what the data cannot tell."""

from collections.abc import Sequence

from evaluation.bootstrap import LEVEL, Interval
from evaluation.bootstrap_figures import FIGURES, PRECISIONS
from evaluation.compare import Change, Comparison, SplitComparison
from evaluation.differences import Difference, Differences
from evaluation.emptiness import MEANINGS

LABELS = {
    "ap50": "AP@.5",
    "ap75": "AP@.75",
    "ap": "AP@[.5:.95]",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}
"""The figures as a reader knows them."""
SPOKEN = ("ap50", "ap", "f1")
"""The figures that a sentence is said about."""
_MOST_ROWS = 30
_MOST_IMAGES = 5
CLASS_FIGURES = ("ap50", "ap", "f1")


def compare_text(comparison: Comparison) -> str:
    """Return the text for a terminal: the verdicts on the headline split, its tables, and what changed most."""
    lines = []
    for number, other in enumerate(comparison.names[1:]):
        for name, split in comparison.splits.items():
            lines += [*_split_lines(comparison, name, split, number), ""]
        lines += [*_verdict_lines(comparison, number), *image_lines(comparison, number), ""]
        lines[-1:] = [""] if other != comparison.names[-1] else []
    return "\n".join([*lines, *(f"note: {text}" for text in comparison.remarks)])


def verdicts(comparison: Comparison, split: str, number: int) -> list[str]:
    """Return a sentence for each figure of SPOKEN on a split: side `number` of those after the first, against it."""
    change = comparison.splits[split].changes[number]
    first, other = comparison.names[0], comparison.names[number + 1]
    return [
        verdict(first, other, LABELS[name], *_with_reason(change.gap.together, name), change.images_needed.get(name))
        for name in SPOKEN
    ]


def verdict(
    first: str, other: str, label: str, difference: Difference, reason: str | None, needed: int | None = None
) -> str:
    """Return what a difference, of the other from the first, says of the two; `reason` is that of what is None."""
    if difference.difference is None:
        return f"{label} cannot be compared: {MEANINGS[reason] if reason else 'it has no value'}."
    value, interval = difference.difference, difference.ci
    if interval is None:
        told = MEANINGS[reason] if reason else "there is none"
        return f"{other} − {first} is {value:+.3f} {label}, without an interval: {told}."
    if interval == Interval(0.0, 0.0):
        return f"{first} and {other} do not differ in {label}, nor do they when the images are drawn again."
    if not difference.told_apart:
        more = f"; about {needed:,} images would be needed" if needed else ""
        return f"The data cannot tell {first} and {other} apart in {label}: {value:+.3f} {_signed(interval)}{more}."
    better, worse = (other, first) if value > 0 else (first, other)
    ends = sorted((abs(interval.low), abs(interval.high)))
    level = f"{LEVEL:.0%}".replace("%", " %")
    return (
        f"{better} is better than {worse} by {abs(value):.3f} {label}, {level} interval [{ends[0]:.3f}, {ends[1]:.3f}]."
    )


def short_verdict(first: str, other: str, difference: Difference) -> str:
    """Return the verdict for a table's cell."""
    if difference.difference is None or difference.ci is None:
        return ""
    if difference.ci == Interval(0.0, 0.0):
        return "equal"
    if not difference.told_apart:
        return "cannot tell"
    return f"{other if difference.difference > 0 else first} is better"


def chance_note(change: Change) -> str | None:
    """Return how many of the classes' differences would leave out 0 by chance, or None for few classes."""
    several = [one.figures["ap50"] for one in change.gap.classes.values() if one.figures["ap50"].ci is not None]
    if len(several) < 5:
        return None
    apart = sum(one.told_apart for one in several)
    by_chance = (1 - LEVEL) * len(several)
    return f"{apart} of {len(several)} classes differ in AP@.5; chance alone would make about {by_chance:.1f} differ."


def figure_text(value: float | None) -> str:
    """Return a figure in three digits, a dash where it has no value."""
    return "–" if value is None else f"{value:.3f}"


def difference_text(difference: Difference) -> str:
    """Return a difference with its sign."""
    return "–" if difference.difference is None else f"{difference.difference:+.3f}"


def interval_text(difference: Difference) -> str:
    """Return the interval of a difference with signs."""
    return "–" if difference.ci is None else _signed(difference.ci)


def _signed(interval: Interval) -> str:
    return f"[{interval.low:+.3f}, {interval.high:+.3f}]"


def _with_reason(differences: Differences, name: str) -> tuple[Difference, str | None]:
    reason = differences.undefined.get(name) or differences.undefined.get(f"{name}_ci")
    return differences.figures[name], reason


def _split_lines(comparison: Comparison, name: str, split: SplitComparison, number: int) -> list[str]:
    first, other = comparison.names[0], comparison.names[number + 1]
    head = f"{name}: {split.images} image{'s' if split.images != 1 else ''}"
    together = split.units != split.images
    title = f"{head}, drawn in {split.units} groups" if together else head
    rows = [("", "", first, other, "difference", "95 % interval", ""), *_rows(comparison, split, number)]
    shown = rows[: _MOST_ROWS + 1]
    more = [f"  … {len(rows) - len(shown)} more rows are in compare.json"] if len(rows) > len(shown) else []
    note = chance_note(split.changes[number])
    return [title, *aligned(shown, left=(0, 1, 6)), *more, *([f"  {note}"] if note else [])]


def _rows(comparison: Comparison, split: SplitComparison, number: int) -> list[tuple[str, ...]]:
    """Return the rows of a table: the figures of all classes, of each size, and of each class where there are more."""
    first, other = split.sides[0], split.sides[number + 1]
    change = split.changes[number]
    names = comparison.names[0], comparison.names[number + 1]
    rows = [_row(names, "all", name, (first, other), change.gap.together) for name in FIGURES]
    for size, differences in change.by_size.items():
        sides = first.by_size[size], other.by_size[size]
        rows += [_row(names, size, name, sides, differences) for name in PRECISIONS[:1] if sides[0].truth]
    if len(change.gap.classes) > 1:
        for label, differences in change.gap.classes.items():
            both = first.classes[label], other.classes[label]
            rows += [_row(names, label, name, both, differences) for name in CLASS_FIGURES]
    return rows


def _row(
    names: tuple[str, str], what: str, name: str, sides: Sequence[object], differences: Differences
) -> tuple[str, ...]:
    difference = differences.figures[name]
    values = (figure_text(getattr(side, name)) for side in sides)
    ends = difference_text(difference), interval_text(difference), short_verdict(*names, difference)
    return (what, LABELS[name], *values, *ends)


def aligned(rows: Sequence[tuple[str, ...]], left: tuple[int, ...]) -> list[str]:
    """Return the lines of a table; the columns of these numbers stand left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _verdict_lines(comparison: Comparison, number: int) -> list[str]:
    return [f"{comparison.headline}: {text}" for text in verdicts(comparison, comparison.headline, number)]


def image_lines(comparison: Comparison, number: int) -> list[str]:
    """Return what changed in how many images of the headline split, and which changed most to the worse."""
    first, other = comparison.names[0], comparison.names[number + 1]
    changes = comparison.images[number].of_split(comparison.headline)
    counts = changes.counts()
    if not len(changes):
        return [f"{comparison.headline}: no image changed."]
    sums = (
        f"found by {other} only {counts['found_by_other_only']}, by {first} only {counts['found_by_first_only']};"
        f" false alarms of {other} only {counts['false_alarms_of_other_only']},"
        f" of {first} only {counts['false_alarms_of_first_only']}"
    )
    text = f"{comparison.headline}: images that changed {counts['images']}, to the worse {counts['worse']}: {sums}."
    worst = [str(comparison.image_ids[row]) for row in changes.image_row[changes.worsened > 0][:_MOST_IMAGES]]
    return [text, *([f"{comparison.headline}: worst with {other}: {', '.join(worst)}"] if worst else [])]
