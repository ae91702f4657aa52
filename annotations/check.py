"""What is wrong with a dataset, found in seconds: its boxes, parts, names, splits, sizes and pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.check_boxes import check_boxes
from annotations.check_counts import SizeCounts, check_input, flag_counts, size_counts, sizes_json
from annotations.check_names import check_names
from annotations.check_parts import check_parts
from annotations.check_pictures import Depth, Embedded, PictureCounts, check_pictures, look_at_pictures, picture_counts
from annotations.check_sizes import check_sizes
from annotations.check_splits import check_splits
from annotations.dataset import counts
from annotations.drawn import Progress, Reading
from annotations.findings import CODES, SEVERITIES, Finding, count_by_code, count_by_severity
from annotations.sightings import Sighting, View
from annotations.tables import NO_PARENT, BoxDataset

SCHEMA = 1

_OF_NOW = frozenset(
    {"missing-image", "size-mismatch", "stale-size", "unrotated-size", "orphan-part", "unchecked-image"}
)
"""What a conversion found and `check` can see for itself: told where it still is so, in the conversion's own words."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckReport:
    """What was found in a dataset, the gravest first, with what shows it; and what the dataset holds.

    `input_size` is the longer side of the network's input in pixels, or None where none was named. `embedded` gives the
    pictures that are inside their annotation files alone.
    """

    dataset: BoxDataset
    sightings: tuple[Sighting, ...]
    input_size: int | None
    sizes: dict[str, SizeCounts]
    flags: dict[str, dict[str, int]]
    pictures: PictureCounts
    embedded: Embedded = field(default_factory=dict, repr=False)

    @property
    def findings(self) -> list[Finding]:
        """Return all findings, the gravest first."""
        return [sighting.finding for sighting in self.sightings]

    def exit_status(self, strict: bool) -> int:
        """Return 3 where there are findings of severity error (or, when strict, warn), else 0."""
        severities = count_by_severity(self.findings)
        return 3 if severities["error"] or (strict and severities["warn"]) else 0

    def by_code(self) -> dict[str, list[Sighting]]:
        """Return the sightings of each code, errors first, then in the order of CODES."""
        found: dict[str, list[Sighting]] = {code: [] for code in count_by_code(self.findings)}
        for sighting in self.sightings:
            found[sighting.finding.code].append(sighting)
        return found

    def summary(self) -> dict[str, Any]:
        """Return the report, ready for JSON: what the dataset holds, and findings by code."""
        pictures = self.pictures
        return {
            "schema": SCHEMA,
            "classes": list(self.dataset.classes),
            "parts": dict(self.dataset.parts),
            **counts(self.dataset),
            "flags": self.flags,
            "input": self.input_size,
            "sizes": sizes_json(self.sizes),
            "pictures": {
                "looked_at": pictures.looked_at,
                "unpacked": pictures.unpacked,
                "missing": pictures.missing,
                "damaged": pictures.damaged,
            },
            "findings": {**count_by_severity(self.findings), "by_code": count_by_code(self.findings)},
        }


def check_dataset(
    dataset: BoxDataset,
    findings: Sequence[Finding],
    *,
    input_size: int | None = None,
    depth: Depth = "pixels",
    workers: int = 1,
    progress: Progress | None = None,
    embedded: Embedded | None = None,
) -> CheckReport:
    """Return what is wrong with a dataset: what its conversion found, and what can be seen in it as it stands.

    `findings` are those of the conversion (`read_findings`). `input_size` is the longer side of the network's input in
    pixels. With `depth` "headers" pictures are not unpacked: damage and copies are not found. `progress` is called with
    the number of pictures looked at and of all; `workers` threads look at them.
    """
    looks = look_at_pictures(dataset, embedded, depth, workers, progress)
    seen = [*_seen(dataset, input_size), *check_pictures(dataset, looks)]
    told = [*_told_before(dataset, findings, seen), *seen]
    order = {code: row for row, code in enumerate(CODES)}
    told.sort(key=lambda s: (SEVERITIES.index(s.finding.severity), order[s.finding.code]))
    sizes, flags = size_counts(dataset, input_size), flag_counts(dataset)
    return CheckReport(dataset, tuple(told), input_size, sizes, flags, picture_counts(looks), embedded or {})


def check_reading(
    reading: Reading,
    *,
    input_size: int | None = None,
    depth: Depth = "pixels",
    workers: int = 1,
    progress: Progress | None = None,
) -> CheckReport:
    """Return what is wrong with annotations that were read and not converted, such as a Labelme folder."""
    return check_dataset(
        reading.dataset,
        reading.findings,
        input_size=input_size,
        depth=depth,
        workers=workers,
        progress=progress,
        embedded=reading.embedded,
    )


def _seen(dataset: BoxDataset, input_size: int | None) -> Iterator[Sighting]:
    yield from check_boxes(dataset)
    yield from check_parts(dataset)
    yield from check_names(dataset)
    yield from check_splits(dataset)
    yield from check_sizes(dataset)
    if input_size is not None:
        yield from check_input(dataset, input_size)


def _told_before(dataset: BoxDataset, findings: Sequence[Finding], seen: list[Sighting]) -> Iterator[Sighting]:
    """Give the conversion's findings, without those that are no longer so; of `seen`, those told twice are removed."""
    now = {(sighting.finding.code, sighting.finding.image_id) for sighting in seen}
    kept = [
        finding
        for finding in findings
        if finding.code not in _OF_NOW or not finding.image_id or (finding.code, finding.image_id) in now
    ]
    told = {(finding.code, finding.image_id) for finding in kept if finding.code in _OF_NOW}
    seen[:] = [sighting for sighting in seen if (sighting.finding.code, sighting.finding.image_id) not in told]
    row_of = {image_id: row for row, image_id in enumerate(dataset.images.image_id.tolist())}
    boxes = _BoxesOf(dataset)
    for finding in kept:
        row = row_of.get(finding.image_id)
        views = () if row is None else (View(row, boxes.meant(finding.code, row), finding.shape),)
        yield Sighting(finding, views)


class _BoxesOf:
    """The boxes of each image, found without a search through all of them for each finding."""

    def __init__(self, dataset: BoxDataset) -> None:
        self.table = dataset.annotations
        self.is_orphan = np.isin(self.table.class_id, dataset.part_class_ids) & (self.table.parent_id == NO_PARENT)
        self.order = np.argsort(self.table.image_row, kind="stable")
        self.sorted_rows = self.table.image_row[self.order]

    def meant(self, code: str, image_row: int) -> tuple[int, ...]:
        """Return the rows of the boxes that a finding of this code most likely speaks of; none where none is left."""
        first, last = np.searchsorted(self.sorted_rows, [image_row, image_row + 1])
        rows = self.order[first:last]
        if code == "orphan-part":
            return _rows(rows[self.is_orphan[rows]])
        if code == "clipped":
            edges = self.table.xyxy_rel[rows]
            return _rows(rows[((edges <= 0) | (edges >= 1)).any(axis=1)])
        return ()


def _rows(rows: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(row) for row in rows)
