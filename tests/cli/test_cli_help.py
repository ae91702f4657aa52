import re

import click
import pytest
from cli_runner import ppnlab

import cli
from annotations.version import VERSION

COMMANDS = sorted(cli.main.commands)


def test_the_commands_are_those_that_the_design_promises() -> None:
    promised = {"annotate", "check", "convert", "demo", "evaluate", "predict", "resume", "score", "split", "train"}
    assert promised | {"set", "status", "stop"} <= set(COMMANDS)


@pytest.mark.parametrize("args", [(), ("-h",), ("--help",)])
def test_the_program_lists_every_command_with_its_whole_sentence(args: tuple[str, ...]) -> None:
    result = ppnlab(*args)
    assert result.exit_code == (0 if args else 2)
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z].*[a-z]\.$", result.output, re.MULTILINE), name
    assert "Example:" in result.output


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_a_sentence_of_help_and_an_example(name: str, option: str) -> None:
    result = ppnlab(name, option)
    assert result.exit_code == 0
    assert result.stderr == ""
    usage, _, rest = result.stdout.partition("\n\n")
    assert usage.startswith(f"Usage: ppnlab {name} [OPTIONS]")
    assert re.match(r"  [A-Z][^.]+\.$", rest.split("\n\n")[0]), rest
    assert re.search(rf"^  Example:\n +ppnlab {name} \S+", rest, re.MULTILINE), rest


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    options = [param for param in cli.main.commands[name].params if isinstance(param, click.Option)]
    assert [option.name for option in options if not option.help] == []
    # Labelme's window prints nothing.
    assert name == "annotate" or "--json" in {opt for option in options for opt in option.opts}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_command_line_that_parses(name: str) -> None:
    command = cli.main.commands[name]
    examples = re.findall(rf"^ +ppnlab {name} (.+)$", command.help or "", re.MULTILINE)
    assert examples
    for example in examples:
        with command.make_context(name, example.split()) as context:
            assert context.params


def test_the_forms_on_the_command_line_are_those_that_the_packages_know() -> None:
    from annotations.forms import FORMS_IN, FORMS_OUT

    choices = {
        option.name: option.type.choices
        for option in cli.main.commands["convert"].params
        if isinstance(option.type, click.Choice)
    }
    assert tuple(choices["source_form"] or ()) == ("auto", *FORMS_IN)
    assert tuple(choices["target_form"] or ()) == FORMS_OUT


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert version("ppnlab") == VERSION
    assert ppnlab("--version").stdout == f"ppnlab, version {version('ppnlab')}\n"


def test_show_config_prints_every_setting_as_toml() -> None:
    import dataclasses
    import tomllib

    from detector.settings import Settings

    result = ppnlab("train", "--show-config")
    assert result.exit_code == 0
    settings = tomllib.loads(result.stdout)
    assert settings == Settings().to_json()
    assert len(settings) == len(dataclasses.fields(Settings)) == len(re.findall(r" # \w", result.stdout))
