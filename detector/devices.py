"""What this machine has to compute with and who uses it: processors, and GPUs where nvidia-ml-py is installed.

Nothing here loads the network: the look at a shared machine should not take seconds, nor memory of a GPU.
"""

import contextlib
import importlib
import os
import platform
import pwd
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from annotations.errors import UsageError

_GIGA: Final = 1024**3
_COMMAND: Final = 50
"""Characters of a command line that are shown."""
_MEMORY: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(g|m)?(?:i?b)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Processor:
    """The machine's processors: cores in all and those that this process may use, load of a minute, bytes of memory."""

    model: str
    cores: int
    usable: int
    load: float
    memory: int
    memory_free: int


@dataclass(frozen=True, slots=True)
class CardUser:
    """A process that holds `memory` bytes of a GPU (None: not told), its user and its command line."""

    pid: int
    user: str | None
    memory: int | None
    command: str | None


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU; `device` is its name for `--device`, or None where CUDA_VISIBLE_DEVICES hides it; `busy` is a share."""

    device: str | None
    model: str
    memory: int
    memory_free: int
    busy: float | None
    users: tuple[CardUser, ...]


@dataclass(frozen=True, slots=True)
class Devices:
    """What a machine has; `remark` says why GPUs could not be looked for."""

    processor: Processor
    cards: tuple[Card, ...]
    remark: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the devices, ready for JSON."""
        values = asdict(self)
        return {"cpu": values["processor"], "gpus": values["cards"], "remark": self.remark}


def devices() -> Devices:
    """Return what this machine has."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return Devices(_processor(), (), "nvidia-ml-py is not installed, so GPUs are not listed")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return Devices(_processor(), (), f"no NVIDIA GPU can be asked: {error}")
    try:
        return Devices(_processor(), tuple(_cards(nvml)), None)
    except nvml.NVMLError as error:
        return Devices(_processor(), (), f"the GPUs do not answer: {error}")
    finally:
        nvml.nvmlShutdown()


def _processor() -> Processor:
    memory = _memory()
    return Processor(
        _model() or platform.machine(),
        os.cpu_count() or 1,
        _usable(),
        round(os.getloadavg()[0], 2),
        memory.get("MemTotal", 0),
        memory.get("MemAvailable", 0),
    )


def _usable() -> int:
    # macOS keeps no such list.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _model() -> str | None:
    return next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if "model name" in line), None)


def _memory() -> dict[str, int]:
    """Return bytes by name."""
    found = (re.match(r"(\w+):\s+(\d+) kB", line) for line in _lines("/proc/meminfo"))
    return {match[1]: 1024 * int(match[2]) for match in found if match}


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []  # not Linux, or not ours to read


def _cards(nvml: Any) -> list[Card]:  # noqa: ANN401  # a module without types
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    names = visible_names([_text(nvml.nvmlDeviceGetUUID(handle)) for handle in handles])
    cards = []
    for name, handle in zip(names, handles, strict=True):
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        busy, users = None, []
        # Some cards do not tell these.
        with contextlib.suppress(nvml.NVMLError):
            busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        with contextlib.suppress(nvml.NVMLError):
            users = [
                _user(process.pid, process.usedGpuMemory)
                for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            ]
        model = _text(nvml.nvmlDeviceGetName(handle))
        cards.append(Card(name, model, int(memory.total), int(memory.free), busy, tuple(users)))
    return cards


def _text(value: str | bytes) -> str:
    # Older versions of the library give bytes.
    return value.decode() if isinstance(value, bytes) else value


def visible_names(uuids: Sequence[str], visible: str | None = None) -> list[str | None]:
    """Return `gpu:0` and so on, the name that a GPU has for `--device`, or None for one that is hidden.

    `visible` is CUDA_VISIBLE_DEVICES, by default that of this process: numbers or beginnings of UUIDs, in the order in
    which the visible ones are counted; the first that is none ends the list.
    Source: CUDA C++ Programming Guide, "CUDA Environment Variables".
    """
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    if wanted is None:
        return [f"gpu:{index}" for index in range(len(uuids))]
    names: list[str | None] = [None] * len(uuids)
    for number, item in enumerate(part.strip() for part in wanted.split(",")):
        found = [index for index, uuid in enumerate(uuids) if item == str(index) or (item and uuid.startswith(item))]
        if len(found) != 1:
            break
        names[found[0]] = f"gpu:{number}"
    return names


def _user(pid: int, memory: int | None) -> CardUser:
    user = None
    with contextlib.suppress(OSError, KeyError):
        user = pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name
    words = "".join(_lines(f"/proc/{pid}/cmdline")).replace("\0", " ").strip()
    return CardUser(pid, user, memory, words[:_COMMAND] or None)


def devices_text(found: Devices) -> str:
    """Return the devices in words, one a line, with who uses a GPU below it."""
    cpu = found.processor
    cores = f"{cpu.cores} cores" if cpu.usable == cpu.cores else f"{cpu.usable} of {cpu.cores} cores are ours"
    lines = [f"cpu     {cpu.model}, {cores}, load {cpu.load:.1f}, {_free(cpu.memory_free, cpu.memory)}"]
    for card in found.cards:
        busy = "" if card.busy is None else f", {card.busy:.0%} busy"
        lines.append(f"{card.device or 'hidden':<7} {card.model}, {_free(card.memory_free, card.memory)}{busy}")
        for user in card.users:
            memory = "" if user.memory is None else f", {user.memory / _GIGA:.1f} GB"
            lines.append(f"        {user.user or 'somebody'}: process {user.pid}{memory}, {user.command or 'not told'}")
    if not found.cards:
        lines.append(f"no GPU  {found.remark or 'there is none'}")
    return "\n".join(lines)


def _free(free: int, whole: int) -> str:
    return f"{free / _GIGA:.1f} of {whole / _GIGA:.1f} GB free"


def gigabytes(text: str) -> float:
    """Return the gigabytes of a text like `4GB`, `4` or `500MB`.

    Raises:
        UsageError: it is none.
    """
    found = _MEMORY.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--gpu-memory must be like 4GB or 500MB, got {text!r}")
    return float(found[1]) / (1024 if (found[2] or "g").lower() == "m" else 1)
