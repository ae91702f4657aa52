"""What saving costs a training: the share of its time for which it stands still, and its CPU beside one that saves not.

The real network at 128 pixels, batch 8, in rounds that save never, once an epoch of 40 steps, and every 20 steps. The
bar of the project: saving does not stop the training for more than 2 % of its time.

    python benchmarks/saving.py [ROUNDS]
"""

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from fixed_batches import CONFIG, SETTINGS, Clock, FixedFamily, Long, fixed_family

from detector.engine import Trainer
from detector.loop import Loop
from detector.run_directory import create_run

STEPS = 40
WAYS = {
    "no save": {"save_every": 10**6, "epochs": 2},
    "a save an epoch": {"save_every": 1, "epochs": 2},
    "a save every 20 steps": {"save_steps": 20, "save_every": 10**6, "epochs": 2},
}
BAR = 0.02


def main(rounds: int) -> None:
    """Measure the ways in turn, so that a busy minute of the machine falls on all, and print medians."""
    with tempfile.TemporaryDirectory() as scratch:
        family = fixed_family(Path(scratch) / "drawn", SETTINGS)
        trainer = Trainer(family, SETTINGS, pretrained=False)
        size = sum(array.nbytes for array in trainer.arrays().values())
        print(f"state of {size / 1e6:.1f} MB in {len(trainer.arrays())} arrays; {rounds} rounds of {2 * STEPS} steps")
        trainer.step(family.batch(0), 0, 1e-3)  # compiles
        found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
        for number in range(rounds):
            for way in WAYS:
                found[way].append(_round(Path(scratch) / f"{way}{number}", family, trainer, way))
    plain = found["no save"]
    for way, rows in found.items():
        stopped, wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        pairs = [one[2] / other[2] for one, other in zip(rows, plain, strict=True)]
        print(
            f"  {way:<22} stands still {stopped:6.2%} of the time; a step {1000 * wall:6.1f} ms by the clock, "
            f"{1000 * cpu:6.1f} ms CPU ({statistics.median(pairs):.3f} of no save)"
        )
        if stopped > BAR:
            sys.exit(f"{way}: saving must stop the training for at most {BAR:.0%} of its time, got {stopped:.2%}")


def _round(path: Path, family: FixedFamily, trainer: Trainer, way: str) -> tuple[float, float, float]:
    """Return the share of the time in which saves stopped the training, seconds and CPU seconds a step."""
    clock, settings = Clock(), replace(SETTINGS, **WAYS[way])
    run = create_run(path, CONFIG)
    with run.locked():
        loop = _Stopped(run, Long(family, STEPS), settings, clock, learner=lambda _: trainer)
        loop.train()
    seconds = clock.times[-1] - clock.times[0]
    return loop.stopped / seconds, *clock.a_step()


class _Stopped(Loop):
    """The loop, with a watch on how long it waits for saves before the last step."""

    stopped = 0.0

    def _save(self) -> None:
        began = time.perf_counter()
        super()._save()
        self.stopped += time.perf_counter() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
