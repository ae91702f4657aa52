"""What the loop needs to know of a kind of model; it knows of boxes, masks and pictures nothing more than this."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

    from detector.settings import Settings

Tensor = Any
Batch = Mapping[str, NDArray[Any]]
Outputs = Mapping[str, NDArray[np.float32]]
Predict = Callable[[NDArray[Any]], Outputs]
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


INPUT: Final = "picture"
"""The array of a batch that the model takes, of any rank and kind of number; it is handed over as float32."""


class Family(Protocol):
    """A kind of model on its data; every method but `build` and `losses` is free of keras."""

    @property
    def images(self) -> int:
        """Return how many images an epoch has."""

    @property
    def best_by(self) -> str:
        """Return the name of the validation score that chooses the best checkpoint."""

    @property
    def signature(self) -> Mapping[str, tuple[tuple[int | None, ...], str]]:
        """Return shape (None where it differs from batch to batch) and dtype of every array of a batch."""

    def batch(self, step: int) -> Batch:
        """Return the arrays of the batch at `step`: a pure function of it, called from several threads."""

    def changed(self, settings: "Settings") -> Self:
        """Return the family with settings changed that a training can change while it goes: how long it is, say."""

    def build(self, *, pretrained: bool) -> "keras.Model":
        """Return the model, with pretrained weights where the settings ask for them and `pretrained` is true."""

    def is_trunk(self, layer: str) -> bool:
        """Return whether the layer of this name learns at the trunk's rate."""

    def losses(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Loss]:
        """Return the named losses of a batch, whose sum is minimised."""

    def monitor(self, predict: Predict) -> Scores:
        """Return the scores on the validation images, by name: the more, the better.

        What `predict` raises must come through: a training that is stopped leaves its validation with it.
        """


class Learner(Protocol):
    """A model in training, as the loop sees it; `engine.Trainer` is the one that learns."""

    def step(self, batch: Batch, number: int, rate: float) -> Mapping[str, float]:
        """Make the update `number` (from 0) with this learning rate; return the batch's losses, `loss` their sum."""

    def predict(self, pictures: NDArray[Any], /) -> Outputs:
        """Return the raw outputs for pictures."""

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return copies of everything that the next step depends on, by name."""

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set everything that `arrays` gave."""
