"""How long a process may train: so many hours, until a time of day, or so many steps (plain Python)."""

import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from annotations.errors import UsageError

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])", re.IGNORECASE | re.ASCII)
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a process may use up: until `deadline` (of `time.time`), and `steps` updates; None is without an end."""

    deadline: float | None = None
    steps: int | None = None

    def spent(self, made: int) -> str | None:
        """Return what is used up after `made` updates of this process, in words, or None."""
        if self.steps is not None and made >= self.steps:
            return f"the budget of {self.steps} steps is used up"
        if self.deadline is not None and time.time() >= self.deadline:
            return f"the time is up ({datetime.fromtimestamp(self.deadline).astimezone():%Y-%m-%d %H:%M})"
        return None


def budget(stop_after: str | None, stop_at: str | None, max_steps: int | None, now: datetime) -> Budget:
    """Return the budget of these texts, such as `8h`, `1h30m` or `90` (minutes), and `07:00`; the earlier end counts.

    A time of day that is past today is meant for tomorrow.

    Raises:
        UsageError: a text is no duration or no time of day.
    """
    ends = [now + _duration(stop_after)] if stop_after is not None else []
    if stop_at is not None:
        ends.append(_next(stop_at, now))
    return Budget(min(ends).timestamp() if ends else None, max_steps)


def _duration(text: str) -> timedelta:
    parts = _PART.findall(text)
    if text.strip().isascii() and text.strip().isdigit():
        seconds = 60.0 * float(text)
    elif parts and not _PART.sub("", text).strip():
        seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
    else:
        raise UsageError(f"--stop-after must be like 8h, 1h30m or 90 (minutes), got {text!r}")
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        raise UsageError(f"--stop-after must be like 8h, 1h30m or 90 (minutes), got {text!r}") from error


def _next(text: str, now: datetime) -> datetime:
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--stop-at must be a time of day like 07:00, got {text!r}")
    today = now.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)
