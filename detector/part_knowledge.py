"""What a run knows of objects and their parts from its training images: `layout.json` of the run.

Learnt once, when the training begins, and the same wherever the run is taken to. A run of an earlier version has none:
its parts belong to the objects around them, and it tells no pose.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from annotations.tables import BoxDataset
from detector.learnt_file import read_learnt, write_learnt
from detector.part_layout import Density, PartPlaces, learnt_places
from detector.pose import Template
from detector.template_learning import learnt_template

FILE: Final = "layout.json"
SCHEMA: Final = 1


@dataclass(frozen=True)
class PartKnowledge:
    """Where parts are in their objects, by the parts' classes; and the layouts for poses, by the objects' classes."""

    places: Mapping[str, PartPlaces] = field(default_factory=dict)
    templates: Mapping[str, Template] = field(default_factory=dict)

    @cached_property
    def densities(self) -> Mapping[str, Density]:
        """Return how likely parts are at places, by the parts' classes; their tables are worked out once."""
        return {part: Density(places) for part, places in self.places.items()}

    def expected(self, whole: str) -> dict[str, int]:
        """Return how many parts of each class an object of the class `whole` has as a rule; only those above 0."""
        counts = {part: known.expected for part, known in self.places.items() if known.whole == whole}
        return {part: count for part, count in counts.items() if count}

    def to_json(self) -> dict[str, Any]:
        """Return the knowledge as layout.json holds it."""
        return {
            "schema": SCHEMA,
            "parts": {part: known.to_json() for part, known in self.places.items()},
            "layouts": {whole: template.to_json() for whole, template in self.templates.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the knowledge that `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: `values` are others.
        """
        if values["schema"] != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA}, got {values['schema']!r}")
        places = {str(part): PartPlaces.from_json(known) for part, known in values["parts"].items()}
        templates = {str(whole): Template.from_json(known) for whole, known in values["layouts"].items()}
        return cls(places, templates)

    def summary(self) -> list[str]:
        """Return a line for each class of parts and for each layout: what was learnt, for people."""
        lines = [
            f"{known.whole}: {known.expected} {part} as a rule (most {known.most}), learnt on "
            f"{sum(known.counts)} objects"
            for part, known in self.places.items()
        ]
        return lines + [
            f"{whole}: its {len(known.labels)} parts tell its pose" for whole, known in self.templates.items()
        ]


def learnt(dataset: BoxDataset) -> PartKnowledge:
    """Return what the objects and parts of a dataset teach; nothing of a class whose parts name no object."""
    places = {part: known for part in dataset.parts if (known := learnt_places(dataset, part)) is not None}
    wholes = dict.fromkeys(known.whole for known in places.values())
    templates = {whole: layout for whole in wholes if (layout := learnt_template(dataset, whole)) is not None}
    return PartKnowledge(places, templates)


def write_knowledge(run: Path, knowledge: PartKnowledge) -> None:
    """Write layout.json into a run's directory, whole.

    Raises:
        PpnlabError: it cannot be written.
    """
    write_learnt(run / FILE, knowledge.to_json())


def read_knowledge(run: Path) -> PartKnowledge | None:
    """Return what a run knows, or None for a run of an earlier version.

    Raises:
        PpnlabError: the file is damaged, or of a newer version.
    """
    without = "parts belong to the object around them"
    return read_learnt(run / FILE, PartKnowledge.from_json, "what the run knows of parts", without)
