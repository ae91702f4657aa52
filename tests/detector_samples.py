"""What the tests of the detector share: drawn data sets, quick settings, monitors and watchers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotations.dataset import write_dataset
from annotations.pictures import write_picture
from annotations.scenes import OBJECT, PART, SceneSettings, draw_scene
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Images
from detector.cells import Cells
from detector.settings import Settings

THREADS = 1
"""TensorFlow keeps one number of threads as long as a process lives: all tests of the detector use this one."""

QUICK = Settings(backbone="none", input=(64, 64), batch=4, epochs=3, warmup_steps=2, threads=THREADS, loaders=1, keep=2)


TIMED = frozenset({"seconds", "images_per_second", "data_wait"})
"""Columns of history.csv that no two trainings have alike."""


def quarter_boxes(width: int, height: int, most: int = 6) -> st.SearchStrategy[NDArray[np.float64]]:
    """(N, 4) xyxy boxes on the quarter-pixel grid inside width x height; sides of at least a quarter pixel."""

    def box(ends: tuple[list[int], list[int]]) -> list[float]:
        (left, right), (top, bottom) = map(sorted, ends)
        return [left / 4, top / 4, right / 4, bottom / 4]

    def pair(side: int) -> st.SearchStrategy[list[int]]:
        return st.lists(st.integers(0, 4 * side), min_size=2, max_size=2, unique=True)

    boxes = st.lists(st.tuples(pair(width), pair(height)).map(box), max_size=most)
    return boxes.map(lambda rows: np.array(rows, np.float64).reshape(-1, 4))


def cells_boxes(rng: np.random.Generator, cells: Cells) -> NDArray[np.float64]:
    """A random box around every cell's centre, each side at 1/50 to 50 halves of its prior."""
    reach = np.exp(rng.uniform(-np.log(50), np.log(50), (len(cells), 4))) * (cells.prior / 2)[:, None]
    return np.concatenate([cells.centre - reach[:, :2], cells.centre + reach[:, 2:]], axis=1)


def drawn_dataset(
    directory: Path, splits: Mapping[str, int], *, side: int = 96, parts: bool = True, seed: int = 0
) -> Path:
    """Write a box dataset of drawn scenes with so many images a split, and return its directory."""
    settings = SceneSettings(side, side, most_codes=1, empty=0.0, difficulty=0.0)
    names = [name for name, count in splits.items() for _ in range(count)]
    (directory / "pictures").mkdir(parents=True)
    rows: list[tuple[int, int, list[float]]] = []
    for index in range(len(names)):
        scene = draw_scene(seed, index, settings)
        write_picture(directory / "pictures" / f"s{index}.png", scene.pixels)
        for class_id, label in enumerate((OBJECT, PART) if parts else (OBJECT,)):
            rows += [(index, class_id, (box / side).tolist()) for box in scene.xyxy(label)]
    dataset = BoxDataset(
        directory,
        (OBJECT, PART) if parts else (OBJECT,),
        {PART: OBJECT} if parts else {},
        images_table([f"pictures/s{index}.png" for index in range(len(names))], names, (side, side)),
        annotations_table(rows),
    )
    write_dataset(directory / "data", dataset, [], command="test")
    return directory / "data"


def images_table(paths: list[str], splits: list[str], size: tuple[int, int]) -> Images:
    empty = np.array([""] * len(paths), np.str_)
    names = np.array([Path(path).stem for path in paths], np.str_)
    width, height = (np.full(len(paths), side) for side in size)
    return Images(names, np.array(paths), width, height, np.array(splits), empty, empty, empty)


def annotations_table(rows: list[tuple[int, int, list[float]]]) -> Annotations:
    """Truth from rows (image row, class id, normalised xyxy)."""
    texts = np.array([""] * len(rows), np.str_)
    return Annotations(
        np.array([row[0] for row in rows], np.int64),
        np.arange(len(rows)),
        np.full(len(rows), NO_PARENT),
        texts,
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
        texts,
    )


class Watch:
    """A loop's watcher that keeps what it is told, and calls `at_step` with the number of steps done."""

    def __init__(self, at_step: Callable[[int], None] | None = None) -> None:
        self.losses: list[float] = []
        self.rows: list[Mapping[str, Any]] = []
        self.notes: list[str] = []
        self._at_step = at_step

    def step(self, done: int, total: int, images: int, losses: Mapping[str, float]) -> None:
        self.losses.append(losses["loss"])
        if self._at_step:
            self._at_step(done)

    def epoch(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)

    def note(self, text: str) -> None:
        self.notes.append(text)
