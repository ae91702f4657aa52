"""Labelme, started on a folder as a program: with the project's labels, the splits as flags, and no image data.

It is never imported: it is licensed under the GPL, and loads a window system.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from annotations.errors import AnnotationError, PpnlabError, UsageError
from annotations.labelme import read_labelme
from annotations.notes import FileRefused
from annotations.sources import find_files
from annotations.tables import SPLITS

INTERRUPTED = 130
_HELP_SECONDS = 120
"""Labelme 6 loads its neural networks' runtime before it prints its help; on a busy machine, that takes its time."""
_LEAVING_SECONDS = 5
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_STORES_IMAGES = re.compile(
    r"^(?P<key>store_data|with_image_data)[ \t]*:[ \t]*(true|yes|on)\b.*$", re.IGNORECASE | re.MULTILINE
)


def labels_in(folder: Path) -> list[str]:
    """Return the labels that the Labelme files below a folder have so far, by name; files that it refuses have none."""
    root = Path(os.path.realpath(folder))
    labels: set[str] = set()
    for source in find_files(root, []).annotations:
        with contextlib.suppress(FileRefused):
            document = read_labelme(root / source) or {"shapes": []}
            named = (shape.get("label") for shape in document["shapes"] if isinstance(shape, dict))
            labels.update(label for label in named if isinstance(label, str) and label)
    return sorted(labels)


def find_labelme() -> Path:
    """Return the `labelme` program: the one installed beside our Python, else the one on the PATH.

    Raises:
        PpnlabError: there is none.
    """
    beside = str(Path(sys.executable).parent)
    found = shutil.which("labelme", path=beside) or shutil.which("labelme")
    if found is None:
        raise PpnlabError("annotate: Labelme must be installed, got no program labelme; pip install 'ppnlab[annotate]'")
    return Path(found)


def labelme_options(program: Path) -> frozenset[str]:
    """Return the long options that this Labelme names in its help: they differ from version to version.

    Raises:
        PpnlabError: it does not start, as without the libraries of a window system.
    """
    try:
        done = subprocess.run(
            [program, "--help"], capture_output=True, text=True, errors="replace", timeout=_HELP_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PpnlabError(f"{program}: Labelme must start, got {error}") from error
    options = frozenset(_OPTION.findall(done.stdout))
    if done.returncode or "--labels" not in options:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise PpnlabError(f"{program}: Labelme must start and know --labels, got {last[0]}")
    return options


def labelme_command(
    folder: Path,
    labels: Sequence[str],
    splits: Sequence[str] = SPLITS,
    *,
    program: Path,
    options: frozenset[str],
    config: Path | None = None,
) -> list[str]:
    """Return the command that opens `folder` in the Labelme `program`, which knows `options`.

    Labels other than the given ones are refused by Labelme, where labels are given; each image has the splits as flags;
    what is drawn is saved without being asked, and without image data. `config` takes the place of the user's
    ~/.labelmerc.

    Raises:
        UsageError: a label or split cannot be given to Labelme.
    """
    command = [str(program), str(folder)]
    if labels:
        command += ["--labels", _listed(labels, "labels")]
        command += _first_of(options, "--validate-label", "--validatelabel", value="exact")
        command += _first_of(options, "--no-sort-labels", "--nosortlabels")
    if splits:
        command += ["--flags", _listed(splits, "flags")]
    # Before Labelme 6, both are asked for; since then, they are as we want them.
    command += _first_of(options, "--nodata") + _first_of(options, "--autosave")
    return command if config is None else [*command, "--config", str(config)]


def _listed(names: Sequence[str], what: str) -> str:
    for name in names:
        if not name.strip() or set(",\n\r\0") & set(name):
            raise UsageError(f"{what}: {what} must be words without commas and line breaks, got {name!r}")
    if len(set(names)) < len(names):
        raise UsageError(f"{what}: {what} must differ from each other, got {', '.join(names)}")
    # The comma at the end is no name; but without it, one label would be read as a file, if there is one of that name.
    return ",".join(names) + ","


def _first_of(options: frozenset[str], *spellings: str, value: str | None = None) -> list[str]:
    known = next((spelling for spelling in spellings if spelling in options), None)
    if known is None:
        return []
    return [known] if value is None else [known, value]


def start_labelme(folder: Path, labels: Sequence[str] | None = None, splits: Sequence[str] = SPLITS) -> int:
    """Return the exit status of Labelme, after it was opened on `folder` and closed again; 130 after Ctrl-C.

    Without `labels`, those that the folder's Labelme files have so far are offered.

    Raises:
        AnnotationError: `folder` is no folder.
        UsageError: a label or split cannot be given to Labelme.
        PpnlabError: Labelme is not installed, or does not start.
    """
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: folder must be one, got {'a file' if folder.exists() else 'no such one'}")
    labels = labels_in(folder) if labels is None else labels
    program = find_labelme()
    options = labelme_options(program)
    with _config_without_images("--nodata" in options) as config:
        # An absolute path: a folder may be called "--version".
        command = labelme_command(folder.absolute(), labels, splits, program=program, options=options, config=config)
        return _run(command)


@contextlib.contextmanager
def _config_without_images(has_option: bool) -> Iterator[Path | None]:
    """Give a copy of ~/.labelmerc that stores no image data, where the user's own does and no option forbids it.

    Labelme 5 wrote a ~/.labelmerc that says so for everybody; Labelme 6 and 7 still follow it.
    """
    try:
        text = "" if has_option else Path("~/.labelmerc").expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError):  # RuntimeError: there is no home directory
        text = ""
    if not _STORES_IMAGES.search(text):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="ppnlab-labelme-") as place:
        config = Path(place, "labelmerc")
        config.write_text(_STORES_IMAGES.sub(r"\g<key>: false", text), "utf-8")
        yield config


def _run(command: list[str]) -> int:
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        raise PpnlabError(f"{command[0]}: Labelme must start, got {error.strerror or error}") from error
    try:
        status = process.wait()
    except KeyboardInterrupt:
        _end(process)
        return INTERRUPTED
    # A program that a signal ended, as a shell tells it.
    return status if status >= 0 else 128 - status


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the program that had the same Ctrl-C; end it where it does not go by itself."""
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        process.wait(_LEAVING_SECONDS)
        return
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LEAVING_SECONDS)
        return
    process.kill()
    process.wait()
