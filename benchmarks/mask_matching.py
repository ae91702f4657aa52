"""Match label images of 2048 x 2048 pixels with 4,900 objects each at nine IoU thresholds, beside stardist.matching.

Measured on 22 November 2026 (two shared cores, CPU seconds, best of three; stardist 0.9.2, numba compiled before):
separate cells 3 pixels off 0.10 s (stardist 3.6 s), touching cells 3 pixels off 0.04 s (2.9 s), touching cells half a
cell off 0.08 s (3.6 s): 37 to 76 times. Noise, where 3,860,252 pairs of objects overlap: 2.4 s.
Command: python benchmarks/mask_matching.py
stardist is measured where it is installed (in an environment of its own: it brings numba and scikit-image).
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.label_matching import IOU_THRESHOLDS
from evaluation.mask_figures import MaskSettings
from evaluation.mask_metrics import image_figures, image_masks

SIZE, ROWS = 2048, 70


def cells(*, shift: int, touching: bool, seed: int) -> NDArray[np.int32]:
    """Return a wavy grid of ROWS x ROWS cells under shuffled numbers, moved by `shift` pixels along both axes."""
    y, x = np.mgrid[:SIZE, :SIZE]
    step = SIZE / ROWS
    y, x = (y + shift + 4 * np.sin(x / 37)) % SIZE, (x + shift + 4 * np.sin(y / 31)) % SIZE
    row, column = (np.minimum((place / step).astype(int), ROWS - 1) for place in (y, x))
    labels = np.random.default_rng(seed).permutation(ROWS * ROWS)[row * ROWS + column] + 1
    inside = touching | ((y - (row + 0.5) * step) ** 2 + (x - (column + 0.5) * step) ** 2 < (0.4 * step) ** 2)
    return np.where(inside, labels, 0).astype(np.int32)


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds, user and system, that `work` takes, best of three, and what it returns."""
    seconds = []
    for _ in range(3):
        began = time.process_time()
        result = work()
        seconds.append(time.process_time() - began)
    return min(seconds), result


def measure(name: str, truth: NDArray[np.int32], predicted: NDArray[np.int32], peer: Callable[..., Any] | None) -> None:
    """Print our seconds, the peer's and their ratio; the counts must be the same."""
    seconds, image = cpu_seconds(lambda: image_masks(name, truth, predicted))
    text = f"{name:<28} {seconds:6.3f} s"
    if peer:
        theirs, rows = cpu_seconds(lambda: peer(truth, predicted, IOU_THRESHOLDS))
        ours = image_figures(image, MaskSettings(resamples=0))
        assert [(row.tp, row.fp, row.fn) for row in ours] == [(row.tp, row.fp, row.fn) for row in rows]
        text += f", stardist {theirs:6.3f} s: {theirs / seconds:.0f} times"
    print(text, flush=True)


def main() -> None:
    """Measure each pair of pictures."""
    try:
        from stardist.matching import matching
    except ImportError:
        matching = None
        print("stardist is not installed, and is not measured", file=sys.stderr)
    else:
        matching(np.eye(9, dtype=int), np.eye(9, dtype=int))  # compiles
    for name, shift, touching in (
        ("separate, 3 pixels off", 3, False),
        ("touching, 3 pixels off", 3, True),
        ("touching, half a cell off", 14, True),
    ):
        truth = cells(shift=0, touching=touching, seed=1)
        measure(name, truth, cells(shift=shift, touching=touching, seed=2), matching)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, ROWS * ROWS, (2, SIZE, SIZE), np.int32)
    measure("no pattern at all", noise[0], noise[1], None)


if __name__ == "__main__":
    main()
