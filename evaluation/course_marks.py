"""Marks of what was changed while a network learned, drawn into a chart over its epochs."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOUR = "#6b7280"
_LONGEST = 34
"""Letters of a label that fit along half a chart's height."""
_MOST = 8
"""Labels that can be read side by side; more changes than this are lines alone."""
_NEAR = 0.05
"""Share of the chart's width within which labels at one height would touch."""


def draw_marks(axes: "Axes", marks: Sequence[tuple[float, str]]) -> None:
    """Draw a labelled vertical line at each change (epoch, what was changed); those of one place share a line.

    The curves must have been drawn before: where labels are near each other, some go to the chart's foot.
    """
    left, right = axes.get_xlim()
    grouped = groupby(sorted(marks), key=lambda mark: mark[0])
    places = [(epoch, "; ".join(text for _, text in group)) for epoch, group in grouped]
    last_on_top = float("-inf")
    for epoch, text in places:
        axes.axvline(epoch, color=_COLOUR, linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
        if len(places) <= _MOST:
            on_top = epoch - last_on_top >= _NEAR * (right - left)
            last_on_top = epoch if on_top else last_on_top
            _label(axes, epoch, text, on_top=on_top)


def _label(axes: "Axes", epoch: float, text: str, *, on_top: bool) -> None:
    axes.annotate(
        text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…",
        (epoch, 0.98 if on_top else 0.02),
        xycoords=("data", "axes fraction"),
        # Points, not epochs: the label stays beside its line at any scale.
        xytext=(-2, 0),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="top" if on_top else "bottom",
        fontsize=7,
        color=_COLOUR,
    )
