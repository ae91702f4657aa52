"""Drawn QR codes pasted on training pictures, in perspective, with their finder patterns, small ones favoured."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.errors import UsageError
from annotations.scene_codes import PlacedCode, pasted_code
from annotations.scene_planes import envelope
from annotations.scene_symbols import label
from annotations.tables import BoxDataset
from detector.augment import LEAST_SIDE, Sample
from detector.pasting import is_free, with_truth
from detector.settings import Settings

SMALLEST: Final = 12.0
"""Pixels of a code's side at the input, at least: a code of version 1 has half a pixel a module then."""
_LARGEST: Final = 0.45
"""Share of the input's shorter side that a code has at most."""
_MOST: Final = 3
_ATTEMPTS: Final = 8
_TILT: Final = 0.8
"""Radians by which it leans away at most."""


@dataclass(frozen=True, slots=True)
class CodeClasses:
    """The class of codes in a dataset, and that of their finder patterns, or None."""

    code: int
    finder: int | None


def code_classes(data: BoxDataset, settings: Settings) -> CodeClasses:
    """Return the classes that `rendered_as` names.

    Raises:
        UsageError: the dataset has no such class, or the second is no part of the first.
    """
    names = [name.strip() for name in settings.rendered_as.split(",") if name.strip()]
    classes, told = ", ".join(data.classes), settings.rendered_as
    if not 1 <= len(names) <= 2 or names[0] not in data.classes:
        raise UsageError(f"settings: rendered_as must name the class of codes, of {classes}, got {told!r}")
    # The default names a part, which a dataset without parts has not.
    if len(names) == 1 or names[1] not in data.classes:
        return CodeClasses(data.classes.index(names[0]), None)
    if data.parts.get(names[1]) != names[0]:
        raise UsageError(f"settings: rendered_as must name a class and its part, got {told!r}")
    return CodeClasses(data.classes.index(names[0]), data.classes.index(names[1]))


def with_rendered(sample: Sample, classes: CodeClasses, rng: np.random.Generator) -> Sample:
    """Return the sample with 1 to 3 drawn codes where no box is; as many as there was room for, maybe none."""
    for _ in range(rng.integers(1, _MOST + 1)):
        code = _proposed(sample, rng)
        if code is not None:
            sample = _with_code(sample, code, classes, rng)
    return sample


def _proposed(sample: Sample, rng: np.random.Generator) -> PlacedCode | None:
    height, width = sample.picture.shape[:2]
    largest = max(SMALLEST, _LARGEST * min(height, width))
    for _ in range(_ATTEMPTS):
        # Even in the logarithm: as many from 12 to 24 pixels as from 48 to 96.
        side = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(largest))))
        centre = rng.uniform((0.0, 0.0), (width, height))
        code = PlacedCode.at(rng, label(rng), side, _TILT, centre)
        if is_free(code.sheet_xyxy, sample):
            return code
    return None


def _with_code(sample: Sample, code: PlacedCode, classes: CodeClasses, rng: np.random.Generator) -> Sample:
    left, top, right, bottom = _region(code.sheet_xyxy, sample.picture.shape[:2])
    picture = sample.picture.copy()
    below = picture[top:bottom, left:right].astype(np.float32)
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)
    inside = PlacedCode(code.label, shift @ code.to_scene, code.side)
    lit = pasted_code(rng, below, inside, float(rng.random()))
    sigma = float(rng.uniform(0.0, 1.0))
    # A print is as sharp as the lens, and codes of the camera's own pixels are rare.
    soft = cv2.GaussianBlur(lit, (0, 0), sigma) if sigma > 0.3 else lit
    picture[top:bottom, left:right] = np.clip(soft, 0, 255)
    return with_truth(sample, picture, *_truth(code, classes))


def _region(xyxy: NDArray[np.float64], size: tuple[int, ...]) -> tuple[int, int, int, int]:
    # Two pixels more than it covers, for the blur.
    left, top = np.maximum(np.floor(xyxy[:2]) - 2, 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(xyxy[2:]) + 2, size[1::-1]).astype(int).tolist()
    return left, top, right, bottom


def _truth(code: PlacedCode, classes: CodeClasses) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    boxes, class_id = [envelope(code.outline)], [classes.code]
    if classes.finder is not None:
        boxes += [envelope(finder) for finder in code.finders]
        class_id += [classes.finder] * 3
    xyxy = np.array(boxes)
    kept = (xyxy[:, 2:] - xyxy[:, :2]).min(axis=1) >= LEAST_SIDE
    return xyxy[kept], np.array(class_id, np.int64)[kept]
