import json
from pathlib import Path

import pytest
from annotation_files import document, shape, write_json, write_png

from annotations.convert import convert
from annotations.errors import AnnotationError, UsageError
from annotations.forms import FORMS_IN, FORMS_OUT, ReadOptions, detect_form, read_source, writer_of
from annotations.naming import Naming

COCO = {"images": [], "annotations": [], "categories": []}
VOC = "<annotation><filename>a.png</filename></annotation>"
CSV = "image_id,image_height,image_width,object_id,class,xmin,ymin,xmax,ymax\n"


def labelme(root: Path) -> None:
    write_json(root / "a.json", document(shape()))


def coco(root: Path) -> None:
    # As most programs write it: the images first, and long.
    write_json(root / "annotations" / "t.json", {"info": {}, "images": [{"file_name": "x" * 300}] * 500} | COCO)


def yolo(root: Path) -> None:
    write_json(root / "data.yaml", "names: [a]\ntrain: images\n")
    write_json(root / "labels" / "a.txt", "0 0.5 0.5 0.1 0.1\n")


def yolo_without_yaml(root: Path) -> None:
    write_json(root / "classes.txt", "a\n")
    write_json(root / "labels" / "a.txt", "0 0.5 0.5 0.1 0.1\n")


def voc(root: Path) -> None:
    write_json(root / "Annotations" / "a.xml", VOC)


def csv(root: Path) -> None:
    write_json(root / "objects_train.csv", CSV)


def pairs(root: Path) -> None:
    write_png(root / "train" / "images" / "a.png")
    write_png(root / "train" / "labels" / "a.png")


def pairs_side_by_side(root: Path) -> None:
    write_png(root / "a.png")
    write_png(root / "a_mask.png")


def boxes(root: Path) -> None:
    write_json(root / "dataset.json", "{}")


MADE = {
    "labelme": [labelme],
    "coco": [coco],
    "yolo": [yolo, yolo_without_yaml],
    "voc": [voc],
    "csv": [csv],
    "pairs": [pairs, pairs_side_by_side],
    "boxes": [boxes],
}


@pytest.mark.parametrize(("form", "make"), [(form, make) for form, makes in MADE.items() for make in makes])
def test_a_folder_of_one_form_is_known(tmp_path: Path, form: str, make: object) -> None:
    assert callable(make)
    make(tmp_path)
    write_json(tmp_path / "notes.txt", "hello")
    write_json(tmp_path / "table.csv", "a,b\n1,2\n")
    write_json(tmp_path / "config.yaml", "hostnames: [1]\n")
    write_json(tmp_path / "package.json", '{"images": 3}')
    write_json(tmp_path / ".hidden" / "t.json", json.dumps(COCO))
    write_png(tmp_path / "photo.png")
    assert detect_form(tmp_path).form == form


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("t.JSON", json.dumps(COCO), "coco"),
        ("t.json", json.dumps(document()), "labelme"),
        ("a.xml", VOC, "voc"),
        ("data.yml", "names: {0: a}\n", "yolo"),
        ("boxes.csv", CSV, "csv"),
        ("boxes.csv", "\ufeff" + CSV.replace(",", '","').replace("image_id", '"image_id').strip() + '"\r\n', "csv"),
        ("dataset.json", "{}", "boxes"),
    ],
)
def test_a_file_of_one_form_is_known(tmp_path: Path, name: str, content: str, form: str) -> None:
    assert detect_form(write_json(tmp_path / name, content)).form == form


@pytest.mark.parametrize("other", [csv, pairs])
def test_what_is_made_of_annotations_and_lies_beside_them_is_not_meant(tmp_path: Path, other: object) -> None:
    assert callable(other)
    other(tmp_path)
    labelme(tmp_path)
    assert detect_form(tmp_path).form == "labelme"


def test_several_forms_are_told_with_the_way_to_choose(tmp_path: Path) -> None:
    coco(tmp_path / "exported")
    voc(tmp_path / "drawn")
    with pytest.raises(UsageError, match=r"exported/annotations/t\.json.*drawn/.*\.xml.*--from") as caught:
        detect_form(tmp_path)
    assert "--from voc" in str(caught.value)
    assert "--from coco" in str(caught.value)


def test_labelme_files_win_over_their_exports_and_it_is_told(tmp_path: Path) -> None:
    labelme(tmp_path / "drawn")
    coco(tmp_path / "exported")
    form, (finding,) = detect_form(tmp_path)
    assert (form, finding.code, finding.source) == ("labelme", "other-form", "exported/annotations/t.json")
    assert "--from coco" in finding.message
    report = convert(tmp_path, tmp_path.with_name("out"))
    assert report.findings[0] == finding
    assert report.source_form == "labelme"


def test_a_label_called_images_makes_no_coco(tmp_path: Path) -> None:
    shapes = [shape(label) for label in ("images", "annotations", "categories")]
    assert detect_form(write_json(tmp_path / "a.json", document(*shapes))).form == "labelme"


def test_a_category_called_shapes_makes_no_labelme(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", json.dumps(COCO | {"categories": [{"id": 1, "name": "shapes"}]}))
    assert detect_form(path).form == "coco"


def test_a_damaged_file_is_left_to_be_refused_by_name(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", "{")
    assert detect_form(tmp_path).form == "labelme"


@pytest.mark.parametrize("name", ["nothing.txt", "a.xml", "a.csv", "a.yaml"])
def test_nothing_known_is_an_error_that_names_the_forms(tmp_path: Path, name: str) -> None:
    path = write_json(tmp_path / "in" / name, "x,y\n")
    for source in (path, path.parent):
        with pytest.raises(AnnotationError, match=r"source must hold Labelme files \(\*\.json\), COCO JSON, a YOLO"):
            detect_form(source)
    with pytest.raises(AnnotationError, match="got no such one"):
        detect_form(tmp_path / "nowhere")


def test_every_form_has_its_reader_and_its_writer(tmp_path: Path) -> None:
    for form in FORMS_IN:
        with pytest.raises((AnnotationError, UsageError), match="nowhere"):
            read_source(tmp_path / "nowhere", form, Naming({}, None, {}))
    for form in set(FORMS_OUT) - {"boxes"}:
        assert callable(writer_of(form))
    for bad in (lambda: writer_of("boxes"), lambda: read_source(tmp_path, "word", Naming({}, None, {}))):
        with pytest.raises(UsageError, match="must be one of"):
            bad()


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    bad: list[dict[str, object]] = [
        {"masks": "both"},
        {"pictures": tmp_path / "nowhere"},
        {"workers": 0},
        {"first_pixel": 2},
    ]
    for options in bad:
        with pytest.raises(UsageError, match="must be"):
            ReadOptions(**options)  # type: ignore[arg-type]
