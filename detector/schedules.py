"""The learning rate at a step: pure functions of the step (plain Python)."""

import math

from detector.settings import Settings


def learning_rate(settings: Settings, step: int, total: int) -> float:
    """Return the learning rate of the update that follows `step` updates, of `total` in all.

    Warm-up is linear; `cosine` falls along half a period to `final_rate`; past `total` it stays there.
    Source: Loshchilov & Hutter 2017, "SGDR", equation 5, without restarts.
    """
    # A run shorter than two warm-ups would never reach its rate.
    warmup = min(settings.warmup_steps, total // 2)
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    if settings.schedule == "constant":
        return settings.learning_rate
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    share = settings.final_rate + (1 - settings.final_rate) * (1 + math.cos(math.pi * progress)) / 2
    return settings.learning_rate * share
