"""What was found in the data: every code that a finding can have, with its severity and its sentence."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from annotations.csvtable import csv_text, read_csv

COLUMNS = ("severity", "code", "source", "shape", "image_id", "message")
SEVERITIES = ("error", "warn", "info")

CODES: Mapping[str, tuple[str, str]] = {
    # Files that gave no image.
    "unreadable-file": ("error", "The annotation file cannot be opened, or is no ordinary file."),
    "file-too-large": ("error", "The annotation file is larger than any real one."),
    "bad-encoding": ("error", "The annotation file is not UTF-8 text."),
    "bad-json": ("error", "The annotation file is not whole JSON."),
    "bad-file": ("error", "A field of the annotation file is missing or is not what Labelme writes."),
    "bad-shape": ("error", "A shape has no usable label, points or type; the whole file is refused."),
    "bad-points": ("error", "A coordinate is missing, is no number or is not finite; the whole file is refused."),
    "bad-name": ("error", "The file's or the image's name cannot be written as text."),
    "unknown-size": ("error", "Neither the annotation file nor an image gives the size."),
    "size-mismatch": ("error", "The image's size differs from the annotated one in shape: it was cropped or replaced."),
    "unreadable-image": ("error", "The image cannot be used and the annotation file gives no size."),
    "split-conflict": ("error", "Annotation files of one image name different splits; the image has no split."),
    "bad-xml": ("error", "The annotation file is not whole XML, or has a document type, which real ones have not."),
    "bad-entry": ("error", "A row or entry of the annotation file is not what its form says; its image is refused."),
    "bad-label-image": ("error", "A label image cannot be used: damaged, coloured, of another size, or a stack."),
    "no-label-image": ("error", "The image's label image could not be made; the image is kept without one."),
    # Shapes and files that were converted with a loss, a repair or a doubt.
    "other-form": ("warn", "Annotations of another form lie beside the Labelme files and were left out."),
    "own-output": (
        "warn",
        "A folder that a conversion wrote lies in the source and is read too: images may come twice.",
    ),
    "not-labelme": ("warn", "The JSON file is of another kind and was left out."),
    "no-area-shape": ("warn", "A point or a line has no area; the shape was dropped."),
    "unsupported-shape": ("warn", "The shape's type cannot be converted; the shape was dropped."),
    "zero-area": ("warn", "The box has no width or no height; the shape was dropped."),
    "outside": ("warn", "The box lies wholly outside the image; the shape was dropped."),
    "clipped": ("warn", "The box reached outside the image and was clipped."),
    "unknown-label": ("warn", "The label is not in the list of classes; the shape was dropped."),
    "duplicate": ("warn", "The same label, group and box stand twice; one was dropped."),
    "odd-group": ("warn", "The group_id is no integer."),
    "duplicate-group": ("warn", "Two objects of one image share a group_id; their parts went to the one around them."),
    "orphan-part": ("warn", "No object was found for the part; it has no parent."),
    "several-splits": ("warn", "Several split flags are true; the image has no split."),
    "shared-image": ("warn", "Several annotation files name one image."),
    "odd-flag": ("warn", "A flag's value is neither true nor false, or its name cannot be kept."),
    "missing-image": ("warn", "The image was not found; the size is the annotation file's."),
    "outside-root": ("warn", "The image's path leaves the source folder and was not followed."),
    "found-beside": ("warn", "The image's path is wrong; an image of that name beside the annotation file was taken."),
    "unchecked-image": ("warn", "The image cannot be read; the size is the annotation file's."),
    "stale-size": ("warn", "The image was resized since it was annotated; the boxes keep their place."),
    "unrotated-size": ("warn", "The annotated size is the file's without its EXIF rotation; the boxes are as drawn."),
    "unused-name": ("warn", "A class, part or label given on the command line is no label of the data."),
    "unfollowed-link": ("warn", "A link to a folder outside the source folder was not followed."),
    "unlisted": ("warn", "Pictures with label files lie in the folder, but nothing lists them; they were left out."),
    "not-voc": ("warn", "The XML file is of another kind and was left out."),
    "crowd": ("warn", "The region stands for many objects (iscrowd); it is kept, and counts as no object."),
    "images-lost": ("warn", "The form has no place for images without boxes; they are not in what was written."),
    "not-kept": ("warn", "The form has no place for something that the dataset holds; it was not written."),
    "unpaired": ("warn", "A picture has no label image, or a label image no picture; it was left out."),
    "bad-embedded": ("warn", "The picture inside the annotation file cannot be used, and no file is there."),
    "overlapping-masks": ("warn", "Objects lost pixels of the label image to others drawn over them."),
    "hidden-mask": ("warn", "The object has no pixel of the label image: others cover it."),
    "unknown-image": ("warn", "A list or table names an image that the dataset has not; the line was left out."),
    "named-twice": ("warn", "A list or table names an image twice, with the same split or group."),
    "unnamed-images": ("warn", "A list or table of splits leaves images out; they were given none by it."),
    "lacking-split": ("warn", "A split lacks a class, or images without objects."),
    "uneven-split": ("warn", "A class, or images without objects, are divided less evenly than 19 of 20 seeds would."),
    # Good to know.
    "near-split-flag": ("info", "A flag that is true differs by case from a split's name."),
    "size-from-image": ("info", "The annotation file gives no size; the image's own was taken."),
    "left-out": ("info", "The form says something that a box dataset has no place for; it was left out."),
    "inverted-corners": ("info", "Rectangles were drawn from another corner than the top left; put in order."),
    "one-object": ("info", "A label image has one value for many regions: all of them are one object."),
    "regions": ("info", "The label images hold classes: each connected region of one is an object."),
    "embedded-image": ("info", "The image was not found; the picture inside the annotation file was written for it."),
    "better-seed": ("info", "Another seed divides classes and images without objects more evenly."),
    # What `check` finds in the data as it stands.
    "damaged-image": ("error", "The image cannot be unpacked whole: it is cut off, damaged or no picture."),
    "same-image-in-splits": ("error", "The same picture is in two splits: figures on the second are flattered."),
    "near-image-in-splits": ("warn", "Nearly the same picture is in two splits: figures on the second are flattered."),
    "group-in-splits": ("warn", "Images of one group are in two splits."),
    "overlapping-objects": ("warn", "Two boxes of one class nearly coincide: one object drawn twice?"),
    "odd-parts": ("warn", "The object has another number of parts than most of its class."),
    "part-outside": ("warn", "The part lies for the most part outside its object."),
    "similar-labels": ("warn", "Labels differ by case, spaces, hyphens, underscores or a plural s alone."),
    "unused-class": ("warn", "A class has no box at all."),
    "class-missing": ("warn", "A class has no box in a split."),
    "mixed-sizes": ("warn", "Two populations of object sizes are mixed in one class."),
    "split-sizes": ("warn", "A class's object sizes in a split are not those of train."),
    "too-small": ("warn", "Objects are smaller than the network can see at its input size."),
    "few-objects": ("info", "A class has few boxes in a split: its figures there say little."),
    "without-split": ("info", "Images are in no split: training and evaluation leave them out."),
    "images-without-objects": ("info", "Images have no box."),
    "class-not-drawn": ("info", "A class that nearly every image shows has no box in this one: forgotten?"),
    "same-image": ("info", "The same picture is there twice."),
    "near-image": ("info", "Nearly the same picture is there twice."),
    "blank-image": ("info", "The image shows nothing: one even tone."),
    "exif-rotated": ("info", "The image is turned by its EXIF orientation, which some programs do not heed."),
    "mixed-image-sizes": ("info", "The images are of very different sizes."),
    "odd-size": ("info", "The box is far smaller or larger than others of its class."),
    "odd-shape": ("info", "The box is far longer or flatter than others of its class."),
}
"""Code -> (severity, what it means). The one list of codes: `findings.csv`, the summary and the docs follow it."""


class Finding(NamedTuple):
    """One thing found: its code, the annotation file, the shape (`shapes[3]` or ""), the image, and the words."""

    code: str
    source: str
    shape: str
    image_id: str
    message: str

    @property
    def severity(self) -> str:
        """Return error, warn or info, as CODES says."""
        return CODES[self.code][0]


def count_by_code(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many findings each code has, errors first, then in the order of CODES."""
    counts = Counter(finding.code for finding in findings)
    order = sorted(CODES, key=lambda code: SEVERITIES.index(CODES[code][0]))
    return {code: counts[code] for code in order if counts[code]}


def count_by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many findings each severity has, zeros too."""
    counts = Counter(finding.severity for finding in findings)
    return {severity: counts[severity] for severity in SEVERITIES}


def findings_text(findings: Iterable[Finding]) -> str:
    """Return the text of a findings.csv."""
    rows = [(finding.severity, *finding) for finding in findings]
    return csv_text(COLUMNS, zip(*rows, strict=True) if rows else [()] * len(COLUMNS))


def read_findings(directory: Path) -> list[Finding]:
    """Return the findings that a dataset directory holds.

    Raises:
        AnnotationError: findings.csv is missing or damaged.
    """
    table = read_csv(directory / "findings.csv", COLUMNS)
    table.places("code", {code: row for row, code in enumerate(CODES)}, "a known code")
    return [Finding(*row) for row in zip(*(table.columns[name] for name in COLUMNS[1:]), strict=True)]
