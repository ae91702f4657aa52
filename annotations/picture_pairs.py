"""Pictures beside label images, read: a box around each object that a label image numbers, or each region of it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.drawn import DrawnImage, Patch, Progress, Reading, placed, reading_of
from annotations.errors import AnnotationError, UsageError
from annotations.extents import MOST_VALUES, extents_of
from annotations.files_below import image_ids_of
from annotations.findings import Finding
from annotations.forms import ReadOptions
from annotations.imagepaths import SourceFolder
from annotations.label_files import pages_of, read_label_image
from annotations.label_images import rows_by_image
from annotations.naming import Naming
from annotations.notes import FileRefused, Note
from annotations.pair_names import Pair, find_pairs
from annotations.patches import DrawnPatches, tight
from annotations.pictures import displayed_and_stored_size
from annotations.shapes import Region

OBJECT = "object"
"""The label of objects that nobody named."""


class Numbered(NamedTuple):
    """The objects of a label image: (H, W) numbers, 0 for background, and the label of each number."""

    numbers: NDArray[Any]
    label_of: dict[int, str]
    notes: list[Note]


def read_pairs(source: Path, naming: Naming, options: ReadOptions, progress: Progress | None = None) -> Reading:
    """Return what pictures and their label images hold: see `pair_names.find_pairs` for where they lie.

    As a rule a number is an object, whose label is the one of `naming.classes`, else OBJECT; its group_id is the
    number. With masks of kind `class`, a number is a class, the n-th of `naming.classes`, and each connected region of
    it (of 8 neighbours) is an object; a label image with one number, whatever it is, is of the one class.

    Raises:
        UsageError: the names of classes do not fit the numbers.
        AnnotationError: `source` is no folder, or holds no such pair.
    """
    if not source.is_dir():
        got = "a file" if source.exists() else "no such one"
        raise AnnotationError(f"{source}: source must be a folder, got {got}")
    findings: list[Finding] = []
    folder = SourceFolder(Path(os.path.realpath(source)))
    pairs = find_pairs(folder, options.pictures, findings)
    if not pairs:
        why = "".join(f"; {finding.source}: {finding.message}" for finding in findings[:1])
        message = "source must hold pictures and label images (images/ beside labels/ or masks/, or X beside X_mask)"
        raise AnnotationError(f"{source}: {message}, got no pair{why}")
    reader = _PairReader(folder, naming, options)
    ids = image_ids_of([pair.picture for pair in pairs], [pair.key for pair in pairs])
    images: list[DrawnImage] = []
    for done, (pair, image_id) in enumerate(zip(pairs, ids, strict=True), start=1):
        image, notes = reader.image(pair, image_id)
        images += [] if image is None else [image]
        named = image_id if image else ""
        findings += [Finding(note.code, pair.label, note.shape, named, note.message) for note in notes]
        if progress is not None:
            progress(done, len(pairs))
    if options.masks == "class":
        count = sum(len(image.regions) for image in images)
        message = f"{count} objects are the connected regions of the classes in {len(images)} label images"
        findings.append(Finding("regions", "", "", "", message))
    reading = reading_of(folder.root, images, naming, findings, len(pairs))
    return replace(reading, patches=reader.patches(reading))


@dataclass(frozen=True, slots=True)
class _PairReader:
    """Reads pairs of one source."""

    folder: SourceFolder
    naming: Naming
    options: ReadOptions

    def __post_init__(self) -> None:
        classes = self.naming.classes or ()
        if self.options.masks != "class" and len(classes) > 1 and OBJECT not in classes:
            message = "classes of label images that number objects must be one"
            raise UsageError(f"classes: {message}, got {', '.join(classes)}; say --masks class where they hold classes")

    def image(self, pair: Pair, image_id: str) -> tuple[DrawnImage | None, list[Note]]:
        """Return the image of a pair, and the notes; no image where it is refused."""
        notes: list[Note] = []
        try:
            self._check_files(pair)
            width, height = self._size(pair, notes)
            found = self.numbered(pair.label, (width, height))
            regions = _regions(found, self.options.masks == "class")
        except FileRefused as error:
            return None, [error.note]
        except AnnotationError as error:
            return None, [Note("bad-label-image", "", str(error).removeprefix(f"{self.folder.root / pair.label}: "))]
        notes += found.notes
        kept = placed(regions, width, height, self.naming, notes)
        split = next(iter(pair.splits)) if len(pair.splits) == 1 else ""
        if len(pair.splits) > 1:
            got = " and ".join(sorted(pair.splits))
            notes.append(Note("several-splits", "", f"folders must name one split, got {got}; no split given"))
        return DrawnImage(image_id, pair.picture, width, height, split, "", pair.label, *kept), notes

    def numbered(self, label: str, size: tuple[int, int]) -> Numbered:
        """Return the objects of a label image.

        Raises:
            AnnotationError: it cannot be used.
            UsageError: it holds numbers of classes without a name.
        """
        numbers = read_label_image(self.folder.root / label, size)
        if self.options.masks == "class":
            return _of_classes(numbers, self.naming.classes, label)
        return _of_instances(numbers, self._label())

    def patches(self, reading: Reading) -> Callable[[int], Sequence[Patch]]:
        """Return what gives the pixels of an image's boxes; the label image is read again."""
        images, numbers = reading.dataset.images, reading.numbers
        order, bounds = rows_by_image(images, reading.dataset.annotations)

        def patches(row: int) -> Sequence[Patch]:
            size = int(images.width[row]), int(images.height[row])
            found = self.numbered(str(images.source[row]), size).numbers
            extents = extents_of(found)
            box_of = dict(zip(extents.values.tolist(), extents.xyxy.tolist(), strict=True))
            wanted = numbers[order[bounds[row] : bounds[row + 1]]].tolist()
            if not box_of.keys() >= set(wanted):
                raise AnnotationError(f"{images.source[row]}: label image must be that of a moment ago, got another")

            def draw(place: int) -> Patch:
                left, top, right, bottom = box_of[wanted[place]]
                return tight(found[top:bottom, left:right] == wanted[place], left, top)

            return DrawnPatches(draw, len(wanted))

        return patches

    def _label(self) -> str:
        classes = self.naming.classes or ()
        return classes[0] if len(classes) == 1 and OBJECT not in self.naming.rename else OBJECT

    def _check_files(self, pair: Pair) -> None:
        if not self.folder.has_file(pair.label):
            raise FileRefused("unreadable-file", "file must be an ordinary file inside the source folder, got another")
        if not pair.is_apart and not self.folder.has_file(pair.picture):
            message = f"picture must be an ordinary file inside the source folder, got another: {pair.picture}"
            raise FileRefused("unreadable-image", message)

    def _size(self, pair: Pair, notes: list[Note]) -> tuple[int, int]:
        """Return the (width, height) of a pair's label image, which must be that of its picture."""
        root = self.folder.root
        labelled = displayed_and_stored_size(root / pair.label)[1]
        if not self.options.check_images:
            return labelled
        try:
            displayed, stored = displayed_and_stored_size(root / pair.picture)
            pages = pages_of(root / pair.picture)
        except AnnotationError as error:
            fault = str(error).replace(str(root / pair.picture), pair.picture)
            raise FileRefused("unreadable-image", fault) from error
        if pages > 1:
            raise FileRefused(
                "unreadable-image", f"{pair.picture}: picture must be of one page, got a stack of {pages}"
            )
        if labelled == displayed:
            return labelled
        sizes = f"label image must be {_text(displayed)} as {pair.picture}, got {_text(labelled)}"
        if labelled == stored:
            message = f"{sizes}, its size without the EXIF rotation; the boxes are those of the picture without it"
            notes.append(Note("unrotated-size", "", message))
            return labelled
        raise FileRefused("bad-label-image", sizes)


def _regions(found: Numbered, are_regions: bool) -> list[Region]:
    """Return the box around each number, its last column and row in full."""
    # A group of its own, for two objects may have one box; regions of classes have none, for parts among them are to go
    # to the object around them.
    extents = extents_of(found.numbers)
    form = "region {}" if are_regions else "value {}"
    regions = []
    for value, box in zip(extents.values.tolist(), extents.xyxy.astype(np.float64).tolist(), strict=True):
        xmin, ymin, xmax, ymax = box
        group = "" if are_regions else str(value)
        regions.append(Region(found.label_of[value], group, xmin, ymin, xmax, ymax, "mask", value, form))
    return regions


def _of_instances(numbers: NDArray[Any], label: str) -> Numbered:
    values = extents_of(numbers).values.tolist()
    notes: list[Note] = []
    if len(values) == 1:
        regions = cv2.connectedComponents((numbers != 0).astype(np.uint8), connectivity=8)[0] - 1
        if regions > 1:
            message = f"the one value {values[0]} stands in {regions} regions, which are one object"
            notes.append(Note("one-object", "", f"{message}; with --masks class each region would be one"))
    return Numbered(numbers, dict.fromkeys(values, label), notes)


def _of_classes(numbers: NDArray[Any], classes: Sequence[str] | None, source: str) -> Numbered:
    extents = extents_of(numbers)
    values = extents.values.tolist()
    two_valued = len(values) == 1 and len(classes or (OBJECT,)) == 1
    if classes is None and not two_valued and values:
        got = f"none, and the value {values[-1]} in {source}"
        raise UsageError(f"classes: the classes that label images number from 1 must be named by --classes, got {got}")
    names = classes or (OBJECT,)
    if not two_valued and values and values[-1] > len(names):
        got = f"{values[-1]}"
        raise AnnotationError(f"label image must hold 0 to {len(names)}, for {', '.join(names)}, got {got}")
    connected = np.zeros(numbers.shape, np.int32)
    label_of: dict[int, str] = {}
    for value, (left, top, right, bottom) in zip(values, extents.xyxy.tolist(), strict=True):
        window = (slice(top, bottom), slice(left, right))
        count, regions = cv2.connectedComponents((numbers[window] == value).astype(np.uint8), connectivity=8)
        first = len(label_of)
        if first + count > MOST_VALUES:
            raise AnnotationError(f"label image must hold at most {MOST_VALUES:,} regions, got more")
        connected[window] += np.where(regions > 0, regions + first, 0)
        name = names[0] if two_valued else names[value - 1]
        label_of |= dict.fromkeys(range(first + 1, first + count), name)
    return Numbered(connected, label_of, [])


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
