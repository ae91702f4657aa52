"""Ultralytics' own loader takes the YOLO folders that are written, as they are."""

from pathlib import Path

import numpy as np
import pytest
from form_sets import box_dataset, read_form, write_form

pytest.importorskip("ultralytics", reason="Ultralytics is not installed: it needs PyTorch")
from ultralytics.data import YOLODataset
from ultralytics.data.utils import check_det_dataset

ROWS = [
    {"image_id": "a", "split": "train"},
    {"image_id": "empty", "split": "train"},
    {"image_id": "x/images/b", "split": "val"},
    {"image_id": "x/c.d", "split": "test"},
    {"image_id": "unsplit"},
]
BOXES = [
    {"image": 0, "label": "qr_code", "xyxy": (0, 0, 96, 64)},
    {"image": 0, "label": "fip", "xyxy": (1 / 3, 2.25, 7.7, 9), "parent": 0},
    {"image": 2, "label": "no", "xyxy": (95.999, 63.999, 96, 64)},
    {"image": 3, "label": "a: b #c", "xyxy": (10, 20, 30, 40)},
    {"image": 4, "label": "fip", "xyxy": (10, 20, 30, 40)},
]
CLASSES = ["qr_code", "fip", "no", "a: b #c", "1e3"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dataset = box_dataset(tmp_path / "in", ROWS, BOXES, CLASSES, {"fip": "qr_code"})
    write_form("yolo", tmp_path / "out", dataset)
    return tmp_path / "out"


def test_ultralytics_reads_the_classes_and_the_splits(folder: Path) -> None:
    data = check_det_dataset(folder / "data.yaml", autodownload=False)
    assert list(data["names"].values()) == CLASSES
    assert data["nc"] == len(CLASSES)
    assert [Path(data[split]) for split in ("train", "val", "test")] == [
        folder.resolve() / "images" / split for split in ("train", "val", "test")
    ]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_ultralytics_loads_every_image_and_box(folder: Path, split: str) -> None:
    data = check_det_dataset(folder / "data.yaml", autodownload=False)
    loaded = YOLODataset(img_path=data[split], data=data, task="detect", augment=False, imgsz=96).labels
    back = read_form("yolo", folder).dataset
    rows = back.images.rows_of(split)
    assert sorted(Path(label["im_file"]) for label in loaded) == sorted(back.picture(row) for row in rows.tolist())
    for label in loaded:
        path = Path(label["im_file"]).relative_to(folder.resolve()).as_posix()
        (row,) = np.flatnonzero(back.images.path == path)
        mine = back.annotations.take(back.annotations.image_row == row)
        xy, wh = label["bboxes"][:, :2], label["bboxes"][:, 2:]
        order = np.lexsort(np.concatenate([xy - wh / 2, xy + wh / 2], axis=1).round(3).T)
        ours = np.lexsort(mine.xyxy_rel.round(3).T)
        assert label["cls"][order, 0].tolist() == mine.class_id[ours].tolist()
        theirs = np.concatenate([xy - wh / 2, xy + wh / 2], axis=1)[order].reshape(-1, 4)
        np.testing.assert_allclose(theirs, mine.xyxy_rel[ours], rtol=0, atol=1e-6)  # theirs are float32


def test_ultralytics_loads_images_without_any_split_as_train(tmp_path: Path) -> None:
    dataset = box_dataset(tmp_path / "in", ROWS[-1:], [{**BOXES[-1], "image": 0}], CLASSES)
    write_form("yolo", tmp_path / "out", dataset)
    data = check_det_dataset(tmp_path / "out" / "data.yaml", autodownload=False)
    loaded = YOLODataset(img_path=data["train"], data=data, task="detect", augment=False, imgsz=96).labels
    assert [label["cls"].tolist() for label in loaded] == [[[1.0]]]
    assert read_form("yolo", tmp_path / "out").dataset.images.split.tolist() == [""]
