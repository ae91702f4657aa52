"""The README's job for Slurm, run with stand-ins for Slurm's programs: requeued when stopped, and only then."""

import os
import subprocess
from pathlib import Path

import click
import pytest

import cli

README = Path(__file__).parents[2] / "README.md"


def job() -> str:
    """Return the script."""
    (block,) = [text for text in README.read_text().split("```") if "#SBATCH" in text]
    return block.strip() + "\n"


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("status", [0, 1, cli.INTERRUPTED])
def test_the_job_is_requeued_when_the_training_was_stopped(tmp_path: Path, status: int) -> None:
    program(tmp_path, "srun", 'exec "$@"')
    program(tmp_path, "ppnlab", f"exit {status}")
    program(tmp_path, "scontrol", f'echo "$@" > {tmp_path / "asked"}')
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": "42"}
    done = subprocess.run(["sh", "-c", job()], env=environment, check=False)
    stopped = status == cli.INTERRUPTED
    assert (tmp_path / "asked").exists() == stopped
    assert done.returncode == (0 if stopped else status)


def test_the_job_gives_the_training_options_that_it_has() -> None:
    (line,) = [line for line in job().splitlines() if line.startswith("srun ppnlab train ")]
    command = cli.main.commands["train"]
    with command.make_context("train", line.split()[3:]) as context:
        assert isinstance(context, click.Context)
        assert context.params["resume_it"]
        assert context.params["stop_after"] == "7h50m"
