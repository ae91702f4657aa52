"""A trained run's averaged weights, ready to predict with."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotations.errors import PpnlabError
from detector.backend import load_backend
from detector.checkpoint import checkpoint_path, load_checkpoint, newest_checkpoint
from detector.norm_folding import OF_RUNS, folded
from detector.part_knowledge import PartKnowledge, read_knowledge
from detector.rescoring import Rescoring, read_rescoring
from detector.run_directory import Run
from detector.starting_weights import AVERAGED
from detector.training import settings_of

if TYPE_CHECKING:
    from detector.family import Predict
    from detector.ppn_family import PpnModel


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
    """Return the predictor of a run with its `best` weights (highest validation AP) or its `last` ones.

    The device is that of `settings.device`, and not the one that the run was trained on: a notebook has another.

    Raises:
        PpnlabError: the run, or the checkpoint wanted, is missing or damaged.
    """
    run = Run(path)
    config = run.config()
    newest = newest_checkpoint(run.checkpoints)
    arrays, step = newest.arrays, newest.progress.step
    best = newest.progress.best_step
    if which == "best" and best is None:
        raise PpnlabError(
            f"{path}: run must have finished an epoch to have best weights; --weights last takes them now"
        )
    if which == "best" and best is not None and best != step:
        try:
            arrays, step = load_checkpoint(checkpoint_path(run.checkpoints, best))[0], best
        except PpnlabError as error:
            raise PpnlabError(f"{error}; --weights last takes those of step {step}") from error
    # Only now: the network takes seconds to import, and a wrong path should not.
    load_backend()
    from detector.engine import assign_arrays, averaged_variables, configure, prediction_step
    from detector.families import box_model

    settings = settings_of(config)
    rescoring = read_rescoring(path) if settings.rescore else Rescoring()
    known = read_knowledge(path) or PartKnowledge()
    model = replace(box_model(settings, tuple(config["classes"]), config["parts"]), known=known, rescoring=rescoring)
    configure(model.settings.threads, deterministic=model.settings.deterministic, device=device, gpu_memory=gpu_memory)
    network = model.build(pretrained=False)
    variables = {name.removeprefix(AVERAGED): one for name, one in averaged_variables(network).items()}
    own = {name.removeprefix(AVERAGED): one for name, one in arrays.items() if name.startswith(AVERAGED)}
    if "stem_bn/gamma" not in variables:
        # Runs of versions before 0.2 have norms of their own in a pretrained trunk too.
        own = folded(own, OF_RUNS)
    assign_arrays(variables, own)
    return Predictor(model, prediction_step(network), step, tuple(newest.damaged.values()))
