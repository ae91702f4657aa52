"""Mixed sizes: told where two populations are mixed, and silent on ordinary data."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from check_sets import Box, codes_of, dataset_of
from numpy.typing import NDArray

from annotations.check_sizes import check_sizes
from annotations.robust import ashman_d, centre_and_spread, kolmogorov_smirnov
from annotations.size_bars import size_bars
from annotations.size_mixture import two_populations
from annotations.tables import BoxDataset

Numbers = NDArray[np.float64]


def _dataset(sizes: Sequence[float], per_image: int = 1, **fields: Sequence[str]) -> BoxDataset:
    boxes: list[list[Box]] = [[("a", 10, 10, 10 + float(size), 10 + float(size))] * per_image for size in sizes]
    return dataset_of(boxes, **fields)  # type: ignore[arg-type]


def _sizes(rng: np.random.Generator, count: int, middle: float, spread: float) -> list[float]:
    return np.clip(middle * np.exp(rng.normal(0, spread, count)), 4, 440).tolist()


def _mixed(dataset: BoxDataset) -> list[str]:
    return [seen.finding.message for seen in check_sizes(dataset) if seen.finding.code == "mixed-sizes"]


@pytest.mark.parametrize("field", ["source", "path", "group", "image_id"])
def test_two_sources_of_factor_two_are_told_by_what_tells_them_apart(field: str) -> None:
    rng = np.random.default_rng(1)
    sizes = _sizes(rng, 60, 60, 0.15) + _sizes(rng, 40, 120, 0.15)
    names = {
        "source": ("old/{}.json", "new/{}.json"),
        "path": ("old/{}.png", "new/{}.png"),
        "group": ("old", "new"),
        "image_id": ("old_{}", "new_{}"),
    }[field]
    values = [names[row >= 60].format(row) for row in range(100)]
    (message,) = _mixed(_dataset(sizes, **{field: values}))
    assert "'old" in message and "'new" in message
    assert "(60 images)" in message and "(40)" in message


def test_two_sources_of_equal_sizes_are_silent() -> None:
    rng = np.random.default_rng(2)
    source = [f"{'old' if row < 60 else 'new'}/{row}.json" for row in range(100)]
    assert _mixed(_dataset(_sizes(rng, 100, 60, 0.3), source=source)) == []


@pytest.mark.parametrize("seed", range(3))
def test_sources_that_follow_each_other_evenly_are_silent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [size for middle in (30, 42, 59, 82, 115, 160) for size in _sizes(rng, 15, middle, 0.1)]
    group = [f"g{row // 15}" for row in range(90)]
    assert _mixed(_dataset(sizes, group=group)) == []


def test_two_populations_without_a_source_are_told() -> None:
    rng = np.random.default_rng(3)
    sizes = _sizes(rng, 100, 40, 0.15) + _sizes(rng, 100, 110, 0.15)
    rng.shuffle(sizes)
    (message,) = _mixed(_dataset(sizes))
    assert "two populations" in message


def test_images_of_many_equal_objects_count_as_one_observation_each() -> None:
    # Ten images of a hundred equal boxes each are ten observations, and say nothing.
    sizes = [40.0, 41, 42, 43, 44, 120, 121, 122, 123, 124]
    assert _mixed(_dataset(sizes, per_image=100)) == []


def test_parts_are_not_told_of_again_after_their_object() -> None:
    rng = np.random.default_rng(4)
    sizes = _sizes(rng, 40, 60, 0.1) + _sizes(rng, 40, 150, 0.1)
    boxes: list[list[Box]] = [[("o", 10, 10, 10 + s, 10 + s), ("p", 10, 10, 10 + s / 3, 10 + s / 3)] for s in sizes]
    group = ["g" if row < 40 else "h" for row in range(80)]
    parents = [value for row in range(80) for value in (-1, 2 * row)]
    dataset = dataset_of(boxes, classes=["o", "p"], parts={"p": "o"}, parents=parents, group=group)
    assert codes_of(list(check_sizes(dataset))) == ["mixed-sizes"]


ORDINARY = {
    "normal": lambda rng, n: rng.normal(0, 0.5, n),
    "uniform": lambda rng, n: rng.uniform(0, 2.3, n),
    "uniform in pixels": lambda rng, n: np.log(rng.uniform(10, 200, n)),
    "skewed": lambda rng, n: rng.exponential(0.6, n),
    "long-tailed": lambda rng, n: rng.standard_t(3, n) * 0.3,
}


@pytest.mark.parametrize("count", [30, 100, 1000])
@pytest.mark.parametrize("kind", ORDINARY)
def test_one_population_is_one_whatever_its_form(kind: str, count: int) -> None:
    rng = np.random.default_rng(5)
    told = [two_populations(ORDINARY[kind](rng, count), np.ones(count)) is not None for _ in range(12)]
    assert sum(told) == 0


@pytest.mark.parametrize(("spread", "count"), [(0.1, 60), (0.15, 300), (0.2, 2000)])
def test_two_populations_of_factor_two_are_two(spread: float, count: int) -> None:
    rng = np.random.default_rng(6)
    for _ in range(5):
        values = rng.normal(np.where(np.arange(count) % 2 == 0, 0, math.log(2)), spread)
        found = two_populations(values, np.ones(count))
        assert found is not None
        assert found.large[0] - found.small[0] == pytest.approx(math.log(2), abs=0.1)
        assert found.share_of_large == pytest.approx(0.5, abs=0.12)
        assert found.small[0] < found.border < found.large[0]


def test_populations_do_not_depend_on_how_many_boxes_stand_for_one_image() -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(np.where(np.arange(100) % 2 == 0, 0, 1.0), 0.1)
    once = two_populations(values, np.ones(100))
    thrice = two_populations(np.repeat(values, 3), np.full(300, 1 / 3))
    assert once is not None and thrice is not None
    assert thrice.separation == pytest.approx(once.separation)
    assert thrice.gain == pytest.approx(once.gain)


def test_two_peaks_with_much_between_them_are_no_two_populations() -> None:
    # Ashman's D of 2.8 and a better fit beyond doubt; but between the two there is three quarters of what each has.
    rng = np.random.default_rng(9)
    values = rng.normal(np.where(np.arange(20_000) % 2 == 0, 0, 0.84), 0.3)
    assert two_populations(values, np.ones(len(values))) is None


@pytest.mark.parametrize(("count", "told"), [(29, False), (30, True)])
def test_fewer_than_thirty_observations_say_nothing(count: int, told: bool) -> None:
    rng = np.random.default_rng(10)
    values = rng.normal(np.where(np.arange(count) % 2 == 0, 0, 1.0), 0.05)
    assert (two_populations(values, np.ones(count)) is not None) == told


def test_equal_sizes_and_no_sizes_are_no_two_populations() -> None:
    assert two_populations(np.zeros(500), np.ones(500)) is None
    assert two_populations(np.zeros(0), np.zeros(0)) is None


def test_split_of_other_sizes_is_told_and_a_random_one_is_not() -> None:
    rng = np.random.default_rng(8)
    split = ["train"] * 60 + ["val"] * 40
    sizes = _sizes(rng, 60, 60, 0.3) + _sizes(rng, 40, 110, 0.3)
    assert "split-sizes" in codes_of(list(check_sizes(_dataset(sizes, split=split))))
    for _ in range(10):
        ordinary = _dataset(_sizes(rng, 100, 60, 0.6), split=split)
        assert "split-sizes" not in codes_of(list(check_sizes(ordinary)))


def test_images_of_very_different_sizes_are_told() -> None:
    boxes: list[list[Box]] = [[] for _ in range(20)]
    sizes = [(640, 480)] * 10 + [(4000, 3000)] * 10
    (seen,) = check_sizes(dataset_of(boxes, classes=["a"], size=sizes))
    assert "2 sizes, the longer side from 640 to 4000 pixels" in seen.finding.message
    assert list(check_sizes(dataset_of(boxes, classes=["a"], size=[(640, 480)] * 10 + [(480, 640)] * 10))) == []


def test_robust_figures_are_those_of_the_textbook() -> None:
    # median 3, deviations 2 1 0 1 97: their median is 1.
    assert centre_and_spread(np.array([1.0, 2, 3, 4, 100])) == (3.0, 1.4826)
    assert ashman_d((0.0, 1.0), (2.0, 1.0)) == pytest.approx(2.0)
    distance, p = kolmogorov_smirnov(np.arange(50.0), np.arange(50.0) + 1000)
    assert distance == 1.0
    assert p < 1e-20
    distance, p = kolmogorov_smirnov(np.arange(50.0), np.arange(50.0))
    assert (distance, p) == (0.0, 1.0)


def test_kolmogorov_smirnov_p_value_is_the_table_value() -> None:
    # n = m = 50, D = 0.28: (5 + 0.12 + 0.11 / 5) * 0.28 = 1.43976, and 2 (exp(-2 * 1.43976^2) - ...) = 0.03164.
    first = np.arange(50.0)
    distance, p = kolmogorov_smirnov(first, first + 14)
    assert distance == pytest.approx(0.28)
    assert p == pytest.approx(0.03164, abs=5e-5)


def test_bars_hold_every_box_of_a_class_in_each_way_to_tell_images_apart() -> None:
    dataset = _dataset([40.0, 50, 60, 70], split=["train", "train", "val", ""], group=["g", "h", "g", "h"])
    charts = size_bars(dataset)
    assert [chart.kind for chart in charts] == ["split", "group"]
    assert [bar.name for bar in charts[0].bars] == ["train", "val", "(no split)"]
    assert all(sum(bar.boxes for bar in chart.bars) == 4 for chart in charts)
    assert charts[0].bars[1].quantiles == pytest.approx((60 / 640,) * 5)
