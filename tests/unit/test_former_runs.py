"""Runs of earlier versions, whose pretrained trunks have norms: they still predict, and others start from them."""

from dataclasses import replace
from pathlib import Path

import export_runs
import numpy as np
import pytest

from detector.norm_folding import OF_RUNS
from detector.run_directory import Run
from detector.settings import Settings
from detector.starting_weights import read_source
from detector.weights import load_predictor


@pytest.mark.slow
def test_a_former_run_with_norms_in_a_pretrained_trunk_says_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export_runs.KINDS, "lite0", (["cell"], {}, {"backbone": "lite0"}))
    run = Run(export_runs.random_run(tmp_path / "run", "lite0"))
    pictures = np.random.default_rng(3).integers(0, 256, (2, 64, 64, 3), np.uint8)
    # A trunk that was not pretrained has norms to this day.
    expected = load_predictor(run.path, "best").predict(pictures)
    config = run.config()
    run.write_config({**config, "settings": {**Settings().to_json(), **config["settings"], "weights": "package"}})
    told = load_predictor(run.path, "best").predict(pictures)
    assert told.keys() == expected.keys()
    for name, values in expected.items():
        assert np.std(values) > 0.01
        np.testing.assert_allclose(told[name], values, rtol=1e-3, atol=1e-4)
    source = read_source(str(run.path), replace(Settings(), weights=str(run.path)))
    assert "stem_conv/bias" in source.arrays
    assert not [name for name in source.arrays if name.startswith("stem_bn/")]
    assert f"neck16_bn/{OF_RUNS.norm[0]}" in source.arrays
