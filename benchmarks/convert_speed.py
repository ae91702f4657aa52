"""CPU seconds of converting Labelme folders, beside a bare `orjson.loads` loop and other converters, in one run.

Asked for: at most 2 times the loop without a look at the pictures, at most 4 times with each picture's header read; at
least 4 times less than dataflow-cv, 7 times less than globox, 10 times less than labelme2coco. At most 1.5 times the
loop for files with 1 MB of imageData. Less than 1.5 KB of memory a box. Two processes: 1.6 times faster by the clock,
on a machine with nothing else to do.

Measured on 23 November 2026 (two shared, busy cores; medians of 3): 1.6 and 2.1 times the loop; 4.6, 8.2 and 16.6 times
less than the three; 1.0 times the loop with imageData. With nothing else running (medians of 5): 1.8, 2.6 and 0.9 times
the loop; two processes 1.48, 1.57 and 1.46 times faster in three runs, and not 1.6. Two conversions side by side are
there only 1.7 to 2.0 times faster than one after the other, and one process alone works for 0.2 of 1.1 seconds: it
finds the files, joins the tables and flushes them to the disk.

Measured is the whole conversion, from finding the files to the box dataset on the disk; the others write COCO, or only
read where they write nothing of the kind. Imports are not counted, for nobody. Every measurement is a process of its
own, they take turns, and the median of the rounds is shown.

Command: python benchmarks/convert_speed.py [--files N] [--rounds N] [--rivals-python PATH] [--embedded-files N]
         [--workers] [--boxes N] [--folder DIR]
--rivals-python is a python that has the other converters; without it, or without one of them, it is left out.
--workers measures two processes by the clock, --boxes the memory for so many boxes. --folder keeps the files made.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
# As the command line does: numpy's threads would wait for work with a processor, and be counted.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
PARTS = {"fip": "qr_code"}


class Measured(NamedTuple):
    """One measurement of one process, in seconds and bytes; `boxes` is what it read, where it says so."""

    cpu: float
    wall: float
    memory: int
    boxes: int


# --- What is measured: each loads what it needs, and returns the work -----------------------------------------------


def loop(folder: Path) -> Callable[[Path], int]:
    """Return the bare loop over the files."""
    import orjson

    files = sorted(folder.rglob("*.json"))

    def work(_: Path) -> int:
        for file in files:
            orjson.loads(file.read_bytes())
        return 0

    return work


def ppnlab(folder: Path, **options: Any) -> Callable[[Path], int]:  # noqa: ANN401
    """Return the conversion by ppnlab."""
    from annotations.dataset import write_dataset
    from annotations.labelme_folder import read_labelme_folder
    from annotations.naming import Naming

    def work(output: Path) -> int:
        read = read_labelme_folder(folder, Naming(PARTS, None, {}), **options)
        write_dataset(output, read.dataset, read.findings, command="benchmark", workers=options.get("workers", 1))
        return len(read.dataset.annotations)

    return work


def dataflow_cv(folder: Path) -> Callable[[Path], int]:
    """Return the reading by dataflow-cv."""
    from dataflow.label.labelme_handler import LabelMeAnnotationHandler

    def work(_: Path) -> int:
        result = LabelMeAnnotationHandler(str(folder), recursive=True).read()
        return sum(len(image.objects) for image in result.data.images)

    return work


def globox(folder: Path) -> Callable[[Path], int]:
    """Return the conversion to COCO by globox."""
    from globox import AnnotationSet

    def work(output: Path) -> int:
        read = AnnotationSet.from_labelme(folder, recursive=True, include_poly=True)
        read.save_coco(output, auto_ids=True)
        return sum(len(image.boxes) for image in read)

    return work


def labelme2coco(folder: Path) -> Callable[[Path], int]:
    """Return the conversion to COCO by labelme2coco."""
    import logging

    from labelme2coco import convert

    logging.disable()

    def work(output: Path) -> int:
        convert(str(folder), str(output))
        return len(json.loads((output / "dataset.json").read_bytes())["annotations"])

    return work


SUBJECTS: dict[str, Callable[[Path], Callable[[Path], int]]] = {
    "orjson loop": loop,
    "ppnlab, pictures unchecked": lambda folder: ppnlab(folder, check_images=False),
    "ppnlab, headers checked": ppnlab,
    "ppnlab, two processes": lambda folder: ppnlab(folder, workers=2),
    "dataflow-cv": dataflow_cv,
    "globox": globox,
    "labelme2coco": labelme2coco,
}
RIVALS = {"dataflow-cv": 4.0, "globox": 7.0, "labelme2coco": 10.0}
"""How many times less CPU than these is asked for; none of them looks at pictures whose size the file gives."""


def measure_here(name: str, folder: Path) -> None:
    """Print the measurement of a subject in this process, as JSON."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as output:
        work = SUBJECTS[name](folder)
        began, used = time.monotonic(), _used()
        boxes = work(Path(output) / "out")
        done = Measured(_used() - used, time.monotonic() - began, _peak(), boxes)
    print(json.dumps(done))


def _used() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# --- The tables -------------------------------------------------------------------------------------------------


def measured(python: str, name: str, folder: Path) -> Measured | None:
    """Return the measurement of a subject in a process of its own, or None where it cannot be had; it is said why."""
    command = [python, __file__, "--measure", name, "--folder", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        print(f"{name}: left out: {done.stderr.strip().splitlines()[-1:] or done.returncode}", flush=True)
        return None
    return Measured(*json.loads(done.stdout.splitlines()[-1]))


def rounds(pythons: dict[str, str], folder: Path, times: int) -> dict[str, Measured]:
    """Return the median of each subject, measured in turns; one that fails is left out."""
    found: dict[str, list[Measured]] = {name: [] for name in pythons}
    for _ in range(times):
        for name in list(found):
            one = measured(pythons[name], name, folder)
            if one is None:
                del found[name]
            else:
                found[name].append(one)
    return {name: Measured(*(statistics.median(column) for column in zip(*ones, strict=True)))
            for name, ones in found.items()}  # fmt: skip


def row(name: str, *cells: str) -> None:
    """Print a line of a table."""
    print(f"{name:34}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


def compare(folder: Path, files: int, options: argparse.Namespace) -> None:
    """Print CPU seconds beside the loop's and the rivals'."""
    names = ["orjson loop", "ppnlab, pictures unchecked", "ppnlab, headers checked"]
    pythons = dict.fromkeys(names, sys.executable)
    if options.rivals_python:
        pythons |= dict.fromkeys(RIVALS, options.rivals_python)
    else:
        print("--rivals-python is not given: the other converters are left out")
    done = rounds(pythons, folder, options.rounds)
    bare, ours = done["orjson loop"], done["ppnlab, pictures unchecked"]
    row(f"{files:,} files", "CPU s", "times the loop", "asked for", "MB", "boxes")
    for (name, one), most in zip(list(done.items())[:3], ("", "at most 2", "at most 4"), strict=True):
        row(name, f"{one.cpu:.2f}", f"{one.cpu / bare.cpu:.2f}", most, f"{one.memory / 1e6:.0f}", f"{one.boxes:,.0f}")
    for name in [name for name in RIVALS if name in done]:
        one, asked = done[name], f"at least {RIVALS[name]:.0f} x ours"
        cells = f"{one.cpu:.2f}", f"{one.cpu / bare.cpu:.1f}", asked, f"{one.memory / 1e6:.0f}", f"{one.boxes:,.0f}"
        row(f"{name} ({one.cpu / ours.cpu:.1f} x ours)", *cells)


def compare_embedded(folder: Path, files: int, options: argparse.Namespace) -> None:
    """Print CPU seconds for files with image data beside the loop's."""
    names = ["orjson loop", "ppnlab, pictures unchecked", "ppnlab, headers checked"]
    done = rounds(dict.fromkeys(names, sys.executable), folder, options.rounds)
    row(f"{files:,} files with 1 MB of imageData", "CPU s", "times the loop", "asked for", "MB")
    for (name, one), most in zip(done.items(), ("", "at most 1.5", "at most 1.5"), strict=True):
        row(name, f"{one.cpu:.2f}", f"{one.cpu / done['orjson loop'].cpu:.2f}", most, f"{one.memory / 1e6:.0f}")


def compare_processes(folder: Path, options: argparse.Namespace) -> None:
    """Print the seconds by the clock on one process and on two."""
    names = ["ppnlab, headers checked", "ppnlab, two processes"]
    done = rounds(dict.fromkeys(names, sys.executable), folder, options.rounds)
    one, two = done.values()
    row("by the clock", "s", "times faster", "asked for")
    row("one process", f"{one.wall:.2f}", "1.00", "")
    row("two processes", f"{two.wall:.2f}", f"{one.wall / two.wall:.2f}", "at least 1.6")


def show_memory(folder: Path) -> None:
    """Print the peak memory of a conversion by the box."""
    one = measured(sys.executable, "ppnlab, pictures unchecked", folder)
    if one is not None:
        row(f"{one.boxes:,} boxes", "MB", "bytes a box", "asked for", "CPU s")
        row("peak memory", f"{one.memory / 1e6:.0f}", f"{one.memory / one.boxes:.0f}", "below 1,500", f"{one.cpu:.1f}")


def made(root: Path, name: str, files: int, **options: Any) -> Path:  # noqa: ANN401
    """Return the folder of so many files below `root`, which is made if it is not there."""
    from labelme_files import write_folder

    folder = root / f"{name}_{files}"
    if not folder.exists():
        aside = folder.with_suffix(".partial")
        shutil.rmtree(aside, ignore_errors=True)
        write_folder(aside, files, **options)
        aside.rename(folder)
    return folder


def main(options: argparse.Namespace, root: Path) -> None:
    """Make the folders below `root` and print the tables that are asked for."""
    if options.boxes:
        # Eight boxes a file; without pictures, which are not looked at.
        show_memory(made(root, "many", options.boxes // 8, pictures=False))
    if options.files:
        folder = made(root, "files", options.files)
        compare(folder, options.files, options)
        if options.workers:
            compare_processes(folder, options)
    if options.embedded_files:
        embedded = made(root, "embedded", options.embedded_files, embed=750_000)
        compare_embedded(embedded, options.embedded_files, options)


def parsed() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--embedded-files", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rivals-python")
    parser.add_argument("--workers", action="store_true")
    parser.add_argument("--boxes", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", choices=SUBJECTS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = parsed()
    if given.measure:
        measure_here(given.measure, given.folder)
    elif given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
        main(given, given.folder)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(given, Path(scratch))
