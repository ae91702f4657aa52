"""pycocotools takes our COCO JSON as it is, and reads from it what we wrote; its masks are ours."""

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from form_sets import box_dataset, write_form
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from annotations.label_images import write_label_images
from annotations.patches import box_patch
from annotations.tables import BoxDataset, pixels

ROWS = [
    {"image_id": "one", "split": "train", "flags": "dark"},
    {"image_id": "two", "split": "train"},
    {"image_id": "three", "split": "test", "size": (33, 17)},
]
BOXES = [
    {"image": 0, "label": "qr_code", "xyxy": [1.25, 2.5, 40 / 3, 20.125], "group": "0"},
    {"image": 0, "label": "fip", "xyxy": [2, 3, 5, 6], "parent": 0, "group": "0"},
    {"image": 0, "label": "qr_code", "xyxy": [50, 30, 90, 60], "shape_type": "polygon"},
    {"image": 2, "label": "qr_code", "xyxy": [0, 0, 33, 17]},
]


@pytest.fixture
def dataset(tmp_path: Path) -> BoxDataset:
    return box_dataset(tmp_path / "in", ROWS, BOXES, parts={"fip": "qr_code"})


def opened(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_pycocotools_opens_each_split_and_finds_our_boxes(tmp_path: Path, dataset: BoxDataset) -> None:
    write_form("coco", tmp_path / "out", dataset)
    boxes = pixels(dataset.images, dataset.annotations.image_row, dataset.annotations.xyxy_rel)
    for split, images, annotations in (("train", [1, 2], [1, 2, 3]), ("test", [3], [4])):
        coco = opened(tmp_path / "out" / "annotations" / f"instances_{split}.json")
        assert sorted(coco.getImgIds()) == images
        assert sorted(coco.getAnnIds()) == annotations
        assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["qr_code", "fip"]
        for number in annotations:
            x, y, width, height = coco.loadAnns(number)[0]["bbox"]
            np.testing.assert_allclose([x, y, x + width, y + height], boxes[number - 1], rtol=0, atol=1e-9)
        for image in coco.loadImgs(images):
            assert (tmp_path / "out" / image["file_name"]).is_file()
    assert not (tmp_path / "out" / "annotations" / "instances_all.json").exists()


def test_pycocotools_scores_our_own_boxes_as_perfect(tmp_path: Path, dataset: BoxDataset) -> None:
    write_form("coco", tmp_path / "out", dataset)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "out" / "annotations" / "instances_train.json"))
        found = [
            {key: entry[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.5}
            for entry in truth.dataset["annotations"]
        ]
        score = COCOeval(truth, truth.loadRes(found), "bbox")
        score.evaluate()
        score.accumulate()
        score.summarize()
    assert score.stats[0] == 1.0


def test_images_without_splits_are_one_file(tmp_path: Path, dataset: BoxDataset) -> None:
    bare = replace(dataset, images=replace(dataset.images, split=np.full(3, "")))
    write_form("coco", tmp_path / "out", bare)
    assert [path.name for path in (tmp_path / "out" / "annotations").iterdir()] == ["instances_all.json"]
    assert len(opened(tmp_path / "out" / "annotations" / "instances_all.json").getImgIds()) == 3


def test_an_empty_dataset_is_a_file_too(tmp_path: Path) -> None:
    write_form("coco", tmp_path / "out", box_dataset(tmp_path / "in", [], [], classes=[]))
    assert opened(tmp_path / "out" / "annotations" / "instances_all.json").getImgIds() == []


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools itself
def test_pycocotools_decodes_our_segmentations(tmp_path: Path, dataset: BoxDataset) -> None:
    boxes = pixels(dataset.images, dataset.annotations.image_row, dataset.annotations.xyxy_rel).round()
    rows = dataset.annotations.image_row

    def patches(row: int) -> list[object]:
        width, height = int(dataset.images.width[row]), int(dataset.images.height[row])
        return [box_patch(box, width, height) for box in boxes[rows == row].tolist()]

    images, _ = write_label_images(dataset.root, dataset.images, dataset.annotations, patches, "instance")
    labelled = replace(dataset, images=images, summary={"masks": "instance"})
    assert write_form("coco", tmp_path / "out", labelled) == []
    coco = opened(tmp_path / "out" / "annotations" / "instances_train.json")
    for entry in coco.loadAnns(coco.getAnnIds()):
        left, top, right, bottom = boxes[entry["id"] - 1].astype(int)
        expected = np.zeros((64, 96), np.uint8)
        expected[top:bottom, left:right] = 1
        np.testing.assert_array_equal(coco.annToMask(entry), expected)
        assert entry["area"] == expected.sum()


def test_pandas_reads_our_reference_csv(tmp_path: Path, dataset: BoxDataset) -> None:
    write_form("csv", tmp_path / "out", dataset)
    names = sorted(path.name for path in (tmp_path / "out").glob("*.csv"))
    assert names == ["objects_test.csv", "objects_train.csv", "parts_test.csv", "parts_train.csv"]
    objects = pd.read_csv(tmp_path / "out" / "objects_train.csv")
    parts = pd.read_csv(tmp_path / "out" / "parts_train.csv")
    columns = "image_id,image_height,image_width,object_id,class,xmin,ymin,xmax,ymax"
    assert ",".join(objects.columns) == ",".join(parts.columns) == columns
    assert objects["image_height"].tolist() == [64, 64]
    assert objects.loc[0, "xmax"] == 40 / 3
    assert parts["object_id"].tolist() == [objects.loc[0, "object_id"]]
    assert pd.read_csv(tmp_path / "out" / "parts_test.csv").empty


def test_json_is_plain(tmp_path: Path, dataset: BoxDataset) -> None:
    write_form("coco", tmp_path / "out", dataset)
    document = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    assert document["images"][0]["file_name"] == "images/one.png"
    assert document["images"][0]["flags"] == ["dark"]
    assert document["annotations"][1]["parent_id"] == document["annotations"][0]["id"]
    assert document["info"]["ppnlab"]["parts"] == {"fip": "qr_code"}
    assert [category["supercategory"] for category in document["categories"]] == ["", "qr_code"]
