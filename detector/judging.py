"""What the detections of a trained network teach: where objects' sides are by their parts, and how sure all are."""

from dataclasses import replace
from typing import TYPE_CHECKING

from annotations.tables import BoxDataset
from detector.detecting import found_images
from detector.evidence_fitting import Examples, fitting_images, measured_rescoring
from detector.part_knowledge import PartKnowledge
from detector.rescoring import Rescoring
from detector.side_fitting import learnt_sides, measured_tightening, tightened_examples
from detector.tightening import Tightening

if TYPE_CHECKING:
    from detector.family import Predict
    from detector.ppn_family import PpnFamily


def judgement(family: "PpnFamily", predict: "Predict", known: PartKnowledge, step: int) -> tuple[Tightening, Rescoring]:
    """Return what is learnt for the weights of `step`, that `predict` has: fitted on train, and measured on val.

    Either is empty where the settings switch it off. Scores are fitted on boxes that are tight already.
    """
    model = replace(family.model, known=known, rescoring=Rescoring(), tightening=Tightening())

    def examples(dataset: BoxDataset) -> Examples:
        return Examples(dataset, *found_images(model, dataset, predict, cache=family.cache))

    train, val = examples(family.train.of_images(fitting_images(family.train))), examples(family.val)
    tightening, rescoring = Tightening(), Rescoring()
    if family.settings.tighten:
        sides = learnt_sides(train.dataset, train.found, family.train)
        tightening = measured_tightening(sides, val, family.score, step)
        train, val = (tightened_examples(one, tightening) for one in (train, val))
    if family.settings.rescore:
        rescoring = measured_rescoring(train, val, known, family.score, step)
    return tightening, rescoring
