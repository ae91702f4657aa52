"""Truth and detections from whatever files a user has."""

from pathlib import Path

from annotations.dataset import read_dataset
from annotations.detections import read_detections
from annotations.errors import AnnotationError, UsageError
from annotations.findings import CODES
from annotations.tables import BoxDataset, Detections

_TRUTHS = (
    "a box dataset (a directory with dataset.json), a folder of Labelme files or of another form that convert reads, "
    "reference CSV or a COCO JSON file"
)
_RESULTS = "detections.csv or a COCO results JSON file"


def read_truth(path: Path, left_out: list[str] | None = None) -> BoxDataset:
    """Return the truth of a box dataset, of a COCO JSON file, or of a folder or file of any other form.

    A COCO JSON file is taken as it stands; of the other forms, boxes are clipped and repeated ones dropped, as
    converting them does. With `left_out`, what is at fault is left out, and told of in it, in place of an error; a box
    dataset has no such faults.

    Raises:
        UsageError: there is nothing at `path`, or it is none of these.
        AnnotationError: it is damaged; file and entry are named.
    """
    if path.is_dir():
        return read_dataset(path) if (path / "dataset.json").exists() else _read_other(path, left_out)
    if path.is_file() and path.name == "dataset.json":
        return read_dataset(path.parent)
    if path.is_file() and path.suffix.lower() == ".json":
        from evaluation.coco_json import read_coco_truth

        return read_coco_truth(path, left_out)
    if path.is_file() and _is_other_form(path):
        return _read_other(path, left_out)
    raise UsageError(f"{path}: truth must be {_TRUTHS}, got {_what(path)}")


def _is_other_form(path: Path) -> bool:
    from annotations.forms import detect_form

    try:
        return detect_form(path).form != "labelme"
    except AnnotationError:
        return False


def _read_other(path: Path, left_out: list[str] | None) -> BoxDataset:
    # Reading pictures' sizes needs packages that the other forms of truth do without.
    from annotations.forms import detect_form, read_source
    from annotations.naming import Naming

    read = read_source(path, detect_form(path).form, Naming({}, None, {}))
    # A converter may leave out a damaged file and say so; figures over what is left would be figures of other data.
    for finding in read.findings:
        if CODES[finding.code][0] == "error":
            place = path / finding.source if path.is_dir() else path
            where = f"{place}: {finding.shape}" if finding.shape else place
            if left_out is None:
                raise AnnotationError(f"{where}: {finding.message}")
            left_out.append(f"{where}: {finding.message}")
    return read.dataset


def read_results(path: Path, truth: BoxDataset, left_out: list[str] | None = None) -> Detections:
    """Return the detections of a CSV or COCO results file; their images and classes are those of `truth`.

    With `left_out`, what is at fault is left out, and told of in it, in place of an error.

    Raises:
        UsageError: there is no file at `path`, or its suffix is neither .csv nor .json.
        AnnotationError: it is damaged or does not fit the truth; file and entry are named.
    """
    suffix = path.suffix.lower()
    if path.is_file() and suffix == ".csv":
        return read_detections(path, truth.images, truth.classes, left_out)
    if path.is_file() and suffix == ".json":
        from evaluation.coco_json import read_coco_results

        return read_coco_results(path, truth, left_out)
    raise UsageError(f"{path}: detections must be {_RESULTS}, got {_what(path)}")


def _what(path: Path) -> str:
    if not path.exists():
        return "no such file"
    return "a directory" if path.is_dir() else f"a file with the suffix {path.suffix or 'none'}"
