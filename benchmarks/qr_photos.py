"""The whole job on real photographs: convert, train, evaluate, and print the figures of the README.

Measured on 22 November 2026 (319 photographs, two shared cores, no GPU): test AP@.5 0.960 (qr_code) and 0.960 (fip),
AP@[.5:.95] 0.819 and 0.763, in 54.8 CPU minutes, 40 by the clock. Asked for: 0.95 and 0.93 within 45 minutes.
Command: python benchmarks/qr_photos.py PHOTOS [OUTPUT] [key=value ...]
PHOTOS is a Labelme folder with splits in its flags, codes labelled qr_code and finder patterns labelled fip.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

SETTINGS = {"epochs": "40", "input": "416", "seed": "0"}


def ppnlab(*arguments: str) -> None:
    """Run one command of the installed ppnlab, shown first."""
    print("$ ppnlab", *arguments, flush=True)
    subprocess.run([Path(sys.executable).with_name("ppnlab"), *arguments], check=True)


def minutes(began: float) -> str:
    """Return wall and CPU minutes since `began`; the CPU's count from the process's start."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return f"{(time.monotonic() - began) / 60:.1f} min wall, {(used.ru_utime + used.ru_stime) / 60:.1f} min CPU in all"


def main(photos: Path, output: Path, changes: dict[str, str]) -> None:
    """Do the job into `output`, which must not exist yet."""
    began = time.monotonic()
    data, run = str(output / "data"), str(output / "run")
    ppnlab("convert", str(photos), data, "--parts", "fip:qr_code")
    settings = [item for key, value in {**SETTINGS, **changes}.items() for item in ("--set", f"{key}={value}")]
    ppnlab("train", data, run, *settings)
    print(f"trained: {minutes(began)}", flush=True)
    ppnlab("evaluate", run)
    print(f"evaluated: {minutes(began)}")
    metrics = json.loads((output / "run" / "report" / "metrics.json").read_text())
    for name, figures in metrics["splits"]["test"]["classes"].items():
        low, high = figures["ap50_ci"]
        print(f"test {name}: AP@.5 {figures['ap50']:.3f} [{low:.3f}, {high:.3f}], AP@[.5:.95] {figures['ap']:.3f}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    rest = sys.argv[2:]
    place = Path(rest.pop(0)) if rest and "=" not in rest[0] else Path("qr_photos_benchmark")
    main(Path(sys.argv[1]), place, dict(item.split("=", 1) for item in rest))
