"""Charts as SVG text to put into a page: deterministic, without links, in colours that the colour-blind can tell apart.

Each split has a colour, a line style and a marker, so that print in grey will do.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotations.palette import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, hexadecimal
from evaluation.course_marks import draw_marks
from evaluation.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = tuple(hexadecimal(colour) for colour in (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION))
_STYLES = {
    "train": (hexadecimal(GREEN), ":", "^"),
    "val": (hexadecimal(ORANGE), "--", "s"),
    "test": (hexadecimal(BLUE), "-", "o"),
}
_OTHER_STYLE = _STYLES["test"]
_LINE_STYLES = ("-", "--", ":", "-.")
_MOST_POINTS = 400
"""Points of a drawn curve: more than a chart of this width can show."""
_FEW = 12
"""Fewer points than this are marked one by one."""

_SETTINGS: dict[Any, Any] = {
    # A class may be called `$x$`: that is a name, no formula.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#6b7280",
    "axes.labelcolor": "#374151",
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class CurveLine:
    """One line of a precision-recall chart: a split's curve, its AP, and the threshold's place on it, if it has one."""

    split: str
    curve: Curve
    average_precision: float
    precision: float | None
    recall: float | None


def precision_recall_chart(name: str, lines: Sequence[CurveLine]) -> str:
    """Return the chart of one class, `name`: a line for each split, and a mark at the threshold."""

    def draw(axes: "Axes") -> None:
        for line in lines:
            colour, style, marker = _STYLES.get(line.split, _OTHER_STYLE)
            label = f"{line.split}  AP@.5 {line.average_precision:.3f}"
            axes.plot(*_points(line.curve), style, color=colour, linewidth=1.8, label=label)
            if line.precision is not None and line.recall is not None:
                axes.plot(
                    line.recall, line.precision, marker, color=colour, markersize=8, markeredgecolor="white", zorder=5
                )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), xlabel="recall", ylabel="precision")
        axes.legend(loc="lower left")

    return _svg(f"Precision and recall of {name}", draw)


def history_chart(
    title: str,
    epoch: Sequence[object],
    series: Mapping[str, Sequence[object]],
    *,
    share: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> str:
    """Return the chart of some columns of a training's history over its epochs; cells that are no number are left out.

    `share` says that the values lie in [0, 1], all of which is then shown; `marks` are changes on the way, by epoch.
    """
    from matplotlib.ticker import MaxNLocator

    x = numbers(epoch)

    def draw(axes: "Axes") -> None:
        for index, (name, values) in enumerate(series.items()):
            colour, style = _COLOURS[index % len(_COLOURS)], _LINE_STYLES[index // len(_COLOURS) % len(_LINE_STYLES)]
            y = numbers(values)
            # Val figures may be made every few epochs only: their line runs over the epochs without one.
            known = np.isfinite(x) & np.isfinite(y)
            marker = "o" if known.sum() < _FEW else None
            axes.plot(x[known], y[known], style, color=colour, linewidth=1.8, label=name, marker=marker, markersize=4)
        if share:
            axes.set(ylim=(-0.02, 1.04))
        draw_marks(axes, marks)
        axes.set(xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="best")

    return _svg(title, draw)


def threshold_chart(
    title: str,
    axes_names: tuple[str, str],
    thresholds: Sequence[float],
    lines: Mapping[str, Sequence[float | None]],
    *,
    levels: Mapping[str, float | None] | None = None,
    share: bool = True,
) -> str:
    """Return the chart of a figure over thresholds, a line for each split; `axes_names` are those of x and y.

    `levels` gives splits a faint horizontal line; `share` shows all of [0, 1], in which the figure lies.
    """

    def draw(axes: "Axes") -> None:
        for split, values in lines.items():
            colour, style, marker = _STYLES.get(split, _OTHER_STYLE)
            level = (levels or {}).get(split)
            if level is not None:
                axes.axhline(level, color=colour, linestyle=style, linewidth=1, alpha=0.5)
            axes.plot(thresholds, numbers(values), style, color=colour, marker=marker, markersize=4, label=split)
        axes.set(xlim=(-0.02, 1.02), xlabel=axes_names[0], ylabel=axes_names[1])
        axes.set_ylim(*((-0.02, 1.04) if share else (0, None)))
        axes.legend(loc="best")

    return _svg(title, draw)


def cost_chart(title: str, kinds: Sequence[str], costs: Mapping[str, Sequence[float | None]]) -> str:
    """Return the chart of what kinds of errors cost: a bar for each kind and split; None has no bar."""

    def draw(axes: "Axes") -> None:
        thickness = 0.8 / max(1, len(costs))
        for index, (split, values) in enumerate(costs.items()):
            places = np.arange(len(kinds)) - 0.4 + (index + 0.5) * thickness
            colour = _STYLES.get(split, _OTHER_STYLE)[0]
            axes.barh(places, np.nan_to_num(numbers(values)), 0.92 * thickness, color=colour, label=split)
        axes.set_yticks(np.arange(len(kinds)), kinds)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set(xlabel="AP that putting it right would give")
        if len(costs) > 1:
            axes.legend(loc="best")

    return _svg(title, draw)


def calibration_chart(title: str, tables: Mapping[str, Mapping[str, Sequence[object]]]) -> str:
    """Return the chart of the share of hits over the score, for each split with its table of bins."""

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color="#9ca3af", linewidth=1)
        for split, table in tables.items():
            colour, style, marker = _STYLES.get(split, _OTHER_STYLE)
            score, share = numbers(table["mean_score"]), numbers(table["precision"])
            known = np.isfinite(score)
            axes.plot(
                score[known], share[known], style, color=colour, linewidth=1.6, marker=marker, markersize=5, label=split
            )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), xlabel="mean score of a bin", ylabel="share of hits")
        axes.legend(loc="upper left")

    return _svg(title, draw)


def numbers(values: Sequence[object]) -> NDArray[np.float64]:
    """Return the (N,) values as numbers; what is none, such as None or an empty text, is NaN."""
    return np.array([_number(value) for value in values], np.float64)


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("nan")


def _points(curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the recalls and precisions to draw: every cut between scores, thinned where there are too many."""
    cuts = curve.last_of_score
    if len(cuts) > _MOST_POINTS:
        cuts = cuts[np.unique(np.linspace(0, len(cuts) - 1, _MOST_POINTS).astype(np.int64))]
    precision, recall = curve.precision[cuts], curve.recall[cuts]
    # The first cut's precision holds from recall 0: without this a perfect curve of one score would be a lone point.
    return np.append(np.zeros(min(1, len(cuts))), recall), np.append(precision[:1], precision)


def _svg(title: str, draw: Callable[["Axes"], None]) -> str:
    # matplotlib takes half a second to import, and only a report needs it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    out = io.StringIO()
    # Ids in the SVG are hashes; with the title in them, two charts of a page never share one.
    with rc_context({**_SETTINGS, "svg.hashsalt": title}):
        figure = Figure(figsize=(5.4, 3.7), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _inline(out.getvalue(), title)


def _inline(svg: str, title: str) -> str:
    """Return an SVG document as it may stand inside a page: no prologue, no metadata, no address of any kind."""
    from markupsafe import escape

    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    return svg.replace("<svg ", f'<svg class="chart" role="img" aria-label="{escape(title)}" ', 1)
