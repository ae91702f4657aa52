"""Poor light, lens, sensor and file: each changes the picture alone, by its probability and strength."""

import numpy as np
import pytest
from numpy.typing import NDArray

from annotations.errors import UsageError
from detector.augment_degrade import degraded
from detector.settings import Settings

KINDS = ("light", "blur", "motion_blur", "noise", "jpeg")


def photograph(height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


def changed(seed: int = 0, picture: NDArray[np.uint8] | None = None, **kinds: object) -> NDArray[np.uint8]:
    settings = Settings().changed(kinds, "test")
    return degraded(photograph() if picture is None else picture, settings, np.random.default_rng(seed))


def test_without_a_kind_nothing_is_drawn_or_changed() -> None:
    picture, rng = photograph(), np.random.default_rng(1)
    assert degraded(picture, Settings(), rng) is picture
    assert rng.bit_generator.state == np.random.default_rng(1).bit_generator.state


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_the_picture_and_nothing_else(kind: str) -> None:
    before = photograph()
    after = changed(picture=before, **{kind: [1.0, 0.7]})
    assert after.shape == before.shape
    assert after.dtype == np.uint8
    assert (after != before).any()
    np.testing.assert_array_equal(before, photograph())
    np.testing.assert_array_equal(after, changed(**{kind: [1.0, 0.7]}))
    assert (after != changed(seed=1, **{kind: [1.0, 0.7]})).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_comes_as_often_as_its_probability(kind: str) -> None:
    flat = photograph(16, 16)
    times = sum((changed(seed, flat, **{kind: [0.3, 1.0]}) != flat).any() for seed in range(200))
    # 60 expected, standard deviation 6.5.
    assert 35 <= times <= 85


@pytest.mark.parametrize("kind", KINDS)
def test_a_strength_of_nothing_changes_nothing(kind: str) -> None:
    picture = photograph()
    assert changed(picture=picture, **{kind: [1.0, 0.0]}) is picture


@pytest.mark.parametrize("kind", ["light", "noise", "jpeg"])
def test_a_greater_strength_changes_more(kind: str) -> None:
    def difference(strength: float) -> float:
        smooth = np.full((40, 40, 3), 120, np.uint8)
        smooth[10:30, 15:35] = 30
        changes = [changed(seed, smooth, **{kind: [1.0, strength]}).astype(int) - smooth for seed in range(12)]
        return float(np.abs(changes).mean())

    assert difference(1.0) > 2 * difference(0.2)


@pytest.mark.parametrize("kind", ["blur", "motion_blur"])
def test_blur_moves_nothing(kind: str) -> None:
    spot = np.zeros((41, 41, 3), np.uint8)
    spot[18:23, 18:23] = 255
    for seed in range(8):
        light = changed(seed, spot, **{kind: [1.0, 1.0]})[..., 0].astype(float)
        y, x = (np.mgrid[0:41, 0:41] * light).sum(axis=(1, 2)) / light.sum()
        assert abs(x - 20) < 0.3
        assert abs(y - 20) < 0.3


def test_light_and_noise_do_not_run_over() -> None:
    for value in (0, 255):
        flat = np.full((32, 32, 3), value, np.uint8)
        for seed in range(6):
            bright = changed(seed, flat, light=[1.0, 1.0], noise=[1.0, 0.3])
            # White that ran over would be black.
            assert abs(float(np.median(bright)) - value) < 200


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3, 2)])
def test_tiny_pictures_are_changed_too(size: tuple[int, int]) -> None:
    every = {kind: [1.0, 1.0] for kind in KINDS}
    assert changed(picture=photograph(*size), **every).shape == (*size, 3)


@pytest.mark.parametrize("value", ["1.5,0.2", "-0.1,0.2", "0.3,2", "a,b", "1,2,3"])
def test_other_probabilities_and_strengths_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match="blur"):
        Settings().changed({"blur": value}, "--set")
