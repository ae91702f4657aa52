"""A class that val has and train has not: said by name, and trained past."""

from pathlib import Path

import pytest
from detector_samples import QUICK, Watch, annotations_table, drawn_dataset, images_table

from annotations.dataset import read_dataset, write_dataset
from annotations.pictures import read_picture, write_picture
from annotations.tables import BoxDataset
from detector import training
from evaluation.monitor import monitor_ap


def data_with(place: Path, of_train: set[int], of_val: set[int]) -> Path:
    """A data set of two images, with a box of each of these classes in train's and in val's."""
    drawn_dataset(place / "drawn", {"train": 1, "val": 1}, parts=False)
    (place / "pictures").mkdir()
    for number in (0, 1):
        picture = place / "pictures" / f"s{number}.png"
        write_picture(picture, read_picture(place / "drawn" / "pictures" / picture.name))
    boxes = [
        (row, class_id, [0.1, 0.1, 0.4, 0.4])
        for row, some in enumerate((of_train, of_val))
        for class_id in sorted(some)
    ]
    images = images_table(["pictures/s0.png", "pictures/s1.png"], ["train", "val"], (96, 96))
    data = BoxDataset(place, ("apple", "pear", "plum"), {}, images, annotations_table(boxes))
    write_dataset(place / "data", data, [], command="test")
    return place / "data"


@pytest.mark.parametrize(
    ("of_train", "of_val", "said"),
    [
        ({0, 1, 2}, {0}, []),
        ({0, 1}, {0, 1}, []),
        ({0}, {0, 2}, ["plum: train must hold it to be learnt, got no box of it, and 1 in val"]),
    ],
)
def test_a_class_that_train_lacks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_train: set[int], of_val: set[int], said: list[str]
) -> None:
    place, watch = data_with(tmp_path, of_train, of_val), Watch()
    monkeypatch.setattr(training, "_train", lambda *given: None)
    training.start(place, tmp_path / "run", QUICK, monitor_ap, watch, "test")
    assert [note for note in watch.notes if "to be learnt" in note] == said


@pytest.mark.slow
def test_a_training_goes_past_a_class_that_train_lacks(tmp_path: Path) -> None:
    place, watch = data_with(tmp_path, {0}, {0, 2}), Watch()
    done = training.start(place, tmp_path / "run", QUICK, monitor_ap, watch, "test")
    assert done.epochs == QUICK.epochs
    # Of three classes one is in val and cannot be found, one is in neither.
    assert watch.rows[-1]["val_ap50/plum"] == 0
    assert watch.rows[-1]["val_ap50/pear"] is None
    assert read_dataset(place).classes == ("apple", "pear", "plum")
