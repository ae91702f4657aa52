"""Linking many images at once settles what can be settled as `linking` does, and nothing about which it has a note."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations import linking_columns
from annotations.linking import NONE, link_parts, without_duplicates
from annotations.linking_columns import NO_GROUP, NO_PART, parents, repeated
from annotations.notes import Note
from annotations.shapes import Region

LABELS = ["qr_code", "fip", "cat", "eye", "lost"]
PARTS = {"fip": "qr_code", "eye": "cat", "lost": "nobody"}
WHOLES = np.array([NO_PART, 0, NO_PART, 2, len(LABELS)])


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    # A coarse grid: many boxes lie around one centre, or are as large as another.
    x, y = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    return x / 4, y / 4, x / 4 + draw(st.integers(1, 6)) / 2, y / 4 + draw(st.integers(1, 6)) / 2


REGIONS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(["", "", "0", "1", "2"]), boxes()), max_size=7)


@settings(deadline=None, max_examples=400)
@given(st.lists(REGIONS, max_size=4))
def test_images_together_are_settled_as_each_alone(images: list[list[tuple[str, str, tuple[float, ...]]]]) -> None:
    rows = [(image, *drawn) for image, regions in enumerate(images) for drawn in regions]
    image = np.array([row[0] for row in rows], np.int64)
    label = np.array([LABELS.index(row[1]) for row in rows], np.int64)
    group = np.array([int(row[2]) if row[2] else NO_GROUP for row in rows], np.int64)
    xyxy = np.array([row[3] for row in rows], np.float64).reshape(-1, 4)
    linked = parents(image, label, group, xyxy, WHOLES)
    unsettled = linked.unsettled | repeated(image, label, group, xyxy)
    for number, regions in enumerate(images):
        notes: list[Note] = []
        alone = [Region(kind, name, *box, "rectangle", place) for place, (kind, name, box) in enumerate(regions)]
        expected = link_parts(without_duplicates(alone, notes), PARTS, notes)
        mine = image == number
        assert unsettled[mine].any() == bool(notes)
        if not notes:
            first = int(np.argmax(mine)) if mine.any() else 0
            assert [parent if parent == NONE else parent - first for parent in linked.parent[mine]] == expected


@given(st.lists(boxes(), min_size=2, max_size=2, unique=True))
def test_boxes_that_differ_in_one_value_are_not_repeated(drawn: list[tuple[float, ...]]) -> None:
    first = np.array([[*drawn[0]], [*drawn[0]]])
    same = np.zeros(2, np.int64)
    assert repeated(same, same, same, first).any()
    assert not repeated(same, same, same, np.array(drawn)).any()
    for column in range(3):
        columns = [same, same, same]
        columns[column] = np.array([0, 1], np.int64)
        assert not repeated(*columns, first).any()


def test_image_with_too_many_pairs_is_left_unsettled(monkeypatch: pytest.MonkeyPatch) -> None:
    image, group = np.zeros(3, np.int64), np.full(3, NO_GROUP)
    label, xyxy = np.array([0, 0, 1]), np.array([[0, 0, 9, 9], [0, 0, 8, 8], [1, 1, 2, 2]], np.float64)
    assert parents(image, label, group, xyxy, WHOLES).parent.tolist() == [NONE, NONE, 1]
    monkeypatch.setattr(linking_columns, "_MOST_PAIRS", 1)
    assert parents(image, label, group, xyxy, WHOLES).unsettled.any()
