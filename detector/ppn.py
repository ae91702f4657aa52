"""The subparts PPN: a base map, a pyramid by max-pooling, one predictor for all levels, and the same again for parts.

Source: Pooling Pyramid Network, Jin et al. 2018, arXiv 1807.03284, section 3; the sub-part branch that feeds the
object predictor after Blanger & Hirata, ICIP 2019. Base maps at strides 8 and 4, sigmoid classes and one prior box a
cell are ours: the published stride of 16 cannot match small objects.
"""

from dataclasses import dataclass
from typing import Any, Final

import keras
from keras import layers, ops

from detector.box_coding import Tensor
from detector.cells import OBJECT_PRIOR, OBJECT_STRIDES, PART_PRIOR, PART_STRIDES, Cells, cells
from detector.trunks import NORM_MOMENTUM

OBJECT_WIDTH: Final = 96
PART_WIDTH: Final = 48
RARE: Final = -4.0
"""First bias of every class logit: a cell says "object" with p = 0.018. Source: as RetinaNet, Lin et al. 2017, 4.1."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the raw outputs mean: the cells of both branches for one input size."""

    objects: Cells
    parts: Cells


def geometry(canvas: tuple[int, int]) -> Geometry:
    """Return the cells of both branches for a (height, width) input."""
    return Geometry(cells(canvas, OBJECT_STRIDES, OBJECT_PRIOR), cells(canvas, PART_STRIDES, PART_PRIOR))


def _norm(name: str) -> layers.Layer:
    return layers.BatchNormalization(momentum=NORM_MOMENTUM, epsilon=1e-3, name=name)


def _lateral(x: Tensor, width: int, name: str) -> Tensor:
    return _norm(f"{name}_bn")(layers.Conv2D(width, 1, use_bias=False, name=name)(x))


def _merge(fine: Tensor, coarse: Tensor, width: int, name: str) -> Tensor:
    """Return the finer map with the coarser one added to it, both brought to `width` channels, then smoothed."""
    lifted = layers.UpSampling2D(2, name=f"{name}_up")(coarse)
    x = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([fine, lifted]))
    x = layers.SeparableConv2D(width, 3, padding="same", use_bias=False, name=f"{name}_mix")(x)
    return layers.ReLU(name=f"{name}_out")(_norm(f"{name}_mix_bn")(x))


def pyramid(base: Tensor, levels: int, name: str) -> list[Tensor]:
    """Return the base map and `levels` - 1 poolings of it, each half the size (rounded up) of the one before."""
    maps = [base]
    for level in range(1, levels):
        maps.append(layers.MaxPooling2D(2, padding="same", name=f"{name}_pool{level}")(maps[-1]))
    return maps


class SpaceToDepth(layers.Layer):  # type: ignore[misc]
    """Lays each 2 x 2 block of cells behind one another: (B, h, w, C) -> (B, ceil(h/2), ceil(w/2), 4C).

    Pooling would lose in which corner of the object's cell a part was seen; this keeps it. Odd sides are padded with 0.
    """

    def call(self, x: Tensor) -> Tensor:
        """Return the blocks of `x`."""
        height, width, channels = x.shape[1:]
        x = ops.pad(x, [[0, 0], [0, height % 2], [0, width % 2], [0, 0]])
        rows, columns = (height + 1) // 2, (width + 1) // 2
        x = ops.reshape(x, (-1, rows, 2, columns, 2, channels))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, 4 * channels))

    def compute_output_shape(self, shape: tuple[Any, ...]) -> tuple[int | None, ...]:
        """Return the shape of the blocks of a (B, h, w, C) map; a side that is None is not known yet."""
        batch, *sides, channels = shape
        return batch, *(None if side is None else (side + 1) // 2 for side in sides), 4 * channels


class _Predictor:
    """The one predictor of a branch: its convolutions are shared by all levels, its norms have statistics a level.

    Max-pooling raises the mean of a map level by level, so that shared statistics would fit none of them.
    Source: shared head with separate norms as in RTMDet, Lyu et al. 2022, section 3.3.
    """

    def __init__(self, name: str, width: int, kernel: int, classes: int) -> None:
        self.name = name
        self.entry = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_entry")
        self.tower = layers.SeparableConv2D(width, kernel, padding="same", use_bias=False, name=f"{name}_tower")
        bias = keras.initializers.Constant(RARE)
        # Small first weights: all cells begin with their prior box and with the same low score.
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.logits = layers.Conv2D(
            classes, 1, kernel_initializer=small, bias_initializer=bias, name=f"{name}_class", dtype="float32"
        )
        self.raw_box = layers.Conv2D(4, 1, kernel_initializer=small, name=f"{name}_box", dtype="float32")

    def __call__(self, x: Tensor, level: int, evidence: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the (B, h, w, classes) logits and (B, h, w, 4) raw boxes of one level."""
        x = layers.ReLU(name=f"{self.name}_entry_relu{level}")(_norm(f"{self.name}_entry_bn{level}")(self.entry(x)))
        if evidence is not None:
            x = layers.Concatenate(name=f"{self.name}_evidence{level}")([x, evidence])
        x = layers.ReLU(name=f"{self.name}_tower_relu{level}")(_norm(f"{self.name}_tower_bn{level}")(self.tower(x)))
        return self.logits(x), self.raw_box(x)


def flat(maps: list[Tensor], channels: int, name: str) -> Tensor:
    """Return the (B, A, channels) rows of all maps (B, h, w, k channels), level after level, row after row."""
    rows = [layers.Reshape((-1, channels), name=f"{name}_flat{i}")(item) for i, item in enumerate(maps)]
    return layers.Concatenate(axis=1, name=name)(rows)


def build_ppn(trunk: keras.Model, objects: int, parts: int) -> keras.Model:
    """Return the network on a trunk (strides 4, 8, 16), for RGB values 0 to 255, of the trunk's size or sizes.

    It gives `object_logits` (B, A, objects), `object_boxes` (B, A, 4) raw, and, where there are parts, `part_logits`
    (B, P, parts) and `part_boxes` (B, P, 4); A and P count the cells of `geometry`.
    """
    stride4, stride8, stride16 = trunk.output
    coarse = layers.ReLU(name="neck16_relu")(_lateral(stride16, OBJECT_WIDTH, "neck16"))
    base8 = _merge(_lateral(stride8, OBJECT_WIDTH, "neck8"), coarse, OBJECT_WIDTH, "neck8")
    outputs: dict[str, Tensor] = {}
    evidence: list[Tensor | None] = [None] * len(OBJECT_STRIDES)
    if parts:
        narrow = _lateral(base8, PART_WIDTH, "neck4_narrow")
        base4 = _merge(_lateral(stride4, PART_WIDTH, "neck4"), narrow, PART_WIDTH, "neck4")
        predictor = _Predictor("part", PART_WIDTH, 3, parts)
        levels = [predictor(x, i, None) for i, x in enumerate(pyramid(base4, len(PART_STRIDES), "part"))]
        evidence = [_evidence(logits, raw, i) for i, (logits, raw) in enumerate(levels)]
        outputs["part_logits"] = flat([logits for logits, _ in levels], parts, "part_logits")
        outputs["part_boxes"] = flat([raw for _, raw in levels], 4, "part_boxes")
    predictor = _Predictor("object", OBJECT_WIDTH, 5, objects)
    maps = pyramid(base8, len(OBJECT_STRIDES), "object")
    levels = [predictor(x, i, evidence[i]) for i, x in enumerate(maps)]
    outputs["object_logits"] = flat([logits for logits, _ in levels], objects, "object_logits")
    outputs["object_boxes"] = flat([raw for _, raw in levels], 4, "object_boxes")
    return keras.Model(trunk.input, outputs, name="ppn")


def _evidence(logits: Tensor, raw: Tensor, level: int) -> Tensor:
    """Return the parts' scores and raw boxes of a level, folded to the object level of twice its stride."""
    seen = layers.Concatenate(name=f"seen{level}")(
        [layers.Activation("sigmoid", name=f"seen_score{level}")(logits), raw]
    )
    return SpaceToDepth(name=f"seen_fold{level}")(seen)
