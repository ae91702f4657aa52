"""Batches made ahead, and the signals that stop a training."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from detector import feeding
from detector.feeding import AHEAD_PER_THREAD, batches_ahead, timed, wait_hint
from detector.settings import Settings
from detector.stopping import SIGNALS, stop_requests


def batch(step: int) -> dict[str, np.ndarray]:
    # The later ones are quicker, so that threads finish out of order.
    time.sleep(0.002 * (3 - step % 4))
    return {"step": np.array([step])}


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_batches_come_in_order_however_many_threads_make_them(threads: int) -> None:
    steps = [int(item["step"][0]) for item in batches_ahead(batch, 3, 17, threads)]
    assert steps == list(range(3, 17))


def test_no_steps_give_no_batches() -> None:
    assert list(batches_ahead(batch, 5, 5, 2)) == []


def test_an_error_comes_at_its_own_step() -> None:
    def failing(step: int) -> dict[str, np.ndarray]:
        if step == 3:
            raise KeyError("picture")
        return batch(step)

    batches = batches_ahead(failing, 0, 10, 2)
    assert [int(next(batches)["step"][0]) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="picture"):
        next(batches)
    assert not loaders()


def loaders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def test_closing_drops_what_waits_and_ends_the_threads() -> None:
    made: list[int] = []

    def noted(step: int) -> dict[str, np.ndarray]:
        made.append(step)
        return batch(step)

    batches = batches_ahead(noted, 0, 10_000, 2)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert not loaders()
    assert len(made) <= 1 + 2 * AHEAD_PER_THREAD


def test_no_more_batches_wait_than_the_bound() -> None:
    most = 0
    lock = threading.Lock()
    begun: list[int] = []

    def noted(step: int) -> dict[str, np.ndarray]:
        with lock:
            begun.append(step)
        return {"step": np.array([step])}

    for taken, _ in enumerate(batches_ahead(noted, 0, 40, 2), start=1):
        time.sleep(0.001)
        most = max(most, len(begun) - taken)
    assert most <= 2 * AHEAD_PER_THREAD


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_by_name(number: signal.Signals) -> None:
    with stop_requests() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        assert stop.signal == number.name


def test_a_second_interrupt_leaves_at_once() -> None:
    with stop_requests() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_signal_is_noted_where_the_terminal_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(handle: int, data: bytes) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "write", gone)
    with stop_requests() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal == "SIGTERM"


def test_a_closed_terminal_stops_the_training_unless_nohup_has_it_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with stop_requests() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert stop.signal == "SIGHUP"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_requests() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_before_come_back_whatever_happens() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(ValueError, match="mine"), stop_requests():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("mine")
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_outside_the_main_thread_there_is_a_request_that_stays_empty() -> None:
    seen: list[bool] = []

    def other() -> None:
        with stop_requests() as stop:
            seen.append(bool(stop))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [False]


def test_the_time_for_which_a_batch_is_waited_is_told_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(feeding.time, "monotonic", lambda: clock[0])

    def batches() -> Iterator[int]:
        for number in range(3):
            clock[0] += 10.0 * number
            yield number

    told = []
    for number, waited in timed(batches()):
        told.append((number, waited))
        clock[0] += 1000.0  # the step; it is no waiting
    assert told == [(0, 0.0), (1, 10.0), (2, 20.0)]


@pytest.mark.parametrize(("waited", "seconds"), [(0.0, 0.0), (0.0, 900.0), (45.0, 900.0), (1.0, 2.0)])
def test_steps_that_hardly_wait_need_no_hint(waited: float, seconds: float) -> None:
    assert wait_hint(waited, seconds, Settings()) is None


def test_steps_that_wait_get_a_hint_that_can_be_followed() -> None:
    hint = wait_hint(310.0, 1000.0, Settings(loaders=3, cache="none")) or ""
    assert "31%" in hint
    assert "cache=ram" in hint
    assert Settings().changed({"loaders": hint.partition("loaders=")[2].partition("`")[0]}, "hint").loaders == 6
    assert "cache" not in (wait_hint(310.0, 1000.0, Settings(cache="ram")) or "cache")
