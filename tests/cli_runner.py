"""Commands of `ppnlab` run in this process, or in one of their own where signals, imports or streams matter."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

import cli

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-m", "cli")
TINY = tuple(f"--set={pair}" for pair in ("backbone=none", "input=96", "threads=1", "loaders=1", "batch=4"))
"""Settings of a training of seconds. A process of TensorFlow keeps its number of threads: all tests have one."""


def ppnlab(*args: object) -> Result:
    """Run a command in this process; a bug keeps its traceback, and fails the test."""
    return CliRunner().invoke(cli.main, [str(arg) for arg in args], catch_exceptions=False, prog_name="ppnlab")


def ppnlab_process(*args: object, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
    """Run a command in a process of its own, and return what it printed."""
    command = [*PROGRAM, *(str(arg) for arg in args)]
    return subprocess.run(command, **{"capture_output": True, "text": True, "env": environment(), **options})


def environment() -> dict[str, str]:
    """Return this process's environment, in which other directories find the program too."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def content(directory: Path) -> dict[str, bytes]:
    """Return every file below a directory with its bytes."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def error_of(result: Result) -> str:
    """Return the one error that a failed command told, after making sure that it told nothing else."""
    lines = result.stderr.splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    assert len(errors) == 1, result.output
    assert lines[-1] == errors[0], result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return errors[0].removeprefix("Error: ")
