"""The one file that names TensorFlow: threads, determinism, the training step and the prediction step."""

import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from annotations.errors import PpnlabError
from detector.backend import use_device
from detector.family import INPUT, Batch, Family, Loss, Outputs, Tensor
from detector.settings import Settings

_GENERATOR = re.compile(r"seed_generator(_\d+)?/")
_EMA_RAMP = 10.0
"""The averaged weights forget at (1 + t) / (10 + t) first. Source: tf.train.ExponentialMovingAverage, `num_updates`."""


def configure(threads: int, *, deterministic: bool, device: str = "auto", gpu_memory: float = 0.0) -> None:
    """Fix the device, the number of arithmetic threads and, on request, the order of every sum; once a process.

    One and two threads do not give the same bits, so the number is part of a run's settings.

    Raises:
        PpnlabError: TensorFlow already runs with another number of threads or on another device, or there is none such.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError as error:
            raise PpnlabError(f"threads must stay the same within a process, got {threads}: {error}") from error
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    use_device(device, gpu_memory)


def prediction_step(
    model: keras.Model, kind: str = "uint8", size: tuple[int | None, ...] | None = None
) -> Callable[[NDArray[Any]], Outputs]:
    """Return the function from pictures (B, ...), of this `kind` of number, to the model's outputs as numpy arrays.

    The pictures are of `size`, or of the model's own where it is None.
    """
    signature = [tf.TensorSpec((None, *(size or model.input_shape[1:])), kind)]

    @tf.function(input_signature=signature, jit_compile=False, autograph=False)  # type: ignore[untyped-decorator]
    def compiled(pictures: Tensor) -> dict[str, Tensor]:
        return dict(model(tf.cast(pictures, tf.float32), training=False))

    return lambda pictures: {name: value.numpy() for name, value in compiled(pictures).items()}


class _Group(NamedTuple):
    """Variables that learn at one share of the learning rate, and their optimizer."""

    optimizer: Any
    variables: list[Any]
    share: float


class _Piece(NamedTuple):
    """Of a piece of a batch: the gradients and the weight of the losses of each weight, and the losses by name."""

    gradients: list[list[Tensor]]
    weights: list[Tensor]
    losses: dict[str, tuple[Tensor, Tensor, float]]


class _Compiled(NamedTuple):
    """An update as TensorFlow compiles it for batches of one shape: of a whole batch, or of a piece of it.

    Each is compiled when it is called first.
    """

    whole: Callable[..., dict[str, Tensor]]
    of_piece: Callable[..., _Piece]

    @classmethod
    def of(cls, update: "_Update", batch: Mapping[str, tf.TensorSpec]) -> Self:
        """Return the update for batches of this signature."""
        scalar = tf.TensorSpec((), tf.float32)
        whole = tf.function(update.whole, input_signature=[batch, scalar, scalar], jit_compile=False, autograph=False)
        return cls(whole, tf.function(update.of_piece, input_signature=[batch], jit_compile=False, autograph=False))


class Trainer:
    """A model in training: its weights, their running average, the optimizers, and the compiled step that moves them.

    `arrays` gives, and `load` takes, all of it: two trainers with equal arrays go on alike, bit for bit.
    """

    def __init__(self, family: Family, settings: Settings, *, pretrained: bool = True) -> None:
        """Build the model with first weights that depend on the seed and, where `pretrained`, on the trunk's file."""
        configure(
            settings.threads,
            deterministic=settings.deterministic,
            device=settings.device,
            gpu_memory=settings.gpu_memory,
        )
        keras.utils.set_random_seed(settings.seed % 2**32)
        self.model = family.build(pretrained=pretrained)
        self.averaged = family.build(pretrained=False)
        self.averaged.set_weights(self.model.get_weights())
        self._groups = _rate_groups(self.model, family, settings)
        self._pieces = settings.accumulate
        self._update = _Update(family, settings, self.model, self.averaged, list(self._groups.values()))
        self._signature = family.signature
        self._compiled: dict[tuple[int | None, ...], _Compiled] = {}
        self._apply = tf.function(self._update.apply, jit_compile=False, autograph=False)
        shape, kind = family.signature[INPUT]
        self.predict = prediction_step(self.averaged, kind, shape[1:])

    def step(self, batch: Batch, number: int, rate: float) -> dict[str, float]:
        """Make the update `number` (from 0) with this learning rate; return the batch's named losses.

        With `skip_bad_steps`, an update whose loss or gradient is not finite changes nothing.

        Raises:
            PpnlabError: the memory does not hold the step.
        """
        count, at = tf.constant(number, tf.float32), tf.constant(rate, tf.float32)
        tensors = {name: tf.convert_to_tensor(value) for name, value in batch.items()}
        try:
            compiled = self._compiled_for(tensors[INPUT].shape)
            losses = (compiled.whole if self._pieces == 1 else self._in_pieces)(tensors, count, at)
        except tf.errors.ResourceExhaustedError as error:
            rows = len(next(iter(batch.values())))
            raise PpnlabError(
                f"memory: a step of {rows} images in {self._pieces} piece(s) must fit, got out of memory; go on with "
                f"`--set accumulate={min(rows, 2 * self._pieces)}` (the same batch in smaller pieces), or begin anew "
                "with a smaller batch or input"
            ) from error
        return {name: float(value) for name, value in losses.items()}

    def _compiled_for(self, pictures: tuple[int, ...]) -> _Compiled:
        """Return the step for pictures of this shape (B, ...): graphs of fixed sizes are faster than one of any."""
        shape, kind = self._signature[INPUT]
        # What the family leaves open stays open: then there is one step for all sizes.
        sides = tuple(None if open_ is None else side for open_, side in zip(shape[1:], pictures[1:], strict=True))
        if sides not in self._compiled:
            named = {**self._signature, INPUT: ((None, *sides), kind)}
            batch = {name: tf.TensorSpec(shape, dtype) for name, (shape, dtype) in named.items()}
            self._compiled[sides] = _Compiled.of(self._update, batch)
        return self._compiled[sides]

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
        named = _by_path("model", self.model)
        named |= averaged_variables(self.averaged)
        for group, members in self._groups.items():
            named |= {f"{group}/{variable.path}": variable for variable in members.optimizer.variables}
        count = 2 * len(self.model.variables) + sum(len(group.optimizer.variables) for group in self._groups.values())
        if len(named) != count:
            raise ValueError(f"variables must have names of their own, got {len(named)} names for {count}")
        return named

    def _in_pieces(self, batch: Mapping[str, Tensor], number: Tensor, rate: Tensor) -> dict[str, Tensor]:
        """Make one update from the gradients of the batch's pieces, one piece in memory at a time."""
        rows = int(next(iter(batch.values())).shape[0])
        ends = [rows * piece // self._pieces for piece in range(self._pieces + 1)]
        before, of_piece = self._update.statistics(), self._compiled_for(batch[INPUT].shape).of_piece
        pieces = [
            of_piece({name: value[first:last] for name, value in batch.items()}) for first, last in pairwise(ends)
        ]
        gradients, losses = self._update.joined(functools.reduce(_summed, pieces))
        return dict(self._apply(gradients, losses, before, number, rate))


class _Update:
    """The arithmetic of one update, as TensorFlow compiles it: from a batch to gradients, from gradients to weights."""

    def __init__(
        self, family: Family, settings: Settings, model: keras.Model, averaged: keras.Model, groups: Sequence[_Group]
    ) -> None:
        self.family, self.settings, self.model, self.groups = family, settings, model, groups
        self.trainable = [variable for group in groups for variable in group.variables]
        self.averages = _moving_pairs(model, averaged)
        self.guarded = settings.skip_bad_steps > 0

    def whole(self, batch: Mapping[str, Tensor], number: Tensor, rate: Tensor) -> dict[str, Tensor]:
        """Make the update of a batch and return its losses."""
        before = self.statistics()
        with tf.GradientTape() as tape:
            losses = {name: loss.value() for name, loss in self._losses(batch).items()}
            total = tf.add_n(list(losses.values()))
        gradients = tape.gradient(total, [variable.value for variable in self.trainable])
        return self.apply(gradients, {"loss": total, **losses}, before, number, rate)

    def of_piece(self, batch: Mapping[str, Tensor]) -> _Piece:
        """Return the gradients of a piece of a batch, for losses of each weight apart, and the losses themselves."""
        with tf.GradientTape(persistent=True) as tape:
            losses = self._losses(batch)
            # Weights are known when all pieces are: gradients of losses over one weight can be summed before.
            sums: dict[int, list[Tensor]] = {}
            for loss in losses.values():
                sums.setdefault(id(loss.weight), []).append(loss.share * loss.total)
            totals = [tf.add_n(parts) for parts in sums.values()]
        variables = [variable.value for variable in self.trainable]
        zero = tf.UnconnectedGradients.ZERO
        gradients = [tape.gradient(total, variables, unconnected_gradients=zero) for total in totals]
        weight_of = {id(loss.weight): loss.weight for loss in losses.values()}
        return _Piece(gradients, [weight_of[key] for key in sums], {name: tuple(loss) for name, loss in losses.items()})

    def joined(self, sums: _Piece) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the gradients and losses of a batch from the sums over its pieces."""
        shares = [1.0 / tf.maximum(weight, 1.0) for weight in sums.weights]
        gradients = [
            tf.add_n([gradient * share for gradient, share in zip(parts, shares, strict=True)])
            for parts in zip(*sums.gradients, strict=True)
        ]
        losses = {name: Loss(*loss).value() for name, loss in sums.losses.items()}
        return gradients, {"loss": tf.add_n(list(losses.values())), **losses}

    def apply(
        self,
        gradients: list[Tensor],
        losses: Mapping[str, Tensor],
        before: list[Tensor],
        number: Tensor,
        rate: Tensor,
    ) -> dict[str, Tensor]:
        """Move the weights along the gradients (if guarded, only where all is finite), and return the losses."""
        gradients, norm = tf.clip_by_global_norm(gradients, self.settings.clip_norm)
        # An endless gradient behind a finite loss spoils the weights as well: the loss tells it.
        total = losses["loss"]
        total = tf.where(tf.math.is_finite(norm) | ~tf.math.is_finite(total), total, norm)

        def move() -> Tensor:
            first = 0
            for optimizer, variables, share in self.groups:
                optimizer.learning_rate.assign(rate * share)
                optimizer.apply(gradients[first : first + len(variables)], variables)
                first += len(variables)
            kept = tf.minimum(self.settings.ema, (1.0 + number) / (_EMA_RAMP + number))
            for new, average in self.averages:
                average.assign(average * kept + new * (1.0 - kept))
            return tf.constant(True)

        def stay() -> Tensor:
            for variable, value in zip(self.model.non_trainable_variables, before, strict=True):
                variable.assign(value)
            return tf.constant(False)

        if self.guarded:
            tf.cond(tf.math.is_finite(total), move, stay)
        else:
            move()
        return {**losses, "loss": total}

    def statistics(self) -> list[Tensor]:
        """Return what a forward pass changes, to be put back where the update is not made; nothing when unguarded."""
        return [tf.identity(variable.value) for variable in self.model.non_trainable_variables] if self.guarded else []

    def _losses(self, batch: Mapping[str, Tensor]) -> dict[str, Loss]:
        outputs = self.model(tf.cast(batch[INPUT], tf.float32), training=True)
        return self.family.losses(outputs, batch)


def _summed(a: _Piece, b: _Piece) -> _Piece:
    """Return the sums over two pieces; a loss's share is the same in both."""
    losses = {
        name: (total + b.losses[name][0], weight + b.losses[name][1], share)
        for name, (total, weight, share) in a.losses.items()
    }
    gradients = [[x + y for x, y in zip(*pair, strict=True)] for pair in zip(a.gradients, b.gradients, strict=True)]
    return _Piece(gradients, [x + y for x, y in zip(a.weights, b.weights, strict=True)], losses)


def averaged_variables(model: keras.Model) -> dict[str, Any]:
    """Return the variables of a model under the names that a trainer keeps its averaged weights by."""
    return _by_path("averaged", model)


def _by_path(prefix: str, model: keras.Model) -> dict[str, Any]:
    # Keras numbers generators by how many there were before in the process: here, by their place in the model.
    number = itertools.count()
    return {
        f"{prefix}/{_GENERATOR.sub(lambda _: f'seed_generator_{next(number)}/', variable.path)}": variable
        for variable in model.variables
    }


def assign_arrays(variables: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Set variables from arrays of the same names.

    Raises:
        PpnlabError: an array is missing, unknown or has another shape; nothing was set.
    """
    if missing := sorted(variables.keys() ^ arrays.keys()):
        raise PpnlabError(
            f"{missing[0]}: the state must hold just what the model has, got {len(missing)} differences; what another "
            "version of ppnlab began may be predicted with, and started from (--weights), but not resumed"
        )
    for name, variable in variables.items():
        if tuple(variable.shape) != arrays[name].shape:
            raise PpnlabError(f"{name}: shape must be {tuple(variable.shape)}, got {arrays[name].shape}")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _rate_groups(model: keras.Model, family: Family, settings: Settings) -> dict[str, _Group]:
    """Return, by group, an optimizer, its trainable variables and its share of the learning rate."""
    members: dict[str, list[Any]] = {"trunk": [], "head": []}
    for layer in model.layers:
        members["trunk" if family.is_trunk(layer.name) else "head"] += layer.trainable_variables
    shares = {"trunk": settings.backbone_rate, "head": 1.0}
    groups = {}
    for group, variables in members.items():
        if variables:
            optimizer = _optimizer(settings)
            # Norms and biases are the variables with one axis.
            optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) <= 1])
            optimizer.build(variables)
            groups[group] = _Group(optimizer, variables, shares[group])
    return groups


def _optimizer(settings: Settings) -> keras.optimizers.Optimizer:
    # Named, for Keras would number it by how many there were before in the process, and its variables with it.
    rate, decay, name = settings.learning_rate, settings.weight_decay, settings.optimizer
    if name == "sgd":
        return keras.optimizers.SGD(rate, momentum=settings.momentum, weight_decay=decay, name=name)
    if name == "adam":
        return keras.optimizers.Adam(rate, name=name)
    return keras.optimizers.AdamW(rate, weight_decay=decay, name=name)


def _moving_pairs(model: keras.Model, averaged: keras.Model) -> list[tuple[Any, Any]]:
    """Return the pairs (variable, its running average) of all layers that learn."""
    pairs = []
    for layer, twin in zip(model.layers, averaged.layers, strict=True):
        if layer.trainable:
            pairs += list(zip(layer.weights, twin.weights, strict=True))
    return pairs
