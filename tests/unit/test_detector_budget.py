"""Budgets: durations, times of day, steps."""

from datetime import UTC, datetime

import pytest

from annotations.errors import UsageError
from detector.budget import Budget, budget

NOW = datetime(2026, 11, 22, 21, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "hours"),
    [("8h", 8), ("1h30m", 1.5), ("90", 1.5), ("2d", 48), ("1.5h", 1.5), ("3600s", 1), ("1H 30M", 1.5), ("0m", 0)],
)
def test_a_duration_counts_from_now(text: str, hours: float) -> None:
    assert budget(text, None, None, NOW).deadline == NOW.timestamp() + 3600 * hours


@pytest.mark.parametrize(("text", "hours"), [("07:00", 9.5), ("21:30", 24), ("21:31", 1 / 60), ("7:00", 9.5)])
def test_a_time_of_day_is_the_next_one(text: str, hours: float) -> None:
    assert budget(None, text, None, NOW).deadline == pytest.approx(NOW.timestamp() + 3600 * hours)


def test_the_earlier_end_counts() -> None:
    assert budget("1h", "07:00", None, NOW).deadline == NOW.timestamp() + 3600
    assert budget("20h", "07:00", None, NOW).deadline == NOW.timestamp() + 9.5 * 3600


@pytest.mark.parametrize("text", ["", "8x", "h", "8h morning", "-1h", "1e9d", "٣h", "99999999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--stop-after must be like 8h, 1h30m or 90 \(minutes\), got "):
        budget(text, None, None, NOW)


@pytest.mark.parametrize("text", ["24:00", "7", "07:60", "7am", ""])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--stop-at must be a time of day like 07:00, got "):
        budget(None, text, None, NOW)


def test_steps_and_time_are_spent() -> None:
    assert Budget().spent(10**9) is None
    assert Budget(steps=5).spent(4) is None
    assert Budget(steps=5).spent(5) == "the budget of 5 steps is used up"
    assert "the time is up" in (Budget(deadline=0.0).spent(0) or "")
