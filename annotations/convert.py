"""Any form of annotations to any other: each file converted or refused by name, nothing changed in silence."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from annotations.dataset import counts, refuse_existing, write_dataset
from annotations.drawn import Progress, Reading
from annotations.errors import AnnotationError, UsageError
from annotations.findings import Finding, count_by_code, count_by_severity, findings_text
from annotations.forms import FORMS_OUT, Detected, MaskKind, ReadOptions, detect_form, read_source, writer_of
from annotations.naming import Naming
from annotations.picture_files import Mode, PictureFiles
from annotations.sources import WRITTEN
from annotations.tables import BoxDataset, Images
from annotations.whole import whole_directory

FINDINGS = WRITTEN
"""The findings beside what is written in another form than a box dataset; no reader takes it for part of one."""

# Whoever loads these looks for the pictures inside the folder; the other forms name them where they lie.
_DEMAND_PICTURES = frozenset({"yolo", "voc"})
_SHOWN = 20
"""Letters around one that cannot be written."""
_HOLDING_MASKS = ("boxes", "coco")
_ASIDE = ".aside"
"""Where pictures and label images lie while a form is written from them."""


@dataclass(frozen=True, slots=True, eq=False)
class ConvertReport:
    """What a conversion made: the dataset, all findings, how many annotation files there were, and from and to what.

    `dataset` is as written, for a box dataset, and as read for another form.
    """

    dataset: BoxDataset
    findings: tuple[Finding, ...]
    files: int
    strict: bool
    source_form: str = "labelme"
    target_form: str = "boxes"

    @property
    def exit_status(self) -> int:
        """Return 3 where there are findings of severity error (or, when strict, warn), else 0."""
        severities = count_by_severity(self.findings)
        return 3 if severities["error"] or (self.strict and severities["warn"]) else 0

    def summary(self) -> dict[str, Any]:
        """Return the report, ready for JSON: the forms, files read, images refused, the counts, findings by code."""
        # One finding refuses an image; a form with many images in one file names each one's entry.
        refused = {
            (found.source, found.shape) for found in self.findings if found.severity == "error" and not found.image_id
        }
        return {
            "schema": 1,
            "from": self.source_form,
            "to": self.target_form,
            "files": self.files,
            "refused": len(refused),
            "classes": list(self.dataset.classes),
            "parts": dict(self.dataset.parts),
            **counts(self.dataset),
            "findings": {**count_by_severity(self.findings), "by_code": count_by_code(self.findings)},
        }


def convert(
    source: Path,
    destination: Path,
    *,
    source_form: str = "auto",
    target_form: str = "boxes",
    parts: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    masks: MaskKind | None = None,
    pictures: Path | None = None,
    pictures_mode: Mode | None = None,
    check_images: bool = True,
    workers: int = 1,
    first_pixel: Literal[0, 1] = 0,
    strict: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> ConvertReport:
    """Return what became of the annotations of `source`; they are written to `destination`, whole or not at all.

    `source_form` is one of forms.FORMS_IN or "auto", `target_form` one of forms.FORMS_OUT. What is damaged is refused
    by name and the rest is converted. `pictures` is a folder of pictures that lie apart from their annotations;
    `pictures_mode` says how another form than a box dataset gets them: by default copied for YOLO and VOC, and named
    where they lie for the others. `masks` are label images in a box dataset; in COCO, instance masks are the
    segmentations. The findings lie in findings.csv, or beside another form in FINDINGS. `progress` is
    called with the number of files (or images) done and of all.

    Raises:
        UsageError: `destination` is there already and not empty, the options contradict each other, or the form is not
            known or cannot be told.
        AnnotationError: `source` holds nothing of its form, or `destination` cannot be written.
    """
    naming = Naming(dict(parts or {}), None if classes is None else tuple(classes), dict(rename or {}))
    options = ReadOptions(masks, pictures, check_images, workers, first_pixel)
    _check_target(target_form, masks, pictures_mode)
    refuse_existing(destination)
    form, beside = detect_form(source) if source_form == "auto" else Detected(source_form, [])
    if first_pixel and form != "voc":
        got = f"{first_pixel} for the form {form}"
        raise UsageError(f"first_pixel: first_pixel must be 0 but to read VOC files, got {got}; VOC is written from 0")
    read = read_source(source, form, naming, options, progress)
    read = replace(read, findings=[*beside, *read.findings])
    if form == "pairs" and target_form in _HOLDING_MASKS and masks is None:
        masks = "instance"  # label images are what pairs are made of
    if masks is not None and read.patches is None:
        raise UsageError(f"masks: source must know the outlines of its objects, got boxes alone in the form {form}")
    try:
        if target_form == "boxes":
            dataset, findings = _write_boxes(destination, read, form, masks, command, workers)
        else:
            mode = pictures_mode or ("copy" if target_form in _DEMAND_PICTURES else "reference")
            dataset, findings = read.dataset, _write_form(destination, target_form, read, PictureFiles(mode), masks)
    except UnicodeEncodeError as error:
        # A file of such a name is refused when it is read, but not the folders above: they may not come into any path.
        got = repr(error.object[max(0, error.start - _SHOWN) : error.end + _SHOWN])
        must = "folders from it to the pictures must have names in UTF-8"
        raise AnnotationError(f"{destination}: {must}, got {got}; rename them") from error
    return ConvertReport(dataset, tuple(findings), read.files, strict, form, target_form)


def _check_target(form: str, masks: MaskKind | None, pictures_mode: Mode | None) -> None:
    if form not in FORMS_OUT:
        raise UsageError(f"form to write must be one of {', '.join(FORMS_OUT)}, got {form!r}")
    if masks is not None and form not in _HOLDING_MASKS:
        raise UsageError(f"masks: masks must be for a box dataset or COCO, got the form {form}; convert in two steps")
    if form == "coco" and masks == "class":
        raise UsageError("masks: COCO must have instance masks, got class; label images of classes fit a box dataset")
    if form == "boxes" and pictures_mode is not None:
        raise UsageError(f"pictures: a box dataset must name its pictures where they lie, got {pictures_mode}")


@dataclass(slots=True)
class _Attachments:
    """What a box dataset is given besides its tables; `findings` gathers what is found on the way."""

    read: Reading
    masks: MaskKind | None
    findings: list[Finding] = field(default_factory=list)

    def __call__(self, aside: Path, images: Images) -> tuple[Images, list[Finding]]:
        """Return the images with the pictures and label images that were written into `aside`, and the findings."""
        if self.read.embedded:
            from annotations.embedded import write_embedded

            images, found = write_embedded(aside, images, self.read.embedded)
            self.findings += found
        if self.masks is not None and self.read.patches is not None:
            from annotations.label_images import write_label_images

            table, patches = self.read.dataset.annotations, self.read.patches
            images, found = write_label_images(aside, images, table, patches, self.masks)
            self.findings += found
        return images, self.findings


def _write_boxes(
    destination: Path, read: Reading, form: str, masks: MaskKind | None, command: str, workers: int
) -> tuple[BoxDataset, list[Finding]]:
    # A box dataset keeps its label images: drawn again, for boxes may have been left out.
    kind = "instance" if masks is None and read.patches is not None and form == "boxes" else masks
    attach = _Attachments(read, kind)
    # The name of a folder in it may be no text.
    command = command.encode(errors="backslashreplace").decode()
    dataset = write_dataset(
        destination, read.dataset, read.findings, command=command, attach=attach, masks=kind, workers=workers
    )
    return dataset, [*read.findings, *attach.findings]


def _write_form(
    destination: Path, form: str, read: Reading, pictures: PictureFiles, masks: MaskKind | None
) -> list[Finding]:
    final = Path(os.path.realpath(destination))
    write = writer_of(form)
    try:
        with whole_directory(final) as aside:
            dataset, found = _with_embedded(aside / _ASIDE, read, pictures)
            if masks is not None:
                dataset, lost = _with_label_images(aside / _ASIDE, dataset, read, masks)
                found += lost
            told = write(aside, final, dataset, pictures)
            shutil.rmtree(aside / _ASIDE, ignore_errors=True)
            findings = [*read.findings, *found, *told, *pictures.findings]
            (aside / FINDINGS).write_bytes(findings_text(findings).encode())
    except OSError as error:
        refuse_existing(destination)  # made or filled by another process since
        raise AnnotationError(f"{destination}: destination must be writable, got {error.strerror or error}") from error
    return findings


def _with_embedded(folder: Path, read: Reading, pictures: PictureFiles) -> tuple[BoxDataset, list[Finding]]:
    """Return the dataset with the pictures that annotation files hold as files in `folder`, to be copied from there."""
    if not read.embedded:
        return read.dataset, []
    from annotations.embedded import write_embedded

    images = read.dataset.images
    written, findings = write_embedded(folder, images, read.embedded)
    rows = np.flatnonzero(written.path != images.path).tolist()
    paths = images.path.tolist()
    for row in rows:
        paths[row] = str(folder / written.path[row])
    pictures.copied = frozenset(rows)
    return replace(read.dataset, images=replace(images, path=np.array(paths, np.str_))), findings


def _with_label_images(
    folder: Path, dataset: BoxDataset, read: Reading, masks: MaskKind
) -> tuple[BoxDataset, list[Finding]]:
    """Return the dataset with its label images as files in `folder`, and what was found when they were drawn."""
    if read.patches is None:
        raise ValueError("masks must be of a reading that has patches")
    from annotations.label_images import write_label_images

    images, findings = write_label_images(folder, dataset.images, dataset.annotations, read.patches, masks)
    labels = [str(folder / path) if path else "" for path in images.labels.tolist()]
    return replace(dataset, images=replace(images, labels=np.array(labels, np.str_)), summary={}), findings
