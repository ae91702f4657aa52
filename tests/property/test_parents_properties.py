"""Parts given to objects: independent of order, place and scale of the picture, and as likely as can be."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from part_scenes import dataset_of, turned_codes

from annotations.tables import NO_PARENT
from detector.parents import best_owners, parents
from detector.part_layout import Density, learnt_places

KNOWN = learnt_places(dataset_of(turned_codes(1, 30)), "fip")
DENSITIES = {} if KNOWN is None else {1: Density(KNOWN)}


@st.composite
def scenes(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Up to four objects and eight parts on the quarter-pixel grid, with scores of their own."""
    objects, parts = draw(st.integers(0, 4)), draw(st.integers(0, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centre = rng.integers(0, 800, (objects + parts, 2)) / 4
    half = np.concatenate([rng.integers(80, 320, (objects, 2)), rng.integers(16, 100, (parts, 2))]) / 4
    score = rng.permutation(np.linspace(0.02, 0.98, objects + parts))
    class_id = np.repeat([0, 1], [objects, parts])
    return class_id, score, np.concatenate([centre - half, centre + half], axis=1)


def owners(class_id: NDArray[np.int64], score: NDArray[np.float64], xyxy: NDArray[np.float64]) -> NDArray[np.int64]:
    return parents(class_id, score, xyxy, {1: 0}, DENSITIES)


@given(scenes(), st.randoms(use_true_random=False))
def test_owners_do_not_depend_on_the_order_of_the_rows(scene: tuple[NDArray, ...], random: object) -> None:  # type: ignore[type-arg]
    class_id, score, xyxy = scene
    order = np.array(random.sample(range(len(score)), len(score)), np.int64)  # type: ignore[attr-defined]
    plain, mixed = owners(class_id, score, xyxy), owners(class_id[order], score[order], xyxy[order])
    back = np.where(mixed == NO_PARENT, NO_PARENT, order[mixed] if len(order) else mixed)
    assert back.tolist() == plain[order].tolist()


@given(scenes(), st.integers(-4000, 4000), st.sampled_from([0.25, 2.0, 16.0]))
def test_owners_move_and_grow_with_the_picture(scene: tuple[NDArray, ...], shift: int, scale: float) -> None:  # type: ignore[type-arg]
    class_id, score, xyxy = scene
    assert owners(class_id, score, xyxy * scale + shift).tolist() == owners(class_id, score, xyxy).tolist()


@given(scenes())
def test_no_object_has_more_parts_than_objects_had_and_only_parts_have_owners(scene: tuple[NDArray, ...]) -> None:  # type: ignore[type-arg]
    class_id, score, xyxy = scene
    found = owners(class_id, score, xyxy)
    held = found[found != NO_PARENT]
    assert (found[class_id == 0] == NO_PARENT).all()
    assert (class_id[held] == 0).all()
    assert np.bincount(held, minlength=1).max() <= 3


@settings(max_examples=60)
@given(st.integers(0, 4), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_the_best_owners_weigh_what_the_best_of_all_choices_weighs(parts: int, objects: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(0, 20, (parts, objects)) * (rng.random((parts, objects)) < 0.7) / 4.0
    room = rng.integers(0, 3, objects)
    part, whole = best_owners(weight, room)
    assert len(set(part.tolist())) == len(part)
    assert (np.bincount(whole, minlength=objects) <= room).all()
    best = 0.0
    for choice in itertools.product(range(objects + 1), repeat=parts):
        taken = np.bincount(choice, minlength=objects + 1)[:objects]
        pairs = [(row, owner) for row, owner in enumerate(choice) if owner < objects]
        if (taken <= room).all() and all(weight[pair] > 0 for pair in pairs):
            best = max(best, sum(float(weight[pair]) for pair in pairs))
    assert float(weight[part, whole].sum()) == best
