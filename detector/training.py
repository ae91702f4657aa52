"""Starting a training and going on with one: dataset and settings in, a run directory out.

The network is imported only when everything else was found in order: it takes seconds, and a wrong path should not.
"""

import contextlib
import hashlib
import json
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
from detector.box_samples import BoxSamples
from detector.box_sizes import box_sizes
from detector.budget import Budget
from detector.canvases import size_notes
from detector.checkpoint import Progress, checkpoint_path, load_checkpoint, steps_saved, told_progress
from detector.judging import judgement
from detector.order import steps_per_epoch
from detector.part_knowledge import PartKnowledge, learnt, read_knowledge, write_knowledge
from detector.picture_cache import picture_cache
from detector.pretrained import weight_arrays
from detector.rescoring import read_rescoring, write_rescoring
from detector.run_directory import Run, create_run
from detector.sampling import sampling_text
from detector.settings import APPLICATIONS, Settings
from detector.starting_weights import Origin, names_a_run, origin, pinned, read_source
from detector.stopping import Interrupted
from detector.stretch import course, on_data
from detector.tightening import read_tightening, write_tightening

if TYPE_CHECKING:
    from detector.loop import Loop, Watcher
    from detector.ppn_family import Monitor, PpnFamily

RESUMABLE: Final = frozenset(
    {"epochs", "total_steps", "learning_rate", "schedule", "final_rate", "decay_rate", "decay_epochs", "cycle_epochs"}
    | {"cycle_factor", "patience", "kick", "kick_cap", "kick_floor", "early_stop", "momentum", "weight_decay"}
    | {"clip_norm", "ema", "accumulate", "skip_bad_steps", "save_every", "save_steps", "keep", "keep_every", "loaders"}
    | {"tighten", "rescore", "sampling", "false_alarms", "device", "gpu_memory", "cache", "cache_gb", "cache_folder"}
)
"""Settings that a resume may change; the others decide what the saved state, or its validation score, means."""
_PACKAGES: Final = ("ppnlab", "tensorflow", "keras", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class Trained:
    """What a training came to: its run, the last finished epoch, and the best step with its validation score.

    `score` names that score as the history does, without `val_`.
    """

    run: Run
    epochs: int
    best_step: int | None
    best_score: float | None
    score: str = "ap"


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
    exact = pinned(settings)
    started_from = _check_weights(exact, data, run)
    _check_use(data, settings)
    created = create_run(run, _config(dataset, run, settings, data, command, started_from))
    for note in [*([started_from.text()] if started_from else []), *_unlearnt(data)]:
        watch.note(note)
    for found in box_sizes(data.split("train"), settings):
        watch.note(found.text(settings))
    with created.locked():
        return _train(created, data, exact, monitor, watch, "started", budget)


def go_on(
    run: Path,
    changes: Mapping[str, Any],
    dataset: Path | None,
    monitor: "Monitor",
    watch: "Watcher",
    budget: Budget | None = None,
    *,
    accept_new_data: bool = False,
) -> Trained:
    """Go on with a run from its newest whole checkpoint, with `changes` to its settings where they are allowed.

    `dataset` says where the data lies now, should it have moved; it must be the same data, unless `accept_new_data`:
    then an epoch begins on what it holds now.

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
        found = _dataset_entry(place, run, data)
        if accept_new_data:
            check_classes(place, config)
        else:
            check_data(place, config)
        _check_pictures(data)
        _check_length(at, data, new, found["hashes"])
        _check_use(data, new)
        _keep(at, config, new, found)
        for name, (before, now) in _changed_versions(config).items():
            watch.note(f"{name} was {before} when the run was trained before, and is {now}: the bits may differ")
        return _train(at, data, new, monitor, watch, "resumed", budget)


def _keep(run: Run, config: Mapping[str, Any], settings: Settings, dataset: Mapping[str, Any]) -> None:
    """Write down in the run what a resume changes, and what changed around it."""
    old, new = settings_of(config).to_json(), settings.to_json()
    step, before, versions = max(steps_saved(run.checkpoints), default=0), config["dataset"], _changed_versions(config)
    now = {**config, "settings": new, "dataset": dict(dataset), "versions": _versions()}
    if now != config:
        run.write_config(now)
    if values := {name: value for name, value in new.items() if value != old[name]}:
        run.event("changed", step=step, settings=values)
    if dataset["hashes"] != before["hashes"]:
        run.event("data-changed", step=step, old=before, new=dataset)
    if versions:
        run.event("versions-changed", step=step, versions={name: list(pair) for name, pair in versions.items()})


def _check_weights(settings: Settings, data: BoxDataset, run: Path) -> Origin | None:
    """Return what the new run is started from where that is another run; look whether its weights are there and fit."""
    # The network will read them again: a run whose weights are not there would only stand in the next one's way.
    if names_a_run(settings.weights):
        source = read_source(settings.weights, settings)
        _configure(settings)
        from detector.families import box_model

        network = box_model(settings, data.classes, data.parts).network(pretrained=False)
        return origin(network, source, data.classes, data.parts, run)
    if settings.backbone not in APPLICATIONS:
        if settings.backbone != "none":
            weight_arrays(settings.weights)
    elif settings.weights != "none":
        _configure(settings)
        from detector.application_trunks import pretrained_network

        pretrained_network(settings.backbone, settings.weights)
    return None


def _configure(settings: Settings) -> None:
    load_backend()
    from detector.engine import configure

    # Before the first tensor, with which TensorFlow fixes its threads.
    configure(
        settings.threads, deterministic=settings.deterministic, device=settings.device, gpu_memory=settings.gpu_memory
    )


def _unlearnt(data: BoxDataset) -> list[str]:
    """Return a sentence for each class that val has and train has not: nothing can be learnt of it."""
    train, val = (data.split(name).annotations.class_id for name in ("train", "val"))
    return [
        f"{name}: train must hold it to be learnt, got no box of it, and {int((val == class_id).sum())} in val"
        for class_id, name in enumerate(data.classes)
        if class_id in val and class_id not in train
    ]


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

    known = _known(run, data, watch)
    family = box_family(settings, data, monitor, picture_cache(settings, data.root, watch.note))
    if settings.sampling:
        watch.note(sampling_text(family.train.images, settings.sampling))
    sizes = size_notes(family.images, settings)
    for line in sizes:
        watch.note(line)
    loop = Loop(run, family, settings, watch, budget, data=_word(run.config()["dataset"]["hashes"]))
    run.event(event, step=loop.progress.step, of=loop.course.total, **({"sizes": sizes} if sizes else {}))
    if (done := loop.progress.step) >= loop.course.total:
        more = f"--set total_steps={2 * done}" if settings.total_steps else f"--epochs {settings.epochs + 10}"
        watch.note(f"all {done} steps are made; `ppnlab resume {shlex.quote(str(run.path))} {more}` would train longer")
    try:
        end = loop.train()
        if known.places:
            _judge(run, family, loop, known)
    except Interrupted:
        raise
    except KeyboardInterrupt:
        # The training is in order, and somebody in a hurry.
        loop.keeper.diary.event("interrupted", reason="Ctrl-C: left at once", step=loop.progress.step)
        raise
    except BaseException as error:
        # Where the disk is what failed, its error is the one to tell.
        with contextlib.suppress(PpnlabError):
            run.event("failed", step=loop.progress.step, error=repr(error))
        raise
    loop.keeper.diary.event(
        "finished", step=end.step, **({"early_stop": settings.early_stop} if end.step < loop.course.total else {})
    )
    return Trained(run, len(end.history), end.best_step, end.best_score, family.best_by)


def _known(run: Run, data: BoxDataset, watch: "Watcher") -> PartKnowledge:
    """Return what the run knows of objects and their parts; a run that does not know it yet learns and keeps it."""
    if not data.parts:
        return PartKnowledge()
    known = read_knowledge(run.path)
    if known is None:
        known = learnt(data.split("train"))
        write_knowledge(run.path, known)
        for line in known.summary():
            watch.note(line)
    return known


def _judge(run: Run, family: "PpnFamily", loop: "Loop", known: PartKnowledge) -> None:
    """Find out, once for the best weights, whether parts make objects tighter and each other surer, and keep it."""
    best, settings = loop.progress.best_step, family.settings
    tight = not settings.tighten or read_tightening(run.path).step == best
    sure = not settings.rescore or read_rescoring(run.path).step == best
    if best is None or (tight and sure):
        return
    if best != loop.progress.step:
        try:
            loop.trainer.load(load_checkpoint(checkpoint_path(run.checkpoints, best))[0])
        except PpnlabError as error:
            loop.watch.note(f"{error}; whether parts make objects tighter and surer was not measured")
            return
    tightening, rescoring = judgement(family, loop.trainer.predict, known, best)
    if settings.tighten:
        write_tightening(run.path, tightening)
    if tightening.classes:
        run.event("tightening", step=best, classes=tightening.figures())
        loop.watch.note(f"parts make objects tighter: {tightening.summary()}")
    if settings.rescore:
        write_rescoring(run.path, rescoring)
        run.event("rescoring", step=best, classes=rescoring.to_json()["classes"])
        loop.watch.note(f"parts and objects make each other surer: {rescoring.summary()}")


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
    """Check that the machine has the device, and the data all that is drawn and pasted, that the settings want."""
    BoxSamples(data.split("train"), settings)
    if settings.device.startswith("gpu"):
        use_device(settings.device, settings.gpu_memory)


def _config(
    place: Path, run: Path, settings: Settings, data: BoxDataset, command: str, started_from: Origin | None
) -> dict[str, Any]:
    return {
        "command": command,
        "settings": settings.to_json(),
        "classes": list(data.classes),
        "parts": dict(data.parts),
        "dataset": _dataset_entry(place, run, data),
        "box_sizes": [found.to_json() for found in box_sizes(data.split("train"), settings)],
        "versions": _versions(),
        **({"started_from": started_from.to_json()} if started_from else {}),
    }


def _dataset_entry(place: Path, run: Path, data: BoxDataset) -> dict[str, Any]:
    splits, boxes = (data.split(name) for name in ("train", "val")), len(data.annotations)
    train, val = (len(part.images) for part in splits)
    # Relative, so that run and dataset can be moved to another machine together.
    path = Path(os.path.relpath(place, run)).as_posix()
    return {"path": path, "hashes": table_hashes(place), "counts": {"train": train, "val": val, "boxes": boxes}}


def _word(hashes: Mapping[str, str]) -> str:
    """Return a word for the content of a dataset with these hashes."""
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]


def _versions() -> dict[str, str]:
    """Return what the bits of a result depend on, beside the run: the programs, and the kind of processor."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _changed_versions(config: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return by name what a run was trained with before and is not now: (before, now)."""
    known, now = config.get("versions"), _versions()
    known = known if isinstance(known, dict) else {}
    return {name: (str(known[name]), now[name]) for name in now if name in known and known[name] != now[name]}


def _check_changes(old: Settings, new: Settings) -> None:
    before, after = old.to_json(), new.to_json()
    for name in before:
        if before[name] != after[name] and name not in RESUMABLE:
            raise UsageError(
                f"--set: {name} must stay {before[name]} in this run, got {after[name]}; a new run can have another. "
                f"A resume may change {', '.join(sorted(RESUMABLE))}"
            )


def check_data(place: Path, config: Mapping[str, Any]) -> None:
    """Check that the dataset is the one that the run was trained with: the same images, boxes, classes and splits.

    Raises:
        PpnlabError: it is another.
    """
    if changed := _changed_tables(place, config):
        raise PpnlabError(
            f"{place}: dataset must be the one that the run began with, got another {', '.join(changed)} "
            "(images, boxes or splits were changed since); start a new run with `ppnlab train`, or train on with what "
            "it holds now: `ppnlab resume --accept-new-data`"
        )


def check_classes(place: Path, config: Mapping[str, Any]) -> None:
    """Check that the dataset has the classes and parts that the run's network was built for.

    Raises:
        PpnlabError: it has others.
    """
    if "classes" in _changed_tables(place, config):
        raise PpnlabError(
            f"{place}: classes must be {', '.join(config['classes'])}, with the same parts, got others: the network "
            "was built for them; start a new run with `ppnlab train`"
        )


def _changed_tables(place: Path, config: Mapping[str, Any]) -> list[str]:
    known, found = config["dataset"]["hashes"], table_hashes(place)
    return [name for name in known if found.get(name) != known[name]]


def _check_length(run: Run, data: BoxDataset, settings: Settings, hashes: Mapping[str, str]) -> None:
    done = max(steps_saved(run.checkpoints), default=0)
    images, before = len(data.images.rows_of("train")), told_progress(checkpoint_path(run.checkpoints, done))
    progress = on_data(before or Progress(step=done), _word(hashes), steps_per_epoch(images, settings.batch))
    way = course(images, settings, progress)
    new_data = way.begun_step == done > 0
    least = way.begun_epoch + 1 if new_data else way.epoch(done)
    if settings.total_steps and settings.total_steps < done + new_data:
        raise UsageError(
            f"--set: total_steps must be at least {done + new_data} ({done} are done), got {settings.total_steps}"
        )
    if not settings.total_steps and settings.epochs < least:
        begun = f"{way.begun_epoch} are finished" if new_data else "begun already"
        raise UsageError(f"--set: epochs must be at least {least} ({begun}), got {settings.epochs}")
