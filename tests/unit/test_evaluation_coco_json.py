import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_sets import BOX_PIXELS, box_dataset_on_disk

from annotations.detections import write_detections
from annotations.errors import AnnotationError, PpnlabError, UsageError
from annotations.tables import pixels
from evaluation.metrics import evaluate_splits
from evaluation.sources import read_results, read_truth


def truth_json(**changes: object) -> dict[str, Any]:
    return {
        "images": [
            {"id": 0, "file_name": "photos/a.jpg", "width": 61, "height": 47},
            {"id": 7, "file_name": "photos/b.jpg", "width": 100, "height": 50},
        ],
        "categories": [{"id": 2, "name": "part"}, {"id": 0, "name": "code"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 0, "bbox": [1.25, 2.5, 10, 20], "iscrowd": 0}],
    } | changes


ANNOTATION = truth_json()["annotations"][0]
IMAGE = truth_json()["images"][0]
RESULTS: list[dict[str, Any]] = [{"image_id": 0, "category_id": 0, "bbox": [1.25, 2.5, 10, 20], "score": 0.75}]


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_truth_with_id_0_is_read_and_found(tmp_path: Path) -> None:
    truth = read_truth(written(tmp_path / "truth.json", truth_json()))
    found = read_results(written(tmp_path / "results.json", RESULTS), truth)
    assert truth.classes == ("code", "part")
    assert truth.images.image_id.tolist() == ["a", "b"]
    split = evaluate_splits(truth, found).splits["all"]
    assert (split.images, split.truth, split.tp, split.ap50) == (2, 1, 1, 1.0)


def test_boxes_come_back_in_pixels(tmp_path: Path) -> None:
    truth = read_truth(written(tmp_path / "truth.json", truth_json()))
    boxes = pixels(truth.images, truth.annotations.image_row, truth.annotations.xyxy_rel)
    np.testing.assert_allclose(boxes, [[1.25, 2.5, 11.25, 22.5]], rtol=0, atol=1e-12)


def test_ids_may_be_text_and_images_may_share_a_stem(tmp_path: Path) -> None:
    images = [{"id": name, "file_name": f"{name}/x.jpg", "width": 9, "height": 9} for name in ("a", "b")]
    truth = read_truth(written(tmp_path / "t.json", truth_json(images=images, annotations=[])))
    assert truth.images.image_id.tolist() == ["a/x", "b/x"]
    nameless = [{"id": number, "width": 9, "height": 9} for number in (5, 3)]
    truth = read_truth(written(tmp_path / "t.json", truth_json(images=nameless, annotations=[])))
    assert truth.images.image_id.tolist() == ["5", "3"]


def test_ids_may_be_larger_than_any_machine_number(tmp_path: Path) -> None:
    large = 10**400
    images, category = [IMAGE | {"id": large}], {"id": -large, "name": "code"}
    annotations = [ANNOTATION | {"image_id": large, "category_id": -large}]
    truth = read_truth(
        written(
            tmp_path / "t.json",
            truth_json(images=images, categories=[{"id": 1}, category], annotations=annotations),
        )
    )
    assert truth.classes == ("code", "1")


def test_numbers_of_any_mixture_are_read(tmp_path: Path) -> None:
    truth = read_truth(written(tmp_path / "t.json", truth_json()))
    mixed = [RESULTS[0] | {"score": score} for score in (1, 0.5, -1, 2**63)]
    assert read_results(written(tmp_path / "r.json", mixed), truth).score.tolist() == [1.0, 0.5, -1.0, 2.0**63]
    whole = [RESULTS[0] | {"score": score} for score in (-1, 2**63)]
    assert read_results(written(tmp_path / "r.json", whole), truth).score.tolist() == [-1.0, 2.0**63]


def test_a_name_with_odd_spaces_is_kept(tmp_path: Path) -> None:
    # macOS puts U+202F into the names of its screenshots.
    truth = read_truth(written(tmp_path / "t.json", truth_json(images=[IMAGE | {"file_name": "at 9.41\u202fAM.png"}])))
    assert truth.images.image_id.tolist() == ["at 9.41\u202fAM"]


def test_no_annotations_and_no_results_are_fine(tmp_path: Path) -> None:
    truth = read_truth(written(tmp_path / "t.json", truth_json(annotations=[])))
    assert len(read_results(written(tmp_path / "r.json", []), truth)) == 0


def test_results_may_name_image_and_class_of_a_box_dataset(tmp_path: Path) -> None:
    truth = read_truth(box_dataset_on_disk(tmp_path / "data"))
    x, y, right, bottom = BOX_PIXELS
    entry = {"image_id": "picture0", "category_id": "code", "bbox": [x, y, right - x, bottom - y], "score": 0.5}
    found = read_results(written(tmp_path / "r.json", [entry]), truth)
    assert evaluate_splits(truth, found).splits["all"].ap50 == 1.0
    numbered = written(tmp_path / "n.json", [entry | {"category_id": 1}])
    with pytest.raises(AnnotationError, match=r"results\[0\]: category_id must be one of the truth's \('code'"):
        read_results(numbered, truth)


def test_detections_csv_and_a_box_dataset_are_read(tmp_path: Path) -> None:
    directory = box_dataset_on_disk(tmp_path / "data")
    for path in (directory, directory / "dataset.json"):
        truth = read_truth(path)
        found = read_results(written(tmp_path / "r.json", []), truth)
        write_detections(tmp_path / "detections.csv", truth.images, truth.classes, found)
        assert len(read_results(tmp_path / "detections.csv", truth)) == 0


def test_a_crowd_is_truth_that_does_not_count(tmp_path: Path) -> None:
    annotations = [ANNOTATION, {"id": 1, "image_id": 0, "category_id": 0, "bbox": [30, 10, 30, 30], "iscrowd": 1}]
    truth = read_truth(written(tmp_path / "t.json", truth_json(annotations=annotations)))
    inside = {"image_id": 0, "category_id": 0, "bbox": [40, 20, 5, 5], "score": 0.9}
    found = read_results(written(tmp_path / "r.json", [*RESULTS, inside]), truth)
    split = evaluate_splits(truth, found).splits["all"]
    assert truth.annotations.crowd.tolist() == [False, True]
    assert (split.truth, split.tp, split.fp, split.fn) == (1, 1, 0, 0)


def test_a_box_that_leaves_its_image_is_scored_as_it_stands(tmp_path: Path) -> None:
    truth = read_truth(written(tmp_path / "t.json", truth_json(annotations=[ANNOTATION | {"bbox": [-5, 2, 90, 9]}])))
    boxes = pixels(truth.images, truth.annotations.image_row, truth.annotations.xyxy_rel)
    np.testing.assert_allclose(boxes, [[-5, 2, 85, 11]], rtol=0, atol=1e-12)


BOX_FAULTS = [
    [1, 2, 3],
    [1, 2, 3, "4"],
    [1, 2, 3, None],
    "text",
    None,
    [1, 2, float("nan"), 4],
    [1, 2, float("inf"), 4],
    [1, 2, [3], 4],
]


@pytest.mark.parametrize("bbox", BOX_FAULTS, ids=str)
def test_a_bbox_that_is_no_box_is_refused_by_entry(tmp_path: Path, bbox: object) -> None:
    truth = read_truth(written(tmp_path / "t.json", truth_json()))
    path = written(tmp_path / "r.json", [*RESULTS, RESULTS[0] | {"bbox": bbox}])
    with pytest.raises(AnnotationError, match=r"r\.json: results\[1\]: bbox must be 4 finite numbers, got"):
        read_results(path, truth)


@pytest.mark.parametrize("bbox", [[1, 2, 0, 4], [1, 2, 3, -4]], ids=str)
def test_a_bbox_without_area_is_refused_by_entry(tmp_path: Path, bbox: object) -> None:
    broken = truth_json(annotations=[truth_json()["annotations"][0] | {"bbox": bbox}])
    with pytest.raises(AnnotationError, match=r"annotations\[0\]: bbox must have a width and a height above 0"):
        read_truth(written(tmp_path / "t.json", broken))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"score": "0.5"}, "score must be a finite number, got '0.5'"),
        ({"score": float("nan")}, "score must be a finite number, got nan"),
        ({"score": None}, "score must be a finite number, got None"),
        ({"image_id": 1}, r"image_id must be one of the truth's \(0, 7\), got 1"),
        ({"image_id": [0]}, r"image_id must be one of the truth's \(0, 7\), got \[0\]"),
        ({"category_id": 1}, r"category_id must be one of the truth's \(0, 2\), got 1"),
    ],
)
def test_a_result_that_does_not_fit_is_refused_by_entry(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    truth = read_truth(written(tmp_path / "t.json", truth_json()))
    path = written(tmp_path / "r.json", [*RESULTS, RESULTS[0] | change])
    with pytest.raises(AnnotationError, match=rf"r\.json: results\[1\]: {text}"):
        read_results(path, truth)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"annotations": [ANNOTATION, ANNOTATION]}, r"annotations\[1\]: id must be unique, got 0"),
        ({"annotations": [ANNOTATION | {"image_id": 3}]}, r"annotations\[0\]: image_id must be one of"),
        ({"annotations": ["x"]}, r"annotations\[0\]: entry must be an object, got text"),
        ({"annotations": None}, r"annotations must be a list, got null"),
        ({"images": [IMAGE, IMAGE]}, r"images\[1\]: id must be unique, got 0"),
        ({"images": [IMAGE | {"id": None}]}, r"images\[0\]: id must be a whole number or text, got None"),
        ({"images": [IMAGE | {"width": 0}]}, r"images\[0\]: width must be a whole number from 1 to .*, got 0"),
        ({"images": [IMAGE | {"width": 61.5}]}, r"images\[0\]: width must be a whole number from 1 to .*, got 61.5"),
        ({"images": [IMAGE | {"width": 1e300}]}, r"images\[0\]: width must be a whole number from 1 to .*, got 1e"),
        ({"images": [IMAGE | {"height": "9"}]}, r"images\[0\]: height must be a finite number, got '9'"),
        ({"images": [IMAGE | {"file_name": "\ud800.jpg"}]}, r"images\[0\]: file_name must be writable text"),
        ({"images": [IMAGE | {"file_name": 5}]}, r"images\[0\]: file_name must be writable text, got 5"),
        ({"categories": [{"id": 0, "name": ["a"]}]}, r"categories\[0\]: name must be writable text"),
        ({"annotations": [ANNOTATION | {"bbox": [0, 0, 1e300, 1]}]}, r"annotations\[0\]: bbox must be within"),
        ({"categories": [{"id": 0, "name": "a"}, {"id": 1, "name": "a"}]}, "categories: name must be unique"),
        ({"categories": [{"name": "a"}]}, r"categories\[0\]: id must be a whole number or text, got None"),
    ],
)
def test_a_truth_at_fault_is_refused_by_entry(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(AnnotationError, match=rf"t\.json: {text}"):
        read_truth(written(tmp_path / "t.json", truth_json(**changes)))


@pytest.mark.parametrize("text", ["", "{", "[1, 2", "\x00", "[" * 100_000, "5", '"x"', "[]"])
def test_rubbish_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"t\.json: (file must be JSON|truth must be an object)"):
        read_truth(path)


def test_results_must_be_a_list(tmp_path: Path) -> None:
    truth = read_truth(written(tmp_path / "t.json", truth_json()))
    with pytest.raises(AnnotationError, match=r"r\.json: results must be a list, got an object"):
        read_results(written(tmp_path / "r.json", {}), truth)


def test_other_sources_are_a_usage_error_that_names_what_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("")
    for path, got in ((tmp_path / "x.txt", r"the suffix \.txt"), (tmp_path / "absent.json", "no such file")):
        with pytest.raises(UsageError, match=f"truth must be a box dataset .* or a COCO JSON file, got .*{got}"):
            read_truth(path)
    truth = read_truth(written(tmp_path / "t.json", truth_json()))
    for path, got in ((tmp_path, "a directory"), (tmp_path / "x.txt", r"\.txt"), (tmp_path / "no.csv", "no such file")):
        with pytest.raises(UsageError, match=f"detections must be detections.csv or .*, got .*{got}"):
            read_results(path, truth)


def labelme(**changes: object) -> dict[str, object]:
    shape = {"label": "code", "points": [[11, 21], [1, 1]], "group_id": None, "shape_type": "rectangle", "flags": {}}
    document = {"version": "5.5.0", "flags": {}, "shapes": [shape], "imagePath": "a.jpg", "imageData": None}
    return document | {"imageHeight": 47, "imageWidth": 61} | changes


def test_a_labelme_folder_is_a_truth(tmp_path: Path) -> None:
    written(tmp_path / "a.json", labelme())
    truth = read_truth(tmp_path)
    np.testing.assert_allclose(pixels(truth.images, np.array([0]), truth.annotations.xyxy_rel), [[1, 1, 11, 21]])


def test_a_damaged_labelme_file_is_refused_and_not_left_out(tmp_path: Path) -> None:
    written(tmp_path / "a.json", labelme())
    written(tmp_path / "b.json", labelme(shapes=[{"label": "code", "points": "no"}]))
    with pytest.raises(AnnotationError, match=r"b\.json: "):
        read_truth(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="must hold Labelme files"):
        read_truth(tmp_path)


CSV_HEADER = "image_id,image_height,image_width,object_id,class,xmin,ymin,xmax,ymax\n"


def test_reference_csv_is_a_truth(tmp_path: Path) -> None:
    (tmp_path / "objects_test.csv").write_text(CSV_HEADER + "a,47,61,0,code,1.25,2.5,11.25,22.5\n")
    for path in (tmp_path, tmp_path / "objects_test.csv"):
        truth = read_truth(path)
        assert truth.images.split.tolist() == ["test"]
        boxes = pixels(truth.images, np.array([0]), truth.annotations.xyxy_rel)
        np.testing.assert_allclose(boxes, [[1.25, 2.5, 11.25, 22.5]], rtol=0, atol=1e-12)


def test_a_row_of_reference_csv_at_fault_is_refused_and_not_left_out(tmp_path: Path) -> None:
    rows = "a,47,61,0,code,1,2,11,22\nb,47,61,1,code,1,2,x,22\n"
    (tmp_path / "t.csv").write_text(CSV_HEADER + rows)
    with pytest.raises(AnnotationError, match=r"t\.csv: row 3: xmax must be a finite number of pixels, got 'x'"):
        read_truth(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/secret.jpg", "..\\secret.jpg", "C:\\secret.jpg"])
def test_a_picture_outside_the_folder_of_the_truth_is_never_opened(tmp_path: Path, name: str) -> None:
    truth = read_truth(written(tmp_path / "t.json", truth_json(images=[IMAGE | {"file_name": name}])))
    assert truth.images.path.tolist() == [""]
    assert truth.images.image_id.tolist() == ["secret"]


def test_every_fault_is_a_user_error() -> None:
    assert issubclass(AnnotationError, PpnlabError)
    assert issubclass(UsageError, PpnlabError)
