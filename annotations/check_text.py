"""A check in words for a terminal: what the dataset holds, what was found with the first examples, and what to do."""

from collections.abc import Iterable

from annotations.check import CheckReport
from annotations.check_advice import ADVICE
from annotations.dataset import counts
from annotations.findings import CODES, Finding, count_by_severity
from annotations.text_table import one_line, text_table

_EXAMPLES = 2
_LONGEST = 300


def check_text(report: CheckReport) -> str:
    """Return the text of a check: counts by split and class, sizes, and each code with its first two findings."""
    sections = [_holding(report), _sizes(report), _flags(report), *_found(report), [_verdict(report)]]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def counts_rows(report: CheckReport) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table of counts: images, those without boxes, and the boxes of each class."""
    by_split = counts(report.dataset)["by_split"]
    rows = [["images", *(str(part["images"]) for part in by_split.values())]]
    rows.append(["images without boxes", *(str(part["images_without_boxes"]) for part in by_split.values())])
    rows += [[label, *(str(part["by_class"][label]) for part in by_split.values())] for label in report.dataset.classes]
    return ["", *(name or "(no split)" for name in by_split)], rows


def sizes_rows(report: CheckReport) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table of sizes, a class a row."""
    head = ["class", "small", "medium", "large", "median px", "1 % below px", "input for 99 %"]
    if report.input_size is not None:
        head += [f"{name} at {report.input_size}" for name in ("small", "medium", "large", "too small")]
    rows = []
    for label, sizes in report.sizes.items():
        row = [label, *map(str, sizes.in_pixels.values()), f"{sizes.median:.0f}", f"{sizes.shortest:.1f}"]
        row.append(str(sizes.input_needed))
        if sizes.at_input is not None:
            row += [*map(str, sizes.at_input.values()), str(sizes.below)]
        rows.append(row)
    return head, rows


def flags_rows(report: CheckReport) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table of flags; those that name a split are left out, for it has its own."""
    rows = [
        [flag, *map(str, by_split.values())]
        for flag, by_split in report.flags.items()
        if by_split.get(flag) != sum(by_split.values())
    ]
    return ["flag", "train", "val", "test", "(no split)"], rows


def place_of(finding: Finding) -> str:
    """Return where a finding is, for a reader: its image or file, and the shape."""
    return ": ".join(part for part in (finding.image_id or finding.source, finding.shape) if part)


def _holding(report: CheckReport) -> list[str]:
    pictures = report.pictures
    looked = f"{pictures.looked_at} pictures looked at, {pictures.unpacked} of them unpacked"
    first = f"{len(report.dataset.images)} images, {len(report.dataset.annotations)} boxes; {looked}"
    return [first, *text_table(*counts_rows(report))]


def _sizes(report: CheckReport) -> list[str]:
    head, rows = sizes_rows(report)
    if not rows:
        return []
    return ["box sizes (small < 32 x 32 <= medium < 96 x 96 <= large, in pixels)", *text_table(head, rows)]


def _flags(report: CheckReport) -> list[str]:
    head, rows = flags_rows(report)
    return text_table(head, rows) if rows else []


def _found(report: CheckReport) -> Iterable[list[str]]:
    for code, sightings in report.by_code().items():
        severity, meaning = CODES[code]
        lines = [f"{severity}: {len(sightings)} {code}: {meaning}"]
        for sighting in sightings[:_EXAMPLES]:
            place = place_of(sighting.finding)
            text = one_line(f"{place}: {sighting.finding.message}" if place else sighting.finding.message)
            lines.append("  " + (text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."))
        if len(sightings) > _EXAMPLES:
            lines.append(f"  ... and {len(sightings) - _EXAMPLES} more")
        if code in ADVICE:
            lines.append(f"  -> {ADVICE[code]}")
        yield lines


def _verdict(report: CheckReport) -> str:
    severities = count_by_severity(report.findings)
    if not report.findings:
        return "findings: none"
    return f"findings: {severities['error']} errors, {severities['warn']} warnings, {severities['info']} notes"
