"""What reading and changing the pictures costs, in threads and in processes, and how long the steps wait for it.

Measured on 23 November 2026 (two shared and busy cores, 416 px, batch 8), CPU ms an image: photographs of at most 1,024
px 11.2 without a cache, 9.0 from memory, 8.3 from disk; of twelve megapixels 127, 4.9 and 6.6; by helper processes 21
to 27 in place of 11 by threads. Steps waited for 0.3 to 1.1 % of a first epoch and 0.00 % of the next. Asked for: 5 %.
Command: python benchmarks/data_feeding.py DATA [key=value ...]
DATA is a box dataset, such as `ppnlab convert PHOTOS DATA --parts fip:qr_code` makes; the rest are settings.
"""

import csv
import functools
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from annotations.dataset import read_dataset, write_dataset
from annotations.pictures import read_picture, write_picture
from annotations.tables import BoxDataset
from detector.augment import Sample
from detector.box_samples import BoxSamples
from detector.feeding import batches_ahead
from detector.picture_cache import picture_cache
from detector.settings import Settings

TRAIN, VAL = 48, 8
"""Images of a measurement."""
EPOCH = 6
"""Batches in which TRAIN images are seen once, with the default `batch`."""
LARGE = (4000, 3000)
"""Width and height of a photograph of a telephone."""


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measured(name: str, batches: Callable[[], Iterable[list[Sample]]]) -> None:
    """Print images a second by the clock, and milliseconds of CPU an image."""
    began, cpu = time.monotonic(), cpu_seconds()
    images = sum(len(batch) for batch in batches())
    wall, used = time.monotonic() - began, cpu_seconds() - cpu
    print(f"  {name:<32} {images / wall:7.1f} images/s  {1000 * used / images:6.2f} CPU ms an image", flush=True)


def share_in_opencv(samples: BoxSamples) -> float:
    """Return the share of the time to make batches that is spent in OpenCV, which lets go of Python's lock."""
    spent = 0.0

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: object, **options: object) -> object:
            nonlocal spent
            began = time.thread_time()
            try:
                return call(*args, **options)
            finally:
                spent += time.thread_time() - began

        return timed

    names = ("imdecode", "resize", "LUT", "GaussianBlur", "cvtColor")
    calls = {name: getattr(cv2, name) for name in names}
    for name, call in calls.items():
        setattr(cv2, name, watched(call))
    try:
        began = time.thread_time()
        for step in range(EPOCH):
            samples.batch(step)
        return spent / (time.thread_time() - began)
    finally:
        for name, call in calls.items():
            setattr(cv2, name, call)


_MADE: dict[str, BoxSamples] = {}
"""What a helper process makes batches with."""


def _open(data: str, settings: Settings) -> None:
    cv2.setNumThreads(1)
    _MADE["samples"] = BoxSamples(read_dataset(Path(data)).split("train"), settings)


def _batch(step: int) -> list[Sample]:
    return _MADE["samples"].batch(step)


def by_processes(data: Path, settings: Settings, processes: int) -> Iterator[list[Sample]]:
    """Yield batches that helper processes make and send here."""
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _open, (str(data), settings))
    with pool:
        yield from pool.map(_batch, range(3 * EPOCH))


def feeding(data: Path, settings: Settings) -> None:
    """Print what threads and processes get done."""
    samples = BoxSamples(read_dataset(data).split("train"), settings)
    list(batches_ahead(samples.batch, 0, EPOCH, 1))  # files into the system's memory
    print(f"  in OpenCV, without Python's lock: {share_in_opencv(samples):.0%} of the time")
    for threads in (1, 2, 4):
        made = functools.partial(batches_ahead, samples.batch, 0, 3 * EPOCH, threads)
        measured(f"{threads} threads", made)
    for processes in (1, 2):
        measured(
            f"{processes} processes (with their start)", functools.partial(by_processes, data, settings, processes)
        )


def caching(data: Path, settings: Settings) -> None:
    """Print what each cache makes of it, in the first epoch and after it."""
    for kind in ("none", "ram", "disk"):
        chosen = replace(settings, cache=kind, cache_gb=4.0)
        samples = BoxSamples(read_dataset(data).split("train"), chosen, picture_cache(chosen, data, print))
        for name, first, last in (("first epoch", 0, EPOCH), ("after it", EPOCH, 3 * EPOCH)):
            measured(f"cache {kind}, {name}", functools.partial(batches_ahead, samples.batch, first, last, 2))


def waiting(data: Path, output: Path, settings: list[str]) -> None:
    """Train two epochs and print the share of the time in which the steps waited, by epoch."""
    changes = [item for setting in ("epochs=2", *settings) for item in ("--set", setting)]
    run = output / f"run-{len(list(output.iterdir()))}"
    command = [Path(sys.executable).with_name("ppnlab"), "train", data, run, *changes]
    subprocess.run([str(item) for item in command], check=True, stdout=subprocess.DEVNULL)
    with (run / "history.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    shares = ", ".join(f"{float(row['data_wait']):.2%}" for row in rows)
    print(
        f"  {' '.join(settings) or 'defaults':<44} waited {shares}; {rows[-1]['images_per_second']} images/s",
        flush=True,
    )


def subset(data: BoxDataset, output: Path, side: tuple[int, int] | None = None) -> Path:
    """Write a dataset of the first TRAIN and VAL images, enlarged to the longer of `side` where that is given."""
    rows = np.concatenate([data.images.rows_of("train")[:TRAIN], data.images.rows_of("val")[:VAL]])
    chosen = data.of_images(rows)
    if side is not None:
        (output.parent / "pictures").mkdir()
        for row in range(len(rows)):
            picture = read_picture(chosen.picture(row))
            scale = max(side) / max(picture.shape[:2])
            large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            write_picture(output.parent / "pictures" / f"{row}.jpg", np.asarray(large, np.uint8))
        paths = np.array([f"pictures/{row}.jpg" for row in range(len(rows))])
        chosen = replace(chosen, root=output.parent, images=replace(chosen.images, path=paths))
    write_dataset(output, chosen, [], command="benchmark")
    return output


def main(data: Path, changes: list[str]) -> None:
    """Measure on the dataset's own pictures, and on the same made as large as a telephone's."""
    settings = Settings().changed(dict(item.split("=", 1) for item in changes), "command line")
    print(f"{os.cpu_count()} processors, input {settings.input}, batch {settings.batch}")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        for name, side in (("own", None), ("large", LARGE)):
            small = subset(read_dataset(data), output / name, side)
            print(f"{name} pictures, reading and changing alone:", flush=True)
            feeding(small, settings)
            caching(small, settings)
            print(f"{name} pictures, training, two epochs of {TRAIN} images:", flush=True)
            (output / f"{name}-runs").mkdir()
            for cache in ("ram", "none"):
                waiting(small, output / f"{name}-runs", [*changes, f"cache={cache}"])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
