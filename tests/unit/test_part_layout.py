"""What is learnt of objects and their parts, and the layouts that tell a pose, on made-up codes and constellations."""

from dataclasses import replace

import numpy as np
import pytest
from part_scenes import CLASSES, SIDE, dataset_of, noisy, turned_codes

from annotations.tables import NO_PARENT, BoxDataset
from detector.part_knowledge import PartKnowledge, learnt
from detector.part_layout import Density, learnt_places, orbit, places_of
from detector.pose import pose, view_of
from detector.template_learning import learnt_template

TURNED = dataset_of(turned_codes(1, 60))
UPRIGHT = dataset_of(turned_codes(2, 60, upright=True))


def nuclei(count: int) -> BoxDataset:
    """Codes whose parts are all but one left out, and that one put anywhere near the middle: cells with a nucleus."""
    rng = np.random.default_rng(3)
    data = dataset_of(turned_codes(1, count))
    keep = np.flatnonzero(np.arange(4 * count) % 4 < 2)
    boxes = data.annotations.xyxy_rel.copy()
    whole = boxes[::4]
    middle, side = (whole[:, :2] + whole[:, 2:]) / 2, whole[:, 2:] - whole[:, :2]
    centre = middle + rng.normal(0, 0.08, middle.shape) * side
    boxes[1::4] = np.concatenate([centre - 0.15 * side, centre + 0.15 * side], axis=1)
    return replace(data, annotations=replace(data.annotations, xyxy_rel=boxes).take(keep))


def test_places_are_in_halves_of_the_objects_box_and_sizes_relative_to_it() -> None:
    places = places_of(np.array([[0.0, 0.0, 10.0, 10.0]]), np.array([[0.0, 0.0, 40.0, 40.0]]))
    # Centre 5 of a box from 0 to 40, whose own is 20: (5 - 20) / 20; a quarter of its sides.
    np.testing.assert_allclose(places, [[-0.75, -0.75, np.log(0.25)]])


def test_the_usual_and_the_greatest_number_of_parts_are_learnt() -> None:
    data = TURNED
    without = data.annotations.take(np.arange(len(data.annotations)) != 3)
    known = learnt_places(replace(data, annotations=without), "fip")
    assert known is not None
    assert known.counts == (0, 0, 1, 59)
    assert (known.expected, known.most) == (3, 3)


def test_codes_turned_any_way_are_taken_for_symmetric_and_upright_ones_not() -> None:
    turned, upright = learnt_places(TURNED, "fip"), learnt_places(UPRIGHT, "fip")
    assert turned is not None
    assert upright is not None
    assert turned.symmetry == "square"
    assert upright.symmetry == "none"
    # Upright codes have no finder pattern at their lower right.
    corners = np.array([[-0.7, -0.7, -1.3], [0.7, 0.7, -1.3]])
    assert np.ptp(Density(turned).log_ratio(corners)) < 0.5
    first, last = Density(upright).log_ratio(corners)
    assert first > last + 2


def test_a_part_may_jut_out_and_is_none_of_an_object_far_away() -> None:
    known = learnt_places(TURNED, "fip")
    assert known is not None
    inside, outside, away, huge = Density(known).log_ratio(
        np.array([[0.8, 0.8, -1.3], [1.05, 0.8, -1.3], [2.0, 2.0, -1.3], [0.0, 0.0, 1.5]])
    )
    assert inside > outside > 0
    assert away < 0
    assert huge < 0


def test_an_orbit_holds_the_point_and_its_images() -> None:
    point = np.array([[0.5, 0.25]])
    assert orbit(point, "none").tolist() == [[[0.5, 0.25]]]
    assert {tuple(image) for image in orbit(point, "square")[0].tolist()} == {
        (a, b) for x, y in ((0.5, 0.25), (0.25, 0.5)) for a in (x, -x) for b in (y, -y)
    }


def test_nothing_is_learnt_where_no_part_names_an_object() -> None:
    orphans = replace(TURNED.annotations, parent_id=np.full(len(TURNED.annotations), NO_PARENT))
    assert learnt(replace(TURNED, annotations=orphans)) == PartKnowledge()
    assert learnt(dataset_of([])) == PartKnowledge()


def test_cells_with_a_nucleus_have_a_place_for_it_and_no_pose() -> None:
    known = learnt(nuclei(40))
    assert known.templates == {}
    assert known.expected("qr_code") == {"fip": 1}
    middle, corner = known.densities["fip"].log_ratio(np.array([[0.0, 0.0, -1.2], [0.8, 0.8, -1.2]]))
    assert middle > corner + 1


def test_parts_strewn_anyhow_tell_no_pose() -> None:
    rng = np.random.default_rng(5)
    boxes = TURNED.annotations.xyxy_rel.copy()
    whole = np.repeat(boxes[::4], 3, axis=0)
    side = whole[:, 2:] - whole[:, :2]
    centre = whole[:, :2] + rng.uniform(0.1, 0.9, side.shape) * side
    boxes[np.arange(len(boxes)) % 4 != 0] = np.concatenate([centre - 0.05 * side, centre + 0.05 * side], axis=1)
    assert learnt_template(replace(TURNED, annotations=replace(TURNED.annotations, xyxy_rel=boxes)), "qr_code") is None


@pytest.mark.parametrize("data", [TURNED, UPRIGHT], ids=["turned", "upright"])
def test_the_layout_of_a_code_is_found_without_being_told_how_codes_lie(data: BoxDataset) -> None:
    template = learnt_template(data, "qr_code")
    assert template is not None
    # Centres of finder patterns lie 3.5 of 21 to 33 modules from the edges: 0.33 to 0.39 of the side off the middle.
    aim = np.array([[-0.37, -0.37], [0.37, -0.37], [-0.37, 0.37]])
    order = [int(np.argmin(np.linalg.norm(template.points - one, axis=1))) for one in aim]
    np.testing.assert_allclose(template.points[order], aim, atol=0.06)
    assert template.aspect == pytest.approx(1, abs=0.05)


def test_the_pose_of_a_code_in_perspective_is_near_the_truth() -> None:
    known = PartKnowledge.from_json(learnt(TURNED).to_json())
    rng, errors = np.random.default_rng(7), []
    for one in turned_codes(8, 40):
        parts = noisy(rng, one.parts, 0.03)[rng.permutation(3)]
        at = pose(
            view_of(noisy(rng, one.box[None], 0.015)[0], parts, ["fip"] * 3, (SIDE, SIDE)), known.templates[CLASSES[0]]
        )
        assert at is not None
        size = np.sqrt(np.prod(one.box[2:] - one.box[:2]))
        errors.append(np.sqrt(np.square(at.corners - one.corners).sum(axis=1).mean()) / size)
    # None is turned by a quarter, which would be an error of 1; half are off by less than 4 % of the code's size.
    assert max(errors) < 0.2
    assert np.median(errors) < 0.04


@pytest.mark.parametrize("step", [0.0, 0.25], ids=["on one spot", "in a row"])
def test_parts_in_a_row_or_on_one_spot_tell_no_pose(step: float) -> None:
    boxes = TURNED.annotations.xyxy_rel.copy()
    whole = boxes[::4]
    side = whole[:, 2:] - whole[:, :2]
    for number in range(1, 4):
        centre = whole[:, :2] + (0.25 + step * (number - 1)) * side
        boxes[number::4] = np.concatenate([centre - 0.05 * side, centre + 0.05 * side], axis=1)
    data = replace(TURNED, annotations=replace(TURNED.annotations, xyxy_rel=boxes))
    assert learnt_template(data, "qr_code") is None
