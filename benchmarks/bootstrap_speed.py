"""What intervals cost: CPU seconds for 1,000 resamples, and a resample beside hotcoco's `compare`.

Each measurement is a process of its own. The set is the large one of `score_speed.py`: 5,000 images, 80 classes,
1,000,000 detections. hotcoco resamples two evaluations (12 summary figures each: ten IoU thresholds, three sizes,
three limits of detections); ours here is `compare` without its point figures: two sides, AP@.5, AP@.75, AP@[.5:.95],
precision, recall and F1 by class, and the three APs by class and size.

    python benchmarks/bootstrap_speed.py --rivals-python VENV/bin/python
"""

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scoring_run import MOST, SETS, draw, tables

HERE = Path(__file__).parent
RESAMPLES = 1000
_FEW = 40
"""Resamples that a cost for each is taken from, less the cost with none."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}


def main() -> None:
    """Measure, and print a line for each claim; with a first argument, be one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rivals-python", help="A python that has hotcoco.")
    parser.add_argument("--measure", choices=["intervals", "pair", "rival"], help=argparse.SUPPRESS)
    parser.add_argument("--scratch", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        kinds = {"intervals": _intervals, "pair": _pair, "rival": _rival}
        result = kinds[options.measure](options.scratch)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**result, "peak": peak}))
        return
    _print_all(options.rivals_python)


def _print_all(rivals_python: str | None) -> None:
    whole = _run(sys.executable, "intervals", "")
    print(f"5,000 images, 80 classes, 1,000,000 detections, {RESAMPLES} resamples, one thread")
    print(f"  six figures of one detector  {whole['cpu']:6.2f} CPU s in all, {whole['peak']:.0f} MB")
    pair = _run(sys.executable, "pair", "")
    print(f"  two detectors, sizes too     {1000 * pair['each']:6.1f} CPU ms a resample, {pair['peak']:.0f} MB")
    if rivals_python is None:
        print("  hotcoco is absent: give a python that has it with --rivals-python")
        return
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, str(HERE / "scoring_run.py"), "write", "coco", scratch], check=True)
        rival = _run(rivals_python, "rival", scratch)
    print(f"  hotcoco {rival['version']:20} {1000 * rival['each']:6.1f} CPU ms a resample, {rival['peak']:.0f} MB")
    print(f"  ours is {rival['each'] / pair['each']:.1f} times as quick")


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _run(python: str, kind: str, scratch: str) -> dict[str, Any]:
    command = [python, str(Path(__file__)), "--measure", kind, "--scratch", scratch]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **_ONE_THREAD})
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _large_set() -> tuple[Any, Any]:
    drawn = draw(*SETS["coco"])
    return tables(drawn["truth"], drawn["found"], drawn["images"], drawn["classes"])


def _intervals(_: str) -> dict[str, Any]:
    """Return the CPU seconds of all resamples of one detector, with all that is prepared for them."""
    import numpy as np

    from evaluation.figures import ScoreSettings
    from evaluation.intervals import resampled_splits
    from evaluation.matching import candidates

    dataset, detections = _large_set()
    found = candidates(dataset, detections, max_detections=MOST)
    table = found.match(0.5)
    settings = ScoreSettings(resamples=RESAMPLES)
    inside = {"all": np.ones(len(dataset.images), np.bool_)}
    before = _cpu()
    resampled_splits(found, table, inside, np.full(found.classes, 0.5), settings)
    return {"cpu": _cpu() - before}


def _pair(_: str) -> dict[str, Any]:
    """Return the CPU seconds that one resample more costs a comparison of two detectors."""
    from evaluation.compare import Side, compare
    from evaluation.figures import ScoreSettings

    dataset, detections = _large_set()
    sides = [Side("one", detections), Side("other", detections)]

    def cost(resamples: int) -> float:
        before = _cpu()
        compare(dataset, sides, ScoreSettings(resamples=resamples, max_detections=MOST, threshold=0.5))
        return _cpu() - before

    return {"each": (cost(_FEW) - cost(0)) / _FEW}


def _rival(scratch: str) -> dict[str, Any]:
    """Return the CPU seconds that one resample more costs hotcoco's comparison."""
    import hotcoco  # type: ignore[import-not-found,unused-ignore]

    with contextlib.redirect_stdout(io.StringIO()):
        truth = hotcoco.COCO(str(Path(scratch, "coco_truth.json")))
        results = truth.loadRes(str(Path(scratch, "coco_results.json")))
        sides = [hotcoco.COCOeval(truth, results, "bbox") for _ in range(2)]
        for side in sides:
            side.evaluate()

        def cost(resamples: int) -> float:
            before = _cpu()
            hotcoco.compare(*sides, n_bootstrap=resamples)
            return _cpu() - before

        each = (cost(_FEW // 4) - cost(0)) / (_FEW // 4)
    return {"each": each, "version": getattr(hotcoco, "__version__", "")}


if __name__ == "__main__":
    main()
