"""Label images, and maps beside them, where users have them: a file, a folder, a box dataset converted with --masks."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from annotations.dataset import read_dataset
from annotations.errors import AnnotationError
from annotations.tables import SPLITS, BoxDataset
from evaluation.label_files import PICTURE_SUFFIXES, SUFFIXES

NO_ROW = -1
_NAMED = 5
"""Names that a message has before it counts the rest."""


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A file of a source: `key` is its path below the source (below the folder of its split) without suffix.

    `name` is that path with its suffix, in a dataset the image_id; `split` is train, val, test or ""; `row` is that of
    the dataset's images, or NO_ROW.
    """

    key: str
    name: str
    path: Path
    split: str = ""
    group: str = ""
    row: int = NO_ROW


@dataclass(frozen=True, slots=True)
class LabelSource:
    """The files of a source, by name; `dataset` is the box dataset that it is, `lacking` its images without a file."""

    root: Path
    files: tuple[LabelFile, ...]
    dataset: BoxDataset | None = None
    lacking: tuple[LabelFile, ...] = ()

    @property
    def is_file(self) -> bool:
        """Return whether the source is one file, whose name need not be that of another."""
        return self.dataset is None and self.root.is_file()

    @property
    def kind(self) -> str | None:
        """Return `instance` or `class` where a dataset says what the numbers of its label images are."""
        return None if self.dataset is None else self.dataset.summary.get("masks")

    def boxes_of(self, file: LabelFile) -> NDArray[np.int64]:
        """Return the (K,) rows of the dataset's boxes in that image: the k-th, from 0, has the number k + 1."""
        rows = [] if self.dataset is None else self.dataset.annotations.image_row == file.row
        return np.flatnonzero(rows)


def label_source(path: Path) -> LabelSource:
    """Return the label images (or probability maps) of a file, a folder or a box dataset.

    In a folder, files below it count too, hidden ones and those of other formats do not; the folders train, val and
    test right in it are splits.

    Raises:
        AnnotationError: nothing is there, two files differ in their suffix alone, a damaged dataset, or one without
            label images.
    """
    if is_dataset(path):
        return _labels_of(_read_dataset(path))
    return _plain_source(path, SUFFIXES, "label images")


def picture_source(path: Path) -> LabelSource:
    """Return the pictures of a file, a folder or a box dataset, whose keys are those of its label images.

    Raises:
        AnnotationError: nothing is there, two files differ in their suffix alone, or a damaged dataset.
    """
    if not is_dataset(path):
        return _plain_source(path, PICTURE_SUFFIXES, "pictures")
    dataset = _read_dataset(path)
    keys = [_key(label) or name for label, name in zip(dataset.images.labels, dataset.images.image_id, strict=True)]
    files = (_of_row(dataset, row, key, dataset.picture(row)) for row, key in enumerate(keys))
    return LabelSource(path, tuple(file for file in files if str(dataset.images.path[file.row])), dataset)


def is_dataset(path: Path) -> bool:
    """Return whether a path is a box dataset, or its dataset.json."""
    return (path / "dataset.json").is_file() or (path.name == "dataset.json" and path.is_file())


def partners(source: LabelSource, other: LabelSource) -> dict[Path, Path]:
    """Return the file of `other` that goes with each of the source's files, where there is one.

    It has the same key, and where both sources have splits, the same split; two single files go together.
    """
    if source.is_file and other.is_file:
        return {source.files[0].path: other.files[0].path}
    with_split = all(any(file.split for file in side.files) for side in (source, other))
    found = {(file.split if with_split else "", file.key): file.path for file in other.files}
    places = {file.path: (file.split if with_split else "", file.key) for file in source.files}
    return {path: found[place] for path, place in places.items() if place in found}


def listed(names: Sequence[str]) -> str:
    """Return the first of these names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _read_dataset(path: Path) -> BoxDataset:
    return read_dataset(path if path.is_dir() else path.parent)


def _labels_of(dataset: BoxDataset) -> LabelSource:
    labels = dataset.images.labels
    if not (labels != "").any():
        raise AnnotationError(f"{dataset.root}: dataset must have label images, got none; convert it with --masks")
    files = [
        _of_row(dataset, row, _key(label), dataset.root / str(label)) for row, label in enumerate(labels) if label != ""
    ]
    lacking = tuple(_of_row(dataset, row, "", dataset.root) for row in np.flatnonzero(labels == "").tolist())
    return LabelSource(dataset.root, tuple(sorted(files, key=_order)), dataset, lacking)


def _key(label: str) -> str:
    # Below the folder of label images, as people name what they predict: `labels/a.png` is `a`.
    return str(PurePosixPath(*PurePosixPath(str(label)).parts[1:]).with_suffix("")) if label else ""


def _of_row(dataset: BoxDataset, row: int, key: str, path: Path) -> LabelFile:
    images = dataset.images
    return LabelFile(key, str(images.image_id[row]), path, str(images.split[row]), str(images.group[row]), row)


def _order(file: LabelFile) -> tuple[int, str]:
    return ((*SPLITS, "").index(file.split), file.name)


def _plain_source(path: Path, suffixes: Collection[str], what: str) -> LabelSource:
    if path.is_file():
        return LabelSource(path, (LabelFile(path.stem, path.name, path),))
    if not path.is_dir():
        got = "no plain file" if path.exists() else "nothing there"
        raise AnnotationError(f"{path}: {what} must be a file, a folder or a box dataset, got {got}")
    found: dict[tuple[str, str], LabelFile] = {}
    for file in sorted(_files_below(path, suffixes), key=_order):
        twin = found.setdefault((file.split, file.key), file)
        if twin is not file:
            raise AnnotationError(f"{path}: files must have names of their own, got {twin.name} and {file.name}")
    return LabelSource(path, tuple(found.values()))


def _files_below(root: Path, suffixes: Collection[str]) -> list[LabelFile]:
    def refuse(error: OSError) -> None:
        raise AnnotationError(f"{error.filename}: folder must be readable, got {error.strerror}") from error

    files = []
    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if Path(name).suffix.lower() in suffixes and not name.startswith("."):
                files.append(_below(root, Path(folder) / name))
    return files


def _below(root: Path, path: Path) -> LabelFile:
    relative = path.relative_to(root)
    # What is no text, or would end a line, can stand in no table.
    if not str(relative).isprintable():
        raise AnnotationError(f"{root}: file names must be printable text, got {str(relative)!r}")
    split = relative.parts[0] if len(relative.parts) > 1 and relative.parts[0] in SPLITS else ""
    key = relative.relative_to(split).with_suffix("").as_posix()
    return LabelFile(key, relative.as_posix(), path, split)
