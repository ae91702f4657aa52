"""How large a class's objects are by split and by source: the figures behind the bars on a check's page."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from annotations.check_sizes import sizes_of
from annotations.size_sources import MOST_SOURCES, sources
from annotations.tables import SPLITS, BoxDataset

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class SizeBar:
    """The sizes of a class in one split or source: images, boxes, and five quantiles of the relative size.

    The quantiles are 5, 25, 50, 75 and 95 %, of sqrt(width x height) as a share of the image's longer side.
    """

    name: str
    images: int
    boxes: int
    quantiles: tuple[float, ...]
    median_pixels: float


@dataclass(frozen=True, slots=True)
class SizeBars:
    """The bars of one class for one way to tell images apart (`split`, `folder of annotations` and so on)."""

    label: str
    kind: str
    bars: tuple[SizeBar, ...]


def size_bars(dataset: BoxDataset) -> list[SizeBars]:
    """Return the bars of each class with boxes, by split and by each kind of source that there are a few of."""
    return [bars for class_id in range(len(dataset.classes)) for bars in _of_class(dataset, class_id)]


def _of_class(dataset: BoxDataset, class_id: int) -> Iterator[SizeBars]:
    table, sizes = dataset.annotations, sizes_of(dataset)
    rows = np.flatnonzero(table.class_id == class_id)
    seen = set[tuple[SizeBar, ...]]()
    split = ("split", np.where(dataset.images.split == "", "(no split)", dataset.images.split))
    for kind, source in (split, *sources(dataset)):
        of_box = source[table.image_row[rows]]
        names = np.unique(of_box).tolist()
        if not (kind == "split" and names) and not 2 <= len(names) <= MOST_SOURCES:
            continue
        order = [*SPLITS, "(no split)"]
        names.sort(key=lambda name: (order.index(name), name) if name in order else (len(order), name))
        bars = []
        for name in names:
            inside = rows[of_box == name]
            quantiles = np.quantile(sizes.relative[inside], _QUANTILES)
            images = len(np.unique(table.image_row[inside]))
            median = float(np.median(sizes.pixels[inside]))
            bars.append(SizeBar(name or "(none)", images, len(inside), tuple(quantiles.tolist()), median))
        if tuple(bars) not in seen:
            seen.add(tuple(bars))
            yield SizeBars(dataset.classes[class_id], kind, tuple(bars))
