"""Exported files, run by the programs that they are for; skipped where those are not installed."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runner import content, error_of, ppnlab
from export_runs import STEP, assert_same, placed, random_pictures, random_run
from numpy.typing import NDArray

from annotations.pictures import write_picture
from detector.decoding import Found
from detector.exporting import FACTS, MODEL, export_run
from detector.run_directory import create_run
from detector.weights import load_predictor

DOC = Path(__file__).parents[2] / "docs" / "export.md"
COLUMNS = ["image", "class_id", "score", "xyxy"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Found]]:
    """A run with parts, and what it finds on the pictures."""
    run = random_run(tmp_path_factory.mktemp("export") / "run", "parts")
    predictor = load_predictor(run, "best")
    return run, predictor.model.detect(random_pictures(), predictor.predict)


@pytest.fixture(scope="module")
def model(expected: tuple[Path, list[Found]]) -> Path:
    """The run's ONNX file."""
    for package in ("onnx", "tf2onnx", "onnxruntime"):
        pytest.importorskip(package)
    done = ppnlab("export", expected[0], "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    path = Path(told["output"])
    assert path == expected[0] / "export" / f"step-{STEP:08d}.onnx"
    assert told["step"] == STEP
    assert "note: which object a part belongs to is not in the model" in done.stderr
    return path


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_an_onnx_file_finds_what_prediction_finds(model: Path, expected: tuple[Path, list[Found]], batch: int) -> None:
    session = pytest.importorskip("onnxruntime").InferenceSession(model)
    feed = placed(random_pictures(), (64, 64))
    for first in range(0, 4, batch):
        part = {name: value[first : first + batch] for name, value in feed.items()}
        found = dict(zip(COLUMNS, session.run(COLUMNS, part), strict=True))
        assert_same(found, expected[1][first : first + batch])


def test_an_onnx_file_says_what_its_numbers_mean(model: Path) -> None:
    session = pytest.importorskip("onnxruntime").InferenceSession(model)
    facts = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
    assert facts["classes"] == ["code", "corner", "card", "spot"]
    assert facts["parts"] == {"corner": "code", "spot": "card"}
    assert facts["checkpoint_step"] == STEP
    assert (facts["input"]["height"], facts["input"]["width"], facts["letterbox"]["grey"]) == (64, 64, 114)
    assert facts["suppression"] is True
    assert {node.name: node.type for node in session.get_inputs()} == {
        "pictures": "tensor(uint8)",
        "sizes": "tensor(int64)",
    }
    assert [node.name for node in session.get_outputs()] == COLUMNS


def test_a_model_of_a_run_is_not_written_over(model: Path, expected: tuple[Path, list[Found]]) -> None:
    before = content(model.parent)
    done = ppnlab("export", expected[0])
    assert done.exit_code == 2
    assert f"{model}: destination must not exist yet" in done.stderr
    assert content(model.parent) == before


def test_the_example_of_the_docs_finds_what_prediction_finds(
    model: Path, expected: tuple[Path, list[Found]], tmp_path: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    (tmp_path / "found.py").write_text(code)
    write_picture(tmp_path / "photo.png", random_pictures()[0])
    command = [sys.executable, "found.py", str(model), "photo.png"]
    lines = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    names, numbers = zip(*((line.split()[0], line.split()[1:]) for line in lines), strict=True)
    one, classes = expected[1][0], ["code", "corner", "card", "spot"]
    assert list(names) == [classes[class_id] for class_id in one.class_id]
    table = np.array(numbers, np.float64)
    np.testing.assert_allclose(table[:, 0], one.score, atol=1e-4)
    np.testing.assert_allclose(table[:, 1:], one.xyxy, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["no parts", "no votes"])
def test_an_onnx_file_of_other_runs_finds_what_prediction_finds(tmp_path: Path, kind: str) -> None:
    for package in ("onnx", "tf2onnx"):
        pytest.importorskip(package)
    runtime = pytest.importorskip("onnxruntime")
    run = random_run(tmp_path / "run", kind)
    predictor = load_predictor(run, "best")
    session = runtime.InferenceSession(export_run(run, "onnx", STEP, tmp_path / "model.onnx").output)
    pictures = random_pictures()
    found = session.run(COLUMNS, placed(pictures, (64, 64)))
    assert_same(dict(zip(COLUMNS, found, strict=True)), predictor.model.detect(pictures, predictor.predict))


@pytest.mark.slow
def test_a_model_for_openvino_finds_what_prediction_finds(expected: tuple[Path, list[Found]], tmp_path: Path) -> None:
    for package in ("onnx", "tf2onnx"):
        pytest.importorskip(package)
    openvino = pytest.importorskip("openvino")
    done = export_run(expected[0], "openvino", "last", tmp_path / "model")
    assert json.loads((done.output / FACTS).read_text()) == done.facts
    compiled = openvino.compile_model(done.output / MODEL, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(placed(random_pictures(), (64, 64)))
    assert_same({name: found[name] for name in COLUMNS}, expected[1])


@pytest.mark.slow
def test_a_saved_model_finds_what_prediction_finds(expected: tuple[Path, list[Found]], tmp_path: Path) -> None:
    done = ppnlab("export", expected[0], "--to", "saved_model", "-o", tmp_path / "model")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "model" / FACTS).read_text())["classes"][0] == "code"
    np.save(tmp_path / "pictures.npy", (feed := placed(random_pictures(), (64, 64)))["pictures"])
    np.save(tmp_path / "sizes.npy", feed["sizes"])
    # In a process without ppnlab.
    code = (
        "import numpy as np, tensorflow as tf\n"
        "detect = tf.saved_model.load('model').signatures['serving_default']\n"
        "found = detect(pictures=tf.constant(np.load('pictures.npy')), sizes=tf.constant(np.load('sizes.npy')))\n"
        "np.savez('found.npz', **{name: value.numpy() for name, value in found.items()})\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, capture_output=True)
    with np.load(tmp_path / "found.npz") as found:
        assert_same(dict(found), expected[1])


@pytest.mark.slow
def test_a_lite_model_gives_the_boxes_of_all_cells(expected: tuple[Path, list[Found]], tmp_path: Path) -> None:
    done = ppnlab("export", expected[0], "--to", "tflite", "-o", tmp_path / "model.tflite")
    assert done.exit_code == 0, done.output
    assert "note: suppression is not in the model" in done.stderr
    facts = json.loads((tmp_path / "model.tflite.json").read_text())
    assert facts["suppression"] is False
    assert facts["branches"] == {"object": [0, 2], "part": [1, 3]}
    predictor = load_predictor(expected[0], "best")
    feed = placed(random_pictures()[:1], (64, 64))
    found = lite_outputs(tmp_path / "model.tflite", feed["pictures"])
    outputs = predictor.predict(feed["pictures"])
    for branch, said in zip(("object", "part"), predictor.model._branches(outputs, 0), strict=True):
        np.testing.assert_allclose(found[f"{branch}_xyxy"][0], said.boxes, atol=1e-3)
        np.testing.assert_allclose(found[f"{branch}_score"][0], 1 / (1 + np.exp(-said.logits)), atol=1e-4)


def lite_outputs(file: Path, pictures: NDArray[np.uint8]) -> dict[str, Any]:
    code = (
        "import sys, warnings, numpy as np, tensorflow as tf\n"
        "warnings.simplefilter('ignore')\n"
        "run = tf.lite.Interpreter(sys.argv[1]).get_signature_runner()\n"
        "np.savez(sys.argv[3], **run(pictures=np.load(sys.argv[2])))\n"
    )
    given, out = file.with_name("given.npy"), file.with_name("found.npz")
    np.save(given, pictures)
    subprocess.run([sys.executable, "-I", "-c", code, str(file), str(given), str(out)], check=True, capture_output=True)
    with np.load(out) as found:
        return dict(found)


@pytest.mark.parametrize(("form", "packages"), [("onnx", "onnx, tf2onnx"), ("openvino", "onnx, tf2onnx, openvino")])
def test_what_a_form_needs_is_said_where_it_is_missing(
    tmp_path: Path, form: str, packages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"settings": {}, "classes": [], "parts": {}, "dataset": {"path": "../data", "hashes": {}}}
    run = create_run(tmp_path / "run", config).path
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    told = error_of(ppnlab("export", run, "--to", form, "--checkpoint", "last"))
    assert told.startswith(f"{form}: packages {packages} must be installed, got no onnx; ")
    assert told.endswith("they come with the extra `export`: pip install 'ppnlab[export]'")
