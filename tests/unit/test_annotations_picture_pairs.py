"""Pictures beside label images: which belong together, their objects, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from annotation_files import SHARED
from label_pictures import picture_bytes, write_labels, write_photograph
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from annotations.drawn import Reading
from annotations.errors import AnnotationError, UsageError
from annotations.forms import ReadOptions
from annotations.label_files import read_label_image
from annotations.label_images import MaskKind, write_label_images
from annotations.naming import Naming
from annotations.picture_pairs import read_pairs
from annotations.tables import pixels

NUMBERS = np.array(
    [
        [0, 5, 5, 0, 0],
        [0, 5, 0, 0, 9],
        [0, 0, 0, 0, 9],
        [9, 0, 0, 0, 0],
    ]
)


def read(
    root: Path,
    masks: MaskKind | None = None,
    classes: tuple[str, ...] | None = None,
    parts: dict[str, str] | None = None,
    rename: dict[str, str] | None = None,
    **options: object,
) -> Reading:
    return read_pairs(root, Naming(parts or {}, classes, rename or {}), ReadOptions(masks, **options))


def pair(root: Path, name: str = "a", numbers: ArrayLike = NUMBERS, mode: str | None = None) -> None:
    """Write a picture and its label image below images/ and masks/."""
    write_labels(root / "masks" / f"{name}.png", numbers, mode)
    height, width = np.shape(numbers)
    write_photograph(root / "images" / f"{name}.jpg", width, height)


def boxes(reading: Reading) -> list[list[float]]:
    table = reading.dataset.annotations
    return pixels(reading.dataset.images, table.image_row, table.xyxy_rel).round(9).tolist()


def labels(reading: Reading) -> list[str]:
    return [reading.dataset.classes[row] for row in reading.dataset.annotations.class_id]


def codes(reading: Reading) -> list[str]:
    return sorted(finding.code for finding in reading.findings)


def test_each_number_is_an_object_with_the_box_around_its_pixels(tmp_path: Path) -> None:
    pair(tmp_path)
    found = read(tmp_path)
    assert boxes(found) == [[1, 0, 3, 2], [0, 1, 5, 4]]
    assert labels(found) == ["object", "object"]
    table = found.dataset.annotations
    assert (table.group_id.tolist(), table.shape_type.tolist()) == (["5", "9"], ["mask", "mask"])
    images = found.dataset.images
    assert (images.path.tolist(), images.source.tolist()) == (["images/a.jpg"], ["masks/a.png"])
    assert (images.width.tolist(), images.height.tolist(), images.image_id.tolist()) == ([5], [4], ["a"])
    assert codes(found) == []


def test_pixels_of_the_label_image_come_back_renumbered(tmp_path: Path) -> None:
    pair(tmp_path / "in")
    found = read(tmp_path / "in")
    assert found.patches is not None
    after, findings = write_label_images(
        tmp_path, found.dataset.images, found.dataset.annotations, found.patches, "instance"
    )
    expected = np.select([NUMBERS == 5, NUMBERS == 9], [1, 2])
    np.testing.assert_array_equal(read_label_image(tmp_path / str(after.labels[0])), expected)
    assert findings == []


@pytest.mark.parametrize(
    ("picture", "label", "image_id", "split"),
    [
        ("images/a.jpg", "labels/a.png", "a", ""),
        ("images/a.jpg", "masks/a_mask.png", "a", ""),
        ("Images/a.jpg", "Masks/a.tif", "a", ""),
        ("train/images/a.jpg", "train/masks/a.png", "a", "train"),
        ("images/valid/a.jpg", "labels/valid/a.png", "a", "val"),
        ("data/test/images/deep/a.b.jpg", "data/test/labels/deep/a.b.png", "a.b", "test"),
        ("a.jpg", "a_mask.png", "a", ""),
        ("deep/a.png", "deep/a_label.png", "a", ""),
        ("images/a.png", "images/a_labels.tiff", "a", ""),
        ("images/a_mask.jpg", "masks/a_mask.png", "a_mask", ""),
    ],
)
def test_picture_and_label_image_are_paired_by_name(
    tmp_path: Path, picture: str, label: str, image_id: str, split: str
) -> None:
    write_photograph(tmp_path / picture, 5, 4)
    write_labels(tmp_path / label, NUMBERS)
    found = read(tmp_path)
    images = found.dataset.images
    assert (images.path.tolist(), images.source.tolist()) == ([picture], [label])
    assert (images.image_id.tolist(), images.split.tolist(), codes(found)) == ([image_id], [split], [])


def test_pictures_of_one_name_in_two_splits_are_two_images(tmp_path: Path) -> None:
    pair(tmp_path / "train")
    pair(tmp_path / "val")
    assert read(tmp_path).dataset.images.image_id.tolist() == ["train/a", "val/a"]


def test_folders_of_two_splits_give_none(tmp_path: Path) -> None:
    pair(tmp_path / "train" / "test")
    found = read(tmp_path)
    assert (found.dataset.images.split.tolist(), codes(found)) == ([""], ["several-splits"])


def test_files_without_a_partner_are_told_and_left_out(tmp_path: Path) -> None:
    pair(tmp_path)
    write_photograph(tmp_path / "images" / "b.jpg", 5, 4)
    write_labels(tmp_path / "masks" / "c.png", NUMBERS)
    write_photograph(tmp_path / "images" / "d.jpg", 5, 4)
    write_photograph(tmp_path / "images" / "d.png", 5, 4)
    write_labels(tmp_path / "masks" / "d.png", NUMBERS)
    found = read(tmp_path)
    assert found.dataset.images.image_id.tolist() == ["a"]
    told = {finding.source: finding.message for finding in found.findings if finding.code == "unpaired"}
    assert list(told) == ["images/b.jpg", "masks/c.png", "masks/d.png"]
    assert "got images/d.jpg and images/d.png" in told["masks/d.png"]


def test_pictures_that_lie_apart_are_found_in_their_folder(tmp_path: Path) -> None:
    write_labels(tmp_path / "in" / "a.png", NUMBERS)
    write_labels(tmp_path / "in" / "b_mask.png", NUMBERS)
    for name in ("a", "b", "c"):
        write_photograph(tmp_path / "photos" / f"{name}.png", 5, 4)
    found = read(tmp_path / "in", pictures=tmp_path / "photos")
    assert found.dataset.images.path.tolist() == ["../photos/a.png", "../photos/b.png"]
    assert codes(found) == []
    (tmp_path / "photos").rename(tmp_path / "in" / "deep")
    found = read(tmp_path / "in", pictures=tmp_path / "in" / "deep")
    assert found.dataset.images.path.tolist() == ["deep/a.png", "deep/b.png"]


def test_pictures_are_not_opened_where_nobody_wants_them_checked(tmp_path: Path) -> None:
    pair(tmp_path)
    (tmp_path / "images" / "a.jpg").write_text("no picture")
    assert codes(read(tmp_path)) == ["unreadable-image"]
    assert boxes(read(tmp_path, check_images=False)) == [[1, 0, 3, 2], [0, 1, 5, 4]]


@pytest.mark.parametrize(
    ("classes", "rename", "expected"),
    [
        (None, {}, "object"),
        (("cell",), {}, "cell"),
        (None, {"object": "cell"}, "cell"),
        (("a", "object"), {}, "object"),
    ],
)
def test_objects_have_the_one_class_or_are_objects(
    tmp_path: Path, classes: tuple[str, ...] | None, rename: dict[str, str], expected: str
) -> None:
    pair(tmp_path)
    found = read(tmp_path, classes=classes, rename=rename)
    assert labels(found) == [expected, expected]


def test_several_classes_for_objects_are_refused_with_the_way_out(tmp_path: Path) -> None:
    pair(tmp_path)
    with pytest.raises(UsageError, match="must be one, got a, b; say --masks class"):
        read(tmp_path, classes=("a", "b"))


def test_two_objects_in_one_box_are_both_kept(tmp_path: Path) -> None:
    pair(tmp_path, numbers=[[1, 2], [2, 1]])
    assert boxes(read(tmp_path)) == [[0, 0, 2, 2], [0, 0, 2, 2]]


def test_label_image_without_objects_is_an_image_without_boxes(tmp_path: Path) -> None:
    pair(tmp_path, numbers=np.zeros((4, 5)))
    found = read(tmp_path)
    assert (len(found.dataset.images), boxes(found), codes(found)) == (1, [], [])
    assert found.patches is not None
    assert len(found.patches(0)) == 0


def test_one_value_in_many_regions_is_one_object_and_told(tmp_path: Path) -> None:
    pair(tmp_path, numbers=np.where(NUMBERS > 0, 255, 0))
    found = read(tmp_path)
    assert (boxes(found), codes(found)) == ([[0, 0, 5, 4]], ["one-object"])
    assert "255 stands in 3 regions" in found.findings[0].message


CLASSES = np.array([[1, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 0], [1, 0, 2, 2]])


def test_regions_of_classes_are_objects(tmp_path: Path) -> None:
    pair(tmp_path, numbers=CLASSES)
    found = read(tmp_path, "class", ("hole", "crack"))
    # 8 neighbours: the two pixels of the diagonal are one region.
    expected = {"hole": [[0, 0, 2, 2], [0, 3, 1, 4]], "crack": [[3, 0, 4, 2], [2, 3, 4, 4]]}
    got = list(zip(labels(found), boxes(found), strict=True))
    assert got == [(label, box) for label, several in expected.items() for box in several]
    assert codes(found) == ["regions"]
    assert found.dataset.annotations.group_id.tolist() == [""] * 4


def test_class_label_images_come_back_as_they_were(tmp_path: Path) -> None:
    pair(tmp_path / "in", numbers=CLASSES)
    found = read(tmp_path / "in", "class", ("hole", "crack"))
    assert found.patches is not None
    dataset = found.dataset
    after, _ = write_label_images(tmp_path, dataset.images, dataset.annotations, found.patches, "class")
    np.testing.assert_array_equal(read_label_image(tmp_path / str(after.labels[0])), CLASSES)


def test_parts_among_classes_belong_to_the_object_around_them(tmp_path: Path) -> None:
    numbers = np.zeros((9, 9), int)
    numbers[1:8, 1:8] = 1
    numbers[3:5, 3:5] = 2
    pair(tmp_path, numbers=numbers)
    found = read(tmp_path, "class", ("qr_code", "fip"), parts={"fip": "qr_code"})
    assert found.dataset.annotations.parent_id.tolist() == [-1, 0]


@pytest.mark.parametrize("value", [1, 255])
def test_two_valued_masks_are_of_the_one_class(tmp_path: Path, value: int) -> None:
    pair(tmp_path, numbers=np.where(NUMBERS > 0, value, 0), mode="L")
    for classes, label in ((None, "object"), (("hole",), "hole")):
        found = read(tmp_path, "class", classes)
        assert (labels(found), len(boxes(found))) == ([label] * 3, 3)


def test_classes_without_names_are_asked_for(tmp_path: Path) -> None:
    pair(tmp_path, numbers=CLASSES)
    with pytest.raises(UsageError, match=r"by --classes, got none, and the value 2 in masks/a\.png"):
        read(tmp_path, "class")


def test_value_beyond_the_classes_refuses_its_image_alone(tmp_path: Path) -> None:
    pair(tmp_path, "a", CLASSES)
    pair(tmp_path, "b", CLASSES + 1)
    found = read(tmp_path, "class", ("hole", "crack"))
    assert found.dataset.images.image_id.tolist() == ["a"]
    (finding,) = (finding for finding in found.findings if finding.code == "bad-label-image")
    assert finding.source == "masks/b.png"
    assert "label image must hold 0 to 2, for hole, crack, got 3" in finding.message


def test_label_image_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    pair(tmp_path, "b")
    write_photograph(tmp_path / "images" / "b.jpg", 10, 8)
    found = read(tmp_path)
    assert found.dataset.images.image_id.tolist() == ["a"]
    (finding,) = found.findings
    assert (finding.code, finding.severity, finding.source) == ("bad-label-image", "error", "masks/b.png")
    assert finding.message == "label image must be 10 x 8 as images/b.jpg, got 5 x 4"


@pytest.mark.parametrize(("numbers", "expected"), [(NUMBERS.T, []), (NUMBERS, ["unrotated-size"])])
def test_label_image_is_that_of_the_turned_picture_or_the_difference_is_told(
    tmp_path: Path, numbers: NDArray[np.int64], expected: list[str]
) -> None:
    write_labels(tmp_path / "masks" / "a.png", numbers)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(picture_bytes("JPEG", 5, 4, orientation=6))
    found = read(tmp_path)
    assert codes(found) == expected
    assert (found.dataset.images.width[0], found.dataset.images.height[0]) == numbers.T.shape


def test_stacks_are_refused_by_name(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((4, 5), page, np.uint16)) for page in range(3)]
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        pages[0].save(tmp_path / folder / "a.tif", save_all=True, append_images=pages[1:])
    pair(tmp_path, "b")
    found = read(tmp_path)
    assert found.dataset.images.image_id.tolist() == ["b"]
    assert "images/a.tif: picture must be of one page, got a stack of 3" in found.findings[0].message


@pytest.mark.parametrize("damage", ["empty", "text", "lossy", "link", "folder"])
def test_damaged_label_image_is_refused_and_the_others_are_read(tmp_path: Path, damage: str) -> None:
    pair(tmp_path / "in", "a")
    pair(tmp_path / "in", "b")
    path = tmp_path / "in" / "masks" / "b.png"
    path.unlink()
    if damage == "link":
        path.symlink_to(write_labels(tmp_path / "secret.png", NUMBERS))
    elif damage == "folder":
        path.mkdir()
    elif damage == "lossy":
        write_photograph(path.with_suffix(".jpg"), 5, 4)
    else:
        path.write_bytes(b"" if damage == "empty" else b"text")
    found = read(tmp_path / "in")
    assert found.dataset.images.image_id.tolist() == ["a"]
    assert found.findings
    assert all("b" in finding.source for finding in found.findings)


def test_picture_behind_a_link_out_of_the_source_is_refused(tmp_path: Path) -> None:
    pair(tmp_path / "in", "a")
    (tmp_path / "in" / "images" / "a.jpg").rename(tmp_path / "a.jpg")
    (tmp_path / "in" / "images" / "a.jpg").symlink_to(tmp_path / "a.jpg")
    assert codes(read(tmp_path / "in")) == ["unreadable-image"]


def test_label_image_that_has_changed_since_is_named(tmp_path: Path) -> None:
    pair(tmp_path)
    found = read(tmp_path)
    write_labels(tmp_path / "masks" / "a.png", np.zeros((4, 5)))
    assert found.patches is not None
    with pytest.raises(AnnotationError, match=r"masks/a\.png: label image must be that of a moment ago"):
        found.patches(0)


@pytest.mark.parametrize("content", ["missing", "file", "empty", "pictures"])
def test_source_without_pairs_is_refused(tmp_path: Path, content: str) -> None:
    root = tmp_path / "in"
    if content == "file":
        root.write_text("")
    elif content != "missing":
        root.mkdir()
    if content == "pictures":
        write_photograph(root / "a.jpg", 5, 4)
    with pytest.raises(AnnotationError, match=f"{root}: source must"):
        read(root)


def test_progress_is_told_pair_by_pair(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    pair(tmp_path, "b")
    told: list[tuple[int, int]] = []
    read_pairs(tmp_path, Naming({}, None, {}), ReadOptions(), lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]


NUCLEI = SHARED / "data" / "nuclei"


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="the nuclei are not here")
def test_nuclei_come_back_as_they_are(tmp_path: Path) -> None:
    found = read(NUCLEI / "dsb2018" / "val", classes=("nucleus",))
    assert (len(found.dataset.images), len(found.dataset.annotations), codes(found)) == (31, 1118, [])
    dataset, patches = found.dataset, found.patches
    assert patches is not None
    after, findings = write_label_images(tmp_path, dataset.images, dataset.annotations, patches, "instance")
    assert findings == []
    for name, source in zip(after.labels.tolist(), after.source.tolist(), strict=True):
        # Their numbers run from 1 without a gap, as ours do.
        np.testing.assert_array_equal(read_label_image(tmp_path / name), read_label_image(dataset.root / source))


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="the nuclei are not here")
def test_stacks_of_the_nuclei_are_refused_and_the_plate_is_read() -> None:
    found = read(NUCLEI, classes=("nucleus",))
    assert len(found.dataset.images) == 169 + 2
    assert codes(found) == ["one-object"] * 2 + ["unreadable-image"] * 3
