"""Converts damaged sources, in a process of its own: `fuzz_worker.py KIND FIRST COUNT FOLDER`.

Prints a JSON object: how many mutants were tried, how many of them gave an image, how many were refused (an error names
them), and what went wrong with which. A
mutant is made from its kind and number alone, so that each can be made again. The process ends itself with a traceback
on stderr where a conversion takes more than a minute, and may not take more memory than HEADROOM.
"""

import base64
import contextlib
import faulthandler
import io
import json
import os
import random
import resource
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from annotation_files import document, shape, write_json
from mutants import changed, damaged
from PIL import Image
from pycocotools import mask as coco_mask

from annotations import labelme_folder
from annotations.convert import FINDINGS, ConvertReport, convert
from annotations.dataset import read_dataset
from annotations.errors import PpnlabError
from annotations.tables import Annotations, BoxDataset, Images

HEADROOM = 2**30
"""Bytes that conversions may take beyond what the process has when they begin."""
SECONDS = 60
TOGETHER = 50
"""Mutants in one folder."""
GOOD = [[10.0, 10.0, 40.0, 30.0], [12.0, 12.0, 18.0, 18.0]]
PARTS = {"fip": "qr_code"}
MAY_SHARE = {"shared-image", "split-conflict"}
"""What may be found of an ordinary file because of another: both name one picture."""


def png(width: int = 100, height: int = 80, value: int = 0) -> bytes:
    """Return a PNG."""
    out = io.BytesIO()
    Image.fromarray(np.full((height, width), value, np.uint8)).save(out, "PNG")
    return out.getvalue()


def pictures() -> dict[str, bytes]:
    """Return a picture of 100 x 80 pixels in each format, some with EXIF."""
    image, exif = Image.new("RGB", (100, 80), (9, 99, 199)), Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    made = {}
    options: dict[str, dict[str, Any]] = {
        "plain.png": {},
        "turned.png": {"exif": exif},
        "plain.jpg": {},
        "turned.jpg": {"exif": exif, "icc_profile": b"i" * 99},
        "many.jpg": {"progressive": True, "comment": b"c" * 5000},
        "a.bmp": {},
        "a.tif": {"exif": exif},
        "a.webp": {"exif": exif},
    }
    for name, more in options.items():
        out = io.BytesIO()
        image.save(out, {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name.rpartition(".")[2].upper()), **more)
        made[name] = out.getvalue()
    return made


def documents() -> list[bytes]:
    """Return Labelme files with all types of shapes, groups, flags, masks and image data."""
    corners = [[10.5, 10], [40, 12], [38, 30], [9, 29.25]]
    mask = base64.b64encode(png(8, 6, 1)).decode()
    all_types = document(
        shape(group_id=0), shape("fip", [[18, 18], [12, 12]], group_id=0), shape("fip", [[20, 12], [26, 18]]),
        shape("cat", corners, shape_type="polygon"), shape("cat", corners, shape_type="rectangle"),
        shape("cat", corners, shape_type="rotation", direction=1.5, score=0.5),
        shape("cat", corners, shape_type="oriented_rectangle"), shape("dog", [[50, 40], [55, 45]], shape_type="circle"),
        shape("dog", [[60, 60], [67, 65]], shape_type="mask", mask=mask), shape("x", [[1, 2]], shape_type="point"),
        shape("x", [[1, 2], [3, 4]], shape_type="line"), shape("x", corners, shape_type="linestrip"),
        flags={"train": True, "blurred": False},
    )  # fmt: skip
    plain = document(shape(group_id=1), shape("fip", [[12, 12], [18, 18]], group_id=1))
    old = document(shape(points=corners, shape_type=None), flags={}, lineColor=[0, 255, 0, 128], version="3.16.7")
    embedded = document(shape(), imageData=base64.b64encode(png()).decode(), imagePath="gone.png", imageWidth=None)
    several = [all_types, plain, plain, old, embedded, document(flags={"test": True})]
    return [json.dumps(one, indent=2).encode() for one in several] + [json.dumps(plain).encode()]


def ordinary_sources(root: Path) -> None:
    """Write three ordinary Labelme files with pictures of their own."""
    for name in ("good0", "good5", "good9"):
        content = document(shape(group_id=1), shape("fip", [[12, 12], [18, 18]], group_id=1), imagePath=f"{name}.png")
        write_json(root / f"{name}.json", content)
        (root / f"{name}.png").write_bytes(png())


def boxes_by_image(dataset: BoxDataset) -> dict[str, list[list[float]]]:
    """Return the boxes of each image in pixels, to the ninth digit."""
    found: dict[str, list[list[float]]] = {name: [] for name in dataset.images.image_id.tolist()}
    for row, box in zip(dataset.annotations.image_row.tolist(), dataset.annotations.xyxy_rel, strict=True):
        size = np.tile([int(dataset.images.width[row]), int(dataset.images.height[row])], 2)
        found[str(dataset.images.image_id[row])].append((box * size).round(9).tolist())
    return found


def faults_of_folder(source: Path, report: ConvertReport, written: Path, names: Sequence[str]) -> Iterator[str]:
    """Give what is wrong with the conversion of a folder of mutants `names` beside the ordinary files."""
    dataset = read_dataset(written)
    converted = set(dataset.images.source.tolist())
    told = {finding.source for finding in report.findings}
    refused = {found.source for found in report.findings if found.severity == "error" and not found.image_id}
    for name in names:
        if name not in converted | told:
            yield f"{name} gave no image and no finding"
        if name in converted & refused:
            yield f"{name} was refused and gave an image"
    boxes = boxes_by_image(dataset)
    for name in ("good0", "good5", "good9"):
        if boxes.get(name) != GOOD:
            yield f"{name} must have its boxes, got {boxes.get(name)}"
        codes = {found.code for found in report.findings if found.source == f"{name}.json"} - MAY_SHARE
        if codes:
            yield f"{name} must have no findings, got {codes}"
    yield from _differences(source, report, dataset)


def _differences(source: Path, report: ConvertReport, dataset: BoxDataset) -> Iterator[str]:
    """Give what is different where each file is read alone, and not the ordinary ones together."""

    def none_ordinary(folder: Any, sources: Any, ids: Any, naming: Any, *, check_images: bool) -> Any:  # noqa: ANN401
        return ordinary(folder, [], [], naming, check_images=check_images)

    ordinary = labelme_folder.read_ordinary
    with mock.patch.object(labelme_folder, "read_ordinary", none_ordinary):
        again = convert(source, source.with_name("again"), source_form="labelme", parts=PARTS)
    for table, mine, other in (
        (Images, dataset.images, again.dataset.images), (Annotations, dataset.annotations, again.dataset.annotations),
    ):  # fmt: skip
        for column in table.__slots__:
            if not np.array_equal(getattr(mine, column), getattr(other, column)):
                yield f"{table.__name__}.{column} differs where files are read alone"
    if report.findings != again.findings:
        different = set(report.findings) ^ set(again.findings)
        yield f"findings differ where files are read alone: {sorted(different)[:4]}"


def labelme_mutants(root: Path, numbers: Sequence[int]) -> list[str]:
    """Write damaged Labelme files, all of one picture; return their names."""
    (root / "img.png").write_bytes(png())
    valid = documents()
    for number in numbers:
        chance = random.Random(f"labelme {number}")
        data = chance.choice(valid)
        mutant = changed(data, chance) if chance.random() < 0.6 else damaged(data, chance, valid)
        (root / f"m{number}.json").write_bytes(mutant)
    return [f"m{number}.json" for number in numbers]


def picture_mutants(root: Path, numbers: Sequence[int]) -> list[str]:
    """Write damaged pictures, each with a Labelme file that needs its size or compares it; return the files' names."""
    valid = pictures()
    for number in numbers:
        chance = random.Random(f"pictures {number}")
        name = chance.choice(sorted(valid))
        data, head = valid[name], chance.choice((30, 200, 1000))
        # Headers are what is read: most damages are at the beginning.
        mutant = damaged(data[:head], chance, list(valid.values())) + data[head:]
        path = f"m{number}{Path(name).suffix}"
        (root / path).write_bytes(mutant)
        size = chance.choice([{}, {"imageWidth": None}, {"imageWidth": 80, "imageHeight": 100}])
        write_json(root / f"m{number}.json", document(shape(), imagePath=path, **size))
    return [f"m{number}.json" for number in numbers]


TARGETS = ("labelme", "csv", "coco", "yolo", "voc")
FOLDERS: dict[str, Callable[[Path, Sequence[int]], list[str]]] = {
    "labelme": labelme_mutants,
    "pictures": picture_mutants,
}


def try_folders(kind: str, numbers: Sequence[int], folder: Path) -> dict[str, Any]:
    """Convert mutants by folders; where something goes wrong, each of its mutants alone, to find the one."""
    converted, refused, wrong = 0, 0, []
    for begin in range(0, len(numbers), TOGETHER):
        some = numbers[begin : begin + TOGETHER]
        images, errors, faults = try_folder(kind, some, folder)
        converted, refused = converted + images, refused + errors
        if faults:
            alone = [(number, try_folder(kind, [number], folder)[2]) for number in some]
            wrong += [{"mutant": number, "faults": found} for number, found in alone if found] or [
                {"mutant": list(some), "faults": faults}
            ]
    return {"tried": len(numbers), "converted": converted, "refused": refused, "wrong": wrong}


def try_folder(kind: str, numbers: Sequence[int], folder: Path) -> tuple[int, int, list[str]]:
    """Return how many mutants gave an image, how many were refused, and what is wrong with their conversion."""
    source, written = folder / "source", folder / "written"
    for path in (source, written, folder / "again", folder / "target", folder / "masks"):
        shutil.rmtree(path, ignore_errors=True)
    source.mkdir()
    ordinary_sources(source)
    names = FOLDERS[kind](source, numbers)
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        report = convert(source, written, source_form="labelme", parts=PARTS)
        faults = list(faults_of_folder(source, report, written, names))
        # What was accepted can be written in another form, and its outlines can be drawn.
        target = TARGETS[numbers[0] // TOGETHER % len(TARGETS)]
        convert(source, folder / "target", source_form="labelme", target_form=target, parts=PARTS)
        convert(source, folder / "masks", source_form="labelme", masks="instance", parts=PARTS)
        return len(report.dataset.images) - 3, _errors(report), faults
    except Exception:  # noqa: BLE001
        return 0, 0, [traceback.format_exc()[-1500:]]
    finally:
        faulthandler.cancel_dump_traceback_later()


def _errors(report: ConvertReport) -> int:
    return sum(finding.severity == "error" for finding in report.findings)


def valid_source(form: str, folder: Path) -> Path:
    """Return a valid source of a form, below `folder`."""
    drawn, source = folder / "drawn", folder / "valid"
    drawn.mkdir()
    ordinary_sources(drawn)
    if form == "pairs":
        for name in ("a", "b", "c"):
            (source / "images").mkdir(parents=True, exist_ok=True)
            (source / "labels").mkdir(exist_ok=True)
            (source / "images" / f"{name}.png").write_bytes(png())
            labels = np.zeros((80, 100), np.uint16)
            labels[10:30, 10:40] = 300
            Image.fromarray(labels).save(source / "labels" / f"{name}.png")
        return source
    convert(drawn, source, source_form="labelme", target_form=form, parts=PARTS)
    for path in drawn.glob("*.png"):
        if not list(source.rglob(path.name)):
            shutil.copy(path, source)
    if form == "coco":
        _with_outlines(next(source.rglob("*.json")))
    return source


def _with_outlines(path: Path) -> None:
    """Give the annotations of a COCO file outlines of each kind: polygons, counts and compressed counts."""
    document = json.loads(path.read_bytes())
    counts = [10 * 80 + 10, 20, 60, 20, 80 * 100 - 10 * 80 - 110]
    drawn = np.zeros((80, 100), np.uint8, order="F")
    drawn[10:30, 10:40] = 1
    compressed = coco_mask.encode(drawn)["counts"].decode()
    kinds = [[[10, 10, 40, 10, 40, 30]], *({"size": [80, 100], "counts": some} for some in (counts, compressed))]
    for number, annotation in enumerate(document["annotations"]):
        annotation["segmentation"] = kinds[number % 3]
    path.write_text(json.dumps(document))


def try_files(form: str, numbers: Sequence[int], folder: Path) -> dict[str, Any]:
    """Convert a valid source of a form with one of its files damaged, again and again."""
    valid = valid_source(form, folder)
    files = sorted(path.relative_to(valid) for path in valid.rglob("*") if path.is_file())
    texts = [path for path in files if path.suffix != ".png" and path.name != FINDINGS] or files
    contents = {path: (valid / path).read_bytes() for path in files}
    before = boxes_by_image(convert(valid, folder / "before", source_form=form, parts=PARTS).dataset)
    converted, refused, wrong = 0, 0, []
    for number in numbers:
        chance = random.Random(f"{form} {number}")
        path = chance.choice(texts if chance.random() < 0.9 else files)
        data = contents[path]
        if path.suffix == ".json" and chance.random() < 0.6:
            data = changed(data, chance)
        else:
            data = damaged(data, chance, [contents[other] for other in texts])
        images, errors, faults = try_file(form, valid, path, data, before, folder)
        converted, refused = converted + (images > 0), refused + (errors > 0)
        if faults:
            wrong.append({"mutant": number, "file": str(path), "faults": faults, "data": repr(data[:3000])})
    return {"tried": len(numbers), "converted": converted, "refused": refused, "wrong": wrong}


def try_file(
    form: str, valid: Path, path: Path, data: bytes, before: dict[str, list[list[float]]], folder: Path
) -> tuple[int, int, list[str]]:
    """Return how many images and errors a source gives one of whose files is damaged, and what is wrong with that."""
    source, written = folder / "source", folder / "written"
    for old in (source, written, folder / "masks"):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(valid, source)
    (source / path).write_bytes(data)
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        report = convert(source, written, source_form=form, parts=PARTS)
        after = boxes_by_image(read_dataset(written))
        if form == "coco":
            with contextlib.suppress(PpnlabError):  # where no outline is left
                convert(source, folder / "masks", source_form=form, masks="instance", parts=PARTS)
        return len(after), _errors(report), list(_other_images(form, path, report, before, after))
    except PpnlabError as error:
        named = str(source) in str(error) or str(path) in str(error)
        return 0, 1, [] if named else [f"file must be named, got {error}"]
    except Exception:  # noqa: BLE001
        return 0, 0, [traceback.format_exc()[-1500:]]
    finally:
        faulthandler.cancel_dump_traceback_later()


def _other_images(
    form: str,
    path: Path,
    report: ConvertReport,
    before: dict[str, list[list[float]]],
    after: dict[str, list[list[float]]],
) -> Iterator[str]:
    """Give the images that a damage to another's file has changed, and the lost ones of which nothing is told."""
    one_each = (form, path.suffix) in {("yolo", ".txt"), ("voc", ".xml")}
    for image_id, boxes in before.items():
        if one_each and image_id != path.stem and after.get(image_id) != boxes:
            yield f"{image_id} must have its boxes, got {after.get(image_id)}"
    if set(before) - set(after) and not report.findings and len(after) < len(before):
        yield f"images {sorted(set(before) - set(after))} were lost without a finding"


def main() -> None:
    """Try the mutants that the command line asks for."""
    kind, first, count, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    faulthandler.enable()
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        limit = pages * os.sysconf("SC_PAGE_SIZE") + HEADROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    numbers = range(first, first + count)
    tried = try_folders(kind, numbers, folder) if kind in FOLDERS else try_files(kind, numbers, folder)
    print(json.dumps(tried))


if __name__ == "__main__":
    main()
