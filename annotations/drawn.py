"""What every form of annotations is read into: one image with its boxes in pixels, and many of them as the tables."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.columns import fixed
from annotations.drawn_columns import DrawnColumns, ImageRow, image_table
from annotations.findings import Finding
from annotations.linking import NONE, link_parts, without_duplicates
from annotations.naming import Naming
from annotations.notes import Note
from annotations.shapes import Region, inside_frame
from annotations.tables import NO_PARENT, SPLITS, Annotations, BoxDataset, Images, relative
from annotations.words import Words

Progress = Callable[[int, int], None]
"""Called with the number of files done and of all files."""


class DrawnImage(NamedTuple):
    """One image as it was annotated: its boxes in pixels inside the frame, and each box's parent among them.

    `embedded` gives the bytes of the picture that its annotation file holds, where no picture file was found.
    """

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
    embedded: Callable[[], bytes] | None = None


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
    root: Path, images: Sequence[DrawnImage], naming: Naming, findings: Iterable[Finding], files: int
) -> Reading:
    """Return what a source of `files` files holds: its images' tables, `findings` and what is found of all together.

    The images' paths are below `root`.
    """
    return reading_of_columns(root, columns_of(images), naming, findings, files)


def reading_of_columns(
    root: Path, drawn: DrawnColumns, naming: Naming, findings: Iterable[Finding], files: int
) -> Reading:
    """Return what `reading_of` returns, of images that are columns already."""
    images, found = drawn.images, list(findings)
    if len(set(images.path.tolist())) < len(images):
        found += _shared_images(images)
        images = _without_conflicts(images, found)
    seen = drawn.label.used()
    found += naming.unused(seen, set(drawn.renamed))
    classes, parts = naming.classes_of(seen)
    dataset = BoxDataset(root, classes, parts, images, _annotations(drawn, images, classes))
    return Reading(dataset, found, files, drawn.number, drawn.embedded)


def columns_of(images: Sequence[DrawnImage]) -> DrawnColumns:
    """Return the images as columns."""
    regions = [region for image in images for region in image.regions]
    return DrawnColumns(
        images=image_table([ImageRow(*image[:7], image.group) for image in images]),
        boxes=np.array([len(image.regions) for image in images], np.int64),
        label=Words.of([region.label for region in regions]),
        group_id=Words.of([region.group_id for region in regions]),
        shape_type=Words.of([region.shape_type for region in regions]),
        xyxy=np.array([region[2:6] for region in regions], np.float64).reshape(-1, 4),
        parent=np.array([parent for image in images for parent in image.parents], np.int64),
        number=np.array([region.number for region in regions], np.int64),
        renamed=frozenset[str]().union(*(image.renamed for image in images)),
        embedded={row: image.embedded for row, image in enumerate(images) if image.embedded is not None},
    )


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


def _shared_images(images: Images) -> Iterable[Finding]:
    first: dict[str, int] = {}
    sources, image_ids = images.source.tolist(), images.image_id.tolist()
    for row, path in enumerate(images.path.tolist()):
        other = first.setdefault(path, row)
        if other != row:
            message = f"{path} is the image of {sources[other]} too"
            yield Finding("shared-image", sources[row], "", image_ids[row], message)


def _without_conflicts(images: Images, findings: list[Finding]) -> Images:
    """Return the images, without a split where another file puts the same image into another one; findings are added.

    To train on an image and to test on it would flatter the figures, and which file is right is not ours to guess.
    """
    splits: dict[str, set[str]] = {}
    paths, split = images.path.tolist(), images.split.tolist()
    for path, name in zip(paths, split, strict=True):
        splits.setdefault(path, set()).update({name} - {""})
    torn = [row for row, path in enumerate(paths) if len(splits[path]) > 1]
    for row in torn:
        got = " and ".join(name for name in SPLITS if name in splits[paths[row]])
        message = f"split of {paths[row]} must be the same in all its annotation files, got {got}; left empty"
        findings.append(Finding("split-conflict", str(images.source[row]), "", str(images.image_id[row]), message))
        split[row] = ""
    return replace(images, split=np.array(split, np.str_)) if torn else images


def _annotations(drawn: DrawnColumns, images: Images, classes: tuple[str, ...]) -> Annotations:
    class_of = {name: row for row, name in enumerate(classes)}
    # A word that no box has is no class.
    class_of_code = np.array([class_of.get(word, -1) for word in drawn.label.words], np.int64)
    rows = drawn.image_row
    return Annotations(
        image_row=fixed(rows),
        object_id=fixed(np.arange(len(rows))),
        # A parent is a place in its own image; its object_id is that place after the boxes of the images before.
        parent_id=fixed(np.where(drawn.parent == NONE, NO_PARENT, drawn.first_box[rows] + drawn.parent)),
        group_id=fixed(drawn.group_id.texts()),
        class_id=fixed(class_of_code[drawn.label.codes]),
        xyxy_rel=fixed(relative(images, rows, drawn.xyxy)),
        shape_type=fixed(drawn.shape_type.texts()),
    )
