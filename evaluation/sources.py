"""Truth and detections from whatever files a user has."""

from pathlib import Path

from annotations.dataset import read_dataset
from annotations.detections import read_detections
from annotations.errors import AnnotationError, UsageError
from annotations.findings import CODES
from annotations.tables import BoxDataset, Detections
from evaluation.coco_json import read_coco_results, read_coco_truth

_TRUTHS = "a box dataset (a directory with dataset.json), a folder of Labelme files or a COCO JSON file"
_RESULTS = "detections.csv or a COCO results JSON file"


def read_truth(path: Path) -> BoxDataset:
    """Return the truth of a box dataset, of a folder of Labelme files or of a COCO JSON file.

    Raises:
        UsageError: there is nothing at `path`, or it is none of these.
        AnnotationError: it is damaged; file and entry are named.
    """
    if path.is_dir():
        return read_dataset(path) if (path / "dataset.json").exists() else _read_labelme(path)
    if path.is_file() and path.name == "dataset.json":
        return read_dataset(path.parent)
    if path.is_file() and path.suffix.lower() == ".json":
        return read_coco_truth(path)
    raise UsageError(f"{path}: truth must be {_TRUTHS}, got {_what(path)}")


def _read_labelme(path: Path) -> BoxDataset:
    # Reading pictures' sizes needs packages that the other forms of truth do without.
    from annotations.labelme_folder import read_labelme_folder
    from annotations.naming import Naming

    read = read_labelme_folder(path, Naming({}, None, {}))
    # A converter may leave out a damaged file and say so; figures over what is left would be figures of other data.
    for finding in read.findings:
        if CODES[finding.code][0] == "error":
            raise AnnotationError(f"{path / finding.source}: {finding.message}")
    return read.dataset


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
