"""Real photographs whose boxes are there twice, as Labelme files and as reference CSV: both read alike."""

from collections.abc import Iterator

import pytest
from annotation_files import SHARED

from annotations.forms import ReadOptions, detect_form, read_source
from annotations.naming import Naming
from annotations.tables import BoxDataset, pixels

PHOTOS = SHARED / "data" / "qr_photos"
pytestmark = pytest.mark.skipif(not PHOTOS.is_dir(), reason="the photographs are not here")
Box = tuple[str, str, str, tuple[float, ...], tuple[float, ...] | None]


def boxes(dataset: BoxDataset) -> list[Box]:
    """Return image, split, label, box and the parent's box of each box, sorted."""

    def rows() -> Iterator[Box]:
        table, images = dataset.annotations, dataset.images
        xyxy = [tuple(box) for box in pixels(images, table.image_row, table.xyxy_rel).round(9).tolist()]
        place = {object_id: row for row, object_id in enumerate(table.object_id.tolist())}
        for row, image in enumerate(table.image_row.tolist()):
            parent = place.get(int(table.parent_id[row]))
            label = dataset.classes[table.class_id[row]]
            above = None if parent is None else xyxy[parent]
            yield str(images.image_id[image]), str(images.split[image]), label, xyxy[row], above

    return sorted(rows())


def test_reference_csv_and_labelme_files_hold_the_same() -> None:
    drawn = read_source(PHOTOS, "labelme", Naming({"fip": "qr_code"}, None, {}))
    listed = read_source(PHOTOS, "csv", Naming({}, None, {}))
    assert (drawn.findings, listed.findings) == ([], [])
    assert listed.dataset.parts == {"fip": "qr_code"}
    assert boxes(listed.dataset) == boxes(drawn.dataset)
    assert set(listed.dataset.images.path.tolist()) <= set(drawn.dataset.images.path.tolist())
    annotated = {image for image, *_ in boxes(drawn.dataset)}
    assert set(listed.dataset.images.image_id.tolist()) == annotated  # no row for a picture without a code


def test_labelme_files_with_tables_made_of_them_are_labelme_files() -> None:
    assert detect_form(PHOTOS).form == "labelme"
    assert detect_form(PHOTOS / "fips_test.csv").form == "csv"


def test_one_file_alone_has_no_parts() -> None:
    read = read_source(PHOTOS / "qr_codes_val.csv", "csv", Naming({}, None, {}), ReadOptions(check_images=False))
    assert (read.dataset.classes, read.dataset.parts) == (("qr_code",), {})
    assert set(read.dataset.images.split.tolist()) == {"val"}
    assert len(read.dataset.annotations) == 42
