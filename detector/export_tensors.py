"""A trained network and what is done with its outputs in one graph of TensorFlow, from pictures to detections.

It names TensorFlow, as an exported graph must: suppression, tables of a length that depends on the picture, and the
converters to other forms are not in `keras.ops`. It does what `letterbox` and `decoding` do in numpy; a test holds them
equal.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from annotations.errors import PpnlabError
from detector.decoding import MOST_CANDIDATES
from detector.export_decoding import Told, told
from detector.family import Tensor
from detector.ppn_family import PpnModel
from detector.settings import Settings

PICTURES: Final = "pictures"
SIZES: Final = "sizes"
_NEVER: Final = np.finfo(np.float32).min
"""Log odds of a box that is none."""


class _Region(NamedTuple):
    """Where the pictures lie in the canvas, and how they came there; each (B, 1, 4) xyxy, of 64-bit numbers."""

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
    `image` (N,) the row of the picture, `class_id` (N,), `score` (N,) and `xyxy` (N, 4) in pixels before: objects
    first and then parts, of each image after image and class after class, the surest first.
    """
    canvas = model.settings.input
    signature = [tf.TensorSpec((None, *canvas, 3), tf.uint8, PICTURES), tf.TensorSpec((None, 2), tf.int64, SIZES)]

    @tf.function(input_signature=signature, jit_compile=False, autograph=False)  # type: ignore[untyped-decorator]
    def detect(pictures: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        outputs = network(tf.cast(pictures, tf.float32), training=False)
        region = _region(sizes, canvas)
        ids = model.branches()
        tables = [
            _table(_kept(branch, region, model.settings), ids[name], region, model.settings)
            for name, branch in told(model, outputs).items()
        ]
        return {column: tf.concat([table[column] for table in tables], axis=0) for column in tables[0]}

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
        named = {}
        for name, branch in told(model, outputs).items():
            named |= {f"{name}_xyxy": branch.boxes, f"{name}_score": tf.sigmoid(branch.logits)}
        return named

    return detect


def _region(sizes: Tensor, canvas: tuple[int, int]) -> _Region:
    """Return where `letterbox` puts pictures of `sizes` (B, 2), width and height."""
    size, room = tf.cast(sizes, tf.float64), tf.constant([canvas[1], canvas[0]], tf.float64)
    scale = tf.reduce_min(room / size, axis=1, keepdims=True)
    # To the nearest, halves to even numbers, as Python rounds.
    new_size = tf.maximum(tf.round(size * scale), 1.0)
    shift = tf.floor((room - new_size) / 2)
    corners = (shift, shift + new_size, new_size / size, size)
    return _Region(*(tf.concat([pair, pair], axis=1)[:, None] for pair in corners))


def _kept(branch: Told, region: _Region, settings: Settings) -> _Kept:
    """Return what `decoding.decode_image` leaves of a branch's boxes, in pixels of the canvas."""
    # Suppression and voting ask for shares of areas alone: they find the same in the canvas as in the picture.
    low, high = (tf.cast(edge, tf.float32) for edge in (region.low, region.high))
    boxes = tf.clip_by_value(branch.boxes, low, high)
    candidates = _candidates(branch, boxes, settings)
    kept = _suppressed(candidates, settings)
    if candidates.errors is None or settings.vote_iou >= 1:
        return kept
    return kept._replace(boxes=_voted(kept, candidates, settings))


def _least_logit(settings: Settings) -> float:
    """Return the log odds that a detection's must be above; those of the score floor itself are."""
    floor = np.clip(settings.score_floor, 1e-26, 1 - 1e-16)
    return float(np.nextafter(np.float32(np.log(floor / (1 - floor))), np.float32(-np.inf)))


def _candidates(branch: Told, boxes: Tensor, settings: Settings) -> _Candidates:
    seen = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1)
    # Above the floor, for TensorFlow's suppression takes scores below 0 for none.
    odds = tf.where(seen[:, None], tf.transpose(branch.logits, (0, 2, 1)) - _least_logit(settings), _NEVER)
    cells = odds.shape[2]
    # As many columns as the class with most boxes needs: as a rule some dozen of some thousand.
    most = tf.reduce_max(tf.reduce_sum(tf.cast(odds > 0, tf.int32), axis=2))
    count = tf.clip_by_value(most, 1, min(MOST_CANDIDATES, cells))
    top, place = tf.math.top_k(odds, count)
    # (B, C, k) rows of the table of the cells of all images.
    rows = place + tf.range(tf.shape(odds)[0])[:, None, None] * cells

    def of_groups(values: Tensor) -> Tensor:
        return tf.reshape(tf.gather(tf.reshape(values, (-1, 4)), rows), (-1, count, 4))

    errors = None if branch.errors is None else of_groups(branch.errors)
    return _Candidates(tf.reshape(top, (-1, count)), of_groups(boxes), errors)


def _suppressed(candidates: _Candidates, settings: Settings) -> _Kept:
    found = tf.image.combined_non_max_suppression(
        candidates.boxes[:, :, None],
        candidates.odds[:, :, None],
        settings.max_detections,
        settings.max_detections,
        iou_threshold=settings.nms_iou,
        score_threshold=0.0,
        clip_boxes=False,
    )
    filled = tf.range(settings.max_detections)[None] < found.valid_detections[:, None]
    places = tf.where(filled)
    return _Kept(places[:, 0], tf.gather_nd(found.nmsed_scores, places), tf.gather_nd(found.nmsed_boxes, places))


def _voted(kept: _Kept, candidates: _Candidates, settings: Settings) -> Tensor:
    """Return the (N, 4) boxes that `suppression.voted` gives; a box's voters are among the k of its group."""
    odds, boxes, errors = (tf.gather(column, kept.group) for column in candidates)
    overlap = _iou(kept.boxes[:, None], boxes)
    drops = (overlap > settings.nms_iou) & (odds > 0)
    least, number = _least_logit(settings), tf.range(tf.shape(kept.group)[0])
    # (N, N): whether the second is of the same group, and surer. What it drops is not for the first one to drop.
    surer = (kept.group[:, None] == kept.group[None]) & (number[:, None] > number[None])
    gone = tf.matmul(tf.cast(surer, tf.float32), tf.cast(drops, tf.float32)) > 0
    say = drops & ~gone & (overlap >= settings.vote_iou)
    weight = tf.where(say[..., None], tf.sigmoid(odds + least)[..., None] / tf.square(errors), 0.0)
    moved = tf.reduce_sum(weight * (boxes - kept.boxes[:, None]), axis=1)
    return kept.boxes + moved / tf.maximum(tf.reduce_sum(weight, axis=1), 1e-30)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    size = tf.maximum(tf.minimum(a[..., 2:], b[..., 2:]) - tf.maximum(a[..., :2], b[..., :2]), 0.0)
    overlap = size[..., 0] * size[..., 1]
    return overlap / tf.maximum(_area(a) + _area(b) - overlap, 1e-30)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _table(kept: _Kept, class_ids: Any, region: _Region, settings: Settings) -> dict[str, Tensor]:  # noqa: ANN401
    """Return the detections of a branch, whose boxes are pixels of the pictures again."""
    image = kept.group // len(class_ids)
    low, scale, size = (tf.gather(column[:, 0], image) for column in (region.low, region.scale, region.size))
    # The last step in 64 bits: 32 would round a side of 4,000 pixels to 1/4000.
    xyxy = tf.clip_by_value((tf.cast(kept.boxes, tf.float64) - low) / scale, tf.zeros_like(size), size)
    return {
        "image": image,
        "class_id": tf.gather(tf.constant(class_ids, tf.int64), kept.group % len(class_ids)),
        "score": tf.sigmoid(kept.odds + _least_logit(settings)),
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
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], _Exported(network, function)
    )
    return bytes(converter.convert())
