"""Train, val and test: each image's split is a function of its own name and a seed, so that no other image moves it."""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from annotations.csvtable import csv_text, read_csv
from annotations.dataset import IMAGE_COLUMNS, counts, read_dataset
from annotations.errors import AnnotationError, UsageError
from annotations.tables import SPLITS, Images
from annotations.whole import write_whole

Ratios = tuple[float, float, float]
By = Literal["group", "image"]
_SEEDS_TO_TRY = 100


@dataclass(frozen=True, slots=True)
class SplitReport:
    """How many images each split has now, how many of them were given their split by this command, and the seed."""

    images: dict[str, int]
    given: dict[str, int]
    seed: int


def parse_ratios(text: str) -> Ratios:
    """Return the shares of train, val and test, which sum to 1, from `70/15/15` or (without a test split) `80/20`.

    Raises:
        UsageError: the text is no such ratio.
    """
    must = f"ratios must be like 70/15/15 (train/val/test) or 80/20 (train/val), got {text}"
    try:
        shares = [float(share) for share in text.split("/")]
    except ValueError as error:
        raise UsageError(must) from error
    total = math.fsum(shares)
    if len(shares) not in (2, 3) or not all(0 <= share < math.inf for share in shares) or not 0 < total < math.inf:
        raise UsageError(must)
    train, val, test = [share / total for share in shares] + [0.0] * (3 - len(shares))
    return train, val, test


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
    free = _free(images, again, of)
    keys = _keys(images, by)
    if not again:
        _refuse_torn(keys, images.split)
    drawing = _Drawing(tuple(keys), np.where(free, "", images.split), free, ratios, of)
    split = drawing.splits(seed)
    empty = _empty(split, ratios)
    if empty:
        raise AnnotationError(_empty_message(empty, drawing, seed))
    return replace(images, split=split)


def split_dataset(
    directory: Path, ratios: Ratios, seed: int, *, by: By = "group", again: bool = False, of: str | None = None
) -> SplitReport:
    """Return what splits the images of a dataset have, after images.csv was written anew, in one piece.

    Raises:
        AnnotationError: the dataset cannot be read or written, or cannot be split so (see `assign_splits`).
        UsageError: `of` is no split's name, or is given together with `again`.
    """
    dataset = read_dataset(directory)
    try:
        images = assign_splits(dataset.images, ratios, seed, by=by, again=again, of=of)
    except AnnotationError as error:
        raise AnnotationError(f"{directory / 'images.csv'}: {error}") from error
    table = read_csv(directory / "images.csv", IMAGE_COLUMNS)
    columns = {**table.columns, "split": images.split.tolist()}
    how = {"ratios": list(ratios), "seed": seed, "by": by, "again": again, "of": of}
    summary = {**dataset.summary, "split": how}
    summary["counts"] = {**dataset.summary.get("counts", {}), **counts(replace(dataset, images=images))}
    try:
        write_whole(directory / "images.csv", csv_text(list(columns), columns.values()))
        write_whole(directory / "dataset.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise AnnotationError(f"{directory}: dataset must be writable, got {error.strerror or error}") from error
    given = images.split[_free(dataset.images, again, of)]
    return SplitReport(_count(images.split), _count(given), seed)


def _free(images: Images, again: bool, of: str | None) -> NDArray[np.bool_]:
    """Return the (N,) mask of the images that are given a split; the others keep theirs."""
    if of is None:
        return np.asarray((images.split == "") | again)
    if again:
        raise UsageError(f"--of {of} must stand without --again, which draws all images anew, got both")
    if of not in SPLITS:
        raise UsageError(f"--of must be one of {', '.join(SPLITS)}, got {of}")
    free = images.split == of
    if not free.any():
        raise AnnotationError(f"split: --of must name a split that has images, got {of}, which has none")
    return np.asarray(free)


def _count(split: NDArray[np.str_]) -> dict[str, int]:
    return {name: int((split == name).sum()) for name in SPLITS}


def _keys(images: Images, by: By) -> list[str]:
    """Return for each image the name of what must stay together with it: its group, or its picture.

    A picture is named by the first image_id of its rows: most have one row, and then no other row has a say.

    Raises:
        AnnotationError: the rows of one picture name different groups.
    """
    ids, paths = images.image_id.tolist(), images.path.tolist()
    groups = images.group.tolist() if by == "group" else [""] * len(images)
    group_of, id_of = dict[str, str](), dict[str, str]()
    for image_id, path, group in sorted(zip(ids, paths, groups, strict=True)):
        if path:
            id_of.setdefault(path, image_id)
            if group and group_of.setdefault(path, group) != group:
                raise AnnotationError(f"{path}: picture must be in one group, got {group_of[path]} and {group}")
    keys = []
    for image_id, path, group in zip(ids, paths, groups, strict=True):
        together = group or group_of.get(path)
        keys.append(f"group {together}" if together else f"image {id_of.get(path, image_id)}")
    return keys


def _refuse_torn(keys: list[str], split: NDArray[np.str_]) -> None:
    """Do nothing where no group and no picture is in two splits.

    Raises:
        AnnotationError: names the first that is.
    """
    known: dict[str, str] = {}
    for key, name in zip(keys, split.tolist(), strict=True):
        if name and known.setdefault(key, name) != name:
            kind = key.partition(" ")[0]
            raise AnnotationError(f"{key}: {kind} must be in one split, got {known[key]} and {name}; --again gives one")


@dataclass(frozen=True, slots=True, eq=False)
class _Drawing:
    """What a seed is to decide: each image's key, the split that it keeps ("" for none), and whether it is free."""

    keys: tuple[str, ...]
    kept: NDArray[np.str_]
    free: NDArray[np.bool_]
    ratios: Ratios
    of: str | None

    @property
    def split_of(self) -> dict[str, str]:
        """Return the split of each key of which an image keeps one."""
        return {key: split for key, split in zip(self.keys, self.kept.tolist(), strict=True) if split}

    @property
    def open_keys(self) -> set[str]:
        """Return the keys whose split the seed decides."""
        split_of = self.split_of
        return {key for key, free in zip(self.keys, self.free.tolist(), strict=True) if free and key not in split_of}

    def splits(self, seed: int) -> NDArray[np.str_]:
        """Return the (N,) splits that a seed gives; a free image of a key that has a split joins it."""
        # Drawn from one split, an image needs another place than the one that put it there: those of train all lie low.
        salt = f"{seed}/{self.of}" if self.of else f"{seed}"
        split_of = self.split_of
        drawn = (
            (split_of.get(key) or _split_at(_place(f"{salt}/{key}"), self.ratios)) if free else split
            for key, split, free in zip(self.keys, self.kept.tolist(), self.free.tolist(), strict=True)
        )
        return np.array(list(drawn), np.str_)


def _place(key: str) -> float:
    """Return the place of a key in [0, 1): the first 53 bits of a hash, as many as a float64 holds."""
    digest = hashlib.sha256(key.encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _split_at(place: float, ratios: Ratios) -> str:
    wanted = _wanted(ratios)
    reached = 0.0
    for name, share in wanted:
        reached += share
        if place < reached:
            return name
    return wanted[-1][0]  # the shares' sum was rounded to a little below 1


def _wanted(ratios: Ratios) -> list[tuple[str, float]]:
    return [(name, share) for name, share in zip(SPLITS, ratios, strict=True) if share > 0]


def _empty(split: Iterable[str], ratios: Ratios) -> list[str]:
    present = {str(name) for name in split}
    return [name for name, _ in _wanted(ratios) if name not in present]


def _empty_message(empty: list[str], drawing: _Drawing, seed: int) -> str:
    free = len(drawing.open_keys)
    message = f"split: every wanted split must have an image, got none in {', '.join(empty)}"
    if not drawing.keys:
        return f"{message}; there are no images"
    if not free:
        return f"{message}; all images have a split already: {_ways_out(drawing.kept, empty)}"
    for other in range(seed + 1, seed + 1 + _SEEDS_TO_TRY):
        if not _empty(drawing.splits(other), drawing.ratios):
            return f"{message} (seed {seed}, {free} image(s) or group(s) to split); --seed {other} fills all"
    return f"{message}; {free} image(s) or group(s) to split are too few for these ratios"


def _ways_out(split: NDArray[np.str_], empty: list[str]) -> str:
    largest = max(SPLITS, key=_count(split).__getitem__)
    percent = {**dict.fromkeys(empty, 15), largest: 100 - 15 * len(empty)}
    ratios = "/".join(str(percent.get(name, 0)) for name in SPLITS).removesuffix("/0")
    return f"`--of {largest} --ratios {ratios}` divides those of {largest} alone, --again gives all of them new ones"
