"""The quick reader of results files says what json says, or nothing at all."""

import json

import numpy as np
import pytest
from evaluation_sets import images
from hypothesis import given, settings
from hypothesis import strategies as st

import evaluation.coco_results
from annotations.tables import Detections
from evaluation.coco_results import quick_results

UNIT = images(60, size=(1, 1))
IDS = {number: (7 * number) % 60 for number in range(50)} | {2**53 - 1: 50, 2**53: 51, 10**15: 52, -3: 53}
ENTRY = {"image_id": 7, "category_id": 2, "bbox": [1.5, 2, 30.25, 4e-05], "score": 0.875}


def text(count: int = 3, **changes: object) -> str:
    return json.dumps([{**ENTRY, "image_id": number, **changes} for number in range(count)])


def read(data: bytes) -> Detections | None:
    return quick_results(data, UNIT, IDS, IDS)


def check_same(data: bytes) -> None:
    found, entries = read(data), json.loads(data)
    assert found is not None
    assert found.image_row.tolist() == [IDS[entry["image_id"]] for entry in entries]
    assert found.class_id.tolist() == [IDS[entry["category_id"]] for entry in entries]
    assert found.score.tolist() == [entry["score"] for entry in entries]
    # The pictures have sides of one pixel, so nothing is lost by dividing.
    x, y, width, height = np.array([entry["bbox"] for entry in entries], np.float64).T
    assert found.xyxy_rel.tolist() == np.stack([x, y, x + width, y + height], axis=1).tolist()
    assert sorted(found.object_id.tolist()) == list(range(len(entries)))


CORNERS, SIDES = st.floats(-5e5, 5e5) | st.integers(-1000, 1000), st.floats(1e-3, 5e5) | st.integers(1, 1000)
BOXES = st.tuples(CORNERS, CORNERS, SIDES, SIDES).map(list)
# Not 2^53, which 2^53 + 1 is read as too.
READ = st.sampled_from([number for number in IDS if number != 2**53])
SCORES = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**15), 10**15)


@given(
    st.lists(st.tuples(READ, READ, BOXES, SCORES), min_size=1, max_size=30),
    st.permutations(["image_id", "category_id", "bbox", "score"]),
    st.sampled_from([(", ", ": "), (",", ":"), (" ,\n", " : ")]),
    st.sampled_from([None, 0, 2]),
)
@settings(deadline=None)
def test_every_way_of_writing_gives_what_json_gives(
    rows: list[tuple[int, int, list[float], float]], keys: list[str], separators: tuple[str, str], indent: int | None
) -> None:
    entries = [dict(zip(ENTRY, row, strict=True)) for row in rows]
    ordered = [{key: entry[key] for key in keys} for entry in entries]
    check_same((json.dumps(ordered, separators=separators, indent=indent) + "\n").encode())


def test_pieces_of_a_long_file_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 50, 333):
        monkeypatch.setattr(evaluation.coco_results, "_CHUNK", size)
        check_same(text(40).encode())


@pytest.mark.parametrize("number", ["1e5", "1E5", "1e+5", "2E-3", "-0.0", "1e-320"])
def test_exponents_of_all_kinds_are_read(number: str) -> None:
    check_same(text().replace("0.875", number).encode())


GOOD = text()
ODD = {
    "another entry's order": GOOD.replace('"image_id": 1, "category_id": 2', '"category_id": 2, "image_id": 1'),
    "another spacing": GOOD.replace('"image_id": 1,', '"image_id":1,'),
    "a key more": GOOD.replace('"score": 0.875}]', '"score": 0.875, "area": 3}]'),
    "another key in each": text(area=3),
    "text as an id": GOOD.replace('"image_id": 1', '"image_id": "1"'),
    "text as every id": text(category_id="cat"),
    "an id with a point": GOOD.replace('"image_id": 1', '"image_id": 1.0'),
    "an id with an exponent": GOOD.replace('"image_id": 1', '"image_id": 1e0'),
    "an id beyond a float": GOOD.replace('"image_id": 1', '"image_id": 9007199254740993'),
    "an id beyond 64 bits": GOOD.replace('"image_id": 1', '"image_id": 99999999999999999999'),
    "five numbers in a box, three in the next": GOOD.replace("30.25, 4e-05", "30.25, 4e-05, 6", 1).replace(
        "1.5, 2, 30.25, 4e-05]", "1.5, 2, 3]", 1
    ),
    "null": GOOD.replace("0.875", "null", 1),
    "null in each": text(score=None),
    "true": GOOD.replace("0.875", "true", 1),
    "NaN": GOOD.replace("0.875", "NaN", 1),
    "a number before a key": GOOD.replace('{"image_id": 1,', '{1"image_id": ,'),
    "a digit in a key": GOOD.replace('{"image_id": 1,', '{"ima1ge_id": ,'),
    "two numbers": GOOD.replace("0.875", "0.8 75", 1),
    "a number behind an entry": GOOD.replace("}, {", "}5, {", 1),
    "a leading zero": GOOD.replace('"image_id": 1', '"image_id": 01'),
    "a leading plus": GOOD.replace('"image_id": 1', '"image_id": +1'),
    "no number": GOOD.replace('"image_id": 1', '"image_id": '),
    "a list in a list": GOOD.replace("[1.5, 2,", "[[1.5], 2,", 1),
    "an entry in an entry": GOOD.replace("0.875", '{"score": 0.875}', 1),
    "a comma too many": GOOD.replace("}]", "},]"),
    "no end": GOOD[:-1],
    "more behind the end": GOOD + "[]",
    "cut in a number": GOOD[: len(GOOD) // 2],
    "no entries": "[]",
    "an object": json.dumps({"results": [ENTRY]}),
    "nothing": "",
    "rubbish": "\x00\xff{}[",
    "a key twice": '[{"image_id": 1, "image_id": 2, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 1}]',
    "a name with an escape": GOOD.replace("image_id", "im\\u0061ge_id"),
    "another text in place of a number": text(score="1"),
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_what_is_not_all_alike_is_left_to_the_other_reader(data: str) -> None:
    assert read(data.encode()) is None


@given(st.integers(0, len(GOOD)), st.text(alphabet=' {}[]",:.-+eE0123456789_agimd\n', max_size=3), st.integers(0, 3))
@settings(deadline=None, max_examples=1500)
def test_a_changed_file_is_never_read_otherwise_than_by_json(place: int, added: str, removed: int) -> None:
    data = (GOOD[:place] + added + GOOD[place + removed :]).encode()
    if read(data) is not None:
        check_same(data)


TABLE = images(3, size=(100, 80))
ROWS = {0: 2, 1: 0, 2: 1}
CLASSES = {2: 0, 5: 1}


def test_detections_have_the_rows_and_classes_of_their_ids() -> None:
    found = quick_results(text().encode(), TABLE, ROWS, CLASSES)
    assert found is not None
    assert (found.image_row.tolist(), found.class_id.tolist()) == ([2, 0, 1], [0, 0, 0])
    np.testing.assert_allclose(found.xyxy_rel[0], [0.015, 0.025, 0.3175, 2.00004 / 80], rtol=1e-12)
    assert len(np.unique(found.object_id)) == 3


@pytest.mark.parametrize(
    ("rows", "classes"), [({0: 2, 1: 0, 7: 1}, CLASSES), (ROWS, {3: 0}), ({}, {}), (ROWS, {"2": 0})]
)
def test_ids_that_are_not_known_are_left_to_the_other_reader(rows: dict[int, int], classes: dict[int, int]) -> None:
    assert quick_results(text().encode(), TABLE, rows, classes) is None


@pytest.mark.parametrize("box", [[1, 1, 0, 1], [1, 1, 1, -1], [-9e8, 1, 1.5e9, 1], [1e8, 1, 1e-12, 1]])
def test_boxes_that_cannot_be_scored_are_left_to_the_other_reader(box: list[float]) -> None:
    assert quick_results(text(bbox=box).encode(), TABLE, ROWS, CLASSES) is None
