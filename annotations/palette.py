"""Colours that the colour-blind can tell apart, for boxes and for charts.

Source: Okabe & Ito 2008, "Color Universal Design", the palette without black.
"""

from typing import Final

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

BLUE: Final[Colour] = (0, 114, 178)
VERMILION: Final[Colour] = (213, 94, 0)
GREEN: Final[Colour] = (0, 158, 115)
PURPLE: Final[Colour] = (204, 121, 167)
ORANGE: Final[Colour] = (230, 159, 0)
SKY: Final[Colour] = (86, 180, 233)
YELLOW: Final[Colour] = (240, 228, 66)

COLOURS: Final = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW)
"""All of them; yellow last, which is faint on white."""


def hexadecimal(colour: Colour) -> str:
    """Return a colour as `#rrggbb`."""
    return "#" + bytes(colour).hex()
