"""A trained network and what is done with its outputs in one graph of TensorFlow, from pictures to detections.

It names TensorFlow, as an exported graph must: suppression, tables of a length that depends on the picture, and the
converters to other forms are not in `keras.ops`. It does what `letterbox` and `decoding` do in numpy; a test holds them
equal. A picture has a few dozen candidates among thousands of cells: only theirs are decoded.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from annotations.errors import PpnlabError
from detector.decoding import MOST_CANDIDATES
from detector.export_decoding import cell_table, decoded, log_odds
from detector.family import Tensor
from detector.ppn_family import PpnModel
from detector.settings import Settings

PICTURES: Final = "pictures"
SIZES: Final = "sizes"
_NEVER: Final = np.finfo(np.float32).min
"""Odds of a box that is none."""


class _Region(NamedTuple):
    """Where the pictures lie in the canvas, and how they came there; each (B, 4) xyxy, of 64-bit numbers."""

    low: Tensor
    high: Tensor
    scale: Tensor
    size: Tensor


class _Candidates(NamedTuple):
    """The surest boxes of each class of each image, G groups of k: `odds` (G, k), boxes and errors (G, k, 4).

    The odds are the log odds above those of the score floor: what is none of the candidates has 0 or less.
    """

    odds: Tensor
    boxes: Tensor
    errors: Tensor | None


class _Kept(NamedTuple):
    """The N boxes that suppression leaves: their groups (N,), surest first in each, odds (N,) and boxes (N, 4)."""

    group: Tensor
    odds: Tensor
    boxes: Tensor


def detection_function(network: keras.Model, model: PpnModel) -> Any:  # noqa: ANN401
    """Return the function from `pictures` (B, height, width, 3) uint8 RGB and `sizes` (B, 2) to detections.

    The pictures are letterboxed, `sizes` are their width and height before. The N detections of all of them are
    `image` (N,) the row of the picture, `class_id` (N,), `score` (N,) and `xyxy` (N, 4) in pixels before: image after
    image, objects first and then parts, class after class, the surest first.
    """
    canvas, settings = model.settings.input, model.settings
    signature = [tf.TensorSpec((None, *canvas, 3), tf.uint8, PICTURES), tf.TensorSpec((None, 2), tf.int64, SIZES)]
    network = _quickened(network)

    @tf.function(input_signature=signature, jit_compile=False, autograph=False)  # type: ignore[untyped-decorator]
    def detect(pictures: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        outputs = network(tf.cast(pictures, tf.float32), training=False)
        region = _region(sizes, canvas)
        candidates = _candidates(model, outputs, region)
        kept = _suppressed(candidates, settings)
        if candidates.errors is not None and settings.vote_iou < 1:
            kept = kept._replace(boxes=_voted(kept, candidates, settings))
        return _table(kept, np.concatenate(list(model.branches().values())), region, settings)

    return detect


def plain_function(network: keras.Model, model: PpnModel) -> Any:  # noqa: ANN401
    """Return the function from one picture to all boxes before suppression, for forms that hold none of it.

    Each branch gives `object_xyxy` (1, A, 4), in pixels of the letterboxed picture, and `object_score` (1, A, C).
    """

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((1, *model.settings.input, 3), tf.uint8, PICTURES)],
        jit_compile=False,
        autograph=False,
    )
    def detect(pictures: Tensor) -> dict[str, Tensor]:
        outputs = network(tf.cast(pictures, tf.float32), training=False)
        named: dict[str, Tensor] = {}
        for branch in model.branches():
            boxes, _ = decoded(model, outputs[f"{branch}_boxes"], cell_table(model, branch)[None])
            score = tf.sigmoid(log_odds(model, outputs[f"{branch}_logits"]))
            named |= {f"{branch}_xyxy": boxes, f"{branch}_score": score}
        return named

    return detect


class _Doubled(keras.layers.Layer):  # type: ignore[misc]
    """Each cell twice along both sides, in one operation: Keras repeats along one and then along the other."""

    def call(self, x: Tensor) -> Tensor:
        """Return the (B, 2h, 2w, C) map."""
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=[2 * x.shape[1], 2 * x.shape[2]])


def _quickened(network: keras.Model) -> keras.Model:
    """Return the network with the same layers, but for those that an exported graph can have in a quicker form."""

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        doubles = isinstance(layer, keras.layers.UpSampling2D) and layer.size == (2, 2)
        return _Doubled(name=layer.name) if doubles and layer.interpolation == "nearest" else layer

    return keras.models.clone_model(network, clone_function=copied)


def _region(sizes: Tensor, canvas: tuple[int, int]) -> _Region:
    """Return where `letterbox` puts pictures of `sizes` (B, 2), width and height."""
    size, room = tf.cast(sizes, tf.float64), tf.constant([canvas[1], canvas[0]], tf.float64)
    scale = tf.reduce_min(room / size, axis=1, keepdims=True)
    # To the nearest, halves to even numbers, as Python rounds.
    new_size = tf.maximum(tf.round(size * scale), 1.0)
    shift = tf.floor((room - new_size) / 2)
    return _Region(*(tf.tile(pair, (1, 2)) for pair in (shift, shift + new_size, new_size / size, size)))


def _least_odds(settings: Settings) -> float:
    """Return the log odds that a detection's must be above; those of the score floor itself are."""
    floor = np.clip(settings.score_floor, 1e-26, 1 - 1e-16)
    return float(np.nextafter(np.float32(np.log(floor / (1 - floor))), np.float32(-np.inf)))


def _candidates(model: PpnModel, outputs: dict[str, Tensor], region: _Region) -> _Candidates:
    """Return the candidates of all classes, objects' and parts'; boxes are cut at the edges of the pictures."""
    names = list(model.branches())
    tables = [cell_table(model, name) for name in names]
    cells, longest = sum(map(len, tables)), max(map(len, tables))
    odds = [
        tf.pad(
            tf.transpose(log_odds(model, outputs[f"{name}_logits"]), (0, 2, 1)),
            [[0, 0], [0, 0], [0, longest - len(table)]],
            constant_values=_NEVER,
        )
        for name, table in zip(names, tables, strict=True)
    ]
    # Above the floor, for TensorFlow's suppression takes scores below 0 for none.
    above = tf.concat(odds, axis=1) - _least_odds(model.settings)
    # As many columns as the class with most boxes needs: as a rule some dozen of some thousand.
    most = tf.reduce_max(tf.reduce_sum(tf.cast(above > 0, tf.int32), axis=2))
    count = tf.clip_by_value(most, 1, min(MOST_CANDIDATES, longest))
    top, place = tf.math.top_k(above, count)
    # (1, C, 1): where the cells of a class's branch begin among the cells of both.
    first = np.repeat(np.cumsum([0, *map(len, tables[:-1])]), [one.shape[1] for one in odds])
    cell = tf.minimum(place + tf.constant(first[None, :, None], tf.int32), cells - 1)
    row = cell + tf.reshape(tf.range(tf.shape(above)[0]) * cells, (-1, 1, 1))
    raw = tf.concat([outputs[f"{name}_boxes"] for name in names], axis=1)
    known = tf.gather(tf.constant(np.concatenate(tables)), cell)
    boxes, errors = decoded(model, tf.gather(tf.reshape(raw, (-1, 4)), row), known)
    low, high = (tf.reshape(tf.cast(edge, tf.float32), (-1, 1, 1, 4)) for edge in (region.low, region.high))
    # Suppression and voting ask for shares of areas alone: they find the same in the canvas as in the picture.
    boxes = tf.clip_by_value(boxes, low, high)
    corner, end = tf.split(boxes, 2, axis=-1)
    # Boxes in the padding have no area left; they must not take the places of others.
    top = tf.where(tf.reduce_min(end - corner, axis=-1) > 0, top, _NEVER)
    shape = (-1, count, 4)
    errors = None if errors is None else tf.reshape(errors, shape)
    return _Candidates(tf.reshape(top, (-1, count)), tf.reshape(boxes, shape), errors)


def _suppressed(candidates: _Candidates, settings: Settings) -> _Kept:
    most = settings.max_detections
    found = tf.image.combined_non_max_suppression(
        tf.expand_dims(candidates.boxes, 2),
        tf.expand_dims(candidates.odds, 2),
        most,
        most,
        iou_threshold=settings.nms_iou,
        score_threshold=0.0,
        clip_boxes=False,
    )
    odds = tf.reshape(found.nmsed_scores, (-1,))
    # What fills up a group has odds of 0, and a detection more.
    place = tf.reshape(tf.where(odds > 0), (-1,))
    return _Kept(place // most, tf.gather(odds, place), tf.gather(tf.reshape(found.nmsed_boxes, (-1, 4)), place))


def _voted(kept: _Kept, candidates: _Candidates, settings: Settings) -> Tensor:
    """Return the (N, 4) boxes that `suppression.voted` gives; a box's voters are among the k of its group."""
    odds, boxes, errors = (tf.gather(column, kept.group) for column in candidates)
    own = tf.expand_dims(kept.boxes, 1)
    overlap = _iou(own, boxes)
    drops = (overlap > settings.nms_iou) & (odds > 0)
    number = tf.range(tf.shape(kept.group)[0])
    # (N, N): whether the second is of the same group, and surer. What it drops is not for the first one to drop.
    same = tf.expand_dims(kept.group, 1) == tf.expand_dims(kept.group, 0)
    surer = same & (tf.expand_dims(number, 1) > tf.expand_dims(number, 0))
    gone = tf.matmul(tf.cast(surer, tf.float32), tf.cast(drops, tf.float32)) > 0
    say = drops & ~gone & (overlap >= settings.vote_iou)
    share = tf.where(say, tf.sigmoid(odds + _least_odds(settings)), 0.0)
    weight = tf.expand_dims(share, 2) / tf.square(errors)
    moved = tf.reduce_sum(weight * (boxes - own), axis=1)
    return kept.boxes + moved / tf.maximum(tf.reduce_sum(weight, axis=1), 1e-30)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    (corner_a, end_a), (corner_b, end_b) = tf.split(a, 2, axis=-1), tf.split(b, 2, axis=-1)
    shared = tf.maximum(tf.minimum(end_a, end_b) - tf.maximum(corner_a, corner_b), 0.0)
    overlap, area_a, area_b = (tf.reduce_prod(size, axis=-1) for size in (shared, end_a - corner_a, end_b - corner_b))
    return overlap / tf.maximum(area_a + area_b - overlap, 1e-30)


def _table(kept: _Kept, class_ids: Any, region: _Region, settings: Settings) -> dict[str, Tensor]:  # noqa: ANN401
    """Return the detections, whose boxes are pixels of the pictures again."""
    image = kept.group // len(class_ids)
    low, scale, size = (tf.gather(column, image) for column in (region.low, region.scale, region.size))
    # The last step in 64 bits: 32 would round a side of 4,000 pixels to 1/4000.
    xyxy = tf.minimum(tf.maximum((tf.cast(kept.boxes, tf.float64) - low) / scale, 0.0), size)
    return {
        "image": image,
        "class_id": tf.gather(tf.constant(class_ids, tf.int64), kept.group - image * len(class_ids)),
        "score": tf.sigmoid(kept.odds + _least_odds(settings)),
        "xyxy": tf.cast(xyxy, tf.float32),
    }


class _Exported(tf.Module):  # type: ignore[misc]
    """What is saved: the weights, and the function that uses them."""

    def __init__(self, network: keras.Model, function: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.network, self.detect = network, function


def save_model(network: keras.Model, model: PpnModel, directory: Path) -> None:
    """Write TensorFlow's own form into a directory; its signature `serving_default` is `detection_function`.

    Raises:
        PpnlabError: it cannot be written.
    """
    function = detection_function(network, model)
    try:
        tf.saved_model.save(_Exported(network, function), str(directory), function.get_concrete_function())
    except tf.errors.OpError as error:
        raise PpnlabError(f"{directory}: model must be writable, got {error.message}") from error


def tflite_model(network: keras.Model, model: PpnModel) -> bytes:
    """Return a LiteRT (.tflite) file, whose signature `serving_default` is `plain_function`."""
    function = plain_function(network, model)
    # Weights as constants: as variables they would stay unset, for nothing in the file sets them.
    constant = convert_variables_to_constants_v2(function.get_concrete_function())
    names = sorted(function.get_concrete_function().structured_outputs)

    @tf.function(input_signature=function.input_signature, jit_compile=False, autograph=False)  # type: ignore[untyped-decorator]
    def detect(pictures: Tensor) -> dict[str, Tensor]:
        return dict(zip(names, constant(pictures), strict=True))

    named = detect.get_concrete_function()
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([named], tf.Module()).convert())
