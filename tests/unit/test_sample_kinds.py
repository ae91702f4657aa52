"""Training samples of every kind: mosaics, pasted objects, drawn codes, look-alikes; a function of seed and step."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detector_samples import QUICK, annotations_table, drawn_dataset, images_table
from numpy.typing import NDArray

from annotations.dataset import read_dataset
from annotations.detections import write_detections
from annotations.errors import AnnotationError, UsageError
from annotations.pictures import write_picture
from annotations.tables import NO_PARENT, BoxDataset, Detections
from detector.augment import LEAST_SIDE, Sample, Source
from detector.box_samples import BoxSamples
from detector.canvases import canvas
from detector.copy_paste import Cutout, Objects, with_pasted
from detector.feeding import batches_ahead
from detector.hard_negatives import false_alarms, with_look_alikes
from detector.letterbox import GREY, letterbox, place, reduced
from detector.mosaic import mosaic, mosaic_epochs
from detector.pasting import feathered, free_corner, is_free
from detector.picture_cache import RamCache
from detector.rendered_codes import CodeClasses, code_classes, with_rendered
from detector.settings import Settings

SETTINGS = replace(QUICK, input=(128, 128), batch=4, colour=0.0)
EVERY = SETTINGS.changed(
    {"mosaic": 0.5, "copy_paste": 0.5, "rendered": 0.5, "hard_negatives": 0.5, "angle": 10, "perspective": 0.1}
    | {"light": "0.5,0.5", "blur": 0.3, "motion_blur": 0.3, "noise": 0.3, "jpeg": "0.5,0.5", "colour": 0.3},
    "test",
)


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> BoxDataset:
    directory = tmp_path_factory.mktemp("kinds")
    return read_dataset(drawn_dataset(directory, {"train": 8, "val": 2})).split("train")


def epochs(samples: BoxSamples, count: int) -> Iterator[Sample]:
    for step in range(count * -(-len(samples.data.images) // samples.settings.batch)):
        yield from samples.batch(step)


def assert_same(one: Sample, other: Sample) -> None:
    np.testing.assert_array_equal(one.picture, other.picture)
    np.testing.assert_array_equal(one.xyxy, other.xyxy)
    np.testing.assert_array_equal(one.class_id, other.class_id)


def noise(height: int = 128, width: int = 128) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 100, (height, width, 3), np.uint8)


def empty() -> Sample:
    return Sample(noise(), np.empty((0, 4)), np.empty(0, np.int64))


def test_samples_do_not_depend_on_threads_or_on_where_a_training_was_stopped(train: BoxDataset) -> None:
    alone = [sample for step in range(4) for sample in BoxSamples(train, EVERY).batch(step)]
    by_threads = [sample for batch in batches_ahead(BoxSamples(train, EVERY).batch, 0, 4, 3) for sample in batch]
    for one, other in zip(alone, by_threads, strict=True):
        assert_same(one, other)
    resumed = BoxSamples(train, EVERY).batch(3)
    for one, other in zip(alone[-4:], resumed, strict=True):
        assert_same(one, other)


def test_samples_have_the_size_of_their_step(train: BoxDataset) -> None:
    settings = EVERY.changed({"small_input": "64,96", "small_share": 0.5, "multi_scale": 0.25, "epochs": 4}, "test")
    sizes = set()
    for step in range(8):
        size = canvas(8, settings, step)
        sizes.add(size)
        for sample in BoxSamples(train, settings).batch(step):
            assert sample.picture.shape == (*size, 3)
            assert (sample.xyxy <= np.tile(size[::-1], 2)).all()
    assert len(sizes) > 2


def test_a_small_input_leaves_the_samples_of_the_large_one_as_they_were(train: BoxDataset) -> None:
    settings = replace(EVERY, small_input=(64, 64), small_share=0.3)
    assert canvas(8, settings, 1) == (64, 64)
    # One cache for both: what is kept of a picture does for every size.
    kept = RamCache(10**9)
    small, whole = BoxSamples(train, settings, kept), BoxSamples(train, EVERY)
    small.batch(0)
    for step in (2, 3):
        for one, other in zip(small.batch(step), whole.batch(step), strict=True):
            assert_same(one, other)


def test_pictures_are_kept_sharp_enough_for_the_largest_input(tmp_path: Path) -> None:
    data = read_dataset(drawn_dataset(tmp_path, {"train": 1, "val": 1}, side=256)).split("train")
    settings = replace(SETTINGS, input=(64, 64), augment=False, multi_scale=0.5)
    step = next(step for step in range(99) if canvas(1, settings, step) == (96, 96))
    picture = _read(data, 0)
    expected = place(reduced(picture, (96, 96), 1.0), letterbox(128, 128, (96, 96)), (96, 96))
    np.testing.assert_array_equal(BoxSamples(data, settings).batch(step)[0].picture, expected)


def test_what_is_off_leaves_the_other_samples_as_they_were(train: BoxDataset) -> None:
    plain = BoxSamples(train, SETTINGS)
    # Three epochs of which the last has none: mosaic_off is a half, rounded.
    settings = replace(SETTINGS, mosaic=1.0, mosaic_off=0.5, epochs=3)
    assert mosaic_epochs(8, settings) == 2
    for step in (4, 5):
        for one, other in zip(plain.batch(step), BoxSamples(train, settings).batch(step), strict=True):
            assert_same(one, other)
    differing = zip(plain.batch(0), BoxSamples(train, settings).batch(0), strict=True)
    assert all((one.picture != other.picture).any() for one, other in differing)


def test_without_augmenting_nothing_is_pasted(train: BoxDataset) -> None:
    settings = replace(EVERY, augment=False)
    for one, other in zip(
        BoxSamples(train, settings).batch(0), BoxSamples(train, replace(SETTINGS, augment=False)).batch(0), strict=True
    ):
        assert_same(one, other)


@pytest.mark.parametrize(
    ("total_steps", "off", "expected"), [(0, 0.15, 3), (0, 0.5, 2), (0, 1.0, 0), (40, 0.25, 15), (1, 0.0, 0)]
)
def test_mosaics_end_with_their_share_of_the_epochs(total_steps: int, off: float, expected: int) -> None:
    # 8 images in steps of 4: 40 steps are 20 epochs, and 1 is half a one.
    settings = replace(SETTINGS, mosaic=0.1, mosaic_off=off, total_steps=total_steps, epochs=3)
    assert mosaic_epochs(8, settings) == expected
    assert mosaic_epochs(8, replace(settings, mosaic=0.0)) == 0


def test_every_box_lies_in_the_input_and_is_not_too_small(train: BoxDataset) -> None:
    for sample in epochs(BoxSamples(train, EVERY), 4):
        assert sample.picture.shape == (128, 128, 3)
        assert sample.picture.dtype == np.uint8
        assert (sample.xyxy >= 0).all()
        assert (sample.xyxy <= 128).all()
        assert (sample.xyxy[:, 2:] - sample.xyxy[:, :2]).min(initial=np.inf) >= LEAST_SIDE
        assert len(sample.class_id) == len(sample.xyxy)


def test_a_mosaic_has_each_picture_in_its_place() -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]
    sources = []
    for class_id, colour in enumerate(colours):
        picture = np.full((100, 100, 3), 9, np.uint8)
        picture[20:80, 20:80] = colour
        box = np.array([[20.0, 20.0, 80.0, 80.0]])
        sources.append(Source.of_boxes(picture, box, np.array([class_id])))
    for seed in range(12):
        sample = mosaic(sources, SETTINGS.input, SETTINGS, np.random.default_rng(seed))
        for class_id, box in zip(sample.class_id.tolist(), sample.xyxy, strict=True):
            close = np.abs(sample.picture.astype(int) - colours[class_id]).max(axis=-1) < 125
            rows, columns = np.flatnonzero(close.any(axis=1)), np.flatnonzero(close.any(axis=0))
            seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert np.abs(box - seen).max() <= 1
    with pytest.raises(ValueError, match="4 pictures"):
        mosaic(sources[:3], SETTINGS.input, SETTINGS, np.random.default_rng(0))


def test_mosaics_draw_from_the_images_that_sampling_leaves(train: BoxDataset) -> None:
    flags = np.array(["wanted"] * 4 + [""] * 4)
    one = replace(train, images=replace(train.images, flags=flags))
    settings = SETTINGS.changed({"mosaic": 1, "sampling": "wanted:1000000"}, "test")
    samples = BoxSamples(one, settings)
    assert set(samples._others(np.random.default_rng(0)) + samples._others(np.random.default_rng(1))) <= {0, 1, 2, 3}


def a_pair(root: Path, *, near: bool = False) -> BoxDataset:
    """An image with a red object, its green part, and (`near`) another object beside them; and an empty image."""
    picture = np.full((100, 120, 3), 40, np.uint8)
    picture[30:70, 30:70] = (240, 20, 20)
    picture[32:44, 32:44] = (20, 240, 20)
    write_picture(root / "a.png", picture)
    write_picture(root / "b.png", noise(100, 120))
    rows = [(0, 0, [30, 30, 70, 70]), (0, 1, [32, 32, 44, 44])] + ([(0, 0, [72, 30, 90, 70])] if near else [])
    table = annotations_table([(row, c, (np.array(box) / [120, 100, 120, 100]).tolist()) for row, c, box in rows])
    parents = np.array([NO_PARENT, 0, NO_PARENT][: len(rows)])
    images = images_table(["a.png", "b.png"], ["train", "train"], (120, 100))
    return BoxDataset(root, ("code", "fip"), {"fip": "code"}, images, replace(table, parent_id=parents))


def test_a_cutout_is_an_object_with_its_parts_and_a_margin(tmp_path: Path) -> None:
    cutout = Objects(a_pair(tmp_path)).draw(np.random.default_rng(0))
    assert cutout is not None
    assert cutout.image_row == 0
    assert cutout.class_id.tolist() == [0, 1]
    # 12 % of 40 pixels on each side.
    np.testing.assert_allclose(cutout.piece * [120, 100, 120, 100], [25.2, 25.2, 74.8, 74.8])


def test_what_does_not_stand_alone_or_does_not_count_is_not_cut_out(tmp_path: Path) -> None:
    data = a_pair(tmp_path, near=True)
    rng = np.random.default_rng(0)
    assert all(Objects(data).draw(rng) is None for _ in range(5))
    plain = a_pair(tmp_path)
    for name in ("crowd", "ignore"):
        marked = replace(plain.annotations, **{name: np.array([True, False])})
        assert Objects(replace(plain, annotations=marked)).draw(rng) is None
    nothing = plain.of_images(np.array([1]))
    assert Objects(nothing).draw(rng) is None


def test_a_pasted_object_is_where_its_box_is_with_its_part_inside(tmp_path: Path) -> None:
    data = a_pair(tmp_path)
    picture = np.asarray(np.concatenate([np.full((0, 120, 3), 0, np.uint8), _read(data, 0)]))
    draw, pasted = Objects(data).draw, 0
    for seed in range(30):
        before = empty()
        sample = with_pasted(before, draw, lambda _: picture, SETTINGS, np.random.default_rng(seed))
        np.testing.assert_array_equal(before.picture, noise())
        whole, parts = sample.xyxy[sample.class_id == 0], sample.xyxy[sample.class_id == 1]
        pasted += len(whole)
        red = (sample.picture[..., 0] > 140) & (sample.picture[..., 1] < 120) & (sample.picture[..., 2] < 120)
        for box in whole:
            left, top, right, bottom = np.rint(box).astype(int)
            assert red[top:bottom, left:right].mean() > 0.55
        assert red.sum() <= 1.2 * (whole[:, 2:] - whole[:, :2]).prod(axis=1).sum()
        inside = (parts[:, None, :2] >= whole[None, :, :2] - 0.01) & (parts[:, None, 2:] <= whole[None, :, 2:] + 0.01)
        assert inside.all(axis=-1).any(axis=-1).all()
        size = (whole[:, 2:] - whole[:, :2]).max(axis=1, initial=0)
        # In its own picture it would be 40 of 120 pixels, at an input of 128; and never under 12.
        assert ((size >= 11.4) & (size <= 40 * 128 / 120 + 1)).all()
    assert pasted > 30


def test_what_is_pasted_into_a_small_input_is_smaller(tmp_path: Path) -> None:
    data, sizes = a_pair(tmp_path), []
    picture, draw = _read(data, 0), Objects(data).draw
    for seed in range(20):
        small = Sample(noise(64, 64), np.empty((0, 4)), np.empty(0, np.int64))
        sample = with_pasted(small, draw, lambda _: picture, SETTINGS, np.random.default_rng(seed))
        whole = sample.xyxy[sample.class_id == 0]
        sizes += (whole[:, 2:] - whole[:, :2]).max(axis=1).tolist()
    # In its own picture it would be 40 of 120 pixels, at an input of 64.
    assert len(sizes) > 10
    assert max(sizes) <= 40 * 64 / 120 + 1


def test_an_object_is_not_pasted_so_small_that_its_parts_vanish(tmp_path: Path) -> None:
    data = a_pair(tmp_path)
    picture, cutout = _read(data, 0), Objects(data).draw(np.random.default_rng(0))
    assert cutout is not None
    tiny = replace(cutout, xyxy=np.array([cutout.xyxy[0], [32 / 120, 0.32, 37 / 120, 0.37]]))
    for seed in range(20):
        sample = with_pasted(empty(), lambda _: tiny, lambda _: picture, SETTINGS, np.random.default_rng(seed))
        whole, parts = (sample.xyxy[sample.class_id == class_id] for class_id in (0, 1))
        assert len(whole) == len(parts)
        # A part of 5 pixels of 40: it has 3 where the object has 24. Pieces have whole sides.
        assert ((parts[:, 2:] - parts[:, :2]).max(axis=1, initial=0) >= 2.8).all()


def _read(data: BoxDataset, row: int) -> NDArray[np.uint8]:
    from annotations.pictures import read_picture

    return read_picture(data.picture(row))


def test_nothing_is_pasted_on_boxes_or_on_the_padding() -> None:
    sample = Sample(noise(), np.array([[0.0, 0.0, 60.0, 128.0]]), np.array([-2]))
    assert not is_free(np.array([50.0, 10.0, 70.0, 30.0]), sample)
    assert is_free(np.array([60.0, 10.0, 80.0, 30.0]), sample)
    assert not is_free(np.array([120.0, 10.0, 140.0, 30.0]), sample)
    grey = Sample(np.full((128, 128, 3), GREY, np.uint8), np.empty((0, 4)), np.empty(0, np.int64))
    assert not is_free(np.array([60.0, 10.0, 80.0, 30.0]), grey)
    assert free_corner((20, 20), grey, np.random.default_rng(0)) is None
    assert free_corner((200, 20), sample, np.random.default_rng(0)) is None
    corner = free_corner((20, 30), sample, np.random.default_rng(0))
    assert corner is not None
    assert corner[0] >= 60


def test_a_patch_fades_towards_its_edges() -> None:
    laid = feathered(
        np.zeros((20, 20, 3), np.uint8), np.full((10, 10, 3), 200, np.uint8), np.array([3, 3, 7, 7]), (5, 5)
    )
    assert (laid[8:12, 8:12] == 200).all()
    row = laid[10, 5:15, 0].tolist()
    assert row == sorted(row[:5]) + sorted(row[5:], reverse=True)
    assert 0 < row[0] < 200
    assert laid[:5].max() == laid[15:].max() == 0


def test_drawn_codes_come_with_their_finder_patterns() -> None:
    codes = 0
    for seed in range(20):
        sample = with_rendered(empty(), CodeClasses(3, 7), np.random.default_rng(seed))
        whole, parts = sample.xyxy[sample.class_id == 3], sample.xyxy[sample.class_id == 7]
        codes += len(whole)
        assert len(parts) <= 3 * len(whole)
        inside = (parts[:, None, :2] >= whole[None, :, :2] - 1e-6) & (parts[:, None, 2:] <= whole[None, :, 2:] + 1e-6)
        assert inside.all(axis=-1).any(axis=-1).all()
        # A code on its corner fills half of its box; what else changed is its sheet, half as large again all round.
        changed = (sample.picture != empty().picture).any(axis=-1)
        beside = changed.copy()
        for box in whole:
            left, top, right, bottom = np.rint(box).astype(int)
            assert changed[top:bottom, left:right].mean() > 0.45
            margin = round(0.6 * (box[2:] - box[:2]).max()) + 4
            beside[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = False
        assert not beside.any()
    assert codes > 20


def test_drawn_codes_need_a_class_of_theirs(train: BoxDataset) -> None:
    assert code_classes(train, Settings()) == CodeClasses(0, 1)
    assert code_classes(replace(train, parts={}, classes=("qr_code",)), Settings()) == CodeClasses(0, None)
    for names in ("code", "", "qr_code,fip,x", "fip,qr_code"):
        with pytest.raises(UsageError, match="rendered_as"):
            code_classes(train, Settings(rendered_as=names))
    with pytest.raises(UsageError, match="rendered_as"):
        BoxSamples(train, replace(SETTINGS, rendered=0.1, rendered_as="code"))


def test_look_alikes_change_the_picture_and_no_box() -> None:
    for seed in range(8):
        before = Sample(noise(), np.array([[50.0, 50.0, 80.0, 80.0]]), np.array([0]))
        after = with_look_alikes(before, np.random.default_rng(seed))
        np.testing.assert_array_equal(after.xyxy, before.xyxy)
        np.testing.assert_array_equal(after.picture[50:80, 50:80], before.picture[50:80, 50:80])
        assert (after.picture != before.picture).any()


def found(data: BoxDataset, rows: list[tuple[int, float, list[float]]]) -> Detections:
    count = np.arange(len(rows))
    return Detections(
        np.array([row for row, _, _ in rows]),
        count,
        np.full(len(rows), NO_PARENT),
        np.zeros(len(rows), np.int64),
        np.array([score for _, score, _ in rows]),
        np.array([box for _, _, box in rows]) / [120, 100, 120, 100],
    )


def test_false_alarms_are_those_of_training_images_that_touch_no_box(tmp_path: Path) -> None:
    data = a_pair(tmp_path)
    rows = [
        (0, 0.9, [28.0, 28.0, 72.0, 72.0]),  # the object
        (0, 0.9, [60.0, 60.0, 90.0, 90.0]),  # beside it, and on it
        (0, 0.9, [80.0, 10.0, 110.0, 40.0]),
        (0, 0.05, [80.0, 50.0, 110.0, 80.0]),  # hardly found
        (1, 0.3, [10.0, 10.0, 40.0, 40.0]),
    ]
    file = tmp_path / "detections.csv"
    write_detections(file, data.images, data.classes, found(data, rows))
    alarms = false_alarms(data, file)
    assert alarms.image_row.tolist() == [0, 1]
    only_first = data.of_images(np.array([0]))
    assert false_alarms(only_first, file).image_row.tolist() == [0]
    cutout = false_alarms(data.of_images(np.array([1])), file).draw(np.random.default_rng(0))
    assert isinstance(cutout, Cutout)
    assert cutout.xyxy.shape == (0, 4)

    settings = replace(SETTINGS, hard_negatives=1.0, false_alarms=str(file))
    with_alarms, plain = BoxSamples(data, settings).batch(0), BoxSamples(data, SETTINGS).batch(0)
    for one, other in zip(with_alarms, plain, strict=True):
        np.testing.assert_array_equal(one.xyxy, other.xyxy)
    assert any((one.picture != other.picture).any() for one, other in zip(with_alarms, plain, strict=True))


def test_files_without_false_alarms_are_refused(tmp_path: Path) -> None:
    data = a_pair(tmp_path)
    file = tmp_path / "detections.csv"
    write_detections(file, data.images, data.classes, found(data, [(0, 0.9, [30.0, 30.0, 70.0, 70.0])]))
    with pytest.raises(UsageError, match="false_alarms must hold"):
        false_alarms(data, file)
    with pytest.raises(AnnotationError, match=r"none\.csv"):
        BoxSamples(data, replace(SETTINGS, hard_negatives=1.0, false_alarms=str(tmp_path / "none.csv")))


def test_a_dataset_of_one_empty_image_has_every_kind_of_sample(tmp_path: Path) -> None:
    data = a_pair(tmp_path).of_images(np.array([1]))
    settings = replace(EVERY, rendered_as="code,fip", mosaic=1.0, mosaic_off=0.0)
    for sample in epochs(BoxSamples(data, settings), 4):
        assert set(sample.class_id.tolist()) <= {0, 1}
