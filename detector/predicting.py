"""Detections on pictures that are in no dataset: find the files, predict, write tables and drawings."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from annotations.dataset import images_text
from annotations.detections import write_detections
from annotations.drawing import COLOURS, draw_boxes, draw_outline
from annotations.errors import AnnotationError, PpnlabError
from annotations.pictures import SUFFIXES, read_picture, write_picture
from annotations.tables import Detections, Images
from annotations.whole import write_whole
from detector.decoding import Found, detections_table
from detector.objects_table import objects_table, wholes, write_objects
from detector.tiled import detect_tiled
from detector.tiling import Tiling
from detector.weights import Predictor

if TYPE_CHECKING:
    from detector.ppn_family import PpnModel

Progress = Callable[[int, int], None]
_WIDEST_JPEG: Final = 65_500
"""Pixels of a side. Source: JPEG_MAX_DIMENSION of libjpeg."""
SURE: Final = 0.3
"""Score from which on a detection is shown and counted, unless another is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The pictures that could be read, what was found in them, and what was wrong with the others.

    `incomplete` of the `objects` that are sure lack a part that they should have; both are 0 for a run without parts.
    """

    images: Images
    detections: Detections
    faults: tuple[str, ...]
    objects: int = 0
    incomplete: int = 0


def picture_files(places: Iterable[Path], output: Path) -> list[Path]:
    """Return the files among `places` and the pictures (by suffix) below the folders among them, in order, each once.

    Hidden files and what lies in `output`, the drawings of an earlier prediction, are passed over in folders.

    Raises:
        PpnlabError: a place does not exist, or a folder holds no picture.
    """
    files: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise PpnlabError(f"{place}: picture must exist, got no such file")
        inside = [path for path in sorted(place.rglob("*")) if _is_input(path, output)] if place.is_dir() else [place]
        if not inside:
            raise PpnlabError(f"{place}: folder must hold pictures ({' '.join(sorted(SUFFIXES))}), got none")
        for path in inside:
            files.setdefault(path.resolve(), path)
    return list(files.values())


def _is_input(path: Path, output: Path) -> bool:
    hidden = path.name.startswith(".")
    return (
        path.suffix.lower() in SUFFIXES
        and not hidden
        and path.is_file()
        and not path.resolve().is_relative_to(output.resolve())
    )


def picture_names(files: Sequence[Path]) -> list[str]:
    """Return a unique image_id for each file: its stem, or what tells it apart (folder, suffix) where stems clash."""
    if not files:
        return []
    root = os.path.commonpath([path.parent.absolute() for path in files])
    paths = [Path(os.path.relpath(path, root)) for path in files]
    for name_of in (lambda path: path.stem, lambda path: path.with_suffix("").as_posix(), Path.as_posix):
        names = [name_of(path) for path in paths]
        if len(set(names)) == len(names):
            return names
    return names


def predict_files(
    predictor: Predictor,
    files: Sequence[Path],
    output: Path,
    *,
    drawn_above: float | None,
    sure_from: float = SURE,
    tiling: Tiling | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Return the detections on picture files, and write images.csv and detections.csv into `output`.

    A run with parts gives objects.csv too, with the objects and parts from the score `sure_from` on. Where
    `drawn_above` is a score, each picture is also written to `output/images` with the detections from that score on.
    With `tiling`, large pictures are looked at in tiles. A picture that cannot be read is left out and named in
    `faults`.

    Raises:
        AnnotationError: `output` cannot be written.
    """
    names = picture_names(files)
    read: list[tuple[str, Path, tuple[int, int], Found]] = []
    faults: list[str] = []
    with _writing(output):
        for number, (name, path) in enumerate(zip(names, files, strict=True), start=1):
            try:
                picture = read_picture(path)
            except AnnotationError as error:
                faults.append(str(error))
            else:
                found = _detected(predictor, picture, tiling)
                read.append((name, path, (picture.shape[1], picture.shape[0]), found))
                if drawn_above is not None:
                    _draw(output, name, picture, found, predictor.model, drawn_above)
            if progress:
                progress(number, len(files))
        return _written(read, output, predictor.model, tuple(faults), sure_from)


def _detected(predictor: Predictor, picture: NDArray[np.uint8], tiling: Tiling | None) -> Found:
    model, predict = predictor.model, predictor.predict
    found = model.detect([picture], predict)[0] if tiling is None else detect_tiled(model, picture, predict, tiling)
    return model.judged(found, (picture.shape[1], picture.shape[0]))


@contextlib.contextmanager
def _writing(output: Path) -> Iterator[None]:
    try:
        output.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise AnnotationError(f"{output}: output must be writable, got {error.strerror or error}") from error


def _written(
    read: list[tuple[str, Path, tuple[int, int], Found]],
    output: Path,
    model: "PpnModel",
    faults: tuple[str, ...],
    sure_from: float,
) -> Prediction:
    size = np.array([item[2] for item in read], np.int64).reshape(-1, 2)
    images = _table([item[1] for item in read], [item[0] for item in read], size, output)
    detections = detections_table([item[3] for item in read], size)
    write_whole(output / "images.csv", images_text(images))
    write_detections(output / "detections.csv", images, model.classes, detections)
    if not model.parts:
        return Prediction(images, detections, faults)
    table = objects_table(model, images, detections, sure_from)
    write_objects(output / "objects.csv", table)
    return Prediction(images, detections, faults, table.objects, table.incomplete)


def _table(files: list[Path], names: list[str], size: NDArray[np.int64], output: Path) -> Images:
    empty = [""] * len(files)
    paths = [Path(os.path.relpath(path, output)).as_posix() for path in files]
    return Images(names, paths, size[:, 0], size[:, 1], empty, empty, empty, empty)  # type: ignore[arg-type]


def _draw(
    output: Path, name: str, picture: NDArray[np.uint8], found: Found, model: "PpnModel", drawn_above: float
) -> None:
    rows = np.flatnonzero(found.score >= drawn_above)
    class_id = found.class_id[rows]
    size, least = (picture.shape[1], picture.shape[0]), np.full(len(model.classes), drawn_above)
    objects = wholes(model, found, size, least)
    missing = {one.row: f", lacks {one.words()}" for one in objects if one.missing}
    texts = [
        f"{model.classes[found.class_id[row]]} {found.score[row]:.2f}{missing.get(row, '')}" for row in rows.tolist()
    ]
    colours = [COLOURS[c % len(COLOURS)] for c in class_id]
    thin = [model.classes[c] in model.parts for c in class_id]
    suffix = ".jpg" if max(size) <= _WIDEST_JPEG else ".png"
    path = output / "images" / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw_boxes(picture, found.xyxy[rows], texts, colours, thin)
    for one in objects:
        if one.pose is not None:
            draw_outline(drawn, one.pose.corners, COLOURS[found.class_id[one.row] % len(COLOURS)])
    write_picture(path, drawn)
