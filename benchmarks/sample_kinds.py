"""What each change of a training sample costs: milliseconds of CPU a sample, pictures decoded before.

Command: python benchmarks/sample_kinds.py DATA [key=value ...]
DATA is a box dataset, such as `ppnlab convert PHOTOS DATA --parts fip:qr_code` makes; the rest are settings.
"""

import sys
import time
from pathlib import Path

import cv2

from annotations.dataset import read_dataset
from annotations.tables import BoxDataset
from detector.box_samples import BoxSamples
from detector.picture_cache import RamCache
from detector.settings import Settings

KINDS: dict[str, dict[str, object]] = {
    "as they are by default": {},
    "angle=10": {"angle": 10.0},
    "angle=10 perspective=0.2": {"angle": 10.0, "perspective": 0.2},
    "light=1,0.5": {"light": (1.0, 0.5)},
    "blur=1,0.5": {"blur": (1.0, 0.5)},
    "motion_blur=1,0.5": {"motion_blur": (1.0, 0.5)},
    "noise=1,0.5": {"noise": (1.0, 0.5)},
    "jpeg=1,0.5": {"jpeg": (1.0, 0.5)},
    "mosaic=1": {"mosaic": 1.0},
    "copy_paste=1": {"copy_paste": 1.0},
    "rendered=1": {"rendered": 1.0},
    "hard_negatives=1": {"hard_negatives": 1.0},
}
STEPS = 12
REPEATS = 3


def cost(train: BoxDataset, settings: Settings, cache: RamCache) -> float:
    """Return milliseconds of CPU a sample: the least of some repeats, for a shared machine only ever adds."""
    samples, least = BoxSamples(train, settings, cache), float("inf")
    for _ in range(REPEATS):
        began = time.thread_time()
        count = sum(len(samples.batch(step)) for step in range(STEPS))
        least = min(least, (time.thread_time() - began) / count)
    return 1000 * least


def main(data: Path, changes: list[str]) -> None:
    """Print the cost of each kind, and what it adds."""
    cv2.setNumThreads(1)
    settings = Settings().changed(dict(item.split("=", 1) for item in changes), "command line")
    train, cache = read_dataset(data).split("train"), RamCache(4 * 10**9)
    cost(train, settings, cache)  # every picture decoded, and the libraries loaded
    plain = None
    print(f"input {settings.input}, {len(train.images)} images, one thread")
    for name, kind in KINDS.items():
        found = cost(train, settings.changed(kind, name), cache)
        plain = found if plain is None else plain
        print(f"  {name:<28} {found:6.2f} ms a sample  {found - plain:+6.2f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
