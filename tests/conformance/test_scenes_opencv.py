"""Drawn codes against a reader that is not ours: OpenCV's decodes them, and finds them where the truth says."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotations.scene_symbols import symbol
from annotations.scenes import OBJECT, SceneSettings, draw_scene

EASY = SceneSettings(width=640, height=640, most_codes=1, empty=0.0, difficulty=0.0)


def read(picture: NDArray[np.uint8]) -> tuple[str, NDArray[np.float32]]:
    text, corners, _ = cv2.QRCodeDetector().detectAndDecode(picture)
    return text, corners


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_symbols_are_codes_with_a_text(version: int) -> None:
    for seed in range(3):
        dark = symbol(np.random.default_rng(seed), version)
        assert dark.shape == (17 + 4 * version, 17 + 4 * version)
        printed = np.pad(np.where(dark, 0, 255).astype(np.uint8), 4, constant_values=255)
        text, _ = read(cv2.resize(printed, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST))
        assert text


@pytest.mark.parametrize("index", range(8))
def test_truth_is_where_the_reader_finds_the_code(index: int) -> None:
    scene = draw_scene(2, index, EASY)
    text, corners = read(cv2.cvtColor(scene.pixels, cv2.COLOR_RGB2GRAY))
    assert text
    found = np.concatenate([corners[0].min(axis=0), corners[0].max(axis=0)])
    # The reader extrapolates the fourth corner; one module of these codes is 6 pixels and more.
    np.testing.assert_allclose(found, scene.xyxy(OBJECT)[0], atol=4.5)
    assert np.median(np.abs(found - scene.xyxy(OBJECT)[0])) < 1.5
