"""Labelme folders for the tests: small files written as Labelme writes them, with one thing wrong where a test says."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from annotations.convert import ConvertReport
from annotations.convert import convert as convert_source
from annotations.findings import Finding
from annotations.tables import pixels

SHARED = Path(__file__).parents[2] / "shared"
WIDTH, HEIGHT = 100, 80
PARTS = {"fip": "qr_code"}


def shape(label: object = "qr_code", points: object = ((10, 10), (40, 30)), **fields: object) -> dict[str, Any]:
    """Return a Labelme shape; a rectangle of two points, without a group, where `fields` say nothing else."""
    return {"label": label, "points": points, "group_id": None, "shape_type": "rectangle", "flags": {}, **fields}


def document(*shapes: object, **fields: object) -> dict[str, Any]:
    """Return a Labelme document of a picture of 100 x 80 pixels."""
    size = {"imagePath": "img.png", "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
    return {"version": "5.4.1", "flags": {}, "shapes": list(shapes), **size, **fields}


def write_json(path: Path, content: Mapping[str, Any] | str | bytes) -> Path:
    """Write a Labelme document, or any text or bytes, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def write_png(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT), orientation: int | None = None) -> Path:
    """Write a black PNG of (width, height) stored pixels, with an EXIF orientation where one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.new("L", size).save(path, exif=exif)
    return path


def convert(root: Path, **options: object) -> ConvertReport:
    """Return the report of converting `root`, beside which the dataset is written."""
    settings: dict[str, Any] = {"source_form": "labelme", "parts": PARTS, **options}
    return convert_source(root, root.with_name(root.name + "-dataset"), **settings)


def convert_one(root: Path, *shapes: object, image: bool = True, **fields: object) -> ConvertReport:
    """Return the report of converting one document `a.json`, with its picture where `image` says so."""
    write_json(root / "a.json", document(*shapes, **fields))
    if image:
        write_png(root / "img.png")
    return convert(root)


def boxes(report: ConvertReport) -> list[list[float]]:
    """Return the boxes of a report, in pixels."""
    table = report.dataset.annotations
    return pixels(report.dataset.images, table.image_row, table.xyxy_rel).round(9).tolist()


def labels(report: ConvertReport) -> list[str]:
    """Return the boxes' labels."""
    return [report.dataset.classes[row] for row in report.dataset.annotations.class_id]


def codes(report: ConvertReport, *, least: str = "info") -> list[str]:
    """Return the codes of the findings about files whose severity is at least this, sorted."""
    severities: Sequence[str] = ("info", "warn", "error")
    wanted = severities[severities.index(least) :]
    return sorted(finding.code for finding in report.findings if finding.source and finding.severity in wanted)


def only(report: ConvertReport, code: str) -> Finding:
    """Return the one finding that has this code."""
    (finding,) = (finding for finding in report.findings if finding.code == code)
    return finding
