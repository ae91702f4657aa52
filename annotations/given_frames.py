"""The frame of an image whose annotations give its width and height as numbers, checked against the picture."""

from pathlib import Path

from annotations.errors import AnnotationError
from annotations.frames import Size, frame_of
from annotations.imagepaths import ImagePlace
from annotations.notes import FileRefused, Note
from annotations.pictures import picture_size


def given_frame(size: Size | None, root: Path, place: ImagePlace, check: bool, notes: list[Note]) -> Size:
    """Return the (width, height) that boxes are relative to: the given one, else that of the picture as displayed.

    The picture lies at `place` below `root`. A given size is compared with its header where `check` says so.

    Raises:
        FileRefused: there is no size, or the picture has one that no resize explains.
    """
    if size is not None:
        given = {"imageWidth": size[0], "imageHeight": size[1]}
        return frame_of(given, root, place, notes) if check and place.found else size
    if not place.found:
        message = "width and height must be given where no picture is found, got none"
        raise FileRefused("unknown-size", message)
    try:
        taken = picture_size(root / place.path)
    except AnnotationError as error:
        fault = str(error).removeprefix(f"{root / place.path}: ")
        raise FileRefused("unreadable-image", f"{place.path}: {fault}, and width and height are not given") from error
    message = f"width and height must be given, got none; {taken[0]} x {taken[1]} taken from the picture"
    notes.append(Note("size-from-image", "", message))
    return taken
