"""What was changed in a training on its way, and where in its epochs, for those who look at its curves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from detector.run_directory import Run


class Mark(NamedTuple):
    """A change at a place of a training, in epochs (2.5 is half way through the third), in a few words."""

    epoch: float
    text: str


def changes_of(run: Run) -> list[Mark]:
    """Return the changes of a run's settings, data and programs, in the order of their places.

    A change at a step that was gone back over is told once.

    Raises:
        PpnlabError: the run's history is damaged.
    """
    history = run.history()
    found = dict.fromkeys((_place(step, history), text) for step, text in _told(run.events()))
    return sorted(Mark(*each) for each in found)


def _told(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    for event in events:
        kind, step = event["event"], event.get("step")
        if type(step) is not int:
            continue
        if kind == "changed" and isinstance(event.get("settings"), dict):
            yield step, ", ".join(f"{name}={value}" for name, value in event["settings"].items())
        elif kind == "new-data":
            yield step, "other data"
        elif kind == "versions-changed" and isinstance(event.get("versions"), dict):
            yield step, f"other {', '.join(event['versions'])}"


def _place(step: int, history: Mapping[str, Sequence[float | None]]) -> float:
    """Return where a step lies among the epochs that have ended; one of an epoch that has not lies behind the last."""
    before = 0.0, 0.0
    for last, epoch in zip(history.get("step", ()), history.get("epoch", ()), strict=True):
        if last is None or epoch is None:
            continue
        if step <= last:
            return before[1] + (epoch - before[1]) * (step - before[0]) / (last - before[0])
        before = last, epoch
    return before[1] + (0.5 if step > before[0] else 0.0)
