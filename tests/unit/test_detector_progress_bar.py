"""What a training shows on the terminal, also where that is gone."""

import io

import pytest
from rich.console import Console

from detector.progress_bar import ProgressBar

ROW = {"epoch": 2, "step": 6, "loss": 1.5, "val_ap50": 0.25, "val_ap": None}


def test_an_epoch_leaves_a_line_on_a_terminal() -> None:
    shown = io.StringIO()
    with ProgressBar(Console(file=shown, force_terminal=True, width=120)) as watch:
        watch.step(5, 9, 8, {"loss": 2.0})
        watch.epoch(ROW)
    assert "epoch 2: loss 1.500, val AP@.5 0.250, AP -" in shown.getvalue()


def test_an_epoch_whose_every_step_was_passed_over_is_told_without_a_loss() -> None:
    shown = io.StringIO()
    with ProgressBar(Console(file=shown, force_terminal=True, width=120)) as watch:
        watch.epoch({name: value for name, value in ROW.items() if name != "loss"})
    assert "epoch 2: loss -, val AP@.5 0.250" in shown.getvalue()


class ClosedTerminal(io.StringIO):
    """What a program has whose terminal window was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_gone_ends_no_training() -> None:
    with ProgressBar(Console(file=ClosedTerminal(), force_terminal=True, width=120)) as watch:
        watch.step(5, 9, 8, {"loss": 2.0})
        watch.step(6, 9, 8, {"loss": 2.0})
        watch.epoch(ROW)
        watch.note("the disk is full")


def test_a_pipe_that_nobody_reads_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unread(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("sys.stderr", Unread())
    with ProgressBar() as watch:
        watch.note("the disk is full")
        watch.note("the disk takes it again")


def test_a_note_keeps_its_commands_whole() -> None:
    shown, command = io.StringIO(), f"`ppnlab resume '{'a long name ' * 9}' --epochs 13`"
    with ProgressBar(Console(file=shown, width=80)) as watch:
        watch.note(command)
    assert shown.getvalue() == f"{command}\n"
