"""Label images of a box dataset: the pixels of each object, numbered as its boxes are, or the class of each pixel.

A label image has the size of its image in images.csv. Of kind `instance`, the box that stands k-th among its image's
boxes in boxes.csv, from 0, has the value k + 1; of kind `class`, an object has 1 + its class_id, the place of its label
in dataset.json. 0 is background. An object may have pixels beside its box, for an outline is drawn through the pixels
that its points lie in, and a part covers those of its object.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.drawn import Patch, Progress
from annotations.errors import AnnotationError
from annotations.extents import extents_of
from annotations.findings import Finding
from annotations.forms import MaskKind
from annotations.label_files import read_label_image, write_label_image
from annotations.masks import LARGEST_MASK
from annotations.painting import Painted, painted
from annotations.patches import DrawnPatches, empty_patch, tight
from annotations.picture_files import safe_stems
from annotations.tables import Annotations, BoxDataset, Images

FOLDER = "labels"
Patches = Callable[[int], Sequence[Patch]]
"""Called with an image row, returns the pixels of its boxes, in their order."""


def write_label_images(
    aside: Path,
    images: Images,
    annotations: Annotations,
    patches: Patches,
    kind: MaskKind,
    progress: Progress | None = None,
) -> tuple[Images, list[Finding]]:
    """Return the images with their label images, which are written to `labels/` in `aside`, and what was found.

    Smaller objects lie over larger ones, and parts over their objects; pixels that an object loses to another (of kind
    `class`: to another class) are a finding, to its own parts none. One image is in memory at a time. An image whose
    label image cannot be made has none, and an error among the findings.
    """
    findings: list[Finding] = []
    order, bounds = rows_by_image(images, annotations)
    paths: list[str] = []
    for row, stem in enumerate(safe_stems(images)):
        boxes = annotations.take(order[bounds[row] : bounds[row + 1]])
        try:
            result = _painted_image(images, row, boxes, patches, kind)
        except AnnotationError as error:
            paths.append("")
            findings.append(_finding(images, row, "no-label-image", str(error)))
        else:
            labels = result.labels if kind == "instance" else _class_numbers(result.labels, boxes)
            paths.append(write_label_image(aside / FOLDER / stem, labels).relative_to(aside).as_posix())
            findings += _losses(images, row, boxes, result)
        if progress is not None:
            progress(row + 1, len(images))
    return replace(images, labels=np.array(paths, np.str_)), findings


def rows_by_image(images: Images, annotations: Annotations) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the (N,) rows of the boxes, image by image, and the (I + 1,) places in them where each image begins."""
    order = np.argsort(annotations.image_row, kind="stable")
    return order, np.searchsorted(annotations.image_row[order], np.arange(len(images) + 1))


def parents_within(boxes: Annotations) -> NDArray[np.int64]:
    """Return for each of one image's (K,) boxes the place among them of its parent, or -1."""
    place_of = {object_id: place for place, object_id in enumerate(boxes.object_id.tolist())}
    return np.array([place_of.get(parent, -1) for parent in boxes.parent_id.tolist()], np.int64)


def dataset_patches(dataset: BoxDataset) -> Patches | None:
    """Return what gives the pixels of each box of an image row, from label images of kind `instance`; None without.

    An object's pixels are its own and its parts'. What it returns raises AnnotationError where an image has no label
    image, or one that is damaged or of another size.
    """
    if not (dataset.images.labels != "").any() or dataset.summary.get("masks", "instance") != "instance":
        return None
    order, bounds = rows_by_image(dataset.images, dataset.annotations)

    def patches(row: int) -> Sequence[Patch]:
        boxes = dataset.annotations.take(order[bounds[row] : bounds[row + 1]])
        name = str(dataset.images.labels[row])
        if not name:
            raise AnnotationError(f"{dataset.images.image_id[row]}: image must have a label image, got none")
        size = int(dataset.images.width[row]), int(dataset.images.height[row])
        return patches_of_label_image(read_label_image(dataset.root / name, size), parents_within(boxes))

    return patches


def patches_of_label_image(labels: NDArray[Any], parents: NDArray[np.int64]) -> Sequence[Patch]:
    """Return the pixels of N objects of an (H, W) label image of kind `instance`: of values 1 to N, in that order.

    `parents` are the (N,) places of the objects that parts belong to, or -1: a part's pixels are its object's too. An
    object without a pixel has a patch of 0 x 0.
    """
    extents = extents_of(labels)
    box_of = dict(zip(extents.values.tolist(), extents.xyxy.tolist(), strict=True))
    families: list[list[int]] = [[place + 1] for place in range(len(parents))]
    for place in np.flatnonzero(parents >= 0).tolist():
        families[parents[place]].append(place + 1)

    def family(place: int) -> Patch:
        boxes = np.array([box_of[value] for value in families[place] if value in box_of], np.int64)
        if not len(boxes):
            return empty_patch()
        (left, top), (right, bottom) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
        return tight(np.isin(labels[top:bottom, left:right], families[place]), left, top)

    return DrawnPatches(family, len(parents))


def _painted_image(images: Images, row: int, boxes: Annotations, patches: Patches, kind: MaskKind) -> Painted:
    width, height = int(images.width[row]), int(images.height[row])
    if width * height > LARGEST_MASK:
        raise AnnotationError(f"label image must be at most {LARGEST_MASK:,} pixels, got {width} x {height}")
    drawn = patches(row)
    if len(drawn) != len(boxes):
        raise ValueError(f"patches of image row {row} must be as many as its boxes, {len(boxes)}, got {len(drawn)}")
    return painted(drawn, parents_within(boxes), boxes.class_id if kind == "class" else None, width, height)


def _class_numbers(labels: NDArray[Any], boxes: Annotations) -> NDArray[Any]:
    number_of = np.concatenate([[0], boxes.class_id + 1]).astype(np.uint16)
    numbers: NDArray[Any] = number_of[labels]
    return numbers


def _losses(images: Images, row: int, boxes: Annotations, result: Painted) -> list[Finding]:
    """Return what the objects of one image lost to one another."""
    findings = []
    losers = np.flatnonzero(result.lost)
    if len(losers):
        worst = int(np.argmax(result.lost))
        message = (
            f"{len(losers)} of {len(boxes)} objects lost {result.lost.sum():,} pixels to others drawn over them, most "
            f"of them object_id {boxes.object_id[worst]}: {result.lost[worst]:,} of {result.areas[worst]:,}"
        )
        findings.append(_finding(images, row, "overlapping-masks", message))
    for place in np.flatnonzero(result.hidden).tolist():
        area = result.areas[place]
        got = f"none of its {area:,}: others cover them" if area else "none: it is drawn outside the image"
        message = f"object_id {boxes.object_id[place]} must keep a pixel of the label image, got {got}"
        findings.append(_finding(images, row, "hidden-mask", message))
    return findings


def _finding(images: Images, row: int, code: str, message: str) -> Finding:
    return Finding(code, str(images.source[row]), "", str(images.image_id[row]), message)
