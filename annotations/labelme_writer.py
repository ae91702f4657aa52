"""A box dataset to Labelme files, one an image, which Labelme 5 to 7 open: rectangles, groups, the split as a flag."""

import posixpath
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from annotations.errors import AnnotationError
from annotations.files_below import image_ids_of
from annotations.findings import Finding
from annotations.frames import is_resized
from annotations.labelme_groups import groups_of
from annotations.linking import NONE
from annotations.not_kept import classes_not_kept, facts_not_kept, ids_not_kept, other_flags
from annotations.picture_files import PictureFiles
from annotations.pictures import displayed_and_stored_size
from annotations.shapes import Region
from annotations.tables import Annotations, BoxDataset
from annotations.written_keys import keys_of

VERSION = "5.5.0"
"""Of Labelme's form: the oldest whose files have all keys that later ones ask for."""


def write_labelme(
    aside: Path,
    final: Path,
    dataset: BoxDataset,
    pictures: PictureFiles,
    descriptions: Sequence[str] | None = None,
) -> list[Finding]:
    """Return what Labelme files cannot hold of a dataset; they are written into `aside`, one an image.

    Each box is a rectangle of two points. Objects and their parts share a group_id that nothing else in the image has;
    the split is the one split flag that is true. `descriptions` gives the `description` of each box, such as the score
    of a prediction. Labelme refuses a file whose size is not its picture's: where a picture was resized since, the
    boxes are written in its present pixels.
    """
    writer = _Writer(dataset, descriptions)
    keys = keys_of(dataset.images)
    for row, key in enumerate(keys):
        suffix = posixpath.splitext(str(dataset.images.path[row]))[1]
        path = pictures.place(aside, final, dataset, row, f"{key}{suffix}")
        beside = _seen_from(posixpath.dirname(key), path)
        target = aside / f"{key}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(orjson.dumps(writer.document(row, beside), option=orjson.OPT_INDENT_2))
    told = [*facts_not_kept("Labelme", dataset, kept=("parents", "groups", "flags")), *writer.told()]
    told += classes_not_kept("Labelme", dataset)
    ids = image_ids_of([f"{key}.json" for key in keys], keys)
    return [*told, *ids_not_kept("Labelme", dataset.images, ids)]


def _seen_from(folder: str, path: str) -> str:
    """Return a path from a folder below the one that it is relative to.

    Not by relpath: it begins in the current folder, and a path that leads above the root of that would be cut short.
    """
    if folder and path.startswith(f"{folder}/"):
        return path[len(folder) + 1 :]
    return "../" * len([part for part in folder.split("/") if part]) + path


class _Writer:
    """Makes the documents of a dataset's images; counts what is told once for all of them."""

    def __init__(self, dataset: BoxDataset, descriptions: Sequence[str] | None) -> None:
        self.dataset = dataset
        self.descriptions = descriptions
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        self.order = np.argsort(dataset.annotations.image_row, kind="stable")
        rows = dataset.annotations.image_row[self.order]
        self.bounds = np.searchsorted(rows, np.arange(len(dataset.images) + 1)).tolist()

    def document(self, row: int, image_path: str) -> dict[str, Any]:
        """Return the JSON of one image, whose picture lies at `image_path` from its file."""
        images = self.dataset.images
        width, height = self._size(row)
        split = str(images.split[row])
        flags = [*other_flags(str(images.flags[row])), *([split] if split else [])]
        return {
            "version": VERSION,
            "flags": dict.fromkeys(flags, True),
            "shapes": self._shapes(row, width, height),
            "imagePath": image_path,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }

    def told(self) -> Iterator[Finding]:
        """Yield what was found on the way."""
        for code, message in _TOLD.items():
            if self.counts[code]:
                text = message.format(count=self.counts[code], first=self.first[code])
                yield Finding(code if code in _OWN_CODES else "not-kept", "", "", "", text)
        if np.isin(self.dataset.annotations.class_id, self.dataset.part_class_ids).any():
            said = ",".join(f"{part}:{whole}" for part, whole in self.dataset.parts.items())
            message = (
                f"Labelme has no place for which labels are parts; say --parts {shlex.quote(said)} when it is read"
            )
            yield Finding("not-kept", "", "", "", message)

    def _size(self, row: int) -> tuple[int, int]:
        frame = int(self.dataset.images.width[row]), int(self.dataset.images.height[row])
        try:
            displayed, stored = displayed_and_stored_size(self.dataset.picture(row))
        except AnnotationError:
            return frame  # the picture's own finding says so
        if displayed == frame:
            return frame
        if is_resized(frame, displayed):
            self._count("stale-size", row)
            return displayed
        self._count("unrotated-size" if frame == stored else "size-mismatch", row)
        return frame

    def _shapes(self, row: int, width: int, height: int) -> list[dict[str, Any]]:
        rows = self.order[self.bounds[row] : self.bounds[row + 1]]
        table = self.dataset.annotations.take(rows)
        boxes = (table.xyxy_rel * np.array([width, height, width, height], np.float64)).tolist()
        labels = [self.dataset.classes[class_id] for class_id in table.class_id.tolist()]
        regions = [
            Region(label, group, xmin, ymin, xmax, ymax, "rectangle", number)
            for number, (label, group, (xmin, ymin, xmax, ymax)) in enumerate(
                zip(labels, table.group_id.tolist(), boxes, strict=True)
            )
        ]
        groups = groups_of(regions, _parents(table), self.dataset.parts)
        self._count("groups", row, groups.changed)
        self._count("parents", row, groups.lost)
        texts = [self.descriptions[place] if self.descriptions else "" for place in rows.tolist()]
        return [_shape(*drawn) for drawn in zip(regions, groups.numbers, texts, strict=True)]

    def _count(self, what: str, row: int, count: int = 1) -> None:
        self.counts[what] += count
        if count:
            self.first.setdefault(what, str(self.dataset.images.image_id[row]))


_OWN_CODES = ("stale-size", "unrotated-size", "size-mismatch")
_TOLD = {
    "groups": "group_id of {count} boxes is another number, so that parts stay with their objects; first in {first}",
    "parents": "{count} boxes lose the object that they belong to, for parts does not speak of it; first in {first}",
    "stale-size": "{count} pictures were resized since; boxes are written in their present pixels; first {first}",
    "unrotated-size": "{count} pictures are turned by EXIF, their boxes not; Labelme refuses them; first {first}",
    "size-mismatch": "{count} pictures have another size than their boxes' frame; Labelme refuses them; first {first}",
}


def _shape(region: Region, group_id: int | None, description: str) -> dict[str, Any]:
    return {
        "label": region.label,
        "points": [[region.xmin, region.ymin], [region.xmax, region.ymax]],
        "group_id": group_id,
        "description": description,
        "shape_type": "rectangle",
        "flags": {},
        "mask": None,
    }


def _parents(table: Annotations) -> list[int]:
    """Return the place of each box's parent among these, or NONE."""
    place_of = {number: place for place, number in enumerate(table.object_id.tolist())}
    return [place_of.get(parent, NONE) for parent in table.parent_id.tolist()]
