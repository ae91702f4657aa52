"""Splits that somebody has decided: by flags, in a CSV file, in lists of names, or as another dataset has them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.csvtable import read_csv
from annotations.errors import AnnotationError, UsageError
from annotations.findings import Finding
from annotations.image_names import Entry, list_entries, table_entries, unnamed, values_of
from annotations.labelme import SPLIT_OF_FLAG
from annotations.tables import SPLITS, BoxDataset


class Given(NamedTuple):
    """The (N,) splits that a source gives, "" where it gives none; what was found; and whether a seed is to give these.

    `how` tells dataset.json where the splits came from.
    """

    split: NDArray[np.str_]
    findings: list[Finding]
    draws_rest: bool
    how: Mapping[str, Any]


SplitSource = Callable[[BoxDataset], Given]


def from_flags(split_of_flag: Mapping[str, str] | None = None) -> SplitSource:
    """Return the source that reads the images' true flags; without a mapping, those that `convert` knows.

    Raises:
        UsageError: a flag is to mean no split.
    """
    meaning = dict(SPLIT_OF_FLAG if split_of_flag is None else split_of_flag)
    for flag, split in meaning.items():
        if not flag or split not in SPLITS:
            raise UsageError(f"flags: flag must mean one of {', '.join(SPLITS)}, got {flag}={split}")

    def read(dataset: BoxDataset) -> Given:
        """Raise AnnotationError where an image's flags name two splits, or no image has such a flag."""
        split, seen, table = [], set[str](), dataset.root / "images.csv"
        for image_id, text in zip(dataset.images.image_id.tolist(), dataset.images.flags.tolist(), strict=True):
            flags = [flag for flag in text.split(";") if flag]
            seen.update(flags)
            names = sorted({meaning[flag] for flag in flags if flag in meaning})
            if len(names) > 1:
                got = f"{' and '.join(names)} ({text})"
                raise AnnotationError(f"{table}: {image_id}: flags must name one split, got {got}")
            split.append(names[0] if names else "")
        if not any(split):
            got = ", ".join(sorted(seen)[:20]) or "no flag"
            raise AnnotationError(f"{table}: flags: an image must have one of {', '.join(meaning)}, got {got}")
        values = np.array(split, np.str_)
        return Given(values, unnamed(dataset, values, "", "split"), False, {"flags": meaning})

    return read


def from_csv(path: Path) -> SplitSource:
    """Return the source that reads a CSV file with the columns split and one of image_id, path and filename."""

    def read(dataset: BoxDataset) -> Given:
        """Raise AnnotationError where the file cannot be read, or does not say one split for an image."""
        entries = table_entries(path, "split")
        for entry in entries:
            if _split_called(entry.value) is None:
                must = f"split must be one of {', '.join(SPLIT_OF_FLAG)}, got {entry.value!r}"
                raise AnnotationError(f"{entry.file}: {entry.place}: {must}")
        return _given(dataset, [entry._replace(value=_split_called(entry.value) or "") for entry in entries], path)

    return read


def from_lists(paths: Mapping[str, Path]) -> SplitSource:
    """Return the source that reads, for a split, a text file with one image a line.

    Raises:
        UsageError: a split has another name than train, val and test (or valid, validation).
    """
    called = {_split_called(name): path for name, path in paths.items()}
    if None in called or len(called) < len(paths) or not paths:
        got = ", ".join(f"{name}={path}" for name, path in paths.items()) or "none"
        raise UsageError(f"lists: lists must be like train=FILE.txt, one for each split, got {got}")

    def read(dataset: BoxDataset) -> Given:
        """Raise AnnotationError where a file cannot be read, or an image stands in two splits."""
        entries = [entry for split, path in called.items() for entry in list_entries(path, split or "")]
        return _given(dataset, entries, *called.values())

    return read


def like(path: Path) -> SplitSource:
    """Return the source that gives the images of another dataset (a directory, or its images.csv) their splits there.

    An image is known by the place of its picture, and else by its image_id. The others are drawn.
    """

    def read(dataset: BoxDataset) -> Given:
        """Raise AnnotationError where the other cannot be read, or shares no image."""
        table = read_csv(path / "images.csv" if path.is_dir() else path, ["image_id", "split"])
        known = {"": -1, **{split: code for code, split in enumerate(SPLITS)}}
        table.places("split", known, f"{', '.join(SPLITS)} or empty")
        by_id = dict(zip(table.columns["image_id"], table.columns["split"], strict=True))
        places = _real_places(table.path.parent, table.columns.get("path", []))
        by_place = dict(zip(places, table.columns["split"], strict=False))
        own = _real_places(dataset.root, dataset.images.path.tolist())
        split = [
            by_place.get(place) or by_id.get(image_id, "")
            for image_id, place in zip(dataset.images.image_id.tolist(), own, strict=True)
        ]
        if not any(split):
            raise AnnotationError(f"{table.path}: images must be those of the dataset, got none of them with a split")
        return Given(np.array(split, np.str_), [], True, {"like": str(path)})

    return read


def _given(dataset: BoxDataset, entries: list[Entry], *paths: Path) -> Given:
    files = ", ".join(map(str, paths))
    if not entries:
        raise AnnotationError(f"{files}: images must be named, got none")
    split, findings = values_of(dataset, entries, "split")
    findings += unnamed(dataset, split, files, "split")
    return Given(split, findings, False, {"files": [str(path) for path in paths]})


def _split_called(name: str) -> str | None:
    return SPLIT_OF_FLAG.get(name.strip().casefold())


def _real_places(root: Path, paths: list[str]) -> list[str]:
    # The folder's real path once, and not each file's: a picture that is a link stays itself.
    real: dict[str, str] = {}
    places = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in real:
            real[folder] = os.path.realpath(root / folder)
        places.append(f"{real[folder]}/{name}" if path else "")
    return places
