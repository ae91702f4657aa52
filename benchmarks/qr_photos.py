"""The whole job on real photographs: convert, train within a budget of CPU minutes, evaluate, and print the figures.

Command: python benchmarks/qr_photos.py PHOTOS OUTPUT [--budget 40|10] [--seeds 0 1 2] [--split test] [--set key=value]
PHOTOS is a Labelme folder with splits in its flags, codes labelled qr_code and finder patterns labelled fip. Each seed
is a run of its own in OUTPUT, on one thread; one that is there already is gone on with. With several seeds the medians
are printed too. The settings were chosen on val (`--split val`), by runs of about ten minutes; test is for the end.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from detector.settings import Settings

COMMON = {
    "input": "416",
    "threads": "1",
    "loaders": "1",
    "rendered": "0.5",
    "copy_paste": "0.5",
    "hard_negatives": "0.3",
}
BUDGETS = {
    "40": {"epochs": "70", "small_share": "0.5"},
    "10": {"epochs": "20", "small_share": "0.7"},
}
"""By CPU minutes, the settings with which a training takes about so many on the machine of the README's figures."""
FIGURES = ("ap50", "ap")


def ppnlab(*arguments: str) -> float:
    """Run one command of the installed ppnlab, shown first, and return the CPU minutes that it took."""
    print("$ ppnlab", *arguments, flush=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([Path(sys.executable).with_name("ppnlab"), *arguments], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60


def train(data: Path, run: Path, settings: dict[str, str]) -> float:
    """Train a run to its end, or go on with it, and return the CPU minutes that this took."""
    if run.exists():
        begun = json.loads((run / "config.json").read_text())["settings"]
        wanted = Settings().changed(settings, "benchmark").to_json()
        other = {name: begun.get(name) for name in settings if begun.get(name) != wanted[name]}
        if other:
            sys.exit(f"{run}: run must have the settings asked for, got {other}; name another OUTPUT")
        return ppnlab("resume", str(run))
    changes = [item for key, value in settings.items() for item in ("--set", f"{key}={value}")]
    return ppnlab("train", str(data), str(run), *changes)


def figures(run: Path, split: str) -> dict[str, dict[str, float]]:
    """Evaluate a run on val, where its thresholds come from, and on a split; return what each class reached on that."""
    ppnlab("evaluate", str(run), *(word for name in sorted({"val", split}) for word in ("--split", name)))
    classes = json.loads((run / "report" / "metrics.json").read_text())["splits"][split]["classes"]
    for name, found in classes.items():
        low, high = found["ap50_ci"]
        print(f"{split} {name}: AP@.5 {found['ap50']:.3f} [{low:.3f}, {high:.3f}], AP@[.5:.95] {found['ap']:.3f}")
    return {name: {figure: found[figure] for figure in FIGURES} for name, found in classes.items()}


def main(photos: Path, output: Path, budget: str, seeds: list[int], split: str, changes: dict[str, str]) -> None:
    """Do the job for each seed and print the medians."""
    data = output / "data"
    if not data.exists():
        ppnlab("convert", str(photos), str(data), "--parts", "fip:qr_code")
    found = []
    for seed in seeds:
        run = output / f"run-{budget}-{seed}"
        minutes = train(data, run, {**COMMON, **BUDGETS[budget], "seed": str(seed), **changes})
        print(f"trained in {minutes:.1f} CPU minutes", flush=True)
        found.append(figures(run, split))
    for name in found[0] if len(found) > 1 else ():
        ap50, ap = (statistics.median(one[name][figure] for one in found) for figure in FIGURES)
        print(f"{split} {name}, median of {len(found)} seeds: AP@.5 {ap50:.3f}, AP@[.5:.95] {ap:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--budget", choices=BUDGETS, default="40")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--split", choices=["train", "val", "test"], default="test")
    parser.add_argument("--set", action="append", default=[], metavar="key=value", help="another setting")
    asked = parser.parse_args()
    changed = dict(item.split("=", 1) for item in asked.set)
    main(asked.photos, asked.output, asked.budget, asked.seeds, asked.split, changed)
