"""Pascal VOC folders: objects and their parts, pictures and sizes, splits, what is refused and what is told."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from annotation_files import write_png
from form_sets import box_dataset, found_codes, read_form, write_form

from annotations import voc_xml
from annotations.drawn import Reading
from annotations.errors import AnnotationError
from annotations.naming import Naming
from annotations.tables import pixels
from annotations.voc_xml import read_xml


def thing(
    name: str = "qr_code", box: tuple[object, ...] = (10, 10, 40, 30), inside: str = "", tag: str = "object"
) -> str:
    """Return an object (or a part) with its box."""
    edges = "".join(
        f"<{edge}>{value}</{edge}>" for edge, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<{tag}><name>{name}</name><bndbox>{edges}</bndbox>{inside}</{tag}>"


def part(name: str = "fip", box: tuple[object, ...] = (12, 12, 20, 20)) -> str:
    return thing(name, box, tag="part")


def annotation(
    *objects: str, size: str = "<size><width>100</width><height>80</height><depth>3</depth></size>", **said: str
) -> str:
    """Return the text of an annotation file of a picture of 100 x 80."""
    fields = "".join(f"<{tag}>{text}</{tag}>" for tag, text in {"filename": "a.png", **said}.items())
    return f"<annotation>{fields}{size}{''.join(objects)}</annotation>"


def folder(root: Path, files: Mapping[str, str | bytes], pictures: tuple[str, ...] = ("JPEGImages/a.png",)) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    for name in pictures:
        write_png(root / name)
    return root


def one(root: Path, *objects: str, **said: str) -> Path:
    return folder(root, {"Annotations/a.xml": annotation(*objects, **said)})


def boxes(reading: Reading) -> list[list[float]]:
    table = reading.dataset.annotations
    return pixels(reading.dataset.images, table.image_row, table.xyxy_rel).round(9).tolist()


def splits(reading: Reading) -> dict[str, str]:
    images = reading.dataset.images
    return dict(zip(images.image_id.tolist(), images.split.tolist(), strict=True))


def test_object_gives_its_box_as_edges_or_by_pixels_from_one(tmp_path: Path) -> None:
    root = one(tmp_path / "in", thing(box=(1, 1, 1, 1.0)), thing(box=(" 2.5 ", "+3", "1e1", ".8e2")))
    reading = read_form("voc", root)
    assert (boxes(reading), found_codes(reading.findings)) == ([[2.5, 3, 10, 80]], ["zero-area"])
    assert boxes(read_form("voc", root, first_pixel=1)) == [[0, 0, 1, 1], [1.5, 2, 10, 80]]


def test_part_belongs_to_the_object_that_it_stands_in(tmp_path: Path) -> None:
    inside, outside = part(), part(box=(70, 70, 75, 75))
    root = one(tmp_path / "in", thing(box=(0, 0, 90, 78)), thing(inside=inside + outside), thing("fip"), thing("cat"))
    reading = read_form("voc", root)
    dataset = reading.dataset
    assert (dataset.classes, dict(dataset.parts)) == (("cat", "qr_code", "fip"), {"fip": "qr_code"})
    assert dataset.annotations.parent_id.tolist() == [-1, -1, 1, 1, -1, -1]
    (finding,) = reading.findings
    assert (finding.code, finding.shape) == ("orphan-part", "objects[2]")


def test_parts_of_two_objects_in_one_place_are_two(tmp_path: Path) -> None:
    root = one(tmp_path / "in", thing(inside=part() + part()), thing(inside=part()), thing("cat"), thing("cat"))
    reading = read_form("voc", root)
    assert reading.dataset.annotations.parent_id.tolist() == [-1, 0, -1, 2, -1]
    assert [finding.shape for finding in reading.findings] == ["objects[0].parts[1]", "objects[3]"]
    assert reading.dataset.annotations.group_id.tolist() == [""] * 5


def test_part_of_several_objects_belongs_to_the_most_frequent_one(tmp_path: Path) -> None:
    objects = [thing("cat", inside=part()), thing("dog", inside=part()), thing("dog", (1, 1, 9, 9), part())]
    reading = read_form("voc", one(tmp_path / "in", *objects))
    assert dict(reading.dataset.parts) == {"fip": "dog"}
    assert reading.dataset.annotations.parent_id.tolist() == [-1, -1, -1, 2, -1, 4]
    (finding,) = reading.findings
    assert (finding.code, finding.shape) == ("orphan-part", "objects[0].parts[0]")


def test_part_of_a_part_has_no_place_and_is_told(tmp_path: Path) -> None:
    nested = thing("head", (12, 12, 20, 20), part("eye", (13, 13, 14, 14)), tag="part")
    reading = read_form("voc", one(tmp_path / "in", thing("person", inside=nested)))
    assert dict(reading.dataset.parts) == {"head": "person"}
    assert reading.dataset.annotations.parent_id.tolist() == [-1, 0, -1]
    assert found_codes(reading.findings) == ["orphan-part"]


def test_parts_of_the_user_win_and_find_what_is_not_nested(tmp_path: Path) -> None:
    files = {
        "a.xml": annotation(thing(inside=part()), thing("fip", (13, 13, 14, 14))),
        "b.xml": annotation(thing(), thing("fip", (13, 13, 14, 14)), filename="b.png"),
    }
    root = folder(tmp_path / "in", files, ("a.png", "b.png"))
    reading = read_form("voc", root, Naming({"fip": "qr_code"}, None, {}))
    assert reading.dataset.annotations.parent_id.tolist() == [-1, 0, -1, -1, 3]
    renamed = read_form("voc", root, Naming({}, None, {"fip": "finder", "qr_code": "code"}))
    assert dict(renamed.dataset.parts) == {"finder": "code"}
    merged = read_form("voc", root, Naming({}, None, {"fip": "qr_code"}))
    assert dict(merged.dataset.parts) == {}


def test_difficult_is_ignored_and_other_marks_are_told(tmp_path: Path) -> None:
    marks = "<difficult>1</difficult><truncated>1</truncated><pose>Left</pose>"
    plain = "<difficult>0</difficult><truncated/><pose>Unspecified</pose>"
    objects = [
        thing(inside=plain),
        thing(box=(0, 0, 5, 5), inside=marks),
        thing(box=(0, 0, 7, 7), inside="<difficult/>"),
    ]
    reading = read_form("voc", one(tmp_path / "in", *objects))
    assert reading.dataset.annotations.ignore.tolist() == [False, True, False]
    assert [finding.message.split(" was")[0] for finding in reading.findings] == [
        "pose of 1 objects",
        "truncated of 1 objects",
    ]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (thing(box=("nan", 1, 2, 3)), "xmin must be a number"),
        (thing(box=(1, 2, "inf", 3)), "xmax must be a number"),
        (thing(box=(1, 2, "1e99", 3)), "xmax must be a number"),
        (thing(box=(1, 2, "9" * 500, 3)), "xmax must be a number"),
        (thing(box=(1, 2, "1_0", 3)), "xmax must be a number"),
        (thing(box=(1, 2, "٣", 3)), "xmax must be a number"),
        (thing(box=(1, 2, "", 3)), "xmax must be a number"),
        (thing(box=(1, 2, "0x10", 3)), "xmax must be a number"),
        ("<object><name>a</name></object>", "bndbox, got none"),
        ("<object><name>a</name><bndbox><xmin>1</xmin></bndbox></object>", "ymin must be"),
        (thing(name=""), "name must be"),
        (thing(name=" \n"), "name must be"),
        (thing(name="a" * 2000), "name must be"),
        ("<object><bndbox/></object>", "name must be"),
    ],
)
def test_corrupt_object_refuses_its_image_by_name_and_no_other(tmp_path: Path, broken: str, words: str) -> None:
    files = {
        "Annotations/a.xml": annotation(thing(), broken),
        "Annotations/b.xml": annotation(thing(), filename="b.png"),
    }
    reading = read_form("voc", folder(tmp_path / "in", files, ("JPEGImages/a.png", "JPEGImages/b.png")))
    (finding,) = reading.findings
    assert (finding.severity, finding.source, finding.shape) == ("error", "Annotations/a.xml", "objects[1]")
    assert words in finding.message
    assert splits(reading) == {"b": ""}


LAUGHS = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><annotation>&y;</annotation>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "bad-xml"),
        (b"\x00\xff\xfe", "bad-xml"),
        (b"<annotation>", "bad-xml"),
        (annotation(thing())[:-5].encode(), "bad-xml"),
        (b"<annotation/><annotation/>", "bad-xml"),
        (LAUGHS.encode(), "bad-xml"),
        (OUTSIDE.encode(), "bad-xml"),
        (b"<annotation>&x;</annotation>", "bad-xml"),
        (b"<annotation>" + b"<a>" * 100_000, "bad-xml"),
        ("<annotation>é</annotation>".encode("latin-1"), "bad-xml"),
        (b'<?xml version="1.0" encoding="gb2312"?><annotation>\xc4\xe3</annotation>', "bad-encoding"),
        (b'<?xml version="1.0" encoding="base64"?><annotation/>', "bad-encoding"),
    ],
)
def test_file_that_is_no_whole_plain_xml_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    root = folder(tmp_path / "in", {"a.xml": content, "b.xml": annotation(thing(), filename="b.png")}, ("b.png",))
    reading = read_form("voc", root)
    assert [(finding.source, finding.code) for finding in reading.findings] == [("a.xml", code)]
    assert splits(reading) == {"b": ""}


def test_many_elements_and_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voc_xml, "_MOST_ELEMENTS", 1000)
    many, large = tmp_path / "in/many.xml", tmp_path / "in/large.xml"
    folder(tmp_path / "in", {"a.xml": annotation(), "many.xml": "<annotation>" + "<a/>" * 1000}, ("a.png",))
    with large.open("wb") as handle:
        handle.truncate(2**30)
    found = {finding.source: finding.code for finding in read_form("voc", tmp_path / "in").findings}
    assert found == {many.name: "bad-xml", large.name: "file-too-large"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_label_of_any_encoding_that_is_declared_is_read(tmp_path: Path, encoding: str) -> None:
    head = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>'
    root = folder(tmp_path / "in", {"a.xml": (head + annotation(thing("é&lt;&#233;"))).encode(encoding)}, ("a.png",))
    assert read_form("voc", root).dataset.classes == ("é<é",)


def test_xml_of_another_kind_is_left_out_or_the_wrong_folder(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", {"pom.xml": "<project/>"}, ())
    with pytest.raises(AnnotationError, match=r"1 XML file.* of another kind, such as pom.xml"):
        read_form("voc", root)
    folder(root, {"a.xml": annotation(thing())}, ("a.png",))
    reading = read_form("voc", root)
    assert (found_codes(reading.findings), splits(reading)) == (["not-voc"], {"a": ""})


@pytest.mark.parametrize("source", ["none", "empty", "file.xml"])
def test_source_that_is_no_voc_folder_is_refused(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.xml").write_text(annotation())
    with pytest.raises(AnnotationError, match=f"{tmp_path / source}: source must"):
        read_form("voc", tmp_path / source)


@pytest.mark.parametrize(
    ("box", "code", "kept"),
    [
        ((90, 70, 110, 90), "clipped", [[90, 70, 100, 80]]),
        ((200, 10, 210, 20), "outside", []),
        ((10, 10, 10, 20), "zero-area", []),
        ((40, 30, 10, 10), "inverted-corners", [[10, 10, 40, 30]]),
    ],
)
def test_box_that_is_changed_or_dropped_is_told(
    tmp_path: Path, box: tuple[float, ...], code: str, kept: list[list[float]]
) -> None:
    reading = read_form("voc", one(tmp_path / "in", thing(box=box)))
    assert (found_codes(reading.findings), boxes(reading)) == ([code], kept)


@pytest.mark.parametrize(
    ("xml", "picture", "said"),
    [
        ("Annotations/a.xml", "JPEGImages/a.png", {}),
        ("annotations/a.xml", "images/a.png", {}),
        ("VOC2012/Annotations/x/a.xml", "VOC2012/JPEGImages/x/a.png", {}),
        ("a.xml", "a.png", {}),
        ("labels/a.xml", "images/a.png", {}),
        ("xmls/a.xml", "photos/a.png", {"folder": "photos"}),
        ("a.xml", "a.png", {"filename": "C:\\data\\a.png"}),
        ("a.xml", "a.png", {"filename": "a"}),
        ("a.xml", "a.JPG", {"filename": ""}),
        ("a.xml", "b.png", {"filename": "b.png"}),
    ],
)
def test_picture_is_found_where_programs_put_it(tmp_path: Path, xml: str, picture: str, said: dict[str, str]) -> None:
    root = folder(tmp_path / "in", {xml: annotation(thing(), **said)}, ())
    (root / picture).parent.mkdir(parents=True, exist_ok=True)
    write_png(root / "x.png").rename(root / picture)
    reading = read_form("voc", root)
    assert (reading.dataset.images.path.tolist(), reading.findings) == ([picture], [])


def test_picture_elsewhere_is_taken_and_told(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", {"xml/a.xml": annotation(thing())}, ("far/away/a.png",))
    reading = read_form("voc", root)
    assert reading.dataset.images.path.tolist() == ["far/away/a.png"]
    assert found_codes(reading.findings) == ["found-beside"]


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd", "..", "\\\\host\\share\\a.png"])
def test_picture_outside_is_never_looked_at(tmp_path: Path, name: str) -> None:
    write_png(tmp_path / "secret.png", (7, 7))
    root = folder(tmp_path / "in/deep", {"a.xml": annotation(thing(), filename=name, folder="../..")}, ())
    reading = read_form("voc", root)
    assert found_codes(reading.findings) == ["missing-image"]
    assert not reading.dataset.images.path[0].startswith("..")
    assert reading.dataset.images.width.tolist() == [100]


def test_missing_picture_keeps_the_size_of_the_file_and_without_one_refuses(tmp_path: Path) -> None:
    files = {"a.xml": annotation(thing()), "b.xml": annotation(thing(), size="", filename="b.png")}
    reading = read_form("voc", folder(tmp_path / "in", files, ()))
    found = {(finding.source, finding.code) for finding in reading.findings}
    assert found == {("a.xml", "missing-image"), ("b.xml", "unknown-size")}
    assert splits(reading) == {"a": ""}
    unchecked = read_form("voc", tmp_path / "in", check_images=False)
    assert {finding.code for finding in unchecked.findings} == {"unknown-size"}


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>", "<size/>"])
def test_size_that_is_none_is_taken_from_the_picture(tmp_path: Path, size: str) -> None:
    for check in (True, False):
        root = one(tmp_path / f"in {check}", thing(), size=size)
        reading = read_form("voc", root, check_images=check)
        assert (reading.dataset.images.width.tolist(), boxes(reading)) == ([100], [[10, 10, 40, 30]])
        assert found_codes(reading.findings) == ["size-from-image"]


@pytest.mark.parametrize(
    ("stored", "code"), [((50, 40), "stale-size"), ((80, 100), "size-mismatch"), ((100, 80), None)]
)
def test_size_is_checked_against_the_picture(tmp_path: Path, stored: tuple[int, int], code: str | None) -> None:
    root = one(tmp_path / "in", thing())
    write_png(root / "JPEGImages/a.png", stored)
    assert found_codes(read_form("voc", root).findings) == ([code] if code else [])
    assert found_codes(read_form("voc", root, check_images=False).findings) == []


def voc(root: Path, names: str, lists: Mapping[str, str]) -> Path:
    files: dict[str, str] = {f"Annotations/{name}.xml": annotation(filename=f"{name}.png") for name in names}
    files |= {f"ImageSets/Main/{name}.txt": text for name, text in lists.items()}
    return folder(root, files, tuple(f"JPEGImages/{name}.png" for name in names))


def test_lists_name_the_splits(tmp_path: Path) -> None:
    lists = {"train": "a\nb\n", "val": "\ufeffc\r\n", "test": "d", "trainval": "a\nb\nc", "cat_train": "a 1\nb -1"}
    reading = read_form("voc", voc(tmp_path / "in", "abcde", lists))
    assert splits(reading) == {"a": "train", "b": "train", "c": "val", "d": "test", "e": ""}
    assert reading.findings == []


def test_lists_that_disagree_or_name_nothing_are_told(tmp_path: Path) -> None:
    root = voc(tmp_path / "in", "ab", {"train": "a\nx\ny", "test": "a\nb", "val": ""})
    (root / "ImageSets/Main/val.txt").write_bytes(b"\xff\xfe")
    reading = read_form("voc", root)
    assert splits(reading) == {"a": "", "b": "test"}
    found = {finding.code: finding for finding in reading.findings}
    assert set(found) == {"unknown-image", "split-conflict", "bad-encoding"}
    assert (found["unknown-image"].source, found["unknown-image"].shape) == ("ImageSets/Main/train.txt", "line 2")
    assert "1 in train and test, a first" in found["split-conflict"].message


def test_two_years_in_one_folder_have_their_own_lists(tmp_path: Path) -> None:
    voc(tmp_path / "in/VOC2007", "ab", {"train": "a", "val": "b"})
    voc(tmp_path / "in/VOC2012", "ac", {"train": "c", "val": "a"})
    reading = read_form("voc", tmp_path / "in")
    assert splits(reading) == {
        "VOC2007/Annotations/a": "train",
        "b": "val",
        "VOC2012/Annotations/a": "val",
        "c": "train",
    }


def test_folders_name_the_splits_where_no_list_does(tmp_path: Path) -> None:
    files = {f"{name}/{name}.xml": annotation(filename=f"{name}.png") for name in ("train", "valid", "test", "other")}
    reading = read_form("voc", folder(tmp_path / "in", files, tuple(f"{name[:-4]}.png" for name in files)))
    assert splits(reading) == {"train": "train", "valid": "val", "test": "test", "other": ""}


def test_writer_tells_what_voc_cannot_hold(tmp_path: Path) -> None:
    rows = [{"image_id": "a", "split": "train", "flags": "dark"}, {"image_id": "b"}]
    drawn: list[dict[str, object]] = [
        {"image": 0, "label": "qr_code", "xyxy": (0, 0, 10, 10), "group": "1"},
        {"image": 0, "label": "fip", "xyxy": (0, 0, 5, 5), "group": "2"},
        {"image": 1, "label": "fip", "xyxy": (0, 0, 5, 5), "ignore": True},
        {"image": 1, "label": "a\x01", "xyxy": (0, 0, 5, 5)},
    ]
    classes = ["qr_code", "fip", "a\x01", "never"]
    dataset = box_dataset(tmp_path / "in", rows, drawn, classes, {"fip": "qr_code"})
    told = write_form("voc", tmp_path / "out", dataset)
    words = [
        "group_id: left out of 2",
        "flags: left out of 1",
        "say --parts",
        "letters that XML",
        "without a box: never",
    ]
    for each in [*words, "2 parts stand in no object"]:
        assert sum(each in finding.message for finding in told) == 1
    assert len(told) == 6
    back = read_form("voc", tmp_path / "out").dataset
    assert back.classes == ("a\ufffd", "fip", "qr_code")
    assert sorted(back.annotations.ignore.tolist()) == [False, False, False, True]


def test_part_of_a_part_is_written_as_an_object_of_its_own(tmp_path: Path) -> None:
    box = {"image": 0, "label": "fip", "xyxy": (0, 0, 5, 5)}
    drawn = [{**box, "xyxy": (0, 0, 5, 5 + row), "parent": parent} for row, parent in enumerate([-1, 0, 1, 4, 3])]
    dataset = box_dataset(tmp_path / "in", [{"image_id": "a"}], drawn)
    write_form("voc", tmp_path / "out", dataset)
    root = read_xml(tmp_path / "out/Annotations/a.xml")
    assert [len(each.findall("part")) for each in root.findall("object")] == [1, 0, 0, 0]


def test_numbers_are_whole_where_they_can_be_and_depth_is_the_picture_s(tmp_path: Path) -> None:
    box = {"image": 0, "label": "fip", "xyxy": (0, 1 / 3, 5, 5.25)}
    write_form("voc", tmp_path / "out", box_dataset(tmp_path / "in", [{"image_id": "a"}], [box]))
    root = read_xml(tmp_path / "out/Annotations/a.xml")
    assert [root.findtext(f"object/bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")] == [
        "0", "0.3333333333333333", "5", "5.25",
    ]  # fmt: skip
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["96", "64", "1"]
    assert (tmp_path / "out/ImageSets/Main/train.txt").read_text() == ""
