"""Draws by weight: a pure function of seed and step, right on average, and within one of it in every epoch."""

from dataclasses import replace

import numpy as np
import pytest
from detector_samples import images_table
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotations.errors import UsageError
from annotations.tables import Images
from detector.order import batch_draws, epoch_draws, sample_generator, steps_per_epoch
from detector.sampling import image_names, image_weights, sampling_text

seeds = st.integers(0, 2**40)
weights = st.lists(st.sampled_from([0.0, 0.25, 1.0, 1.0, 2.0, 3.0, 7.5]), min_size=1, max_size=40).filter(any)


@given(seeds, st.integers(0, 50), weights)
def test_an_epoch_draws_each_image_within_one_of_its_share(seed: int, epoch: int, values: list[float]) -> None:
    weight = np.array(values)
    draws = epoch_draws(seed, epoch, len(weight), weight)
    assert len(draws.row) == len(weight)
    expected = len(weight) * weight / weight.sum()
    counts = np.bincount(draws.row, minlength=len(weight))
    # Sums of floats: what should be whole may be a hair off, and be rounded to the next.
    assert (np.abs(counts - expected) < 1 + 1e-9).all()
    assert not counts[weight == 0].any()


@given(seeds, st.integers(0, 5), weights, st.integers(1, 12))
def test_the_batches_of_an_epoch_are_its_draws_in_whatever_order_they_are_asked_for(
    seed: int, epoch: int, values: list[float], batch: int
) -> None:
    weight = np.array(values)
    steps = steps_per_epoch(len(weight), batch)
    asked = np.random.default_rng(seed).permutation(steps)
    parts = {int(part): batch_draws(seed, epoch * steps + int(part), len(weight), batch, weight) for part in asked}
    whole = epoch_draws(seed, epoch, len(weight), weight)
    np.testing.assert_array_equal(np.concatenate([parts[part].row for part in range(steps)]), whole.row)
    np.testing.assert_array_equal(np.concatenate([parts[part].again for part in range(steps)]), whole.again)


@given(seeds, st.integers(0, 5), weights)
def test_every_draw_of_an_image_in_an_epoch_is_counted(seed: int, epoch: int, values: list[float]) -> None:
    draws = epoch_draws(seed, epoch, len(values), np.array(values))
    seen: dict[int, int] = {}
    for row, again in zip(draws.row.tolist(), draws.again.tolist(), strict=True):
        assert again == seen.get(row, 0)
        seen[row] = again + 1


@given(seeds, st.integers(0, 5), st.integers(1, 50), st.sampled_from([0.1, 1.0, 3.0]))
def test_equal_weights_are_no_weights(seed: int, epoch: int, images: int, weight: float) -> None:
    plain, weighted = epoch_draws(seed, epoch, images), epoch_draws(seed, epoch, images, np.full(images, weight))
    np.testing.assert_array_equal(plain.row, weighted.row)
    assert not weighted.again.any()


def test_frequencies_are_the_weights_on_average() -> None:
    weight = np.array([1.0, 3.0, 0.5, 1.0, 0.0, 2.0, 1.0])
    epochs = 2000
    counts = sum(np.bincount(epoch_draws(3, epoch, 7, weight).row, minlength=7) for epoch in range(epochs))
    expected = 7 * weight / weight.sum()
    # Within an epoch a count is rounded up or down: a variance of 1/4 at most.
    assert (np.abs(np.asarray(counts) / epochs - expected) <= 5 * 0.5 / np.sqrt(epochs)).all()


def test_an_image_drawn_again_is_changed_in_another_way() -> None:
    draws = {sample_generator(0, 1, 2, again).random() for again in range(4)}
    assert len(draws) == 4
    assert sample_generator(0, 1, 2).random() == sample_generator(0, 1, 2, 0).random()


def table(sources: list[str], groups: list[str], flags: list[str]) -> Images:
    images = images_table([f"{row}.png" for row in range(len(sources))], ["train"] * len(sources), (9, 9))
    return replace(
        images,
        source=np.array(sources, np.str_),
        group=np.array(groups, np.str_),
        flags=np.array(flags, np.str_),
    )


IMAGES = table(
    ["simulated/a.json", "simulated/b.json", "site/night/c.json", "d.json"],
    ["", "scene 1", "", "scene 1"],
    ["train", "train", "train;corrected", "train"],
)


def test_an_image_is_named_by_its_folders_group_and_flags() -> None:
    assert list(image_names(IMAGES)) == [
        {"simulated", "train"},
        {"simulated", "scene 1", "train"},
        {"site/night", "site", "corrected", "train"},
        {"scene 1", "train"},
    ]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ((("corrected", 3.0),), [1, 1, 3, 1]),
        ((("simulated", 0.5), ("site", 2.0)), [0.5, 0.5, 2, 1]),
        # An image of several names has the product.
        ((("simulated", 2.0), ("scene 1", 5.0)), [2, 10, 1, 5]),
        ((("train", 7.0),), [7, 7, 7, 7]),
    ],
)
def test_weights_are_those_of_an_image_s_names(sampling: tuple[tuple[str, float], ...], expected: list[float]) -> None:
    weight: NDArray[np.float64] | None = image_weights(IMAGES, sampling)
    assert weight is not None
    assert weight.tolist() == expected


def test_no_sampling_gives_no_weights() -> None:
    assert image_weights(IMAGES, ()) is None
    assert sampling_text(IMAGES, ()) == "every image once an epoch"


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UsageError, match=r"got 'simulate'; there are simulated \(2\), scene 1 \(2\), .*corrected \(1\)"
    ):
        image_weights(IMAGES, (("simulate", 1.0),))


def test_weights_that_leave_no_image_are_refused() -> None:
    with pytest.raises(UsageError, match="must leave an image to be drawn"):
        image_weights(IMAGES, (("train", 0.0),))


def test_the_shares_are_told() -> None:
    # 2 x 1, 1 x 3 and 1 x 1: six in all.
    assert sampling_text(IMAGES, (("corrected", 3.0), ("simulated", 1.0))) == (
        "share of an epoch's draws: corrected (weight 3): 1 images, 50.0%; simulated (weight 1): 2 images, 33.3%; "
        "others (weight 1): 1 images, 16.7%"
    )
