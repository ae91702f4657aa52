"""Starting a training and going on with one: dataset and settings in, a run directory out.

The network is imported only when everything else was found in order: it takes seconds, and a wrong path should not.
"""

import contextlib
import os
import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from annotations.dataset import read_dataset, table_hashes
from annotations.errors import PpnlabError, UsageError
from annotations.tables import BoxDataset
from detector.backend import load_backend, use_device
from detector.budget import Budget
from detector.checkpoint import steps_saved
from detector.order import steps_per_epoch
from detector.picture_cache import picture_cache
from detector.pretrained import weight_arrays
from detector.run_directory import Run, create_run
from detector.sampling import image_weights, sampling_text
from detector.settings import APPLICATIONS, Settings
from detector.stopping import Interrupted

if TYPE_CHECKING:
    from detector.loop import Watcher
    from detector.ppn_family import Monitor

RESUMABLE: Final = frozenset(
    {"epochs", "total_steps", "learning_rate", "schedule", "final_rate", "decay_rate", "decay_epochs", "cycle_epochs"}
    | {"cycle_factor", "patience", "kick", "kick_cap", "kick_floor", "early_stop", "momentum", "weight_decay"}
    | {"clip_norm", "ema", "accumulate", "skip_bad_steps", "save_every", "save_steps", "keep", "keep_every", "loaders"}
    | {"sampling", "device", "gpu_memory", "cache", "cache_gb", "cache_folder"}
)
"""Settings that a resume may change; the others decide what the saved state, or its validation AP, means."""
_PACKAGES: Final = ("ppnlab", "tensorflow", "keras", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class Trained:
    """What a training came to: its run, the last finished epoch, and the best step with its validation AP."""

    run: Run
    epochs: int
    best_step: int | None
    best_score: float | None


def start(
    dataset: Path,
    run: Path,
    settings: Settings,
    monitor: "Monitor",
    watch: "Watcher",
    command: str,
    budget: Budget | None = None,
) -> Trained:
    """Make the run directory `run`, train on the dataset's train images, and choose the best on its val images.

    `budget` bounds the work of this process; what it has not done, a resume goes on with.

    Raises:
        UsageError: the run exists, or the dataset has no images to train on or to validate with.
        PpnlabError, Interrupted: see `Loop.train`.
    """
    data = _training_data(dataset)
    _check_pictures(data)
    _check_weights(settings)
    _check_use(data, settings)
    created = create_run(run, _config(dataset, run, settings, data, command))
    with created.locked():
        return _train(created, data, settings, monitor, watch, "started", budget)


def go_on(
    run: Path,
    changes: Mapping[str, Any],
    dataset: Path | None,
    monitor: "Monitor",
    watch: "Watcher",
    budget: Budget | None = None,
) -> Trained:
    """Go on with a run from its newest whole checkpoint, with `changes` to its settings where they are allowed.

    `dataset` says where the data lies now, should it have moved; it must be the same data.

    Raises:
        UsageError: a change is not allowed on a resume, or not a setting.
        PpnlabError, Interrupted: the run or its data cannot be used; and see `Loop.train`.
    """
    at = Run(run)
    at.config()  # a directory that is no run gets no lock either
    # Locked before the change: a run that another process trains keeps its settings.
    with at.locked():
        config = at.config()
        old = settings_of(config)
        new = old.changed(changes, "--set")
        _check_changes(old, new)
        place = dataset or dataset_of(at, config)
        data = _training_data(place)
        check_data(place, config)
        _check_pictures(data)
        _check_length(at, data, new)
        _check_use(data, new)
        if new != old or dataset:
            at.write_config({**config, "settings": new.to_json(), "dataset": _dataset_entry(place, run)})
            at.event("changed", settings={k: v for k, v in new.to_json().items() if v != old.to_json()[k]})
        return _train(at, data, new, monitor, watch, "resumed", budget)


def _check_weights(settings: Settings) -> None:
    # The network will read them again: a run whose weights are not there would only stand in the next one's way.
    if settings.backbone not in APPLICATIONS:
        if settings.backbone != "none":
            weight_arrays(settings.weights)
    elif settings.weights != "none":
        load_backend()
        from detector.application_trunks import pretrained_network
        from detector.engine import configure

        # Before the first tensor, with which TensorFlow fixes its threads.
        configure(settings.threads, deterministic=settings.deterministic)
        pretrained_network(settings.backbone, settings.weights)


def settings_of(config: Mapping[str, Any]) -> Settings:
    """Return the settings that a run's config.json holds.

    Raises:
        PpnlabError: it holds others than this version knows, or a damaged one.
    """
    try:
        return Settings().changed(config["settings"], "config.json")
    except UsageError as error:
        raise PpnlabError(str(error)) from error


def dataset_of(run: Run, config: Mapping[str, Any]) -> Path:
    """Return the directory of the run's dataset; config.json holds it relative to the run.

    Raises:
        PpnlabError: it is not there; `--data` says where it is.
    """
    place = Path(os.path.normpath(run.path / config["dataset"]["path"]))
    if not place.is_dir():
        raise PpnlabError(f"{run.path}: dataset must be in {place}, got nothing there; give its place with --data")
    return place


def _train(
    run: Run,
    data: BoxDataset,
    settings: Settings,
    monitor: "Monitor",
    watch: "Watcher",
    event: str,
    budget: Budget | None,
) -> Trained:
    load_backend()
    from detector.families import box_family
    from detector.loop import Loop

    family = box_family(settings, data, monitor, picture_cache(settings, data.root, watch.note))
    if settings.sampling:
        watch.note(sampling_text(family.train.images, settings.sampling))
    loop = Loop(run, family, settings, watch, budget)
    run.event(event, step=loop.progress.step, of=loop.course.total)
    try:
        done = loop.train()
    except Interrupted:
        raise
    except BaseException as error:
        # Where the disk is what failed, its error is the one to tell.
        with contextlib.suppress(PpnlabError):
            run.event("failed", step=loop.progress.step, error=repr(error))
        raise
    run.event(
        "finished", step=done.step, **({"early_stop": settings.early_stop} if done.step < loop.course.total else {})
    )
    return Trained(run, len(done.history), done.best_step, done.best_score)


def _training_data(place: Path) -> BoxDataset:
    data = read_dataset(place)
    if set(data.classes) <= set(data.parts):
        raise PpnlabError(f"{place}: classes must hold one that is no part, got {', '.join(data.classes) or 'none'}")
    for name in ("train", "val"):
        part = data.split(name)
        if not len(part.images):
            raise PpnlabError(f"{place}: split {name} must hold images, got none; {_split_hint(place, data)}")
        if not len(part.annotations):
            raise PpnlabError(f"{place}: split {name} must hold a box at least, got none in {len(part.images)} images")
    return data


def _split_hint(place: Path, data: BoxDataset) -> str:
    """Return the command that gives the dataset the splits it lacks, without moving an image of test."""
    command = f"`ppnlab split {shlex.quote(str(place))}"
    if (data.images.split == "").any() or not len(data.images.rows_of("train")):
        again = "" if (data.images.split == "").any() else " --again"
        return f"{command} --ratios 70/15/15{again}` gives every image a split"
    return f"{command} --of train --ratios 85/15` takes val out of train"


def _check_pictures(data: BoxDataset) -> None:
    # Before the run is made, and not in its first epoch.
    rows = [*data.images.rows_of("train"), *data.images.rows_of("val")]
    if missing := [path for row in rows if not (path := data.picture(row)).is_file()]:
        raise PpnlabError(f"{missing[0]}: picture must be there, got no such file ({len(missing)} are missing)")


def _check_use(data: BoxDataset, settings: Settings) -> None:
    """Check that the machine has the device, and the images the names, that the settings want."""
    image_weights(data.split("train").images, settings.sampling)
    if settings.device.startswith("gpu"):
        use_device(settings.device, settings.gpu_memory)


def _config(place: Path, run: Path, settings: Settings, data: BoxDataset, command: str) -> dict[str, Any]:
    return {
        "command": command,
        "settings": settings.to_json(),
        "classes": list(data.classes),
        "parts": dict(data.parts),
        "dataset": _dataset_entry(place, run),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }


def _dataset_entry(place: Path, run: Path) -> dict[str, Any]:
    # Relative, so that run and dataset can be moved to another machine together.
    return {"path": Path(os.path.relpath(place, run)).as_posix(), "hashes": table_hashes(place)}


def _check_changes(old: Settings, new: Settings) -> None:
    before, after = old.to_json(), new.to_json()
    for name in before:
        if before[name] != after[name] and name not in RESUMABLE:
            raise UsageError(
                f"--set: {name} must stay {before[name]} in this run, got {after[name]}; a new run can have another. "
                f"A resume may change {', '.join(sorted(RESUMABLE))}"
            )


def check_data(place: Path, config: Mapping[str, Any]) -> None:
    """Check that the dataset is the one that the run began with: the same images, boxes, classes and splits.

    Raises:
        PpnlabError: it is another.
    """
    known, found = config["dataset"]["hashes"], table_hashes(place)
    if changed := [name for name in known if found.get(name) != known[name]]:
        raise PpnlabError(
            f"{place}: dataset must be the one that the run began with, got another {', '.join(changed)} "
            "(images, boxes or splits were changed since); start a new run with `ppnlab train`"
        )


def _check_length(run: Run, data: BoxDataset, settings: Settings) -> None:
    done = max(steps_saved(run.checkpoints), default=0)
    per_epoch = steps_per_epoch(len(data.images.rows_of("train")), settings.batch)
    if settings.total_steps and settings.total_steps < done:
        raise UsageError(f"--set: total_steps must be at least {done} (done already), got {settings.total_steps}")
    if not settings.total_steps and per_epoch * settings.epochs < done:
        raise UsageError(
            f"--set: epochs must be at least {-(-done // per_epoch)} (begun already), got {settings.epochs}"
        )
