"""A box dataset as COCO JSON: one file a split, with what COCO has no place for under keys of our own."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from annotations.coco_reader import OWN
from annotations.drawn import Patch
from annotations.errors import AnnotationError
from annotations.findings import Finding
from annotations.label_images import Patches, dataset_patches, rows_by_image
from annotations.not_kept import are_outlined
from annotations.picture_files import PictureFiles, picture_names
from annotations.rle import rle_of
from annotations.tables import NO_PARENT, SPLITS, BoxDataset, pixels
from annotations.version import VERSION

FOLDER = "annotations"
"""Where the JSON files lie; pictures that are copied or linked lie in `images/` beside it."""


def write_coco(aside: Path, final: Path, dataset: BoxDataset, pictures: PictureFiles) -> list[Finding]:
    """Write `annotations/instances_SPLIT.json`, and for images without a split `instances_all.json`.

    Ids count from 1, images and annotations each through all files. Annotations have `parent_id` (an annotation's id),
    `group_id` and `shape_type` too, images `image_id`, `split`, `group` and `flags`, and `info` the parts. The
    segmentation is a run-length code where the dataset has label images of its objects, else empty, which is told.
    """
    findings: list[Finding] = []
    folder = aside / FOLDER
    folder.mkdir(parents=True)
    images = _images(aside, final, dataset, pictures)
    order, bounds = rows_by_image(dataset.images, dataset.annotations)
    patches = dataset_patches(dataset)
    if patches is None:
        findings += _outlines_lost(dataset)
    boxes = _Boxes(dataset)
    for split in (*SPLITS, ""):
        rows = dataset.images.rows_of(split).tolist()
        if not rows and (split or len(dataset.images)):
            continue
        annotations = []
        for row in rows:
            own = order[bounds[row] : bounds[row + 1]].tolist()
            objects = None if patches is None else _patches_of(dataset, row, patches, findings)
            annotations += [boxes.annotation(place, row, objects, number) for number, place in enumerate(own)]
        content = {
            "info": _info(dataset),
            "licenses": [],
            "images": [images[row] for row in rows],
            "annotations": annotations,
            "categories": _categories(dataset),
        }
        (folder / f"instances_{split or 'all'}.json").write_bytes(orjson.dumps(content))
    return findings


def _outlines_lost(dataset: BoxDataset) -> Iterator[Finding]:
    count = int(np.count_nonzero(are_outlined(dataset)))
    if count:
        message = f"outlines of {count} boxes are left out, their boxes written; --masks instance, where the outlines"
        yield Finding("not-kept", "", "", "", f"{message} are, writes segmentations")


def _images(aside: Path, final: Path, dataset: BoxDataset, pictures: PictureFiles) -> list[dict[str, Any]]:
    table = dataset.images
    columns = (table.image_id, table.width, table.height, table.split, table.group, table.flags)
    rows = zip(*(column.tolist() for column in columns), picture_names(table), strict=True)
    return [
        {
            "id": row + 1,
            "file_name": pictures.place(aside, final, dataset, row, f"images/{name}"),
            "width": width,
            "height": height,
            "image_id": image_id,
            "split": split,
            "group": group,
            "flags": flags.split(";") if flags else [],
        }
        for row, (image_id, width, height, split, group, flags, name) in enumerate(rows)
    ]


class _Boxes:
    """The boxes of a dataset, ready for JSON."""

    def __init__(self, dataset: BoxDataset) -> None:
        table, self._images = dataset.annotations, dataset.images
        xyxy = pixels(dataset.images, table.image_row, table.xyxy_rel)
        self._xywh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1).tolist()
        self._class_id, self._parents = table.class_id.tolist(), _parent_ids(dataset)
        self._groups, self._types = table.group_id.tolist(), table.shape_type.tolist()
        self._crowd, self._ignore = table.crowd.tolist(), table.ignore.tolist()

    def annotation(self, place: int, row: int, objects: Sequence[Patch] | None, number: int) -> dict[str, Any]:
        """Return one box: at `place` in the table, the `number`-th of image `row`, whose boxes have these pixels."""
        box = self._xywh[place]
        entry = {
            "id": place + 1,
            "image_id": row + 1,
            "category_id": self._class_id[place] + 1,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": int(self._crowd[place]),
            "segmentation": [],
            "parent_id": self._parents[place],
            "group_id": self._groups[place] or None,
            "shape_type": self._types[place],
        }
        if self._ignore[place]:
            entry["ignore"] = 1
        if objects is not None:
            patch = objects[number]
            entry["area"] = int(patch.pixels.sum())
            entry["segmentation"] = rle_of(patch, int(self._images.width[row]), int(self._images.height[row]))
        return entry


def _patches_of(dataset: BoxDataset, row: int, patches: Patches, findings: list[Finding]) -> Sequence[Patch] | None:
    try:
        return patches(row)
    except AnnotationError as error:
        source, image_id = str(dataset.images.source[row]), str(dataset.images.image_id[row])
        findings.append(Finding("bad-label-image", source, "", image_id, f"{error}; no segmentation written"))
        return None


def _parent_ids(dataset: BoxDataset) -> list[int | None]:
    table = dataset.annotations
    id_of = {object_id: place + 1 for place, object_id in enumerate(table.object_id.tolist())}
    return [None if parent == NO_PARENT else id_of[parent] for parent in table.parent_id.tolist()]


def _info(dataset: BoxDataset) -> Mapping[str, Any]:
    return {"description": "written by ppnlab", OWN: {"version": VERSION, "parts": dict(dataset.parts)}}


def _categories(dataset: BoxDataset) -> list[dict[str, Any]]:
    return [
        {"id": class_id + 1, "name": name, "supercategory": dataset.parts.get(name, "")}
        for class_id, name in enumerate(dataset.classes)
    ]
