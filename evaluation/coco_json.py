"""Truth and results as COCO JSON holds them, strictly: what cannot be scored as it stands is refused by name.

Source: the data format page of the COCO data set (bbox is [x, y, width, height] in pixels from the top left corner).
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from annotations.coco_document import (
    LARGEST_FILE,
    CocoDocument,
    Entries,
    OnFault,
    boxes,
    entries_of,
    kind_of,
    looked_up,
    numbers,
    parsed,
    read_coco_document,
)
from annotations.detections import FARTHEST
from annotations.errors import AnnotationError
from annotations.notes import FileRefused
from annotations.plain_files import read_plain
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Boxes, Detections, Images, relative
from evaluation.coco_results import quick_results

_IDS = "coco_ids"


def read_coco_truth(path: Path, left_out: list[str] | None = None) -> BoxDataset:
    """Return the truth of a COCO JSON file; classes stand in the order of their ids, `image_id` is the file's stem.

    Where stems clash it is the file's name without suffix, and where files have no name the image's number; our own
    `image_id` comes before them. Boxes are as the file has them, also where they leave their image. With `left_out`,
    images and annotations at fault, and the annotations of such images, are left out, and told of in it, in place of an
    error; without its categories nothing can be read.

    Raises:
        AnnotationError: the file cannot be read, or an entry is at fault; file, list and place are named.
    """
    faults = _Faults(path, {} if left_out is None else {"images": left_out, "annotations": left_out})
    fault = faults.take
    try:
        document = read_coco_document(path, fault)
    except FileRefused as error:
        raise AnnotationError(f"{path}: {error}") from error
    _refuse_incomplete(document, fault)
    document, place = _sound_part(document, faults)
    images, rows = _image_table(path, document), len(place)
    annotations = Annotations(
        image_row=document.image_row,
        object_id=place,
        parent_id=np.full(rows, NO_PARENT),
        group_id=np.full(rows, ""),
        class_id=document.class_id,
        xyxy_rel=relative(images, document.image_row, document.xyxy),
        shape_type=np.full(rows, "rectangle"),
        crowd=document.crowd,
        ignore=document.ignore,
    )
    summary = {_IDS: {"images": document.image_rows, "categories": document.class_ids}}
    return BoxDataset(path.parent, document.names, {}, images, annotations, summary)


def read_coco_results(path: Path, truth: BoxDataset, left_out: list[str] | None = None) -> Detections:
    """Return the detections of a COCO results file (a list of image_id, category_id, bbox and score).

    Ids are those of the COCO file that `truth` was read from. For another truth, image_id must be its image_id and
    category_id the name of a class: its numbers would be a guess. With `left_out`, entries at fault are left out, and
    told of in it, in place of an error.

    Raises:
        AnnotationError: the file cannot be read, or an entry is at fault; file and place are named.
    """
    faults = _Faults(path, {} if left_out is None else {"results": left_out})
    fault = faults.take
    ids: Mapping[str, Mapping[Hashable, int]] = truth.summary.get(_IDS) or {
        "images": {name: row for row, name in enumerate(truth.images.image_id.tolist())},
        "categories": {name: class_id for class_id, name in enumerate(truth.classes)},
    }
    try:
        data = read_plain(path, LARGEST_FILE)
        quick = quick_results(data, truth.images, ids["images"], ids["categories"])
        if quick is not None:
            return quick
        # Whatever was odd, reading entry by entry either knows it or names it.
        document = parsed(data)
    except FileRefused as error:
        raise AnnotationError(f"{path}: {error}") from error
    if not isinstance(document, list):
        raise AnnotationError(f"{path}: results must be a list, got {kind_of(document)}")
    rows = entries_of({"results": document}, "results", fault)
    image_row = looked_up("results", rows, "image_id", ids["images"], fault)
    class_id = looked_up("results", rows, "category_id", ids["categories"], fault)
    xyxy = boxes("results", rows, fault)
    _refuse_empty("results", rows, xyxy, fault)
    _refuse_far("results", rows, xyxy, image_row, _sides(truth.images.width, truth.images.height), fault)
    score = numbers("results", rows, "score", 0, fault)
    sound = faults.sound("results", len(rows))
    image_row, class_id, score, xyxy = image_row[sound], class_id[sound], score[sound], xyxy[sound]
    return Detections(
        image_row=image_row,
        object_id=np.arange(len(image_row)),
        parent_id=np.full(len(image_row), NO_PARENT),
        class_id=class_id,
        score=score,
        xyxy_rel=relative(truth.images, image_row, xyxy),
    )


@dataclass(frozen=True, slots=True)
class _Faults:
    """Refuses a file at its first fault, but for the lists whose faults are gathered in `left_out`."""

    path: Path
    left_out: Mapping[str, list[str]]
    _places: dict[str, set[int]] = field(default_factory=dict)

    def take(self, name: str, index: int, message: str) -> None:
        """Take note of a fault.

        Raises:
            AnnotationError: it is in a list whose faults are not gathered.
        """
        told = f"{self.path}: {name}[{index}]: {message}"
        if name not in self.left_out:
            raise AnnotationError(told)
        places = self._places.setdefault(name, set())
        if index not in places:
            places.add(index)
            self.left_out[name].append(told)

    def sound(self, name: str, rows: int) -> NDArray[np.bool_]:
        """Return the (N,) mask of the entries of a list without a fault."""
        sound = np.ones(rows, np.bool_)
        sound[list(self._places.get(name, ()))] = False
        return sound


def _sound_part(document: CocoDocument, faults: _Faults) -> tuple[CocoDocument, NDArray[np.int64]]:
    """Return what is left without the images at fault, their annotations and those at fault; and the places of these.

    The annotations of images at fault are told of.
    """
    images = faults.sound("images", len(document.images))
    # Row -1, of an annotation without any image, is the one appended: told of already.
    lost = ~np.append(images, True)[document.image_row]
    for index in np.flatnonzero(lost).tolist():
        got = document.annotations[index].get("image_id")
        faults.take("annotations", index, f"image_id must be that of an image that is not left out, got {got!r}")
    sound = faults.sound("annotations", len(document.annotations))
    if images.all() and sound.all():
        return document, np.arange(len(sound))
    new_row = np.cumsum(images) - 1
    whole = replace(
        document,
        image_rows={key: int(new_row[row]) for key, row in document.image_rows.items() if images[row]},
        images=list(compress(document.images, images)),
        files=list(compress(document.files, images)),
        width=document.width[images],
        height=document.height[images],
        annotations=list(compress(document.annotations, sound)),
        image_row=new_row[document.image_row[sound]],
        class_id=document.class_id[sound],
        xyxy=document.xyxy[sound],
        crowd=document.crowd[sound],
        ignore=document.ignore[sound],
    )
    return whole, np.flatnonzero(sound)


def _refuse_incomplete(document: CocoDocument, fault: OnFault) -> None:
    """Call `fault` where an image has no size or an annotation no box: what could be repaired cannot be scored."""
    for key, lengths in (("width", document.width), ("height", document.height)):
        for index in np.flatnonzero(lengths == 0).tolist():
            fault("images", index, f"{key} must be a finite number, got {document.images[index].get(key)!r}")
    for index in np.flatnonzero(np.isnan(document.xyxy[:, 0])).tolist():
        got = document.annotations[index].get("bbox")
        image = document.annotations[index].get("image_id")
        fault("annotations", index, f"bbox must be 4 finite numbers, got {got!r:.200} (image_id {image!r:.80})")
    _refuse_empty("annotations", document.annotations, document.xyxy, fault)
    sides = _sides(document.width, document.height)
    _refuse_far("annotations", document.annotations, document.xyxy, document.image_row, sides, fault)


def _sides(width: NDArray[np.int64], height: NDArray[np.int64]) -> Boxes:
    """Return the (I + 1, 4) lengths that the xyxy of an image's boxes are measured in; the last, endless, of none."""
    sides = np.stack([width, height, width, height], axis=1).astype(np.float64)
    return np.concatenate([np.where(sides > 0, sides, np.inf), np.full((1, 4), np.inf)])


def _refuse_empty(name: str, entries: Entries, xyxy: Boxes, fault: OnFault) -> None:
    for index in np.flatnonzero((xyxy[:, 2:] <= xyxy[:, :2]).any(axis=1)).tolist():
        entry = entries[index]
        got = f"{entry['bbox']} (image_id {entry.get('image_id')!r:.80})"
        fault(name, index, f"bbox must have a width and a height above 0, got {got}")


def _refuse_far(
    name: str, entries: Entries, xyxy: Boxes, image_row: NDArray[np.int64], sides: Boxes, fault: OnFault
) -> None:
    """Call `fault` for the (N, 4) xyxy pixels that lie too many sizes of their image, one of `sides`, away from it."""
    if max(xyxy.max(initial=0), -xyxy.min(initial=0)) <= FARTHEST:
        return  # as nearly always: that many pixels are near an image of any size
    for index in np.flatnonzero((np.abs(xyxy) > FARTHEST * sides[image_row]).any(axis=1)).tolist():
        entry = entries[index]
        got = f"{entry['bbox']} (image_id {entry.get('image_id')!r:.80})"
        fault(name, index, f"bbox must be within {FARTHEST:g} sizes of its image, got {got}")


def _image_table(path: Path, document: CocoDocument) -> Images:
    count = len(document.images)
    blank = np.full(count, "")
    files = document.files if document.has_plain_files else [_inside(file) for file in document.files]
    return Images(
        image_id=np.array(document.image_names(), np.str_),
        path=np.array(files, np.str_),
        width=document.width,
        height=document.height,
        split=blank,
        group=blank,
        flags=blank,
        source=np.full(count, path.name),
    )


def _inside(file: str) -> str:
    """Return the path of a picture below the folder of the truth, or "" for one that would lead out of it."""
    path = PurePosixPath(file.replace("\\", "/"))
    leads_out = path.is_absolute() or ".." in path.parts or PureWindowsPath(file).is_absolute()
    return "" if leads_out or not path.name else str(path)
