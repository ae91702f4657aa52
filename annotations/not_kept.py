"""What a form cannot hold of a dataset, told once each with a count: nothing is left out in silence."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from annotations.findings import Finding
from annotations.labelme import SPLIT_OF_FLAG
from annotations.tables import NO_PARENT, BoxDataset, Images

Fact = Literal["parents", "groups", "outlines", "crowd", "ignore", "flags", "image groups", "label images"]
"""What a dataset knows besides pictures, boxes, labels and splits."""

_COUNTED: Mapping[Fact, tuple[str, Callable[[BoxDataset], NDArray[np.bool_]]]] = {
    "parents": ("which object a part belongs to", lambda data: data.annotations.parent_id != NO_PARENT),
    "groups": ("group_id", lambda data: data.annotations.group_id != ""),
    "outlines": (
        "how an object was outlined (polygon, circle and so on); its box is written",
        lambda data: are_outlined(data),
    ),
    "crowd": ("that a box stands for many objects (crowd)", lambda data: data.annotations.crowd),
    "ignore": ("that a box is not to be counted (ignore)", lambda data: data.annotations.ignore),
    "flags": ("flags", lambda data: np.array([bool(other_flags(text)) for text in data.images.flags.tolist()], bool)),
    "image groups": ("the group of an image", lambda data: data.images.group != ""),
    "label images": ("label images", lambda data: data.images.labels != ""),
}
_OF_IMAGES = ("flags", "image groups", "label images")


def are_outlined(dataset: BoxDataset) -> NDArray[np.bool_]:
    """Return the (N,) mask of the boxes whose objects were outlined by more than a rectangle."""
    return ~np.isin(dataset.annotations.shape_type, ["rectangle", ""])


def facts_not_kept(form: str, dataset: BoxDataset, kept: Sequence[Fact] = ()) -> Iterator[Finding]:
    """Yield a finding for each fact but those `kept` that the dataset holds and the form named `form` does not."""
    for fact in get_args(Fact):
        if fact in kept:
            continue
        what, marked = _COUNTED[fact]
        count = int(np.count_nonzero(marked(dataset)))
        if count:
            things = "images" if fact in _OF_IMAGES else "boxes"
            yield Finding("not-kept", "", "", "", f"{form} has no place for {what}: left out of {count} {things}")


def ids_not_kept(form: str, images: Images, ids: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding where the image_ids that the written files give are not the dataset's."""
    changed = [(old, new) for old, new in zip(images.image_id.tolist(), ids, strict=True) if old != new]
    if changed:
        message = f"image_id of {len(changed)} images cannot be a file's name in {form}, or not alone"
        old, new = changed[0]
        yield Finding("not-kept", "", "", "", f"{message}; {old!r} will be read back as {new!r}, for one")


def other_flags(flags: str) -> list[str]:
    """Return the names of an image's flags that name no split; a form keeps its split otherwise."""
    return [name for name in flags.split(";") if name and name not in SPLIT_OF_FLAG]


def classes_not_kept(form: str, dataset: BoxDataset) -> Iterator[Finding]:
    """Yield a finding where classes have no box: a form without a list of its classes loses them."""
    used = set(dataset.annotations.class_id.tolist())
    lost = [name for number, name in enumerate(dataset.classes) if number not in used]
    if lost:
        message = f"{form} has no place for classes without a box: {', '.join(lost[:20])}"
        yield Finding("not-kept", "", "", "", message)


def twins_not_kept(form: str, dataset: BoxDataset, family: NDArray[np.int64]) -> Iterator[Finding]:
    """Yield a finding where boxes have the label, the box and the family of another in their image.

    `family` is an (N,) number by which the form tells such boxes apart; readers take one box that stands twice for one.
    """
    table = dataset.annotations
    named = np.stack([table.image_row, table.class_id, family], axis=1).astype(np.float64)
    keys = np.concatenate([named, table.xyxy_rel], axis=1)
    count = len(keys) - len(np.unique(keys, axis=0)) if len(keys) else 0
    if count:
        message = f"{count} boxes have the label and the place of another one, which in {form} is one box"
        yield Finding("not-kept", "", "", "", message)
