"""Which predicted file is of which true one, split by split."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError, UsageError
from annotations.tables import SPLITS
from evaluation.label_files import read_labels
from evaluation.label_overlaps import check_same_size
from evaluation.label_sources import LabelFile, LabelSource, label_source, listed, partners, picture_source
from evaluation.metrics import WHOLE


@dataclass(frozen=True, slots=True)
class FilePair:
    """The truth's and the predicted file of one image, `name`, and the `picture` that both are of, where it is known.

    Images of one `group` (not empty) are drawn together by the bootstrap.
    """

    name: str
    truth: Path
    predicted: Path
    split: str = ""
    group: str = ""
    picture: Path | None = None


@dataclass(frozen=True, slots=True)
class FilePairs:
    """The pairs of two sources by name, and the files of each that have no partner in the other.

    `kind` and `classes` (the number of each) are what a box dataset says of its label images; `lacking` are its images
    without one.
    """

    pairs: tuple[FilePair, ...]
    truth_alone: tuple[Path, ...]
    predicted_alone: tuple[Path, ...]
    kind: str | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()

    @property
    def without_partner(self) -> tuple[str, ...]:
        """Return the files of both sides that have no partner, and the images without a file."""
        return (*(str(path) for path in (*self.truth_alone, *self.predicted_alone)), *self.lacking)

    @property
    def by_split(self) -> dict[str, tuple[FilePair, ...]]:
        """Return the pairs of each split that has any; `all` where none has a split. Pairs without one are left out."""
        splits = {name: tuple(pair for pair in self.pairs if pair.split == name) for name in SPLITS}
        return {name: pairs for name, pairs in splits.items() if pairs} or {WHOLE: self.pairs}

    @property
    def images_without_split(self) -> int:
        """Return how many pairs have no split, where others have one."""
        return len(self.pairs) - sum(map(len, self.by_split.values()))


def file_pairs(
    truth: Path,
    predicted: Path,
    *,
    lenient: bool = False,
    splits: Sequence[str] | None = None,
    pictures: Path | None = None,
) -> FilePairs:
    """Return the files of two sources (see `label_sources`) of one key, in the order of their names; or of two files.

    Where both sources have splits, those must be equal too. `lenient` leaves files without a partner out; of splits
    other than `splits` (None: all), files need no partner. `pictures` is the source of the pictures.

    Raises:
        AnnotationError: a source that cannot be read, two files of one name, no pair at all, or, unless lenient, a file
            without a partner.
    """
    left, right = label_source(truth), label_source(predicted)
    ours, theirs = _keyed_files(left, right, splits)
    alone = tuple(file.path for key, file in ours.items() if key not in theirs)
    strange = tuple(file.path for key, file in theirs.items() if key not in ours)
    lacking = tuple(file.name for file in left.lacking if _is_wanted(file, splits))
    if not lenient:
        _refuse_alone(predicted, [path.name for path in alone], "a partner for every file")
        _refuse_alone(truth, [path.name for path in strange], "a partner for every file")
        _refuse_alone(truth, lacking, "a label image for every image")
    both = [key for key in ours if key in theirs]
    if not both and (ours or not left.files):
        raise AnnotationError(f"{predicted}: folder must have files with the names of those in {truth}, got none")
    found = _pictures_of(left, pictures)
    pairs = tuple(_pair(ours[key], theirs[key], found.get(ours[key].path)) for key in both)
    return FilePairs(pairs, alone, strange, left.kind, _classes_of(left), lacking)


def _keyed_files(
    left: LabelSource, right: LabelSource, splits: Sequence[str] | None
) -> tuple[dict[str, LabelFile], dict[str, LabelFile]]:
    """Return the files of both sides that take part, by what those of one image have in common."""
    if left.is_file and right.is_file:
        return {"": left.files[0]}, {"": right.files[0]}
    with_split = all(any(file.split for file in source.files) for source in (left, right))
    ours = _keyed(left, [file for file in left.files if _is_wanted(file, splits)], with_split)
    theirs = _keyed(right, right.files, with_split)
    # Predictions for other splits are no mistake, wherever they lie.
    others = {_place(file, with_split) for file in left.files} - ours.keys()
    return ours, {key: file for key, file in theirs.items() if key not in others and _is_wanted(file, splits)}


def _is_wanted(file: LabelFile, splits: Sequence[str] | None) -> bool:
    return splits is None or not file.split or file.split in splits


def _place(file: LabelFile, with_split: bool) -> str:
    return f"{file.split}/{file.key}" if with_split else file.key


def _keyed(source: LabelSource, files: Sequence[LabelFile], with_split: bool) -> dict[str, LabelFile]:
    found: dict[str, LabelFile] = {}
    for file in files:
        twin = found.setdefault(_place(file, with_split), file)
        if twin is not file:
            raise AnnotationError(f"{source.root}: files must have names of their own, got {twin.name} and {file.name}")
    return found


def _refuse_alone(folder: Path, names: Sequence[str], must: str) -> None:
    if names:
        raise AnnotationError(f"{folder}: folder must have {must}, got none for {listed(names)}")


def _pair(truth: LabelFile, predicted: LabelFile, picture: Path | None) -> FilePair:
    name = truth.name if truth.row >= 0 else truth.key
    return FilePair(name, truth.path, predicted.path, truth.split, truth.group, picture)


def _pictures_of(truth: LabelSource, pictures: Path | None) -> dict[Path, Path]:
    """Return the picture of each file of the truth that has one."""
    if pictures is None and truth.dataset is None:
        return {}
    known = partners(truth, picture_source(pictures if pictures is not None else truth.root))
    if pictures is not None and not known:
        raise UsageError(f"{pictures}: pictures must have the names of the label images, got none of them")
    return known


def _classes_of(source: LabelSource) -> dict[str, int]:
    if source.dataset is None or source.kind != "class":
        return {}
    return {name: class_id + 1 for class_id, name in enumerate(source.dataset.classes)}


def read_pair(
    pair: FilePair, read_predicted: Callable[[Path], NDArray[Any]] = read_labels
) -> tuple[NDArray[np.integer], NDArray[Any]]:
    """Return the label image of a pair's truth, and what `read_predicted` makes of the other; both have one size.

    Raises:
        AnnotationError: a file cannot be used, or the sizes differ.
    """
    truth, predicted = read_labels(pair.truth), read_predicted(pair.predicted)
    check_same_size(truth.shape, predicted.shape, truth_name=str(pair.truth), name=str(pair.predicted))
    return truth, predicted
