"""How often each training image is drawn: weights for where images come from, by folder, flag or group."""

import math
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from annotations.errors import UsageError
from annotations.tables import SPLITS, Images
from detector.settings import Sampling

_MOST_LISTED = 20


def image_names(images: Images) -> Iterator[frozenset[str]]:
    """Yield, for each image, the names it can be drawn by: its true flags, its group, its annotation file's folders.

    A folder is named as it lies below the folder that was converted: `site_2/night` for `site_2/night/a.json`, which
    lies in `site_2` as well.
    """
    columns = (column.tolist() for column in (images.flags, images.group, images.source))
    for flags, group, source in zip(*columns, strict=True):
        yield frozenset(filter(None, [*flags.split(";"), group, *_folders(source)]))


def _folders(source: str) -> list[str]:
    folder, found = posixpath.dirname(source), []
    while folder not in ("", "/"):
        found.append(folder)
        folder = posixpath.dirname(folder)
    return found


def image_weights(images: Images, sampling: Sampling) -> NDArray[np.float64] | None:
    """Return the (N,) weights of images: the product of those of an image's names, 1 without any; None where all are 1.

    Raises:
        UsageError: a name is that of no image, or no image is left to be drawn.
    """
    if not sampling:
        return None
    wanted, seen = dict(sampling), set[str]()
    weight = np.ones(len(images))
    for row, own in enumerate(image_names(images)):
        mine = own & wanted.keys()
        weight[row] = math.prod(wanted[name] for name in sorted(mine))
        seen |= mine
    for name in wanted.keys() - seen:
        raise UsageError(
            f"settings: sampling must name a folder, flag or group of the training images, got {name!r}; "
            f"there are {_listed(image_names(images))}"
        )
    if not weight.any():
        raise UsageError("settings: sampling must leave an image to be drawn, got weight 0 for all")
    return weight


def _listed(names: Iterable[frozenset[str]]) -> str:
    counts = Counter(name for own in names for name in own if name not in SPLITS)
    listed = [f"{name} ({count})" for name, count in counts.most_common(_MOST_LISTED)]
    more = len(counts) - len(listed)
    return ", ".join([*listed, *([f"{more} more"] if more else [])]) or "none"


def sampling_text(images: Images, sampling: Sampling) -> str:
    """Return what the weights come to: of each name, its images and the share of an epoch's draws they have.

    Raises:
        UsageError: see `image_weights`.
    """
    weight, names = image_weights(images, sampling), list(image_names(images))
    if weight is None:
        return "every image once an epoch"
    parts = []
    for name, value in sampling:
        mine = np.array([name in own for own in names])
        parts.append(f"{name} (weight {value:g}): {mine.sum()} images, {weight[mine].sum() / weight.sum():.1%}")
    rest = np.array([not own & dict(sampling).keys() for own in names])
    if rest.any():
        parts.append(f"others (weight 1): {rest.sum()} images, {weight[rest].sum() / weight.sum():.1%}")
    return f"share of an epoch's draws: {'; '.join(parts)}"
