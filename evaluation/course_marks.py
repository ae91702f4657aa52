"""Marks of what was changed while a network learned, drawn into a chart over its epochs."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOUR = "#6b7280"
_LONGEST = 34
"""Letters of a label that fit along a chart's height."""
_MOST = 8
"""Labels that can be read side by side; more changes than this are lines alone."""


def draw_marks(axes: "Axes", marks: Sequence[tuple[float, str]]) -> None:
    """Draw a labelled vertical line at each change (epoch, what was changed); those of one place share a line."""
    places = [
        (epoch, "; ".join(text for _, text in group))
        for epoch, group in groupby(sorted(marks), key=lambda mark: mark[0])
    ]
    for epoch, text in places:
        axes.axvline(epoch, color=_COLOUR, linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
        if len(places) <= _MOST:
            label = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
            # Offset in points, and in the axes' height: the label stays beside its line at any scale.
            axes.annotate(
                label,
                (epoch, 0.98),
                xycoords=("data", "axes fraction"),
                xytext=(-2, 0),
                textcoords="offset points",
                rotation=90,
                ha="right",
                va="top",
                fontsize=7,
                color=_COLOUR,
            )
