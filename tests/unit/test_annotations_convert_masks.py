"""Converting with --masks and with pictures inside annotation files: the dataset as it is written, or not at all."""

import base64
import errno
import json
from pathlib import Path

import numpy as np
import pytest
from annotation_files import document, shape, write_json, write_png
from label_pictures import picture_bytes, write_labels, write_photograph

from annotations.convert import convert
from annotations.dataset import read_dataset
from annotations.errors import AnnotationError, UsageError
from annotations.label_files import read_label_image
from annotations.label_images import MaskKind
from annotations.pictures import read_picture

PARTS = {"fip": "qr_code"}


def labelme_folder(root: Path) -> Path:
    """Write an image with a code and its part, and one without objects."""
    code = shape(points=[[10, 10], [50, 10], [50, 50], [10, 50]], shape_type="polygon", group_id=1)
    part = shape("fip", [[12, 12], [20, 20]], group_id=1)
    write_json(root / "a.json", document(part, code, flags={"train": True}))
    write_json(root / "b.json", document(imagePath="b.png"))
    write_png(root / "img.png")
    write_png(root / "b.png")
    return root


@pytest.mark.parametrize(("kind", "part", "code"), [("instance", 1, 2), ("class", 2, 1)])
def test_label_images_are_written_with_the_dataset(tmp_path: Path, kind: MaskKind, part: int, code: int) -> None:
    report = convert(labelme_folder(tmp_path / "in"), tmp_path / "out", parts=PARTS, masks=kind)
    assert (report.exit_status, report.findings) == (0, ())
    dataset = read_dataset(tmp_path / "out")
    assert dataset.images.labels.tolist() == ["labels/a.png", "labels/b.png"]
    assert dataset.summary["masks"] == kind
    labels = read_label_image(tmp_path / "out" / "labels" / "a.png", (100, 80))
    # The polygon has the pixels that its corners lie in, 10 to 50; the rectangle those with centres in 12 to 20.
    assert (labels == part).sum() == 8 * 8
    assert (labels == code).sum() == 41 * 41 - 8 * 8
    assert not read_label_image(tmp_path / "out" / "labels" / "b.png").any()


def test_label_images_are_kept_when_a_dataset_is_converted_again(tmp_path: Path) -> None:
    convert(labelme_folder(tmp_path / "in"), tmp_path / "one", parts=PARTS, masks="instance")
    convert(tmp_path / "one", tmp_path / "two")
    for name in ("labels/a.png", "labels/b.png"):
        first, second = (read_label_image(tmp_path / place / name) for place in ("one", "two"))
        np.testing.assert_array_equal(first, second)


def test_pairs_become_a_dataset_with_label_images(tmp_path: Path) -> None:
    write_photograph(tmp_path / "in" / "train" / "images" / "a.jpg", 4, 3)
    write_labels(tmp_path / "in" / "train" / "masks" / "a.png", [[0, 9, 9, 0], [4, 0, 0, 0], [4, 0, 0, 0]])
    report = convert(tmp_path / "in", tmp_path / "out", classes=["cell"], masks="instance")
    assert (report.source_form, report.exit_status) == ("pairs", 0)
    dataset = read_dataset(tmp_path / "out")
    assert (dataset.classes, dataset.images.split.tolist()) == (("cell",), ["train"])
    labels = read_label_image(tmp_path / "out" / str(dataset.images.labels[0]))
    np.testing.assert_array_equal(labels, [[0, 2, 2, 0], [1, 0, 0, 0], [1, 0, 0, 0]])


def test_picture_inside_the_annotation_file_is_in_the_dataset(tmp_path: Path) -> None:
    data = picture_bytes("JPEG", 100, 80)
    write_json(tmp_path / "in" / "a.json", document(shape(), imageData=base64.b64encode(data).decode()))
    report = convert(tmp_path / "in", tmp_path / "out", parts={}, masks="instance")
    assert {finding.code for finding in report.findings} == {"missing-image", "embedded-image"}
    dataset = read_dataset(tmp_path / "out")
    assert dataset.images.path.tolist() == ["images/a.jpg"]
    assert read_picture(dataset.picture(0)).shape == (80, 100, 3)


@pytest.mark.parametrize("damage", ["!!!", "aGVsbG8=", ""])
def test_garbage_inside_the_annotation_file_leaves_the_path(tmp_path: Path, damage: str) -> None:
    write_json(tmp_path / "in" / "a.json", document(shape(), imageData=damage))
    report = convert(tmp_path / "in", tmp_path / "out", parts={})
    assert {finding.code for finding in report.findings} <= {"missing-image", "bad-embedded"}
    assert read_dataset(tmp_path / "out").images.path.tolist() == ["../in/img.png"]


def test_source_of_boxes_alone_has_no_masks(tmp_path: Path) -> None:
    convert(labelme_folder(tmp_path / "in"), tmp_path / "one", parts=PARTS)
    with pytest.raises(UsageError, match="masks: source must know the outlines"):
        convert(tmp_path / "one", tmp_path / "two", masks="instance")
    assert not (tmp_path / "two").exists()


def test_full_disk_leaves_no_half_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = labelme_folder(tmp_path / "in")
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "b.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AnnotationError, match="destination must be writable, got No space left on device"):
        convert(folder, tmp_path / "out", parts=PARTS, masks="instance")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_columns_of_a_dataset_without_masks_are_as_ever(tmp_path: Path) -> None:
    convert(labelme_folder(tmp_path / "in"), tmp_path / "out", parts=PARTS)
    assert not (tmp_path / "out" / "labels").exists()
    assert "labels" not in (tmp_path / "out" / "images.csv").read_text().splitlines()[0]
    assert "masks" not in json.loads((tmp_path / "out" / "dataset.json").read_text())
