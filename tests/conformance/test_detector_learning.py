"""The whole detector learns: 8 drawn images are told apart without a fault."""

from dataclasses import replace
from pathlib import Path

import pytest
from detector_samples import QUICK, THREADS, Watch, drawn_dataset

from annotations.dataset import read_dataset
from detector import training
from detector.detecting import detect_images
from detector.engine import configure
from detector.weights import load_predictor
from evaluation.monitor import monitor_ap

configure(THREADS, deterministic=True)


@pytest.mark.slow
def test_eight_images_are_learnt_by_heart(tmp_path: Path) -> None:
    # 320 steps of 8 images at 96 pixels: about a minute on one core.
    drawn_dataset(tmp_path, {"train": 8, "val": 1})
    settings = replace(
        QUICK, input=(96, 96), batch=8, epochs=320, augment=False, learning_rate=5e-3, warmup_steps=10, ema=0.9,
        save_every=1000, weight_decay=0.0,
    )  # fmt: skip
    watch = Watch()
    training.start(tmp_path / "data", tmp_path / "run", settings, monitor_ap, watch, "test")
    assert watch.losses[-1] < 0.2 * watch.losses[0]
    predictor = load_predictor(tmp_path / "run", "last")
    train = read_dataset(tmp_path / "data").split("train")
    scores = monitor_ap(train, detect_images(predictor.model, train, predictor.predict))
    assert scores["ap50/qr_code"] >= 0.99
    assert scores["ap50/fip"] >= 0.99
