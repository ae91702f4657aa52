"""Every mistake on the command line: one line that says what to do, the exit status, nothing touched, no traceback."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from annotation_files import document, shape, write_json, write_png
from cli_runner import content, error_of, ppnlab

import cli
from annotations.dataset import table_hashes
from detector.run_directory import create_run
from detector.settings import Settings

DETECTIONS = "image_id,object_id,parent_id,label,score,xmin,ymin,xmax,ymax\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory: photos, their dataset, a run without checkpoints, and damaged kin of each."""
    monkeypatch.chdir(tmp_path)
    for name, split in (("a", "train"), ("b", "val"), ("c", "")):
        write_json(Path(f"photos/{name}.json"), document(shape(), imagePath=f"{name}.png", flags={split: bool(split)}))
        write_png(Path(f"photos/{name}.png"))
    assert ppnlab("convert", "photos", "data").exit_code == 0
    write_json(Path("unsplit/a.json"), document(shape(), imagePath="a.png"))
    assert ppnlab("convert", "unsplit", "unsplit-data").exit_code == 0
    make_run(Path("run"), Path("data"))
    make_run(Path("bad-run"), Path("data"))
    Path("bad-run/config.json").write_text('{"schema": 1, "settings": {')
    make_run(Path("later-run"), Path("data"))
    Path("later-run/config.json").write_text('{"schema": 2}')
    Path("empty").mkdir()
    Path("bad.toml").write_text("epochs = = 3\n")
    Path("unknown.toml").write_text("epoch = 3\n")
    Path("found.csv").write_text(DETECTIONS)
    Path("alien.csv").write_text(f"{DETECTIONS}z,0,,qr_code,0.5,0.1,0.1,0.2,0.2\n")
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("broken.json").write_text("[{")
    return tmp_path


def make_run(path: Path, data: Path) -> None:
    place = {"path": f"../{data}", "hashes": table_hashes(data)}
    create_run(path, {"settings": Settings().to_json(), "classes": ["qr_code"], "parts": {}, "dataset": place})


# (the command line, its exit status, what the one line must hold)
MISTAKES: Sequence[tuple[str, int, str]] = [
    ("trian data run", 2, r"No such command 'trian'\. Did you mean 'train'\?"),
    ("frobnicate", 2, r"No such command 'frobnicate'\.$"),
    ("--frobnicate", 2, "No such option"),
    ("convert", 2, "Missing argument 'SOURCE'"),
    ("convert photos", 2, "Missing argument 'DEST'"),
    ("convert photos new --form labelme", 2, "No such option"),
    ("convert nowhere new", 1, "nowhere: source must be a folder or a file, got no such one"),
    ("convert found.csv new", 1, "found.csv: source must hold Labelme files .*, got a file of another kind"),
    ("convert empty new", 1, r"empty: source must hold Labelme files \(\*\.json\)"),
    ("convert photos data", 2, "data: destination must not exist yet"),
    ("convert photos found.csv", 2, "found.csv: destination must not exist yet"),
    ("convert photos found.csv/new", 1, "found.csv/new: destination must be writable"),
    ("convert photos new --parts fip", 2, "--parts must be PART:OBJECT, got 'fip'"),
    ("convert photos new --parts :qr_code", 2, "--parts must be PART:OBJECT, got ':qr_code'"),
    ("convert photos new --parts fip:fip", 2, "fip:fip: part must belong to another label"),
    ("convert photos new --rename qr", 2, "--rename must be OLD=NEW, got 'qr'"),
    ("convert photos new --classes ,", 2, "classes must be"),
    ("convert photos new --from voc2", 2, "Invalid value for '--from'"),
    ("split", 2, "Missing argument 'DATASET'"),
    ("split nowhere", 1, "nowhere: dataset must be a directory, got no such directory"),
    ("split found.csv", 1, "found.csv: dataset must be a directory, got a file"),
    ("split empty", 1, "empty: directory must be a box dataset, which has a dataset.json, got none; ppnlab convert"),
    ("split data --ratios 70-15-15", 2, "ratios must be like 70/15/15"),
    ("split data --ratios 0/0/0", 2, "ratios must be like 70/15/15"),
    ("split data --ratios 1/2/3/4", 2, "ratios must be like 70/15/15"),
    ("split data --ratios nan/1/1", 2, "ratios must be like 70/15/15"),
    ("split data --seed -1", 2, "--seed must be a whole number of at least 0, or best, got '-1'"),
    ("split data --from nothing", 2, "--from must be flags, FLAG=SPLIT, a file.csv or SPLIT=FILE.txt, got 'nothing'"),
    ("split data --from nothing.csv", 1, "nothing.csv"),
    ("split data --like nowhere", 1, "nowhere"),
    ("split data --groups (", 2, "groups"),
    ("annotate", 2, "Missing argument 'FOLDER'"),
    ("annotate nowhere", 1, "nowhere: folder must be one, got no such one"),
    ("check", 2, "Missing argument 'DATASET'"),
    ("check nowhere", 1, "nowhere: source must be a folder or a file, got no such one"),
    ("check data --input 0", 2, "Invalid value for '--input'"),
    ("check data --report found.csv", 1, "found.csv"),
    ("check data --parts fip", 2, "--parts must be PART:OBJECT, got 'fip'"),
    ("split data --by camera", 2, "Invalid value for '--by'"),
    ("split unsplit-data", 1, "unsplit-data/images.csv: split: every wanted split must have an image"),
    ("train data", 2, "Missing argument 'RUN'"),
    ("train nowhere new", 1, "nowhere: dataset must be a directory, got no such directory"),
    ("train photos new", 1, "photos: directory must be a box dataset"),
    ("train data run", 2, "run: run must not exist yet; `ppnlab resume run` goes on with it"),
    ("train data new --set epoch=3", 2, r"--set: setting must be a known one, got 'epoch'\. Did you mean 'epochs'\?"),
    ("train data new --set zzz=3", 2, "`ppnlab train --show-config` lists them"),
    ("train data new --set epochs", 2, "--set must be key=value, got 'epochs'"),
    ("train data new --set epochs=many", 2, "--set: epochs must be a whole number, got 'many'"),
    ("train data new --set epochs=0", 2, "epochs must be at least 1, got 0"),
    ("train data new --set input=100", 2, "input must be a multiple of 32 pixels, got 100,100"),
    (
        "train data new --set backbone=resnet",
        2,
        "backbone must be one of lite0, none, mobilenet, resnet50, vgg16, got 'r",
    ),
    ("train data new --set learning_rate=nan", 2, "learning_rate must be finite"),
    ("train data new --set weights=nowhere.pth", 2, "weights must be .* a .npz or .pth file, got .nowhere.pth."),
    ("train data new --config nowhere.toml", 2, "nowhere.toml: configuration must be a readable file, got No such"),
    ("train data new --config empty", 2, "empty: configuration must be a readable file, got Is a directory"),
    ("train data new --config bad.toml", 2, "bad.toml: configuration must be TOML, got .*line 1"),
    ("train data new --config unknown.toml", 2, "unknown.toml: setting must be a known one.*Did you mean 'epochs'"),
    ("train unsplit-data new", 1, "split train must hold images, got none; `ppnlab split unsplit-data --ratios 70/15"),
    ("train data empty --resume", 1, "empty: run must be a directory that `ppnlab train` made"),
    ("train data run --resume --set batch=3", 2, "--set: batch must stay 4 in this run, got 3"),
    ("train data new --stop-after soon", 2, "--stop-after must be like 8h, 1h30m or 90"),
    ("train data new --stop-at noon", 2, "--stop-at must be a time of day like 07:00, got 'noon'"),
    ("train data new --max-steps 0", 2, "Invalid value for '--max-steps'"),
    ("train data new --nice 99", 2, "Invalid value for '--nice'"),
    ("status nowhere", 1, "nowhere: run must be a directory that `ppnlab train` made"),
    ("status bad-run", 1, "bad-run/config.json: settings must be JSON"),
    ("stop", 2, "Missing argument 'RUN'"),
    ("stop nowhere", 1, "nowhere: run must be a directory that `ppnlab train` made"),
    ("stop run", 1, "run: run must be in training, got none that trains it"),
    ("set run", 2, "Missing argument 'KEY=VALUE...'"),
    ("set run epochs=3", 1, "run: run must be in training, got none that trains it"),
    ("resume", 2, "Missing argument 'RUN'"),
    ("resume nowhere", 1, "nowhere: run must be a directory that `ppnlab train` made, got config.json: No such file"),
    ("resume data", 1, "data: run must be a directory that `ppnlab train` made"),
    ("resume found.csv", 1, "found.csv: run must be a directory that `ppnlab train` made"),
    ("resume bad-run", 1, "bad-run/config.json: settings must be JSON"),
    ("resume later-run", 1, "later-run/config.json: schema must be 1, got 2"),
    ("resume run --epochs 0", 2, "Invalid value for '--epochs'"),
    ("resume run --set seed=7", 2, "--set: seed must stay 0 in this run, got 7"),
    ("resume run --set epoch=7", 2, "Did you mean 'epochs'"),
    ("resume run --data unsplit-data", 1, "unsplit-data: split train must hold images"),
    ("resume run --data nowhere", 1, "nowhere: dataset must be a directory"),
    ("predict run", 2, "Missing argument 'IMAGES...'"),
    ("predict run nowhere.jpg", 1, "nowhere.jpg: picture must exist, got no such file"),
    ("predict run empty", 1, r"empty: folder must hold pictures \(.*\.png.*\), got none"),
    ("predict nowhere photos", 1, "nowhere: run must be a directory that `ppnlab train` made"),
    ("predict run photos", 1, "run/checkpoints: checkpoints must hold one that is whole, got none"),
    ("predict run photos --threshold 2", 2, "Invalid value for '--threshold'"),
    ("predict run photos --to png", 2, "Invalid value for '--to'"),
    ("compare", 2, "Missing argument .A B"),
    ("evaluate nowhere", 1, "nowhere: run must be a directory that `ppnlab train` made"),
    ("evaluate bad-run", 1, "bad-run/config.json: settings must be JSON"),
    ("evaluate run", 1, "run/checkpoints: checkpoints must hold one that is whole, got none"),
    ("evaluate run --split validation", 2, "Invalid value for '--split'"),
    (
        "evaluate run --threshold half",
        2,
        "threshold must be a number, best-f1, precision>=NUMBER or recall>=NUMBER, got 'half'",
    ),
    ("evaluate run --weights final", 2, "Invalid value for '--weights'"),
    ("evaluate run --device gpu", 2, "device must be auto, cpu or one like gpu:0, got gpu"),
    ("export nowhere --to saved_model", 1, "nowhere: run must be a directory that `ppnlab train` made"),
    ("export run --to saved_model", 1, "run/checkpoints: checkpoints must hold one that is whole, got none"),
    ("export run --to torch", 2, "Invalid value for '--to'"),
    ("export run --checkpoint first", 2, "checkpoint"),
    ("devices gpu:0", 2, "unexpected extra argument"),
    ("measure nowhere", 1, "nowhere"),
    ("measure photos --voxel 1,0", 2, "voxel must come with its unit"),
    ("train data", 2, "Missing argument 'RUN'"),
    ("train data new --set sampling=3", 2, "sampling must be a table like {corrected = 3}, or corrected:3, got '3'"),
    ("train data new --set sampling=sim:2", 2, r"sampling must name a folder, flag or group .*, got 'sim'; there are"),
    ("train data new --gpu-memory much", 2, "--gpu-memory must be like 4GB or 500MB, got 'much'"),
    ("train nowhere --plot-schedule new.png", 1, "nowhere"),
    ("train --plot-schedule new.pdf", 2, r"new.pdf: plot must be a .png or .svg file, got .pdf"),
    ("score data", 2, "Missing argument 'DETECTIONS'"),
    ("score nowhere found.csv", 2, "nowhere: truth must be a box dataset .*, got no such file"),
    ("score data nowhere.csv", 2, "nowhere.csv: detections must be .*, got no such file"),
    ("score found.csv found.csv", 2, "found.csv: truth must be"),
    ("score data photos", 2, "photos: detections must be .*, got a directory"),
    ("score data other.csv", 1, "other.csv: .*must"),
    ("score data alien.csv", 1, "alien.csv: .*'z'"),
    ("score data broken.json", 1, "broken.json: .*JSON"),
    ("score broken.json found.csv", 1, "broken.json: .*JSON"),
    (
        "score data found.csv --threshold half",
        2,
        "threshold must be a number, best-f1, precision>=NUMBER or recall>=NUMBER, got 'half'",
    ),
    ("score data found.csv --threshold nan", 2, "threshold must be a finite number, got nan"),
    ("score data found.csv --iou 0", 2, "iou must be above 0 and at most 1, got 0.0"),
    ("score data found.csv --iou nan", 2, "iou must be above 0"),
    ("score data found.csv --max-detections 0", 2, "Invalid value for '--max-detections'"),
    ("score data found.csv --ap 12-point", 2, "Invalid value for '--ap'"),
    ("score data found.csv --report other.csv", 1, "other.csv: report must be a directory, got a file"),
    ("demo photos", 2, "photos: destination must not exist yet"),
    ("demo new --scenes 3", 2, "Invalid value for '--scenes'"),
    ("demo new --set epochs", 2, "--set must be key=value, got 'epochs'"),
    ("demo new --set epoch=1", 2, "Did you mean 'epochs'"),
    ("demo new --config bad.toml", 2, "bad.toml: configuration must be TOML"),
    ("demo found.csv/new", 1, "found.csv/new/labelme: "),
]


@pytest.mark.parametrize(("line", "status", "told"), MISTAKES, ids=[line for line, _, _ in MISTAKES])
def test_a_mistake_is_told_in_one_line_and_changes_nothing(lab: Path, line: str, status: int, told: str) -> None:
    before = content(lab)
    result = ppnlab(*line.split())
    assert result.exit_code == status, result.output
    assert re.search(told, error_of(result))
    assert {name: data for name, data in content(lab).items() if Path(name).name != "lock"} == before


def test_every_command_has_mistakes_in_the_table() -> None:
    assert {line.split()[0] for line, _, _ in MISTAKES} >= set(cli.main.commands)


def test_with_json_a_mistake_leaves_stdout_empty(lab: Path) -> None:
    result = ppnlab("convert", "nowhere", "new", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert error_of(result).startswith("nowhere: ")


def test_a_dataset_without_val_images_is_refused_with_the_command_that_makes_them(lab: Path) -> None:
    summary = json.loads(ppnlab("split", "data", "--ratios", "1/0/0", "--again", "--json").stdout)
    assert summary["images"] == {"train": 3, "val": 0, "test": 0}
    result = ppnlab("train", "data", "new")
    assert result.exit_code == 1
    told = error_of(result)
    assert "split val must hold images, got none; `ppnlab split data --of train --ratios 85/15`" in told
    (command,) = re.findall(r"`ppnlab (.+?)`", told)
    assert json.loads(ppnlab(*command.split(), "--json").stdout)["images"] == {"train": 2, "val": 1, "test": 0}
