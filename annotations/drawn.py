"""What every form of annotations is read into: one image with its boxes in pixels, and many of them as the tables."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.findings import Finding
from annotations.linking import NONE, link_parts, without_duplicates
from annotations.naming import Naming
from annotations.notes import Note
from annotations.shapes import Region, inside_frame
from annotations.tables import NO_PARENT, SPLITS, Annotations, BoxDataset, Images

Progress = Callable[[int, int], None]
"""Called with the number of files done and of all files."""


class DrawnImage(NamedTuple):
    """One image as it was annotated: its boxes in pixels inside the frame, and each box's parent among them."""

    image_id: str
    path: str
    width: int
    height: int
    split: str
    flags: str
    source: str
    regions: list[Region]
    parents: list[int]
    renamed: set[str]
    group: str = ""


class Patch(NamedTuple):
    """The pixels of one object: an (h, w) mask whose first pixel is column `left`, row `top` of the image."""

    left: int
    top: int
    pixels: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a source of annotations holds: its dataset, what was found on the way, and how many files were read.

    `numbers` is, for each box, its number in its annotation file (`shapes[3]` is 3). `embedded` gives, for an image row
    without a picture file, the bytes of the picture inside its annotation file. `patches` gives the pixels of each box
    of an image row, in the order of the boxes; None where the form knows none.
    """

    dataset: BoxDataset
    findings: list[Finding]
    files: int
    numbers: NDArray[np.int64]
    embedded: Mapping[int, Callable[[], bytes]] = field(default_factory=dict)
    patches: Callable[[int], Sequence[Patch]] | None = None


class Placed(NamedTuple):
    """The boxes of one image that are kept, each one's parent among them (or NONE), and which labels were renamed."""

    regions: list[Region]
    parents: list[int]
    renamed: set[str]


def placed(
    drawn: Sequence[Region],
    width: int,
    height: int,
    naming: Naming,
    notes: list[Note],
    parents: Sequence[int] | None = None,
) -> Placed:
    """Return the regions named, clipped to the frame of `width` x `height` pixels, each once, with their parents.

    `parents` are places in `drawn` (or NONE), from a form that knows them; without, `link_parts` finds them.
    What is dropped, clipped or without a parent is noted.
    """
    renamed = {region.label for region in drawn if region.label in naming.rename}
    named = _known([_named(region, naming.rename) for region in drawn], naming, notes)
    boxes = [box for region in named if (box := inside_frame(region, width, height, notes)) is not None]
    regions = without_duplicates(boxes, notes)
    if parents is None:
        return Placed(regions, link_parts(regions, naming.parts, notes), renamed)
    place_of = {region.number: place for place, region in enumerate(regions)}
    parent_of = {
        child.number: drawn[place].number for child, place in zip(drawn, parents, strict=True) if place != NONE
    }
    return Placed(regions, [place_of.get(parent_of.get(region.number, NONE), NONE) for region in regions], renamed)


def reading_of(
    root: Path, images: list[DrawnImage], naming: Naming, findings: Iterable[Finding], files: int
) -> Reading:
    """Return what a source of `files` files holds: its images' tables, `findings` and what is found of all together.

    The images' paths are below `root`.
    """
    found = [*findings, *_shared_images(images)]
    images = _without_conflicts(images, found)
    seen = {region.label for image in images for region in image.regions}
    found += naming.unused(seen, {old for image in images for old in image.renamed})
    numbers = np.array([region.number for image in images for region in image.regions], np.int64)
    return Reading(_tables(root, images, *naming.classes_of(seen)), found, files, numbers)


def _named(region: Region, rename: Mapping[str, str]) -> Region:
    # One text object a label, not one a box: files repeat a few labels a million times.
    label = sys.intern(rename.get(region.label, region.label))
    return region if label is region.label else region._replace(label=label)


def _known(regions: list[Region], naming: Naming, notes: list[Note]) -> list[Region]:
    if naming.classes is None:
        return regions
    for region in regions:
        if region.label not in naming.classes:
            message = f"label must be one of {', '.join(naming.classes)}, got {region.label!r}; dropped"
            notes.append(Note("unknown-label", region.place, message))
    return [region for region in regions if region.label in naming.classes]


def _shared_images(images: list[DrawnImage]) -> Iterable[Finding]:
    first: dict[str, DrawnImage] = {}
    for image in images:
        other = first.setdefault(image.path, image)
        if other is not image:
            message = f"{image.path} is the image of {other.source} too"
            yield Finding("shared-image", image.source, "", image.image_id, message)


def _without_conflicts(images: list[DrawnImage], findings: list[Finding]) -> list[DrawnImage]:
    """Return the images, without a split where another file puts the same image into another one; findings are added.

    To train on an image and to test on it would flatter the figures, and which file is right is not ours to guess.
    """
    splits: dict[str, set[str]] = {}
    for image in images:
        splits.setdefault(image.path, set()).update({image.split} - {""})
    torn = {path for path, names in splits.items() if len(names) > 1}
    for image in images:
        if image.path in torn:
            got = " and ".join(name for name in SPLITS if name in splits[image.path])
            message = f"split of {image.path} must be the same in all its annotation files, got {got}; left empty"
            findings.append(Finding("split-conflict", image.source, "", image.image_id, message))
    return [image._replace(split="") if image.path in torn else image for image in images]


def _tables(root: Path, images: list[DrawnImage], classes: tuple[str, ...], parts: Mapping[str, str]) -> BoxDataset:
    class_of = {name: row for row, name in enumerate(classes)}
    rows = np.repeat(np.arange(len(images)), [len(image.regions) for image in images])
    regions = [region for image in images for region in image.regions]
    # A parent is a place in its own image; its object_id is that place after the boxes of the images before.
    first = np.concatenate([[0], np.cumsum([len(image.regions) for image in images])])[rows].astype(np.int64)
    parents = np.array([parent for image in images for parent in image.parents], np.int64)
    table = _image_table(images)
    size = np.stack([table.width, table.height, table.width, table.height], axis=1)[rows]
    annotations = Annotations(
        image_row=rows,
        object_id=np.arange(len(regions)),
        parent_id=np.where(parents == NONE, NO_PARENT, first + parents),
        group_id=np.array([region.group_id for region in regions], np.str_),
        class_id=np.array([class_of[region.label] for region in regions], np.int64),
        xyxy_rel=np.array([region[2:6] for region in regions], np.float64).reshape(-1, 4) / size,
        shape_type=np.array([region.shape_type for region in regions], np.str_),
    )
    return BoxDataset(root, classes, parts, table, annotations)


def _image_table(images: list[DrawnImage]) -> Images:
    def text(name: str) -> np.ndarray[Any, np.dtype[np.str_]]:
        return np.array([getattr(image, name) for image in images], np.str_)

    return Images(
        image_id=text("image_id"),
        path=text("path"),
        width=np.array([image.width for image in images], np.int64),
        height=np.array([image.height for image in images], np.int64),
        split=text("split"),
        group=text("group"),
        flags=text("flags"),
        source=text("source"),
    )
