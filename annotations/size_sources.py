"""Where images may come from, as far as their tables tell: group, folder, the beginning of the name, size."""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from annotations.tables import BoxDataset

MOST_SOURCES = 12
"""Sources of one kind beyond which they are no systems, but scenes, patients, days: sizes then vary of themselves."""
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_BEFORE_DIGITS = re.compile(r"\D*")


def sources(dataset: BoxDataset) -> Iterator[tuple[str, NDArray[np.str_]]]:
    """Give each way to tell sources apart: its name in a message, and the (I,) source of each image."""
    images = dataset.images
    names = [image_id.rsplit("/", 1)[-1] for image_id in images.image_id.tolist()]
    yield "group", images.group
    yield "folder of annotations", _folders(images.source)
    yield "folder of images", _folders(images.path)
    yield "first word of the name", _matches(_FIRST_WORD, names)
    yield "beginning of the name", _matches(_BEFORE_DIGITS, names)
    sizes = zip(images.width.tolist(), images.height.tolist(), strict=True)
    yield "image size", np.array([f"{max(size)} x {min(size)}" for size in sizes], np.str_)


def _folders(paths: NDArray[np.str_]) -> NDArray[np.str_]:
    return np.array([path.rpartition("/")[0] or "." for path in paths.tolist()], np.str_)


def _matches(pattern: re.Pattern[str], names: list[str]) -> NDArray[np.str_]:
    found = (pattern.match(name) for name in names)
    return np.array([match.group().rstrip("_- ") if match else "" for match in found], np.str_)
