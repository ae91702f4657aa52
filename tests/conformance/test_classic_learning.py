"""The published network learns: 8 drawn images by heart, as far as its anchors can tell their boxes apart."""

from dataclasses import replace
from pathlib import Path

import pytest
from classic_samples import CLASSIC_QUICK
from detector_samples import THREADS, Watch, drawn_dataset

from annotations.dataset import read_dataset
from detector import training
from detector.engine import configure
from detector.ppn_family import detect_images
from detector.weights import load_predictor
from evaluation.monitor import monitor_ap

configure(THREADS, deterministic=True)


@pytest.mark.slow
def test_eight_images_are_learnt_by_heart(tmp_path: Path) -> None:
    # 300 steps of 8 images at 96 pixels: 40 CPU seconds.
    drawn_dataset(tmp_path, {"train": 8, "val": 1})
    settings = replace(
        CLASSIC_QUICK, input=(96, 96), batch=8, epochs=300, augment=False, learning_rate=5e-3, warmup_steps=10,
        backbone_rate=1.0, optimizer="adam", clip_norm=1e9, ema=0.9, save_every=1000, score_floor=0.5, nms_iou=0.3,
    )  # fmt: skip
    watch = Watch()
    training.start(tmp_path / "data", tmp_path / "run", settings, monitor_ap, watch, "test")
    assert watch.losses[-1] < 0.01 * watch.losses[0]
    predictor = load_predictor(tmp_path / "run", "last")
    train = read_dataset(tmp_path / "data").split("train")
    scores = monitor_ap(train, detect_images(predictor.model, train, predictor.predict))
    assert scores["ap50/qr_code"] == 1.0
    assert (scores["ap/qr_code"] or 0) >= 0.95
    # At 96 pixels its last three levels have one cell each and say the same, and most finder patterns overlap their
    # best anchor by less than 0.2: some of the 24 cannot be learnt, whatever the time. 20 were found when measured.
    assert (scores["ap50/fip"] or 0) >= 0.7
