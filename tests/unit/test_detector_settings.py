"""Settings: read from TOML, text and JSON, checked, described."""

import json
import tomllib
from pathlib import Path

import pytest

from annotations.errors import UsageError
from detector.settings import CLASSIC, DEMO, Settings, describe, family_defaults, parse_assignments, read_toml


def changed(name: str, value: object) -> object:
    return getattr(Settings().changed({name: value}, "here"), name)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("batch", "16", 16),
        ("batch", 16, 16),
        ("batch", 16.0, 16),
        ("learning_rate", "1e-4", 1e-4),
        ("learning_rate", 1, 1.0),
        ("input", "416", (416, 416)),
        ("input", "320,416", (320, 416)),
        ("input", [320, 416], (320, 416)),
        ("input", 416, (416, 416)),
        ("scale", "1", (1.0, 1.0)),
        ("augment", "no", False),
        ("augment", False, False),
        ("augment", "TRUE", True),
        ("backbone", "none", "none"),
        ("weights", "my/weights.npz", "my/weights.npz"),
    ],
)
def test_changed_takes_text_and_toml_alike(name: str, value: object, expected: object) -> None:
    got = changed(name, value)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", "many"),
        ("epochs", 2.5),
        ("epochs", True),
        ("epochs", None),
        ("epochs", float("nan")),
        ("epochs", "inf"),
        ("learning_rate", "nan"),
        ("learning_rate", float("nan")),
        ("learning_rate", "inf"),
        ("weight_decay", float("inf")),
        ("learning_rate", -1),
        ("learning_rate", 10**400),
        ("learning_rate", 0),
        ("clip_norm", 0),
        ("ema", 1),
        ("input", "100"),
        ("input", "32"),
        ("input", "416,416,3"),
        ("input", ""),
        ("input", [416, "x"]),
        ("input", 8192),
        ("scale", "2,1"),
        ("scale", [0.5, float("nan")]),
        ("augment", "maybe"),
        ("augment", 2),
        ("backbone", "resnet"),
        ("backbone", ["lite0"]),
        ("schedule", ""),
        ("weights", 3),
        ("weights", ["package"]),
        ("seed", -1),
        ("threads", 0),
    ],
)
def test_changed_refuses_what_makes_no_sense_by_name(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"^here: .*{name} must be"):
        changed(name, value)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"^--set: .*'learnig_rate'\. Did you mean 'learning_rate'\?"):
        Settings().changed({"learnig_rate": 1}, "--set")


def test_a_name_like_no_other_gets_a_pointer() -> None:
    with pytest.raises(UsageError, match=r"'qqq'.*--show-config"):
        Settings().changed({"qqq": 1}, "--set")


def test_a_backbone_of_the_published_network_is_refused_for_the_other_family() -> None:
    with pytest.raises(UsageError, match=r"^--set: .*backbone must be lite0 or none for family ppn, got vgg16"):
        Settings().changed({"backbone": "vgg16"}, "--set")
    assert CLASSIC.changed({"backbone": "vgg16"}, "--set").backbone == "vgg16"


def test_a_family_brings_its_own_defaults() -> None:
    assert family_defaults({"family": "ppn_classic", "epochs": 3}) == CLASSIC
    assert CLASSIC.family == "ppn_classic"
    for values in ({}, {"family": "ppn"}, {"family": "none such"}, {"family": ["ppn_classic"]}):
        assert family_defaults(values) == Settings()


def test_the_description_tells_the_other_family_s_defaults() -> None:
    lines = {line.split()[0]: line for line in describe().splitlines()}
    assert lines["score_floor"].endswith(" [ppn_classic: 0.5]")
    assert lines["input"].endswith(" [ppn_classic: 480,480]")
    assert lines["batch"].endswith(" [ppn_classic: 8]")
    assert "[ppn_classic" not in lines["seed"] + lines["family"]


@pytest.mark.parametrize(
    "settings", [Settings(), DEMO, CLASSIC, Settings(input=(64, 96), augment=False, learning_rate=1 / 3)]
)
def test_json_gives_the_same_settings_back(settings: Settings) -> None:
    assert Settings().changed(json.loads(json.dumps(settings.to_json())), "config.json") == settings


def test_the_description_is_toml_that_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "all.toml").write_text(describe())
    table = read_toml(tmp_path / "all.toml")
    assert table.keys() == Settings().to_json().keys()
    assert DEMO.changed(table, "all.toml") == Settings()


def test_every_setting_says_what_it_means() -> None:
    lines = describe().splitlines()
    assert len(lines) == len(tomllib.loads(describe()))
    assert all(len(line.partition(" # ")[2]) > 8 for line in lines)


@pytest.mark.parametrize("content", [b"epochs = ", b"\xff\xfe", b"epochs 3"])
def test_read_toml_names_a_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.toml: configuration must be TOML"):
        read_toml(tmp_path / "a.toml")


def test_read_toml_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.toml: configuration must be a readable file"):
        read_toml(tmp_path / "a.toml")


def test_assignments_split_at_the_first_sign() -> None:
    assert parse_assignments(["weights=a=b", " epochs = 3 "]) == {"weights": "a=b", "epochs": "3"}


def test_assignments_without_a_sign_are_refused() -> None:
    with pytest.raises(UsageError, match="--set must be key=value, got 'epochs'"):
        parse_assignments(["epochs"])


@pytest.mark.parametrize(
    "text",
    ["far/north:3,made:0.5", "{far/north = 3, made = 0.5}", '{"far/north"=3, made=0.5}', "{far/north: 3, made: .5}"],
)
def test_sampling_can_be_typed_as_it_is_shown_and_as_toml_has_it(text: str) -> None:
    assert Settings().changed({"sampling": text}, "--set").sampling == (("far/north", 3.0), ("made", 0.5))


@pytest.mark.parametrize("text", ["made", "{made}", "made:1,made:2", ":3"])
def test_sampling_that_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="sampling"):
        Settings().changed({"sampling": text}, "--set")
