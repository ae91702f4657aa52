"""The learning rate at a step: pure functions of the step and of what a watching schedule remembers (plain Python).

Every schedule begins with a linear warm-up from zero to `learning_rate`, of `warmup_steps` (at most half of all).
With t steps since the warm-up, T steps from there to the end, E steps an epoch, and m = `final_rate`, the rate's share
of `learning_rate` is then:

| schedule | share |
| --- | --- |
| `constant` | 1 |
| `inverse-time` | 1 / (1 + r t / D), with r = `decay_rate` and D = `decay_epochs` E |
| `step` | r ^ floor(t / D) |
| `cosine` | m + (1 - m) (1 + cos(pi t / T)) / 2 |
| `restarts` | the same over cycles of T0, f T0, f^2 T0 ... steps, with T0 = `cycle_epochs` E and f = `cycle_factor` |
| `plateau` | r ^ k, but not below m, after k times `patience` epochs without a better validation score |
| `kicks` | from h to m l^k along half a cosine of `cycle_epochs`, then m l^k, with l = `kick_floor`; h is 1 at first |

`kicks` begins its cosine anew after `patience` epochs without a better validation score, but not before the last one
has come to its end; the share s of that moment rises to h = min(`kick_cap`, s (1 + `kick`)), and k rises by one, so
that it falls to a new, lower minimum.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from detector.course import Course as Course
from detector.settings import Settings


@dataclass(frozen=True, slots=True)
class Watched:
    """What a schedule remembers of the validation scores; `plateau` and `kicks` look at it, the others do not.

    `best` is the best score so far and `waited` the epochs since; `plateaus` counts how often it stood still. The
    cosine of `kicks` began at step `begun` with the share `high`; before the first plateau `begun` is None.
    """

    best: float | None = None
    waited: int = 0
    plateaus: int = 0
    begun: int | None = None
    high: float = 1.0

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> Self:
        """Return what was remembered, or the beginning for None."""
        return cls(**(values or {}))


def learning_rate(settings: Settings, step: int, course: Course, watched: Watched | None = None) -> float:
    """Return the learning rate of the update that follows `step` updates; `watched` is needed by plateau and kicks."""
    # A run shorter than two warm-ups would never reach its rate.
    warmup = min(settings.warmup_steps, course.total // 2)
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    return settings.learning_rate * _share(settings, step, warmup, course, watched or Watched())


def after_epoch(settings: Settings, watched: Watched, score: float | None, step: int, course: Course) -> Watched:
    """Return what is remembered after the epoch that ended at `step` updates with this validation score."""
    if score is not None and (watched.best is None or score > watched.best):
        return replace(watched, best=score, waited=0)
    if watched.waited + 1 < settings.patience:
        return replace(watched, waited=watched.waited + 1)
    warmup = min(settings.warmup_steps, course.total // 2)
    # In the warm-up there is no share yet to fall from; a cosine cut short would not fall to its lower minimum.
    if step < (_cosine_end(settings, warmup, course, watched) if settings.schedule == "kicks" else warmup):
        return replace(watched, waited=watched.waited + 1)
    share = _share(settings, step, warmup, course, watched)
    high = min(settings.kick_cap, share * (1 + settings.kick))
    return replace(watched, waited=0, plateaus=watched.plateaus + 1, begun=step, high=high)


def _half_cosine(progress: float, high: float, low: float) -> float:
    """Return the way from `high` to `low` at `progress` in [0, 1]. Source: Loshchilov & Hutter 2017, "SGDR", eq. 5."""
    return low + (high - low) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def _share(settings: Settings, step: int, warmup: int, course: Course, watched: Watched) -> float:
    return _SHARES[settings.schedule](settings, step, warmup, course, watched)


def _constant(settings: Settings, step: int, warmup: int, course: Course, watched: Watched) -> float:
    return 1.0


def _inverse_time(settings: Settings, step: int, warmup: int, course: Course, watched: Watched) -> float:
    """Return the share. Source: tf.keras.optimizers.schedules.InverseTimeDecay, the reference's schedule."""
    return 1 / (1 + settings.decay_rate * (step - warmup) / (settings.decay_epochs * course.per_epoch))


def _steps_down(settings: Settings, step: int, warmup: int, course: Course, watched: Watched) -> float:
    return settings.decay_rate ** math.floor((step - warmup) / (settings.decay_epochs * course.per_epoch))


def _cosine(settings: Settings, step: int, warmup: int, course: Course, watched: Watched) -> float:
    return _half_cosine((step - warmup) / max(1, course.total - warmup), 1.0, settings.final_rate)


def _restarts(settings: Settings, step: int, warmup: int, course: Course, watched: Watched) -> float:
    """Return the share. Source: Loshchilov & Hutter 2017, "SGDR", section 3 (T_0, T_mult)."""
    done, cycle = float(step - warmup), settings.cycle_epochs * course.per_epoch
    while done >= cycle:
        done -= cycle
        cycle *= settings.cycle_factor
    return _half_cosine(done / cycle, 1.0, settings.final_rate)


def _plateau(settings: Settings, step: int, warmup: int, course: Course, watched: Watched) -> float:
    return max(settings.final_rate, settings.decay_rate**watched.plateaus)


def _cosine_end(settings: Settings, warmup: int, course: Course, watched: Watched) -> float:
    """Return the step at which the cosine of `kicks` has come to its minimum."""
    begun = warmup if watched.begun is None else watched.begun
    return begun + settings.cycle_epochs * course.per_epoch


def _kicks(settings: Settings, step: int, warmup: int, course: Course, watched: Watched) -> float:
    low = settings.final_rate * settings.kick_floor**watched.plateaus
    left = _cosine_end(settings, warmup, course, watched) - step
    return _half_cosine(1 - left / (settings.cycle_epochs * course.per_epoch), watched.high, low)


_SHARES: Mapping[str, Callable[[Settings, int, int, Course, Watched], float]] = {
    "constant": _constant,
    "inverse-time": _inverse_time,
    "step": _steps_down,
    "cosine": _cosine,
    "restarts": _restarts,
    "plateau": _plateau,
    "kicks": _kicks,
}
