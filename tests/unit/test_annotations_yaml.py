"""The part of YAML that data.yaml is written in."""

import pytest

from annotations.errors import AnnotationError
from annotations.yaml_subset import quoted, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("---\na: 1\n", {"a": "1"}),
        ("a: b # comment\n", {"a": "b"}),
        ("a: b#c", {"a": "b#c"}),
        ("a:\r\n  - x\r\n", {"a": ["x"]}),
        ("a:\n- x\n- y z\nb: 1", {"a": ["x", "y z"], "b": "1"}),
        ("a:\n  0: x\n  1: y\n", {"a": {"0": "x", "1": "y"}}),
        ("a:\n", {"a": ""}),
        ("a: # later\n  b: c\n", {"a": {"b": "c"}}),
        ("a: [x, 'y, z', \"w\"]", {"a": ["x", "y, z", "w"]}),
        ("a: [\n  x,  # first\n  y,\n]\nb: 1", {"a": ["x", "y"], "b": "1"}),
        ("a: []", {"a": []}),
        ("a: {0: x, 1: [y]}", {"a": {"0": "x", "1": ["y"]}}),
        ("a: 'it''s'", {"a": "it's"}),
        (r'a: "\x41\u00e9\U0001F600\n\\"', {"a": "Aé😀\n\\"}),
        ('"a b": c', {"a b": "c"}),
        ("a: no\nb: 1e3\nc: null", {"a": "no", "b": "1e3", "c": "null"}),
        ("a: |\n  from x import y\n    z: [\n\nb: 1", {"a": "  from x import y\n    z: [\n\n", "b": "1"}),
        ("a: http://x/y", {"a": "http://x/y"}),
        ("a: C:\\data", {"a": "C:\\data"}),
    ],
)
def test_text_gives_its_mapping(text: str, value: object) -> None:
    assert read_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("- a", 1, "mapping"),
        ("a", 1, "key: value"),
        ("b: 1\na: &x b", 2, "anchor"),
        ("a: *x", 1, "alias"),
        ("a: !!python/object x", 1, "tag"),
        ("a: [b", 1, "','"),
        ("a: {b}", 1, "key: value"),
        ("a: {b: 1, b: 2}", 1, "once"),
        ("a: 1\na: 2", 2, "once"),
        ("a: b: c", 1, "one text"),
        ("a: 'b", 1, "closed"),
        ("a: 'b' c", 1, "end behind"),
        ("a:\n    b: 1\n  c: 2", 3, "indented"),
        ("\ta: 1", 1, "spaces"),
        ("a: 1\n---\nb: 1", 2, "one document"),
        ('a: "\\ud800"', 1, "letter"),
        ('a: "\\q"', 1, "YAML's"),
        ("a: " + "[" * 10_000, 1, "deep"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(100)), 18, "deep"),
    ],
)
def test_other_yaml_is_refused_by_line(text: str, line: int, words: str) -> None:
    with pytest.raises(AnnotationError, match=f"^line {line}: .*{words}"):
        read_yaml(text)


def test_long_line_takes_no_longer_than_its_length() -> None:
    # A pattern that looks back over the blanks at each of them would take hours.
    assert read_yaml(f"a: b{' ' * 300_000}c") == {"a": f"b{' ' * 300_000}c"}
    with pytest.raises(AnnotationError):
        read_yaml(" " * 300_000 + "x" + ":" * 300_000)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("qr_code", "qr_code"),
        ("traffic light", "traffic light"),
        ("no", '"no"'),
        ("1", '"1"'),
        ("é", '"é"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("a\nb\x85\u2028", '"a\\x0ab\\x85\\u2028"'),
        (" a", '" a"'),
    ],
)
def test_text_is_written_so_that_yaml_takes_it_for_a_text(text: str, written: str) -> None:
    assert quoted(text) == written


def test_pyyaml_reads_what_is_quoted() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is no dependency")
    for text in ["no", "1e3", "é😀", "a: b", "#", "\x85\u2028\ufeff\x7f", "\t", "'", '"', "~", "2026-11-22", "="]:
        assert yaml.safe_load(f"a: {quoted(text)}") == {"a": text}
        assert yaml.safe_load(f"{quoted(text)}: 1") == {text: 1}
