"""A folder of Labelme files to a box dataset: each file converted or refused by name, nothing changed in silence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotations.dataset import counts, refuse_existing, write_dataset
from annotations.drawn import Progress
from annotations.findings import Finding, count_by_code, count_by_severity
from annotations.labelme_folder import read_labelme_folder
from annotations.naming import Naming
from annotations.tables import BoxDataset


@dataclass(frozen=True, slots=True, eq=False)
class ConvertReport:
    """What a conversion made: the dataset as written, all findings, how many annotation files there were."""

    dataset: BoxDataset
    findings: tuple[Finding, ...]
    files: int
    strict: bool

    @property
    def exit_status(self) -> int:
        """Return 3 where there are findings of severity error (or, when strict, warn), else 0."""
        severities = count_by_severity(self.findings)
        return 3 if severities["error"] or (self.strict and severities["warn"]) else 0

    def summary(self) -> dict[str, Any]:
        """Return the report, ready for JSON: files read and refused, the dataset's counts, findings by code."""
        return {
            "schema": 1,
            "files": self.files,
            "refused": len(
                {found.source for found in self.findings if found.severity == "error" and not found.image_id}
            ),
            "classes": list(self.dataset.classes),
            "parts": dict(self.dataset.parts),
            **counts(self.dataset),
            "findings": {**count_by_severity(self.findings), "by_code": count_by_code(self.findings)},
        }


def convert_labelme(
    source: Path,
    destination: Path,
    *,
    parts: Mapping[str, str],
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    strict: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> ConvertReport:
    """Return what became of the Labelme files below `source`; the box dataset is written to `destination`.

    A damaged file is refused by name and the others are converted. Images are found inside `source` only. `progress`
    is called with the number of files done and of all files.

    Raises:
        UsageError: `destination` is there already and not empty, or parts, classes and rename contradict each other.
        AnnotationError: `source` holds no Labelme file, or `destination` cannot be written.
    """
    naming = Naming(dict(parts), None if classes is None else tuple(classes), dict(rename or {}))
    refuse_existing(destination)
    read = read_labelme_folder(source, naming, progress)
    written = write_dataset(destination, read.dataset, read.findings, command=command)
    return ConvertReport(written, tuple(read.findings), read.files, strict)
