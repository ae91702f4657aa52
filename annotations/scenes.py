"""Drawn scenes: QR codes in perspective on textured backgrounds, with their truth, as a lab would annotate photographs.

A scene is a pure function of (seed, index, settings): nothing is stored that could not be drawn again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.dataset import refuse_existing
from annotations.errors import AnnotationError, UsageError
from annotations.pictures import write_picture
from annotations.scene_camera import photographed
from annotations.scene_codes import PlacedCode, pasted_code, turn
from annotations.scene_distractors import distractor
from annotations.scene_planes import envelope, pasted, pose
from annotations.scene_surfaces import surface
from annotations.scene_symbols import label
from annotations.tables import SPLITS, Boxes
from annotations.whole import whole_directory

OBJECT, PART = "qr_code", "fip"
"""The labels: a code, and a finder pattern, which is a part of it."""

REFERENCE_SIDE = 256
"""Pixels of the shorter side of a scene for which the lengths in this file are meant; others scale with it."""

# Whole codes at 256 pixels: smaller ones have finder patterns that a detector of stride 4 cannot tell from noise.
_SIDES = (60.0, 150.0)
_SMALLEST_PART = 8.0
_ATTEMPTS = 60
_TILT = 0.9
# Labelme 5.2 writes `description` and does not yet write `mask`.
_LABELME = "5.2.1"


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """What scenes are like; `width` and `height` are pixels, `empty` is the share of scenes without a code.

    A scene that has codes has 1 to `most_codes`, few more often than many. `difficulty` is in 0..1: blur, noise, tilt,
    poor contrast and look-alikes grow with it.
    """

    width: int = REFERENCE_SIDE
    height: int = REFERENCE_SIDE
    most_codes: int = 3
    empty: float = 0.12
    difficulty: float = 0.5

    def __post_init__(self) -> None:
        # Below 96 pixels the smallest code has less than a pixel a module.
        for name, least, most in (("width", 96, 8192), ("height", 96, 8192), ("most_codes", 1, 20)):
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"scene: {name} must be {least} to {most}, got {getattr(self, name)}")
        for name in ("empty", "difficulty"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"scene: {name} must be 0 to 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, eq=False)
class SceneShape:
    """One region as Labelme stores it: `points` (K, 2) in pixels, two corners in any order, or a polygon's."""

    label: str
    points: NDArray[np.float64]
    group_id: int
    shape_type: str

    @property
    def xyxy(self) -> Boxes:
        """Return the (4,) upright box in pixels, corners in order."""
        return envelope(self.points)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A photograph, (H, W, 3) RGB, and its truth: each code's shape and its three parts' share a `group_id` from 0."""

    pixels: NDArray[np.uint8]
    shapes: tuple[SceneShape, ...]

    def xyxy(self, label: str) -> Boxes:
        """Return the (N, 4) boxes in pixels of the shapes with this label; none give (0, 4)."""
        return np.array([shape.xyxy for shape in self.shapes if shape.label == label], np.float64).reshape(-1, 4)


def _proposed(rng: np.random.Generator, settings: SceneSettings, unit: float, largest: float) -> PlacedCode:
    side = float(np.exp(rng.uniform(np.log(_SIDES[0]), np.log(largest)))) * unit
    chosen = label(rng)
    # Nearer than this to the border it would leave the scene however it is turned.
    room = np.array([settings.width, settings.height]) / 2
    inner = np.maximum(room - 0.4 * side, 0)
    centre = rng.uniform(room - inner, room + inner)
    return PlacedCode.at(rng, chosen, side, _TILT * (0.4 + 0.6 * settings.difficulty), centre)


def _fits(placed: PlacedCode, others: list[PlacedCode], settings: SceneSettings, unit: float) -> bool:
    margin = 2 * unit
    left, top, right, bottom = envelope(placed.outline).tolist()
    if min(left, top, settings.width - right, settings.height - bottom) < margin:
        return False
    if np.ptp(placed.finders, axis=1).min() < _SMALLEST_PART * unit:
        return False
    near = placed.sheet_xyxy
    taken = [other.sheet_xyxy for other in others]
    return not any((near[:2] < far[2:]).all() and (far[:2] < near[2:]).all() for far in taken)


def _codes(rng: np.random.Generator, settings: SceneSettings, unit: float) -> list[PlacedCode]:
    """Return codes that lie inside the scene and do not touch; fewer than wished where they find no room."""
    if rng.random() < settings.empty:
        return []
    chances = 0.5 ** np.arange(settings.most_codes)
    wished = 1 + int(rng.choice(settings.most_codes, p=chances / chances.sum()))
    largest = max(_SIDES[0] + 10, _SIDES[1] / np.sqrt(wished))
    placed: list[PlacedCode] = []
    for attempt in range(_ATTEMPTS):
        # Later attempts are smaller: a scene that is to have a code gets one.
        proposed = _proposed(rng, settings, unit, largest - (largest - _SIDES[0]) * attempt / _ATTEMPTS)
        if _fits(proposed, placed, settings, unit):
            placed.append(proposed)
        if len(placed) == wished:
            break
    return placed


def _scenery(rng: np.random.Generator, settings: SceneSettings, unit: float, empty: bool) -> NDArray[np.float32]:
    """Return a background with look-alikes on it; more of them where there is no code to find."""
    size = (settings.width, settings.height)
    canvas = surface(rng, size, unit)
    most = 2 + round(4 * settings.difficulty) + 2 * empty
    for _ in range(rng.integers(0, most)):
        drawing = distractor(rng)
        height, width = drawing.shape[:2]
        onto = pose(rng, rng.uniform(25, 110) * unit, _TILT, turn(rng), rng.uniform((0, 0), size))
        unit_square = np.array([[1 / width, 0, -0.5], [0, 1 / width, -0.5 * height / width], [0, 0, 1]])
        canvas = pasted(canvas, drawing, onto @ unit_square)
    return canvas


def _corners(rng: np.random.Generator, xyxy: Boxes) -> NDArray[np.float64]:
    """Return two opposite corners (2, 2) in one of the four orders in which a box can be drawn."""
    points = xyxy.reshape(2, 2).copy()
    for axis in range(2):
        if rng.random() < 0.5:
            points[:, axis] = points[::-1, axis]
    return points


def _shapes(rng: np.random.Generator, codes: list[PlacedCode]) -> tuple[SceneShape, ...]:
    shapes = []
    for group_id, code in enumerate(codes):
        if rng.random() < 0.15:
            shapes.append(SceneShape(OBJECT, code.outline, group_id, "polygon"))
        else:
            shapes.append(SceneShape(OBJECT, _corners(rng, envelope(code.outline)), group_id, "rectangle"))
        for finder in code.finders:
            shapes.append(SceneShape(PART, _corners(rng, envelope(finder)), group_id, "rectangle"))
    return tuple(shapes[row] for row in rng.permutation(len(shapes))) if rng.random() < 0.3 else tuple(shapes)


def draw_scene(seed: int, index: int, settings: SceneSettings = SceneSettings()) -> Scene:
    """Return scene number `index` of a `seed` (both from 0): the same pixels and shapes at every call.

    Other versions of numpy, OpenCV or segno may draw it a little otherwise.
    """
    rng = np.random.default_rng((seed, index))
    unit = min(settings.width, settings.height) / REFERENCE_SIDE
    codes = _codes(rng, settings, unit)
    canvas = _scenery(rng, settings, unit, empty=not codes)
    for code in codes:
        canvas = pasted_code(rng, canvas, code, settings.difficulty)
    return Scene(photographed(canvas, rng, unit, settings.difficulty), _shapes(rng, codes))


def _labelme(scene: Scene, picture: str, split: str) -> dict[str, Any]:
    """Return the document that Labelme saves for a scene, keys in its order."""
    height, width = scene.pixels.shape[:2]
    shapes = [
        {
            "label": shape.label,
            "points": shape.points.tolist(),
            "group_id": shape.group_id,
            "description": "",
            "shape_type": shape.shape_type,
            "flags": {},
        }
        for shape in scene.shapes
    ]
    return {
        "version": _LABELME,
        "flags": {name: name == split for name in SPLITS},
        "shapes": shapes,
        "imagePath": picture,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def split_names(count: int, seed: int, shares: Mapping[str, float]) -> list[str]:
    """Return a split's name for each of `count` scenes: sizes by `shares`, which scene by `seed`.

    Each split with a share above 0 gets a scene at least, where there are enough.

    Raises:
        UsageError: a name is no split, or the shares are negative or all 0.
    """
    if not shares.keys() <= set(SPLITS) or min(shares.values(), default=0) < 0 or not sum(shares.values()) > 0:
        raise UsageError(f"scene: shares must be from 0 for names of {', '.join(SPLITS)}, got {dict(shares)}")
    names = [name for name, share in shares.items() if share > 0]
    ends = np.cumsum([shares[name] for name in names]) / sum(shares.values())
    place = (np.arange(count) + 0.5) / max(count, 1)
    assigned = np.minimum(np.searchsorted(ends, place), len(names) - 1)
    if count >= len(names):
        assigned[-len(names) :] = np.maximum(assigned[-len(names) :], np.arange(len(names)))
    return [names[row] for row in np.random.default_rng((seed, count)).permutation(assigned)]


SHARES: Mapping[str, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
"""The splits of drawn scenes, unless others are asked for."""


def write_scenes(
    directory: Path,
    count: int,
    seed: int = 0,
    settings: SceneSettings = SceneSettings(),
    splits: Mapping[str, float] = SHARES,
    *,
    suffix: str = ".jpg",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `count` scenes as a Labelme folder, whole or not at all: `images/scene_0001.jpg`, `annotations/*.json`.

    `splits` are shares, told by flags; `progress` is called with the number of scenes done and of all.

    Raises:
        UsageError: `directory` is there already and not empty, `count` is below 1, `seed` below 0, or the splits are
            none.
        AnnotationError: `suffix` is no picture format's, or `directory` cannot be written.
    """
    for name, value, least in (("count", count, 1), ("seed", seed, 0)):
        if value < least:
            raise UsageError(f"scene: {name} must be {least} or more, got {value}")
    refuse_existing(directory)
    names = split_names(count, seed, splits)
    try:
        with whole_directory(directory) as aside:
            (aside / "images").mkdir()
            (aside / "annotations").mkdir()
            for index, split in enumerate(names):
                _write_scene(aside, index, draw_scene(seed, index, settings), split, suffix)
                if progress:
                    progress(index + 1, count)
    except OSError as error:
        raise AnnotationError(f"{directory}: scenes must be writable, got {error.strerror}") from error


def _write_scene(directory: Path, index: int, scene: Scene, split: str, suffix: str) -> None:
    stem = f"scene_{index + 1:04d}"
    write_picture(directory / "images" / f"{stem}{suffix}", scene.pixels)
    # Half of them as annotators on Windows leave them.
    slash = "\\" if index % 2 else "/"
    document = _labelme(scene, slash.join(["..", "images", f"{stem}{suffix}"]), split)
    text = json.dumps(document, ensure_ascii=False, indent=2)
    (directory / "annotations" / f"{stem}.json").write_text(text, encoding="utf-8")
