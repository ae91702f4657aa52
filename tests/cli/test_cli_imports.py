"""What a command loads: a newcomer's first `--help` must not wait for a network, nor `convert` for charts."""

import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import environment, ppnlab

from annotations.scenes import SceneSettings, write_scenes

NETWORK = {"keras", "tensorflow"}
TABLES_AND_CHARTS = {"pandas", "matplotlib", "jinja2"}
PROGRAM = """
import sys, cli
try:
    cli.main()
finally:
    print("loaded:", *{name.partition(".")[0] for name in sys.modules})
"""


def loaded(*args: object, status: int = 0, cwd: Path | None = None) -> set[str]:
    """Return the top-level modules that are loaded when a command has ended with that status."""
    command = [sys.executable, "-c", PROGRAM, *(str(arg) for arg in args)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=cwd, check=False)
    assert done.returncode == status, done.stderr
    return set(done.stdout.splitlines()[-1].removeprefix("loaded: ").split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imports")
    write_scenes(root / "photos", 4, settings=SceneSettings(width=96, height=96, empty=0))
    assert ppnlab("convert", root / "photos", root / "data", "--parts", "fip:qr_code").exit_code == 0
    head = "image_id,object_id,parent_id,label,score,xmin,ymin,xmax,ymax"
    (root / "found.csv").write_text(f"{head}\nscene_0001,0,,qr_code,0.9,0.1,0.1,0.6,0.6\n")
    return root


@pytest.mark.parametrize("args", [("--help",), ("--version",), ("convert", "--help"), ("train", "--help")])
def test_help_loads_neither_numbers_nor_pictures(args: tuple[str, ...]) -> None:
    modules = loaded(*args)
    assert "click" in modules
    assert not modules & (NETWORK | TABLES_AND_CHARTS | {"numpy", "cv2", "PIL", "rich"})


def test_convert_split_and_score_load_neither_network_nor_charts(folder: Path, tmp_path: Path) -> None:
    heavy = NETWORK | TABLES_AND_CHARTS
    assert not loaded("convert", folder / "photos", tmp_path / "data") & heavy
    assert not loaded("split", tmp_path / "data", "--again", "--seed", 1, "--ratios", "1/1") & heavy
    assert not loaded("score", folder / "data", folder / "found.csv") & heavy


def test_score_with_a_report_loads_charts_but_no_network(folder: Path, tmp_path: Path) -> None:
    modules = loaded("score", folder / "data", folder / "found.csv", "--report", tmp_path / "report")
    assert {"matplotlib", "jinja2"} <= modules
    assert not modules & NETWORK


@pytest.mark.parametrize("args", [("train", "nowhere", "run"), ("resume", "nowhere"), ("evaluate", "nowhere")])
def test_a_wrong_path_is_told_before_the_network_loads(args: tuple[str, ...], tmp_path: Path) -> None:
    assert not loaded(*args, status=1, cwd=tmp_path) & NETWORK
