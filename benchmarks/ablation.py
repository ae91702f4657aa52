"""What each part of the recipe is worth: trainings of one budget of CPU minutes, each without one thing.

Command: python benchmarks/ablation.py PHOTOS OUTPUT [--budget 10] [--seeds 0] [--split val] [--only NAME ...]
PHOTOS is what benchmarks/qr_photos.py takes, whose recipe and budgets these are. What makes an epoch dearer or cheaper
has as many more or fewer of them, by PRICE; the CPU minutes that each took are printed. What happens after the network
alone (votes, tightening, scores that parts raise) is left out of the evaluation of the first run, and trains nothing.
"""

import argparse
import json
import shutil
from pathlib import Path

from qr_photos import BUDGETS, COMMON, FIGURES, figures, ppnlab, train

WITHOUT = {
    "all of it": {},
    "parts": {},
    "pretraining": {"weights": "none"},
    "pasted objects, codes and look-alikes": {"rendered": "0", "copy_paste": "0", "hard_negatives": "0"},
    "a small start": {"small_share": "0"},
    "steps of four (eight)": {"batch": "8"},
    "fixed depthwise kernels": {"frozen_depthwise": "false"},
}
"""By what is left out, the settings that do so."""
PRICE = {"parts": 0.9, "pretraining": 2.0, "a small start": 1.4, "fixed depthwise kernels": 1.2}
"""CPU time of an epoch beside one of the whole recipe, where it differs."""
AFTERWARDS = {
    "votes": {"vote_iou": 1.0},
    "tightening": {"tighten": False},
    "scores that parts and cells raise": {"rescore": False},
    "all three": {"vote_iou": 1.0, "tighten": False, "rescore": False},
}


def copied(run: Path, name: str, changes: dict[str, float | bool]) -> Path:
    """Return a copy of a run whose settings are changed; what a run learnt afterwards is for its votes, and stays."""
    copy = run.with_name(f"{run.name} without {name}")
    if not copy.exists():
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns("report"))
        config = json.loads((copy / "config.json").read_text())
        config["settings"] |= changes
        (copy / "config.json").write_text(json.dumps(config))
    return copy


def row(name: str, minutes: float | None, found: dict[str, dict[str, float]]) -> str:
    """Return a line of the table."""
    told = "  ".join(f"{label} {one['ap50']:.3f} {one['ap']:.3f}" for label, one in found.items())
    return f"  {name:<40} {'' if minutes is None else f'{minutes:5.1f} min':<10} {told}"


def main(photos: Path, output: Path, budget: str, seeds: list[int], split: str, only: list[str]) -> None:
    """Train what is not trained yet, and print a line for each."""
    data, alone = output / "data", output / "data without parts"
    if not data.exists():
        ppnlab("convert", str(photos), str(data), "--parts", "fip:qr_code")
        ppnlab("convert", str(photos), str(alone), "--classes", "qr_code")
    lines = []
    for seed in seeds:
        for name in only or WITHOUT:
            run = output / f"{name}, seed {seed}"
            epochs = round(int(BUDGETS[budget]["epochs"]) / PRICE.get(name, 1.0))
            settings = {**COMMON, **BUDGETS[budget], "epochs": str(epochs), "seed": str(seed), **WITHOUT[name]}
            minutes = train(alone if name == "parts" else data, run, settings)
            lines.append(row(run.name, minutes, figures(run, split)))
            if name == "all of it":
                lines += [row(f"  {n}", None, figures(copied(run, n, one), split)) for n, one in AFTERWARDS.items()]
    print(f"{split}: without what, CPU minutes of the training, {' and '.join(FIGURES)} by class", *lines, sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--budget", choices=BUDGETS, default="10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument("--only", choices=WITHOUT, nargs="+", default=[])
    asked = parser.parse_args()
    main(asked.photos, asked.output, asked.budget, asked.seeds, asked.split, asked.only)
