"""JSON files of a run that hold what was learnt beside the network (plain Python)."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from annotations.errors import PpnlabError
from annotations.whole import write_whole

Learnt = TypeVar("Learnt")


def write_learnt(file: Path, values: Mapping[str, Any]) -> None:
    """Write the file, whole.

    Raises:
        PpnlabError: it cannot be written.
    """
    try:
        write_whole(file, json.dumps(values, indent=1) + "\n")
    except OSError as error:
        raise PpnlabError(f"{file}: file must be writable, got {error.strerror or error}") from error


def read_learnt(file: Path, from_json: Callable[[Any], Learnt], what: str, without: str) -> Learnt | None:
    """Return what `from_json` makes of the file, or None where there is none.

    `what` the file holds and what becomes of a run `without` it are told where it is damaged.

    Raises:
        PpnlabError: the file is damaged, or of a newer version.
    """
    try:
        return from_json(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PpnlabError(f"{file}: file must be readable, got {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PpnlabError(
            f"{file}: {what} must be as `ppnlab train` wrote it, got {error}; without the file, {without}"
        ) from error
