"""What a step of the training costs an image on processors, and what its ways to be cheaper are worth.

Command: python benchmarks/step_cost.py DATA [ROUNDS]
DATA is a box dataset with splits. Each row is a process of its own, by turns in rounds; printed are the medians of the
CPU milliseconds an image of one-thread steps at 416 px (the first, which compile, left out) and their ratio to the
settings as they are by default.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROWS: dict[str, dict[str, str]] = {
    "as by default": {},
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "depthwise kernels learn too": {"frozen_depthwise": "false"},
    "the whole trunk learns, with its norms": {"weights": "none"},
    "eight images a step": {"batch": "8"},
    "input of 256 px": {"input": "256"},
}
"""By name, what is set: names in capitals are of the environment."""
STEPS = 8


def measured(data: Path, changes: dict[str, str]) -> float:
    """Return the CPU milliseconds an image of a step in this process."""
    from detector.backend import load_backend

    load_backend()
    from annotations.dataset import read_dataset
    from detector.engine import Trainer
    from detector.families import box_family
    from detector.picture_cache import NoCache
    from detector.settings import Settings

    settings = Settings().changed({"threads": "1", **changes}, "benchmark")
    family = box_family(settings, read_dataset(data), lambda *_: {}, NoCache())
    trainer, batches = Trainer(family, settings), [family.batch(step) for step in range(STEPS)]
    images = sum(len(batch["picture"]) for batch in batches)
    for batch in batches:  # compiled, and every number of boxes seen
        trainer.step(batch, 0, 1e-4)
    began = time.process_time()
    for number, batch in enumerate(batches):
        trainer.step(batch, number, 1e-4)
    return 1000 * (time.process_time() - began) / images


def main(data: Path, rounds: int) -> None:
    """Measure each row in a process of its own, and print them."""
    found: dict[str, list[float]] = {name: [] for name in ROWS}
    for _ in range(rounds):
        for name in ROWS:
            environment = {key: value for key, value in ROWS[name].items() if key.isupper()}
            command = [sys.executable, __file__, str(data), "--row", name]
            done = subprocess.run(
                command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
            )
            found[name].append(float(done.stdout.split()[-1]))
    usual = statistics.median(found["as by default"])
    for name, costs in found.items():
        cost = statistics.median(costs)
        print(f"  {name:<40} {cost:6.1f} ms an image, {cost / usual:.2f} of the default", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[2:3] == ["--row"]:
        print(measured(Path(sys.argv[1]), {key: v for key, v in ROWS[sys.argv[3]].items() if not key.isupper()}))
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
