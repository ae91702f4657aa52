"""What holds for all boxes and names: corner order, round trips, splits, parts."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from annotation_files import convert, document, shape, write_json
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.csvtable import csv_text, read_csv
from annotations.dataset import read_dataset, write_dataset
from annotations.linking import NONE, link_parts
from annotations.notes import Note
from annotations.shapes import Region, inside_frame, regions_of
from annotations.splits import assign_splits
from annotations.tables import Annotations, BoxDataset, Images

# How fast a machine is says nothing about these.
UNTIMED = settings(deadline=None)
QUARTERS = st.integers(0, 4 * 64).map(lambda n: n / 4)
ANYWHERE = st.integers(-4 * 64, 8 * 64).map(lambda n: n / 4)
# Text that a CSV or a program that guesses could spoil.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8) | (
    st.sampled_from(["NA", "null", "001", "1e5", "", " ", "nan", '"', ",", "\r", "\n", "é"]).filter(bool)
)


@st.composite
def grid_boxes(draw: st.DrawFn) -> list[float]:
    """Return an xyxy box with an area, on a quarter-pixel grid."""
    xs, ys = (sorted(draw(st.lists(QUARTERS, min_size=2, max_size=2, unique=True))) for _ in range(2))
    return [xs[0], ys[0], xs[1], ys[1]]


def box_of(points: list[list[float]], shape_type: str = "rectangle") -> tuple[float, ...]:
    notes: list[Note] = []
    (region,) = regions_of([shape(points=points, shape_type=shape_type)], notes)
    return region[2:6]


@UNTIMED
@given(grid_boxes(), st.permutations(range(4)))
def test_any_order_of_corners_gives_the_same_box(box: list[float], order: list[int]) -> None:
    xmin, ymin, xmax, ymax = box
    corners = [[xmin, ymin], [xmax, ymin], [xmax, ymax], [xmin, ymax]]
    for first, last in [(0, 2), (2, 0), (1, 3), (3, 1)]:
        assert box_of([corners[first], corners[last]]) == tuple(box)
    for shape_type in ("rectangle", "polygon", "oriented_rectangle"):
        assert box_of([corners[place] for place in order], shape_type) == tuple(box)


@UNTIMED
@given(st.tuples(ANYWHERE, ANYWHERE, ANYWHERE, ANYWHERE))
def test_box_in_the_frame_has_an_area_or_is_told(corners: tuple[float, float, float, float]) -> None:
    x0, y0, x1, y1 = corners
    notes: list[Note] = []
    (drawn,) = regions_of([shape(points=[[x0, y0], [x1, y1]])], [])
    kept = inside_frame(drawn, 64, 64, notes)
    if kept is None:
        assert [note.code for note in notes] in (["zero-area"], ["outside"])
    else:
        assert 0 <= kept.xmin < kept.xmax <= 64
        assert 0 <= kept.ymin < kept.ymax <= 64
        assert bool(notes) == (kept[2:6] != drawn[2:6])


@UNTIMED
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20), st.data())
def test_csv_gives_back_every_text_and_every_float(values: list[float], data: st.DataObject) -> None:
    texts = data.draw(st.lists(NAMES | st.just(""), min_size=len(values), max_size=len(values)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        path.write_bytes(csv_text(["text", "value"], [texts, np.array(values, np.float64)]).encode())
        table = read_csv(path, ["text", "value"])
    assert table.columns["text"] == texts
    np.testing.assert_array_equal(table.numbers("value"), np.array(values, np.float64))


@UNTIMED
@given(st.lists(NAMES, unique=True, max_size=6), st.data())
def test_dataset_round_trip_is_exact(ids: list[str], data: st.DataObject) -> None:
    drawn = data.draw(st.lists(grid_boxes(), max_size=8)) if ids else []
    rows = data.draw(st.lists(st.integers(0, max(len(ids) - 1, 0)), min_size=len(drawn), max_size=len(drawn)))
    size = np.full(len(ids), 64)
    empty, paths = np.full(len(ids), "", np.str_), np.array([f"{row}.png" for row in range(len(ids))], np.str_)
    images = Images(np.array(ids, np.str_), paths, size, size, empty, empty, empty, empty)
    xyxy = np.array(drawn, np.float64).reshape(-1, 4) / 64 / 3  # thirds: no short decimal
    text, none = np.full(len(drawn), "", np.str_), np.full(len(drawn), -1)
    table = Annotations(np.array(rows, np.int64), np.arange(len(drawn)), none, text, none * 0, xyxy, text)
    with tempfile.TemporaryDirectory() as folder:
        dataset = BoxDataset(Path(folder), ("a",), {}, images, table)
        write_dataset(Path(folder, "data"), dataset, [], command="")
        back = read_dataset(Path(folder, "data"))
    assert back.images.image_id.tolist() == ids
    for name in Annotations.__slots__:
        np.testing.assert_array_equal(getattr(back.annotations, name), getattr(table, name))


def table_of(ids: list[str], groups: list[str]) -> Images:
    empty, size = np.full(len(ids), "", np.str_), np.ones(len(ids))
    return Images(np.array(ids, np.str_), empty, size, size, empty, np.array(groups, np.str_), empty, empty)


@UNTIMED
@given(st.lists(NAMES, unique=True, min_size=1, max_size=40), st.integers(0, 2**32), st.data())
def test_adding_images_moves_no_old_one(ids: list[str], seed: int, data: st.DataObject) -> None:
    groups = data.draw(st.lists(st.sampled_from(["", "g", "h"]), min_size=len(ids), max_size=len(ids)))
    # Two hundred others, so that no split is empty; they stand before, between or behind.
    others = [f"other {row}" for row in range(200)]
    known = assign_splits(table_of(others + ids, [""] * 200 + groups), (0.6, 0.2, 0.2), seed)
    after = assign_splits(table_of(ids[::-1] + others, groups[::-1] + [""] * 200), (0.6, 0.2, 0.2), seed)
    old = dict(zip(known.image_id.tolist(), known.split.tolist(), strict=True))
    assert all(old[name] == split for name, split in zip(after.image_id.tolist(), after.split.tolist(), strict=True))
    fewer = assign_splits(table_of(others, [""] * 200), (0.6, 0.2, 0.2), seed)
    assert all(old[name] == split for name, split in zip(fewer.image_id.tolist(), fewer.split.tolist(), strict=True))


REGIONS = st.lists(
    st.tuples(st.sampled_from(["qr_code", "fip", "cat"]), st.sampled_from(["", "0", "1"]), grid_boxes()), max_size=12
)


@UNTIMED
@given(REGIONS)
def test_part_has_the_parent_that_the_rule_names(drawn: list[tuple[str, str, list[float]]]) -> None:
    regions = [Region(label, group, *box, "rectangle", row) for row, (label, group, box) in enumerate(drawn)]
    notes: list[Note] = []
    parents = link_parts(regions, {"fip": "qr_code"}, notes)
    assert sum(note.code == "orphan-part" for note in notes) == sum(
        region.label == "fip" and parent == NONE for region, parent in zip(regions, parents, strict=True)
    )
    for region, parent in zip(regions, parents, strict=True):
        assert parent == (_parent_by_hand(region, regions) if region.label == "fip" else NONE)


def _parent_by_hand(part: Region, regions: list[Region]) -> int:
    objects = [r for r in regions if r.label == "qr_code" and (not part.group_id or r.group_id == part.group_id)]
    if part.group_id and len(objects) == 1:
        return objects[0].number
    x, y = (part.xmin + part.xmax) / 2, (part.ymin + part.ymax) / 2
    around = [r for r in objects if r.xmin <= x <= r.xmax and r.ymin <= y <= r.ymax]
    smallest = min(around, key=lambda r: ((r.xmax - r.xmin) * (r.ymax - r.ymin), r.number), default=None)
    return NONE if smallest is None else smallest.number


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"]
SHAPE_KEYS = ["label", "points", "group_id", "shape_type", "mask"]


@UNTIMED
@given(st.data())
def test_any_value_in_a_file_converts_it_or_refuses_it_by_name(data: st.DataObject) -> None:
    content: dict[str, Any] = document(shape(), shape("fip", [[12, 12], [20, 20]], group_id=1))
    if data.draw(st.booleans()):
        content[data.draw(st.sampled_from(KEYS))] = data.draw(JSON)
    else:
        content["shapes"][1][data.draw(st.sampled_from(SHAPE_KEYS))] = data.draw(JSON)
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder, "in", "a.json"), json.dumps(content))
        report = convert(Path(folder, "in"))
        back = read_dataset(Path(folder, "in-dataset"))
    assert len(back.images) == 1 or report.exit_status == 3
    assert all(finding.source == "a.json" for finding in report.findings if finding.severity == "error")


@UNTIMED
@given(st.data())
def test_any_damage_to_the_bytes_converts_or_refuses(data: st.DataObject) -> None:
    content = bytearray(json.dumps(document(shape(), shape("fip"), flags={"train": True})).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder, "in", "a.json"), bytes(content))
        write_json(Path(folder, "in", "b.json"), document(shape()))
        report = convert(Path(folder, "in"))
    assert report.dataset.images.image_id[-1] == "b"
    assert len(report.dataset.images) == 2 or {finding.source for finding in report.findings} >= {"a.json"}
