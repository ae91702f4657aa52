"""What the loop needs to know of a kind of model; it knows of boxes, masks and pictures nothing more than this."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

Tensor = Any
Batch = Mapping[str, NDArray[Any]]
Outputs = Mapping[str, NDArray[np.float32]]
Predict = Callable[[NDArray[np.uint8]], Outputs]
Scores = Mapping[str, float | None]


class Loss(NamedTuple):
    """One loss of a batch: `share` times `total` over `weight` (or over 1, where the weight is less).

    Totals and weights of a batch's pieces add up to those of the batch, so that it can be worked through in pieces.
    """

    total: Tensor
    weight: Tensor
    share: float = 1.0

    def value(self) -> Tensor:
        """Return the loss, a scalar."""
        from keras import ops

        return self.share * (self.total / ops.maximum(self.weight, 1.0))


BEST_BY: Final = "ap"
"""The validation score that chooses the best checkpoint: AP@[.5:.95] tells more apart than AP@.5 on a few images."""


class Family(Protocol):
    """A kind of model on its data; every method but `build` and `losses` is free of keras."""

    @property
    def images(self) -> int:
        """Return how many images an epoch has."""

    @property
    def signature(self) -> Mapping[str, tuple[tuple[int | None, ...], str]]:
        """Return shape (None where it differs from batch to batch) and dtype of every array of a batch."""

    def batch(self, step: int) -> Batch:
        """Return the arrays of the batch at `step`: a pure function of it, called from several threads."""

    def build(self, *, pretrained: bool) -> "keras.Model":
        """Return the model, with pretrained weights where the settings ask for them and `pretrained` is true."""

    def is_trunk(self, layer: str) -> bool:
        """Return whether the layer of this name learns at the trunk's rate."""

    def losses(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Loss]:
        """Return the named losses of a batch, whose sum is minimised."""

    def monitor(self, predict: Predict) -> Scores:
        """Return the scores on the validation images; the best checkpoint has the highest BEST_BY."""
