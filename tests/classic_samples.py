"""What the tests of the published network share: settings of a small one, and its family without images."""

from dataclasses import replace
from pathlib import Path

from detector_samples import QUICK, annotations_table, images_table

from annotations.tables import BoxDataset
from detector.classic_family import ClassicFamily, ClassicModel
from detector.settings import Settings

CLASSIC_QUICK = replace(QUICK, family="ppn_classic", weights="none")
"""On the small plain trunk."""

_PARTS = {"fip": "qr", "dot": "cell"}


def classic_model(settings: Settings, *classes: str) -> ClassicModel:
    """The model of these classes, of which `fip` is a part of `qr` and `dot` one of `cell`."""
    return ClassicModel(settings, classes, {name: whole for name, whole in _PARTS.items() if name in classes})


def classic_family(settings: Settings = CLASSIC_QUICK) -> ClassicFamily:
    """The family without images, for one class with one kind of part."""
    model = classic_model(settings, "qr", "fip")
    nothing = BoxDataset(
        Path("nowhere"), model.classes, model.parts, images_table([], [], (64, 64)), annotations_table([])
    )
    return ClassicFamily(model, nothing, nothing, lambda truth, found: {})
