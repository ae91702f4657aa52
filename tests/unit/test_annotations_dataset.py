"""A box dataset's files: what is written comes back, and every fault in a file has a file, a row and a column."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from annotations import dataset as dataset_module
from annotations import processes
from annotations.csvtable import Sparse, csv_parts, csv_text, read_csv
from annotations.dataset import counts, read_dataset, table_hashes, write_dataset
from annotations.detections import read_detections, write_detections
from annotations.errors import AnnotationError, UsageError
from annotations.findings import CODES, SEVERITIES, Finding, read_findings
from annotations.tables import Annotations, BoxDataset, Detections, Images
from annotations.words import Words

IDS = ["NA", "001", "null", 'a,"b"', " é\r\n"]
FINDING = Finding("clipped", "a.json", "shapes[3]", "NA", 'box "[1, 2]", clipped\nhere')


def images(ids: list[str]) -> Images:
    rows = len(ids)
    texts = {name: np.full(rows, "", np.str_) for name in ("group", "flags")}
    split = np.array((["train", "val", "test", "", ""] * rows)[:rows], np.str_)
    paths = np.array([f"pictures/{row}.png" for row in range(rows)], np.str_)
    size = {"width": np.arange(100, 100 + rows), "height": np.arange(80, 80 + rows)}
    return Images(np.array(ids, np.str_), paths, **size, split=split, source=paths, **texts)


def annotations(rows: int) -> Annotations:
    random = np.random.default_rng(0)
    xyxy = np.sort(random.random((rows, 2, 2)), axis=1).reshape(rows, 4)
    parent = np.where(np.arange(rows) >= 5, np.arange(rows) - 5, -1)
    group = np.array(["7" if row % 2 else "" for row in range(rows)], np.str_)
    kind = np.full(rows, "rectangle", np.str_)
    return Annotations(np.arange(rows) % 5, np.arange(rows) + 10, np.where(parent < 0, -1, parent + 10), group,
                       np.arange(rows) // 5 % 2, xyxy, kind)  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path) -> BoxDataset:
    return BoxDataset(tmp_path, ("qr_code", "NA"), {"NA": "qr_code"}, images(IDS), annotations(10))


@pytest.fixture
def written(tmp_path: Path, dataset: BoxDataset) -> Path:
    write_dataset(tmp_path / "out" / "data", dataset, [FINDING], command="ppnlab convert x y")
    return tmp_path / "out" / "data"


def test_dataset_comes_back_as_it_was(written: Path, dataset: BoxDataset) -> None:
    back = read_dataset(written)
    for name in Images.__slots__:
        if name != "path":
            np.testing.assert_array_equal(getattr(back.images, name), getattr(dataset.images, name))
    for name in Annotations.__slots__:
        np.testing.assert_array_equal(getattr(back.annotations, name), getattr(dataset.annotations, name))
    assert (back.classes, back.parts) == (dataset.classes, dataset.parts)
    assert read_findings(written) == [FINDING]


def test_pictures_are_found_from_where_the_dataset_lies(written: Path, dataset: BoxDataset) -> None:
    back = read_dataset(written)
    assert back.images.path[0] == "../../pictures/0.png"
    assert back.picture(0).resolve() == dataset.picture(0).resolve()


def test_pictures_are_found_through_a_link_to_the_destination(tmp_path: Path, dataset: BoxDataset) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    write_dataset(tmp_path / "link" / "data", dataset, [], command="")
    assert read_dataset(tmp_path / "link" / "data").picture(0).resolve() == dataset.picture(0).resolve()


def test_summary_counts_what_the_tables_hold(written: Path) -> None:
    summary = read_dataset(written).summary
    assert (summary["schema"], summary["command"]) == (1, "ppnlab convert x y")
    assert summary["counts"]["by_class"] == {"qr_code": 5, "NA": 5}
    assert summary["counts"]["by_split"]["train"] == {
        "images": 1, "images_without_boxes": 0, "boxes": 2, "by_class": {"qr_code": 1, "NA": 1},
    }  # fmt: skip
    assert summary["counts"]["findings"] == {"error": 0, "warn": 1, "info": 0}


def test_pandas_reads_the_tables(written: Path) -> None:
    table = pd.read_csv(written / "boxes.csv", keep_default_na=False)
    np.testing.assert_array_equal(table[["xmin", "ymin", "xmax", "ymax"]], annotations(10).xyxy_rel)
    assert pd.read_csv(written / "images.csv", dtype=str, keep_default_na=False)["image_id"].tolist() == IDS


def test_dataset_without_rows_comes_back(tmp_path: Path) -> None:
    nothing = BoxDataset(tmp_path, (), {}, images([]), annotations(0))
    write_dataset(tmp_path / "data", nothing, [], command="")
    back = read_dataset(tmp_path / "data")
    assert (len(back.images), back.annotations.xyxy_rel.shape, read_findings(tmp_path / "data")) == (0, (0, 4), [])
    assert counts(back)["by_split"] == {}


def test_existing_destination_is_left_untouched(written: Path, dataset: BoxDataset) -> None:
    before = table_hashes(written)
    with pytest.raises(UsageError, match="must not exist yet"):
        write_dataset(written, dataset.of_images(np.array([0])), [], command="")
    assert table_hashes(written) == before


def test_hashes_change_with_what_a_run_depends_on(written: Path) -> None:
    before = table_hashes(written)
    summary = json.loads((written / "dataset.json").read_text())
    (written / "dataset.json").write_text(json.dumps({**summary, "command": "another"}))
    assert table_hashes(written) == before
    (written / "dataset.json").write_text(json.dumps({**summary, "classes": summary["classes"][::-1]}))
    assert {name for name, value in table_hashes(written).items() if value != before[name]} == {"classes"}


def test_hash_of_the_images_leaves_out_where_they_lie(written: Path) -> None:
    before = table_hashes(written)
    edit(written / "images.csv", 3, "path", "moved/3.png")
    edit(written / "images.csv", 2, "source", "moved/2.json")
    assert table_hashes(written) == before
    for column, value in (("split", "test"), ("image_id", "new"), ("width", "1")):
        edit(written / "images.csv", 3, column, value)
        after = table_hashes(written)
        assert {name for name in before if after[name] != before[name]} == {"images.csv"}
        before = after


@pytest.mark.parametrize("name", ["images.csv", "boxes.csv"])
def test_table_that_is_gone_has_no_hash(written: Path, name: str) -> None:
    (written / name).unlink()
    with pytest.raises(AnnotationError, match=f"{name}: table must be readable"):
        table_hashes(written)


def test_damaged_images_have_no_hash(written: Path) -> None:
    with (written / "images.csv").open("a") as handle:
        handle.write("one,two")
    with pytest.raises(AnnotationError, match=r"images\.csv: row 7: row must have 8 cells, got 2"):
        table_hashes(written)


def test_columns_are_quoted_like_their_cells(tmp_path: Path) -> None:
    header = ["my, note", 'a "b"', "line\nbreak", "plain"]
    (tmp_path / "t.csv").write_bytes(csv_text(header, [["1"], ["2"], ["3"], ["4"]]).encode())
    assert read_csv(tmp_path / "t.csv", ["plain"]).columns == dict(
        zip(header, [["1"], ["2"], ["3"], ["4"]], strict=True)
    )


def test_columns_of_words_of_integers_and_of_many_floats_are_cells(tmp_path: Path) -> None:
    words = Words(("a", 'b,"', "never"), np.array([0, 1, 0]))
    floats = np.array([[0.1, 1e-9], [1 / 3, 1e22], [5e-324, 0.0]])
    columns = [words, Sparse(np.array([7, -1, 0]), -1), floats, np.array(["x", "", "y,"])]
    path = tmp_path / "t.csv"
    path.write_bytes(csv_text(["word", "number", "low", "high", "text"], columns).encode())
    table = read_csv(path, [])
    assert table.columns["word"] == ["a", 'b,"', "a"]
    assert table.columns["number"] == ["7", "", "0"]
    assert table.columns["text"] == ["x", "", "y,"]
    frame = pd.read_csv(path)
    for place, name in enumerate(("low", "high")):
        assert table.numbers(name).tobytes() == floats[:, place].tobytes()
        assert frame[name].to_numpy().tobytes() == floats[:, place].tobytes()


@pytest.mark.parametrize("rows", [0, 1, 1023, 1024, 1025, 3000])
def test_table_of_any_length_comes_back(tmp_path: Path, rows: int) -> None:
    values = np.random.default_rng(0).random((rows, 2))
    text = csv_text(["row", "x", "y", "word"], [np.arange(rows), values, Words(("a",), np.zeros(rows, np.int64))])
    (tmp_path / "t.csv").write_bytes(text.encode())
    table = read_csv(tmp_path / "t.csv", [])
    assert table.columns["row"] == [str(row) for row in range(rows)]
    np.testing.assert_array_equal(table.numbers("y"), values[:, 1])


def test_neighbours_that_are_made_together_are_cells_of_their_own(tmp_path: Path) -> None:
    words = Words(("a", 'b,"', "never"), np.array([0, 1, 0]))
    columns = [words, words, np.array([11, -1, 3]), Sparse(np.array([7, -1, -11]), -1), Sparse(np.array([7, 7, 0]), 7)]
    (tmp_path / "t.csv").write_bytes(csv_text(["a", "b", "id", "parent", "other"], columns).encode())
    assert read_csv(tmp_path / "t.csv", []).columns == {
        "a": ["a", 'b,"', "a"],
        "b": ["a", 'b,"', "a"],
        "id": ["11", "-1", "3"],
        "parent": ["7", "", "-11"],
        "other": ["", "", "0"],
    }


@pytest.mark.parametrize("rows", [0, 1, 8192, 8193, 20_000])
def test_parts_of_a_table_are_its_text(rows: int) -> None:
    columns = [np.arange(rows), np.random.default_rng(0).random((rows, 2)), Words(("a", "b"), np.arange(rows) % 2)]
    header = ["row", "x", "y", "word"]
    parts = csv_parts(header, columns)
    assert len(parts) == max(-(-rows // 8192), 1)
    # Made in any order, and one twice.
    made = [part() for part in reversed(parts)]
    assert "".join(reversed(made)) == parts[0]() + "".join(part() for part in parts[1:]) == csv_text(header, columns)


@pytest.mark.parametrize("boxes", [8192, 8193, 20_000])
def test_processes_write_what_one_writes(
    tmp_path: Path, dataset: BoxDataset, boxes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    fork = os.fork

    def counted() -> int:
        started.append(boxes)
        return fork()

    monkeypatch.setattr(os, "fork", counted)
    for module in (dataset_module, processes):
        monkeypatch.setattr(module, "can_be_copied", lambda: True)
    many = replace(dataset, annotations=annotations(boxes))
    findings = [Finding("clipped", f"{n}.json", "shapes[0]", str(n), 'a "word", and more') for n in range(30)]
    for workers in (1, 2, 3):
        write_dataset(tmp_path / str(workers), many, findings, command="c", workers=workers)
    assert len(started) == (3 if boxes > 8192 else 0)
    for name in ("boxes.csv", "images.csv", "findings.csv", "dataset.json"):
        one = (tmp_path / "1" / name).read_bytes()
        assert (tmp_path / "2" / name).read_bytes() == (tmp_path / "3" / name).read_bytes() == one


def test_numbers_that_json_lacks_are_written_as_python_does() -> None:
    assert csv_text(["x"], [np.array([1.5, np.nan, -np.inf])]) == "x\n1.5\nnan\n-inf\n"


def test_columns_of_different_lengths_are_no_table() -> None:
    with pytest.raises(ValueError, match=r"one length, got \[1, 2\]"):
        csv_text(["a", "b"], [["x"], np.array([1, 2])])


@pytest.mark.parametrize(
    ("path", "moved"),
    [("a.png", "../a.png"), ("sub/a.png", "../sub/a.png"), ("../a.png", "../../a.png"), ("sub/..", ".."),
     ("sub//b/../a.png", "../sub/a.png"), ("data/a.png", "../data/a.png"), (".", ".."), ("sub/.a.png", "../sub/.a.png"),
     ("sub/a.png/", "../sub/a.png"), ("./a.png", "../a.png"), ("a b/é.png", "../a b/é.png")],
)  # fmt: skip
def test_paths_are_made_relative_to_the_dataset(tmp_path: Path, dataset: BoxDataset, path: str, moved: str) -> None:
    paths = np.array([path, "x.png", "sub/y.png", "sub/z.png", "x.png"], np.str_)
    there = replace(dataset, images=replace(dataset.images, path=paths))
    write_dataset(tmp_path / "data", there, [], command="")
    assert read_dataset(tmp_path / "data").images.path.tolist()[:3] == [moved, "../x.png", "../sub/y.png"]


def test_empty_directory_is_a_destination(tmp_path: Path, dataset: BoxDataset) -> None:
    (tmp_path / "empty").mkdir(mode=0o700)
    write_dataset(tmp_path / "empty", dataset, [], command="")
    assert len(read_dataset(tmp_path / "empty").images) == len(IDS)


def edit(path: Path, row: int, column: str, value: str) -> None:
    table = read_csv(path, [])
    table.columns[column][row] = value
    path.write_bytes(csv_text(list(table.columns), table.columns.values()).encode())


@pytest.mark.parametrize(
    ("name", "column", "value", "words"),
    [
        ("images.csv", "image_id", "001", "image_id must be unique (row 3 has it too), got '001'"),
        ("images.csv", "image_id", "", "image_id must be a text, got an empty cell"),
        ("images.csv", "path", "", "path must be a text"),
        ("images.csv", "width", "0", "width must be an integer of at least 1, got '0'"),
        ("images.csv", "height", "80.5", "height must be an integer"),
        ("images.csv", "height", "9" * 40, "height must be an integer"),
        ("images.csv", "split", "valid", "split must be train, val, test or empty, got 'valid'"),
        ("boxes.csv", "image_id", "1", "image_id must be an image_id of images.csv, got '1'"),
        ("boxes.csv", "label", "QR_code", "label must be a class of dataset.json"),
        ("boxes.csv", "object_id", "10", "object_id must be unique (row 2 has it too)"),
        ("boxes.csv", "object_id", "010", "object_id must be unique (row 2 has it too)"),
        ("boxes.csv", "object_id", "x", "object_id must be an integer"),
        ("boxes.csv", "parent_id", "99", "parent_id must be the object_id of a row of this table, got '99'"),
        ("boxes.csv", "parent_id", "10", "parent_id must be an object of the same image"),
        ("boxes.csv", "xmin", "nan", "xmin must be a finite number, got 'nan'"),
        ("boxes.csv", "xmin", "", "xmin must be a finite number, got an empty cell"),
        ("boxes.csv", "ymin", "1e999", "ymin must be a finite number"),
        ("boxes.csv", "ymin", "0_1", "ymin must be a finite number"),
        ("boxes.csv", "xmax", "0.0", "xmax must be greater than xmin"),
        ("boxes.csv", "xmax", "1.5", "xmax must be in [0, 1], got '1.5'"),
        ("boxes.csv", "ymin", "-0.5", "ymin must be in [0, 1], got '-0.5'"),
    ],
)
def test_fault_in_a_table_names_file_row_and_column(
    written: Path, name: str, column: str, value: str, words: str
) -> None:
    edit(written / name, 3, column, value)
    with pytest.raises(AnnotationError) as caught:
        read_dataset(written)
    assert str(caught.value).startswith(f"{written / name}: row 5: ")
    assert words in str(caught.value)


def drop_column(path: Path) -> None:
    table = read_csv(path, [])
    kept = {name: cells for name, cells in table.columns.items() if name not in ("image_id", "path", "label")}
    path.write_text(csv_text(list(kept), kept.values()))


@pytest.mark.parametrize("name", ["images.csv", "boxes.csv"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (drop_column, "row 1: columns must include"),
        (lambda path: path.write_bytes(b""), "got an empty file"),
        (lambda path: path.write_bytes(path.read_bytes() + b"one,two\n"), "cells, got 2"),
        (lambda path: path.write_bytes(path.read_bytes() + b'"never closed'), "must be CSV"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\xff\xff"), "must be UTF-8"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b",image_id\n", 1)), "unique, got image_id"),
        (lambda path: path.unlink(), "must be readable"),
        (lambda path: (path.unlink(), path.mkdir()), "must be readable"),
    ],
)
def test_damaged_table_is_refused_by_name(
    written: Path, name: str, damage: Callable[[Path], object], words: str
) -> None:
    damage(written / name)
    with pytest.raises(AnnotationError) as caught:
        read_dataset(written)
    assert str(caught.value).startswith(str(written / name))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("schema", 2, "schema must be 1, got 2; a newer ppnlab wrote it"),
        ("schema", True, "schema must be 1"),
        ("schema", None, "schema must be 1"),
        ("classes", ["a", "a"], "classes must be a list of different names"),
        ("classes", "ab", "classes must be a list"),
        ("classes", [["a"]], "classes must be a list"),
        ("parts", [], "parts must be an object"),
        ("parts", {"NA": "other"}, "parts must name classes"),
        ("parts", {"NA": "NA"}, "parts must name classes"),
    ],
)
def test_fault_in_the_summary_is_named(written: Path, field: str, value: object, words: str) -> None:
    summary = json.loads((written / "dataset.json").read_text())
    (written / "dataset.json").write_text(json.dumps({**summary, field: value}))
    with pytest.raises(AnnotationError) as caught:
        read_dataset(written)
    assert f"{written / 'dataset.json'}: {words}" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\ufffe", "[" * 100_000])
def test_summary_that_is_no_json_object_is_refused(written: Path, text: str) -> None:
    (written / "dataset.json").write_text(text)
    with pytest.raises(AnnotationError, match=r"dataset\.json: file must be"):
        read_dataset(written)


def test_missing_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="must be a directory, got no such directory"):
        read_dataset(tmp_path / "none")


def detections(rows: int) -> Detections:
    truth = annotations(rows)
    score = np.random.default_rng(1).random(rows)
    return Detections(truth.image_row, truth.object_id, truth.parent_id, truth.class_id, score, truth.xyxy_rel - 0.01)


@pytest.mark.parametrize("rows", [0, 10])
def test_detections_come_back_as_they_were(tmp_path: Path, dataset: BoxDataset, rows: int) -> None:
    path = tmp_path / "new" / "detections.csv"
    write_detections(path, dataset.images, dataset.classes, detections(rows))
    back = read_detections(path, dataset.images, dataset.classes)
    for name in Detections.__slots__:
        np.testing.assert_array_equal(getattr(back, name), getattr(detections(rows), name))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("score", "nan", "score must be a finite number, got 'nan'"),
        ("score", "inf", "score must be a finite number"),
        ("score", "1.1", "score must be in [0, 1]"),
        ("xmin", "-inf", "xmin must be a finite number"),
        ("xmax", "-3", "xmax must be greater than xmin"),
        ("image_id", "other", "image_id must be an image_id of the images"),
        ("label", "other", "label must be one of the classes qr_code, NA, got 'other'"),
        ("object_id", "10", "object_id must be unique"),
        ("parent_id", "12", "parent_id must be an object of the same image"),
    ],
)
def test_fault_in_detections_names_file_and_row(
    tmp_path: Path, dataset: BoxDataset, column: str, value: str, words: str
) -> None:
    path = tmp_path / "detections.csv"
    write_detections(path, dataset.images, dataset.classes, detections(10))
    edit(path, 3, column, value)
    with pytest.raises(AnnotationError) as caught:
        read_detections(path, dataset.images, dataset.classes)
    assert str(caught.value).startswith(f"{path}: row 5: {words}")


@pytest.mark.parametrize(("name", "value"), [("score", np.nan), ("xyxy_rel", np.inf), ("xyxy_rel", 0.5)])
def test_detections_that_could_not_be_read_are_not_written(
    tmp_path: Path, dataset: BoxDataset, name: str, value: float
) -> None:
    good = detections(10)
    values = {field: getattr(good, field) for field in Detections.__slots__}
    values[name] = np.full_like(values[name], value)
    with pytest.raises(ValueError, match="detections must"):
        write_detections(tmp_path / "d.csv", dataset.images, dataset.classes, Detections(**values))
    assert list(tmp_path.iterdir()) == []


MAKERS = r'(?:Note|FileRefused|Finding|sighting_of_all|sighting_of_(?:image|boxes)\(\s*dataset,)\(?\s*"([a-z-]+)"'


def sources_of_codes() -> str:
    sources = Path(read_csv.__code__.co_filename).parent.glob("*.py")
    return "".join(path.read_text() for path in sources if path.name not in ("findings.py", "check_advice.py"))


def test_folder_that_is_no_dataset_is_told_with_the_way_to_one(tmp_path: Path) -> None:
    must = "directory must be a box dataset, which has a dataset.json, got none; ppnlab convert makes one"
    with pytest.raises(AnnotationError, match=must):
        read_dataset(tmp_path)


def test_every_code_that_is_made_is_listed() -> None:
    made = set(re.findall(MAKERS, sources_of_codes()))
    assert {"bad-json", "orphan-part", "class-missing", "blank-image"} <= made
    assert made <= set(CODES)


def test_every_listed_code_is_made() -> None:
    named = set(re.findall(r'"([a-z-]+)"', sources_of_codes()))
    # The one place that puts codes together: `check_pictures._two_splits`.
    named |= {f"{code}-in-splits" for code in ("same-image", "near-image") if code in named}
    assert set(CODES) <= named


def test_every_code_has_a_severity_and_a_sentence() -> None:
    for severity, sentence in CODES.values():
        assert severity in SEVERITIES
        assert sentence[0].isupper()
        assert sentence.endswith((".", "?"))


def test_damaged_findings_are_refused(written: Path) -> None:
    edit(written / "findings.csv", 0, "code", "made-up")
    with pytest.raises(AnnotationError, match=r"findings\.csv: row 2: code must be a known code, got 'made-up'"):
        read_findings(written)
