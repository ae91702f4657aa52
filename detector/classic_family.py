"""The published network as a family of the loop, for reproduction: the same pictures, other anchors and losses.

Anchors, matching, encodings, losses and the network are the reference's. What differs, on purpose: pictures are
letterboxed (it stretched them) and changed at random in this project's way (it used imgaug); boxes are cut at the
picture's edges before suppression; a class counts from `score_floor` on, which at 0.5 is the reference's rule that it
must be the likeliest, too. `frozen_blocks` is lite0's and ignored with any other trunk.
"""

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from detector.application_trunks import application_trunk, load_application_weights
from detector.classic_anchors import PART_SHARE, Anchors, anchors
from detector.classic_coding import decode
from detector.classic_losses import branch_losses
from detector.classic_matching import targets
from detector.classic_network import build_classic
from detector.decoding import Branch
from detector.family import Batch, Loss, Outputs, Tensor
from detector.ppn_family import PpnFamily, PpnModel
from detector.settings import APPLICATIONS
from detector.trunks import pretrained_trunk


def branch_anchors(canvas: tuple[int, int], branch: str) -> Anchors:
    """Return the anchors of the branch `object` or `part` on a (height, width) input."""
    return anchors(canvas, PART_SHARE if branch == "part" else 1.0)


def log_odds(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the (A, C) log odds of each class but the first, the background, of (A, 1 + C) logits of a softmax."""
    columns = np.arange(logits.shape[1])
    wide = logits.astype(np.float64)
    rest = [np.logaddexp.reduce(wide[:, columns != column], axis=1) for column in columns[1:]]
    return np.asarray(wide[:, 1:] - np.stack(rest, axis=1))


class ClassicModel(PpnModel):
    """The published network's side of the family."""

    def network(self, *, pretrained: bool, any_size: bool = False) -> keras.Model:
        """Return the network with first weights at random, but for the trunk's where it is `pretrained`.

        Raises:
            ValueError: it is to take pictures of any size; the settings refuse that.
        """
        if any_size:
            raise ValueError("the published network must have one size")
        trunk = self._trunk(load=pretrained)
        return build_classic(trunk, len(self.object_class_ids), len(self.part_class_ids))

    def _trunk(self, *, load: bool) -> keras.Model:
        settings = self.settings
        if settings.backbone not in APPLICATIONS:
            # Trunks that the reference did not know; both branches read their map of stride 16.
            plain = pretrained_trunk(settings, load=load)
            return keras.Model(plain.input, [plain.output[-1]] * 2, name=plain.name)
        trunk = application_trunk(settings.backbone, settings.input)
        if load:
            load_application_weights(trunk, settings.backbone, settings.weights)
        return trunk

    def _branches(self, outputs: Outputs, row: int) -> list[Branch]:
        return [
            Branch(class_ids, log_odds(outputs[f"{name}_logits"][row]), self._boxes(outputs, name, row))
            for name, class_ids in self.branches().items()
        ]

    def _boxes(self, outputs: Outputs, branch: str, row: int) -> NDArray[np.float64]:
        offsets = outputs[f"{branch}_boxes"][row].astype(np.float64)
        return np.asarray(decode(offsets, branch_anchors(self.settings.input, branch)))


class ClassicFamily(PpnFamily):
    """The published network on one dataset."""

    @property
    def signature(self) -> dict[str, tuple[tuple[int | None, ...], str]]:
        """Return shape and dtype of every array of a batch."""
        spec = {"picture": super().signature["picture"]}
        for branch in self.model.branches():
            count = len(branch_anchors(self.settings.input, branch))
            spec[f"{branch}_said"] = ((None, count), "int32")
            spec[f"{branch}_offsets"] = ((None, count, 4), "float32")
        return spec

    def batch(self, step: int) -> Batch:
        """Return pictures (B, H, W, 3) and, a branch, what anchors are to say: classes (B, A) and offsets (B, A, 4)."""
        plain = super().batch(step)
        arrays: dict[str, NDArray[np.generic]] = {"picture": plain["picture"]}
        for branch in self.model.branches():
            boxes, classes = plain[f"{branch}_truth"], plain[f"{branch}_class"]
            pairs = [self._targets(branch, *image) for image in zip(boxes, classes, strict=True)]
            said, offsets = zip(*pairs, strict=True)
            arrays |= {f"{branch}_said": np.stack(said), f"{branch}_offsets": np.stack(offsets)}
        return arrays

    def _targets(
        self, branch: str, boxes: NDArray[np.float32], classes: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        # -1 is padding, see `assignment.padded`.
        real = classes != -1
        known = branch_anchors(self.settings.input, branch)
        return targets(boxes[real].astype(np.float64), classes[real].astype(np.int64), known, parts=branch == "part")

    def is_trunk(self, layer: str) -> bool:
        """Return whether the layer belongs to the trunk."""
        return not layer.startswith(("object_", "part_"))

    def losses(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Loss]:
        """Return class and box loss of each branch."""
        named: dict[str, Loss] = {}
        for branch in self.model.branches():
            share = 1.0 if branch == "object" else self.settings.parts_weight
            logits, offsets = outputs[f"{branch}_logits"], outputs[f"{branch}_boxes"]
            said, true_offsets = batch[f"{branch}_said"], batch[f"{branch}_offsets"]
            class_loss, box_loss = branch_losses(logits, offsets, said, true_offsets, share)
            named |= {f"{branch}_class_loss": class_loss, f"{branch}_box_loss": box_loss}
        return named
