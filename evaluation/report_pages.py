"""What the pages of reports share: their template's surroundings, their colours, and how their files are written."""

import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from annotations.errors import PpnlabError
from annotations.palette import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW, hexadecimal
from annotations.version import VERSION
from annotations.whole import write_whole
from evaluation import report_figures

if TYPE_CHECKING:
    from jinja2 import Environment, Template

COLOURS = {
    name: hexadecimal(colour)
    for name, colour in {
        "hit": GREEN,
        "fp": VERMILION,
        "missed": YELLOW,
        "truth": SKY,
        "other": PURPLE,
        "warn": ORANGE,
        "cell": BLUE,
    }.items()
}
"""The colours of a page, by what they stand for."""

_FILTERS = {
    "figure": report_figures.figure_text,
    "signed": report_figures.signed_text,
    "interval": report_figures.interval_text,
    "meaning": report_figures.meaning,
    "several_sizes": report_figures.sizes_with_objects,
}


def page_template(name: str) -> "Template":
    """Return the template of that file name, which lies beside this file."""
    return _surroundings().get_template(name)


@cache
def _surroundings() -> "Environment":
    # jinja2 is needed for a page only.
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    found = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(_text)
    )
    found.filters |= _FILTERS
    return found


def _text(name: str) -> str:
    return resources.files("evaluation").joinpath(name).read_text(encoding="utf-8")


def json_text(content: Mapping[str, Any]) -> str:
    """Return the text of a JSON file: indented, and without NaN.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_files(directory: Path, files: Mapping[str, str | None]) -> None:
    """Write the files of a report, each whole, in this order; None removes one that an earlier report left.

    Raises:
        PpnlabError: the directory cannot be written, or is a file.
    """
    if directory.exists() and not directory.is_dir():
        raise PpnlabError(f"{directory}: report must be a directory, got a file")
    for name, text in files.items():
        try:
            if text is None:
                # One that an earlier report of other data left would be taken for this one's.
                (directory / name).unlink(missing_ok=True)
            else:
                write_whole(directory / name, text)
        except OSError as error:
            raise PpnlabError(f"{directory / name}: report must be writable, got {error.strerror or error}") from error


def versions() -> dict[str, str]:
    """Return the row of a page's facts that names the versions."""
    return {"Versions": f"ppnlab {VERSION}, numpy {np.__version__}, Python {platform.python_version()}"}
