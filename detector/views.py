"""Several looks at one picture, turned and mirrored: what they say together is nearer to the truth than what one says.

A network that was trained on turned and mirrored pictures knows all of them alike, and errs in each in another way. The
boxes of all looks are brought back and go through one suppression, which lets each of them tell where the sides are.

Source: averaging over augmented copies of a picture, as in Solovyev et al. 2021, "Weighted boxes fusion".
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.errors import UsageError
from annotations.tables import Boxes
from detector.augment import mirrored, quarter_turn
from detector.cells import Cells
from detector.decoding import decode_boxes, side_errors
from detector.settings import Settings

if TYPE_CHECKING:
    from detector.family import Outputs, Predict
    from detector.weights import Predictor


class View(NamedTuple):
    """A picture turned by quarters counter-clockwise, and then mirrored left to right or not."""

    quarters: int
    mirror: bool


UPRIGHT: Final = View(0, mirror=False)
COUNTS: Final = (1, 2, 4, 8)


def views(count: int, settings: Settings) -> tuple[View, ...]:
    """Return so many views that a training with these settings has seen as often as the upright one, that first.

    Raises:
        UsageError: it has not seen so many.
    """
    known = seen_views(settings)
    if count not in COUNTS or count > len(known):
        possible = ", ".join(str(number) for number in COUNTS if number <= len(known))
        raise UsageError(
            f"views: number must be one of {possible} for this run (its settings rotate, flip and augment say which "
            f"pictures are alike), got {count}"
        )
    return known[:count]


def seen_views(settings: Settings) -> tuple[View, ...]:
    """Return the views that are alike for the training, those first that tell the most beside the ones before them."""
    if settings.family != "ppn" or not settings.augment:
        return (UPRIGHT,)
    # A quarter turn makes another input of one that is not square.
    square = settings.input[0] == settings.input[1]
    turns = ((0, 2, 1, 3) if square else (0, 2)) if settings.rotate else (0,)
    return tuple(
        View(quarters, mirror) for mirror in ((False, True) if settings.flip else (False,)) for quarters in turns
    )


def seen_from(pictures: NDArray[Any], view: View) -> NDArray[Any]:
    """Return the (B, H, W, 3) pictures in another view."""
    turned = np.rot90(pictures, view.quarters, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if view.mirror else turned)


def turned_back(boxes: Boxes, errors: Boxes, view: View, canvas: tuple[int, int]) -> tuple[Boxes, Boxes]:
    """Return (N, 4) boxes that were found in a view of a (height, width) canvas, and their errors, as upright ones."""
    if view.mirror:
        boxes, errors = mirrored(boxes, canvas[1]), errors[:, [2, 1, 0, 3]]
    for turn in range((4 - view.quarters) % 4):
        boxes, errors = quarter_turn(boxes, canvas[1 - turn % 2]), errors[:, [1, 2, 3, 0]]
    return boxes, errors


def upright(
    raw: NDArray[np.float32], cells: Cells, seen: Sequence[View], canvas: tuple[int, int]
) -> tuple[Boxes, Boxes]:
    """Return (V A, 4) boxes in input pixels and how far their sides may be off, of the outputs for V views of an image.

    Rows are those of one view after another, brought back to the upright one.
    """
    pieces = [
        turned_back(decode_boxes(one, cells), side_errors(one, cells), view, canvas)
        for one, view in zip(np.split(raw, len(seen)), seen, strict=True)
    ]
    return np.concatenate([boxes for boxes, _ in pieces]), np.concatenate([errors for _, errors in pieces])


def in_views(predict: "Predict", seen: Sequence[View]) -> "Predict":
    """Return what predicts on several views of each picture: outputs (B, V A, ...), one view's rows after another's."""

    def look(pictures: NDArray[Any]) -> "Outputs":
        said = [predict(seen_from(pictures, view)) for view in seen]
        return {name: np.concatenate([one[name] for one in said], axis=1) for name in said[0]}

    return look


def with_views(predictor: "Predictor", count: int) -> "Predictor":
    """Return the predictor that looks at each picture so many times, turned and mirrored.

    Raises:
        UsageError: the run was trained on fewer views.
    """
    seen = views(count, predictor.model.settings)
    if len(seen) == 1:
        return predictor
    return replace(predictor, model=replace(predictor.model, views=seen), predict=in_views(predictor.predict, seen))
