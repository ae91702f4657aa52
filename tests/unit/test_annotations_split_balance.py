"""How a split divides classes and images without objects: counted, compared with chance, and a better seed named."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from annotations.dataset import images_text, read_dataset, write_dataset
from annotations.errors import AnnotationError, UsageError
from annotations.findings import read_findings
from annotations.split_balance import SEEDS_TO_TRY, SeedTrials, balance_of, deviations
from annotations.split_drawing import drawing_of
from annotations.split_places import LARGEST_SEED, name_hashes, places, split_codes
from annotations.splits import assign_splits, split_dataset
from annotations.tables import Annotations, BoxDataset, Images

RATIOS = (0.7, 0.15, 0.15)


def texts(values: list[str]) -> np.ndarray:
    return np.array(values, np.str_)


def images_of(ids: list[str], split: str = "", group: list[str] | None = None) -> Images:
    size, empty = np.full(len(ids), 100), texts([""] * len(ids))
    return Images(texts(ids), texts(ids), size, size, texts([split] * len(ids)), texts(group or [""] * len(ids)),
                  empty, texts(ids))  # fmt: skip


def boxes_of(pairs: list[tuple[int, int]]) -> Annotations:
    """Return a table with a box for each (image row, class id)."""
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    text, count = texts([""] * len(pairs)), len(pairs)
    xyxy = np.tile([0.1, 0.1, 0.2, 0.2], (count, 1))
    return Annotations(rows[:, 0], np.arange(count), np.full(count, -1), text, rows[:, 1], xyxy, text)


def stored(root: Path, images: Images, boxes: Annotations, classes: tuple[str, ...] = ("a", "b")) -> Path:
    write_dataset(root / "data", BoxDataset(root, classes, {}, images, boxes), [], command="")
    return root / "data"


def test_places_are_those_of_splitmix64() -> None:
    # The first outputs of SplitMix64 that starts from 0, as its authors' C code prints them; a hash of 0 and a seed of
    # 1 is its first, for it adds the gamma before it mixes.
    outputs = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    for seed, output in enumerate(outputs, start=1):
        assert places(np.zeros(1, np.uint64), seed)[0] == (output >> 11) / 2**53


def test_hash_of_a_name_is_the_head_of_its_sha256() -> None:
    # printf 'image a' | sha256sum
    assert [f"{value:016x}" for value in name_hashes(["image a"]).tolist()] == ["a854f481d4cb2479"]
    assert name_hashes([]).shape == (0,)


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1])
def test_seed_beyond_measure_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match=f"seed must be from 0 to {LARGEST_SEED}, got {seed}"):
        assign_splits(images_of(["a", "b"]), RATIOS, seed)


def test_places_of_many_seeds_are_even_and_of_no_relation() -> None:
    hashes = name_hashes([f"image {row}" for row in range(2000)])
    drawn = np.stack([places(hashes, seed) for seed in range(50)])
    # The mean of 100,000 uniform places is 0.5 with a deviation of 0.2887 / sqrt(100,000) = 0.0009.
    assert drawn.mean() == pytest.approx(0.5, abs=0.004)
    between = np.corrcoef(drawn) - np.eye(50)
    # Correlations of 2,000 pairs deviate by 1 / sqrt(2,000) = 0.022; of 1,225 of them, none by five times that.
    assert np.abs(between).max() < 0.112


def test_places_on_the_bounds_of_shares_go_to_the_next_split() -> None:
    place = np.array([0.0, 0.5, 0.75, 1 - 2**-53])
    assert split_codes(place, (0.5, 0.25, 0.25)).tolist() == [0, 1, 2, 2]
    assert split_codes(place, (0.0, 1.0, 0.0)).tolist() == [1, 1, 1, 1]
    assert split_codes(place, (0.5, 0.0, 0.5)).tolist() == [0, 2, 2, 2]


def test_balance_counts_images_boxes_and_images_without_objects() -> None:
    images = replace(images_of(list("abcde")), split=texts(["train", "train", "val", "val", ""]))
    boxes = boxes_of([(0, 0), (0, 0), (0, 1), (2, 0), (4, 1)])
    balance = balance_of(images, boxes, ("x", "y"), (0.5, 0.5, 0.0))
    # Columns: images, without objects, images with x, boxes of x, images with y, boxes of y. Image e has no split.
    assert balance.counts.tolist() == [[2, 1, 1, 2, 1, 1], [2, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]]
    assert balance.expected[0].tolist() == [2, 1, 1, 1.5, 0.5, 0.5]
    assert balance.wanted.tolist() == [True, True, False]
    # |2 - 1.5| / 1.5 for boxes of x; below one expected, one is the measure: |1 - 0.5| / 1.
    np.testing.assert_allclose(deviations(balance.counts, balance.expected, balance.wanted), [0, 0, 0, 1 / 3, 0.5, 0.5])
    assert balance.score.lacking == 1
    assert balance.rows()[0] == ["count (expected)", "train", "val"]
    assert balance.rows()[4] == ["boxes of x", "2 (1.5)", "1 (1.5)"]
    as_json = json.loads(json.dumps(balance.as_json()))
    assert as_json["classes"]["x"]["boxes"]["train"] == {"count": 2, "expected": 1.5}


def test_balance_without_ratios_measures_by_the_images_of_each_split() -> None:
    images = replace(images_of(list("abcd")), split=texts(["train", "train", "train", "test"]))
    balance = balance_of(images, boxes_of([(0, 0), (3, 0), (3, 0), (3, 0)]), ("x",))
    assert balance.expected[:, 3].tolist() == [3.0, 0.0, 1.0]


def test_balance_expects_images_that_were_not_drawn_where_they_are() -> None:
    images = replace(images_of(list("abcd")), split=texts(["test", "train", "train", "val"]))
    balance = balance_of(images, boxes_of([]), (), (0.5, 0.5, 0.0), np.array([False, True, True, True]))
    assert balance.expected[:, 0].tolist() == [1.5, 1.5, 1.0]
    assert balance.wanted.tolist() == [True, True, True]


def test_balance_of_nothing_is_zero() -> None:
    balance = balance_of(images_of([]), boxes_of([]), ())
    assert (balance.counts.shape, balance.score) == ((3, 2), (0, 0.0, 0.0))


def test_chance_of_a_deviation_is_that_of_a_binomial() -> None:
    # One class in all images: its deviation is that of the number of images in train, of 40 at 1/2 each.
    images, ids = images_of([f"i{row}" for row in range(40)]), range(40)
    drawing = drawing_of(images, (0.5, 0.5, 0.0), by="group")
    boxes = boxes_of([(row, 0) for row in ids])
    split = np.where(np.arange(40) < 26, "train", "val")
    balance = balance_of(replace(images, split=split), boxes, ("a",), (0.5, 0.5, 0.0))
    chance = SeedTrials(drawing, boxes, balance, 0).chance(balance)[1]
    # 26 or more, or 14 or fewer, of Binomial(40, 1/2): 2 * 0.0403 = 0.0807; of 1,000 trials, it deviates by 0.0086.
    assert chance == pytest.approx(0.0807, abs=0.026)


def rare_class(rows: int = 120) -> tuple[Images, Annotations]:
    """Return images of which every eighth has class b, every fifth no object, and the others class a alone."""
    pairs = [(row, 0) for row in range(rows) if row % 5] + [(row, 1) for row in range(rows) if row % 8 == 1]
    return images_of([f"img{row}" for row in range(rows)]), boxes_of(pairs)


def seeds_by_score(images: Images, boxes: Annotations) -> list[int]:
    """Return the seeds 0 to 999, best first, by the score of the splits that each gives alone."""
    scores = []
    for seed in range(SEEDS_TO_TRY):
        drawing = drawing_of(images, RATIOS, by="group")
        split = drawing.splits(seed)
        scores.append(balance_of(replace(images, split=split), boxes, ("a", "b"), RATIOS).score)
    return sorted(range(SEEDS_TO_TRY), key=scores.__getitem__)


def test_best_seed_is_the_best_of_a_thousand_and_a_rule_like_any_other(tmp_path: Path) -> None:
    images, boxes = rare_class()
    best, *_, worst = seeds_by_score(images, boxes)
    data = stored(tmp_path, images, boxes)
    report = split_dataset(data, RATIOS, "best")
    assert (report.seed, report.findings) == (best, ())
    np.testing.assert_array_equal(read_dataset(data).images.split, assign_splits(images, RATIOS, best).split)
    assert read_dataset(data).summary["split"]["seed"] == best
    assert read_dataset(data).summary["split"]["searched"] is True
    assert split_dataset(data, RATIOS, worst, again=True).balance.score > report.balance.score


def test_seed_of_the_last_split_is_taken_where_none_is_given(tmp_path: Path) -> None:
    images, boxes = rare_class()
    data = stored(tmp_path, images, boxes)
    assert split_dataset(data, RATIOS).seed == 0
    assert split_dataset(data, RATIOS, 7, again=True).seed == 7
    assert split_dataset(data, RATIOS).seed == 7


def test_uneven_split_is_told_and_the_seed_that_is_named_divides_better(tmp_path: Path) -> None:
    images, boxes = rare_class()
    worst = seeds_by_score(images, boxes)[-1]
    data = stored(tmp_path, images, boxes)
    before = split_dataset(data, RATIOS, worst)
    codes = [finding.code for finding in before.findings]
    assert {"uneven-split", "lacking-split"} & set(codes)
    assert codes[-1] == "better-seed"
    named = re.search(r"--seed (\d+) divides better", before.findings[-1].message)
    assert named and worst < int(named[1]) <= worst + SEEDS_TO_TRY
    assert [finding.code for finding in read_findings(data)] == codes
    after = split_dataset(data, RATIOS, int(named[1]), again=True)
    assert after.balance.score < before.balance.score
    # What a split before had to tell is gone with it.
    assert [finding.code for finding in read_findings(data)] == [finding.code for finding in after.findings]


def test_no_seed_is_named_for_what_grew_since(tmp_path: Path) -> None:
    # Another seed for the new images alone would break the rule by which all are drawn.
    images, boxes = rare_class()
    old = np.where(np.arange(120) < 100, assign_splits(images, RATIOS, 0).split, "")
    data = stored(tmp_path, replace(images, split=old), boxes)
    for seed in range(20):
        report = split_dataset(data, RATIOS, seed)
        assert "better-seed" not in {finding.code for finding in report.findings}
        (data / "images.csv").write_text(images_text(replace(read_dataset(data).images, split=old)))


def test_class_that_a_split_lacks_is_told(tmp_path: Path) -> None:
    images = images_of([f"img{row}" for row in range(60)])
    data = stored(tmp_path, images, boxes_of([(row, 0) for row in range(60)] + [(3, 1)]))
    report = split_dataset(data, RATIOS, 0)
    (lacking,) = (finding for finding in report.findings if finding.code == "lacking-split")
    assert "must have images with 'b', got none" in lacking.message
    assert "images without objects" not in lacking.message


def test_groups_are_respected_by_the_best_seed(tmp_path: Path) -> None:
    _, boxes = rare_class(200)
    images = images_of([f"img{row}" for row in range(200)], group=[f"g{row % 20}" for row in range(200)])
    data = stored(tmp_path, images, boxes)
    split_dataset(data, RATIOS, "best")
    after = read_dataset(data).images
    assert len(set(zip(after.group.tolist(), after.split.tolist(), strict=True))) == 20


def test_best_of_too_few_images_is_refused(tmp_path: Path) -> None:
    data = stored(tmp_path, images_of(["a", "b"]), boxes_of([]))
    with pytest.raises(AnnotationError, match="too few for these ratios"):
        split_dataset(data, RATIOS, "best")


def test_best_tells_its_progress(tmp_path: Path) -> None:
    data = stored(tmp_path, *rare_class())
    told: list[tuple[int, int]] = []
    split_dataset(data, RATIOS, "best", progress=lambda done, total: told.append((done, total)))
    assert (told[0], told[-1]) == ((1, SEEDS_TO_TRY), (SEEDS_TO_TRY, SEEDS_TO_TRY))
