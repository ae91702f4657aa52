"""What the training loop costs beside bare `model.fit`: the same network, batches, losses and optimizer.

Both make steps of the real network at 128 pixels, batch 8, on batches from memory, in rounds by turns; what is compared
is the time, and the CPU seconds, from the first step of a round to its last. `fit` clips the gradients (in its
optimizer) as the loop does; it does not keep averaged weights, of which the second column says what they cost in Keras
itself, and it saves, logs and watches nothing. The bar of the project: at most 3 % over `fit`.

    python benchmarks/loop_overhead.py [ROUNDS]

Then the loop alone is measured in processes with and without the deterministic mode, which TensorFlow cannot leave.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
from fixed_batches import CONFIG, SETTINGS, Clock, FixedFamily, Long, fixed_family

from detector.engine import Trainer, configure
from detector.loop import Loop
from detector.run_directory import create_run

STEPS = 32
BAR = 1.03
ONE_EPOCH = {"epochs": 1, "save_every": 10**6}


def main(rounds: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as scratch:
        family = fixed_family(Path(scratch) / "drawn", SETTINGS)
        ways = {
            "the loop": loop_round(Path(scratch), family),
            "fit": fit_round(family, averages=False),
            "fit that averages": fit_round(family, averages=True),
        }
        for way in ways.values():
            way()
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                found[name].append(way())
    for name, rows in found.items():
        print(f"  {name:<18} {_text(rows)}")
    for rival in ("fit", "fit that averages"):
        wall, cpu = (
            statistics.median(ours[i] / other[i] for ours, other in zip(found["the loop"], found[rival], strict=True))
            for i in (0, 1)
        )
        print(f"  the loop over {rival}: {wall:.3f} by the clock, {cpu:.3f} of the CPU (medians of {rounds} pairs)")


def _text(rows: list[tuple[float, float]]) -> str:
    wall, cpu = (1000 * statistics.median(column) for column in zip(*rows, strict=True))
    return f"a step {wall:6.1f} ms by the clock, {cpu:6.1f} ms CPU"


def loop_round(scratch: Path, family: FixedFamily, *, deterministic: bool = True) -> Callable[[], tuple[float, float]]:
    """Return the function that makes STEPS steps with the loop, and tells (seconds, CPU seconds) of one."""
    settings = replace(SETTINGS, deterministic=deterministic, **ONE_EPOCH)
    trainer = Trainer(family, settings, pretrained=False)
    rounds = iter(range(10**6))

    def work() -> tuple[float, float]:
        clock, run = Clock(), create_run(scratch / f"run{next(rounds)}", CONFIG)
        with run.locked():
            Loop(run, Long(family, STEPS), settings, clock, learner=lambda _: trainer).train()
        return clock.a_step()

    return work


class Bare(keras.Model):
    """The network as a plain Keras model: its loss is the sum of the family's."""

    family: FixedFamily

    def compute_loss(self, x: object, y: Any, y_pred: Any, *_: object, **__: object) -> Any:  # noqa: ANN401
        """Return the sum of the losses of a batch."""
        return sum(loss.value() for loss in self.family.losses(y_pred, {"picture": x, **y}).values())


class _Batches(keras.utils.PyDataset):
    def __init__(self, family: FixedFamily) -> None:
        super().__init__(workers=1)
        self.family = family

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, step: int) -> tuple[Any, Mapping[str, Any]]:
        batch = dict(self.family.batch(step))
        return batch.pop("picture").astype("float32"), batch


def fit_round(family: FixedFamily, *, averages: bool) -> Callable[[], tuple[float, float]]:
    """Return the function that makes STEPS steps with `fit`, and tells (seconds, CPU seconds) of one."""
    configure(SETTINGS.threads, deterministic=True)
    network = family.build(pretrained=False)
    model = Bare(network.input, network.output)
    model.family = family
    optimizer = keras.optimizers.AdamW(
        SETTINGS.learning_rate, weight_decay=SETTINGS.weight_decay, global_clipnorm=SETTINGS.clip_norm, use_ema=averages
    )
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) <= 1])
    model.compile(optimizer=optimizer, jit_compile=False)

    def work() -> tuple[float, float]:
        clock = Clock()
        callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: clock.take())
        model.fit(_Batches(family), epochs=1, verbose=0, shuffle=False, callbacks=[callback])
        return clock.a_step()

    return work


def determinism(rounds: int) -> None:
    """Measure the loop with and without the deterministic mode, in processes of their own by turns."""
    found: dict[str, list[tuple[float, float]]] = {"True": [], "False": []}
    for _ in range(rounds):
        for mode, rows in found.items():
            done = subprocess.run(
                [sys.executable, __file__, "--mode", mode], capture_output=True, text=True, check=True
            )
            wall, cpu = done.stdout.split()[-2:]
            rows.append((float(wall), float(cpu)))
    for mode, rows in found.items():
        print(f"  deterministic={mode.lower():<5} {_text(rows)}")


def one_mode(mode: str) -> None:
    """Print seconds and CPU seconds of a step with `deterministic` as `mode` says."""
    with tempfile.TemporaryDirectory() as scratch:
        family = fixed_family(Path(scratch) / "drawn", SETTINGS)
        work = loop_round(Path(scratch), family, deterministic=mode == "True")
        work()
        print(*work())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--mode"]:
        one_mode(sys.argv[2])
    else:
        count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
        main(count)
        determinism(max(1, count // 2))
