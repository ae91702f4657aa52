import os
from pathlib import Path

import numpy as np
import pytest
from form_sets import box_dataset

from annotations.imagepaths import ImagePlace
from annotations.notes import Note
from annotations.picture_files import Mode, PictureFiles, picture_names, safe_path, safe_stems
from annotations.picture_search import PictureSearch
from annotations.tables import BoxDataset


def dataset(root: Path, *ids: str) -> BoxDataset:
    return box_dataset(root, [{"image_id": image_id} for image_id in ids], [])


def place(files: PictureFiles, folder: Path, data: BoxDataset, row: int, wanted: str) -> str:
    """Put a picture where a conversion puts it: into a folder beside the final one."""
    aside = folder / ".out.partial"
    aside.mkdir(exist_ok=True)
    return files.place(aside, folder / "out", data, row, wanted)


def test_a_picture_is_copied(tmp_path: Path) -> None:
    data, files = dataset(tmp_path / "in", "a"), PictureFiles("copy")
    assert place(files, tmp_path, data, 0, "images/a.png") == "images/a.png"
    copied = tmp_path / ".out.partial" / "images" / "a.png"
    assert not copied.is_symlink()
    assert copied.read_bytes() == data.picture(0).read_bytes()
    assert files.findings == []


def test_a_link_leads_to_the_picture_from_its_last_place(tmp_path: Path) -> None:
    data, files = dataset(tmp_path / "in", "a"), PictureFiles("link")
    place(files, tmp_path, data, 0, "images/a.png")
    (tmp_path / ".out.partial").rename(tmp_path / "out")
    link = tmp_path / "out" / "images" / "a.png"
    assert str(link.readlink()) == "../../in/photos/0.png"
    assert link.read_bytes() == data.picture(0).read_bytes()


def test_a_reference_is_relative_and_writes_nothing(tmp_path: Path) -> None:
    data, files = dataset(tmp_path / "in", "a"), PictureFiles("reference")
    assert place(files, tmp_path, data, 0, "images/a.png") == "../in/photos/0.png"
    assert list((tmp_path / ".out.partial").iterdir()) == []


def test_a_reference_through_a_link_leads_to_the_picture(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "short").symlink_to(tmp_path / "elsewhere" / "deep")
    data = dataset(tmp_path / "in", "a")
    (tmp_path / "elsewhere" / "deep" / "out").mkdir()
    path = PictureFiles("reference").place(tmp_path, tmp_path / "short" / "out", data, 0, "x.png")
    assert (tmp_path / "elsewhere" / "deep" / "out" / path).samefile(data.picture(0))


@pytest.mark.parametrize("mode", ["copy", "link", "reference"])
def test_a_missing_picture_is_a_finding(tmp_path: Path, mode: Mode) -> None:
    data, files = dataset(tmp_path / "in", "a"), PictureFiles(mode)
    data.picture(0).unlink()
    assert place(files, tmp_path, data, 0, "a.png")
    (finding,) = files.findings
    assert (finding.code, finding.image_id) == ("missing-image", "a")
    data.picture(0).mkdir()
    assert place(files, tmp_path, data, 0, "b.png")
    assert "no file" in files.findings[1].message


def test_one_picture_of_two_rows_and_clashing_names_get_files_of_their_own(tmp_path: Path) -> None:
    data, files = dataset(tmp_path / "in", "a", "b"), PictureFiles("copy")
    names = [place(files, tmp_path, data, row, "images/a.png") for row in (0, 0, 1)]
    names.append(place(files, tmp_path, data, 1, "images/A.PNG"))  # the same file on Windows
    assert names == ["images/a.png", "images/a-2.png", "images/a-3.png", "images/A-4.PNG"]
    assert len(list((tmp_path / ".out.partial" / "images").iterdir())) == 4


@pytest.mark.parametrize(
    ("wanted", "safe"),
    [
        ("../../etc/x.png", "etc/x.png"),
        ("/etc/x.png", "etc/x.png"),
        ("a\\..\\b.png", "a/b.png"),
        ("C:/x.png", "C_/x.png"),
        ('a/<b>|"?*.png', "a/_b_____.png"),
        ("a./b .png", "a_/b .png"),
        ("..", "picture"),
        ("a\0b", "a_b"),
    ],
)
def test_a_path_never_leaves_its_folder(wanted: str, safe: str) -> None:
    assert safe_path(wanted) == safe


def test_stems_follow_the_ids_and_differ_on_every_system(tmp_path: Path) -> None:
    data = dataset(tmp_path, "a/b", "a", "A", "../a", "x.y")
    assert safe_stems(data.images) == ["a/b", "a", "A-2", "a-3", "x.y"]
    assert picture_names(data.images) == ["a/b.png", "a.png", "A-2.png", "a-3.png", "x.y.png"]
    assert len(set(safe_stems(data.images))) == len(np.unique(data.images.image_id))


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_a_picture_is_found_by_its_path_before_its_name(tmp_path: Path) -> None:
    root = Path(os.path.realpath(tmp_path))
    for name in ("x/a.png", "y/a.png", "y/only.jpg"):
        write(root / name)
    notes: list[Note] = []
    search = PictureSearch(root)
    assert search.named("y\\a.png", notes) == ImagePlace("y/a.png", True)
    assert notes == []
    assert search.named("data/2017/only.jpg", notes) == ImagePlace("y/only.jpg", True)
    assert search.named("photos/x/a.png", notes) == ImagePlace("x/a.png", True)
    assert search.named("a.png", notes) == ImagePlace("a.png", False)
    assert [note.code for note in notes] == ["found-beside", "found-beside", "missing-image"]
    assert "got x/a.png and y/a.png" in notes[2].message


def test_a_picture_is_found_by_its_image_id(tmp_path: Path) -> None:
    root = Path(os.path.realpath(tmp_path))
    for name in ("in/x/a.jpg", "in/y/a.png", "in/v1.2.PNG", "in/a.txt", "given/b.tif"):
        write(root / name)
    notes: list[Note] = []
    search = PictureSearch(root / "in", given=root / "given")
    assert search.of_image("v1.2", notes) == ImagePlace("v1.2.PNG", True)
    assert search.of_image("y/a", notes) == ImagePlace("y/a.png", True)
    assert search.of_image("b", notes) == ImagePlace("../given/b.tif", True)
    assert notes == []
    assert not search.of_image("a", notes).found
    assert not search.of_image("..", notes).found
    assert [note.code for note in notes] == ["missing-image", "missing-image"]


def test_a_link_out_of_the_folders_is_not_found(tmp_path: Path) -> None:
    root = Path(os.path.realpath(tmp_path))
    (root / "in").mkdir()
    (root / "in" / "a.png").symlink_to(write(root / "secret.png"))
    search = PictureSearch(root / "in")
    assert not search.named("a.png", []).found
    assert not search.of_image("a", []).found
    assert not search.named("../secret.png", []).found
    # But not where the user names that folder as well.
    assert PictureSearch(root / "in", given=root).named("secret.png", []).path == "../secret.png"
