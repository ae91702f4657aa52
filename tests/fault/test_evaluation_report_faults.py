import errno
import os
from pathlib import Path

import pytest
from evaluation_sets import dataset, detections, images

from annotations.errors import PpnlabError
from annotations.tables import BoxDataset, Detections
from evaluation.figures import Metrics
from evaluation.metrics import evaluate_splits
from evaluation.report import write_report

BOX = (0, 0, 10, 10)


def scored() -> tuple[BoxDataset, Detections, Metrics]:
    table = images(1)
    truth, found = dataset(table, [(0, 0, BOX)]), detections(table, [(0, 0, BOX, 0.9)])
    return truth, found, evaluate_splits(truth, found)


def test_a_report_where_a_file_stands_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    with pytest.raises(PpnlabError, match=r"report: report must be a directory, got a file"):
        write_report(tmp_path / "report", *scored())
    assert (tmp_path / "report").read_text() == "a file"


def test_a_full_disk_leaves_the_report_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_report(tmp_path, *scored())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PpnlabError, match="report must be writable, got No space left on device"):
        write_report(tmp_path, *scored())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert page.exists()
