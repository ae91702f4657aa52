"""A box dataset to a YOLO folder, as Ultralytics' loader takes it: data.yaml, images/SPLIT and labels/SPLIT."""

import itertools
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from annotations.errors import UsageError
from annotations.files_below import image_ids_of
from annotations.findings import Finding
from annotations.not_kept import facts_not_kept, ids_not_kept, twins_not_kept
from annotations.picture_files import PictureFiles
from annotations.tables import SPLITS, BoxDataset
from annotations.written_keys import keys_of
from annotations.yaml_subset import quoted
from annotations.yolo_folder import UNSPLIT, label_path

_UNSPLIT_FOLDER = "all"


def write_yolo(aside: Path, final: Path, dataset: BoxDataset, pictures: PictureFiles) -> list[Finding]:
    """Return what a YOLO folder cannot hold of a dataset, which is written into `aside` as one.

    Coordinates stand at full precision. An image without boxes has an empty label file. Images without a split stand
    in `images/all`, which data.yaml calls `unsplit`, and `train` too where nothing else is. A region of many objects
    (crowd) is left out.

    Raises:
        UsageError: pictures are neither copied nor linked; a YOLO folder finds labels by its pictures' places.
    """
    if pictures.mode == "reference":
        raise UsageError("pictures: pictures of a YOLO folder must be copied or linked, got reference")
    folders = [f"images/{split or _UNSPLIT_FOLDER}" for split in dataset.images.split.tolist()]
    keys = keys_of(dataset.images, reserved=["images"])
    paths: list[str] = []
    for row, (folder, key, lines) in enumerate(zip(folders, keys, _lines_by_image(dataset), strict=True)):
        suffix = posixpath.splitext(str(dataset.images.path[row]))[1]
        paths.append(pictures.place(aside, final, dataset, row, f"{folder}/{key}{suffix}"))
        label = aside / label_path(paths[-1])
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_bytes("".join(lines).encode())
    (aside / "data.yaml").write_bytes(_settings_text(dataset, set(folders)).encode())
    below = [posixpath.splitext(posixpath.relpath(*place))[0] for place in zip(paths, folders, strict=True)]
    ids = image_ids_of(paths, below)
    told = [*facts_not_kept("YOLO", dataset, kept=("crowd",)), *_crowds(dataset), *_without_split(dataset)]
    told += twins_not_kept("YOLO", dataset, np.zeros(len(dataset.annotations), np.int64))
    return [*told, *ids_not_kept("YOLO", dataset.images, ids)]


def _lines_by_image(dataset: BoxDataset) -> Iterator[Sequence[str]]:
    table = dataset.annotations
    order = np.argsort(table.image_row, kind="stable")
    order = order[~table.crowd[order]]
    bounds = np.searchsorted(table.image_row[order], np.arange(len(dataset.images) + 1)).tolist()
    low, high = table.xyxy_rel[order, :2], table.xyxy_rel[order, 2:]
    numbers = np.concatenate([(low + high) / 2, high - low], axis=1)
    # repr, for its digits give the same float64 back.
    lines = [
        f"{class_id} {x!r} {y!r} {width!r} {height!r}\n"
        for class_id, (x, y, width, height) in zip(table.class_id[order].tolist(), numbers.tolist(), strict=True)
    ]
    return (lines[first:last] for first, last in itertools.pairwise(bounds))


def _settings_text(dataset: BoxDataset, folders: set[str]) -> str:
    places = {split: f"images/{split}" for split in SPLITS if f"images/{split}" in folders}
    unsplit = f"images/{_UNSPLIT_FOLDER}"
    if unsplit in folders:
        places = {"train": unsplit, **places, UNSPLIT: unsplit}
    # Ultralytics asks for both of these keys, whether or not there is something to name.
    places = {"train": "", "val": "", **places}
    lines = [f"{key}: {place}".rstrip() for key, place in places.items()]
    names = [f"  {number}: {quoted(name)}" for number, name in enumerate(dataset.classes)]
    return "\n".join([*lines, f"nc: {len(names)}", "names:" if names else "names: []", *names, ""])


def _crowds(dataset: BoxDataset) -> Iterator[Finding]:
    count = int(np.count_nonzero(dataset.annotations.crowd))
    if count:
        yield Finding("crowd", "", "", "", f"{count} regions stand for many objects, which YOLO cannot say; left out")


def _without_split(dataset: BoxDataset) -> Iterator[Finding]:
    count, splits = len(dataset.images.rows_of("")), set(dataset.images.split.tolist())
    if count:
        seen = "which no loader reads" if "train" in splits else "which data.yaml names as train"
        message = f"YOLO has no place for images without a split: {count} stand in images/all, {seen}; split them first"
        yield Finding("not-kept", "", "", "", message)
