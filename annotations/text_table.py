"""Tables of plain text, for a terminal."""

from collections.abc import Sequence


def one_line(text: str) -> str:
    r"""Return a text with what would end its line or steer the terminal written out, as `\n` and `\x1b`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def text_table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the lines of a table: its first column to the left, the others to the right, none cut off."""
    cells = [[one_line(str(cell)) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    lines = []
    for first, *others in cells:
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *right]).rstrip())
    return lines
