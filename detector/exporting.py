"""A trained run as a model that needs no ppnlab: pictures in, decoded boxes out, with what they mean beside it."""

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from annotations.dataset import refuse_existing
from annotations.errors import PpnlabError, UsageError
from annotations.version import VERSION
from annotations.whole import whole_directory, write_whole
from detector.letterbox import GREY
from detector.run_directory import Run
from detector.weights import TrainedNetwork, load_network

if TYPE_CHECKING:
    from detector.ppn_family import PpnModel

SCHEMA: Final = 1
FACTS: Final = "ppnlab.json"
"""What a model's numbers mean, in its directory; beside a file it is called like the file and `.json`."""
MODEL: Final = "model.xml"
"""The model in the directory of an export to OpenVINO."""
NEEDS: Final = {
    "onnx": ("onnx", "tf2onnx"),
    "openvino": ("onnx", "tf2onnx", "openvino"),
    "saved_model": (),
    "tflite": (),
}
"""The packages, of the extra `export`, that a form needs."""
_SUFFIXES: Final = {"onnx": ".onnx", "openvino": "_openvino", "saved_model": "_saved_model", "tflite": ".tflite"}
_LETTERBOX: Final = (
    "scale = min(input width / width, input height / height); resize to round(width * scale) x round(height * scale), "
    "at least 1, averaging where it shrinks (OpenCV's INTER_AREA) and linearly where not; in the middle of the input, "
    "the left and the upper margin rounded down; margins grey"
)


@dataclass(frozen=True)
class Exported:
    """What was written: the file or directory, the step of its weights, what the model is and what it leaves out.

    `damaged` says what was wrong with newer checkpoints, which had to be passed over.
    """

    output: Path
    step: int
    facts: Mapping[str, Any]
    damaged: tuple[str, ...]

    @property
    def size(self) -> int:
        """Return how many bytes the model takes."""
        files = [self.output] if self.output.is_file() else [path for path in self.output.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files)


def export_run(run: Path, form: str, which: str | int = "best", output: Path | None = None) -> Exported:
    """Return what was written of the run's averaged weights: its `best` ones, the `last`, or those of a step.

    Without an `output` it is `export/step-N` in the run, with the form's suffix.

    Raises:
        UsageError: there is no such form, or the output is there already; it is left untouched.
        PpnlabError: the run or the checkpoint is missing or damaged, a package is missing, or the output cannot be
            written.
    """
    if form not in NEEDS:
        raise UsageError(f"form must be one of {', '.join(NEEDS)}, got {form!r}")
    # Before the network, which takes seconds.
    Run(run).config()
    _require(form)
    if output is not None:
        refuse_existing(output)
    trained = load_network(run, which, "cpu")
    place = output or run / "export" / f"step-{trained.step:08d}{_SUFFIXES[form]}"
    refuse_existing(place)
    facts = model_facts(trained, run.resolve().name, form)
    try:
        _WRITERS[form](trained, facts, place)
    except OSError as error:
        raise PpnlabError(f"{place}: output must be writable, got {error.strerror or error}") from error
    return Exported(place, trained.step, facts, trained.damaged)


def _require(form: str) -> None:
    missing = [name for name in NEEDS[form] if importlib.util.find_spec(name) is None]
    if missing:
        raise PpnlabError(
            f"{form}: packages {', '.join(NEEDS[form])} must be installed, got no {missing[0]}; they come with the "
            "extra `export`: pip install 'ppnlab[export]'"
        )


def model_facts(trained: TrainedNetwork, run: str, form: str) -> dict[str, Any]:
    """Return what somebody must know to use the model, as JSON holds it."""
    model = trained.model
    settings = model.settings
    return {
        "schema": SCHEMA,
        "ppnlab": VERSION,
        "run": run,
        "checkpoint_step": trained.step,
        "classes": list(model.classes),
        "parts": dict(model.parts),
        "input": {"height": settings.input[0], "width": settings.input[1], "channels": "RGB", "values": "uint8"},
        "letterbox": {"grey": GREY, "rule": _LETTERBOX},
        "score_floor": settings.score_floor,
        "nms_iou": settings.nms_iou,
        "vote_iou": settings.vote_iou,
        "max_detections": settings.max_detections,
        "suppression": form != "tflite",
        "branches": {name: ids.tolist() for name, ids in model.branches().items()},
        "notes": _notes(model, form),
    }


def _notes(model: "PpnModel", form: str) -> list[str]:
    """Return what `ppnlab predict` does and the model leaves to whoever uses it."""
    notes = []
    if form == "tflite":
        notes.append(
            "suppression is not in the model: it gives the boxes of all cells, in pixels of the letterboxed picture, "
            "and the scores of each branch's classes"
        )
    if model.parts:
        notes.append("which object a part belongs to is not in the model")
    if model.tightening.used:
        names = ", ".join(model.tightening.used)
        notes.append(f"boxes are as the network gives them: `ppnlab predict` moves the sides of {names} by their parts")
    if model.rescoring.used:
        names = ", ".join(model.rescoring.used)
        notes.append(f"scores are as the network gives them: `ppnlab predict` makes {names} surer by their parts")
    return notes


def _write_onnx(trained: TrainedNetwork, facts: Mapping[str, Any], place: Path) -> None:
    write_whole(place, _onnx(trained, facts))


def _onnx(trained: TrainedNetwork, facts: Mapping[str, Any]) -> bytes:
    from detector.export_onnx import onnx_model

    return onnx_model(trained.network, trained.model, facts)


def _write_openvino(trained: TrainedNetwork, facts: Mapping[str, Any], place: Path) -> None:
    with whole_directory(place) as aside:
        _write_facts(aside / FACTS, facts)
        from detector.export_onnx import save_openvino

        save_openvino(_onnx(trained, facts), aside / MODEL)


def _write_saved_model(trained: TrainedNetwork, facts: Mapping[str, Any], place: Path) -> None:
    from detector.export_tensors import save_model

    with whole_directory(place) as aside:
        save_model(trained.network, trained.model, aside)
        _write_facts(aside / FACTS, facts)


def _write_tflite(trained: TrainedNetwork, facts: Mapping[str, Any], place: Path) -> None:
    from detector.export_tensors import tflite_model

    beside = place.with_name(f"{place.name}.json")
    refuse_existing(beside)
    data = tflite_model(trained.network, trained.model)
    _write_facts(beside, facts)
    try:
        write_whole(place, data)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _write_facts(file: Path, facts: Mapping[str, Any]) -> None:
    write_whole(file, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


_WRITERS: Final[dict[str, Callable[[TrainedNetwork, Mapping[str, Any], Path], None]]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "saved_model": _write_saved_model,
    "tflite": _write_tflite,
}
