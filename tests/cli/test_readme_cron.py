"""The README's lines for cron, run with a stand-in for ppnlab: one training a night, and none beside another."""

import os
import shlex
import subprocess
from pathlib import Path

import click
import pytest

import cli

README = Path(__file__).parents[2] / "README.md"


def table() -> list[str]:
    """Return the lines of the crontab."""
    (block,) = [text for text in README.read_text().split("```") if "crontab" in text and "resume" in text]
    return [line for line in block.splitlines() if line.strip() and not line.startswith("#")]


def entry() -> tuple[list[str], str]:
    """Return the five fields that say when, and the command."""
    (line,) = [line for line in table() if line[0] in "*0123456789"]
    fields = line.split(None, 5)
    return fields[:5], fields[5]


def test_the_line_runs_every_night_at_a_time_that_cron_knows() -> None:
    minute, hour, *days = entry()[0]
    assert 0 <= int(minute) <= 59
    assert 0 <= int(hour) <= 23
    assert days == ["*", "*", "*"]


@pytest.mark.parametrize("status", [0, 1])
def test_the_command_goes_on_in_its_folder_and_keeps_what_is_said(tmp_path: Path, status: int) -> None:
    (tmp_path / "work").mkdir()
    stand_in = tmp_path / "ppnlab"
    stand_in.write_text(f'#!/bin/sh\necho "$PWD: $@"\necho told >&2\nexit {status}\n')
    stand_in.chmod(0o755)
    # cron runs `sh` with a short PATH, in the home folder, and makes a newline of every percent sign.
    command = entry()[1]
    assert "%" not in command
    environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin"}
    for _ in range(2):
        done = subprocess.run(["sh", "-c", command], env=environment, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == status
        assert done.stdout + done.stderr == b""
    said = (tmp_path / "work" / "night.log").read_text().splitlines()
    assert said == [f"{tmp_path / 'work'}: {shlex.join(arguments())}", "told"] * 2


def arguments() -> list[str]:
    words = shlex.split(entry()[1])
    first = words.index("ppnlab") + 1
    return [word for word in words[first : words.index(">>night.log")] if word]


def test_the_command_gives_resume_options_that_it_has() -> None:
    name, *rest = arguments()
    command = cli.main.commands[name]
    with command.make_context(name, rest) as context:
        assert isinstance(context, click.Context)
        assert context.params["stop_at"] == "07:00"
        assert context.params["nice"] == 19
        assert context.params["requeue"]
