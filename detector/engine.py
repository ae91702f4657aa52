"""The one file that names TensorFlow: threads, determinism, the training step and the prediction step."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from annotations.errors import PpnlabError
from detector.family import Batch, Family, Outputs, Tensor
from detector.settings import Settings

_EMA_RAMP = 10.0
"""The averaged weights forget at (1 + t) / (10 + t) first. Source: tf.train.ExponentialMovingAverage, `num_updates`."""


def configure(threads: int, *, deterministic: bool) -> None:
    """Fix the number of arithmetic threads and, on request, of the order of every sum; once a process.

    One and two threads do not give the same bits, so the number is part of a run's settings.

    Raises:
        PpnlabError: TensorFlow already runs with another number of threads.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError as error:
            raise PpnlabError(f"threads must stay the same within a process, got {threads}: {error}") from error
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    for card in tf.config.list_physical_devices("GPU"):
        # On a shared machine the rest of the card's memory is somebody else's.
        tf.config.experimental.set_memory_growth(card, True)


def prediction_step(model: keras.Model) -> Callable[[NDArray[np.uint8]], Outputs]:
    """Return the function from pictures (B, H, W, 3) uint8 to the model's raw outputs as numpy arrays."""
    size = model.input_shape[1:]
    signature = [tf.TensorSpec((None, *size), tf.uint8)]

    @tf.function(input_signature=signature, jit_compile=False, autograph=False)  # type: ignore[untyped-decorator]
    def compiled(pictures: Tensor) -> dict[str, Tensor]:
        return dict(model(tf.cast(pictures, tf.float32), training=False))

    return lambda pictures: {name: value.numpy() for name, value in compiled(pictures).items()}


class Trainer:
    """A model in training: its weights, their running average, the optimizers, and the compiled step that moves them.

    `arrays` gives, and `load` takes, all of it: two trainers with equal arrays go on alike, bit for bit.
    """

    def __init__(self, family: Family, settings: Settings, *, pretrained: bool = True) -> None:
        """Build the model with first weights that depend on the seed and, where `pretrained`, on the trunk's file."""
        configure(settings.threads, deterministic=settings.deterministic)
        keras.utils.set_random_seed(settings.seed % 2**32)
        self.model = family.build(pretrained=pretrained)
        self.averaged = family.build(pretrained=False)
        self.averaged.set_weights(self.model.get_weights())
        self._groups = _rate_groups(self.model, family, settings)
        self._step = self._compiled(family, settings)
        self.predict = prediction_step(self.averaged)

    def step(self, batch: Batch, number: int, rate: float) -> dict[str, float]:
        """Make the update `number` (from 0) with this learning rate; return the batch's named losses."""
        count, at = tf.constant(number, tf.float32), tf.constant(rate, tf.float32)
        losses = self._step({name: tf.convert_to_tensor(value) for name, value in batch.items()}, count, at)
        return {name: float(value) for name, value in losses.items()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return copies of everything that the next step depends on, by name."""
        return {name: np.array(variable.numpy()) for name, variable in self._variables().items()}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set everything that `arrays` gave.

        Raises:
            PpnlabError: an array is missing, unknown or has another shape; nothing was set.
        """
        assign_arrays(self._variables(), arrays)

    def _variables(self) -> dict[str, Any]:
        named = {f"model/{variable.path}": variable for variable in self.model.variables}
        named |= averaged_variables(self.averaged)
        for group, (optimizer, _, _) in self._groups.items():
            named |= {f"{group}/{variable.path}": variable for variable in optimizer.variables}
        count = 2 * len(self.model.variables) + sum(len(group[0].variables) for group in self._groups.values())
        if len(named) != count:
            raise ValueError(f"variables must have names of their own, got {len(named)} names for {count}")
        return named

    def _compiled(self, family: Family, settings: Settings) -> Callable[..., dict[str, Tensor]]:
        model, groups = self.model, list(self._groups.values())
        trainable = [variable for _, variables, _ in groups for variable in variables]
        averages = _moving_pairs(self.model, self.averaged)
        batch_spec = {name: tf.TensorSpec(shape, dtype) for name, (shape, dtype) in family.signature.items()}
        scalar = tf.TensorSpec((), tf.float32)

        @tf.function(input_signature=[batch_spec, scalar, scalar], jit_compile=False, autograph=False)  # type: ignore[untyped-decorator]
        def step(batch: Mapping[str, Tensor], number: Tensor, rate: Tensor) -> dict[str, Tensor]:
            with tf.GradientTape() as tape:
                outputs = model(tf.cast(batch["picture"], tf.float32), training=True)
                losses = family.losses(outputs, batch)
                total = tf.add_n(list(losses.values()))
            gradients = tape.gradient(total, [variable.value for variable in trainable])
            gradients, norm = tf.clip_by_global_norm(gradients, settings.clip_norm)
            # An endless gradient behind a finite loss spoils the weights as well: the loss tells it.
            total = tf.where(tf.math.is_finite(norm) | ~tf.math.is_finite(total), total, norm)
            first = 0
            for optimizer, variables, share in groups:
                optimizer.learning_rate.assign(rate * share)
                optimizer.apply(gradients[first : first + len(variables)], variables)
                first += len(variables)
            kept = tf.minimum(settings.ema, (1.0 + number) / (_EMA_RAMP + number))
            for new, average in averages:
                average.assign(average * kept + new * (1.0 - kept))
            return {"loss": total, **losses}

        return step  # type: ignore[no-any-return]


def averaged_variables(model: keras.Model) -> dict[str, Any]:
    """Return the variables of a model under the names that a trainer keeps its averaged weights by."""
    return {f"averaged/{variable.path}": variable for variable in model.variables}


def assign_arrays(variables: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Set variables from arrays of the same names.

    Raises:
        PpnlabError: an array is missing, unknown or has another shape; nothing was set.
    """
    if missing := sorted(variables.keys() ^ arrays.keys()):
        raise PpnlabError(f"{missing[0]}: the state must hold just what the model has, got {len(missing)} differences")
    for name, variable in variables.items():
        if tuple(variable.shape) != arrays[name].shape:
            raise PpnlabError(f"{name}: shape must be {tuple(variable.shape)}, got {arrays[name].shape}")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _rate_groups(model: keras.Model, family: Family, settings: Settings) -> dict[str, tuple[Any, list[Any], float]]:
    """Return, by group, an optimizer, its trainable variables and its share of the learning rate."""
    members: dict[str, list[Any]] = {"trunk": [], "head": []}
    for layer in model.layers:
        members["trunk" if family.is_trunk(layer.name) else "head"] += layer.trainable_variables
    shares = {"trunk": settings.backbone_rate, "head": 1.0}
    groups = {}
    for group, variables in members.items():
        if variables:
            # Named, for Keras would number it by how many there were before in the process, and its variables with it.
            optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay, name="adamw")
            # Norms and biases are the variables with one axis.
            optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) <= 1])
            optimizer.build(variables)
            groups[group] = (optimizer, variables, shares[group])
    return groups


def _moving_pairs(model: keras.Model, averaged: keras.Model) -> list[tuple[Any, Any]]:
    """Return the pairs (variable, its running average) of all layers that learn."""
    pairs = []
    for layer, twin in zip(model.layers, averaged.layers, strict=True):
        if layer.trainable:
            pairs += list(zip(layer.variables, twin.variables, strict=True))
    return pairs
