"""A box dataset read as a source: as it stands, or with its labels renamed, chosen or linked anew."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from annotations.dataset import read_dataset
from annotations.drawn import DrawnImage, Patch, Progress, Reading, placed, reading_of
from annotations.findings import Finding
from annotations.forms import ReadOptions
from annotations.label_images import Patches, dataset_patches, rows_by_image
from annotations.linking import NONE
from annotations.naming import Naming
from annotations.notes import Note
from annotations.patches import DrawnPatches
from annotations.picture_search import PicturesApart
from annotations.shapes import Region
from annotations.tables import BoxDataset, pixels


def read_boxes(source: Path, naming: Naming, options: ReadOptions, progress: Progress | None = None) -> Reading:
    """Return what a box dataset (its directory, or the dataset.json in it) holds.

    Without names to change, tables and classes are exactly those of its files. With parts, every part is linked anew.
    Pictures that are no more where it says are looked for in `options.pictures`, by the end of their paths.

    Raises:
        AnnotationError: the dataset is missing or damaged.
    """
    directory = source.parent if source.name == "dataset.json" else source
    dataset = read_dataset(directory)
    dataset = replace(dataset, root=Path(os.path.realpath(dataset.root)))
    findings: list[Finding] = []
    if options.pictures is not None:
        dataset = _with_pictures(dataset, options.pictures, findings)
    patches = dataset_patches(dataset)
    if naming.parts or naming.classes or naming.rename:
        read = _named(dataset, naming, patches)
    else:
        read = Reading(dataset, [], 1, np.arange(len(dataset.annotations)), patches=patches)
    read = replace(read, findings=[*findings, *read.findings])
    if patches is None and (dataset.images.labels != "").any():
        # Their values are places in the list of classes, and no objects can be told apart in them.
        message = "label images of classes must be made from objects' outlines; those of the dataset were left out"
        images = replace(read.dataset.images, labels=np.full(len(dataset.images), ""))
        kept = replace(read.dataset, images=images)
        return replace(read, dataset=kept, findings=[*read.findings, Finding("not-kept", "", "", "", message)])
    return read


def _with_pictures(dataset: BoxDataset, pictures: Path, findings: list[Finding]) -> BoxDataset:
    apart = PicturesApart(dataset.root, pictures)
    images = dataset.images
    paths = images.path.tolist()
    for row in [row for row in range(len(images)) if not dataset.picture(row).is_file()]:
        notes: list[Note] = []
        place = apart.named(paths[row], notes)
        findings += [
            Finding(note.code, str(images.source[row]), "", str(images.image_id[row]), note.message) for note in notes
        ]
        paths[row] = paths[row] if place is None else place.path
    return replace(dataset, images=replace(images, path=np.array(paths, np.str_)))


def _named(dataset: BoxDataset, naming: Naming, patches: Patches | None) -> Reading:
    linked_anew = bool(naming.parts)
    naming = naming.with_source(dataset.classes, dataset.parts)
    order, bounds = rows_by_image(dataset.images, dataset.annotations)
    first = bounds.tolist()
    regions = _regions(dataset)
    place_of = {object_id: place for place, object_id in enumerate(dataset.annotations.object_id.tolist())}
    parent_places = [place_of.get(parent, NONE) for parent in dataset.annotations.parent_id.tolist()]
    images: list[DrawnImage] = []
    findings: list[Finding] = []
    for row in range(len(dataset.images)):
        rows = order[first[row] : first[row + 1]].tolist()
        place_in_image = {place: number for number, place in enumerate(rows)}
        parents = None if linked_anew else [place_in_image.get(parent_places[place], NONE) for place in rows]
        images.append(_image(dataset, row, [regions[place] for place in rows], parents, naming, findings))
    read = reading_of(dataset.root, images, naming, findings, 1)
    return replace(
        read, dataset=_marked(read, dataset), patches=None if patches is None else _chosen(read, patches, order, first)
    )


def _regions(dataset: BoxDataset) -> list[Region]:
    """Return the boxes as regions whose number is their row in boxes.csv, from 0."""
    table = dataset.annotations
    corners = pixels(dataset.images, table.image_row, table.xyxy_rel).T.tolist()
    labels, groups, types = table.class_id.tolist(), table.group_id.tolist(), table.shape_type.tolist()
    columns = zip(labels, groups, *corners, types, strict=True)
    return [
        Region(dataset.classes[label], group, xmin, ymin, xmax, ymax, shape_type, row, "boxes[{}]")
        for row, (label, group, xmin, ymin, xmax, ymax, shape_type) in enumerate(columns)
    ]


def _image(
    dataset: BoxDataset,
    row: int,
    drawn: list[Region],
    parents: list[int] | None,
    naming: Naming,
    findings: list[Finding],
) -> DrawnImage:
    table = dataset.images
    notes: list[Note] = []
    width, height = int(table.width[row]), int(table.height[row])
    image_id, source = str(table.image_id[row]), str(table.source[row])
    kept = placed(drawn, width, height, naming, notes, parents)
    findings += [Finding(note.code, source, note.shape, image_id, note.message) for note in notes]
    split, flags, group = str(table.split[row]), str(table.flags[row]), str(table.group[row])
    return DrawnImage(image_id, str(table.path[row]), width, height, split, flags, source, *kept, group)


def _marked(read: Reading, dataset: BoxDataset) -> BoxDataset:
    table = dataset.annotations
    marks = {name: getattr(table, name)[read.numbers] for name in ("crowd", "ignore")}
    return replace(read.dataset, annotations=replace(read.dataset.annotations, **marks))


def _chosen(read: Reading, patches: Patches, order: np.ndarray, first: list[int]) -> Patches:
    """Return the patches of the boxes that were kept; `order` and `first` are the rows of all, image by image."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    kept, bounds = rows_by_image(read.dataset.images, read.dataset.annotations)

    def chosen(row: int) -> Sequence[Patch]:
        whole = patches(row)
        places = (rank[read.numbers[kept[bounds[row] : bounds[row + 1]]]] - first[row]).tolist()
        return DrawnPatches(lambda place: whole[places[place]], len(places))

    return chosen
