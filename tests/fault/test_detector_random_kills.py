"""Trainings killed at random moments, and at the worst ones, end bit for bit as one that was left alone."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from detector_numpy import same_end, train

from detector.checkpoint import steps_saved

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
ENVIRONMENT |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}


def killed(folder: Path, kind: str, kills: int) -> None:
    # PPNLAB_SEED=... repeats the moments of a run that failed; pytest prints what is printed here when it fails.
    seed = int(os.environ.get("PPNLAB_SEED", random.SystemRandom().randrange(10**9)))
    print(f"seed of the moments: {seed}")
    command = [sys.executable, str(ROOT / "tests" / "kill_worker.py"), str(folder), kind, str(seed), str(kills)]
    done = subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-4000:]}"
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["kills"] >= kills
    # They came at different states, not all before the first save or after the last.
    assert told["states"] >= min(4, kills // 5)


def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    killed(tmp_path, "numpy", 10)


@pytest.mark.slow
def test_three_hundred_kills_change_nothing(tmp_path: Path) -> None:
    killed(tmp_path, "numpy", 300)


@pytest.mark.slow
def test_a_hundred_kills_of_a_network_change_nothing(tmp_path: Path) -> None:
    killed(tmp_path, "tiny", 100)


@pytest.mark.slow
def test_fifty_kills_of_a_growing_network_change_nothing(tmp_path: Path) -> None:
    killed(tmp_path, "grown", 50)


DYING = """
import os, signal, threading, time
from pathlib import Path
import numpy as np
from detector_numpy import train
from detector_samples import Watch
from annotations import whole
from detector import checkpoint, loop

def die(): os.kill(os.getpid(), signal.SIGKILL)

def in_a_step():
    train(Path("in_a_step"), Watch(lambda done: die() if done == 5 else None))

def before_the_hash():
    digest = checkpoint._digest
    checkpoint._digest = lambda path: die() if "step-00000006" in str(path) else digest(path)
    train(Path("before_the_hash"))

def before_the_rename():
    flush = whole._flush_tree
    whole._flush_tree = lambda path: die() if "step-00000006" in str(path) else flush(path)
    train(Path("before_the_rename"))

def half_way_through_the_arrays():
    save = np.savez
    def half(handle, **arrays):
        if "step-00000006" in handle.name:
            handle.write(b"half")
            handle.flush()
            die()
        save(handle, **arrays)
    checkpoint.np.savez = half
    train(Path("half_way_through_the_arrays"))

def before_the_history():
    write = loop.Run.write_history
    loop.Run.write_history = lambda self, rows: die() if len(rows) == 2 else write(self, rows)
    train(Path("before_the_history"))

# One import for all.
for work in (in_a_step, before_the_hash, before_the_rename, half_way_through_the_arrays, before_the_history):
    child = os.fork()
    if not child:
        work()
        os._exit(1)
    print(work.__name__, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_kill_at_the_worst_moments_changes_nothing(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", DYING], cwd=tmp_path, env=ENVIRONMENT, text=True, capture_output=True, check=True
    )
    ended = dict(line.rsplit(" ", 1) for line in result.stdout.splitlines())
    assert set(ended.values()) == {str(-signal.SIGKILL)}, result.stderr
    assert len(ended) == 5
    train(tmp_path / "straight")
    for name in ended:
        saved = steps_saved(tmp_path / name / "checkpoints")
        # A save goes on beside the steps: a kill may come before its end.
        assert saved in ([], [3], [3, 6]), name
        train(tmp_path / name)
        same_end(tmp_path / name, tmp_path / "straight")
