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


def assign_splits(images: Images, ratios: Ratios, seed: int, *, by: By = "group", again: bool = False) -> Images:
    """Return the images with a split each; one that has a split keeps it, unless `again`.

    By group, images of one group (where they have one) share a split: that of its members that have one already.

    Raises:
        AnnotationError: a group is in two splits already, or a split of a ratio above 0 stays empty.
    """
    keys = _keys(images, by)
    old = np.full(len(images), "", images.split.dtype) if again else images.split
    split_of = _splits_by_key(keys, old)
    split = _drawn(keys, old, split_of, ratios, seed)
    empty = _empty(split, ratios)
    if empty:
        raise AnnotationError(_empty_message(empty, keys, old, split_of, ratios, seed))
    return replace(images, split=split)


def split_dataset(directory: Path, ratios: Ratios, seed: int, *, by: By = "group", again: bool = False) -> SplitReport:
    """Return what splits the images of a dataset have, after images.csv was written anew, in one piece.

    Raises:
        AnnotationError: the dataset cannot be read or written, or cannot be split so (see `assign_splits`).
    """
    dataset = read_dataset(directory)
    try:
        images = assign_splits(dataset.images, ratios, seed, by=by, again=again)
    except AnnotationError as error:
        raise AnnotationError(f"{directory / 'images.csv'}: {error}") from error
    table = read_csv(directory / "images.csv", IMAGE_COLUMNS)
    columns = {**table.columns, "split": images.split.tolist()}
    summary = {**dataset.summary, "split": {"ratios": list(ratios), "seed": seed, "by": by, "again": again}}
    summary["counts"] = {**dataset.summary.get("counts", {}), **counts(replace(dataset, images=images))}
    try:
        write_whole(directory / "images.csv", csv_text(list(columns), columns.values()))
        write_whole(directory / "dataset.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise AnnotationError(f"{directory}: dataset must be writable, got {error.strerror or error}") from error
    given = images.split if again else np.where(dataset.images.split == "", images.split, "")
    return SplitReport(_count(images.split), _count(given), seed)


def _count(split: NDArray[np.str_]) -> dict[str, int]:
    return {name: int((split == name).sum()) for name in SPLITS}


def _keys(images: Images, by: By) -> list[str]:
    if by == "image":
        return [f"image {image_id}" for image_id in images.image_id.tolist()]
    pairs = zip(images.group.tolist(), images.image_id.tolist(), strict=True)
    return [f"group {group}" if group else f"image {image_id}" for group, image_id in pairs]


def _splits_by_key(keys: list[str], old: NDArray[np.str_]) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for key, split in zip(keys, old.tolist(), strict=True):
        if split and split_of.setdefault(key, split) != split:
            got = f"{split_of[key]} and {split}"
            raise AnnotationError(f"{key}: group must be in one split, got {got}; --again gives it one")
    return split_of


def _drawn(
    keys: list[str], old: NDArray[np.str_], split_of: dict[str, str], ratios: Ratios, seed: int
) -> NDArray[np.str_]:
    drawn = (
        split or split_of.get(key) or _split_at(_place(key, seed), ratios)
        for key, split in zip(keys, old.tolist(), strict=True)
    )
    return np.array(list(drawn), np.str_)


def _place(key: str, seed: int) -> float:
    """Return the place of a key in [0, 1): the first 53 bits of a hash, as many as a float64 holds."""
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
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


def _empty_message(
    empty: list[str], keys: list[str], old: NDArray[np.str_], split_of: dict[str, str], ratios: Ratios, seed: int
) -> str:
    free = len({key for key, split in zip(keys, old.tolist(), strict=True) if not split and key not in split_of})
    message = f"split: every wanted split must have an image, got none in {', '.join(empty)}"
    if not keys:
        return f"{message}; there are no images"
    if not free:
        return f"{message}; all images have a split already, and --again gives new ones"
    for other in range(seed + 1, seed + 1 + _SEEDS_TO_TRY):
        if not _empty(_drawn(keys, old, split_of, ratios, other), ratios):
            return f"{message} (seed {seed}, {free} image(s) or group(s) to split); --seed {other} fills all"
    return f"{message}; {free} image(s) or group(s) to split are too few for these ratios"
