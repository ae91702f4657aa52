"""Labelme folders of any size for the benchmarks: codes with their parts, as Labelme writes them, and small pictures.

Half of the `imagePath`s have backslashes, one shape in eight is a polygon, one rectangle in ten is drawn from another
corner than the top left, and coordinates have as many digits as a mouse gives them. There are no circles: other
converters refuse a file for one. Pictures are half PNG, half JPEG; a quarter of the JPEGs is stored turned, with the
EXIF orientation that says so.
"""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 640, 480
PART_SHAPES = 3
_INVERTED = 0.1
_POLYGONS = 0.125
_TURNED = 6
"""The EXIF orientation of a picture that is stored lying on its left side."""


def write_folder(root: Path, files: int, *, codes: int = 2, embed: int = 0, pictures: bool = True) -> int:
    """Write `files` Labelme files into `root`/annotations, pictures into `root`/images; return how many shapes.

    `codes` is the mean number of codes a file, each with three parts. `embed` is the size in bytes of a picture in
    each file's imageData (base64 makes it a third larger); 0 leaves it null.
    """
    random = np.random.default_rng(7)
    (root / "annotations").mkdir(parents=True)
    (root / "images").mkdir()
    data = base64.b64encode(random.bytes(embed)).decode() if embed else None
    masters = _masters() if pictures else {}
    shapes = 0
    for number in range(files):
        suffix, turned = (".png", False) if number % 2 else (".jpg", number % 8 == 0)
        content = _document(random, number, suffix, codes, data)
        shapes += len(content["shapes"])
        (root / "annotations" / f"photo_{number:07d}.json").write_text(json.dumps(content, indent=2))
        if pictures:
            (root / "images" / f"photo_{number:07d}{suffix}").write_bytes(masters[suffix, turned])
    return shapes


def _masters() -> dict[tuple[str, bool], bytes]:
    import io

    files = {}
    for suffix, turned in ((".png", False), (".jpg", False), (".jpg", True)):
        exif = Image.Exif()
        exif[0x010F], exif[0x0110], exif[0x0132] = "A maker of cameras", "Model 7", "2026:11:22 20:08:28"
        exif[0x0112] = _TURNED if turned else 1
        out = io.BytesIO()
        size = (HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT)
        options = {"exif": exif} if suffix == ".jpg" else {}
        Image.new("RGB", size, (90, 120, 70)).save(out, "PNG" if suffix == ".png" else "JPEG", **options)
        files[suffix, turned] = out.getvalue()
    return files


def _document(random: np.random.Generator, number: int, suffix: str, codes: int, data: str | None) -> dict[str, Any]:
    shapes: list[dict[str, Any]] = []
    for group in range(codes):
        x, y, side = random.uniform(5, WIDTH - 205), random.uniform(5, HEIGHT - 205), random.uniform(80, 200)
        shapes.append(_shape(random, "qr_code", group, x, y, side))
        # Now and then a part is hidden.
        for dx, dy in ((0.05, 0.05), (0.75, 0.05), (0.05, 0.75))[: PART_SHAPES - (random.random() < 0.075)]:
            shapes.append(_shape(random, "fip", group, x + dx * side, y + dy * side, side * 0.2))
    separator = "\\" if number % 2 else "/"
    return {
        "version": "5.4.1",
        "flags": {"train": number % 5 < 3, "valid": number % 5 == 3, "test": number % 5 == 4},
        "shapes": shapes,
        "imagePath": separator.join(["..", "images", f"photo_{number:07d}{suffix}"]),
        "imageData": data,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }


def _shape(random: np.random.Generator, label: str, group: int, x: float, y: float, side: float) -> dict[str, Any]:
    corners = [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
    first = int(random.integers(1, 4)) if random.random() < _INVERTED else 0
    shape_type, points = "rectangle", [corners[first], corners[(first + 2) % 4]]
    if random.random() < _POLYGONS:
        shape_type, points = "polygon", corners
    fields = {"group_id": group, "description": "", "shape_type": shape_type, "flags": {}, "mask": None}
    return {"label": label, "points": points, **fields}
