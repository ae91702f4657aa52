"""What a user gives to compare: runs, reports, detections files, or only the metrics.json of each.

A run's config.json says where its dataset lies and what its tables were; it is read here as plain JSON, for evaluation
knows nothing of the detector.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annotations.dataset import table_hashes
from annotations.errors import AnnotationError, UsageError
from annotations.tables import BoxDataset
from evaluation.bootstrap_figures import FIGURES
from evaluation.compare import Side
from evaluation.compare_metrics import MetricsComparison, compare_metrics
from evaluation.report import METRICS_FILE
from evaluation.sources import read_results, read_truth

_CONFIG, _REPORT, _DETECTIONS, _DATASET = "config.json", "report", "detections.csv", "dataset.json"
_SIDES = f"a run or a report directory with {_DETECTIONS} or {METRICS_FILE}, or one of such files"


@dataclass(frozen=True, slots=True)
class Given:
    """What lies at one place: the detections, the figures, and where a run's truth is; None for what is not there."""

    place: Path
    detections: Path | None
    metrics: Path | None
    config: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonInputs:
    """The truth, and a side for each place."""

    truth: BoxDataset
    sides: Sequence[Side]


def read_inputs(places: Sequence[Path], truth: Path | None = None) -> ComparisonInputs | MetricsComparison:
    """Return the truth and the detections of each place, or, where there are figures alone, these side by side.

    `truth` None: the dataset of the runs.

    Raises:
        UsageError: a place that is nothing of this kind, or no truth is known though there are detections to score.
        AnnotationError: a file is damaged, or the places are not of the same truth; file and difference are named.
    """
    given = [find_given(place) for place in places]
    names = side_names(places)
    if any(one.detections is None for one in given):
        without = next(one for one in given if one.detections is None)
        if any(one.metrics is None for one in given):
            raise UsageError(f"{without.place}: place must hold {_DETECTIONS}, for not all others hold {METRICS_FILE}")
        return compare_metrics(
            {n: read_metrics(one.metrics) for n, one in zip(names, given, strict=True) if one.metrics}
        )
    where = truth if truth is not None else _truth_of(given)
    _check_same_truth(given, where)
    splits = [_splits(one.metrics) for one in given]
    dataset = read_truth(where)
    sides = [
        Side(name, read_results(one.detections, dataset), of, str(one.detections))
        for name, one, of in zip(names, given, splits, strict=True)
        if one.detections is not None
    ]
    return ComparisonInputs(dataset, sides)


def find_given(place: Path) -> Given:
    """Return what lies at a place.

    Raises:
        UsageError: it is neither a run, nor a report, nor a file of detections or figures.
    """
    if place.is_file():
        if _holds_metrics(place):
            return Given(place, None, place, _config_near(place.parent))
        if place.name == _DETECTIONS and place.resolve().parent.name == _REPORT:
            # Of a run, whose truth and splits are known.
            return replace(find_given(place.parent), place=place)
        return Given(place, place, None, None)
    for directory in (place, place / _REPORT):
        detections, metrics = (_file(directory / name) for name in (_DETECTIONS, METRICS_FILE))
        if detections or metrics:
            return Given(place, detections, metrics, _config_near(directory))
    what = "a directory without them" if place.is_dir() else "no such file"
    if place.is_dir() and (place / _CONFIG).is_file():
        what = f"a run without a report; `ppnlab evaluate {place}` makes it"
    raise UsageError(f"{place}: place must be {_SIDES}, got {what}")


def _holds_metrics(file: Path) -> bool:
    """Return whether a file holds figures, whatever its name: COCO results are a list, metrics.json is an object."""
    if file.name == METRICS_FILE or file.suffix.lower() != ".json":
        return file.name == METRICS_FILE
    try:
        with file.open(encoding="utf-8-sig") as handle:
            return handle.read(1000).lstrip().startswith("{")
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{file}: file must be JSON, got {error}") from error


def _file(path: Path) -> Path | None:
    return path if path.is_file() else None


def _config_near(directory: Path) -> Path | None:
    """Return the config.json of a report's run: `evaluate` writes RUN/report, `demo` DIR/report beside DIR/run."""
    if directory.name != _REPORT:
        return _file(directory / _CONFIG)
    beside = directory.resolve().parent
    return _file(directory / _CONFIG) or _file(beside / _CONFIG) or _file(beside / "run" / _CONFIG)


def side_names(places: Sequence[Path]) -> list[str]:
    """Return a short name for each place, all different: the run's or the file's own, with folders where they clash."""
    parts = [_named_parts(place) for place in places]
    deepest = max(map(len, parts), default=1)
    depth = next((d for d in range(1, deepest) if len({p[-d:] for p in parts}) == len(set(parts))), deepest)
    names = ["/".join(_without_shared_end(part[-depth:], parts)) for part in parts]
    return [name if names.count(name) == 1 else f"{name} ({row})" for row, name in enumerate(names, start=1)]


def _named_parts(place: Path) -> tuple[str, ...]:
    """Return the parts of a path that tell one place from another; of a file's name, what stands before its suffix."""
    whole = Path(os.path.normpath(place.absolute()))
    told = tuple(part for part in whole.parts if part not in (_REPORT, _DETECTIONS, METRICS_FILE))
    return (*told[:-1], Path(told[-1]).stem) if whole.is_file() and whole.name == told[-1] else told


def _without_shared_end(own: tuple[str, ...], parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the parts less those at their end that all places share: of a/run and b/run, a and b."""
    shared = 0
    while shared < len(own) - 1 and len({part[-shared - 1 :][:1] for part in parts}) == 1:
        shared += 1
    return own[: len(own) - shared]


def _truth_of(given: Sequence[Given]) -> Path:
    """Return where the dataset of the runs lies."""
    for one in given:
        if one.config is None:
            raise UsageError(
                f"{one.place}: truth must be given with --truth where a place belongs to no run, got no {_CONFIG} there"
            )
    found = [_dataset_place(one.config) for one in given if one.config is not None]
    existing = [place for place in found if (place / _DATASET).is_file()]
    if not existing:
        raise UsageError(f"{given[0].config}: dataset must be in {found[0]}, got nothing there; name it with --truth")
    return existing[0]


def _dataset_place(config: Path) -> Path:
    return Path(os.path.normpath(config.parent / _dataset_entry(config)["path"]))


def _dataset_entry(config: Path) -> dict[str, Any]:
    entry = _read_json(config).get("dataset")
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("path"), str)
        or not isinstance(entry.get("hashes"), dict)
    ):
        raise AnnotationError(f"{config}: dataset must hold its path and hashes, got {entry!r}")
    return entry


def _check_same_truth(given: Sequence[Given], truth: Path) -> None:
    """Refuse runs whose dataset, as it was when they began, is not the truth that is scored against."""
    directory = truth.parent if truth.name == _DATASET else truth
    if not (directory / _DATASET).is_file():
        return
    hashes = table_hashes(directory)
    for one in given:
        known = {} if one.config is None else _dataset_entry(one.config)["hashes"]
        if changed := [name for name, value in known.items() if hashes.get(name) != value]:
            raise AnnotationError(
                f"{one.config}: dataset must be the same as {directory}, got another {', '.join(changed)}"
                " (images, boxes or splits differ), so figures of the two cannot be compared"
            )


def _splits(metrics: Path | None) -> tuple[str, ...] | None:
    """Return the splits that a report is about: its detections hold no others, or val besides for the thresholds."""
    return None if metrics is None else tuple(read_metrics(metrics)["splits"])


def read_metrics(path: Path) -> Mapping[str, Any]:
    """Return what a metrics.json holds.

    Raises:
        AnnotationError: it is damaged, or is no metrics.json of this version.
    """
    content = _read_json(path)
    if content.get("schema") != 1 or not isinstance(content.get("splits"), dict):
        raise AnnotationError(f"{path}: schema must be 1 with splits, got {content.get('schema')!r}")
    for split, part in content["splits"].items():
        classes = part.get("classes") if isinstance(part, dict) else None
        if not isinstance(classes, dict) or not all(isinstance(one, dict) for one in classes.values()):
            raise AnnotationError(f"{path}: splits: {split}: classes must be an object of objects, got {classes!r}")
        for where, figures in ((split, part), *((f"{split}: {label}", one) for label, one in classes.items())):
            _check_figures(f"{path}: splits: {where}", figures)
    return content


def _check_figures(where: str, figures: Mapping[str, Any]) -> None:
    for name in FIGURES:
        value = figures.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise AnnotationError(f"{where}: {name} must be a number or null, got {value!r}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: file must be JSON, got {error}") from error
    if not isinstance(content, dict):
        raise AnnotationError(f"{path}: file must hold a JSON object, got {type(content).__name__}")
    return content
