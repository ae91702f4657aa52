"""The notebook does what it says: executed from its own folder, by the kernel of this environment."""

from pathlib import Path

import nbformat
import pytest
from cli_runner import content

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "tour.ipynb"


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert len(code) > 5
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []


# Not ours: what Jupyter's own packages do, in versions that the lock pins.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq", "ignore::DeprecationWarning:jupyter_client")
def test_the_notebook_runs_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "drawn").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "drawn"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook, kernel_name="python3", timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    ).execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    kinds = [kind for cell in outputs.values() for output in cell for kind in output.get("data", {})]
    assert kinds.count("image/png") == 2  # the truth, and a prediction
    assert kinds.count("text/html") >= 4  # the tables
    assert [text.text for cell in outputs.values() for text in cell if text.get("name") == "stderr"] == []
    assert content(tmp_path / "drawn") == {}
