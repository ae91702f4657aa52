"""Groups of images that a split must not tear apart: from a CSV file, from folders, or from a pattern of the names."""

import posixpath
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError, UsageError
from annotations.findings import Finding
from annotations.image_names import table_entries, unnamed, values_of
from annotations.tables import BoxDataset, Images

FolderOf = Literal["picture", "annotation"]
_UPWARDS = re.compile(r"^(\.\./|/)*(\.\.?$)?")


class Groups(NamedTuple):
    """The (N,) groups of images, "" for none; what was found; and `how` they were made, for dataset.json."""

    group: NDArray[np.str_]
    findings: list[Finding]
    how: dict[str, Any]


Grouping = Callable[[BoxDataset], Groups]


def groups_from_csv(path: Path) -> Grouping:
    """Return the grouping of a CSV file with the columns group and one of image_id, path and filename."""

    def group(dataset: BoxDataset) -> Groups:
        """Raise AnnotationError where the file cannot be read, or does not say one group for an image."""
        values, findings = values_of(dataset, table_entries(path, "group"), "group")
        return Groups(values, findings + unnamed(dataset, values, str(path), "group"), {"csv": str(path)})

    return group


def groups_from_folders(of: FolderOf) -> Grouping:
    """Return the grouping by the folder of each picture or annotation file.

    A picture's folder is named as its path has it without the leading `../`; an annotation file's as it lies below the
    source folder, so that it has the same name wherever the dataset is put. Files beside no folder have no group.

    Raises:
        UsageError: `of` is neither picture nor annotation.
    """
    if of not in ("picture", "annotation"):
        raise UsageError(f"groups: folder must be that of picture or annotation, got {of}")

    def group(dataset: BoxDataset) -> Groups:
        paths = dataset.images.path if of == "picture" else dataset.images.source
        folders = [_UPWARDS.sub("", posixpath.dirname(path)) for path in paths.tolist()]
        return Groups(np.array(folders, np.str_), [], {"folder": of})

    return group


def groups_from_pattern(pattern: str) -> Grouping:
    r"""Return the grouping by what a regular expression captures of each image_id, as `^(.+)_frame\d+` does.

    Images that it does not fit have no group.

    Raises:
        UsageError: the pattern is no regular expression with one capturing group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"groups: pattern must be a regular expression, got {pattern}: {error}") from error
    if compiled.groups != 1:
        raise UsageError(f"groups: pattern must have one group in brackets, got {compiled.groups} in {pattern}")

    def group(dataset: BoxDataset) -> Groups:
        """Raise AnnotationError where the pattern fits no image."""
        matches = [compiled.search(image_id) for image_id in dataset.images.image_id.tolist()]
        groups = np.array([(match[1] or "") if match else "" for match in matches], np.str_)
        if len(groups) and not (groups != "").any():
            table = dataset.root / "images.csv"
            raise AnnotationError(f"{table}: groups: pattern must fit an image_id, got {pattern}, which fits none")
        return Groups(groups, unnamed(dataset, groups, "", "group"), {"pattern": pattern})

    return group


def set_groups(dataset: BoxDataset, grouping: Grouping) -> tuple[Images, Groups]:
    """Return the images with their groups, and what the grouping told.

    Raises:
        AnnotationError: the grouping cannot be made, or puts all images into one group.
    """
    made = grouping(dataset)
    table = dataset.root / "images.csv"
    names = np.unique(made.group)
    if len(made.group) > 1 and len(names) == 1 and names[0]:
        raise AnnotationError(f"{table}: groups: images must be in several groups, got all in {names[0]}")
    if not (made.group != "").any():
        raise AnnotationError(f"{table}: groups: images must have groups, got none with one")
    return replace(dataset.images, group=made.group), made
