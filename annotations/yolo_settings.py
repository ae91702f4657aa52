"""What a data.yaml, or the list of classes that stands for it, says of a YOLO folder's classes."""

import re
from collections.abc import Mapping
from pathlib import Path

from annotations.errors import AnnotationError
from annotations.imagepaths import SourceFolder
from annotations.notes import FileRefused, is_plain, shown
from annotations.plain_files import read_utf8
from annotations.yaml_subset import Yaml, read_yaml

LARGEST_YAML = 2**20
"""Bytes; the names of a thousand classes take some 20 kB."""

CLASS_LISTS = ("classes.txt", "labels/classes.txt", "obj.names")
"""Where programs write the names of the classes, one a line, where there is no data.yaml."""

_YAML = (".yaml", ".yml")
_LONGEST_NAME = 1000


def settings_file(source: Path) -> Path | None:
    """Return the data.yaml that a source is or holds, or None where its folder holds none.

    Raises:
        AnnotationError: the source is neither a folder nor a data.yaml, or holds several.
    """
    if not source.is_dir():
        if source.suffix.lower() not in _YAML or not source.exists():
            got = "another file" if source.exists() else "no such one"
            raise AnnotationError(f"{source}: source must be a folder or a data.yaml, got {got}")
        return source
    found = sorted(path for path in source.iterdir() if path.suffix.lower() in _YAML and not path.name.startswith("."))
    usual = [path for path in found if path.stem.lower() == "data"]
    if len(usual or found) > 1:
        names = ", ".join(path.name for path in usual or found)
        raise AnnotationError(f"{source}: source must hold one data.yaml, got {names}; give the file as the source")
    return (usual or found)[0] if found else None


def read_settings(path: Path) -> dict[str, Yaml]:
    """Return what a data.yaml says.

    Raises:
        AnnotationError: it cannot be read or understood.
    """
    try:
        return read_yaml(read_utf8(path, LARGEST_YAML))
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from error


def names_of(said: Mapping[str, Yaml], path: Path) -> tuple[str, ...]:
    """Return the names of the classes that a data.yaml at `path` gives, by number.

    Raises:
        AnnotationError: they are no different names, or not as many as it says.
    """
    names = said.get("names", "")
    if isinstance(names, dict):
        names = [names.get(str(number), "") for number in range(len(names))]
    if not names and _count(said.get("nc", "")):
        # Source: Ultralytics' check_det_dataset names classes so where there are only so many.
        names = [f"class_{number}" for number in range(_count(said.get("nc", "")))]
    if names == [] and said.get("nc") == "0":
        return ()
    if not isinstance(names, list) or not _are_names(names):
        must = "names must be a list of different names, or names by number from 0"
        raise AnnotationError(f"{path}: {must}, got {shown(said.get('names', ''))}")
    if said.get("nc") and _count(said["nc"]) != len(names):
        raise AnnotationError(f"{path}: nc must be {len(names)}, the number of names, got {shown(said['nc'])}")
    return tuple(map(str, names))


def _are_names(names: list[Yaml]) -> bool:
    texts = [name for name in names if isinstance(name, str) and name and is_plain(name, _LONGEST_NAME)]
    return 0 < len(names) == len(set(texts))


def _count(value: Yaml) -> int:
    """Return a number of at most four digits, or 0."""
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,4}", value) else 0


def keypoints_of(said: Mapping[str, Yaml], path: Path) -> int:
    """Return how many numbers of keypoints follow each box.

    Raises:
        AnnotationError: `kpt_shape` is not two numbers.
    """
    shape = said.get("kpt_shape", "")
    if not shape:
        return 0
    counts = [_count(value) for value in shape] if isinstance(shape, list) else []
    if len(counts) != 2 or not all(counts):
        raise AnnotationError(f"{path}: kpt_shape must be two numbers, got {shown(shape)}")
    return counts[0] * counts[1]


def names_of_list(source: Path, files: SourceFolder) -> tuple[str, ...]:
    """Return the names of the classes of a folder without a data.yaml: the lines of one of CLASS_LISTS.

    Raises:
        AnnotationError: there is none, or it holds no different names.
    """
    place = next((place for place in CLASS_LISTS if files.has_file(place)), None)
    if place is None:
        raise AnnotationError(f"{source}: source must hold data.yaml or classes.txt, got neither")
    try:
        names: list[Yaml] = [line.strip() for line in read_utf8(files.root / place, LARGEST_YAML).splitlines()]
    except FileRefused as error:
        raise AnnotationError(f"{source / place}: {error}") from error
    while names and not names[-1]:
        names.pop()
    if not _are_names(names):
        raise AnnotationError(f"{source / place}: file must hold different names, one a line, got {shown(names)}")
    return tuple(map(str, names))
