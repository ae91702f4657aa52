"""Where the sides of objects are, by their parts: worked by hand, and learnt from drawn codes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
from part_scenes import CLASSES, SIDE, dataset_of, turned_codes

from annotations.errors import PpnlabError
from annotations.tables import NO_PARENT, BoxDataset, Detections
from detector.decoding import Found
from detector.evidence_fitting import Examples
from detector.judging import judgement
from detector.part_knowledge import PartKnowledge
from detector.rescoring import Rescoring
from detector.settings import Settings
from detector.side_fitting import (
    MOST_OFFSETS,
    learnt_sides,
    measured_tightening,
    side_error,
    tightened_examples,
    true_offsets,
)
from detector.tightening import (
    FILE,
    Array,
    Sides,
    Tightening,
    beyond,
    likely_offset,
    neighbour_distance,
    outermost,
    read_tightening,
    tightened,
    tighter_box,
    write_tightening,
)

BOX = np.array([0.0, 10.0, 100.0, 60.0])
PARTS = np.array([[2.0, 10.0, 20.0, 20.0], [80.0, 12.0, 98.0, 30.0]])
SHAPE = (200, 100)
AT_THE_PART = Sides({2: np.zeros(50)}, 0.03, 0.02, 0.5, 0.6)
"""Objects whose sides always are where their outermost parts' are."""


def test_an_object_reaches_beyond_its_outermost_parts_in_sides_of_its_own() -> None:
    assert outermost(PARTS).tolist() == [2, 10, 98, 30]
    assert beyond(BOX, PARTS).tolist() == [0.02, 0.0, 0.02, 0.6]


def test_the_spread_of_an_offset_is_the_distance_of_its_neighbours() -> None:
    # Of 40, a share of 0.05 is the two nearest others.
    offsets = np.concatenate([np.zeros(20), np.arange(1, 21.0)])
    spread = neighbour_distance(offsets)
    assert spread[:20].tolist() == [0.0] * 20
    assert spread[20:23].tolist() == [1.0, 1.0, 1.0]
    assert spread[-1] == 2.0
    assert neighbour_distance(np.array([0.3])).tolist() == [1.0]


def test_spreads_agree_with_all_distances_compared() -> None:
    offsets = np.sort(np.random.default_rng(2).normal(size=77).round(1))
    gaps = np.sort(np.abs(offsets[:, None] - offsets), axis=1)
    # The 0th is the offset itself; 5 % of 77 are 3.
    np.testing.assert_allclose(neighbour_distance(offsets), gaps[:, 3])


def test_two_estimates_of_one_side_are_weighed_by_each_others_variance() -> None:
    # All offsets are 0, the network says 0.03: 0.03 x 0.02^2 / (0.02^2 + 0.03^2), but for the share of the unknown.
    told = likely_offset(np.array([0.03]), np.zeros(50), np.zeros(50), 0.03, np.array([0.02]))
    density = 0.9 / np.sqrt(2 * np.pi * 0.0013) * np.exp(-0.0009 / 0.0026)
    mean = 0.03 * 0.0004 / 0.0013
    np.testing.assert_allclose(told, [(density * mean + 0.1 * 0.03) / (density + 0.1)])


def test_a_side_far_from_every_offset_stays() -> None:
    told = likely_offset(np.array([0.5, -0.4]), np.zeros(50), np.zeros(50), 0.03, np.array([0.02, 0.02]))
    np.testing.assert_allclose(told, [0.5, -0.4])


def test_scattered_offsets_leave_a_side_next_to_where_the_network_has_it() -> None:
    told = likely_offset(np.array([0.33]), np.linspace(0, 1, 200), np.full(200, 0.05), 0.02, np.array([0.01]))
    np.testing.assert_allclose(told, [0.33], atol=2e-3)


def test_sides_go_to_the_outermost_parts_where_objects_end_with_them() -> None:
    box = tighter_box(np.array([5.0, 10.0, 100.0, 60.0]), PARTS, AT_THE_PART, SHAPE)
    # The left side goes outwards, the right one inwards, the upper one is right, and no part is near the lower one.
    assert 2 < box[0] < 3
    assert box[1] == pytest.approx(10, abs=0.01)
    assert 98 < box[2] < 98.7
    assert box[3] == pytest.approx(60)


def test_a_part_errs_in_proportion_to_its_own_side_on_that_axis() -> None:
    box = np.array([5.0, 12.0, 100.0, 60.0])
    told = tighter_box(box, PARTS, AT_THE_PART, SHAPE)
    # The first part, 18 wide and 10 high, is the outermost to the left and above; the box is 95 by 48.
    for axis, part, extent, offset in ((0, 18, 95, -3 / 95), (1, 10, 48, -2 / 48)):
        error = np.array([0.02 * part / extent])
        likely = likely_offset(np.array([offset]), np.zeros(50), np.zeros(50), 0.03, error)[0]
        assert told[axis] == pytest.approx(box[axis] + (offset - likely) * extent)


def test_a_side_that_the_picture_cuts_stays() -> None:
    box = np.array([0.0, 10.0, 100.0, 60.0])
    assert tighter_box(box, PARTS, AT_THE_PART, SHAPE)[0] == 0
    assert tighter_box(box, PARTS, AT_THE_PART, (100, 100))[[0, 2]].tolist() == [0, 100]


def test_no_side_leaves_the_picture() -> None:
    # Everything says that objects reach 0.3 beyond their parts, and this one's end is near the picture's.
    far = Sides({2: np.full(50, 0.3)}, 0.03, 0.02, 0.5, 0.6)
    box, parts = np.array([10.0, 10.0, 110.0, 60.0]), np.array([[40.0, 20, 50, 30], [70.0, 40, 84, 50]])
    assert tighter_box(box, parts, far, (200, 100))[2] == pytest.approx(114, abs=1)
    assert tighter_box(box, parts, far, (112, 100))[2] == 112


def found(parts: int = 2, score: float = 0.9) -> Found:
    xyxy = np.vstack([[5.0, 10.0, 100.0, 60.0], PARTS[:parts], [120.0, 20.0, 150.0, 50.0]])
    class_id = np.array([0, *[1] * parts, 0])
    parent = np.array([NO_PARENT, *[0] * parts, NO_PARENT])
    return Found(class_id, np.array([0.9, *[score] * parts, 0.8]), xyxy, parent)


ON = Tightening(3, {"qr_code": AT_THE_PART})


def test_only_objects_with_sure_parts_of_a_number_that_was_learnt_are_moved() -> None:
    one = found()
    told = tightened(one, CLASSES, ON, SHAPE)
    assert told.xyxy[0].tolist() == tighter_box(one.xyxy[0], PARTS, AT_THE_PART, SHAPE).tolist() != one.xyxy[0].tolist()
    np.testing.assert_array_equal(told.xyxy[1:], one.xyxy[1:])
    np.testing.assert_array_equal(told.score, one.score)
    for other in (found(parts=1), found(score=0.05)):
        np.testing.assert_array_equal(tightened(other, CLASSES, ON, SHAPE).xyxy, other.xyxy)
    # A part that is not sure has no say, nor does it count.
    more = Found(
        np.append(one.class_id, 1),
        np.append(one.score, 0.05),
        np.vstack([one.xyxy, [0.0, 0, 9, 9]]),
        np.append(one.parent, 0),
    )
    np.testing.assert_array_equal(tightened(more, CLASSES, ON, SHAPE).xyxy[:4], told.xyxy)


def test_what_does_not_help_or_is_of_another_class_changes_nothing() -> None:
    one = found()
    off = Tightening(3, {"qr_code": replace(AT_THE_PART, ap_after=0.5)})
    assert off.used == {}
    assert off.summary() == "qr_code off (val AP 0.5000 -> 0.5000)"
    for other in (off, Tightening(), Tightening(3, {"card": AT_THE_PART})):
        assert tightened(one, CLASSES, other, SHAPE) is one


CODES = turned_codes(1, 60)
DATA = dataset_of(CODES)


def seen(seed: int, own: float, part: float) -> list[Found]:
    """Codes and parts whose sides are off at random by these shares of a side, and a score that says nothing."""
    rng, rows = np.random.default_rng(seed), []
    for one in CODES:
        xyxy = np.vstack([one.box[None], one.parts])
        extent = np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
        xyxy = xyxy + rng.normal(0, 1, xyxy.shape) * extent * np.array([own, part, part, part])[:, None]
        rows.append(Found(np.array([0, 1, 1, 1]), rng.uniform(0.4, 0.6, 4), xyxy, np.array([NO_PARENT, 0, 0, 0])))
    return rows


def mean_error(rows: Iterable[Found]) -> float:
    boxes = np.array([one.xyxy[0] for one in rows])
    truth = np.array([one.box for one in CODES])
    return float(np.abs((boxes - truth) / np.tile(truth[:, 2:] - truth[:, :2], 2)).mean())


def test_true_offsets_are_learnt_for_all_parts_and_with_one_left_out() -> None:
    offsets = true_offsets(DATA, "qr_code")
    assert list(offsets) == [2, 3]
    # Three of four corners are a part's; a drawn code's parts touch its outline.
    assert np.median(offsets[3]) < 0.01
    assert offsets[2].max() > offsets[3].max()
    assert len(offsets[2]) == len(offsets[3]) == MOST_OFFSETS
    assert true_offsets(dataset_of(CODES[:19]), "qr_code") == {}


def test_true_offsets_do_not_depend_on_the_order_of_the_table() -> None:
    truth = DATA.annotations
    order = np.random.default_rng(8).permutation(len(truth.class_id))
    mixed = replace(truth, **{item.name: getattr(truth, item.name)[order] for item in fields(truth)})
    one, other = (true_offsets(data, "qr_code") for data in (DATA, replace(DATA, annotations=mixed)))
    assert one.keys() == other.keys()
    assert all((one[count] == other[count]).all() for count in one)


def test_errors_are_measured_in_sides_and_taken_to_be_larger_on_new_pictures() -> None:
    rows = seen(3, 0.03, 0.05)
    assert side_error(DATA, rows, [0]) == pytest.approx(1.5 * 0.03, rel=0.2)
    assert side_error(DATA, rows, [1]) == pytest.approx(1.5 * 0.05, rel=0.2)
    assert side_error(DATA, rows[:19], [0]) is None
    assert side_error(DATA, rows[:20], [0]) is not None
    ignored = replace(DATA, annotations=replace(DATA.annotations, ignore=np.ones(4 * len(CODES), np.bool_)))
    assert side_error(ignored, rows, [0]) is None
    nothing = Found(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4)), np.zeros(0, np.int64))
    assert side_error(DATA, [nothing] * len(CODES), [0]) is None


def test_parts_that_are_surer_make_their_objects_tighter() -> None:
    rows = seen(4, 0.03, 0.03)
    sides = learnt_sides(DATA, rows, DATA)
    val = Examples(DATA, seen(5, 0.03, 0.03), np.full((len(CODES), 2), SIDE))
    told = measured_tightening(sides, val, lambda _, found: {"ap/qr_code": -float(found.xyxy_rel.sum())}, 7)
    assert told.step == 7
    on = Tightening(7, {"qr_code": replace(told.classes["qr_code"], ap_before=0.1, ap_after=0.2)})
    assert mean_error(tightened_examples(val, on).found) < 0.7 * mean_error(val.found)


def test_parts_that_tell_nothing_leave_objects_about_as_they_are() -> None:
    # Parts as inexact as these say less of a side than the network does.
    on = Tightening(
        1, {"qr_code": replace(learnt_sides(DATA, seen(6, 0.01, 0.3), DATA)["qr_code"], ap_before=0.1, ap_after=0.2)}
    )
    val = Examples(DATA, seen(7, 0.01, 0.3), np.full((len(CODES), 2), SIDE))
    assert mean_error(tightened_examples(val, on).found) < 1.3 * mean_error(val.found)


VAL = replace(DATA, root=Path("val"))


@dataclass(frozen=True)
class Model:
    """What a judgement changes of a model."""

    known: PartKnowledge
    rescoring: Rescoring
    tightening: Tightening


@dataclass(frozen=True)
class Family:
    """A family on drawn codes, whose score says how exact they are."""

    settings: Settings
    model: Model = Model(PartKnowledge(), Rescoring(5), ON)
    train: BoxDataset = DATA
    val: BoxDataset = VAL
    cache: None = None

    def score(self, dataset: BoxDataset, found: Detections) -> dict[str, float | None]:
        gap = (found.xyxy_rel - dataset.annotations.xyxy_rel)[found.class_id == 0]
        return {"ap/qr_code": -float(np.abs(gap).mean()), "ap/fip": None}


@pytest.mark.parametrize(("tighten", "rescore"), [(True, True), (True, False), (False, True)])
def test_scores_are_judged_on_boxes_that_are_tight_where_that_is_on(
    monkeypatch: pytest.MonkeyPatch, tighten: bool, rescore: bool
) -> None:
    raw = {"nowhere": seen(4, 0.03, 0.03), "val": seen(5, 0.03, 0.03)}
    told: list[Examples] = []

    def found_images(model: Model, dataset: BoxDataset, *_: object, **__: object) -> tuple[list[Found], Array]:
        # Nothing that was learnt before may have a say.
        assert model == Model(known, Rescoring(), Tightening())
        return raw[str(dataset.root)], np.full((len(CODES), 2), SIDE)

    def measured_rescoring(train: Examples, val: Examples, *_: object) -> Rescoring:
        told.extend([train, val])
        return Rescoring(9)

    known = PartKnowledge()
    monkeypatch.setattr("detector.judging.found_images", found_images)
    monkeypatch.setattr("detector.judging.measured_rescoring", measured_rescoring)
    family = Family(replace(Settings(), tighten=tighten, rescore=rescore))
    tightening, rescoring = judgement(family, lambda _: {}, known, 9)  # type: ignore[arg-type]
    assert rescoring == Rescoring(9 if rescore else 0)
    assert tightening.step == (9 if tighten else 0)
    assert list(tightening.used) == ["qr_code"] * tighten
    for examples, plain in zip(told, raw.values(), strict=False):
        assert (mean_error(examples.found) < 0.7 * mean_error(plain)) == tighten
    assert len(told) == 2 * rescore


def test_nothing_is_measured_where_nothing_was_learnt() -> None:
    val = Examples(DATA, [], np.zeros((0, 2), np.int64))
    assert measured_tightening({}, val, lambda *_: {}, 4) == Tightening(4)
    assert learnt_sides(DATA, [], DATA) == {}


def test_what_is_known_of_sides_comes_back_from_its_file(tmp_path: Path) -> None:
    assert read_tightening(tmp_path) == Tightening()
    write_tightening(tmp_path, ON)
    back = read_tightening(tmp_path)
    assert back.to_json() == ON.to_json()
    assert (
        tightened(found(), CLASSES, back, SHAPE).xyxy.tolist() == tightened(found(), CLASSES, ON, SHAPE).xyxy.tolist()
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("own_error", 0.0), ("part_error", 5.0), ("own_error", float("nan")), ("offsets", {"2": []}), ("offsets", 3)],
)
def test_numbers_out_of_bounds_are_damage(tmp_path: Path, name: str, value: object) -> None:
    told = ON.to_json()
    told["classes"]["qr_code"][name] = value
    (tmp_path / FILE).write_text(json.dumps(told))
    with pytest.raises(PpnlabError, match=r"tightening\.json: what the run knows of sides must be as"):
        read_tightening(tmp_path)
