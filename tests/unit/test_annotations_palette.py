"""The palette: one home for the colours of boxes and charts."""

from annotations import drawing, palette
from evaluation import charts


def test_colour_is_told_in_hexadecimal_digits() -> None:
    assert (palette.hexadecimal(palette.BLUE), palette.hexadecimal(palette.GREEN)) == ("#0072b2", "#009e73")


def test_boxes_and_charts_take_their_colours_from_it() -> None:
    known = {palette.hexadecimal(colour) for colour in palette.COLOURS}
    assert len(known) == 7
    assert drawing.COLOURS is palette.COLOURS
    assert {*charts._COLOURS, *(colour for colour, _, _ in charts._STYLES.values())} == known - {
        palette.hexadecimal(palette.YELLOW)
    }
