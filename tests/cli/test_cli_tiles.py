"""`predict --tile` and its options, with a stand-in for the network that finds white rectangles."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runner import ppnlab
from white_model import White

from annotations.pictures import write_picture
from detector import weights
from detector.weights import Predictor


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture of 1,600 x 100 pixels and a card of 16 in it: 1.3 pixels in an input of 128."""
    model = White()
    monkeypatch.setattr(weights, "load_predictor", lambda *given, **options: Predictor(model, model.predict, 7))  # type: ignore[arg-type]
    picture = np.zeros((100, 1600, 3), np.uint8)
    picture[40:56, 700:716] = 255
    (tmp_path / "photos").mkdir()
    write_picture(tmp_path / "photos" / "wide.png", picture)
    return tmp_path


def predicted(place: Path, *options: str) -> list[dict[str, Any]]:
    done = ppnlab("predict", place / "run", place / "photos", "-o", place / "out", "--to", "csv", *options)
    assert done.exit_code == 0, done.output
    with (place / "out" / "detections.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize(
    "options",
    [["--tile"], ["--tile-size", "64"], ["--tile-scales", "tiles"], ["--tile", "--tile-size", "200"]],
    ids=" ".join,
)
def test_tiles_show_what_is_small_in_a_large_picture(wide: Path, options: list[str]) -> None:
    assert predicted(wide) == []
    (row,) = predicted(wide, *options)
    corners = [
        float(row[name]) * side for name, side in zip(("xmin", "ymin", "xmax", "ymax"), (1600, 100) * 2, strict=True)
    ]
    assert corners == pytest.approx([700, 40, 716, 56], abs=1.5)
    assert row["image_id"] == "wide"


@pytest.mark.parametrize("options", [["--tile-size", "31"], ["--tile-scales", "some"]])
def test_tiles_that_cannot_be_are_a_mistake_of_usage(wide: Path, options: list[str]) -> None:
    done = ppnlab("predict", wide / "run", wide / "photos", *options)
    assert done.exit_code == 2
    assert options[0] in done.output


@pytest.mark.parametrize("count", ["3", "0", "-1", "16"])
def test_other_numbers_of_views_are_a_mistake_of_usage(wide: Path, count: str) -> None:
    done = ppnlab("predict", wide / "run", wide / "photos", "--views", count)
    assert done.exit_code == 2
    assert "views: number must be one of 1, 2, 4, 8 for this run (its settings rotate, flip" in done.output
    assert f"got {count}" in done.output
