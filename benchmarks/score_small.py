"""What a small pair costs, whole command and all imports: `ppnlab score` beside a script that runs pycocotools.

The set is drawn: 319 images in three splits, two classes, 1,332 truths, 1,332 detections. Ours computes for each split
all that metrics.json has, with intervals from 1,000 resamples; pycocotools its twelve figures of all images together,
without intervals. Each run is a process of its own with its modules compiled before, as they are after a first run; the
best of several counts, for what else a machine does only adds.

    python benchmarks/score_small.py
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from scoring_run import draw, tables, write_coco

IMAGES, CLASSES, TRUTHS, FOUND = 319, 2, 1332, 1332
BAR = 0.5
"""Seconds by the clock that `ppnlab score` may take for a small pair."""
_SPLITS = ("train",) * 5 + ("val",) + ("test",)
_OURS = "from cli import main; main()"
_PYCOCOTOOLS = """
import sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
truth = COCO(sys.argv[1])
scorer = COCOeval(truth, truth.loadRes(sys.argv[2]), "bbox")
scorer.evaluate()
scorer.accumulate()
scorer.summarize()
"""


def main() -> None:
    """Measure all in turn, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=9, help="Runs of each, of which the best counts.")
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as scratch:
        commands = _commands(Path(scratch))
        surroundings = _surroundings(Path(scratch))
        for command in commands.values():
            _run(command, surroundings)  # compiles the modules
        runs = [{name: _run(command, surroundings) for name, command in commands.items()} for _ in range(repeat)]
    print(f"{IMAGES} images, {TRUTHS} truths, {FOUND} detections; best of {repeat}")
    for name in commands:
        cpu, clock = (min(run[name][place] for run in runs) for place in (0, 1))
        print(f"  {name:42} {cpu:5.2f} CPU s  {clock:5.2f} s by the clock")
    print(f"  bar: ppnlab score in less than {BAR} s by the clock")


def _commands(scratch: Path) -> dict[str, list[str]]:
    """Return the command of each measurement, after writing what it reads."""
    import numpy as np

    from annotations.dataset import write_dataset
    from annotations.detections import write_detections

    drawn = draw(IMAGES, CLASSES, TRUTHS, FOUND)
    dataset, detections = tables(drawn["truth"], drawn["found"], IMAGES, CLASSES)
    names = dataset.images.image_id
    paths = [f"{name}.jpg" for name in names]
    split = [_SPLITS[row % len(_SPLITS)] for row in range(IMAGES)]
    dataset = replace(dataset, images=replace(dataset.images, path=np.array(paths), split=np.array(split)))
    write_dataset(scratch / "data", dataset, [], command="a benchmark")
    write_detections(scratch / "found.csv", dataset.images, dataset.classes, detections)
    write_coco(drawn, scratch / "truth.json", scratch / "found.json")
    ours, json_pair = [sys.executable, "-c", _OURS, "score"], [str(scratch / "truth.json"), str(scratch / "found.json")]
    pair = [str(scratch / "data"), str(scratch / "found.csv")]
    return {
        "ppnlab score, three splits, 1,000 resamples": [*ours, *pair],
        "ppnlab score, without intervals": [*ours, *pair, "--resamples", "0"],
        "ppnlab score, COCO JSON, 1,000 resamples": [*ours, *json_pair],
        "pycocotools, COCO JSON, no intervals": [sys.executable, "-c", _PYCOCOTOOLS, *json_pair],
    }


def _surroundings(scratch: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(scratch / "compiled"), "OMP_NUM_THREADS": "1"}


def _run(command: list[str], surroundings: dict[str, str]) -> tuple[float, float]:
    """Return the CPU seconds and the seconds by the clock of a process."""
    before, start = _cpu(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return _cpu() - before, time.perf_counter() - start


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
