"""YOLO11n from scratch on the images and splits of a run, scored as the run is: AP by class and its difference.

The rival begins without weights (yolo11n.yaml), learns on one thread, as long as it is given in CPU minutes (its own
schedule is made to end then) or epochs, validates after each epoch, and is taken at its best one; batches of 16 (nbs
16), all else as ultralytics has it. Its detections on val and test, from a score of CONF on, are scored by this
project's `evaluation` beside those of RUN, with paired bootstrap intervals of the differences.

Command: nice python benchmarks/rival_yolo.py DATA RUN OUTPUT --yolo PYTHON (--minutes 40 | --epochs 1) [--input 416]
DATA is a box dataset with splits, RUN a run that `ppnlab evaluate` has seen (its report is compared), or --without-run.
OUTPUT must not exist: it gets the dataset as a YOLO folder, the training, detections.csv and compare.json. PYTHON is an
interpreter with ultralytics (uv venv rival; uv pip install --python rival ultralytics torch torchvision); it needs no
network and is kept from asking for one.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LEARN = "--learn"
CONF = 0.001
"""Score from which on the rival's detections are scored. Source: ultralytics' own validation."""
SPLITS = ("val", "test")
FIGURES = ("ap50", "ap")


def learn(asked: dict[str, Any]) -> None:
    """Train, and write what is found on each picture; run by the rival's interpreter."""
    import torch
    import ultralytics.engine.trainer as trainer
    import ultralytics.utils.torch_utils as torch_utils
    from ultralytics import YOLO

    torch_utils.NUM_THREADS = 1
    torch.set_num_threads(1)
    # A training for so long counts the seconds of the processor, not those of a clock that others' work makes run.
    trainer.time = SimpleNamespace(time=time.process_time)
    place = Path(asked["output"])
    bounds = {"time": asked["minutes"] / 60} if asked["minutes"] else {"epochs": asked["epochs"]}
    began = time.process_time()
    YOLO("yolo11n.yaml").train(
        data=asked["data"],
        imgsz=asked["input"],
        seed=asked["seed"],
        batch=16,
        nbs=16,
        pretrained=False,
        device="cpu",
        workers=0,
        amp=False,
        plots=False,
        project=str(place),
        name="training",
        **bounds,
    )
    cpu = (time.process_time() - began) / 60
    torch.set_num_threads(1)
    model = YOLO(place / "training" / "weights" / "best.pt")
    found = {}
    for key, path in asked["pictures"].items():
        (result,) = model.predict(path, imgsz=asked["input"], conf=CONF, max_det=300, device="cpu", verbose=False)
        boxes = result.boxes
        found[key] = [boxes.cls.int().tolist(), boxes.conf.tolist(), boxes.xyxyn.tolist()]
    epochs = len((place / "training" / "results.csv").read_text().splitlines()) - 1
    (place / "found.json").write_text(json.dumps({"minutes": cpu, "epochs": epochs, "found": found}))


def main() -> None:
    """Train the rival, score both, and print a line for each figure."""
    import numpy as np

    from annotations.dataset import read_dataset
    from annotations.detections import write_detections
    from annotations.tables import NO_PARENT, Detections
    from annotations.written_keys import keys_of
    from evaluation.compare import compare
    from evaluation.compare_inputs import ComparisonInputs, read_inputs
    from evaluation.figures import ScoreSettings

    given = _options()
    data = read_dataset(given.data)
    folder = given.output / "yolo"
    command = ["convert", str(given.data), str(folder), "--from", "boxes", "--to", "yolo", "--pictures", "link"]
    # 3: done, with findings, which are told as they are found.
    if subprocess.run([sys.executable, "-m", "cli", *command], check=False).returncode not in (0, 3):
        sys.exit("the dataset must become a YOLO folder")
    keys = keys_of(data.images, reserved=["images"])
    splits = data.images.split.tolist()
    written = _without_suffixes(folder.absolute() / "images")
    pictures = {str(row): str(written[f"{split}/{keys[row]}"]) for row, split in enumerate(splits) if split in SPLITS}
    told = _learnt(given, folder, pictures)

    rows = [(int(row), *each) for row, columns in told["found"].items() for each in zip(*columns, strict=True)]
    rows = [row for row in rows if row[3][0] < row[3][2] and row[3][1] < row[3][3]]
    detections = Detections(
        image_row=np.array([row[0] for row in rows], np.int64),
        object_id=np.arange(len(rows)),
        parent_id=np.full(len(rows), NO_PARENT),
        class_id=np.array([row[1] for row in rows], np.int64),
        score=np.array([row[2] for row in rows], np.float64),
        xyxy_rel=np.array([row[3] for row in rows], np.float64).reshape(-1, 4),
    )
    table = given.output / "detections.csv"
    write_detections(table, data.images, data.classes, detections)
    print(f"YOLO11n: {told['epochs']} epochs in {told['minutes']:.1f} CPU minutes, {len(rows)} detections")

    # Twice itself where there is no run: its figures all the same.
    inputs = read_inputs([table, table if given.without_run else given.run], given.data)
    if not isinstance(inputs, ComparisonInputs):
        sys.exit(f"{given.run}: run must have detections; `ppnlab evaluate` makes them")
    present = [split for split in SPLITS if split in splits]
    result = compare(inputs.truth, inputs.sides, ScoreSettings(), present).to_json()
    (given.output / "compare.json").write_text(json.dumps(result, indent=1))
    for split in present:
        _tell(split, result["splits"][split], [result["first"], *result["others"]], list(data.classes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--yolo", metavar="PYTHON", required=True)
    parser.add_argument("--minutes", type=float, default=0.0, help="CPU minutes of the training.")
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--input", type=int, default=416)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-run", action="store_true", help="Score the rival alone; RUN is not looked at.")
    given = parser.parse_args()
    if bool(given.minutes) == bool(given.epochs):
        parser.error("one of --minutes and --epochs must be given")
    if given.output.exists():
        parser.error(f"{given.output}: output must not exist yet")
    return given


def _without_suffixes(folder: Path) -> dict[str, Path]:
    """Return the files below a folder by their paths in it, without suffix: a.b.jpg is a.b, and not a."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def _learnt(given: argparse.Namespace, folder: Path, pictures: dict[str, str]) -> dict[str, Any]:
    """Return what the rival found, and what its training took."""
    place = given.output.absolute()
    asked = {
        "data": str(folder.absolute() / "data.yaml"),
        "output": str(place),
        "pictures": pictures,
        **{name: getattr(given, name) for name in ("minutes", "epochs", "input", "seed")},
    }
    offline = {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_CONFIG_DIR": str(place),
        "OMP_NUM_THREADS": "1",
    }
    (place / "asked.json").write_text(json.dumps(asked))
    subprocess.run(
        [given.yolo, str(Path(__file__).absolute()), LEARN, str(place / "asked.json")],
        cwd=place,
        env={**os.environ, **offline},
        check=True,
        stdout=sys.stderr,
    )
    return dict(json.loads((place / "found.json").read_text()))


def _tell(split: str, part: dict[str, Any], names: list[str], classes: list[str]) -> None:
    rival, other = (part["sides"][name]["classes"] for name in names)
    changes = part["differences"][names[1]]["classes"]
    for figure in FIGURES:
        for name in classes:
            change = changes[name][figure]
            low, high = change["ci"] or (float("nan"), float("nan"))
            values = [side[name][figure] for side in (rival, other)]
            if None not in values:
                print(
                    f"{split} {name} {figure}: YOLO11n {values[0]:.3f}, run {values[1]:.3f}, the run's is "
                    f"{change['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
                )


if __name__ == "__main__":
    if sys.argv[1:2] == [LEARN]:
        learn(json.loads(Path(sys.argv[2]).read_text()))
    else:
        main()
