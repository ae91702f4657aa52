"""What a training learns of parts and keeps in its run, and runs that have none of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detector_samples import QUICK, Watch, drawn_dataset

from annotations.dataset import read_dataset, write_dataset
from annotations.errors import PpnlabError
from annotations.tables import NO_PARENT
from detector.decoding import Found
from detector.evaluating import detect_splits
from detector.part_knowledge import FILE, read_knowledge
from detector.rescoring import FILE as RESCORING
from detector.rescoring import read_rescoring
from detector.run_directory import Run
from detector.tightening import FILE as TIGHTENING
from detector.tightening import Sides, Tightening, read_tightening, tightened, write_tightening
from detector.training import go_on, start
from detector.weights import load_predictor
from evaluation.monitor import monitor_ap

SETTINGS = replace(QUICK, epochs=1, score_floor=0.001)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes with a code each, whose parts name it."""
    place = tmp_path_factory.mktemp("parts")
    plain = read_dataset(drawn_dataset(place, {"train": 12, "val": 3}))
    truth = plain.annotations
    whole_of = {int(truth.image_row[row]): int(truth.object_id[row]) for row in np.flatnonzero(truth.class_id == 0)}
    parent = [NO_PARENT if c == 0 else whole_of[int(i)] for i, c in zip(truth.image_row, truth.class_id, strict=True)]
    linked = replace(plain, annotations=replace(truth, parent_id=np.array(parent)))
    write_dataset(place / "linked", linked, [], command="test")
    return place / "linked"


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    start(data, path, SETTINGS, monitor_ap, Watch(), "test")
    return path


def test_a_training_keeps_what_it_learnt_of_parts_and_whether_they_help(run: Path) -> None:
    known = read_knowledge(run)
    assert known is not None
    assert known.expected("qr_code") == {"fip": 3}
    events = [event["event"] for event in Run(run).events()]
    assert events[-2:] == ["rescoring", "finished"]
    assert read_rescoring(run).step == 3
    # 12 objects are too few to learn from where their sides are: that it was tried is kept.
    assert (read_tightening(run).step, read_tightening(run).classes) == (3, {})


def test_a_run_learns_of_parts_once(run: Path, data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    before = {name: (copy / name).read_bytes() for name in (FILE, RESCORING, TIGHTENING)}
    go_on(copy, {}, data, monitor_ap, Watch())
    assert {name: (copy / name).read_bytes() for name in before} == before
    assert [event["event"] for event in Run(copy).events()].count("rescoring") == 1


def test_a_run_of_an_earlier_version_loads_without_knowledge(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    for name in (FILE, RESCORING, TIGHTENING):
        (tmp_path / "run" / name).unlink()
    model = load_predictor(tmp_path / "run", "last").model
    assert model.densities == {}
    assert not model.rescoring.used
    assert not model.tightening.used


def test_what_is_known_of_sides_moves_the_boxes_of_a_run_unless_it_is_switched_off(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    known = Tightening(3, {"qr_code": Sides({1: np.zeros(9)}, 0.03, 0.02, 0.5, 0.6)})
    write_tightening(copy, known)
    xyxy = np.array([[10.0, 10, 50, 50], [11.0, 11, 49, 49]])
    found = Found(np.array([0, 1]), np.array([0.9, 0.8]), xyxy, np.array([NO_PARENT, 0]))
    model = load_predictor(copy, "last").model
    expected = tightened(found, model.classes, known, (64, 64)).xyxy
    assert expected[0, 0] > 10
    np.testing.assert_array_equal(model.judged(found, (64, 64)).xyxy, expected)
    config = Run(copy).config()
    Run(copy).write_config({**config, "settings": {**config["settings"], "tighten": False}})
    np.testing.assert_array_equal(load_predictor(copy, "last").model.judged(found, (64, 64)).xyxy, xyxy)


@pytest.mark.slow
def test_a_run_of_an_earlier_version_detects_as_ever_and_learns_when_it_goes_on(
    run: Path, data: Path, tmp_path: Path
) -> None:
    old = tmp_path / "run"
    shutil.copytree(run, old)
    for name in (FILE, RESCORING, TIGHTENING):
        (old / name).unlink()
    now, before = (detect_splits(load_predictor(at, "last"), read_dataset(data), ["val"])[1] for at in (run, old))
    np.testing.assert_array_equal(now.xyxy_rel, before.xyxy_rel)
    go_on(old, {}, data, monitor_ap, Watch())
    for name in (FILE, RESCORING, TIGHTENING):
        assert (old / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.slow
def test_rescoring_is_not_made_nor_used_where_it_is_switched_off(run: Path, data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / RESCORING).write_text('{"schema": 1, "step": 3, "classes": {"fip": {"offset": -9.0, "weight": 1.0, '
                                  '"ap_before": 0.1, "ap_after": 0.2}}}')  # fmt: skip
    assert load_predictor(copy, "last").model.rescoring.used
    go_on(copy, {"rescore": False}, data, monitor_ap, Watch())
    assert not load_predictor(copy, "last").model.rescoring.used


def test_damaged_knowledge_is_named_before_the_network_loads(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / FILE).write_text("rubbish")
    with pytest.raises(PpnlabError, match=r"layout\.json: what the run knows of parts must be as"):
        load_predictor(copy, "last")
