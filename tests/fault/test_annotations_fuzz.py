"""Thousands of damaged files: never a traceback, a hang or a flood of memory; each refused by name, the rest converted.

`fuzz_worker` says what is checked of each mutant, and makes a mutant again from its kind and number.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
FORMS = ("labelme", "pictures", "boxes", "coco", "csv", "pairs", "voc", "yolo")


def tried(kind: str, first: int, count: int, folder: Path) -> dict[str, Any]:
    """Return what the worker tells of some mutants."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    command = [sys.executable, str(TESTS / "fuzz_worker.py"), kind, str(first), str(count), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(("kind", "count"), [("labelme", 400), ("pictures", 200), *((form, 30) for form in FORMS[2:])])
def test_damaged_files_are_converted_or_refused_by_name(tmp_path: Path, kind: str, count: int) -> None:
    told = tried(kind, 0, count, tmp_path)
    assert told["wrong"] == []
    assert told["tried"] == count
    # Some are converted, or no mutant would get past the first check; some are refused, or all would be harmless.
    assert told["converted"] > 0
    assert told["refused"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "first", "count"),
    [*(("labelme", first, 4000) for first in (1000, 5000)), ("pictures", 1000, 4000),
     *((form, 1000, 500) for form in FORMS[2:])],
)  # fmt: skip
def test_thousands_of_damaged_files_are_converted_or_refused_by_name(
    tmp_path: Path, kind: str, first: int, count: int
) -> None:
    told = tried(kind, first, count, tmp_path)
    assert (told["wrong"], told["tried"]) == ([], count)
