"""A training that was asleep so long that another machine took its run gives way when it wakes."""

import json
from pathlib import Path

import pytest
from detector_numpy import same_end, train
from detector_samples import Watch

from annotations.errors import PpnlabError
from detector import loop
from detector.checkpoint import steps_saved

OTHER = json.dumps({"host": "elsewhere", "pid": 77, "since": "2026-01-01T00:00:00Z"}) + "\n"


def test_a_training_whose_run_was_taken_writes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "HEARTBEAT", 0.0)
    run, saved = tmp_path / "run", list[int]()

    def take(done: int) -> None:
        if done == 7:
            saved.extend(steps_saved(run / "checkpoints"))
            (run / "lock").write_text(OTHER)

    with pytest.raises(
        PpnlabError, match="one process at a time, got taken over by process 77 on elsewhere, since 2026"
    ):
        train(run, Watch(take))
    # A save that was under way may still have ended.
    assert set(steps_saved(run / "checkpoints")) <= {*saved, 6}
    # The other's name stays: the run is still its own.
    assert (run / "lock").read_text() == OTHER
    (run / "lock").write_text("")
    train(run)
    train(tmp_path / "straight")
    same_end(run, tmp_path / "straight")


def test_a_lock_that_nobody_took_is_looked_at_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "HEARTBEAT", 0.0)
    looked: list[object] = []
    monkeypatch.setattr(loop, "taken_over", lambda path: looked.append(path))
    done = train(tmp_path / "run")
    assert len(looked) == done.step
