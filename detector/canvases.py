"""How large the network's input is in each step of a training: a pure function of the settings and the step.

A step's canvas is (height, width) in pixels, multiples of STRIDE_MULTIPLE. Small ones cost less: a step of 256 px has
0.38 of the pixels of one of 416 px. Validation and prediction always see `input`.
"""

from typing import Final

import numpy as np

from detector.order import steps_per_epoch
from detector.settings import LEAST_INPUT, STRIDE_MULTIPLE, Settings

Canvas = tuple[int, int]
SMALL: Final = 0.6
"""Sides of the small input as a share of the input's: a step costs 0.4 of one of the input."""
_MOST_STEPS: Final = 3
"""Sizes on each side of the middle one: the step is compiled anew for each size, which takes time and memory."""


def planned_epochs(images: int, settings: Settings) -> float:
    """Return the epochs of a whole training on so many images; `total_steps` may end within one."""
    return settings.total_steps / steps_per_epoch(images, settings.batch) or settings.epochs


def varied_epochs(images: int, settings: Settings) -> int:
    """Return how many of the first epochs are before the last `mosaic_off` share, whose pictures are as in use."""
    return round(planned_epochs(images, settings) * (1 - settings.mosaic_off))


def small_input(settings: Settings) -> Canvas:
    """Return the (height, width) of the small input: the one that the settings name, or SMALL of the input's sides."""
    if settings.small_input != (0, 0):
        return settings.small_input
    height, width = (_rounded(SMALL * side) for side in settings.input)
    return height, width


def _rounded(side: float) -> int:
    return max(LEAST_INPUT, STRIDE_MULTIPLE * round(side / STRIDE_MULTIPLE))


def small_epochs(images: int, settings: Settings) -> int:
    """Return how many of the first epochs have the small input."""
    return round(planned_epochs(images, settings) * settings.small_share)


def canvas(images: int, settings: Settings, step: int) -> Canvas:
    """Return the (height, width) of the pictures of a step, counted from 0, of a training on so many images."""
    epoch = step // steps_per_epoch(images, settings.batch)
    middle = small_input(settings) if epoch < small_epochs(images, settings) else settings.input
    if not settings.multi_scale or epoch >= varied_epochs(images, settings):
        return middle
    sizes = scaled(middle, settings.multi_scale)
    # Five numbers keep this apart from the generators of `order`, which have two and four.
    return sizes[int(np.random.default_rng((settings.seed, step, 0, 0, 1)).integers(len(sizes)))]


def scaled(middle: Canvas, share: float) -> list[Canvas]:
    """Return the sizes that differ from `middle` by up to a share of it, ascending; at most seven, spaced evenly.

    The longer side tells the size; the shorter follows it to the nearest multiple, and neither is under 64 pixels.
    """
    longer = max(middle) // STRIDE_MULTIPLE
    most = int(longer * share + 1e-9)
    up = {round(most * number / _MOST_STEPS) for number in range(_MOST_STEPS + 1)}
    sizes = set()
    for wanted in {longer + more for more in up} | {longer - less for less in up}:
        height, width = (_rounded(side * wanted / longer) for side in middle)
        sizes.add((height, width))
    return sorted(sizes)


def canvases(settings: Settings) -> list[Canvas]:
    """Return every size that a step of a training can have, ascending."""
    middles = {settings.input, *([small_input(settings)] if settings.small_share else [])}
    sizes = {size for middle in middles for size in scaled(middle, settings.multi_scale)}
    return sorted(middles | sizes)


def largest(settings: Settings) -> Canvas:
    """Return the least (height, width) that no step's is larger than."""
    heights, widths = zip(*canvases(settings), strict=True)
    return max(heights), max(widths)


def size_notes(images: int, settings: Settings) -> list[str]:
    """Return in words what sizes the steps of a training have, where they are not all `input`."""
    lines, first = [], small_epochs(images, settings)
    if first and small_input(settings) != settings.input:
        lines.append(f"input is {_text(small_input(settings))} up to epoch {first}, then {_text(settings.input)}")
    if settings.multi_scale:
        sizes, last = ", ".join(map(_text, canvases(settings))), varied_epochs(images, settings)
        lines.append(f"input is drawn for each step up to epoch {last}, of {sizes}")
    return lines


def _text(size: Canvas) -> str:
    return "x".join(map(str, size)) if size[0] != size[1] else str(size[0])
