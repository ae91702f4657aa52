"""The page and the tables of masks: sound, self-contained, equal to metrics.json, and of the right pictures."""

import base64
import csv
import io
import json
import re
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from page_reader import Page
from PIL import Image

from annotations.errors import PpnlabError, UsageError
from annotations.palette import GREEN, SKY, VERMILION, YELLOW, Colour
from evaluation.emptiness import MEANINGS
from evaluation.mask_figures import MaskSettings
from evaluation.mask_gallery import worst_masks
from evaluation.mask_remarks import mask_remarks
from evaluation.mask_report import MaskPageSettings, mask_page_html, write_mask_report
from evaluation.mask_scores import MASKS, MaskScores, score_masks
from evaluation.mask_tables import per_image_csv, pixels_csv, thresholds_csv

SPLITS = ("train", "val", "test")


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3:
        first, *rest = (Image.fromarray(page) for page in pixels)
        first.save(path, save_all=True, append_images=rest)
    else:
        Image.fromarray(pixels).save(path)
    return path


def squares(*corners: tuple[int, int], size: int = 60) -> np.ndarray:
    """Return a label image with squares of 10 pixels, numbered from 1."""
    labels = np.zeros((size, size), np.uint16)
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + 10, x : x + 10] = number
    return labels


TRUTH = squares((5, 5), (30, 5))
FOUND = squares((5, 6), (30, 40))


def scored(root: Path, masks: str, truth: np.ndarray = TRUTH, found: np.ndarray = FOUND) -> MaskScores:
    for split in SPLITS:
        save(root / "truth" / split / "a.png", truth)
        save(root / "truth" / split / "b.png", truth)
        save(root / "images" / split / "a.png", np.full(truth.shape, 90, np.uint8))
        predicted = np.where(found > 0, 200, 20).astype(np.uint8) if masks == "probability" else found
        save(root / "found" / split / "a.png", predicted)
        save(root / "found" / split / "b.png", predicted)
    settings = MaskSettings(resamples=20)
    classes = {"one": 1, "two": 2} if masks == "class" else None
    sources = root / "truth", root / "found"
    return score_masks(masks, *sources, settings=settings, classes=classes, pictures=root / "images")


def pictures(text: str) -> list[np.ndarray]:
    found = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', text)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(code), np.uint8), cv2.IMREAD_COLOR_RGB) for code in found]


def has(picture: np.ndarray, colour: Colour) -> bool:
    return bool((np.abs(picture.astype(int) - np.array(colour)).max(axis=2) < 25).sum() > 20)


@pytest.mark.parametrize("masks", MASKS)
def test_the_page_is_sound_and_needs_nothing_beside_it(tmp_path: Path, masks: str) -> None:
    text = mask_page_html(scored(tmp_path, masks), MaskPageSettings(facts={"command": "ppnlab score"}))
    page = Page(text)
    assert (page.faults, page.open) == ([], [])
    loaded = [value for _, name, value in page.attributes if name in ("src", "href", "xlink:href", "data", "action")]
    assert all(value.startswith(("#", "data:image/jpeg;base64,")) for value in loaded)
    targets = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for value in loaded if value.startswith("#")} <= targets
    assert {"script", "link", "iframe"}.isdisjoint(page.tags)
    bare = re.sub(r"base64,[A-Za-z0-9+/=]*", "", text)
    assert "http" not in bare
    assert str(tmp_path) not in bare
    assert "None" not in page.text
    assert "nan" not in page.text.lower().split()


@pytest.mark.parametrize("masks", MASKS)
def test_the_page_shows_the_figures_of_metrics_json(tmp_path: Path, masks: str) -> None:
    scores = scored(tmp_path, masks)
    path = write_mask_report(tmp_path / "report", scores)
    content = json.loads((tmp_path / "report" / "metrics.json").read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(scores.to_json()))
    text = Page(path.read_text(encoding="utf-8")).text
    for split in content["splits"].values():
        if masks == "instance":
            rows = [(row, ("panoptic_quality", "f1", "precision", "mean_true_score")) for row in split["pooled"]]
            rows.append((split["foreground"], ("dice", "l1_error", "l1_error_of_background")))
        elif masks == "class":
            rows = [(row, ("dice", "iou", "recall", "l1_error")) for row in split["classes"].values()]
        else:
            rows = [(split["at_threshold"], ("dice", "iou", "l1_error", "l1_error_of_background"))]
            rows += [(row, ("dice",)) for row in split["sweep"]["thresholds"]]
        for row, names in rows:
            assert all(row[name] is None or f"{row[name]:.3f}" in text for name in names)


def test_objects_are_outlined_by_what_became_of_them(tmp_path: Path) -> None:
    first, second = worst_masks(scored(tmp_path, "instance"), "test", 5)
    assert (first.name, first.caption) == ("a", "1 missed, 1 false")
    assert (first.width, first.height) == (480, 480)  # eight times: each pixel a square
    picture = pictures(f'<img src="{first.uri}"')[0]
    assert has(picture[:200, :200], GREEN)
    assert has(picture[:200, :200], SKY)
    assert has(picture[200:, :200], YELLOW)
    assert has(picture[200:, 280:], VERMILION)
    assert not has(picture[:200], VERMILION)
    # One has a picture behind it, which is plain and so black when stretched; the other has none.
    assert picture[-1, -1].max() < 10
    assert 30 < pictures(f'<img src="{second.uri}"')[0][-1, -1].mean() < 50


@pytest.mark.parametrize("masks", ["class", "probability"])
def test_pixels_are_tinted_by_what_became_of_them(tmp_path: Path, masks: str) -> None:
    (first, _) = worst_masks(scored(tmp_path, masks), "test", 5)
    # Each square is 100 pixels; one is moved by a column, the other is elsewhere.
    assert first.caption == "220 of 3,600 pixels wrong"


def test_a_faultless_split_shows_no_picture(tmp_path: Path) -> None:
    text = mask_page_html(scored(tmp_path, "instance", found=TRUTH))
    assert pictures(text) == []
    assert "No image of this split has an error." in text


def test_of_a_stack_the_worst_slice_is_shown(tmp_path: Path) -> None:
    truth = np.stack([squares((5, 5))] * 4)
    found = truth.copy()
    found[2, 40:50, 40:50] = 2
    save(tmp_path / "truth.tif", truth)
    save(tmp_path / "found.tif", found)
    scores = score_masks("instance", tmp_path / "truth.tif", tmp_path / "found.tif", settings=MaskSettings((0.5,)))
    (shown,) = worst_masks(scores, "all", 5)
    assert shown.caption == "0 missed, 1 false, slice 3 of 4"
    assert has(pictures(f'<img src="{shown.uri}"')[0], VERMILION)


def test_of_a_large_picture_the_part_with_most_errors_is_shown(tmp_path: Path) -> None:
    truth = np.zeros((40, 3000), np.uint16)
    truth[10:20, 5:15] = 1
    found = truth.copy()
    found[20:30, 1500:1520], found[20:30, 2985:2995] = 2, 3
    picture = np.zeros((40, 3000), np.uint8)
    picture[:, 1500:1600] = 255
    places = {"truth": save(tmp_path / "a.png", truth), "found": save(tmp_path / "b.png", found)}
    scores = score_masks(
        "instance",
        places["truth"],
        places["found"],
        settings=MaskSettings((0.5,)),
        pictures=save(tmp_path / "c.png", picture),
    )
    (shown,) = worst_masks(scores, "all", 5)
    # Windows are 1,024 wide and begin at each 64th pixel: 512 is the first whose window has all of the larger error.
    assert shown.caption == "0 missed, 2 false, the part from x 512, y 0"
    drawn = pictures(f'<img src="{shown.uri}"')[0]
    assert drawn.shape == (40, 1024, 3)
    assert has(drawn[:, 1500 - 512 : 1520 - 512], VERMILION)
    assert not has(drawn[:, : 1490 - 512], VERMILION)
    # The picture behind is cut in the same way: white from 1500 on.
    assert drawn[35, 1400 - 512].max() < 40
    assert drawn[35, 1530 - 512].min() > 215


def test_a_picture_that_does_not_fit_is_told_and_left_out(tmp_path: Path) -> None:
    scores = scored(tmp_path, "instance")
    save(tmp_path / "images" / "test" / "a.png", np.zeros((5, 5), np.uint8))
    assert worst_masks(scores, "test", 1)[0].caption.endswith("its picture is of another size")
    (tmp_path / "images" / "test" / "a.png").write_bytes(b"rubbish")
    assert worst_masks(scores, "test", 1)[0].caption.endswith("its picture cannot be read")


def test_a_coloured_picture_is_shown_in_its_colours(tmp_path: Path) -> None:
    scores = scored(tmp_path, "instance")
    colours = np.zeros((60, 60, 3), np.uint8)
    colours[..., 0] = 200
    Image.fromarray(colours).save(tmp_path / "images" / "test" / "a.png")
    corner = pictures(f'<img src="{worst_masks(scores, "test", 1)[0].uri}"')[0][-1, -1]
    assert corner[0] > 180
    assert corner[1] < 30


@pytest.mark.parametrize("masks", MASKS)
def test_figures_without_value_are_a_dash_with_its_reason(tmp_path: Path, masks: str) -> None:
    scores = scored(tmp_path, masks, truth=TRUTH * 0, found=TRUTH * 0)
    if masks == "probability":
        scores = score_masks(masks, tmp_path / "truth", tmp_path / "found", threshold=0.9)
    text = Page(mask_page_html(scores)).text
    assert f"–{MEANINGS['no-truth-and-no-detections']}" in text
    if masks == "instance":
        assert f"–{MEANINGS['no-matches']}" in text
    nothing = score_masks(
        masks, tmp_path / "truth", tmp_path / "found", splits=["all"], classes={"one": 1}, threshold=0.5
    )
    assert Page(mask_page_html(nothing)).faults == []


@pytest.mark.parametrize("masks", MASKS)
def test_a_page_of_no_images_is_made(tmp_path: Path, masks: str) -> None:
    save(tmp_path / "truth.png", TRUTH)
    predicted = save(tmp_path / "found.png", TRUTH.astype(np.uint8))
    scores = score_masks(masks, tmp_path / "truth.png", predicted, splits=["val"], classes={"one": 1}, threshold=0.5)
    page = Page(mask_page_html(scores))
    assert (page.faults, page.open) == ([], [])
    assert MEANINGS["no-images"] in page.text
    assert "This split has no images." in page.text


def test_names_from_the_data_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>&\"'"
    save(tmp_path / "truth" / f"{evil}.png", TRUTH)
    save(tmp_path / "found" / f"{evil}.png", FOUND)
    scores = score_masks("class", tmp_path / "truth", tmp_path / "found", classes={f"{evil}$": 1, "b": 2})
    text = mask_page_html(scores)
    assert evil not in text
    assert Page(text).faults == []
    assert evil in Page(text).text


def test_the_tables_hold_the_figures_of_metrics_json(tmp_path: Path) -> None:
    scores = scored(tmp_path, "instance")
    rows = list(csv.DictReader(io.StringIO(thresholds_csv(scores) or "")))
    pooled = scores.to_json()["splits"]["val"]["pooled"][4]
    (row,) = [row for row in rows if (row["split"], row["iou_threshold"]) == ("val", "0.5")]
    assert float(row["panoptic_quality"]) == pooled["panoptic_quality"]
    assert [float(row[f"f1{end}"]) for end in ("_low", "_high")] == pooled["f1_ci"]
    assert (row["tp"], row["fp"], row["fn"], row["precision_mean"]) == ("2", "2", "2", "0.5")
    strict = next(row for row in rows if row["iou_threshold"] == "0.9")
    assert (strict["mean_matched_score"], strict["undefined"]) == ("", "mean_matched_score:no-matches")
    images = list(csv.DictReader(io.StringIO(per_image_csv(scores))))
    assert len(images) == 3 * 2 * 9
    assert {row["size"] for row in images} == {"60 x 60"}
    (pixels, *_) = csv.DictReader(io.StringIO(pixels_csv(scores)))
    assert (pixels["class"], pixels["hit"], pixels["pixels"]) == ("foreground", "180", "7200")


@pytest.mark.parametrize("masks", ["class", "probability"])
def test_the_tables_of_pixels_have_every_image_and_class(tmp_path: Path, masks: str) -> None:
    scores = scored(tmp_path, masks)
    images = list(csv.DictReader(io.StringIO(per_image_csv(scores))))
    assert len(images) == 3 * 2 * (2 if masks == "class" else 1)
    assert sum(int(row["wrong"]) for row in images) == 3 * 2 * 220
    assert (thresholds_csv(scores) is None) == (masks == "class")


def test_a_report_of_classes_removes_the_thresholds_of_one_before(tmp_path: Path) -> None:
    write_mask_report(tmp_path / "report", scored(tmp_path / "a", "instance"))
    assert (tmp_path / "report" / "thresholds.csv").is_file()
    (tmp_path / "report" / "mine.txt").write_text("mine")
    write_mask_report(tmp_path / "report", scored(tmp_path / "b", "class"))
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"metrics.json", "mine.txt", "per_image.csv", "pixels.csv", "report.html"}


def test_a_report_where_a_file_stands_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    with pytest.raises(PpnlabError, match=r"report: report must be a directory, got a file"):
        write_mask_report(tmp_path / "report", scored(tmp_path, "instance"))


def test_a_gallery_of_another_split_is_asked_for_by_name(tmp_path: Path) -> None:
    scores = scored(tmp_path, "instance")
    text = mask_page_html(scores, MaskPageSettings(gallery_splits=("train", "val"), gallery=1))
    assert len(pictures(text)) == 2
    with pytest.raises(UsageError, match="gallery split must be one of train, val, test, got dev"):
        mask_page_html(scores, MaskPageSettings(gallery_splits=("dev",)))


@cache
def rare() -> tuple[np.ndarray, np.ndarray]:
    truth = squares((5, 5))
    found = truth.copy()
    found[30:50, 30:50] = 2
    return truth, found


def test_remarks_say_what_a_reader_must_know(tmp_path: Path) -> None:
    assert mask_remarks(scored(tmp_path / "fine", "instance", found=TRUTH)) == []
    nothing = mask_remarks(scored(tmp_path / "none", "instance", found=TRUTH * 0))
    assert nothing[0].startswith("Nothing of foreground is predicted on train, which has 400 pixels of it")
    truth, found = rare()
    much = mask_remarks(scored(tmp_path / "much", "instance", truth, found))
    # 400 pixels of 3,600 are wrong, and 100 are of the class.
    assert "is no better than a picture of background alone (0.02778)" in much[0]
    maps = mask_remarks(scored(tmp_path / "maps", "probability", truth, found))
    assert maps[0].startswith("Dice, IoU, precision and recall on val are flattering")
    assert "a picture of background alone is as good as the best mask" in maps[1]


def test_images_of_one_name_in_several_splits_are_told_apart(tmp_path: Path) -> None:
    scored(tmp_path, "instance", found=TRUTH)
    save(tmp_path / "found" / "val" / "b.png", TRUTH * 0)
    whole = score_masks("instance", tmp_path / "truth", tmp_path / "found", splits=["all"])
    (shown,) = worst_masks(whole, "all", 9)
    assert (shown.name, shown.caption) == ("val/b", "2 missed, 0 false")


def test_files_left_out_are_named_without_their_folders(tmp_path: Path) -> None:
    scored(tmp_path, "instance", found=TRUTH)
    for number in range(7):
        save(tmp_path / "truth" / "test" / f"more{number}.png", TRUTH)
    scores = score_masks("instance", tmp_path / "truth", tmp_path / "found", lenient=True)
    (remark,) = mask_remarks(scores)
    assert remark.startswith("7 files without a partner took no part: more0.png, more1.png")
    assert remark.endswith("more4.png and 2 more.")


def test_a_gap_between_train_and_unseen_images_is_told(tmp_path: Path) -> None:
    scored(tmp_path, "instance", found=TRUTH)
    save(tmp_path / "found" / "val" / "a.png", FOUND)
    (remark, *_) = mask_remarks(score_masks("instance", tmp_path / "truth", tmp_path / "found"))
    assert remark.startswith("Panoptic quality on train is 0.295 above val (1.000 against 0.705)")


def test_the_page_says_why_there_is_no_interval(tmp_path: Path) -> None:
    one = scored(tmp_path, "instance")
    assert "Below a figure: its 95 % interval." in Page(mask_page_html(one)).text
    truth, found = tmp_path / "truth" / "val" / "a.png", tmp_path / "found" / "val" / "a.png"
    text = Page(mask_page_html(score_masks("instance", truth, found))).text
    assert f"No interval: {MEANINGS['too-few-images']}." in text
    assert "Below a figure" not in text


def test_the_page_says_the_trap_in_a_sentence(tmp_path: Path) -> None:
    text = Page(mask_page_html(scored(tmp_path, "probability", *rare()))).text
    assert "The trap on test:" in text
    assert "choose the threshold by Dice" in text
