"""The forms of annotations: which there are, which one a source holds, and who reads and writes each."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from annotations.drawn import Progress, Reading
from annotations.errors import AnnotationError, UsageError
from annotations.findings import Finding
from annotations.naming import Naming
from annotations.picture_files import PictureFiles
from annotations.tables import BoxDataset

FORMS_IN = ("labelme", "csv", "coco", "yolo", "voc", "pairs", "boxes")
FORMS_OUT = ("boxes", "labelme", "csv", "coco", "yolo", "voc")
MaskKind = Literal["instance", "class"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a source is read.

    `masks` is the kind of label images that are wanted of it, or None; `pictures` is a folder that holds the pictures,
    where they lie apart. Without `check_images`, no picture is opened whose size the annotations give. `workers` is the
    number of processes. `first_pixel` is the number that the form gives to the first pixel: 1 in the original VOC,
    whose last column is inside the box, and 0 elsewhere.

    Raises:
        UsageError: an option has no such value.
    """

    masks: MaskKind | None = None
    pictures: Path | None = None
    check_images: bool = True
    workers: int = 1
    first_pixel: Literal[0, 1] = 0

    def __post_init__(self) -> None:
        if self.masks is not None and self.masks not in get_args(MaskKind):
            raise UsageError(f"masks: masks must be instance or class, got {self.masks!r}")
        if self.pictures is not None and not self.pictures.is_dir():
            raise UsageError(f"{self.pictures}: pictures must be a folder, got {_what_is(self.pictures)}")
        if self.workers < 1:
            raise UsageError(f"workers: workers must be at least 1, got {self.workers}")
        if self.first_pixel not in (0, 1):
            raise UsageError(f"first_pixel: first_pixel must be 0 or 1, got {self.first_pixel}")


Reader = Callable[[Path, Naming, ReadOptions, Progress | None], Reading]
Writer = Callable[[Path, Path, BoxDataset, PictureFiles], list[Finding]]
"""Writes a form into the empty directory `aside`, which is to become `final`: paths in its files are relative to that.

Called with aside, final, the dataset and its pictures; returns what the form cannot hold, and what went amiss.
"""


def read_source(
    source: Path,
    form: str,
    naming: Naming,
    options: ReadOptions | None = None,
    progress: Progress | None = None,
) -> Reading:
    """Return what a source in one of FORMS_IN, or "auto", holds.

    Raises:
        UsageError: the form is not known, or cannot be told.
        AnnotationError: the source holds nothing of the form.
    """
    if form == "auto":
        form, beside = detect_form(source)
        read = read_source(source, form, naming, options, progress)
        return replace(read, findings=[*beside, *read.findings])
    return _reader_of(form)(source, naming, options or ReadOptions(), progress)


# Each is imported when it is needed: a form's reader may need a package that is slow to import.
def _reader_of(form: str) -> Reader:
    match form:
        case "boxes":
            from annotations.box_reader import read_boxes as reader
        case "coco":
            from annotations.coco_reader import read_coco as reader
        case "csv":
            from annotations.reference_csv_reader import read_reference_csv as reader
        case "labelme":
            return _read_labelme
        case "pairs":
            from annotations.picture_pairs import read_pairs as reader
        case "voc":
            from annotations.voc_reader import read_voc as reader
        case "yolo":
            from annotations.yolo_reader import read_yolo as reader
        case _:
            raise UsageError(f"form to read must be one of {', '.join(FORMS_IN)}, got {form!r}")
    return reader


def writer_of(form: str) -> Writer:
    """Return the writer of one of FORMS_OUT but boxes, which `dataset.write_dataset` writes.

    Raises:
        UsageError: the form is not known.
    """
    match form:
        case "coco":
            from annotations.coco_writer import write_coco as writer
        case "csv":
            from annotations.reference_csv_writer import write_reference_csv as writer
        case "labelme":
            from annotations.labelme_writer import write_labelme as writer
        case "voc":
            from annotations.voc_writer import write_voc as writer
        case "yolo":
            from annotations.yolo_writer import write_yolo as writer
        case _:
            raise UsageError(f"form to write must be one of {', '.join(FORMS_OUT)}, got {form!r}")
    return writer


def _read_labelme(source: Path, naming: Naming, options: ReadOptions, progress: Progress | None) -> Reading:
    from annotations.labelme_folder import read_labelme_folder

    checked, workers, pictures = options.check_images, options.workers, options.pictures
    read = read_labelme_folder(source, naming, progress, check_images=checked, workers=workers, pictures=pictures)
    if options.masks is None:
        return read
    from annotations.outlines import labelme_patches

    return replace(read, patches=labelme_patches(read.dataset, read.numbers))


_DRAWN_BY_HAND = ("coco", "labelme", "voc", "yolo")
"""Forms that programs for annotating write. The others are often made from these and lie beside them."""
_UNKNOWN_JSON = "json"
_MANY = {
    "labelme": "Labelme files (*.json)",
    "coco": "COCO JSON",
    "yolo": "a YOLO folder (data.yaml and labels)",
    "voc": "Pascal VOC files (*.xml)",
    "csv": "reference CSV files",
    "pairs": "pictures beside label images",
}
_LOOKED_INTO = 3
"""Files of one suffix in one folder that are looked into: a folder holds files of one kind, as a rule."""
_LARGEST_SEARCHED = 2**31
_PIECE, _OVERLAP = 2**24, 2**6
"""Bytes of a file that are searched together, and those of the piece before that are looked at again."""
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
_MASK_FOLDERS = ("labels", "masks", "label", "mask")


class Detected(NamedTuple):
    """The form that a source holds, and what is to be told of others that lie beside it."""

    form: str
    findings: list[Finding]


def detect_form(source: Path) -> Detected:
    """Return which of FORMS_IN a source holds, from the names of its files and a look into some of them.

    Where pictures' label images or reference CSV files lie beside annotations of another form, it is the other. Labelme
    files win over what exports of them have left beside them, which is told.

    Raises:
        UsageError: several forms are there; the message says how to choose.
        AnnotationError: nothing is there, or nothing of any form.
    """
    if not source.exists():
        raise AnnotationError(f"{source}: source must be a folder or a file, got no such one")
    if source.name == "dataset.json" or (source / "dataset.json").is_file():
        return Detected("boxes", [])
    found = _forms_in(source) if source.is_dir() else _forms_of_file(source)
    unknown = found.pop(_UNKNOWN_JSON, None)
    if unknown is not None and not found:
        found["labelme"] = unknown  # a damaged file, most likely, which its reader refuses by name
    candidates = [form for form in _DRAWN_BY_HAND if form in found] or list(found)
    if len(candidates) == 1:
        return Detected(candidates[0], [])
    if not candidates:
        kinds = ", ".join(_MANY.values())
        got = "none" if source.is_dir() else "a file of another kind"
        raise AnnotationError(f"{source}: source must hold {kinds} or be a box dataset, got {got}")
    if "labelme" in candidates:
        others = [form for form in candidates if form != "labelme"]
        return Detected("labelme", [_left_out(form, found[form]) for form in others])
    seen = " and ".join(f"{_MANY[form]} such as {found[form]}" for form in candidates)
    choice = " or ".join(f"--from {form}" for form in candidates)
    raise UsageError(f"{source}: source must hold one form of annotations, got {seen}; say {choice}")


def _left_out(form: str, name: str) -> Finding:
    message = f"{_MANY[form]} beside Labelme files were left out; --from {form} reads them"
    return Finding("other-form", name, "", "", message)


def _forms_of_file(path: Path) -> dict[str, str]:
    form = _form_of_file(path, path.suffix.lower())
    return {form: path.name} if form else {}


def _forms_in(root: Path) -> dict[str, str]:
    """Return the forms that lie below a folder, each with the first file that showed it."""
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        for form, name in _forms_among(here, sorted(names)):
            found.setdefault(form, str((here / name).relative_to(root)))
    return found


def _forms_among(folder: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    looked: dict[str, int] = {}
    for name in names:
        # Not by a Path object: a folder may hold tens of thousands.
        suffix = name[name.rfind(".") :].lower()
        if suffix not in _SUFFIXES or looked.get(suffix, 0) >= _LOOKED_INTO or name.startswith("."):
            continue
        looked[suffix] = looked.get(suffix, 0) + 1
        form = _form_of_file(folder / name, suffix)
        if form is not None:
            yield form, name
    if "classes.txt" in names and (folder / "labels").is_dir():
        yield "yolo", "classes.txt"
    if _holds_label_images(folder, names):
        yield "pairs", names[0]


def _form_of_file(path: Path, suffix: str) -> str | None:
    return _SUFFIXES[suffix](path) if suffix in _SUFFIXES else None


def holds_coco(path: Path) -> bool:
    """Return whether a JSON file speaks of images, annotations and categories, and of no Labelme shapes."""
    return _of_json(path) == "coco"


def _of_json(path: Path) -> str:
    missing = [b'"images"', b'"annotations"', b'"categories"']
    named = False
    for piece in _pieces(path):
        if re.search(rb'"shapes"\s*:', piece):
            return "labelme"
        named = named or b'"imagePath"' in piece
        missing = [key for key in missing if key not in piece]
    if missing:
        return "labelme" if named else _UNKNOWN_JSON
    return "coco"


def _of_yaml(path: Path) -> str | None:
    return "yolo" if re.search(rb"^names\s*:", _peek(path, 2**20), re.MULTILINE) else None


def _of_xml(path: Path) -> str | None:
    return "voc" if b"<annotation" in _peek(path, 2**12) else None


def holds_reference_csv(path: Path) -> bool:
    """Return whether a CSV file has the columns that tell the reference form from others."""
    header = _peek(path, 2**12).decode("utf-8-sig", "replace").partition("\n")[0]
    cells = {cell.strip().strip('"') for cell in header.split(",")}
    return {"image_id", "image_width", "class", "xmin", "ymax"} <= cells


def _of_csv(path: Path) -> str | None:
    return "csv" if holds_reference_csv(path) else None


_SUFFIXES: dict[str, Callable[[Path], str | None]] = {
    ".json": _of_json,
    ".yaml": _of_yaml,
    ".yml": _of_yaml,
    ".xml": _of_xml,
    ".csv": _of_csv,
}


def _holds_label_images(folder: Path, names: list[str]) -> bool:
    stems = {name[: name.rfind(".")] for name in names if name.lower().endswith(_PICTURE_SUFFIXES)}
    if folder.name in _MASK_FOLDERS and stems:
        return True
    return any(stem + ending in stems for stem in stems for ending in ("_label", "_mask"))


def _pieces(path: Path) -> Iterator[bytes]:
    """Give what an ordinary file holds, up to a bound, in overlapping pieces: it may be larger than the memory."""
    try:
        if not path.is_file():
            return
        with path.open("rb") as handle:
            tail = b""
            while handle.tell() < _LARGEST_SEARCHED and (piece := handle.read(_PIECE)):
                yield tail + piece
                tail = piece[-_OVERLAP:]
    except OSError:
        return


def _peek(path: Path, most: int) -> bytes:
    """Return the first bytes of an ordinary file; nothing of a device, a pipe or what cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as handle:
            return handle.read(most)
    except OSError:
        return b""


def _what_is(path: Path) -> str:
    return "a file" if path.exists() else "no such one"
