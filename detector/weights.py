"""A trained run's averaged weights, ready to predict with."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotations.errors import PpnlabError
from detector.backend import load_backend
from detector.checkpoint import checkpoint_path, load_checkpoint, newest_checkpoint, steps_saved
from detector.norm_folding import OF_RUNS, folded
from detector.part_knowledge import PartKnowledge, read_knowledge
from detector.rescoring import Rescoring, read_rescoring
from detector.run_directory import Run
from detector.starting_weights import AVERAGED
from detector.tightening import Tightening, read_tightening
from detector.training import settings_of

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from detector.family import Predict
    from detector.ppn_family import PpnModel


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with a run's averaged weights of `step`; `model` says what its outputs mean.

    `damaged` says what was wrong with newer checkpoints, which had to be passed over.
    """

    model: "PpnModel"
    network: "keras.Model"
    step: int
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Predictor:
    """A network with a run's weights of `step`: `predict` gives raw outputs, `model` says what they mean.

    `damaged` says what was wrong with newer checkpoints, which had to be passed over.
    """

    model: "PpnModel"
    predict: "Predict"
    step: int
    damaged: tuple[str, ...] = ()


def load_predictor(path: Path, which: str, device: str = "auto", gpu_memory: float = 0.0) -> Predictor:
    """Return the predictor of a run, of the weights that `load_network` takes.

    Raises:
        PpnlabError: the run, or the checkpoint wanted, is missing or damaged.
    """
    trained = load_network(path, which, device, gpu_memory)
    from detector.engine import prediction_step

    return Predictor(trained.model, prediction_step(trained.network), trained.step, trained.damaged)


def load_network(path: Path, which: str | int, device: str = "auto", gpu_memory: float = 0.0) -> TrainedNetwork:
    """Return the network of a run with its `best` weights (highest validation AP), its `last` ones, or those of a step.

    The device is that of `settings.device`, and not the one that the run was trained on: a notebook has another.

    Raises:
        PpnlabError: the run, or the checkpoint wanted, is missing or damaged.
    """
    run = Run(path)
    config = run.config()
    arrays, step, damaged = _of_step(run, which) if isinstance(which, int) else _best_or_last(run, which)
    # Only now: the network takes seconds to import, and a wrong path should not.
    load_backend()
    from detector.engine import assign_arrays, averaged_variables, configure
    from detector.families import box_model

    settings = settings_of(config)
    rescoring = read_rescoring(path) if settings.rescore else Rescoring()
    tightening = read_tightening(path) if settings.tighten else Tightening()
    known = read_knowledge(path) or PartKnowledge()
    model = box_model(settings, tuple(config["classes"]), config["parts"])
    model = replace(model, known=known, rescoring=rescoring, tightening=tightening)
    configure(model.settings.threads, deterministic=model.settings.deterministic, device=device, gpu_memory=gpu_memory)
    network = model.build(pretrained=False)
    variables = {name.removeprefix(AVERAGED): one for name, one in averaged_variables(network).items()}
    own = {name.removeprefix(AVERAGED): one for name, one in arrays.items() if name.startswith(AVERAGED)}
    if "stem_bn/gamma" not in variables:
        # A run may be older than the folding, and have norms of its own in a pretrained trunk.
        own = folded(own, OF_RUNS)
    assign_arrays(variables, own)
    return TrainedNetwork(model, network, step, damaged)


def _best_or_last(run: Run, which: str) -> tuple[dict[str, "NDArray[Any]"], int, tuple[str, ...]]:
    newest = newest_checkpoint(run.checkpoints)
    step, best, damaged = newest.progress.step, newest.progress.best_step, tuple(newest.damaged.values())
    if which == "last" or best == step:
        return newest.arrays, step, damaged
    if best is None:
        raise PpnlabError(
            f"{run.path}: run must have finished an epoch to have best weights; --weights last takes them now"
        )
    try:
        return load_checkpoint(checkpoint_path(run.checkpoints, best))[0], best, damaged
    except PpnlabError as error:
        raise PpnlabError(f"{error}; --weights last takes those of step {step}") from error


def _of_step(run: Run, step: int) -> tuple[dict[str, "NDArray[Any]"], int, tuple[str, ...]]:
    saved = steps_saved(run.checkpoints)
    if step not in saved:
        there = ", ".join(map(str, saved)) or "none"
        raise PpnlabError(f"{run.path}: checkpoint must be of a step that is saved ({there}), got {step}")
    return load_checkpoint(checkpoint_path(run.checkpoints, step))[0], step, ()
