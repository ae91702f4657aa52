"""Splits that somebody decided on: flags, CSV files, lists and other datasets, and what is wrong with them by line."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from annotations.dataset import images_text, read_dataset, write_dataset
from annotations.errors import AnnotationError, UsageError
from annotations.groups import Grouping, groups_from_csv, groups_from_folders, groups_from_pattern
from annotations.pictures import SUFFIXES
from annotations.split_sources import SplitSource, from_csv, from_flags, from_lists, like
from annotations.splits import assign_splits, split_dataset
from annotations.tables import Annotations, BoxDataset, Images

RATIOS = (0.6, 0.2, 0.2)


def texts(values: list[str]) -> np.ndarray:
    return np.array(values, np.str_)


def images_of(paths: list[str], **columns: list[str]) -> Images:
    """Return images whose image_id is their path's stem, with these columns."""
    stems = [path.rpartition("/")[2].rsplit(".", 1)[0] for path in paths]
    size, empty = np.full(len(paths), 100), texts([""] * len(paths))
    sources = texts([path.rsplit(".", 1)[0] + ".json" for path in paths])
    table = Images(texts(stems), texts(paths), size, size, empty, empty, empty, sources)
    return replace(table, **{name: texts(values) for name, values in columns.items()})


def stored(root: Path, table: Images, name: str = "data") -> Path:
    none = np.zeros(0, np.int64)
    boxes = Annotations(none, none, none, none, none, np.zeros((0, 4)), none)
    write_dataset(root / name, BoxDataset(root, ("a",), {}, table, boxes), [], command="")
    return root / name


def many(count: int = 60, **columns: list[str]) -> Images:
    return images_of([f"photos/img{row}.png" for row in range(count)], **columns)


def splits(data: Path) -> dict[str, str]:
    images = read_dataset(data).images
    return dict(zip(images.image_id.tolist(), images.split.tolist(), strict=True))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


NAMES = ["img1", "img1.png", "photos/img1.png", "photos/img1", "../photos/img1.png", "./photos/img1.png",
         "photos\\img1.png", "img1.json", "img1.jpg", "img1.txt", "/home/else/set/img1.png",
         "C:\\set\\img1.png"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_image_is_known_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    data = stored(tmp_path, many(3))
    report = split_dataset(data, source=from_lists({"test": written(tmp_path / "test.txt", f"{name}\n")}))
    assert splits(data) == {"img0": "", "img1": "test", "img2": ""}
    assert (report.given, report.seed) == ({"train": 0, "val": 0, "test": 1}, None)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_suffix_of_any_picture_may_be_left_out(tmp_path: Path, suffix: str) -> None:
    data = stored(tmp_path, images_of([f"photos/img1{suffix}"], image_id=["first"]))
    split_dataset(data, source=from_lists({"test": written(tmp_path / "test.txt", "img1\n")}))
    assert splits(data) == {"first": "test"}


@pytest.mark.parametrize("name", ["img", "mg1", "img1.", "other/img1.png", "1", "img1.v2", "../../img9.png"])
def test_image_is_not_known_by_other_names(tmp_path: Path, name: str) -> None:
    data = stored(tmp_path, many(3))
    listed = from_lists({"test": written(tmp_path / "test.txt", f"img0\n{name}\n")})
    (unknown,) = (found for found in split_dataset(data, source=listed).findings if found.code == "unknown-image")
    assert (unknown.shape, splits(data)["img1"]) == ("line 2", "")
    assert repr(name) in unknown.message


def test_names_with_dots_are_whole_names(tmp_path: Path) -> None:
    data = stored(tmp_path, images_of(["clip.0001.png", "clip.0002.png", "clip.png"]))
    lists = {"train": written(tmp_path / "a.txt", "clip.0001\nclip.0002.png\n"),
             "val": written(tmp_path / "b.txt", "clip\n")}  # fmt: skip
    split_dataset(data, source=from_lists(lists))
    assert list(splits(data).values()) == ["train", "train", "val"]


def test_same_stem_in_two_folders_needs_its_folder(tmp_path: Path) -> None:
    table = replace(images_of(["a/1.png", "b/1.png"]), image_id=texts(["a/1", "b/1"]))
    data = stored(tmp_path, table)
    with pytest.raises(AnnotationError, match=r"t\.txt: line 1: 1\.png must mean one image, got a/1, b/1"):
        split_dataset(data, source=from_lists({"test": written(tmp_path / "t.txt", "1.png\n")}))
    written(tmp_path / "t.txt", "b/1.png\n")
    split_dataset(data, source=from_lists({"test": tmp_path / "t.txt"}))
    assert splits(data) == {"a/1": "", "b/1": "test"}


def test_lists_of_voc_give_all_images_a_split(tmp_path: Path) -> None:
    data = stored(tmp_path, many(4))
    texts_of = {"train": "\ufeffimg0\r\nimg1\r\n\r\n", "valid": "img2", "test": "img3\n"}
    lists = {name: written(tmp_path / f"{name}.txt", text) for name, text in texts_of.items()}
    report = split_dataset(data, source=from_lists(lists))
    assert list(splits(data).values()) == ["train", "train", "val", "test"]
    assert report.findings == ()
    assert read_dataset(data).summary["split"]["from"] == {"files": [str(path) for path in lists.values()]}


def test_image_in_two_lists_is_refused_with_both_lines(tmp_path: Path) -> None:
    data = stored(tmp_path, many(4))
    lists = {"train": written(tmp_path / "a.txt", "img0\nimg1\n"), "test": written(tmp_path / "b.txt", "img1.png\n")}
    with pytest.raises(AnnotationError) as caught:
        split_dataset(data, source=from_lists(lists))
    assert f"b.txt: line 1: img1 must be in one split, got test and train ({tmp_path}/a.txt: line 2)" in str(
        caught.value
    )
    assert set(splits(data).values()) == {""}


def test_image_named_twice_and_images_not_named_are_told(tmp_path: Path) -> None:
    data = stored(tmp_path, many(4))
    report = split_dataset(data, source=from_lists({"train": written(tmp_path / "a.txt", "img0\nimg1\nimg0.png\n")}))
    twice, left_out = report.findings[:2]
    assert (twice.code, twice.shape, twice.image_id) == ("named-twice", "line 3", "img0")
    assert left_out.code == "unnamed-images"
    assert left_out.message.endswith("got none for 2 of 4: img2, img3")


def test_lists_of_other_images_are_refused(tmp_path: Path) -> None:
    data = stored(tmp_path, many(4))
    with pytest.raises(
        AnnotationError,
        match=r"names must be those of images of the dataset, got 2 unknown ones, such as 'x' \(line 1\), 'y'",
    ):
        split_dataset(data, source=from_lists({"train": written(tmp_path / "a.txt", "x\ny\n")}))


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "a.txt: list must be readable, got No such file"), (b"\xff\xfe", "list must be UTF-8 text"),
     (b" \n", "a.txt: images must be named, got none")],
)  # fmt: skip
def test_list_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    data = stored(tmp_path, many(4))
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(AnnotationError, match=words):
        split_dataset(data, source=from_lists({"train": tmp_path / "a.txt"}))


def test_device_is_no_list(tmp_path: Path) -> None:
    data = stored(tmp_path, many(4))
    with pytest.raises(AnnotationError, match="/dev/zero: list must be a text file"):
        split_dataset(data, source=from_lists({"train": Path("/dev/zero")}))


def test_lists_of_no_split_are_a_usage_error() -> None:
    for lists in ({}, {"training": Path("x")}, {"val": Path("x"), "valid": Path("y")}):
        with pytest.raises(UsageError, match=r"lists must be like train=FILE\.txt"):
            from_lists(lists)


@pytest.mark.parametrize("column", ["image_id", "path", "filename"])
def test_csv_gives_splits_by_any_name(tmp_path: Path, column: str) -> None:
    data = stored(tmp_path, many(4))
    name = {"image_id": "img{}", "path": "photos/img{}.png", "filename": "img{}.png"}[column]
    rows = "".join(f"{name.format(row)},{split},x\n" for row, split in enumerate(["train", "Valid", " test ", ""]))
    split_dataset(data, source=from_csv(written(tmp_path / "s.csv", f"{column},split,note\n{rows}")))
    assert list(splits(data).values()) == ["train", "val", "test", ""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image_id,split\nimg0,train\nimg1,training\n", r"s\.csv: row 3: split must be one of train, val, valid"),
        ("name,split\nimg0,train\n", r"s\.csv: row 1: columns must include one of image_id, path, filename"),
        ("image_id,part\nimg0,train\n", r"s\.csv: row 1: columns must include split"),
        ("image_id,split\nimg0,train\nimg0,val\n", r"s\.csv: row 3: img0 must be in one split, got val and train"),
        ("image_id,split\n", r"s\.csv: images must be named, got none"),
    ],
)
def test_csv_that_gives_no_splits_is_refused_by_row(tmp_path: Path, text: str, words: str) -> None:
    data = stored(tmp_path, many(4))
    with pytest.raises(AnnotationError, match=words):
        split_dataset(data, source=from_csv(written(tmp_path / "s.csv", text)))


def test_flags_give_splits_as_they_are_told_to(tmp_path: Path) -> None:
    data = stored(tmp_path, many(4, flags=["holdout", "blurred;good", "blurred", ""]))
    report = split_dataset(data, source=from_flags({"holdout": "test", "good": "train"}))
    assert list(splits(data).values()) == ["test", "train", "", ""]
    assert [found.code for found in report.findings] == ["unnamed-images"]
    assert read_dataset(data).summary["split"]["from"] == {"flags": {"holdout": "test", "good": "train"}}


def test_flags_without_a_mapping_are_those_that_convert_knows(tmp_path: Path) -> None:
    data = stored(tmp_path, many(3, flags=["validation", "train", "test"]))
    split_dataset(data, source=from_flags())
    assert list(splits(data).values()) == ["val", "train", "test"]


def test_flags_that_contradict_or_are_missing_are_refused(tmp_path: Path) -> None:
    data = stored(tmp_path, many(2, flags=["a;b", "c"]))
    with pytest.raises(AnnotationError, match=r"img0: flags must name one split, got test and train \(a;b\)"):
        split_dataset(data, source=from_flags({"a": "train", "b": "test"}))
    with pytest.raises(AnnotationError, match="an image must have one of holdout, got a, b, c"):
        split_dataset(data, source=from_flags({"holdout": "test"}))
    with pytest.raises(UsageError, match="flag must mean one of train, val, test, got holdout=tset"):
        from_flags({"holdout": "tset"})


@pytest.mark.parametrize("form", ["directory", "images.csv"])
def test_images_of_another_dataset_keep_their_splits_and_the_rest_is_drawn(tmp_path: Path, form: str) -> None:
    old = stored(tmp_path, assign_splits(many(40), RATIOS, 9), "old")
    data = stored(tmp_path, many(300), "new")
    report = split_dataset(data, RATIOS, 1, source=like(old if form == "directory" else old / "images.csv"))
    after = splits(data)
    assert {name: after[name] for name in splits(old)} == splits(old)
    drawn = dict(zip(many(300).image_id.tolist(), assign_splits(many(300), RATIOS, 1).split.tolist(), strict=True))
    assert all(after[name] == drawn[name] for name in after if name not in splits(old))
    assert sum(report.given.values()) == 300


def test_same_picture_of_another_name_is_like_the_old_one(tmp_path: Path) -> None:
    old = stored(tmp_path, images_of(["photos/a.png", "photos/b.png"], split=["test", "train"]), "old")
    table = images_of(["photos/a.png", "photos/c.png"], image_id=["first", "b"])
    (tmp_path / "deep").mkdir()
    data = stored(tmp_path, table, "deep/new")
    split_dataset(data, (1, 0, 0), source=like(old))
    # "b" lies elsewhere and has the image_id of an old one; photos have moved before.
    assert splits(data) == {"first": "test", "b": "train"}


def test_dataset_of_other_images_is_no_model(tmp_path: Path) -> None:
    old = stored(tmp_path, images_of(["x.png"], split=["train"]), "old")
    data = stored(tmp_path, many(4))
    with pytest.raises(AnnotationError, match=r"old/images\.csv: images must be those of the dataset, got none"):
        split_dataset(data, source=like(old))
    (old / "images.csv").write_text("image_id,split\nimg0,training\n")
    with pytest.raises(AnnotationError, match="row 2: split must be train, val, test or empty, got 'training'"):
        split_dataset(data, source=like(old))


def test_image_with_a_split_is_moved_only_when_told(tmp_path: Path) -> None:
    data = stored(tmp_path, many(3, split=["train", "train", "val"]))
    listed = from_lists({"test": written(tmp_path / "t.txt", "img0\nimg1\n")})
    before = (data / "images.csv").read_bytes()
    with pytest.raises(AnnotationError, match=r"img0: image must keep its split train, got test \(2 image\(s\) would"):
        split_dataset(data, source=listed)
    assert (data / "images.csv").read_bytes() == before
    split_dataset(data, source=listed, again=True)
    assert list(splits(data).values()) == ["test", "test", "val"]


def test_ratios_draw_the_images_that_a_list_leaves_out(tmp_path: Path) -> None:
    data = stored(tmp_path, many(200))
    listed = from_lists({"test": written(tmp_path / "t.txt", "img0\nimg1\n")})
    split_dataset(data, (0.5, 0.5, 0), 0, source=listed)
    after = splits(data)
    assert [name for name, split in after.items() if split == "test"] == ["img0", "img1"]
    assert "" not in after.values()


def test_list_that_tears_a_group_is_refused_unless_by_image(tmp_path: Path) -> None:
    data = stored(tmp_path, many(3, group=["g", "g", ""]))
    listed = from_lists({"train": written(tmp_path / "a.txt", "img0\n"), "test": written(tmp_path / "b.txt", "img1\n")})
    with pytest.raises(AnnotationError, match="group g: group must be in one split, got train and test"):
        split_dataset(data, source=listed)
    split_dataset(data, source=listed, by="image")
    assert list(splits(data).values()) == ["train", "test", ""]


def test_source_and_of_are_no_pair(tmp_path: Path) -> None:
    data = stored(tmp_path, many(3, split=["train"] * 3))
    with pytest.raises(UsageError, match="--of train must stand without splits from files"):
        split_dataset(data, source=from_flags(), of="train")


def grouped(tmp_path: Path, grouping: Grouping, table: Images | None = None) -> dict[str, str]:
    """Return the groups that a split by them wrote; no group is in two splits."""
    data = stored(tmp_path, table or many(40))
    split_dataset(data, (0.5, 0.5, 0), 3, groups=grouping)
    images = read_dataset(data).images
    named = [(group, split) for group, split in zip(images.group, images.split, strict=True) if group]
    assert len(set(named)) == len({group for group, _ in named})
    return dict(zip(images.image_id.tolist(), images.group.tolist(), strict=True))


def test_groups_from_a_csv(tmp_path: Path) -> None:
    rows = "".join(f"img{row},place {row // 4}\n" for row in range(36))
    groups = grouped(tmp_path, groups_from_csv(written(tmp_path / "g.csv", f"image_id,group\n{rows}")))
    assert (groups["img0"], groups["img35"], groups["img39"]) == ("place 0", "place 8", "")


def test_groups_from_a_pattern(tmp_path: Path) -> None:
    table = images_of([f"clip{clip}_frame{frame}.png" for clip in range(12) for frame in range(3)] + ["alone.png"])
    groups = grouped(tmp_path, groups_from_pattern(r"^(.+)_frame\d+"), table)
    assert (groups["clip0_frame2"], groups["alone"], len(set(groups.values()))) == ("clip0", "", 13)


@pytest.mark.parametrize(("of", "expected"), [("picture", "shots/cam3"), ("annotation", "json/cam3")])
def test_groups_from_folders(tmp_path: Path, of: str, expected: str) -> None:
    table = images_of([f"../shots/cam{row % 9}/{row}.png" for row in range(40)] + ["../top.png"])
    table = replace(table, source=texts([f"json/cam{row % 9}/{row}.json" for row in range(40)] + ["top.json"]))
    groups = grouped(tmp_path, groups_from_folders(of), table)  # type: ignore[arg-type]
    assert (groups["3"], groups["top"]) == (expected, "")


@pytest.mark.parametrize(
    ("grouping", "words"),
    [
        (groups_from_folders("picture"), "images must be in several groups, got all in photos"),
        (groups_from_pattern("^(x)"), "pattern must fit an image_id, got "),
    ],
)
def test_groups_that_are_none_are_refused(tmp_path: Path, grouping: Grouping, words: str) -> None:
    with pytest.raises(AnnotationError, match=words):
        split_dataset(stored(tmp_path, many(9)), groups=grouping)


@pytest.mark.parametrize("pattern", ["(", "img", "(a)(b)"])
def test_pattern_of_another_form_is_a_usage_error(pattern: str) -> None:
    with pytest.raises(UsageError, match="groups: pattern must"):
        groups_from_pattern(pattern)


def test_group_in_a_csv_twice_is_refused_by_row(tmp_path: Path) -> None:
    table = written(tmp_path / "g.csv", "image_id,group\nimg0,a\nimg0,b\n")
    with pytest.raises(AnnotationError, match=r"g\.csv: row 3: img0 must be in one group, got b and a"):
        split_dataset(stored(tmp_path, many(9)), groups=groups_from_csv(table))


def test_new_groups_across_old_splits_are_refused_unless_again(tmp_path: Path) -> None:
    data = stored(tmp_path, many(40, split=["train", "val"] * 20))
    pattern = groups_from_pattern(r"img(\d)$")  # one-digit names: a group each, of one image
    split_dataset(data, groups=pattern, ratios=(0.5, 0.5, 0))
    torn = groups_from_pattern(r"img\d*(\d)\d$|img(?:\d)$")
    with pytest.raises(AnnotationError, match="group must be in one split"):
        split_dataset(data, groups=torn, ratios=(0.5, 0.5, 0))
    split_dataset(data, groups=torn, ratios=(0.5, 0.5, 0), again=True)


def test_dataset_made_by_hand_needs_no_findings(tmp_path: Path) -> None:
    data = stored(tmp_path, many(60))
    (data / "findings.csv").unlink()
    (data / "images.csv").write_text(images_text(many(60)))
    assert sum(split_dataset(data).images.values()) == 60
    assert (data / "findings.csv").exists()


SOURCES: list[SplitSource] = [from_csv(Path("nowhere.csv")), like(Path("nowhere"))]


@pytest.mark.parametrize("source", SOURCES)
def test_file_that_is_not_there_is_named(tmp_path: Path, source: SplitSource) -> None:
    with pytest.raises(
        AnnotationError, match=r"^nowhere(\.csv|/images\.csv)?: table must be readable, got No such file"
    ):
        split_dataset(stored(tmp_path, many(4)), source=source)


def test_splitting_loads_no_reader_of_pictures() -> None:
    script = "import sys, annotations.splits; print([name for name in ('cv2', 'PIL', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
