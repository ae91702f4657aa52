"""An XML file, read into elements in bounded time and memory: without document types, entities or deep nesting."""

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from annotations.notes import FileRefused
from annotations.plain_files import read_plain

LARGEST_XML = 16 * 2**20
"""Bytes; an object takes some 400, and no photograph has 40,000."""

_MOST_ELEMENTS = 1_000_000
_DEEPEST = 32


def read_xml(path: Path) -> Element:
    """Return the root element of an XML file.

    Raises:
        FileRefused: it cannot be read, is larger than LARGEST_XML, is not whole XML, or has a document type: that is
            where entities are defined, which can grow a small file to any size or name other files.
    """
    data = read_plain(path, LARGEST_XML)
    reader = _Reader()
    try:
        return reader.root_of(data)
    except expat.ExpatError as error:
        if error.code in _BAD_ENCODING:
            raise FileRefused("bad-encoding", f"file must be UTF-8 text or name its encoding, got {error}") from error
        raise FileRefused("bad-xml", f"file must be whole XML, got {error}") from error
    except (ValueError, LookupError) as error:
        # What a declared encoding that Python does not know, or of several bytes a letter, raises.
        raise FileRefused("bad-encoding", f"file must be UTF-8 text, got {error}") from error


_BAD_ENCODING = frozenset(
    expat.errors.codes[message]
    for message in (expat.errors.XML_ERROR_UNKNOWN_ENCODING, expat.errors.XML_ERROR_INCORRECT_ENCODING)
)


class _Reader:
    """Builds elements; counts them and how deep they are."""

    def __init__(self) -> None:
        self.builder = TreeBuilder()
        self.depth = 0
        self.elements = 0

    def root_of(self, data: bytes) -> Element:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self.builder.data
        parser.StartDoctypeDeclHandler = self._doctype
        parser.Parse(data, True)
        return self.builder.close()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.elements += 1
        if self.depth > _DEEPEST:
            raise FileRefused("bad-xml", f"elements must be at most {_DEEPEST} deep, got more")
        if self.elements > _MOST_ELEMENTS:
            raise FileRefused("bad-xml", f"elements must be at most {_MOST_ELEMENTS:,}, got more")
        self.builder.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self.depth -= 1
        self.builder.end(tag)

    def _doctype(self, *_: Any) -> None:  # noqa: ANN401
        raise FileRefused("bad-xml", "file must have no document type (DOCTYPE), got one")
