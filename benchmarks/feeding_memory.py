"""The most memory that a training takes on a hundred thousand images: it must not grow with the data set.

Measured on 23 November 2026 (two shared cores, no GPU): 100,000 images, 416 px, batch 4 (the default), default cache of
0.3 GB: 2.52 GB at the peak; tables read 0.35, cache full 1.19. With 600 images 2.33. Asked for: 3 GB.
Command: python benchmarks/feeding_memory.py [IMAGES [key=value ...]]
The images are links to a few drawn scenes; each is another picture to the cache. All are drawn by weight, so that the
draws of an epoch are looked up too.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from annotations.dataset import read_dataset, write_dataset
from annotations.pictures import write_picture
from annotations.scenes import OBJECT, PART, SceneSettings, draw_scene
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Images
from detector.backend import load_backend
from detector.feeding import batches_ahead
from detector.picture_cache import RamCache, picture_cache
from detector.settings import Settings

SCENES = 20
VAL = 8
STEPS = 4
"""Steps of the network after the cache has been filled."""
BOUND_GB = 3.0


def peak_gb() -> float:
    """Return the most memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # Linux counts in units of 1024 bytes


def linked_dataset(folder: Path, images: int) -> Path:
    """Write a dataset of so many images, links to SCENES pictures, with all their boxes."""
    size = SceneSettings(640, 480)
    scenes = [draw_scene(0, index, size) for index in range(SCENES)]
    for index, scene in enumerate(scenes):
        write_picture(folder / f"scene{index}.jpg", scene.pixels)
    paths = [f"links/{row // 1000}/{row}.jpg" for row in range(images + VAL)]
    for row, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(folder / f"scene{row % SCENES}.jpg")
    scale = np.array([640, 480, 640, 480], np.float64)
    boxes = [np.concatenate([scene.xyxy(OBJECT), scene.xyxy(PART)]) / scale for scene in scenes]
    classes = [np.repeat([0, 1], [len(scene.xyxy(OBJECT)), len(scene.xyxy(PART))]) for scene in scenes]
    counts = np.array([len(boxes[row % SCENES]) for row in range(len(paths))])
    rows, empty = int(counts.sum()), np.full(len(paths), "", np.str_)
    texts = np.full(rows, "", np.str_)
    truth = Annotations(
        np.repeat(np.arange(len(paths)), counts),
        np.arange(rows),
        np.full(rows, NO_PARENT),
        texts,
        np.concatenate([classes[row % SCENES] for row in range(len(paths))]),
        np.concatenate([boxes[row % SCENES] for row in range(len(paths))]),
        texts,
    )
    splits = np.array(["train"] * images + ["val"] * VAL)
    width, height = (np.full(len(paths), side) for side in (640, 480))
    names = np.array([Path(path).stem for path in paths])
    sources = np.array([f"{'corrected' if row % 10 == 0 else 'simulated'}/{row}.json" for row in range(len(paths))])
    table = Images(names, np.array(paths), width, height, splits, empty, empty, sources)
    dataset = BoxDataset(folder, (OBJECT, PART), {PART: OBJECT}, table, truth)
    write_dataset(folder / "data", dataset, [], command="benchmark")
    return folder / "data"


def main(images: int, changes: list[str]) -> None:
    """Fill the cache, train a few steps, validate, and print what it took."""
    settings = Settings().changed({"sampling": "corrected:3", "weights": "none"}, "benchmark")
    settings = settings.changed(dict(item.split("=", 1) for item in changes), "command line")
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        place = linked_dataset(Path(folder), images)
        print(f"{images} images written in {time.monotonic() - began:.0f} s, peak {peak_gb():.2f} GB", flush=True)
        data = read_dataset(place)
        print(f"tables read, peak {peak_gb():.2f} GB", flush=True)
        load_backend()
        from detector.engine import Trainer
        from detector.families import box_family

        cache = picture_cache(settings, place, print)
        family = box_family(settings, data, lambda truth, found: {"ap": 0.0, "ap50": 0.0}, cache)
        filled = 0
        for _ in batches_ahead(family.batch, 0, images // settings.batch, settings.loaders):
            filled += 1
            if isinstance(cache, RamCache) and cache.taken > cache.most - 640 * 480 * 3:
                break
        print(f"cache full after {filled} steps, peak {peak_gb():.2f} GB", flush=True)
        trainer = Trainer(family, settings)
        for number, batch in enumerate(batches_ahead(family.batch, filled, filled + STEPS, settings.loaders)):
            trainer.step(batch, number, 1e-4)
        family.monitor(trainer.predict)
        trainer.arrays()
        peak = peak_gb()
        verdict = "under" if peak < BOUND_GB else "NOT under"
        print(f"{STEPS} steps at {settings.input}, batch {settings.batch}, and a validation: peak {peak:.2f} GB, "
              f"{verdict} {BOUND_GB:g} GB")  # fmt: skip
        sys.exit(peak >= BOUND_GB)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2:])
