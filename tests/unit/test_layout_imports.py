"""The law of imports: annotations <- evaluation, annotations <- detector, all <- cli, and keras in detector alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("annotations", "evaluation", "detector")
FILES = sorted([path for name in PACKAGES for path in (ROOT / name).rglob("*.py")] + [ROOT / "cli.py"])
MAY_IMPORT = {
    "annotations": {"annotations"},
    "evaluation": {"evaluation", "annotations"},
    "detector": {"detector", "annotations"},
    "cli": set(PACKAGES),
}
NETWORK = {"keras", "tensorflow"}
NAMES_TENSORFLOW = {"detector/engine.py", "detector/backend.py", "detector/export_tensors.py"}
"""An exported graph is one of TensorFlow: what makes it must name it, apart from what trains."""


def owner(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the top-level names that a file imports anywhere: at its head, inside functions, for types alone."""
    return {name.partition(".")[0] for name in modules_imported(ast.parse(path.read_text()))}


def modules_imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import stays in its own package; our code has none.
            yield node.module or "" if not node.level else "relative"
        elif isinstance(node, ast.Call) and _name(node.func) in {"__import__", "import_module"}:
            yield node.args[0].value if isinstance(node.args[0], ast.Constant) else "computed"


def _name(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def test_the_files_are_those_of_the_three_packages_and_the_command_line() -> None:
    assert {owner(path) for path in FILES} == set(MAY_IMPORT)
    assert all(sum(owner(path) == name for path in FILES) > 10 for name in PACKAGES)


@pytest.mark.parametrize(
    "code",
    ["import keras.ops", "def f():\n from keras import ops", "__import__('keras')", "importlib.import_module('keras')"],
)
def test_every_way_of_importing_is_seen(code: str) -> None:
    assert {name.partition(".")[0] for name in modules_imported(ast.parse(code))} == {"keras"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_downwards(path: Path) -> None:
    ours = imported(path) & {*MAY_IMPORT, "tests", "relative", "computed"}
    assert ours <= MAY_IMPORT[owner(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_detector_knows_keras_and_three_of_its_files_tensorflow(path: Path) -> None:
    network = imported(path) & NETWORK
    assert not network or owner(path) == "detector"
    assert "tensorflow" not in network or str(path.relative_to(ROOT)) in NAMES_TENSORFLOW


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_holds_no_assert_and_does_not_bind_the_name_of_our_package(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    assert not [node.lineno for node in nodes if isinstance(node, ast.Assert)]
    futures = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    assert not [alias.name for node in futures for alias in node.names if alias.name == "annotations"]


def test_nothing_in_the_packages_names_a_place_of_one_machine() -> None:
    places = tuple(f"/{name}/" for name in ("work", "root", "home", "tmp"))
    assert not [(path, place) for path in FILES for place in places if place in path.read_text()]
