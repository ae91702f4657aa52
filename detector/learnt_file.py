"""What a run learns beside the network, class by class: its JSON files, and whether it helps (plain Python)."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

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


class Measured(Protocol):
    """Something learnt of a class, with the AP on the validation images without it and with it, where there is one."""

    @property
    def ap_before(self) -> float | None:
        """Return the AP without it."""

    @property
    def ap_after(self) -> float | None:
        """Return the AP with it."""


def raises_ap(one: Measured) -> bool:
    """Return whether the AP rises."""
    return one.ap_before is not None and one.ap_after is not None and one.ap_after > one.ap_before


def worth(classes: Mapping[str, Measured]) -> str:
    """Return in words what is learnt of classes and whether it is used, or "off" where nothing was measured."""
    told = [
        f"{name} {'on' if raises_ap(one) else 'off'} (val AP {one.ap_before:.4f} -> {one.ap_after:.4f})"
        for name, one in classes.items()
        if one.ap_before is not None and one.ap_after is not None
    ]
    return ", ".join(told) or "off"
