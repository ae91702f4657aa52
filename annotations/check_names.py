"""Names of classes: the same one written in two ways, and those that nobody drew."""

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from annotations.sightings import Sighting, View, sighting_of_all
from annotations.tables import BoxDataset

_SEPARATORS = re.compile(r"[\s_\-]+")
_LEAST_STEM = 3
"""Letters that must be left before a final s counts as a plural: "gas" is no plural of "ga"."""


def plain_label(label: str) -> str:
    """Return what is left of a label without case, spaces, hyphens, underscores and a plural s.

    Labels that differ in these alone are most likely one label, typed in two ways.
    """
    plain = _SEPARATORS.sub("", label.casefold())
    is_plural = len(plain) > _LEAST_STEM and plain.endswith("s") and not plain.endswith("ss")
    return plain[:-1] if is_plural else plain


def check_names(dataset: BoxDataset) -> Iterator[Sighting]:
    """Give the sightings of similar labels, and of classes without any box."""
    count = np.bincount(dataset.annotations.class_id, minlength=len(dataset.classes))
    alike: defaultdict[str, list[int]] = defaultdict(list)
    for class_id, label in enumerate(dataset.classes):
        alike[plain_label(label)].append(class_id)
    for class_ids in alike.values():
        if len(class_ids) > 1:
            yield _similar(dataset, sorted(class_ids, key=lambda class_id: -int(count[class_id])), count.tolist())
    for label in (dataset.classes[class_id] for class_id in np.flatnonzero(count == 0)):
        yield sighting_of_all("unused-class", f"class {label!r} must have boxes, got none")


def _similar(dataset: BoxDataset, class_ids: list[int], count: list[int]) -> Sighting:
    got = " and ".join(f"{dataset.classes[class_id]!r} ({count[class_id]} boxes)" for class_id in class_ids)
    kept = dataset.classes[class_ids[0]]
    renames = " ".join(f"--rename {shlex.quote(f'{dataset.classes[row]}={kept}')}" for row in class_ids[1:])
    table = dataset.annotations
    views = [
        View(int(table.image_row[row]), (int(row),), dataset.classes[class_id])
        for class_id in class_ids
        for row in np.flatnonzero(table.class_id == class_id)[:6]
    ]
    message = f"labels must differ by more than their way of writing, got {got}; if they are one: convert {renames}"
    return sighting_of_all("similar-labels", message, views)
