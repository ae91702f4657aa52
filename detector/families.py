"""The kinds of model by the name that `settings.family` holds: the one place that tells them apart.

Importing this imports the network.
"""

from collections.abc import Mapping

from annotations.tables import BoxDataset
from detector.classic_family import ClassicFamily, ClassicModel
from detector.picture_cache import PictureCache
from detector.ppn_family import Monitor, PpnFamily, PpnModel
from detector.settings import Settings


def box_model(settings: Settings, classes: tuple[str, ...], parts: Mapping[str, str]) -> PpnModel:
    """Return the network's side of the settings' family, for these classes and `parts` (name to its object's)."""
    kind = ClassicModel if settings.family == "ppn_classic" else PpnModel
    return kind(settings, classes, parts)


def box_family(settings: Settings, data: BoxDataset, monitor: Monitor, cache: PictureCache) -> PpnFamily:
    """Return the settings' family on a dataset's train and val images; `cache` keeps its pictures."""
    model = box_model(settings, data.classes, data.parts)
    kind = ClassicFamily if isinstance(model, ClassicModel) else PpnFamily
    return kind(model, data.split("train"), data.split("val"), monitor, cache)
