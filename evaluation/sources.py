"""Truth and detections from whatever files a user has."""

from pathlib import Path

from annotations.dataset import read_dataset
from annotations.detections import read_detections
from annotations.errors import UsageError
from annotations.tables import BoxDataset, Detections
from evaluation.coco_json import read_coco_results, read_coco_truth

_TRUTHS = "a box dataset (a directory with dataset.json) or a COCO JSON file"
_RESULTS = "detections.csv or a COCO results JSON file"


def read_truth(path: Path) -> BoxDataset:
    """Return the truth of a box dataset or of a COCO JSON file.

    Raises:
        UsageError: there is nothing at `path`, or it is neither of the two.
        AnnotationError: it is damaged; file and entry are named.
    """
    if path.is_file() and path.name == "dataset.json":
        path = path.parent
    if path.is_dir():
        if (path / "dataset.json").is_file():
            return read_dataset(path)
        raise UsageError(
            f"{path}: truth must be {_TRUTHS}, got a directory without dataset.json"
            " (ppnlab convert makes a box dataset of a folder of Labelme files)"
        )
    if path.suffix.lower() == ".json" and path.exists():
        return read_coco_truth(path)
    raise UsageError(f"{path}: truth must be {_TRUTHS}, got {_what(path)}")


def read_results(path: Path, truth: BoxDataset) -> Detections:
    """Return the detections of a CSV or COCO results file; their images and classes are those of `truth`.

    Raises:
        UsageError: there is no file at `path`, or its suffix is neither .csv nor .json.
        AnnotationError: it is damaged or does not fit the truth; file and entry are named.
    """
    suffix = path.suffix.lower()
    if path.is_file() and suffix == ".csv":
        return read_detections(path, truth.images, truth.classes)
    if path.is_file() and suffix == ".json":
        return read_coco_results(path, truth)
    raise UsageError(f"{path}: detections must be {_RESULTS}, got {_what(path)}")


def _what(path: Path) -> str:
    if not path.exists():
        return "no such file"
    return "a directory" if path.is_dir() else f"a file with the suffix {path.suffix or 'none'}"
