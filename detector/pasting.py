"""Laying something over a sample where no box is, its truth with it (plain numpy)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.augment import Sample
from detector.letterbox import GREY

_ATTEMPTS: Final = 20


def is_free(xyxy: NDArray[np.float64], sample: Sample) -> bool:
    """Return whether a box (4,) lies in the sample's picture, touches none of its boxes and is not on the padding."""
    height, width = sample.picture.shape[:2]
    if xyxy[:2].min() < 0 or xyxy[2] > width or xyxy[3] > height or touches(xyxy, sample.xyxy).any():
        return False
    columns = np.clip(np.linspace(xyxy[0], xyxy[2], 3), 0, width - 1).astype(int)
    rows = np.clip(np.linspace(xyxy[1], xyxy[3], 3), 0, height - 1).astype(int)
    # What lies on plain grey is found without learning anything.
    return not (sample.picture[rows[:, None], columns] == GREY).all(axis=-1).any()


def touches(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (N,) whether a box (4,) has points in common with each of (N, 4) others, their edges apart."""
    return np.asarray(((box[:2] < others[:, 2:]) & (others[:, :2] < box[2:])).all(axis=1))


def free_corner(size: tuple[int, int], sample: Sample, rng: np.random.Generator) -> tuple[int, int] | None:
    """Return the (left, top) pixel of a free place for `size` (width, height), or None where none was found."""
    height, width = sample.picture.shape[:2]
    slack = np.array([width - size[0], height - size[1]], np.int64)
    if slack.min() < 0:
        return None
    corners = rng.integers(0, slack + 1, (_ATTEMPTS, 2))
    for left, top in corners.tolist():
        if is_free(np.array([left, top, left + size[0], top + size[1]], np.float64), sample):
            return left, top
    return None


def with_truth(
    sample: Sample, picture: NDArray[np.uint8], xyxy: NDArray[np.float64], class_id: NDArray[np.int64]
) -> Sample:
    """Return the sample with another picture, and the boxes (K, 4) of (K,) classes beside its own."""
    return Sample(picture, np.concatenate([sample.xyxy, xyxy]), np.concatenate([sample.class_id, class_id]))


def feathered(
    picture: NDArray[np.uint8], patch: NDArray[np.uint8], inner: NDArray[np.float64], corner: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return a copy of `picture` (H, W, 3) with `patch` (h, w, 3) at the pixel `corner` (left, top).

    The patch is laid on whole in its box `inner` (4,), and less and less from there to its edges.
    """
    height, width = patch.shape[:2]
    across = _ramp(width, float(inner[0]), float(inner[2]))
    down = _ramp(height, float(inner[1]), float(inner[3]))
    opacity = np.minimum(down[:, None], across)[..., None]
    left, top = corner
    result = picture.copy()
    below = result[top : top + height, left : left + width]
    below[:] = np.rint(below + opacity * (patch.astype(np.float32) - below))
    return result


def _ramp(length: int, first: float, last: float) -> NDArray[np.float32]:
    """Return (length,) shares: 1 from `first` to `last`, falling to 0 at both ends."""
    middle = np.arange(length) + 0.5
    rising, falling = middle / max(first, 0.5), (length - middle) / max(length - last, 0.5)
    return np.asarray(np.clip(np.minimum(rising, falling), 0.0, 1.0), np.float32)
