"""A check as files: check.json, findings.csv, a contact sheet a code, and one page that needs nothing beside it."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.check import CheckReport
from annotations.check_advice import ADVICE
from annotations.check_text import counts_rows, flags_rows, place_of, sizes_rows
from annotations.contact_sheet import contact_sheet
from annotations.drawn import Progress
from annotations.errors import PpnlabError
from annotations.findings import CODES, SEVERITIES, count_by_severity, findings_text
from annotations.size_bars import SizeBars, size_bars
from annotations.whole import write_whole

if TYPE_CHECKING:
    from jinja2 import Template

PAGE_FILE, SUMMARY_FILE, FINDINGS_FILE, SHEETS = "check.html", "check.json", "findings.csv", "sheets"
_TEMPLATE = "check.html.jinja"
_LISTED = 50
"""Findings of a code that the page lists; findings.csv has all."""
_QUALITY = 82
_MOST_CHARTS = 24


def write_check(
    report: CheckReport, directory: Path, *, facts: Mapping[str, str] | None = None, progress: Progress | None = None
) -> Path:
    """Write check.json, findings.csv, sheets/CODE.png and check.html into a directory; return the page's path.

    Each file is written whole; the page comes last. Files of an earlier check are replaced or removed, others are left
    alone. `facts` are rows for the end of the page (the command, the date). `progress` counts the sheets drawn.

    Raises:
        PpnlabError: the directory cannot be written, or is a dataset's.
    """
    refuse_report(directory)
    sheets = _sheets(report, progress)
    bars = size_bars(report.dataset)
    summary = {**report.summary(), "sizes_by_source": _bars_json(bars), "sheets": {c: _sheet_name(c) for c in sheets}}
    files: dict[str, str | bytes] = {
        SUMMARY_FILE: json.dumps(summary, indent=2, allow_nan=False, ensure_ascii=False) + "\n",
        FINDINGS_FILE: findings_text(report.findings),
        **{_sheet_name(code): _coded(sheet, ".png") for code, sheet in sheets.items()},
        PAGE_FILE: check_html(report, sheets, bars, facts or {}),
    }
    path = directory
    try:
        for code in CODES.keys() - sheets.keys():
            path = directory / _sheet_name(code)
            path.unlink(missing_ok=True)
        for name, content in files.items():
            path = directory / name
            write_whole(path, content)
    except OSError as error:
        raise PpnlabError(f"{path}: check must be writable, got {error.strerror or error}") from error
    return directory / PAGE_FILE


def refuse_report(directory: Path) -> None:
    """Do nothing where a report can go into a directory; a command asks before it looks at thousands of pictures.

    Raises:
        PpnlabError: it is a file, or a box dataset, whose own findings.csv would be lost.
    """
    must = f"{directory}: report must be written to a directory of its own"
    try:
        is_dataset, is_file = (directory / "dataset.json").exists(), directory.exists() and not directory.is_dir()
    except OSError as error:
        raise PpnlabError(f"{must}, got {error.strerror or error}") from error
    if is_dataset:
        raise PpnlabError(f"{must}, got a box dataset, which keeps the findings of its conversion in {FINDINGS_FILE}")
    if is_file:
        raise PpnlabError(f"{must}, got a file")


def check_html(
    report: CheckReport, sheets: Mapping[str, NDArray[np.uint8]], bars: list[SizeBars], facts: Mapping[str, str]
) -> str:
    """Return the text of check.html; `sheets` are the (H, W, 3) contact sheets by code."""
    return _template().render(
        report=report,
        severities=count_by_severity(report.findings),
        severity_names=SEVERITIES,
        by_code=report.by_code(),
        codes=CODES,
        advice=ADVICE,
        sheets={code: _data_uri(sheet) for code, sheet in sheets.items()},
        counts=counts_rows(report),
        sizes=sizes_rows(report),
        flags=flags_rows(report),
        charts=[_chart(bars) for bars in bars[:_MOST_CHARTS]],
        listed=_LISTED,
        place_of=place_of,
        facts=facts,
    )


def _sheets(report: CheckReport, progress: Progress | None) -> dict[str, NDArray[np.uint8]]:
    found = report.by_code()
    sheets = {}
    for done, (code, sightings) in enumerate(found.items(), start=1):
        sheet = contact_sheet(report.dataset, sightings, report.embedded)
        if sheet is not None:
            sheets[code] = sheet
        if progress is not None:
            progress(done, len(found))
    return sheets


def _sheet_name(code: str) -> str:
    return f"{SHEETS}/{code}.png"


def _coded(sheet: NDArray[np.uint8], suffix: str) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if suffix == ".jpg" else []
    return bytes(cv2.imencode(suffix, cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), quality)[1].tobytes())


def _data_uri(sheet: NDArray[np.uint8]) -> dict[str, Any]:
    uri = "data:image/jpeg;base64," + base64.b64encode(_coded(sheet, ".jpg")).decode("ascii")
    return {"uri": uri, "width": sheet.shape[1], "height": sheet.shape[0]}


def _bars_json(bars: list[SizeBars]) -> list[dict[str, Any]]:
    return [asdict(chart) for chart in bars]


def _chart(bars: SizeBars) -> dict[str, Any]:
    """Return what the page draws: bars with places from 0 to 100 on a logarithmic axis, and the axis's marks."""
    low = min(bar.quantiles[0] for bar in bars.bars)
    high = max(bar.quantiles[-1] for bar in bars.bars)
    first, last = math.log2(low) - 0.2, math.log2(high) + 0.2
    first, last = min(first, last - 2), max(last, first + 2)  # at least a factor of 4

    def place(value: float) -> float:
        return round(100 * (math.log2(value) - first) / (last - first), 2)

    marks = [2.0**power for power in range(math.ceil(first), math.floor(last) + 1)]
    step = max(1, len(marks) // 6)
    return {
        "label": bars.label,
        "kind": bars.kind,
        "bars": [(bar, [place(value) for value in bar.quantiles]) for bar in bars.bars],
        "marks": [(place(mark), f"{mark:.2%}" if mark < 0.01 else f"{mark:.1%}") for mark in marks[::step]],
    }


@cache
def _template() -> "Template":
    # jinja2 is needed for a page only.
    from jinja2 import Environment, StrictUndefined

    surroundings = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = resources.files("annotations").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    return surroundings.from_string(text)
