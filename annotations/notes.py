"""What is told about one annotation file while it is read: notes on what was changed, and the refusal that ends it."""

import re
from typing import NamedTuple

from annotations.errors import AnnotationError

_LONGEST = 80


class Note(NamedTuple):
    """One thing to tell about a file: a code of `findings.CODES`, the shape (`shapes[3]` or "") and the words."""

    code: str
    shape: str
    message: str


class FileRefused(AnnotationError):
    """An annotation file gives no image: the code of `findings.CODES`, and the shape at fault where it is one."""

    def __init__(self, code: str, message: str, shape: str = "") -> None:
        super().__init__(f"{shape}: {message}" if shape else message)
        self.note = Note(code, shape, message)


def shown(value: object) -> str:
    """Return a value for a message: as Python writes it, cut where it is long."""
    text = repr(value[:_LONGEST] if isinstance(value, str | list) else value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


# A lone surrogate comes from JSON's \\udXXX, or from a file name that is not UTF-8.
_SPOILED = re.compile("[\0\ud800-\udfff]")


def is_plain(text: str, longest: int) -> bool:
    """Return whether a text of at most `longest` characters can stand in a UTF-8 file and in a path."""
    return len(text) <= longest and ("\0" not in text if text.isascii() else not _SPOILED.search(text))
