"""Runs that were never trained, whose networks find much at random: what exported models are compared with."""

from pathlib import Path
from typing import Any

import numpy as np
from detector_samples import THREADS
from numpy.typing import NDArray

from detector.checkpoint import Progress, save_checkpoint
from detector.decoding import Found
from detector.letterbox import letterbox, place
from detector.run_directory import create_run

STEP = 7
SIDES = ((150, 60), (64, 64), (33, 95), (200, 200))
"""Widths and heights of the pictures: wide, as the input, high and large."""
SETTINGS: dict[str, Any] = {"backbone": "none", "weights": "none", "input": [64, 64], "threads": THREADS}
KINDS: dict[str, tuple[list[str], dict[str, str], dict[str, Any]]] = {
    "parts": (["code", "corner", "card", "spot"], {"corner": "code", "spot": "card"}, {"max_detections": 5}),
    "no parts": (["cell"], {}, {"nms_iou": 0.3}),
    "no votes": (["code", "corner"], {"corner": "code"}, {"vote_iou": 1.0}),
    "classic": (["code", "corner"], {"corner": "code"}, {"family": "ppn_classic"}),
    "nothing": (["code", "corner"], {"corner": "code"}, {"score_floor": 1.0}),
}
"""Classes, parts and settings of a run."""


def random_run(place: Path, kind: str) -> Path:
    """Write a run of this kind with random weights, and return its directory."""
    from detector.engine import averaged_variables, configure
    from detector.families import box_model
    from detector.settings import Settings

    configure(THREADS, deterministic=True)
    classes, parts, more = KINDS[kind]
    settings = Settings().changed({**SETTINGS, **more}, "tests")
    network = box_model(settings, tuple(classes), parts).build(pretrained=False)
    rng = np.random.default_rng(1)
    # The published network bounds no size: at random, some boxes would be too small for numbers of 32 bits.
    sizes = 0.1 if settings.family == "ppn_classic" else 1.0
    arrays = {name: _drawn(rng, name, value.numpy(), sizes) for name, value in averaged_variables(network).items()}
    run = create_run(
        place,
        {
            "settings": {**SETTINGS, **more},
            "classes": classes,
            "parts": parts,
            "dataset": {"path": "../data", "hashes": {}},
        },
    )
    save_checkpoint(run.checkpoints, arrays, Progress(step=STEP, best_step=STEP, best_score=0.5))
    return place


def _drawn(rng: np.random.Generator, name: str, value: NDArray[Any], sizes: float) -> NDArray[Any]:
    kind = name.rpartition("/")[2]
    if kind in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, value.shape).astype(value.dtype)
    if "class" in name and kind == "bias":
        # A score of about the floor: some boxes pass, and some do not.
        return rng.normal(-2.5, 0.5, value.shape).astype(value.dtype)
    spread = np.sqrt(2 / max(1, int(np.prod(value.shape[:-1]))))
    share = sizes if "_box/" in name else 1.0
    return rng.normal(0, 0.1 if value.ndim == 1 else share * spread, value.shape).astype(value.dtype)


def random_pictures() -> list[NDArray[np.uint8]]:
    """Return pictures of `SIDES`, of noise in blocks, which is seen at every size.

    None is of one colour: its cells would be equally sure, and which of them is kept no more than chance.
    """
    rng = np.random.default_rng(2)
    pictures = []
    for width, height in SIDES:
        blocks = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
        pictures.append(np.kron(blocks, np.ones((8, 8, 1), np.uint8))[:height, :width])
    return pictures


def placed(pictures: list[NDArray[np.uint8]], canvas: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Return the pictures as a model takes them, and their sizes."""
    sizes = [(picture.shape[1], picture.shape[0]) for picture in pictures]
    canvases = [place(picture, letterbox(*size, canvas), canvas) for picture, size in zip(pictures, sizes, strict=True)]
    return {"pictures": np.stack(canvases), "sizes": np.array(sizes, np.int64)}


def assert_same(found: dict[str, NDArray[Any]], expected: list[Found]) -> None:
    """The rows of each picture are the expected ones, in their order."""
    assert len(found["image"]) == sum(len(one.score) for one in expected)
    for image, one in enumerate(expected):
        rows = found["image"] == image
        np.testing.assert_array_equal(found["class_id"][rows], one.class_id)
        np.testing.assert_allclose(found["score"][rows], one.score, atol=1e-4)
        np.testing.assert_allclose(found["xyxy"][rows], one.xyxy, atol=1e-3)
