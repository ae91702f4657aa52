"""What scoring costs: CPU seconds and memory beside other programs, and how the cost grows.

Each measurement is a process of its own, so that its memory and its CPU seconds (user and system, import included) are
its alone. Sets are drawn anew by `detection_sets`; nothing is downloaded. The bars are those of the project.

    python benchmarks/score_speed.py --rivals-python VENV/bin/python --plot growth.png
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GROWTH = tuple(round(10 ** (step / 2)) for step in range(8, 15))
"""Detections, 10^4 to 10^7."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
FIGURES = ("ap", "ap50", "ap75", "small", "medium", "large")


def main() -> None:
    """Measure, and print a table for each claim."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        for name, bars in (("coco", True), ("single", True)):
            _compare(name, Path(scratch), options, bars)
        if options.exact:
            _exact(Path(scratch), options)
        if not options.skip_growth:
            _growth(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rivals-python", help="A python that has hotcoco, and pycocotools for --exact.")
    parser.add_argument("--repeat", type=int, default=3, help="Runs of each, of which the median counts.")
    parser.add_argument("--exact", action="store_true", help="Also run pycocotools on the large set (minutes).")
    parser.add_argument("--skip-growth", action="store_true")
    parser.add_argument("--plot", type=Path, help="Where the plot of the growth goes (PNG).")
    return parser.parse_args()


def _compare(name: str, scratch: Path, options: argparse.Namespace, bars: bool) -> None:
    print(f"\n{name}: {_SIZES[name]}")
    _run(sys.executable, "write", name, str(scratch))
    kinds = [("ours, from JSON", sys.executable, "ours-json"), ("ours, from arrays", sys.executable, "ours-arrays")]
    if _has(options.rivals_python, "hotcoco"):
        kinds.append(("hotcoco, from JSON", options.rivals_python, "hotcoco"))
    else:
        print("  hotcoco is absent: give a python that has it with --rivals-python")
    # One of each in turn, so that a busy minute of the machine falls on all.
    runs = [[_run(python, kind, name, str(scratch)) for _, python, kind in kinds] for _ in range(options.repeat)]
    medians = {kinds[i][0]: _median([run[i] for run in runs]) for i in range(len(kinds))}
    rival = medians.get("hotcoco, from JSON")
    for label, result in medians.items():
        beside = f"  {result['cpu'] / rival['cpu']:.2f} x hotcoco" if rival else ""
        print(f"  {label:20} {result['cpu']:6.2f} CPU s  {result['peak']:5.0f} MB{beside}  {result['steps']}")
    if bars and rival:
        print(f"  bars: from JSON 1.2 x hotcoco{', 700 MB; from arrays 0.8 x' if name == 'coco' else ''}")
        _print_differences(medians["ours, from JSON"], rival)


def _exact(scratch: Path, options: argparse.Namespace) -> None:
    if not _has(options.rivals_python, "pycocotools"):
        print("pycocotools is absent: give a python that has it with --rivals-python")
        return
    print("\npycocotools on the large set, once")
    peer = _run(options.rivals_python, "pycocotools", "coco", str(scratch))
    print(f"  {peer['cpu']:.1f} CPU s, {peer['peak']:.0f} MB")
    _print_differences(_run(sys.executable, "ours-json", "coco", str(scratch)), peer)


def _growth(options: argparse.Namespace) -> None:
    print("\ngrowth, 10 images for each 2,000 detections, 20 classes, from arrays, sizes included")
    rows = []
    for count in GROWTH:
        cpu = statistics.median(_run(sys.executable, "grow", str(count))["cpu"] for _ in range(options.repeat))
        rows.append((count, cpu))
        print(f"  {count:>10,} detections  {cpu:8.3f} CPU s  {1e9 * cpu / count:7.0f} ns each", flush=True)
    if options.plot is not None:
        _plot(rows, options.plot)


def _plot(rows: list[tuple[int, float]], path: Path) -> None:
    import numpy as np
    from matplotlib.figure import Figure

    count, cpu = np.array(rows).T
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.loglog(count, cpu, "o-", label="measured")
    like = count * np.log(count)
    axes.loglog(count, like * cpu[-1] / like[-1], "--", label="n log n through the last")
    axes.set(xlabel="detections", ylabel="CPU seconds, without import", title="Cost of scoring")
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"  {path}")


def _print_differences(ours: dict[str, Any], peer: dict[str, Any]) -> None:
    pairs = zip(FIGURES, ours["figures"], peer["figures"], strict=True)
    print("  differences:", ", ".join(f"{name} {abs(own - other):.1e}" for name, own, other in pairs))


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return sorted(runs, key=lambda run: float(run["cpu"]))[len(runs) // 2]


def _has(python: str | None, module: str) -> bool:
    if python is None:
        return False
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def _run(python: str, *arguments: str) -> dict[str, Any]:
    """Return what one process of `scoring_run.py` says of itself."""
    command = [python, str(HERE / "scoring_run.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **_ONE_THREAD})
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


_SIZES = {
    "coco": "5,000 images, 80 classes, 36,000 truths (1 % crowd), 1,000,000 detections, at most 100 of image and class",
    "single": "100,000 images, one class, 300,000 truths (1 % crowd), 2,000,000 detections, at most 100 of an image",
}

if __name__ == "__main__":
    main()
