"""The part of YAML that a `data.yaml` is written in: mappings, lists and texts; all other YAML is refused by name.

Every scalar comes back as the text that stands there: a class called `no` or `1e3` keeps its name, where YAML itself
makes a truth value or a number of it.
"""

import re
from typing import NoReturn, TypeAlias

from annotations.errors import AnnotationError
from annotations.notes import shown

Yaml: TypeAlias = "str | list[Yaml] | dict[str, Yaml]"

_DEEPEST = 16
_BLANK = re.compile(r"[ ]*(?:#[^\n]*)?(?:\n|$)")
_INDENT = re.compile(r"[ ]*")
_GAP = re.compile(r"(?:[ \t\n]|(?:(?<=[ \t\n])|^)#[^\n]*)*")
_LINE_END = re.compile(r"[ \t]*(?:[ \t]#[^\n]*)?(?:\n|$)")
_SINGLE = re.compile(r"'((?:[^'\n]|'')*)'")
_DOUBLE = re.compile(r'"((?:[^"\\\n]|\\[^\n])*)"')
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_FLOW_TEXT = re.compile(r"(?:[^,\[\]{}\n#:]|(?<=\S)#|:(?![ \t\n,\[\]{}]))*")
_COMMENT = re.compile(r"[ \t]#")
# What begins something that this reader does not know. Source: YAML 1.2.2, section 5.3, indicator characters.
_UNKNOWN = {
    "&": "an anchor", "*": "an alias", "!": "a tag", "?": "a key of several lines", "%": "a directive",
    "@": "a reserved letter", "`": "a reserved letter", "]": "a bracket too many", "}": "a brace too many",
}  # fmt: skip
# Source: YAML 1.2.2, section 5.7.
_ESCAPED = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
# Plain words that YAML 1.1 reads as something else than a text.
_TYPED = frozenset({"", "null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_PLAIN_NAME = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_ -]*[A-Za-z0-9_-])?")


def read_yaml(text: str) -> dict[str, Yaml]:
    """Return the mapping that a YAML text holds; nothing at all gives an empty one, and a value left out is "".

    Raises:
        AnnotationError: it is no mapping, or uses more of YAML than this reader knows; the line is named.
    """
    reader = _Reader(text.replace("\r\n", "\n").replace("\r", "\n"))
    return reader.document()


def quoted(text: str) -> str:
    """Return a text as YAML writes it: bare where every reader takes it for that text, else in double quotes."""
    if _PLAIN_NAME.fullmatch(text) and text.lower() not in _TYPED:
        return text
    return f'"{"".join(_escaped(letter) for letter in text)}"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 2**8 else f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"


class _Reader:
    """A text and how far it was read; blocks go by indentation, what stands in brackets and braces does not."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def document(self) -> dict[str, Yaml]:
        self._skip_blank()
        if self.text.startswith("---", self.at) and self._at_line_end(self.at + 3):
            self.at = self._at_line_end(self.at + 3)
            self._skip_blank()
        if self.at == len(self.text):
            return {}
        if self._indent() or self._is_item():
            self._refuse("file must be a mapping, 'key: value'", self._line_text())
        return self._mapping(0, 0)

    def _block(self, least: int, depth: int) -> Yaml:
        """Return the block that begins here, indented by at least `least`; without one, ""."""
        self._skip_blank()
        indent = self._indent()
        if self.at == len(self.text) or (indent < least and not (self._is_item() and indent == least - 1)):
            return ""
        if depth > _DEEPEST:
            self._refuse(f"blocks must be at most {_DEEPEST} deep", self._line_text())
        return self._items(indent, depth) if self._is_item() else self._mapping(indent, depth)

    def _mapping(self, indent: int, depth: int) -> dict[str, Yaml]:
        found: dict[str, Yaml] = {}
        while self._goes_on(indent) and not self._is_item():
            line = self._line_text()
            self.at += indent
            key = self._key()
            if key in found:
                self._refuse("a key must stand once", line)
            found[key] = self._value(indent, depth)
        if self.at < len(self.text) and self._indent() == indent and not self._is_item():
            self._refuse("line must be 'key: value'", self._line_text())
        return found

    def _items(self, indent: int, depth: int) -> list[Yaml]:
        found: list[Yaml] = []
        while self._goes_on(indent) and self._is_item():
            self.at += indent + 1
            self._skip_spaces()
            found.append(self._value(indent, depth))
        return found

    def _goes_on(self, indent: int) -> bool:
        self._skip_blank()
        if self.at == len(self.text):
            return False
        if self.text.startswith(("---", "...", "\t"), self.at):
            self._refuse("file must be one document, indented by spaces", self._line_text())
        if self._indent() > indent:
            self._refuse(f"line must be indented by {indent} spaces", self._line_text())
        return self._indent() == indent

    def _key(self) -> str:
        if self._peek() in ('"', "'"):
            key = self._quoted()
            self._skip_spaces()
        else:
            end = self._key_end()
            key = self.text[self.at : end].rstrip(" \t")
            self._refuse_unknown(key)
            self.at = end
        if not key or self._peek() != ":" or self.text[self.at + 1 : self.at + 2] not in ("", " ", "\t", "\n"):
            self._refuse("line must be 'key: value'", self._line_text())
        self.at += 1
        self._skip_spaces()
        return key

    def _key_end(self) -> int:
        """Return where the colon stands that ends the key, or the line's end."""
        stop = self._stop()
        end = self.text.find(":", self.at, stop)
        while end >= 0 and self.text[end + 1 : end + 2] not in ("", " ", "\t", "\n"):
            end = self.text.find(":", end + 1, stop)
        return stop if end < 0 else end

    def _value(self, indent: int, depth: int) -> Yaml:
        letter = self._peek()
        if letter in ("", "\n") or (letter == "#" and self.text[self.at - 1] in " \t"):
            self.at = min(self._stop() + 1, len(self.text))
            return self._block(indent + 1, depth + 1)
        if letter in ("|", ">"):
            return self._block_text(indent)
        value: Yaml
        if letter in ("[", "{"):
            value = self._flow(depth)
        elif letter in ('"', "'"):
            value = self._quoted()
        else:
            value = self._plain()
        end = self._at_line_end(self.at)
        if not end:
            self._refuse("line must end behind its value", self._line_text())
        self.at = end
        return value

    def _plain(self) -> str:
        line = self.text[self.at : self._stop()]
        comment = _COMMENT.search(line)
        text = (line[: comment.start()] if comment else line).rstrip(" \t")
        self._refuse_unknown(text)
        if ": " in text or text.endswith(":") or text.startswith("- "):
            self._refuse("value must be one text (quote what holds ': ')", text)
        self.at += len(text)
        return text

    def _block_text(self, indent: int) -> str:
        """Return the lines of a text that stands below its key (`|` or `>`), as they are; nobody here asks for it."""
        self.at = min(self._stop() + 1, len(self.text))
        first = self.at
        while self.at < len(self.text) and (self._indent() > indent or not self._line_text().strip()):
            self.at = min(self._stop() + 1, len(self.text))
        return self.text[first : self.at]

    def _quoted(self) -> str:
        double = self._peek() == '"'
        match = (_DOUBLE if double else _SINGLE).match(self.text, self.at)
        if match is None:
            self._refuse("quotes must be closed on their line", self._line_text())
        self.at = match.end()
        return _ESCAPE.sub(self._unescaped, match[1]) if double else match[1].replace("''", "'")

    def _unescaped(self, match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        number = int(code, 16) if code else 0
        if code and (0xD800 <= number < 0xE000 or number > 0x10FFFF):
            self._refuse("an escape must be a letter", match[0])
        if not code and match[4] not in _ESCAPED:
            self._refuse("an escape must be one of YAML's", match[0])
        return chr(number) if code else _ESCAPED[match[4]]

    def _flow(self, depth: int) -> Yaml:
        """Return what stands in brackets or braces, over however many lines."""
        if depth > _DEEPEST:
            self._refuse(f"brackets must be at most {_DEEPEST} deep", self._line_text())
        closing = "]" if self._peek() == "[" else "}"
        items: list[Yaml] = []
        pairs: dict[str, Yaml] = {}
        self.at += 1
        self._skip_gap()
        while self._peek() != closing:
            if closing == "]":
                items.append(self._flow_value(depth))
            else:
                key = self._flow_text()
                self._skip_gap()
                if self._peek() != ":" or not key or key in pairs:
                    self._refuse("braces must hold 'key: value', each key once", self._line_text())
                self.at += 1
                self._skip_gap()
                pairs[key] = self._flow_value(depth)
            self._skip_gap()
            if self._peek() == ",":
                self.at += 1
                self._skip_gap()
            elif self._peek() != closing:
                self._refuse(f"values must be parted by ',' and end with {closing!r}", self._line_text())
        self.at += 1
        return items if closing == "]" else pairs

    def _flow_value(self, depth: int) -> Yaml:
        return self._flow(depth + 1) if self._peek() in ("[", "{") else self._flow_text()

    def _flow_text(self) -> str:
        if self._peek() in ('"', "'"):
            return self._quoted()
        match = _FLOW_TEXT.match(self.text, self.at)
        text = match[0].rstrip(" \t") if match else ""
        self._refuse_unknown(text)
        self.at += len(text)
        return text

    def _refuse_unknown(self, text: str) -> None:
        if text[:1] in _UNKNOWN:
            self._refuse(f"{_UNKNOWN[text[0]]} is YAML that is not read here; value must be a text", text)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _is_item(self) -> bool:
        start = self.at + self._indent()
        return self.text.startswith("-", start) and self.text[start + 1 : start + 2] in ("", " ", "\t", "\n")

    def _indent(self) -> int:
        match = _INDENT.match(self.text, self.at)
        return match.end() - self.at if match else 0

    def _stop(self) -> int:
        """Return where this line ends."""
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def _at_line_end(self, at: int) -> int:
        """Return where the next line begins, where nothing but a comment is left of this one; else 0."""
        match = _LINE_END.match(self.text, at)
        return match.end() if match else 0

    def _skip_blank(self) -> None:
        while self.at < len(self.text) and (match := _BLANK.match(self.text, self.at)):
            self.at = match.end()

    def _skip_spaces(self) -> None:
        while self._peek() in (" ", "\t"):
            self.at += 1

    def _skip_gap(self) -> None:
        match = _GAP.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _line_text(self) -> str:
        return self.text[self.text.rfind("\n", 0, self.at) + 1 : self._stop()]

    def _refuse(self, must: str, got: str) -> NoReturn:
        number = self.text.count("\n", 0, min(self.at, max(len(self.text) - 1, 0))) + 1
        raise AnnotationError(f"line {number}: {must}, got {shown(got.strip())}")
