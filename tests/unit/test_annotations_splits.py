"""Giving images a split: by a seed and names alone, groups whole, and nothing moved that has one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from annotations.csvtable import csv_text, read_csv
from annotations.dataset import read_dataset, write_dataset
from annotations.errors import AnnotationError, UsageError
from annotations.splits import By, Ratios, assign_splits, parse_ratios, split_dataset
from annotations.tables import Annotations, BoxDataset, Images

RATIOS = (0.7, 0.15, 0.15)


def images(rows: int, *, split: str = "", group: list[str] | None = None) -> Images:
    def text(values: list[str]) -> np.ndarray:
        return np.array(values, np.str_)

    ids = [f"img{row}" for row in range(rows)]
    size = np.full(rows, 9)
    return Images(text(ids), text(ids), size, size, text([split] * rows), text(group or [""] * rows),
                  text([""] * rows), text(ids))  # fmt: skip


def stored(root: Path, table: Images) -> Path:
    none = np.zeros(0, np.int64)
    boxes = Annotations(none, none, none, none, none, np.zeros((0, 4)), none)
    write_dataset(root / "data", BoxDataset(root, ("a",), {}, table, boxes), [], command="")
    return root / "data"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("70/15/15", (0.7, 0.15, 0.15)), ("8/1/1", (0.8, 0.1, 0.1)), ("0.5/0.5", (0.5, 0.5, 0)), ("1/0/1", (0.5, 0, 0.5))],
)
def test_ratios_are_shares_of_their_sum(text: str, expected: tuple[float, float, float]) -> None:
    assert parse_ratios(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "70", "70/30/0/0", "a/b", "-1/2/3", "0/0/0", "nan/1/1", "inf/1/1", "70,15,15"])
def test_ratios_of_another_form_are_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="ratios must be like 70/15/15"):
        parse_ratios(text)


def test_shares_are_near_the_ratios() -> None:
    split = assign_splits(images(4000), RATIOS, 0).split
    # Three standard deviations of a binomial share: 3 * sqrt(.7 * .3 / 4000) = 0.022.
    assert (split == "train").mean() == pytest.approx(0.7, abs=0.022)
    assert (split == "test").mean() == pytest.approx(0.15, abs=0.017)


def test_another_seed_gives_another_split() -> None:
    assert (assign_splits(images(100), RATIOS, 0).split != assign_splits(images(100), RATIOS, 1).split).any()


def test_a_ratio_of_zero_gives_no_image() -> None:
    assert set(assign_splits(images(300), parse_ratios("50/50"), 0).split.tolist()) == {"train", "val"}


def test_group_is_in_one_split() -> None:
    groups = [f"g{row % 40}" for row in range(400)]
    table = assign_splits(images(400, group=groups), RATIOS, 3)
    assert len(set(zip(table.group.tolist(), table.split.tolist(), strict=True))) == 40
    by_image = assign_splits(images(400, group=groups), RATIOS, 3, by="image")
    assert len(set(zip(by_image.group.tolist(), by_image.split.tolist(), strict=True))) > 40


def test_new_member_of_a_group_joins_its_split() -> None:
    groups = ["g"] * 50 + [""] * 100
    table = images(150, group=groups)
    table = replace(table, split=np.array(["test"] + [""] * 149))
    assert set(assign_splits(table, RATIOS, 0).split[:50].tolist()) == {"test"}


def test_group_in_two_splits_is_refused_unless_again() -> None:
    table = replace(images(60, group=["g", "g"] + [""] * 58), split=np.array(["train", "test"] + [""] * 58))
    with pytest.raises(AnnotationError, match="group g: group must be in one split, got train and test"):
        assign_splits(table, RATIOS, 0)
    again = assign_splits(table, RATIOS, 0, again=True)
    assert again.split[0] == again.split[1]


def test_image_with_a_split_keeps_it_unless_again() -> None:
    table = replace(images(200), split=np.array(["val"] * 100 + [""] * 100))
    assert set(assign_splits(table, RATIOS, 0).split[:100].tolist()) == {"val"}
    again = assign_splits(table, RATIOS, 0, again=True)
    np.testing.assert_array_equal(again.split, assign_splits(images(200), RATIOS, 0).split)


def test_empty_split_is_refused_and_a_seed_that_fills_it_is_named() -> None:
    small = images(4)
    seed = next(s for s in range(99) if len(set(_try(small, s))) < 3)
    with pytest.raises(AnnotationError, match=r"must have an image, got none in .*--seed (\d+) fills all") as caught:
        assign_splits(small, RATIOS, seed)
    named = int(str(caught.value).split("--seed ")[1].split()[0])
    assert set(assign_splits(small, RATIOS, named).split.tolist()) == {"train", "val", "test"}


def _try(table: Images, seed: int) -> list[str]:
    # Ratios' shares of a larger table: its first rows are drawn as in the small one.
    larger = images(400)
    return assign_splits(larger, RATIOS, seed).split[: len(table)].tolist()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (images(0), "there are no images"),
        (images(2), "too few for these ratios"),
        (images(9, split="train"), "all images have a split already: `--of train --ratios 70/15/15` divides those of"),
    ],
)
def test_split_that_cannot_be_filled_says_why(table: Images, words: str) -> None:
    with pytest.raises(AnnotationError, match=words):
        assign_splits(table, RATIOS, 0)


def test_dataset_is_written_anew_with_all_else_as_it_was(tmp_path: Path) -> None:
    data = stored(tmp_path, images(100))
    table = read_csv(data / "images.csv", [])
    columns = {**table.columns, "labels": [f"labels/{row}.png" for row in range(100)]}
    (data / "images.csv").write_text(csv_text(list(columns), columns.values()))
    report = split_dataset(data, RATIOS, 5)
    back = read_dataset(data)
    np.testing.assert_array_equal(back.images.split, assign_splits(images(100), RATIOS, 5).split)
    assert read_csv(data / "images.csv", []).columns["labels"] == columns["labels"]
    assert report.images == {name: int((back.images.split == name).sum()) for name in ("train", "val", "test")}
    assert report.given == report.images
    assert back.summary["counts"]["by_split"]["val"]["images"] == report.images["val"]
    assert back.summary["split"]["seed"] == 5


def test_dataset_that_cannot_be_split_is_left_as_it_was(tmp_path: Path) -> None:
    data = stored(tmp_path, images(9, split="train"))
    before = (data / "images.csv").read_bytes()
    with pytest.raises(AnnotationError, match=r"images\.csv: split: every wanted split"):
        split_dataset(data, RATIOS, 0)
    assert (data / "images.csv").read_bytes() == before


def shared(paths: list[str], **columns: list[str]) -> Images:
    changed = {name: np.array(values, np.str_) for name, values in columns.items()}
    return replace(images(len(paths)), path=np.array(paths, np.str_), **changed)


@pytest.mark.parametrize("by", ["group", "image"])
def test_rows_of_one_picture_are_in_one_split(by: By) -> None:
    table = shared([f"p{row % 40}.jpg" for row in range(400)])
    pairs = set(zip(table.path.tolist(), assign_splits(table, RATIOS, 0, by=by).split.tolist(), strict=True))
    assert len(pairs) == 40


def test_row_of_a_picture_joins_its_split_and_its_group() -> None:
    paths = ["p", "p", "q", "q", *(f"x{row}" for row in range(200))]
    table = shared(paths, split=["", "test", *[""] * 202], group=["", "", "g", "", *["g"] * 100, *[""] * 100])
    split = assign_splits(table, RATIOS, 0).split
    assert split[0] == "test"
    assert len(set(split[2:104].tolist())) == 1


def test_picture_of_one_row_is_drawn_by_its_name_wherever_it_lies() -> None:
    here, there = shared([f"p{row}" for row in range(99)]), shared([f"../q/p{row}" for row in range(99)])
    np.testing.assert_array_equal(assign_splits(here, RATIOS, 0).split, assign_splits(there, RATIOS, 0).split)
    twice = shared(["../q/p0", *(f"../q/p{row}" for row in range(98))])
    np.testing.assert_array_equal(assign_splits(twice, RATIOS, 0).split[2:], assign_splits(here, RATIOS, 0).split[2:])


def test_rows_without_a_path_are_no_one_picture() -> None:
    assert set(assign_splits(shared([""] * 200), RATIOS, 0).split.tolist()) == {"train", "val", "test"}


def test_picture_in_two_splits_or_two_groups_is_refused() -> None:
    torn = shared(["p", "p", "q"], split=["train", "val", "test"])
    with pytest.raises(AnnotationError, match="image img0: image must be in one split, got train and val"):
        assign_splits(torn, RATIOS, 0)
    with pytest.raises(AnnotationError, match="p: picture must be in one group, got h and g"):
        assign_splits(shared(["p", "p"], group=["h", "g"]), RATIOS, 0)


FROM_TRAIN = (0.85, 0.15, 0.0)


@pytest.mark.parametrize("seed", [0, 1])
def test_val_taken_out_of_train_moves_no_other_image(seed: int) -> None:
    # Drawn by the same seed before: the images of train have low places then, and none would be left for val.
    before = assign_splits(images(4000), (0.85, 0.0, 0.15), seed)
    before = replace(before, split=np.where(np.arange(4000) < 100, "", before.split))
    after = assign_splits(before, FROM_TRAIN, seed, of="train").split
    train = before.split == "train"
    np.testing.assert_array_equal(after[~train], before.split[~train])
    assert set(after[train].tolist()) == {"train", "val"}
    # Three standard deviations: 3 * sqrt(.85 * .15 / 3300) = 0.019.
    assert (after[train] == "val").mean() == pytest.approx(0.15, abs=0.019)


def test_groups_drawn_from_a_split_stay_whole() -> None:
    table = assign_splits(images(400, group=[f"g{row % 40}" for row in range(400)]), (0.8, 0.0, 0.2), 0)
    after = assign_splits(table, FROM_TRAIN, 0, of="train")
    assert len(set(zip(after.group.tolist(), after.split.tolist(), strict=True))) == 40
    by_image = assign_splits(table, FROM_TRAIN, 0, of="train", by="image")
    assert len(set(zip(by_image.group.tolist(), by_image.split.tolist(), strict=True))) > 40


def test_group_in_two_splits_is_not_drawn_from_one() -> None:
    table = replace(images(3, group=["g", "g", ""]), split=np.array(["train", "test", "train"]))
    with pytest.raises(AnnotationError, match="group g: group must be in one split"):
        assign_splits(table, FROM_TRAIN, 0, of="train")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"of": "train", "again": True}, UsageError, "--of train must stand without --again"),
        ({"of": "training"}, UsageError, "--of must be one of train, val, test, got training"),
        ({"of": ""}, UsageError, "--of must be one of train, val, test, got "),
        ({"of": "val"}, AnnotationError, "--of must name a split that has images, got val, which has none"),
    ],
)
def test_split_that_cannot_be_drawn_from_is_refused(
    options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        assign_splits(images(30, split="train"), FROM_TRAIN, 0, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("present", "ratios", "way"),
    [
        (["train"] * 30 + ["test"] * 5, RATIOS, "--of train --ratios 85/15`"),
        (["train"] * 30 + ["val"] * 5, RATIOS, "--of train --ratios 85/0/15`"),
        (["test"] * 30, (0.5, 0.5, 0), "--of test --ratios 15/15/70`"),
    ],
)
def test_the_way_out_that_is_named_works(present: list[str], ratios: Ratios, way: str) -> None:
    table = replace(images(len(present)), split=np.array(present))
    with pytest.raises(AnnotationError, match=way) as caught:
        assign_splits(table, ratios, 0)
    _, of, _, shares = str(caught.value).split("`")[1].split()
    after = assign_splits(table, parse_ratios(shares), 0, of=of)
    assert {*after.split.tolist()} == {"train", "val", "test"}


def test_dataset_tells_which_split_was_drawn_from(tmp_path: Path) -> None:
    data = stored(tmp_path, assign_splits(images(200), (0.8, 0.0, 0.2), 3))
    before = read_dataset(data).images.split
    report = split_dataset(data, FROM_TRAIN, 3, of="train")
    back = read_dataset(data)
    how = {"ratios": [0.85, 0.15, 0.0], "seed": 3, "by": "group", "again": False, "of": "train"}
    assert back.summary["split"].items() >= how.items()
    np.testing.assert_array_equal(back.images.split == "test", before == "test")
    assert report.given == {"train": report.images["train"], "val": report.images["val"], "test": 0}
