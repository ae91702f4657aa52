"""The subparts PPN as a family of the loop: its batches, its losses, its detections on a data set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from annotations.tables import BoxDataset, Detections
from detector.assignment import assign, padded
from detector.augment import Sample, ignored_class
from detector.box_coding import decode
from detector.box_samples import BoxSamples
from detector.canvases import canvases
from detector.decoding import Branch, Found, decode_image
from detector.detecting import detect_images
from detector.family import Batch, Loss, Outputs, Predict, Scores, Tensor
from detector.letterbox import Placement, letterbox, place
from detector.losses import branch_losses
from detector.part_knowledge import PartKnowledge
from detector.part_layout import Density
from detector.picture_cache import NoCache, PictureCache
from detector.ppn import build_ppn, geometry
from detector.rescoring import Rescoring, rescored
from detector.settings import Settings
from detector.starting_weights import load_fitting, names_a_run, read_source
from detector.tightening import Tightening, tightened
from detector.trunks import pretrained_trunk
from detector.views import UPRIGHT, View, upright

Monitor = Callable[[BoxDataset, Detections], Scores]


@dataclass(frozen=True)
class PpnModel:
    """The network's side of the family: what classes it tells apart, how it is built, and what its outputs mean.

    `known` is what is known of objects and their parts, `tightening` where parts make the sides of objects likely, and
    `rescoring` how far they make each other surer. The outputs are those for `views` of each picture.
    """

    settings: Settings
    classes: tuple[str, ...]
    parts: Mapping[str, str]
    known: PartKnowledge = field(default_factory=PartKnowledge)
    rescoring: Rescoring = field(default_factory=Rescoring)
    tightening: Tightening = field(default_factory=Tightening)
    views: tuple[View, ...] = (UPRIGHT,)

    @property
    def object_class_ids(self) -> NDArray[np.int64]:
        """Return the (K,) class ids that the object branch tells apart."""
        return np.array([i for i, name in enumerate(self.classes) if name not in self.parts], np.int64)

    @property
    def part_class_ids(self) -> NDArray[np.int64]:
        """Return the (P,) class ids that the part branch tells apart; none leaves the branch out."""
        return np.array([i for i, name in enumerate(self.classes) if name in self.parts], np.int64)

    def branches(self) -> dict[str, NDArray[np.int64]]:
        """Return the class ids of each branch that there is: `object`, and `part` where there are parts."""
        branches = {"object": self.object_class_ids, "part": self.part_class_ids}
        return {name: class_ids for name, class_ids in branches.items() if class_ids.size}

    def build(self, *, pretrained: bool, any_size: bool = False) -> keras.Model:
        """Return the network; `pretrained` loads the weights that the settings name: a trunk's, or those of a run."""
        of_run = pretrained and names_a_run(self.settings.weights)
        network = self.network(pretrained=pretrained and not of_run, any_size=any_size)
        if of_run:
            load_fitting(network, read_source(self.settings.weights, self.settings), self.classes, self.parts)
        return network

    def network(self, *, pretrained: bool, any_size: bool = False) -> keras.Model:
        """Return the network with first weights at random, but for the trunk's where it is `pretrained`.

        It takes the settings' input, or with `any_size` pictures of any; the weights are the same.
        """
        trunk = pretrained_trunk(self.settings, load=pretrained, any_size=any_size)
        return build_ppn(trunk, len(self.object_class_ids), len(self.part_class_ids))

    def detect(self, pictures: list[NDArray[np.uint8]], predict: Predict) -> list[Found]:
        """Return the detections in each (H, W, 3) RGB picture, of any size, in its own pixels."""
        canvas = self.settings.input
        placements = [letterbox(picture.shape[1], picture.shape[0], canvas) for picture in pictures]
        placed = [place(picture, at, canvas) for picture, at in zip(pictures, placements, strict=True)]
        return self.found(predict(np.stack(placed)), placements)

    @property
    def object_of(self) -> dict[int, int]:
        """Return the class id of its object by the class id of each part."""
        return {self.classes.index(part): self.classes.index(whole) for part, whole in self.parts.items()}

    @property
    def densities(self) -> dict[int, Density]:
        """Return by the class id of each part where such parts are, as far as it is known."""
        return {self.classes.index(part): density for part, density in self.known.densities.items()}

    def judged(self, found: Found, size: tuple[int, int]) -> Found:
        """Return the detections of a whole picture of this width and height, with what objects and parts say of them.

        That is where the objects' sides are likely, and the scores that objects and parts give each other.
        """
        tight = tightened(found, self.classes, self.tightening, size)
        return rescored(tight, self.classes, self.known, self.rescoring)

    def found(self, outputs: Outputs, placements: Sequence[Placement]) -> list[Found]:
        """Return what the network's outputs say of each picture that was put into its input so."""
        return [
            decode_image(self._branches(outputs, row), at, self.object_of, self.settings, self.densities)
            for row, at in enumerate(placements)
        ]

    def _branches(self, outputs: Outputs, row: int) -> list[Branch]:
        shape = geometry(self.settings.input)
        branches = []
        for name, class_ids in self.branches().items():
            raw, cells = outputs[f"{name}_boxes"][row], shape.objects if name == "object" else shape.parts
            logits = outputs[f"{name}_logits"][row]
            boxes, errors = upright(raw, cells, self.views, self.settings.input)
            branches.append(Branch(class_ids, logits, boxes, errors, len(self.views)))
        return branches


def _of_branch(sample: Sample, class_ids: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the (K, 4) boxes of a branch's classes (ascending), and their (K,) classes as the branch counts them."""
    ignored = sample.class_id < 0
    class_id = ignored_class(sample.class_id, ignored)
    mine = np.isin(class_id, class_ids)
    return sample.xyxy[mine], ignored_class(np.searchsorted(class_ids, class_id[mine]), ignored[mine])


@dataclass(frozen=True)
class PpnFamily:
    """The family on one dataset: training images in, validation scores out."""

    model: PpnModel
    train: BoxDataset
    val: BoxDataset
    score: Monitor
    cache: PictureCache = field(default_factory=NoCache)
    _samples: BoxSamples = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_samples", BoxSamples(self.train, self.settings, self.cache))

    @property
    def settings(self) -> Settings:
        """Return the run's settings."""
        return self.model.settings

    @property
    def images(self) -> int:
        """Return how many images an epoch has."""
        return len(self.train.images)

    @property
    def best_by(self) -> str:
        """Return AP@[.5:.95], which tells more apart than AP@.5 on a few images."""
        return "ap"

    @property
    def signature(self) -> dict[str, tuple[tuple[int | None, ...], str]]:
        """Return shape and dtype of every array of a batch; a step's pictures may have other sides."""
        spec: dict[str, tuple[tuple[int | None, ...], str]] = {"picture": ((None, *self.settings.input, 3), "uint8")}
        for branch in self.model.branches():
            spec[f"{branch}_truth"] = ((None, None, 4), "float32")
            spec[f"{branch}_class"] = ((None, None), "int32")
        return spec

    def batch(self, step: int) -> Batch:
        """Return pictures (B, H, W, 3) and, a branch, boxes (B, M, 4) and classes (B, M), as `assign` takes them."""
        samples = self._samples.batch(step)
        arrays: dict[str, NDArray[np.generic]] = {"picture": np.stack([sample.picture for sample in samples])}
        for branch, class_ids in self.model.branches().items():
            boxes, classes = zip(*(_of_branch(sample, class_ids) for sample in samples), strict=True)
            arrays[f"{branch}_truth"], arrays[f"{branch}_class"] = padded(list(boxes), list(classes))
        return arrays

    def changed(self, settings: Settings) -> Self:
        """Return the family with other settings."""
        return replace(self, model=replace(self.model, settings=settings))

    def build(self, *, pretrained: bool) -> keras.Model:
        """Return the network."""
        return self.model.build(pretrained=pretrained, any_size=len(canvases(self.settings)) > 1)

    def is_trunk(self, layer: str) -> bool:
        """Return whether the layer belongs to the trunk."""
        return layer.startswith(("stem_", "plain")) or (layer[:1] == "b" and layer[1:2].isdigit())

    def losses(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Loss]:
        """Return class and box loss of each branch."""
        height, width = batch["picture"].shape[1:3]
        shape = geometry((height, width))
        named: dict[str, Loss] = {}
        for branch in self.model.branches():
            cells, share = (shape.objects, 1.0) if branch == "object" else (shape.parts, self.settings.parts_weight)
            logits, boxes = outputs[f"{branch}_logits"], decode(outputs[f"{branch}_boxes"], cells)
            probabilities = ops.stop_gradient(ops.sigmoid(logits))
            truth, truth_class = batch[f"{branch}_truth"], batch[f"{branch}_class"]
            targets = assign(probabilities, ops.stop_gradient(boxes), cells, truth, truth_class)
            class_loss, box_loss = branch_losses(logits, boxes, targets, share)
            named |= {f"{branch}_class_loss": class_loss, f"{branch}_box_loss": box_loss}
        return named

    def monitor(self, predict: Predict) -> Scores:
        """Return the scores of the detections on the validation images."""
        return self.score(self.val, detect_images(self.model, self.val, predict, cache=self.cache))
