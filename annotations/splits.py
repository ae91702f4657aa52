"""Train, val and test: each image's split is a function of its own name and a seed, so that no other image moves it.

Or somebody has decided on them: then `split_sources` reads them, and what they say is checked and kept the same way.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.csvtable import csv_text, read_csv
from annotations.dataset import IMAGE_COLUMNS, counts, read_dataset
from annotations.errors import AnnotationError, UsageError
from annotations.findings import Finding, count_by_severity, findings_text, read_findings
from annotations.groups import Grouping, set_groups
from annotations.split_balance import (
    SEEDS_TO_TRY,
    Balance,
    SeedTrials,
    balance_findings,
    balance_of,
    better_seed,
)
from annotations.split_drawing import By, Drawing, drawing_of, drawn_anew, refuse_torn, unit_keys
from annotations.split_places import DEFAULT_RATIOS, Ratios, parse_ratios
from annotations.split_sources import Given, SplitSource
from annotations.tables import SPLITS, BoxDataset, Images
from annotations.whole import write_whole

__all__ = ["By", "Ratios", "Seed", "SplitReport", "assign_splits", "parse_ratios", "split_dataset"]

Seed = int | Literal["best"]
Progress = Callable[[int, int], None]
_FOUND_HERE = frozenset(
    {"unknown-image", "named-twice", "unnamed-images", "lacking-split", "uneven-split", "better-seed"}
)
"""The codes of findings that a new split replaces in findings.csv."""


@dataclass(frozen=True, slots=True, eq=False)
class SplitReport:
    """How many images each split has now, and how many of them were given their split by this command.

    `seed` is the one that drew, or None where nothing was drawn; `balance` is what the splits are made up of.
    """

    images: dict[str, int]
    given: dict[str, int]
    seed: int | None
    balance: Balance
    findings: tuple[Finding, ...]

    def summary(self) -> dict[str, Any]:
        """Return the report, ready for JSON."""
        return {
            "schema": 1,
            "images": self.images,
            "given": self.given,
            "seed": self.seed,
            "balance": self.balance.as_json(),
            "findings": [finding._asdict() | {"severity": finding.severity} for finding in self.findings],
        }


class _Outcome(NamedTuple):
    """Images with their splits, the mask of those that were given one now, and all that is to be told of it."""

    images: Images
    given: NDArray[np.bool_]
    seed: int | None
    balance: Balance
    findings: list[Finding]


def assign_splits(
    images: Images, ratios: Ratios, seed: int, *, by: By = "group", again: bool = False, of: str | None = None
) -> Images:
    """Return the images with a split each; one that has a split keeps it, unless `again`.

    By group, images of one group (where they have one) share a split: that of its members that have one already. Rows
    of one picture always do. With `of`, a split, its images alone are drawn anew, and no other row changes.

    Raises:
        AnnotationError: a group or picture is in two splits already, a picture is in two groups, `of` has no image, or
            a split of a ratio above 0 stays empty.
        UsageError: `of` is no split's name, or is given together with `again`.
    """
    drawing = drawing_of(images, ratios, by=by, again=again, of=of)
    return replace(images, split=_drawn(drawing, seed))


def split_dataset(
    directory: Path,
    ratios: Ratios | None = None,
    seed: Seed | None = None,
    *,
    by: By = "group",
    again: bool = False,
    of: str | None = None,
    source: SplitSource | None = None,
    groups: Grouping | None = None,
    progress: Progress | None = None,
) -> SplitReport:
    """Return what splits the images of a dataset have, after images.csv, findings.csv and dataset.json were written.

    `source` gives splits that somebody decided on; only where it is that of another dataset, or `ratios` are given, are
    the other images drawn. `groups` makes the groups first. Without a seed, the one that the dataset was drawn with
    last is taken, or 0; "best" tries SEEDS_TO_TRY seeds (`progress` is told) and takes that of the lowest
    `split_balance.Score`.

    Raises:
        AnnotationError: the dataset or a file with splits or groups cannot be read, the dataset cannot be written, or
            cannot be split so (see `assign_splits`), or an image has another split already and `again` is not given.
        UsageError: `of` is no split's name, or is given together with `again` or `source`.
    """
    dataset = read_dataset(directory)
    told = _old_findings(directory)
    grouped: list[Finding] = []
    how: dict[str, Any] = {"by": by, "again": again, "of": of}
    if groups is not None:
        images, made = set_groups(dataset, groups)
        dataset, grouped = replace(dataset, images=images), made.findings
        how["groups"] = made.how
    given = _given(dataset, source, of)
    ratios = ratios or (DEFAULT_RATIOS if given is None or _leaves_some(dataset.images, given, again) else None)
    how |= {"ratios": ratios and list(ratios), **({"from": dict(given.how)} if given else {})}
    try:
        outcome = _split(dataset, given, ratios, _seed_of(dataset, seed), by, again, of, progress)
    except AnnotationError as error:
        raise AnnotationError(f"{directory / 'images.csv'}: {error}") from error
    found = [*grouped, *outcome.findings]
    how |= {"seed": outcome.seed, "searched": seed == "best", "balance": outcome.balance.as_json()}
    _write(directory, replace(dataset, images=outcome.images), how, told, found)
    split = outcome.images.split
    return SplitReport(_count(split), _count(split[outcome.given]), outcome.seed, outcome.balance, tuple(found))


def _split(
    dataset: BoxDataset,
    given: Given | None,
    ratios: Ratios | None,
    seed: Seed,
    by: By,
    again: bool,
    of: str | None,
    progress: Progress | None,
) -> _Outcome:
    before = dataset.images
    images = before if given is None else _with_given(before, given, again, ratios is not None)
    named = np.zeros(len(before), np.bool_) if given is None else given.split != ""
    found = [] if given is None else given.findings
    if ratios is None:
        refuse_torn(unit_keys(images, by), images.split)
        return _outcome_of_given(replace(dataset, images=images), named, by, found, progress)
    redrawn = again and given is None
    drawing = drawing_of(images, ratios, by=by, again=redrawn, of=of)
    anew = not (drawing.kept >= 0).any() or of is not None
    return _outcome_of_drawing(dataset, drawing, seed, named, anew, found, progress)


def _outcome_of_drawing(
    dataset: BoxDataset,
    drawing: Drawing,
    seed: Seed,
    named: NDArray[np.bool_],
    anew: bool,
    found: list[Finding],
    progress: Progress | None,
) -> _Outcome:
    """Return the images as a seed divides them; `anew` says whether another seed might be taken as well."""

    def balance(number: int) -> Balance:
        images = replace(dataset.images, split=drawing.splits(number))
        return balance_of(images, dataset.annotations, dataset.classes, drawing.ratios, drawing.open_rows)

    number = 0 if seed == "best" else seed
    own = balance(number)
    tried = SeedTrials(drawing, dataset.annotations, own, number if seed == "best" else number + 1, progress)
    if seed == "best" and tried.scores:
        number, _ = tried.best()
        own = balance(number)
    images = replace(dataset.images, split=_drawn(drawing, number))
    told = list(balance_findings(own, tried.chance(own)))
    better = better_seed(own, tried) if told and anew and seed != "best" else None
    findings = [*found, *told, *([better] if better else [])]
    return _Outcome(images, drawing.free | named, number, own, findings)


def _outcome_of_given(
    dataset: BoxDataset, named: NDArray[np.bool_], by: By, found: list[Finding], progress: Progress | None
) -> _Outcome:
    images = dataset.images
    own = balance_of(images, dataset.annotations, dataset.classes)
    drawing = drawn_anew(images, images.split, by)
    tried = SeedTrials(drawing, dataset.annotations, own, 0, progress)
    return _Outcome(images, named, None, own, [*found, *balance_findings(own, tried.chance(own))])


def _given(dataset: BoxDataset, source: SplitSource | None, of: str | None) -> Given | None:
    if source is None:
        return None
    if of is not None:
        raise UsageError(f"--of {of} must stand without splits from files, flags or another dataset, got both")
    return source(dataset)


def _leaves_some(images: Images, given: Given, again: bool) -> bool:
    """Return whether a source that wants the rest drawn leaves images without a split."""
    kept = (given.split != "") | ((images.split != "") & (not again))
    return given.draws_rest and not bool(kept.all())


def _with_given(images: Images, given: Given, again: bool, draws_rest: bool) -> Images:
    """Return the images with the splits that were given to them; with `again`, the others lose theirs if drawn anew.

    Raises:
        AnnotationError: an image has another split, and `again` is not given.
    """
    has = given.split != ""
    moved = has & (images.split != "") & (images.split != given.split)
    if moved.any() and not again:
        row = int(np.argmax(moved))
        got = f"{given.split[row]} ({int(moved.sum())} image(s) would move; --again moves them)"
        raise AnnotationError(f"{images.image_id[row]}: image must keep its split {images.split[row]}, got {got}")
    rest = np.full(len(images), "") if again and draws_rest else images.split
    return replace(images, split=np.where(has, given.split, rest))


def _seed_of(dataset: BoxDataset, seed: Seed | None) -> Seed:
    if seed is not None:
        return seed
    last = dataset.summary.get("split")
    number = last.get("seed") if isinstance(last, dict) else None
    return number if type(number) is int and number >= 0 else 0


def _drawn(drawing: Drawing, seed: int) -> NDArray[np.str_]:
    """Return the (N,) splits that a seed gives.

    Raises:
        AnnotationError: a split of a ratio above 0 stays empty; the message says what would fill it.
    """
    split = drawing.splits(seed)
    empty = _empty(split, drawing.ratios)
    if empty:
        raise AnnotationError(_empty_message(empty, drawing, seed))
    return split


def _empty(split: NDArray[np.str_], ratios: Ratios) -> list[str]:
    present = set(split.tolist())
    return [name for name, share in zip(SPLITS, ratios, strict=True) if share > 0 and name not in present]


def _empty_message(empty: Sequence[str], drawing: Drawing, seed: int) -> str:
    message = f"split: every wanted split must have an image, got none in {', '.join(empty)}"
    if not len(drawing.unit):
        return f"{message}; there are no images"
    free = drawing.open_units
    if not free:
        return f"{message}; all images have a split already: {_ways_out(drawing.splits(seed), empty)}"
    for other in range(seed + 1, seed + 1 + SEEDS_TO_TRY):
        if not _empty(drawing.splits(other), drawing.ratios):
            return f"{message} (seed {seed}, {free} image(s) or group(s) to split); --seed {other} fills all"
    return f"{message}; {free} image(s) or group(s) to split are too few for these ratios"


def _ways_out(split: NDArray[np.str_], empty: Sequence[str]) -> str:
    largest = max(SPLITS, key=_count(split).__getitem__)
    percent = {**dict.fromkeys(empty, 15), largest: 100 - 15 * len(empty)}
    ratios = "/".join(str(percent.get(name, 0)) for name in SPLITS).removesuffix("/0")
    return f"`--of {largest} --ratios {ratios}` divides those of {largest} alone, --again gives all of them new ones"


def _count(split: NDArray[np.str_]) -> dict[str, int]:
    return {name: int((split == name).sum()) for name in SPLITS}


def _old_findings(directory: Path) -> list[Finding]:
    """Return the findings that stay: all but those of an earlier split. A dataset made by hand may have none."""
    if not (directory / "findings.csv").exists():
        return []
    return [finding for finding in read_findings(directory) if finding.code not in _FOUND_HERE]


def _write(
    directory: Path, dataset: BoxDataset, how: dict[str, Any], kept: list[Finding], found: list[Finding]
) -> None:
    """Write images.csv, findings.csv and dataset.json anew, each in one piece.

    Raises:
        AnnotationError: they cannot be written.
    """
    table = read_csv(directory / "images.csv", IMAGE_COLUMNS)
    columns = {**table.columns, "split": dataset.images.split.tolist(), "group": dataset.images.group.tolist()}
    findings = [*kept, *found]
    tally = {**counts(dataset), "findings": count_by_severity(findings)}
    summary = {**dataset.summary, "split": how}
    summary["counts"] = {**dataset.summary.get("counts", {}), **tally}
    try:
        write_whole(directory / "images.csv", csv_text(list(columns), columns.values()))
        write_whole(directory / "findings.csv", findings_text(findings))
        write_whole(directory / "dataset.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise AnnotationError(f"{directory}: dataset must be writable, got {error.strerror or error}") from error
