"""Object tables of files, folders and box datasets."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotations.errors import AnnotationError, PpnlabError, UsageError
from evaluation.measure import measure, parse_voxel, write_measured

FLAT = np.array([[0, 1, 1, 0], [0, 1, 7, 7], [0, 0, 7, 7]], np.uint16)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3 and pixels.shape[-1] != 3:
        first, *rest = (Image.fromarray(page) for page in pixels)
        first.save(path, save_all=True, append_images=rest)
    else:
        Image.fromarray(pixels).save(path)
    return path


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_file_has_a_row_for_each_object(tmp_path: Path) -> None:
    found = measure(save(tmp_path / "a.png", FLAT))
    assert [(row["file"], row["label"], row["size"]) for row in rows_of(found.csv())] == [
        ("a.png", "1", "3"),
        ("a.png", "7", "4"),
    ]
    assert "zmin" not in found.columns
    assert "split" not in found.columns


def test_sizes_are_in_units_and_the_order_of_a_voxel_is_x_y_z(tmp_path: Path) -> None:
    stack = np.zeros((4, 3, 5), np.uint8)
    stack[1:3, 1, 2:5] = 9
    path = save(tmp_path / "a.tif", stack)
    (row,) = measure(path, voxel=(0.5, 0.5, 2), unit="um").rows
    assert (row["size"], row["physical_size"], row["unit"]) == (6, 6 * 0.5 * 0.5 * 2, "um^3")
    assert (row["centroid_x"], row["centroid_y"], row["centroid_z"]) == (3, 1, 1.5)
    assert [row[f"{axis}{end}"] for axis in "xyz" for end in ("min", "max")] == [2, 5, 1, 2, 1, 3]
    assert measure(path, voxel=(2,), unit="nm").rows[0]["physical_size"] == 6 * 8
    assert measure(path, voxel=(2,), unit="nm").to_json()["voxel"] == {"x": 2, "y": 2, "z": 2}
    assert measure(path, voxel=(3, 1, 1), unit="nm").to_json()["voxel"] == {"x": 3, "y": 1, "z": 1}


def test_flat_pictures_and_stacks_share_one_table(tmp_path: Path) -> None:
    save(tmp_path / "flat.png", FLAT)
    save(tmp_path / "stack.tif", np.stack([FLAT, FLAT]))
    rows = rows_of(measure(tmp_path).csv())
    assert [(row["file"], row["zmax"], row["size"]) for row in rows] == [
        ("flat.png", "", "3"),
        ("flat.png", "", "4"),
        ("stack.tif", "2", "6"),
        ("stack.tif", "2", "8"),
    ]


def test_intensities_and_scores_come_from_files_of_the_same_names(tmp_path: Path) -> None:
    save(tmp_path / "labels" / "a.png", FLAT)
    save(tmp_path / "pictures" / "a.tif", (FLAT * 100).astype(np.uint16))
    save(tmp_path / "maps" / "a.png", np.where(FLAT == 1, 51, 255).astype(np.uint8))
    one, seven = measure(tmp_path / "labels", pictures=tmp_path / "pictures", scores=tmp_path / "maps").rows
    assert (one["mean_intensity"], one["max_intensity"], one["score"]) == (100, 100, 0.2)
    assert (seven["mean_intensity"], seven["max_intensity"], seven["score"]) == (700, 700, 1.0)


def test_a_grey_picture_that_is_stored_with_colours_is_grey_and_a_coloured_one_refused(tmp_path: Path) -> None:
    labels = save(tmp_path / "a.png", FLAT)
    grey = np.repeat((FLAT * 10).astype(np.uint8)[..., None], 3, axis=2)
    assert measure(labels, pictures=save(tmp_path / "grey.png", grey)).rows[1]["mean_intensity"] == 70
    grey[0, 0, 1] = 1
    with pytest.raises(AnnotationError, match=r"red\.png: picture must be grey, got colours \(RGB\)"):
        measure(labels, pictures=save(tmp_path / "red.png", grey))


@pytest.mark.parametrize("option", ["pictures", "scores"])
def test_unequal_sizes_are_refused_by_both_names(tmp_path: Path, option: str) -> None:
    labels = save(tmp_path / "labels" / "a.png", FLAT)
    other = save(tmp_path / "other" / "a.png", FLAT.T.astype(np.uint8))
    with pytest.raises(AnnotationError) as caught:
        measure(labels.parent, **{option: other.parent})  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"{other}: size must be 4 x 3 as of {labels}, got 3 x 4")


@pytest.mark.parametrize(("option", "what"), [("pictures", "picture"), ("scores", "score map")])
def test_a_label_image_without_its_partner_is_named(tmp_path: Path, option: str, what: str) -> None:
    for name in ("a", "b"):
        save(tmp_path / "labels" / f"{name}.png", FLAT)
    save(tmp_path / "other" / "a.png", FLAT.astype(np.uint8))
    with pytest.raises(AnnotationError, match=rf"every label image must have its {what}, got none for b\.png"):
        measure(tmp_path / "labels", **{option: tmp_path / "other"})  # type: ignore[arg-type]


def test_a_file_without_objects_has_no_row_and_is_told(tmp_path: Path) -> None:
    save(tmp_path / "a.png", FLAT)
    save(tmp_path / "b.png", FLAT * 0)
    found = measure(tmp_path)
    assert {row["file"] for row in found.rows} == {"a.png"}
    assert found.summary() == "2 files, 2 objects\nwithout any object: 1 (b.png)"
    content = found.to_json()
    assert content == json.loads(json.dumps(content, allow_nan=False))
    assert [(file["file"], file["objects"]) for file in content["files"]] == [("a.png", 2), ("b.png", 0)]


def test_nothing_but_background_has_the_header_alone(tmp_path: Path) -> None:
    found = measure(save(tmp_path / "a.png", FLAT * 0))
    assert found.csv() == ",".join(found.columns) + "\n"
    assert found.summary().startswith("1 file, 0 objects")


def test_a_mask_in_black_and_white_is_told_from_numbered_objects(tmp_path: Path) -> None:
    found = measure(save(tmp_path / "a.png", np.where(FLAT > 0, 255, 0).astype(np.uint8)))
    assert "every object has the number 255" in found.summary()


def test_folders_of_splits_have_a_column_and_their_own_partners(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        save(tmp_path / "labels" / split / "a.png", FLAT)
        save(tmp_path / "pictures" / split / "a.png", np.full(FLAT.shape, 10 + number, np.uint8))
    found = measure(tmp_path / "labels", pictures=tmp_path / "pictures")
    rows = {(row["file"], row["split"], row["mean_intensity"]) for row in found.rows}
    assert rows == {("train/a.png", "train", 10.0), ("test/a.png", "test", 11.0)}
    # A picture of one split is never that of another.
    (tmp_path / "pictures" / "test" / "a.png").unlink()
    with pytest.raises(AnnotationError, match=r"got none for test/a\.png"):
        measure(tmp_path / "labels", pictures=tmp_path / "pictures")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"voxel": (1.0, 1.0)}, "voxel must come with its unit"),
        ({"unit": "um"}, "unit must come with the size of a voxel"),
        ({"voxel": (1.0, 1.0, 1.0), "unit": "um"}, r"a\.png: voxel of a label image of 2 dimensions must be X,Y, got"),
        ({"voxel": (1.0, 0.0), "unit": "um"}, r"voxel must be X,Y or X,Y,Z above 0, got 1,0"),
        ({"voxel": (1.0, float("nan")), "unit": "um"}, "got 1,nan"),
        ({"voxel": (), "unit": "um"}, "above 0, got"),
    ],
)
def test_voxels_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        measure(save(tmp_path / "a.png", FLAT), **options)


def test_a_voxel_is_numbers_with_commas() -> None:
    assert parse_voxel("0.5, 0.5,2") == (0.5, 0.5, 2.0)
    with pytest.raises(UsageError, match="voxel must be X,Y or X,Y,Z, such as"):
        parse_voxel("0.5x2")


def test_sources_without_label_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match="must have label images"):
        measure(tmp_path / "empty")
    with pytest.raises(AnnotationError, match="must be a file, a folder or a box dataset, got nothing there"):
        measure(tmp_path / "nowhere")
    save(tmp_path / "twice" / "a.png", FLAT)
    save(tmp_path / "twice" / "a.tif", FLAT)
    with pytest.raises(AnnotationError, match=r"names of their own, got a\.png and a\.tif"):
        measure(tmp_path / "twice")
    (tmp_path / "broken.png").write_bytes(b"rubbish")
    with pytest.raises(AnnotationError, match=r"broken\.png: label image must be readable"):
        measure(tmp_path / "broken.png")


@pytest.mark.parametrize("name", [b"a\xff.png", b"a\nb.png"])
def test_a_file_name_that_can_stand_in_no_table_is_refused(tmp_path: Path, name: bytes) -> None:
    path = save(tmp_path / "labels" / "a.png", FLAT)
    path.rename(path.with_name(os.fsdecode(name)))
    with pytest.raises(AnnotationError, match="file names must be printable text, got 'a"):
        measure(path.parent)


def test_the_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    found = measure(save(tmp_path / "a.png", FLAT))
    write_measured(tmp_path / "new" / "objects.csv", found)
    assert (tmp_path / "new" / "objects.csv").read_text() == found.csv()
    with pytest.raises(UsageError, match="output must be a file, got a folder"):
        write_measured(tmp_path / "new", found)
    with pytest.raises(UsageError, match="output must be a file, got a device"):
        write_measured(Path("/dev/null"), found)
    with pytest.raises(PpnlabError, match="output must be writable"):
        write_measured(tmp_path / "a.png" / "objects.csv", found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "new"]
