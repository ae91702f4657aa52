"""How large the input is in each step: small at first, drawn at random, and as in use at the end."""

from dataclasses import replace

import pytest
from detector_samples import QUICK

from annotations.errors import UsageError
from detector.canvases import canvas, canvases, largest, scaled, size_notes, small_epochs, small_input
from detector.settings import Settings

SETTINGS = replace(QUICK, input=(416, 416), batch=4, epochs=10)
"""8 images are two steps an epoch."""


def sizes(settings: Settings) -> list[tuple[int, int]]:
    """The canvas of each epoch, whose steps must have one."""
    by_epoch = [{canvas(8, settings, 2 * epoch + part) for part in (0, 1)} for epoch in range(settings.epochs)]
    assert all(len(each) == 1 for each in by_epoch)
    return [size for each in by_epoch for size in each]


def test_without_more_every_step_has_the_input() -> None:
    assert set(sizes(SETTINGS)) == {(416, 416)}
    assert canvases(SETTINGS) == [(416, 416)]
    assert size_notes(8, SETTINGS) == []


def test_the_first_share_of_the_epochs_is_small() -> None:
    settings = replace(SETTINGS, small_share=0.6)
    assert sizes(settings) == [(256, 256)] * 6 + [(416, 416)] * 4
    assert canvases(settings) == [(256, 256), (416, 416)]
    assert largest(settings) == (416, 416)
    assert size_notes(8, settings) == ["input is 256 up to epoch 6, then 416"]


@pytest.mark.parametrize(
    ("share", "total_steps", "expected"),
    # 8 images in steps of 4: 40 steps are 20 epochs, and 1 is half a one.
    [(0.0, 0, 0), (0.25, 0, 2), (1.0, 0, 10), (0.5, 40, 10), (0.9, 1, 0)],
)
def test_small_epochs_are_a_share_of_all(share: float, total_steps: int, expected: int) -> None:
    assert small_epochs(8, replace(SETTINGS, small_share=share, total_steps=total_steps)) == expected


def test_steps_differ_at_random_but_for_the_last_epochs() -> None:
    settings = replace(SETTINGS, multi_scale=0.25, epochs=40)
    drawn = [canvas(8, settings, step) for step in range(80)]
    assert set(drawn[:68]) == {(side, side) for side in range(320, 513, 32)} == set(canvases(settings))
    # mosaic_off is 0.15.
    assert set(drawn[68:]) == {(416, 416)}
    assert drawn == [canvas(8, settings, step) for step in range(80)]
    assert drawn != [canvas(8, replace(settings, seed=1), step) for step in range(80)]
    assert largest(settings) == (512, 512)
    assert size_notes(8, settings) == [
        "input is drawn for each step up to epoch 34, of 320, 352, 384, 416, 448, 480, 512"
    ]


def test_small_inputs_differ_round_the_small_one() -> None:
    settings = replace(SETTINGS, multi_scale=0.2, small_share=0.5, small_input=(256, 192), epochs=40)
    assert {canvas(8, settings, step) for step in range(40)} == {(224, 160), (256, 192), (288, 224)}
    assert {canvas(8, settings, step) for step in range(40, 68)} == {(side, side) for side in (352, 384, 416, 448, 480)}
    assert size_notes(8, settings)[0] == "input is 256x192 up to epoch 20, then 416"


def test_sizes_are_few_and_evenly_spaced() -> None:
    assert scaled((416, 416), 0.5) == [(side, side) for side in (224, 288, 352, 416, 480, 544, 608)]
    assert scaled((1024, 1024), 0.5) == [(side, side) for side in (512, 672, 864, 1024, 1184, 1376, 1536)]
    assert scaled((64, 64), 0.5) == [(64, 64), (96, 96)]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"small_input": 100}, "small_input must be a multiple of 32 pixels, got 100,100"),
        ({"small_input": 32}, "small_input must be 0 or at least 64, got 32,32"),
        ({"small_input": "0,64"}, "small_input must be 0 or at least 64, got 0,64"),
        ({"small_input": "448,416", "small_share": 0.5}, "small_input must be at most input, 416,416, got 448,416"),
        ({"small_share": 1.5}, "small_share must be at most 1"),
        ({"multi_scale": -0.1}, "multi_scale must be at least 0"),
        ({"multi_scale": 0.6}, "multi_scale must be at most 0.5"),
        ({"multi_scale": 0.05}, "multi_scale must be 0 or at least 0.0769, which is 32 pixels of input 416,416"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        SETTINGS.changed(values, "test")


@pytest.mark.parametrize("name", ["small_share", "multi_scale"])
def test_the_published_network_has_one_size(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be 0 for family ppn_classic.*got 0.5"):
        Settings().changed({"family": "ppn_classic", name: 0.5}, "test")


def test_a_small_input_that_is_not_used_may_be_larger_than_the_input() -> None:
    assert canvases(replace(SETTINGS, input=(64, 64), small_input=(96, 96))) == [(64, 64)]


@pytest.mark.parametrize(
    ("size", "expected"), [((416, 416), (256, 256)), ((320, 640), (192, 384)), ((96, 128), (64, 64)), ((64, 64),) * 2]
)
def test_the_small_input_is_six_tenths_where_it_is_not_named(size: tuple[int, int], expected: tuple[int, int]) -> None:
    settings = replace(SETTINGS, input=size, small_share=0.5)
    assert canvas(8, settings, 0) == small_input(settings) == expected
    assert small_input(replace(settings, small_input=size)) == size
    # Where nothing can be smaller there is one size, and nothing to tell.
    assert len(canvases(settings)) == 1 + (size != expected)
    assert len(size_notes(8, settings)) == (size != expected)
