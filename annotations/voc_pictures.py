"""Where the picture of a Pascal VOC file lies, and the size in pixels that its boxes are relative to."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from annotations.errors import AnnotationError
from annotations.files_below import suffix_of
from annotations.forms import ReadOptions
from annotations.frames import LARGEST_SIDE, frame_of
from annotations.imagepaths import ImagePlace, SourceFolder
from annotations.notes import FileRefused, Note, is_plain
from annotations.picture_search import PictureSearch
from annotations.pictures import SUFFIXES, displayed_and_stored_size
from annotations.voc_lists import VocName

_PICTURE_FOLDERS = ("JPEGImages", "images", "Images")
_LONGEST_PATH = 1000


@dataclass(slots=True)
class VocPictures:
    """Finds the pictures of annotation files in a folder, and where `options` say that pictures lie."""

    folder: SourceFolder
    options: ReadOptions
    search: PictureSearch = field(init=False)

    def __post_init__(self) -> None:
        self.search = PictureSearch(self.folder.root, (), self.options.pictures)

    def size(self, place: ImagePlace, annotated: tuple[int, int] | None, notes: list[Note]) -> tuple[int, int]:
        """Return the (width, height) of the boxes' frame: the file's own, else the picture's as displayed.

        Raises:
            FileRefused: there is no size, or the picture has a size that no resize explains.
        """
        if annotated is not None:
            document = {"imageWidth": annotated[0], "imageHeight": annotated[1]}
            checked = place if self.options.check_images else ImagePlace(place.path, False)
            return frame_of(document, self.folder.root, checked, notes)
        if not place.found:
            raise FileRefused("unknown-size", "size must be given where there is no picture, got none")
        path = self.folder.root / place.path
        try:
            size = displayed_and_stored_size(path)[0]
        except AnnotationError as error:
            raise FileRefused("unreadable-image", str(error).replace(str(path), place.path)) from error
        notes.append(Note("size-from-image", "", f"size must be given, got none; {size[0]} x {size[1]} taken"))
        return size

    def place(self, name: VocName, path: str, root: Element, has_size: bool, notes: list[Note]) -> ImagePlace:
        """Return the place of a file's picture: beside it, or in the folder of pictures, or where it says itself."""
        candidates = list(dict.fromkeys(_candidates(name, path, root)))
        found = next((path for path in candidates if self.folder.has_file(path)), None)
        if found is not None:
            return ImagePlace(found, True)
        if has_size and not self.options.check_images:
            return ImagePlace(candidates[0], False)
        given = _file_name(root)
        is_whole = suffix_of(given) in SUFFIXES
        place = self.search.named(given, notes) if is_whole else self.search.of_image(name.key, notes)
        return place if place.found else ImagePlace(candidates[0], False)


def _candidates(name: VocName, path: str, root: Element) -> Iterator[str]:
    """Yield the places that a file's picture may have, the likeliest first."""
    below, stem = posixpath.split(name.key)
    given = _file_name(root)
    if suffix_of(given) in SUFFIXES:
        files = [given]
    else:
        bases = dict.fromkeys([given, stem] if given else [stem])
        files = [base + suffix for base in bases for suffix in (".jpg", *sorted({*SUFFIXES, ".JPG"} - {".jpg"}))]
    is_beside = not path.startswith(posixpath.join(name.base, "Annotations/"))
    said = (root.findtext("folder") or "").strip().replace("\\", "/")
    beside = posixpath.dirname(path)
    folders = [posixpath.join(name.base, folder, below) for folder in _PICTURE_FOLDERS]
    folders = [beside, *folders] if is_beside else [*folders, beside]
    folders += [posixpath.join(name.base, said), posixpath.join(beside, said)]
    folders += [posixpath.join(posixpath.dirname(beside), folder) for folder in _PICTURE_FOLDERS]
    for folder in folders:
        for file in files:
            place = posixpath.normpath(posixpath.join(folder, file))
            if not place.startswith(("/", "../")) and is_plain(place, _LONGEST_PATH):
                yield place


def _file_name(root: Element) -> str:
    """Return the name of the picture's file, without folders; "" where the file gives none that can be one."""
    name = (root.findtext("filename") or "").strip().replace("\\", "/").rpartition("/")[2]
    return name if name not in (".", "..") and is_plain(name, _LONGEST_PATH) else ""


def annotated_size_of(root: Element) -> tuple[int, int] | None:
    """Return the (width, height) that an annotation file gives, or None."""
    sides = []
    for side in ("width", "height"):
        text = (root.findtext(f"size/{side}") or "").strip()
        whole = text.removesuffix(".0")
        sides.append(int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 8 else 0)
    # Some programs write 0 for what they do not know.
    return (sides[0], sides[1]) if all(0 < side <= LARGEST_SIDE for side in sides) else None
