"""Every setting of a training: a frozen dataclass, read from TOML and `key=value`, kept in the run's config.json."""

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

from annotations.errors import UsageError

Family = Literal["ppn", "ppn_classic"]
Backbone = Literal["lite0", "none", "mobilenet", "resnet50", "vgg16"]
Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["cosine", "constant", "inverse-time", "step", "restarts", "plateau", "kicks"]
Cache = Literal["ram", "disk", "none"]
Sampling = tuple[tuple[str, float], ...]

APPLICATIONS: Final = ("mobilenet", "resnet50", "vgg16")
"""Backbones of keras.applications, which the published network was made with."""
STRIDE_MULTIPLE: Final = 32
"""Pixels that each side of the network's input must be a multiple of: the trunk's merge needs whole grids."""
LEAST_INPUT: Final = 64
"""Pixels that each side of the network's input must have at least: one cell of the coarsest level."""

_MOST_WEIGHT: Final = 1e6
_WEIGHT: Final = re.compile(r"(.+?)\s*[:=]\s*([^:=]+)")
_DEVICE: Final = re.compile(r"auto|cpu|gpu:\d{1,3}", re.ASCII)


def _setting(default: Any, meaning: str, least: float | None = None, most: float | None = None) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"meaning": meaning, "least": least, "most": most})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a training; `meaning` and bounds of each stand in its field's metadata.

    Source: the defaults are the measured recipe of the network (benchmarks/qr_photos.py gives its figures).
    """

    family: Family = _setting("ppn", "kind of model: ppn, or ppn_classic (the published network, for reproduction)")
    epochs: int = _setting(60, "passes over the training images", 1)
    total_steps: int = _setting(0, "updates in all, in place of epochs; 0: epochs count", 0)
    batch: int = _setting(4, "most images in a step; an epoch's steps are made equally large", 1)
    accumulate: int = _setting(1, "pieces in which a step's images are worked through, for less memory", 1)
    input: tuple[int, int] = _setting(
        (416, 416), "network input in pixels: one number, or height,width", LEAST_INPUT, 4096
    )
    small_input: tuple[int, int] = _setting((0, 0), "input of the first epochs; 0: six tenths of input", 0, 4096)
    small_share: float = _setting(0.0, "first share of the epochs, in which the input is small_input", 0.0, 1.0)
    multi_scale: float = _setting(0.0, "by what share a step's input may be larger or smaller at random", 0.0, 0.5)
    seed: int = _setting(0, "starting point of every random choice", 0, 2**32 - 1)
    backbone: Backbone = _setting(
        "lite0", "trunk: lite0 (EfficientNet-Lite0), none (a small plain one); ppn_classic: mobilenet, resnet50, vgg16"
    )
    weights: str = _setting(
        "package",
        "first weights: package (lite0's, extra `pretrained`), imagenet (the others'), none, a file, or a run",
    )
    frozen_blocks: int = _setting(3, "leading blocks of a pretrained lite0 that stay fixed", 0, 11)
    frozen_depthwise: bool = _setting(
        True, "the depthwise kernels of a pretrained lite0 stay fixed: processors take a fifth less time for a step"
    )
    learning_rate: float = _setting(1.5e-3, "highest learning rate", 1e-9)
    backbone_rate: float = _setting(0.3, "the trunk's learning rate as a share of learning_rate", 0.0, 1.0)
    schedule: Schedule = _setting("cosine", f"course of the learning rate: {', '.join(get_args(Schedule))}")
    final_rate: float = _setting(0.02, "lowest share of learning_rate: cosine, restarts, plateau, kicks", 0.0, 1.0)
    warmup_steps: int = _setting(60, "steps in which the learning rate rises from zero", 0)
    decay_rate: float = _setting(0.5, "inverse-time: r of 1 / (1 + r t); step, plateau: share that is kept", 0.0, 1e6)
    decay_epochs: float = _setting(20.0, "inverse-time, step: epochs to which decay_rate refers", 0.01)
    cycle_epochs: float = _setting(10.0, "restarts, kicks: epochs of the (first) cosine", 0.01)
    cycle_factor: float = _setting(2.0, "restarts: how much longer each cosine is than the one before", 1.0)
    patience: int = _setting(5, "plateau, kicks: epochs without a better validation score that are a plateau", 1)
    kick: float = _setting(1.0, "kicks: by how much of itself the rate rises on a plateau", 0.0, 1e6)
    kick_cap: float = _setting(1.0, "kicks: highest share of learning_rate after a kick", 0.0, 1.0)
    kick_floor: float = _setting(0.5, "kicks: share of the lowest rate that is left after each kick", 0.0, 1.0)
    early_stop: int = _setting(0, "epochs without a better validation score that end the training; 0: none do", 0)
    optimizer: Optimizer = _setting("adamw", f"one of {', '.join(get_args(Optimizer))}")
    momentum: float = _setting(0.9, "sgd: share of the last step that is kept", 0.0, 0.9999)
    weight_decay: float = _setting(0.02, "adamw, sgd: decoupled weight decay, not on norms and biases", 0.0)
    clip_norm: float = _setting(10.0, "largest norm of the gradient", 1e-9)
    ema: float = _setting(0.995, "share that the averaged weights keep in a step", 0.0, 0.999999)
    augment: bool = _setting(True, "change the training images at random")
    scale: tuple[float, float] = _setting((0.6, 1.6), "range of random magnification: least,most", 0.05, 20.0)
    flip: bool = _setting(True, "mirror training images at random")
    rotate: bool = _setting(True, "turn training images by quarter turns at random")
    colour: float = _setting(0.3, "strength of random changes of light and colour", 0.0, 1.0)
    angle: float = _setting(0.0, "degrees by which training images are turned at random, at most", 0.0, 180.0)
    box_angle: float = _setting(10.0, "the same where a box's outline is not known: it grows as it turns", 0.0, 180.0)
    shear: float = _setting(0.0, "degrees by which training images are sheared at random, at most", 0.0, 45.0)
    perspective: float = _setting(0.0, "by how much a corner comes nearer at random, at most; 0.3 is much", 0.0, 0.8)
    light: tuple[float, float] = _setting((0.0, 0.0), "probability,strength of uneven light", 0.0, 1.0)
    blur: tuple[float, float] = _setting((0.0, 0.0), "probability,strength of being out of focus", 0.0, 1.0)
    motion_blur: tuple[float, float] = _setting((0.0, 0.0), "probability,strength of a camera that moves", 0.0, 1.0)
    noise: tuple[float, float] = _setting((0.0, 0.0), "probability,strength of a sensor's noise", 0.0, 1.0)
    jpeg: tuple[float, float] = _setting((0.0, 0.0), "probability,strength of JPEG's traces", 0.0, 1.0)
    mosaic: float = _setting(0.0, "probability that four training images share the input", 0.0, 1.0)
    mosaic_off: float = _setting(0.15, "last share of the epochs, in which mosaic and multi_scale are off", 0.0, 1.0)
    copy_paste: float = _setting(0.0, "probability that objects of other training images are pasted", 0.0, 1.0)
    rendered: float = _setting(0.0, "probability that drawn QR codes are pasted", 0.0, 1.0)
    rendered_as: str = _setting("qr_code,fip", "rendered: class of codes, and of their finder patterns if there is one")
    hard_negatives: float = _setting(0.0, "probability that look-alikes that are no object are pasted", 0.0, 1.0)
    false_alarms: str = _setting("", "hard_negatives: detections.csv whose false ones are pasted; empty: drawn ones")
    parts_weight: float = _setting(1.0, "weight of the parts' loss beside the objects'", 0.0)
    sampling: Sampling = _setting(
        (), "how often images of a folder, flag or group are drawn: {corrected = 3}; others: 1"
    )
    score_floor: float = _setting(0.03, "detections below this score are not kept", 0.0, 1.0)
    nms_iou: float = _setting(0.5, "IoU above which the less sure of two detections of a class is dropped", 0.0, 1.0)
    vote_iou: float = _setting(
        0.6, "IoU from which boxes so dropped help to tell where the surer one's sides are; 1: none does", 0.0, 1.0
    )
    max_detections: int = _setting(300, "most detections of a class in an image", 1)
    tighten: bool = _setting(
        True, "put objects' sides where their parts make them likely, for classes where that raises the val AP"
    )
    rescore: bool = _setting(
        True, "let parts, their objects, and cells that agree make each other surer, where that raises a class's val AP"
    )
    skip_bad_steps: int = _setting(0, "updates in a row that may be passed over for a loss that is not finite", 0)
    save_every: int = _setting(1, "epochs from one checkpoint to the next", 1)
    save_steps: int = _setting(0, "steps from one checkpoint to the next within an epoch; 0: none", 0)
    keep: int = _setting(2, "newest checkpoints that are kept, beside the best", 1)
    keep_every: int = _setting(0, "epochs from one checkpoint that is kept for good to the next; 0: none is", 0)
    threads: int = _setting(2, "threads of the network's arithmetic; part of what a result depends on", 1, 1024)
    device: str = _setting("auto", "where the arithmetic runs: auto (a GPU if there is one), cpu, or gpu:0 and so on")
    gpu_memory: float = _setting(0.0, "gigabytes of the GPU's memory that are taken; 0: what is needed, as needed", 0.0)
    loaders: int = _setting(2, "threads that read and change pictures", 1, 256)
    cache: Cache = _setting("ram", "where decoded pictures are kept for the next epoch: ram, disk, or none")
    cache_gb: float = _setting(0.3, "gigabytes that they may take; pictures beyond are decoded in each epoch", 0.0)
    cache_folder: str = _setting("", "folder of the disk cache; empty: .cache in the dataset")
    deterministic: bool = _setting(
        True, "same bits at every repetition on the same kind of machine; a GPU is slower so"
    )

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            _check_bounds(item.name, getattr(self, item.name), item.metadata["least"], item.metadata["most"])
        _check_inputs(self)
        if self.scale[0] > self.scale[1]:
            raise UsageError(f"settings: scale must be least,most, got {_text(self.scale)}")
        if self.backbone in APPLICATIONS and self.family != "ppn_classic":
            raise UsageError(
                f"settings: backbone must be lite0 or none for family {self.family}, got {self.backbone}; "
                f"family ppn_classic takes {', '.join(APPLICATIONS)} too"
            )
        if not _DEVICE.fullmatch(self.device):
            raise UsageError(f"settings: device must be auto, cpu or one like gpu:0, got {self.device}")
        _check_sampling(self.sampling)

    def to_json(self) -> dict[str, Any]:
        """Return every setting under its name, as JSON holds it."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        return {**values, "sampling": dict(self.sampling)}

    def changed(self, values: Mapping[str, Any], where: str) -> Self:
        """Return the settings with `values` (of a TOML or JSON table, or text from the command line) put in.

        Raises:
            UsageError: a name is not known, or a value is of the wrong kind or out of bounds; `where` is named.
        """
        known = {item.name: item for item in dataclasses.fields(self)}
        new: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                raise UsageError(f"{where}: setting must be a known one, got {name!r}{_hint(name, known)}")
            new[name] = _value(f"{where}: {name}", known[name], value)
        try:
            return dataclasses.replace(self, **new)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error


def _hint(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f". Did you mean {close[0]!r}?" if close else ". `ppnlab train --show-config` lists them"


def _text(value: Any) -> str:  # noqa: ANN401
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _check_sampling(sampling: Sampling) -> None:
    for name, weight in sampling:
        if not name or not 0 <= weight <= _MOST_WEIGHT:
            bounds = f"0 to {_MOST_WEIGHT:g}"
            raise UsageError(f"settings: sampling must give names weights from {bounds}, got {name}:{weight:g}")


def _check_inputs(settings: Settings) -> None:
    for name in ("input", "small_input"):
        sides = getattr(settings, name)
        if any(side % STRIDE_MULTIPLE for side in sides):
            raise UsageError(f"settings: {name} must be a multiple of {STRIDE_MULTIPLE} pixels, got {_text(sides)}")
    if settings.small_input != (0, 0) and min(settings.small_input) < LEAST_INPUT:
        found = _text(settings.small_input)
        raise UsageError(f"settings: small_input must be 0 or at least {LEAST_INPUT}, got {found}")
    if settings.small_share and any(
        side > most for side, most in zip(settings.small_input, settings.input, strict=True)
    ):
        raise UsageError(
            f"settings: small_input must be at most input, {_text(settings.input)}, got {_text(settings.small_input)}"
        )
    if settings.multi_scale and settings.multi_scale * max(settings.input) < STRIDE_MULTIPLE:
        least = STRIDE_MULTIPLE / max(settings.input)
        raise UsageError(
            f"settings: multi_scale must be 0 or at least {least:.3g}, which is {STRIDE_MULTIPLE} pixels of input "
            f"{_text(settings.input)}, got {settings.multi_scale:g}"
        )
    for name in ("small_share", "multi_scale"):
        if settings.family == "ppn_classic" and getattr(settings, name):
            raise UsageError(
                f"settings: {name} must be 0 for family ppn_classic, whose network has one size, got "
                f"{getattr(settings, name):g}"
            )


def _check_bounds(name: str, value: Any, least: float | None, most: float | None) -> None:  # noqa: ANN401
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            raise UsageError(f"settings: {name} must be finite, got {_text(value)}")
        if least is not None and number < least:
            raise UsageError(f"settings: {name} must be at least {least:g}, got {_text(value)}")
        if most is not None and number > most:
            raise UsageError(f"settings: {name} must be at most {most:g}, got {_text(value)}")


def _number(where: str, value: Any, kind: type[int] | type[float]) -> int | float:  # noqa: ANN401
    wanted = "a whole number" if kind is int else "a number"
    if isinstance(value, bool) or (kind is int and isinstance(value, float) and not value.is_integer()):
        raise UsageError(f"{where} must be {wanted}, got {value!r}")
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{where} must be {wanted}, got {value!r}") from error


def _pair(where: str, value: Any, kind: type[int] | type[float]) -> tuple[Any, ...]:  # noqa: ANN401
    items = value.split(",") if isinstance(value, str) else value
    items = list(items) if isinstance(items, Sequence) else [items]
    items = items * 2 if len(items) == 1 else items
    if len(items) != 2:
        raise UsageError(f"{where} must be one number or two, got {value!r}")
    return tuple(_number(where, item, kind) for item in items)


def _sampling(where: str, value: Any) -> Sampling:  # noqa: ANN401
    """Return the names and weights of a table, or of a text like `simulated:1,corrected:3` or `{corrected = 3}`."""
    if isinstance(value, str):
        text = value.strip()
        items = (text[1:-1] if text.startswith("{") and text.endswith("}") else text).split(",")
        parts = [_WEIGHT.fullmatch(item.strip()) for item in items if item.strip()]
        table = {found[1].strip(" \"'"): found[2] for found in parts if found}
        value = table if len(table) == len(parts) and "" not in table else value
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be a table like {{corrected = 3}}, or corrected:3, got {value!r}")
    return tuple((name, float(_number(f"{where}: {name}", weight, float))) for name, weight in value.items())


def _value(where: str, item: Any, value: Any) -> Any:  # noqa: ANN401
    default = item.default
    if isinstance(default, bool):
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if not isinstance(value, bool) and str(value).lower() not in words:
            raise UsageError(f"{where} must be true or false, got {value!r}")
        return words[str(value).lower()]
    if item.type is Sampling:
        return _sampling(where, value)
    if isinstance(default, tuple):
        return _pair(where, value, type(default[0]))
    if isinstance(default, int | float):
        return _number(where, value, type(default))
    choices = get_args(item.type)
    if choices and value not in choices:
        raise UsageError(f"{where} must be one of {', '.join(choices)}, got {value!r}")
    if not isinstance(value, str):
        raise UsageError(f"{where} must be a text, got {value!r}")
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table of settings in a TOML file.

    Raises:
        UsageError: the file is missing or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: configuration must be a readable file, got {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: configuration must be TOML, got {error}") from error


def parse_assignments(pairs: Sequence[str]) -> dict[str, str]:
    """Return the names and values of `key=value` texts.

    Raises:
        UsageError: a text has no `=`.
    """
    for pair in pairs:
        if "=" not in pair:
            raise UsageError(f"--set must be key=value, got {pair!r}")
    return {key.strip(): value.strip() for key, _, value in (pair.partition("=") for pair in pairs)}


def describe() -> str:
    """Return every setting with its default and meaning, one a line, as TOML with comments."""
    lines = []
    for item in dataclasses.fields(Settings):
        value = item.default
        text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        text = f"[{_text(value).replace(',', ', ')}]" if isinstance(value, tuple) else text
        text = "{}" if item.type is Sampling else text
        classic = getattr(CLASSIC, item.name)
        other = f" [ppn_classic: {_text(classic)}]" if classic != value and item.name != "family" else ""
        lines.append(f"{item.name + ' = ' + text:<32} # {item.metadata['meaning']}{other}")
    return "\n".join(lines)


CLASSIC: Final = Settings(
    family="ppn_classic",
    epochs=100,
    batch=8,
    input=(480, 480),
    backbone="mobilenet",
    weights="imagenet",
    learning_rate=1e-4,
    backbone_rate=1.0,
    schedule="inverse-time",
    warmup_steps=0,
    decay_rate=0.005,
    decay_epochs=1.0,
    optimizer="adam",
    weight_decay=0.0,
    clip_norm=1e9,
    ema=0.0,
    score_floor=0.5,
    nms_iou=0.3,
    vote_iou=1.0,
)
"""What the published network was trained and judged with: 100 times 50 steps of 8, Adam from 1e-4 with 1e-4 of decay a
step (that is 0.005 an epoch of 50 steps), no warm-up, average or clipping, detections from 0.5 on.

Source: the notebooks of the reference implementation of Blanger & Hirata, ICIP 2019.
"""


def family_defaults(values: Mapping[str, Any]) -> Settings:
    """Return the settings that those of `values` are to change: the defaults of the family that it names, if any."""
    return CLASSIC if values.get("family") == CLASSIC.family else Settings()


DEMO: Final = Settings(epochs=10, input=(256, 256), learning_rate=2e-3)
"""What `ppnlab demo` trains with: enough for scenes of 256 pixels, in minutes on two cores."""
