"""The published network: a map at stride 16, pooled to six levels, one predictor for all, and a branch for parts.

Source: the reference implementation of Blanger & Hirata, ICIP 2019, as its notebooks trained it (for one class and one
part 2,496,664 weights with MobileNet, 9,589,080 with ResNet50, 15,583,512 with VGG16), after the Pooling Pyramid
Network, Jin et al. 2018.
"""

from typing import Final

import keras
from keras import layers

from detector.box_coding import Tensor
from detector.classic_anchors import ANCHORS_A_CELL, LEVELS
from detector.ppn import flat, pyramid

WIDTH: Final = 512
"""Channels of the 1 x 1 convolution that all levels share."""


class _Predictor:
    """A branch's convolutions, shared by all levels."""

    def __init__(self, name: str, classes: int) -> None:
        self.name, self.classes = name, classes
        self.shared = layers.Conv2D(WIDTH, 1, activation="relu", name=f"{name}_shared")
        wide = {"kernel_size": 3, "padding": "same", "dtype": "float32"}
        self.logits = layers.Conv2D(ANCHORS_A_CELL * classes, name=f"{name}_class", **wide)
        self.offsets = layers.Conv2D(ANCHORS_A_CELL * 4, name=f"{name}_box", **wide)

    def __call__(self, x: Tensor, level: int, evidence: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the (B, h, w, 6 classes) logits and (B, h, w, 24) offsets of one level."""
        x = self.shared(x)
        if evidence is not None:
            x = layers.Concatenate(name=f"{self.name}_evidence{level}")([x, evidence])
        return self.logits(x), self.offsets(x)


def _evidence(logits: Tensor, offsets: Tensor, classes: int, level: int) -> Tensor:
    """Return the (B, h, w, 6 (classes + 4)) probabilities and offsets of a level's parts."""
    rows, columns = logits.shape[1:3]
    apart = layers.Reshape((rows, columns, ANCHORS_A_CELL, classes), name=f"seen_apart{level}")(logits)
    scores = layers.Softmax(name=f"seen_score{level}")(apart)
    scores = layers.Reshape((rows, columns, ANCHORS_A_CELL * classes), name=f"seen_flat{level}")(scores)
    return layers.Concatenate(name=f"seen{level}")([scores, offsets])


def build_classic(trunk: keras.Model, objects: int, parts: int) -> keras.Model:
    """Return the network on a trunk with two maps of stride 16, the parts' and the objects', for RGB values 0 to 255.

    It gives `object_logits` (B, A, 1 + objects), background first, `object_boxes` (B, A, 4) offsets and, where there
    are parts, the same for them; A counts the anchors of `classic_anchors.anchors`. The parts' probabilities and
    offsets are joined to what the objects' predictor sees.
    """
    part_map, object_map = trunk.output
    outputs: dict[str, Tensor] = {}
    evidence: list[Tensor | None] = [None] * LEVELS
    if parts:
        levels = _levels(_Predictor("part", 1 + parts), part_map, evidence)
        outputs |= _outputs("part", 1 + parts, levels)
        evidence = [_evidence(*maps, 1 + parts, level) for level, maps in enumerate(levels)]
    levels = _levels(_Predictor("object", 1 + objects), object_map, evidence)
    outputs |= _outputs("object", 1 + objects, levels)
    return keras.Model(trunk.input, outputs, name="ppn_classic")


def _levels(predictor: _Predictor, base: Tensor, evidence: list[Tensor | None]) -> list[tuple[Tensor, Tensor]]:
    maps = pyramid(base, LEVELS, predictor.name)
    return [predictor(x, level, seen) for level, (x, seen) in enumerate(zip(maps, evidence, strict=True))]


def _outputs(name: str, classes: int, levels: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    return {
        f"{name}_logits": flat([logits for logits, _ in levels], classes, f"{name}_logits"),
        f"{name}_boxes": flat([offsets for _, offsets in levels], 4, f"{name}_boxes"),
    }
