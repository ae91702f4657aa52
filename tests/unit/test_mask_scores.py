"""Masks scored split by split: which file goes with which, and where the threshold is from."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotations.errors import AnnotationError, UsageError
from evaluation.label_pairs import file_pairs
from evaluation.mask_figures import MaskMetrics, MaskSettings
from evaluation.mask_scores import MaskScores, score_masks
from evaluation.mask_text import scores_text
from evaluation.pixel_folders import ClassPixelMetrics, ProbabilityMetrics

LABELS = np.array([[0, 1, 1, 0], [0, 1, 7, 7], [0, 0, 7, 7]], np.uint16)
SPLITS = ("train", "val", "test")
QUICK = MaskSettings((0.5,), resamples=0)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def folders(root: Path, predicted: np.ndarray = LABELS) -> tuple[Path, Path]:
    for split in SPLITS:
        save(root / "truth" / split / "a.png", LABELS)
        save(root / "found" / split / "a.png", predicted)
    return root / "truth", root / "found"


def test_folders_of_splits_are_scored_apart(tmp_path: Path) -> None:
    truth, found = folders(tmp_path)
    save(found / "test" / "a.png", LABELS * 0)
    scores = score_masks("instance", truth, found, settings=QUICK)
    recall = {name: split.pooled[0].recall for name, split in scores.splits.items() if isinstance(split, MaskMetrics)}
    assert recall == {"train": 1.0, "val": 1.0, "test": 0.0}
    content = scores.to_json()
    assert content == json.loads(json.dumps(content, allow_nan=False))
    assert list(score_masks("instance", truth, found, splits=["test"], settings=QUICK).splits) == ["test"]


def test_predictions_of_one_split_will_do_for_that_split(tmp_path: Path) -> None:
    truth, _ = folders(tmp_path)
    flat = save(tmp_path / "flat" / "b.png", LABELS).parent
    save(truth / "test" / "b.png", LABELS)
    (truth / "test" / "a.png").unlink()
    with pytest.raises(AnnotationError, match=r"names of their own, got train/a\.png and val/a\.png"):
        score_masks("instance", truth, flat, settings=QUICK)
    scores = score_masks("instance", truth, flat, splits=["test"], settings=QUICK)
    assert [pair.name for pair in scores.pairs["test"]] == ["b"]
    # The same where the names of the splits are alike: those of train and val are not looked for.
    save(truth / "test" / "a.png", LABELS)
    save(flat / "a.png", LABELS)
    assert len(score_masks("instance", truth, flat, splits=["test"], settings=QUICK).pairs["test"]) == 2
    save(flat / "c.png", LABELS)
    with pytest.raises(AnnotationError, match=r"got none for c\.png"):
        score_masks("instance", truth, flat, splits=["test"], settings=QUICK)


def test_files_outside_the_folders_of_splits_take_no_part_and_are_counted(tmp_path: Path) -> None:
    truth, found = folders(tmp_path)
    for folder in (truth, found):
        save(folder / "stray.png", LABELS)
    scores = score_masks("instance", truth, found, settings=QUICK)
    assert scores.images_without_split == 1
    assert {name: len(pairs) for name, pairs in scores.pairs.items()} == dict.fromkeys(SPLITS, 1)
    assert "left out, without a split: 1 image" in scores_text(scores)


def test_one_name_in_two_splits_needs_splits_on_both_sides(tmp_path: Path) -> None:
    truth, _ = folders(tmp_path)
    flat = save(tmp_path / "flat" / "a.png", LABELS).parent
    with pytest.raises(AnnotationError, match=r"names of their own, got train/a\.png and val/a\.png"):
        file_pairs(truth, flat)


def test_two_files_are_a_pair_whatever_their_names(tmp_path: Path) -> None:
    one, other = save(tmp_path / "one.png", LABELS), save(tmp_path / "other.tif", LABELS)
    scores = score_masks("instance", one, other, settings=QUICK)
    assert [(pair.truth, pair.predicted) for pair in scores.pairs["all"]] == [(one, other)]


def test_pictures_are_found_by_name_in_a_split_or_flat(tmp_path: Path) -> None:
    truth, found = folders(tmp_path)
    flat = save(tmp_path / "flat" / "a.png", LABELS)
    assert {pair.picture for pair in file_pairs(truth, found, pictures=flat.parent).pairs} == {flat}
    assert {pair.picture for pair in file_pairs(truth, found, pictures=found).pairs} == {
        found / split / "a.png" for split in SPLITS
    }
    # A picture of one split is never that of another.
    apart = save(tmp_path / "apart" / "train" / "a.png", LABELS)
    assert {pair.split: pair.picture for pair in file_pairs(truth, found, pictures=apart.parents[1]).pairs} == {
        "train": apart,
        "val": None,
        "test": None,
    }
    save(tmp_path / "others" / "b.png", LABELS)
    with pytest.raises(UsageError, match="pictures must have the names of the label images, got none of them"):
        file_pairs(truth, found, pictures=tmp_path / "others")


def maps(root: Path, **best: int) -> tuple[Path, Path]:
    """Write maps in which the best threshold of each split is that many 20ths."""
    for split, step in best.items():
        save(root / "truth" / split / "a.png", LABELS)
        sure = np.where(LABELS > 0, (step + 0.5) / 20, (step - 0.5) / 20).astype(np.float32)
        save(root / "found" / split / "a.tif", sure)
    return root / "truth", root / "found"


def at(scores: MaskScores, split: str) -> float | None:
    metrics = scores.splits[split]
    assert isinstance(metrics, ProbabilityMetrics)
    assert scores.threshold is not None
    return metrics.sweep.at(scores.threshold.value).dice


def test_the_threshold_of_maps_is_chosen_on_val_also_for_test_alone(tmp_path: Path) -> None:
    truth, found = maps(tmp_path, train=4, val=10, test=14)
    for splits in (None, ["test"]):
        scores = score_masks("probability", truth, found, splits=splits)
        assert scores.threshold is not None
        assert (scores.threshold.value, scores.threshold.chosen_on) == (0.5, "val")
        # Everything is surer than 0.5 in test: 7 of 12 pixels are right, so Dice is 14 / 19.
        assert at(scores, "test") == pytest.approx(14 / 19)
    assert list(scores.splits) == ["test"]
    assert scores.to_json()["splits"]["test"]["at_threshold"]["dice"] == pytest.approx(14 / 19)


@pytest.mark.parametrize("splits", [None, ["test"]])
def test_without_val_train_chooses_the_threshold_of_maps(tmp_path: Path, splits: list[str] | None) -> None:
    truth, found = maps(tmp_path, train=4, test=14)
    scores = score_masks("probability", truth, found, splits=splits)
    assert scores.threshold is not None
    assert (scores.threshold.value, scores.threshold.chosen_on) == (0.2, "train")


def test_a_given_threshold_of_maps_is_one_of_the_sweep(tmp_path: Path) -> None:
    truth, found = maps(tmp_path, val=10, test=14)
    scores = score_masks("probability", truth, found, threshold=0.72)
    assert scores.threshold is not None
    assert scores.threshold.chosen_on == "given"
    assert at(scores, "test") == 1.0
    assert "at threshold 0.72 (given): Dice 1.000" in scores_text(scores)
    with pytest.raises(UsageError, match=r"threshold of probability maps must be 0 to 1, got -0\.1"):
        score_masks("probability", truth, found, threshold=-0.1)


def test_maps_without_any_truth_have_the_default_threshold(tmp_path: Path) -> None:
    save(tmp_path / "truth" / "a.png", LABELS * 0)
    save(tmp_path / "found" / "a.tif", np.full(LABELS.shape, 0.3, np.float32))
    scores = score_masks("probability", tmp_path / "truth", tmp_path / "found")
    assert scores.threshold is not None
    assert (scores.threshold.value, scores.threshold.chosen_on) == (0.5, "default")


def test_classes_must_be_known(tmp_path: Path) -> None:
    truth, found = folders(tmp_path)
    with pytest.raises(UsageError, match="classes must be given as NAME=VALUE"):
        score_masks("class", truth, found)
    scores = score_masks("class", truth, found, classes={"one": 1, "seven": 7})
    means = {split.mean_dice for split in scores.splits.values() if isinstance(split, ClassPixelMetrics)}
    assert means == {1.0}
    assert scores_text(scores).count("mean Dice 1.000") == 3


def test_a_split_without_images_has_reasons(tmp_path: Path) -> None:
    one, other = save(tmp_path / "a" / "1.png", LABELS).parent, save(tmp_path / "b" / "1.png", LABELS).parent
    scores = score_masks("instance", one, other, splits=["val"], settings=QUICK)
    (split,) = scores.splits.values()
    assert isinstance(split, MaskMetrics)
    assert split.pooled[0].undefined["f1"] == "no-images"
    with pytest.raises(UsageError, match="split must be one of train, val, test, all, got dev"):
        score_masks("instance", one, other, splits=["dev"])


def test_progress_counts_every_image_once(tmp_path: Path) -> None:
    truth, found = maps(tmp_path, train=4, val=10, test=14)
    told: list[tuple[int, int]] = []
    score_masks("probability", truth, found, splits=["test"], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_files_without_a_partner_are_left_out_and_named_when_asked(tmp_path: Path) -> None:
    truth, found = folders(tmp_path)
    save(truth / "test" / "b.png", LABELS)
    with pytest.raises(AnnotationError, match=r"got none for b\.png"):
        score_masks("instance", truth, found, settings=QUICK)
    scores = score_masks("instance", truth, found, settings=QUICK, lenient=True)
    assert scores.without_partner == (str(truth / "test" / "b.png"),)
    assert scores.to_json()["without_partner"] == [str(truth / "test" / "b.png")]
    assert f"left out, without a partner: {truth / 'test' / 'b.png'}" in scores_text(scores)
