"""Parts and objects that were found: who belongs to whom, who makes whom surer, and what is missing."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from part_scenes import CLASSES, PARTS, SIDE, Code, dataset_of, noisy, turned_codes

from annotations.errors import PpnlabError
from annotations.tables import NO_PARENT, Detections
from detector.decoding import Found, detections_table
from detector.evidence_fitting import fitted, fitting_images, goodness, measured
from detector.objects_table import COLUMNS, objects_table
from detector.parents import parents
from detector.part_knowledge import FILE, PartKnowledge, learnt, read_knowledge, write_knowledge
from detector.rescoring import FILE as RESCORING
from detector.rescoring import Gain, Rescoring, evidence, read_rescoring, rescored, write_rescoring

KNOWN = learnt(dataset_of(turned_codes(1, 60)))
DENSITIES = {1: KNOWN.densities["fip"]}
ON = Rescoring(3, {"qr_code": Gain(-1.0, 2.0, 0.5, 0.6), "fip": Gain(-1.0, 3.0, 0.5, 0.6)})


class Model:
    """What a table of objects asks a model for."""

    classes, parts, known = CLASSES, PARTS, KNOWN


def found_of(codes: list[Code], scores: list[float], seed: int = 0) -> Found:
    """Detections of codes in one picture, each an object and three parts, all with the object's score."""
    rng = np.random.default_rng(seed)
    xyxy = np.concatenate([noisy(rng, np.vstack([one.box[None], one.parts]), 0.02) for one in codes])
    class_id, score = np.tile([0, 1, 1, 1], len(codes)), np.repeat(scores, 4)
    return Found(class_id, score, xyxy, parents(class_id, score, xyxy, {1: 0}, DENSITIES))


def moved(one: Code, x: float, y: float) -> Code:
    shift = np.array([x, y])
    return Code(one.box + np.tile(shift, 2), one.parts + np.tile(shift, 2), one.corners + shift)


def share_right(codes: list[tuple[Code, Code]], density: bool) -> float:
    """The share of the parts of overlapping pairs of codes that get their own object."""
    right = 0
    for number, pair in enumerate(codes):
        found = found_of(list(pair), [0.9, 0.7], number)
        mine = found.parent if density else parents(found.class_id, found.score, found.xyxy, {1: 0})
        right += int((mine == [NO_PARENT, 0, 0, 0, NO_PARENT, 4, 4, 4]).sum()) - 2
    return right / (6 * len(codes))


def test_parts_of_overlapping_codes_find_their_own_more_often_than_by_the_box_around_them() -> None:
    codes = turned_codes(4, 60)
    pairs = [
        (a, moved(b, 0.55 * float(np.ptp(a.box[::2])), 20.0)) for a, b in zip(codes[::2], codes[1::2], strict=True)
    ]
    plain, placed = share_right(pairs, density=False), share_right(pairs, density=True)
    assert placed > 0.9
    assert placed > plain + 0.05


def test_a_false_object_round_a_part_does_not_get_it() -> None:
    one = turned_codes(5, 1)[0]
    around = one.parts[0] + np.array([-6.0, -6.0, 6.0, 6.0])
    xyxy = np.vstack([one.box[None], one.parts, around[None]])
    class_id, score = np.array([0, 1, 1, 1, 0]), np.array([0.9, 0.8, 0.8, 0.8, 0.1])
    assert parents(class_id, score, xyxy, {1: 0}, DENSITIES).tolist() == [NO_PARENT, 0, 0, 0, NO_PARENT]


def test_of_four_parts_the_three_sure_ones_belong_to_a_code() -> None:
    one = turned_codes(6, 1)[0]
    xyxy = np.vstack([one.box[None], one.parts, one.parts[:1] + 3.0])
    class_id, score = np.array([0, 1, 1, 1, 1]), np.array([0.9, 0.8, 0.8, 0.8, 0.1])
    assert parents(class_id, score, xyxy, {1: 0}, DENSITIES).tolist() == [NO_PARENT, 0, 0, 0, NO_PARENT]


def test_a_part_far_from_every_object_is_an_orphan() -> None:
    one = turned_codes(6, 1)[0]
    xyxy = np.vstack([one.box[None], one.parts + 300.0])
    class_id, score = np.array([0, 1, 1, 1]), np.full(4, 0.9)
    assert parents(class_id, score, xyxy, {1: 0}, DENSITIES).tolist() == [NO_PARENT] * 4


def test_evidence_is_the_share_of_the_parts_and_the_score_of_the_object() -> None:
    found = Found(
        np.array([0, 1, 1, 0, 1]), np.array([0.8, 0.6, 0.3, 0.5, 0.9]), np.zeros((5, 4)), np.array([-1, 0, 0, -1, -1])
    )
    # (0.6 + 0.3) / 3 for the object with two parts, nothing for the bare one and for the orphan.
    np.testing.assert_allclose(evidence(found, CLASSES, KNOWN), [0.3, 0.8, 0.8, 0.0, 0.0])


def test_a_complete_object_gets_surer_and_an_orphan_less_sure() -> None:
    found = found_of(turned_codes(7, 1), [0.6])
    orphan = replace(found, parent=np.full(4, NO_PARENT))
    complete, alone = rescored(found, CLASSES, KNOWN, ON), rescored(orphan, CLASSES, KNOWN, ON)
    # logit(0.6) = 0.405; with all parts at 0.6 it is 0.405 - 1 + 2 x 0.6 = 0.605.
    assert complete.score[0] == pytest.approx(1 / (1 + np.exp(-(np.log(1.5) - 1 + 2 * 0.6))))
    assert (complete.score > 0.6).all()
    assert (alone.score < 0.6).all()
    assert np.isfinite(rescored(replace(found, score=np.array([1.0, 1.0, 0.0, 0.0])), CLASSES, KNOWN, ON).score).all()


def test_what_does_not_help_changes_nothing() -> None:
    found = found_of(turned_codes(7, 1), [0.6])
    off = Rescoring(3, {name: gain._replace(ap_after=gain.ap_before) for name, gain in ON.classes.items()})
    assert off.used == {}
    assert rescored(found, CLASSES, KNOWN, off) is found
    assert rescored(found, CLASSES, KNOWN, Rescoring()) is found


def table(found: list[Found]) -> Detections:
    return detections_table(found, np.full((len(found), 2), SIDE))


def test_the_fit_trusts_parts_where_false_objects_have_none() -> None:
    codes = turned_codes(8, 40)
    data, rng, rows = dataset_of(codes), np.random.default_rng(9), []
    for number, one in enumerate(codes):
        true = found_of([one], [float(rng.uniform(0.3, 0.7))], number)
        false = np.array([[5.0, 5.0, 90.0, 90.0]])
        rows.append(
            Found(
                np.append(true.class_id, 0),
                np.append(true.score, rng.uniform(0.3, 0.7)),
                np.vstack([true.xyxy, false]),
                np.append(true.parent, NO_PARENT),
            )
        )
    gains = fitted(data, rows, KNOWN)
    assert gains["qr_code"].weight > 1
    assert gains["qr_code"].offset < 0
    used = measured(gains, {"ap/qr_code": 0.5}, {"ap/qr_code": 0.6}, 1)
    # Before, every other pair of a true and a false code was in the wrong order.
    assert share_in_order(rows) < 0.7
    assert share_in_order([rescored(one, CLASSES, KNOWN, used) for one in rows]) > 0.95


def share_in_order(found: list[Found]) -> float:
    score = np.array([one.score[one.class_id == 0] for one in found])
    return float((score[:, 0, None] > score[None, :, 1]).mean())


def test_the_fit_trusts_support_where_it_tells_how_good_boxes_are() -> None:
    codes, rng, rows = turned_codes(10, 60), np.random.default_rng(11), []
    for number, one in enumerate(codes):
        bad = bool(number % 2)
        # Half of the boxes are off by a fifth; fewer cells support them, and the scores say nothing.
        xyxy = np.vstack([one.box[None], one.parts])
        xyxy[0, [0, 2]] += 0.2 * np.ptp(xyxy[0, [0, 2]]) * bad
        score = rng.uniform(0.3, 0.7, 4)
        support = np.array([1.0 if bad else 6.0, *score[1:]]) * rng.uniform(0.8, 1.2, 4)
        rows.append(Found(np.array([0, 1, 1, 1]), score, xyxy, np.array([NO_PARENT, 0, 0, 0]), support))
    gains = fitted(dataset_of(codes), rows, KNOWN)
    assert gains["qr_code"].support > 0.5
    told = [rescored(one, CLASSES, KNOWN, measured(gains, {"ap/qr_code": 0.5}, {"ap/qr_code": 0.6}, 1)) for one in rows]
    assert min(one.score[0] for one in told[0::2]) > max(one.score[0] for one in told[1::2])
    # Where more cells stand for what is worse, support has no say.
    turned = [replace(one, support=1 / one.support) for one in rows]  # type: ignore[operator]
    assert fitted(dataset_of(codes), turned, KNOWN).get("qr_code", Gain(0, 0)).support == 0


def test_log_odds_grow_with_the_logarithm_of_the_support() -> None:
    found = Found(np.array([0]), np.array([0.5]), np.array([[0.0, 0, 9, 9]]), np.array([NO_PARENT]), np.array([4.0]))
    by_support = Rescoring(1, {"qr_code": Gain(-1.0, 0.0, 0.5, 0.6, support=1.5)})
    told = rescored(found, CLASSES, KNOWN, by_support).score[0]
    assert told == pytest.approx(1 / (1 + np.exp(1 - 1.5 * np.log(4))))
    # A support that is not known any more counts as the score.
    alone = rescored(replace(found, support=None), CLASSES, KNOWN, by_support).score[0]
    assert alone == pytest.approx(1 / (1 + np.exp(1 - 1.5 * np.log(0.5))))


def test_rescoring_of_an_earlier_version_knows_no_support(tmp_path: Path) -> None:
    write_rescoring(tmp_path, ON)
    file = tmp_path / RESCORING
    told = json.loads(file.read_text())
    for gain in told["classes"].values():
        del gain["support"]
    file.write_text(json.dumps(told))
    assert read_rescoring(tmp_path) == ON


def test_the_surest_takes_the_truth_that_it_hits_and_no_other_can() -> None:
    truth, classes = np.array([[0.0, 0.0, 10.0, 10.0]]), np.zeros(1, np.int64)
    xyxy = np.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [50.0, 50.0, 60.0, 60.0]])
    found = Found(np.zeros(3, np.int64), np.array([0.5, 0.9, 0.7]), xyxy, np.full(3, NO_PARENT))
    # IoU 0.8 of the surest: hits at .5, .55, ... .8, seven of ten.
    np.testing.assert_allclose(goodness(found, classes, truth), [0.0, 0.7, 0.0])
    assert goodness(found, np.zeros(0, np.int64), np.zeros((0, 4))).tolist() == [0, 0, 0]


def test_images_to_fit_on_are_train_images_from_all_over() -> None:
    rows = fitting_images(dataset_of(turned_codes(1, 4) * 100))
    assert len(rows) == 200
    assert (rows[0], rows[-1]) == (0, 399)
    assert len(fitting_images(dataset_of([], split="val"))) == 0


def objects_rows(found: list[Found]) -> list[dict[str, str]]:
    images = dataset_of(turned_codes(1, len(found))).images
    told = objects_table(Model(), images, table(found), 0.3)  # type: ignore[arg-type]
    assert told.text.splitlines()[0].split(",") == list(COLUMNS)
    return list(csv.DictReader(io.StringIO(told.text)))


def corners(row: dict[str, str]) -> NDArray[np.float64]:
    return np.array([[float(row[f"{axis}{corner}"]) for axis in "xy"] for corner in range(1, 5)])


def test_the_table_of_objects_says_parts_and_pose() -> None:
    one = turned_codes(11, 1)[0]
    (row,) = objects_rows([found_of([one], [0.9])])
    assert (row["parts_found"], row["parts_expected"], row["missing"]) == ("3", "3", "")
    homography = np.array([float(row[f"h{i}{j}"]) for i in range(1, 4) for j in range(1, 4)]).reshape(3, 3)
    square = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]) @ homography.T
    np.testing.assert_allclose(square[:, :2] / square[:, 2:], corners(row), atol=1e-6)
    upper = one.corners[1] - one.corners[0]
    gap = (float(row["turn"]) - np.degrees(np.arctan2(upper[1], upper[0])) + 180) % 360 - 180
    assert abs(gap) < 8


def test_the_table_of_objects_names_what_is_missing_and_tells_no_pose_then() -> None:
    found = found_of(turned_codes(11, 1), [0.9])
    found.score[3] = 0.2
    (row,) = objects_rows([found])
    assert (row["parts_found"], row["parts_expected"], row["missing"]) == ("2", "3", "1 fip")
    assert row["turn"] == row["x1"] == row["h33"] == ""
    found.score[0] = 0.2
    assert objects_rows([found]) == []


def test_knowledge_and_rescoring_come_back_from_their_files(tmp_path: Path) -> None:
    assert read_knowledge(tmp_path) is None
    assert read_rescoring(tmp_path) == Rescoring()
    write_knowledge(tmp_path, KNOWN)
    write_rescoring(tmp_path, ON)
    back = read_knowledge(tmp_path)
    assert back is not None
    assert back.to_json() == KNOWN.to_json()
    assert read_rescoring(tmp_path) == ON
    assert PartKnowledge.from_json(PartKnowledge().to_json()) == PartKnowledge()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "parts": 3, "layouts": {}, "classes": 1}']
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    (tmp_path / RESCORING).write_text(text)
    with pytest.raises(PpnlabError, match=r"layout\.json: what the run knows"):
        read_knowledge(tmp_path)
    with pytest.raises(PpnlabError, match=r"rescoring\.json: re-scoring must"):
        read_rescoring(tmp_path)


def test_numbers_out_of_bounds_are_damage(tmp_path: Path) -> None:
    values = ON.to_json()
    values["classes"]["fip"]["weight"] = -1.0
    (tmp_path / RESCORING).write_text(json.dumps(values))
    with pytest.raises(PpnlabError, match="weights must be 0 or more, got -1"):
        read_rescoring(tmp_path)
