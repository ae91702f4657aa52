"""Starting a network from another run's averaged weights: which they are, and which of them fit."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from annotations.errors import PpnlabError, UsageError
from detector.checkpoint import checkpoint_path, load_checkpoint, newest_checkpoint
from detector.norm_folding import OF_RUNS, folded
from detector.run_directory import Run
from detector.settings import Settings

if TYPE_CHECKING:
    import keras

_WORDS: Final = frozenset({"package", "imagenet", "none"})
AVERAGED: Final = "averaged/"
"""What the names of the averaged weights begin with in a checkpoint."""


@dataclass(frozen=True, eq=False)
class Source:
    """The averaged weights of a run at a step, by the name of the variable, and what network they are of."""

    run: Path
    step: int
    family: str
    backbone: str
    classes: tuple[str, ...]
    parts: Mapping[str, str]
    arrays: Mapping[str, NDArray[Any]]

    def names(self, branch: str) -> list[str]:
        """Return the classes that the branch `object` or `part` tells apart, in order."""
        return branch_names(self.classes, self.parts, branch)


def branch_names(classes: Sequence[str], parts: Mapping[str, str], branch: str) -> list[str]:
    """Return the classes that the branch `object` or `part` tells apart, in order."""
    return [name for name in classes if (name in parts) == (branch == "part")]


def names_a_run(weights: str) -> bool:
    """Return whether the setting `weights` names a directory: a run, or a checkpoint of one."""
    return weights not in {"", *_WORDS} and Path(weights).is_dir()


def best_checkpoint(weights: str) -> Path:
    """Return the directory of the best checkpoint of the run that `weights` names; it may name a checkpoint itself.

    Raises:
        PpnlabError: it is no run, or one that has finished no epoch.
    """
    place = Path(weights)
    if _is_checkpoint(place):
        return place
    run = Run(place)
    run.config()
    best = newest_checkpoint(run.checkpoints).progress.best_step
    if best is None:
        raise PpnlabError(f"{place}: run must have finished an epoch to start another from it, got none")
    return checkpoint_path(run.checkpoints, best)


def pinned(settings: Settings) -> Settings:
    """Return the settings with the best checkpoint of the run that `weights` names; others as they are.

    The run may be in training: it is looked at once, and not when the network is built again.
    """
    if not names_a_run(settings.weights):
        return settings
    return replace(settings, weights=str(best_checkpoint(settings.weights)))


def _is_checkpoint(place: Path) -> bool:
    return place.absolute().parent.name == "checkpoints"


def read_source(weights: str, settings: Settings) -> Source:
    """Return the weights that `weights`, a run or a checkpoint of one, has for a network of these settings.

    Raises:
        PpnlabError: it is no run, has finished no epoch, or is damaged.
        UsageError: its network is of another family, or on another backbone.
    """
    checkpoint = best_checkpoint(weights)
    run = checkpoint.absolute().parent.parent if _is_checkpoint(Path(weights)) else Path(weights)
    config = Run(run).config()
    for name in ("family", "backbone"):
        theirs, ours = config["settings"].get(name), getattr(settings, name)
        if theirs != ours:
            raise UsageError(
                f"weights: {name} of the run {run} must be {ours}, as the new run's is, got {theirs}; "
                f"--set {name}={theirs} gives the new run the same"
            )
    arrays, progress = load_checkpoint(checkpoint)
    own = {name.removeprefix(AVERAGED): value for name, value in arrays.items() if name.startswith(AVERAGED)}
    # The new network's trunk has none; that of a run which was begun without pretrained weights has.
    own = folded(own, OF_RUNS)
    classes = tuple(config["classes"])
    return Source(run, progress.step, settings.family, settings.backbone, classes, config["parts"], own)


def load_fitting(
    network: "keras.Model", source: Source, classes: Sequence[str], parts: Mapping[str, str]
) -> tuple[str, ...]:
    """Set the weights of a network for these classes from the source's, and return the layers that start fresh.

    A layer starts fresh where a weight of it has another shape, or where it tells apart classes of other names.
    """
    variables = _variables(network)
    other = {f"{branch}_class" for branch in ("object", "part")
             if branch_names(classes, parts, branch) != source.names(branch)}  # fmt: skip
    layers = dict.fromkeys(_layer(name) for name in variables)
    fresh = {_layer(name) for name, one in variables.items() if not _fits(one, source.arrays.get(name))} | other
    for name, one in variables.items():
        if _layer(name) not in fresh:
            one.assign(source.arrays[name])
    return tuple(layer for layer in layers if layer in fresh)


def _variables(network: "keras.Model") -> dict[str, Any]:
    # It takes seconds to import, and is there already where a network is.
    from detector.engine import averaged_variables

    return {name.removeprefix(AVERAGED): one for name, one in averaged_variables(network).items()}


def _layer(name: str) -> str:
    return name.rpartition("/")[0]


def _fits(variable: Any, array: NDArray[Any] | None) -> bool:  # noqa: ANN401
    return array is not None and tuple(variable.shape) == np.shape(array)


@dataclass(frozen=True)
class Origin:
    """What a run was started from: another `run` (relative to it) at a `step`, but for the layers that began fresh."""

    run: str
    step: int
    fresh: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as the run's config.json holds it."""
        return {"run": self.run, "step": self.step, "fresh": list(self.fresh)}

    def text(self) -> str:
        """Return a sentence for the user."""
        rest = f"; these layers start fresh, for other classes: {', '.join(self.fresh)}" if self.fresh else ""
        return f"starting from {self.run} at step {self.step}{rest}"


def origin(
    network: "keras.Model", source: Source, classes: Sequence[str], parts: Mapping[str, str], run: Path
) -> Origin:
    """Return what a new run in the directory `run` is started from; the network gets the weights."""
    place = Path(os.path.relpath(source.run, run)).as_posix()
    return Origin(place, source.step, load_fitting(network, source, classes, parts))
