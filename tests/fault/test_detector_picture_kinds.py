"""Pictures of every kind that cameras and programs make, in prediction and in training: handled, or named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from detector_samples import QUICK, annotations_table, images_table
from PIL import Image
from white_model import White

from annotations.dataset import read_dataset, write_dataset
from annotations.errors import AnnotationError
from annotations.pictures import read_picture, write_picture
from annotations.tables import BoxDataset
from detector.box_samples import BoxSamples
from detector.predicting import Prediction, predict_files
from detector.tiling import Tiling
from detector.weights import Predictor

WIDTH, HEIGHT = 120, 80
BOX = (24, 16, 72, 48)


def card() -> Image.Image:
    """A white card on black, coloured nowhere, so that every kind of picture can hold it."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    return Image.fromarray(pixels)


def _grey16(path: Path) -> None:
    Image.fromarray(np.asarray(card().convert("L")).astype(np.uint16) * 257).save(path)


def _colour16(path: Path) -> None:
    cv2.imwrite(str(path), np.asarray(card()).astype(np.uint16) * 257)


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: stored the other way round
    card().transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)


def _clear(path: Path) -> None:
    see_through = card().convert("RGBA")
    see_through.putalpha(255)
    see_through.save(path)


KINDS: dict[str, Callable[[Path], None]] = {
    "grey.png": lambda path: card().convert("L").save(path),
    "grey.jpg": lambda path: card().convert("L").save(path, quality=95),
    "grey-alpha.png": lambda path: card().convert("LA").save(path),
    "two-levels.png": lambda path: card().convert("1").save(path),
    "two-levels.tif": lambda path: card().convert("1").save(path),
    "grey16.png": _grey16,
    "grey16.tif": _grey16,
    "colour16.png": _colour16,
    "colour16.tif": _colour16,
    "alpha.png": _clear,
    "alpha.webp": _clear,
    "alpha.tif": _clear,
    "cmyk.jpg": lambda path: card().convert("CMYK").save(path, quality=95),
    "cmyk.tif": lambda path: card().convert("CMYK").save(path),
    "palette.png": lambda path: card().convert("P").save(path),
    "palette.bmp": lambda path: card().convert("P").save(path),
    "palette.tif": lambda path: card().convert("P").save(path),
    "turned.jpg": _turned,
}


def written(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    KINDS[name](folder / name)
    return folder / name


def predicted(files: list[Path], output: Path, tiling: Tiling | None = None, drawn: float | None = None) -> Prediction:
    model = White()
    predictor = Predictor(model, model.predict, 1)  # type: ignore[arg-type]
    return predict_files(predictor, files, output, drawn_above=drawn, tiling=tiling)


@pytest.mark.parametrize("name", KINDS)
def test_a_picture_of_any_kind_is_predicted_on_as_it_is_displayed(tmp_path: Path, name: str) -> None:
    done = predicted([written(tmp_path, name)], tmp_path / "out", drawn=0.1)
    assert done.faults == ()
    assert (done.images.width.tolist(), done.images.height.tolist()) == ([WIDTH], [HEIGHT])
    pixels = done.detections.xyxy_rel * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    np.testing.assert_allclose(pixels, [BOX], atol=1.5)
    assert read_picture(tmp_path / "out" / "images" / f"{Path(name).stem}.jpg").shape == (HEIGHT, WIDTH, 3)


def samples(place: Path, names: list[str], boxes: list[tuple[float, ...]], size: tuple[int, int]) -> BoxSamples:
    """The training samples of pictures at `names`, each with all of these boxes in pixels."""
    frame = np.tile(size, 2)
    rows = [(row, 0, (np.array(box) / frame).tolist()) for row in range(len(names)) for box in boxes]
    data = BoxDataset(place, ("card",), {}, images_table(names, ["train"] * len(names), size), annotations_table(rows))
    write_dataset(place / "data", data, [], command="test")
    return BoxSamples(read_dataset(place / "data"), replace(QUICK, batch=len(names), augment=False))


def test_pictures_of_all_kinds_are_trained_on_as_they_are_displayed(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    names = [f"pictures/{number}-{name}" for number, name in enumerate(KINDS)]
    for path, write in zip(names, KINDS.values(), strict=True):
        write(tmp_path / path)
    kinds = [sample.picture for sample in samples(tmp_path, names, [BOX], (WIDTH, HEIGHT)).batch(0)]
    for picture in kinds:
        np.testing.assert_allclose(picture.astype(int), kinds[0].astype(int), atol=12)
    assert kinds[0].max() == 255


CUT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "no picture": lambda data: b"GIF89a or not",
    "noise": lambda data: data[:200] + bytes((byte ^ 0x5A) for byte in data[200:]),
}


@pytest.mark.parametrize("damage", CUT)
def test_a_damaged_picture_is_named_and_the_others_are_predicted_on(tmp_path: Path, damage: str) -> None:
    good, bad = written(tmp_path, "grey.png"), tmp_path / "bad.jpg"
    card().resize((600, 400)).save(bad, quality=95)
    bad.write_bytes(CUT[damage](bad.read_bytes()))
    done = predicted([bad, good, tmp_path / "missing.jpg"], tmp_path / "out", Tiling())
    assert done.images.image_id.tolist() == ["grey"]
    assert [fault.split(": ")[0] for fault in done.faults] == [str(bad), str(tmp_path / "missing.jpg")]
    assert "picture must be readable" in done.faults[0]


@pytest.mark.parametrize("damage", CUT)
def test_a_damaged_picture_is_named_in_training(tmp_path: Path, damage: str) -> None:
    (tmp_path / "pictures").mkdir()
    card().save(tmp_path / "pictures" / "bad.jpg", quality=95)
    data = (tmp_path / "pictures" / "bad.jpg").read_bytes()
    made = samples(tmp_path, ["pictures/bad.jpg"], [BOX], (WIDTH, HEIGHT))
    (tmp_path / "pictures" / "bad.jpg").write_bytes(CUT[damage](data))
    with pytest.raises(AnnotationError, match=r"bad\.jpg: picture must be readable"):
        made.batch(0)


def panorama(path: Path, width: int = 30_000, height: int = 200) -> list[list[int]]:
    """Write a panorama with three cards of 40 pixels, and return their boxes."""
    pixels = np.zeros((height, width, 3), np.uint8)
    boxes = [[left, 60, left + 40, 100] for left in (10, width // 2, width - 50)]
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 255
    write_picture(path, pixels)
    return boxes


def test_a_panorama_of_30000_pixels_is_seen_in_tiles(tmp_path: Path) -> None:
    boxes = panorama(tmp_path / "wide.png")
    plain = predicted([tmp_path / "wide.png"], tmp_path / "plain")
    assert (len(plain.images), len(plain.detections), plain.faults) == (1, 0, ())
    done = predicted([tmp_path / "wide.png"], tmp_path / "tiled", Tiling(), drawn=0.1)
    found = done.detections.xyxy_rel * [30_000, 200, 30_000, 200]
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], boxes, atol=1.0)


def test_a_drawing_wider_than_a_jpeg_may_be_is_written_in_another_form(tmp_path: Path) -> None:
    panorama(tmp_path / "wider.png", 66_000, 128)
    predicted([tmp_path / "wider.png"], tmp_path / "out", drawn=0.1)
    assert read_picture(tmp_path / "out" / "images" / "wider.png").shape == (128, 66_000, 3)


def test_a_panorama_is_trained_on_with_boxes_under_a_pixel(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    boxes = panorama(tmp_path / "pictures" / "wide.png")
    (sample,) = samples(tmp_path, ["pictures/wide.png"], [tuple(box) for box in boxes], (30_000, 200)).batch(0)
    assert sample.picture.shape == (64, 64, 3)
    sides = sample.xyxy[:, 2:] - sample.xyxy[:, :2]
    # 40 of 30,000 pixels, in an input of 64.
    np.testing.assert_allclose(sides[:, 0], 40 * 64 / 30_000)
    assert len(sides) == 3
