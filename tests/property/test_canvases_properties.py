"""The sizes of a training's input: multiples of the stride within the share, few, and the same at every asking."""

from dataclasses import replace

from detector_samples import QUICK
from hypothesis import given
from hypothesis import strategies as st

from detector.canvases import canvas, canvases, largest, scaled
from detector.settings import STRIDE_MULTIPLE

SIDES = st.integers(2, 64).map(lambda number: STRIDE_MULTIPLE * number)
SHARES = st.floats(0.0, 0.5)


@given(st.tuples(SIDES, SIDES), SHARES)
def test_sizes_are_multiples_within_the_share(middle: tuple[int, int], share: float) -> None:
    sizes = scaled(middle, share)
    assert middle in sizes
    assert sizes == sorted(set(sizes))
    assert len(sizes) <= 7
    for size in sizes:
        assert all(side % STRIDE_MULTIPLE == 0 and side >= 64 for side in size)
        assert size == middle or abs(max(size) / max(middle) - 1) <= share + 1e-9 or max(size) == 64
        # The shape stays, but for the rounding to multiples and the least side.
        factor = max(size) / max(middle)
        wanted = [max(64.0, side * factor) for side in middle]
        assert all(abs(side - want) <= STRIDE_MULTIPLE / 2 + 1e-6 for side, want in zip(size, wanted, strict=True))


@given(st.tuples(SIDES, SIDES), SHARES, SHARES, st.integers(1, 40), st.integers(0, 2**32 - 1), st.data())
def test_every_step_has_one_of_the_sizes(
    middle: tuple[int, int], share: float, small: float, images: int, seed: int, data: st.DataObject
) -> None:
    share = share if share * max(middle) >= STRIDE_MULTIPLE else 0.0
    settings = replace(QUICK, input=middle, small_input=(64, 64), small_share=small, multi_scale=share, seed=seed)
    step = data.draw(st.integers(0, settings.epochs * images))
    size = canvas(images, settings, step)
    assert size == canvas(images, settings, step)
    assert size in canvases(settings)
    assert all(side <= most for side, most in zip(size, largest(settings), strict=True))
