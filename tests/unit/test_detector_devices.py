"""What a machine has to compute with: a stand-in for NVIDIA's library, and TensorFlow's own calls for the device."""

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from annotations.errors import PpnlabError, UsageError
from detector import backend
from detector.devices import devices, devices_text, gigabytes, visible_names

GIGA = 1024**3


def stand_in(broken: str = "", users: bool = True) -> ModuleType:
    """A pynvml with two cards; the call named `broken` fails, as some do on some cards."""
    module: Any = ModuleType("pynvml")

    class NVMLError(Exception):
        pass

    def call(name: str, answer: Any) -> None:  # noqa: ANN401
        def told(*handle: int) -> Any:  # noqa: ANN401
            if name == broken:
                raise NVMLError("Not Supported")
            return answer(*handle) if callable(answer) else answer

        setattr(module, name, told)

    module.NVMLError, module.ended = NVMLError, []
    call("nvmlInit", None)
    call("nvmlShutdown", lambda: module.ended.append(True))
    call("nvmlDeviceGetCount", 2)
    call("nvmlDeviceGetHandleByIndex", lambda index: index)
    call("nvmlDeviceGetUUID", lambda card: f"GPU-{card}a")
    call("nvmlDeviceGetName", lambda card: b"NVIDIA A" if card else "NVIDIA B")
    call("nvmlDeviceGetMemoryInfo", SimpleNamespace(total=24 * GIGA, free=20 * GIGA, used=4 * GIGA))
    call("nvmlDeviceGetUtilizationRates", SimpleNamespace(gpu=35, memory=10))
    mine = [
        SimpleNamespace(pid=os.getpid(), usedGpuMemory=3 * GIGA),
        SimpleNamespace(pid=2**22 + 1, usedGpuMemory=None),
    ]
    call("nvmlDeviceGetComputeRunningProcesses", lambda card: mine if users and not card else [])
    return module


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    def use(module: ModuleType | None) -> ModuleType | None:
        monkeypatch.setitem(sys.modules, "pynvml", module)
        return module

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return use


def test_cards_are_listed_with_who_uses_them(library: Any) -> None:  # noqa: ANN401
    module = library(stand_in())
    found = devices()
    assert [(card.device, card.model) for card in found.cards] == [("gpu:0", "NVIDIA B"), ("gpu:1", "NVIDIA A")]
    assert (found.cards[0].memory, found.cards[0].memory_free, found.cards[0].busy) == (24 * GIGA, 20 * GIGA, 0.35)
    me, gone = found.cards[0].users
    assert (me.pid, me.memory) == (os.getpid(), 3 * GIGA)
    assert me.user
    assert me.command
    assert "py" in me.command
    # A process of another container: nothing is known of it but its number.
    assert (gone.user, gone.memory, gone.command) == (None, None, None)
    assert found.remark is None
    assert module.ended == [True]
    text = devices_text(found).splitlines()
    assert text[1] == "gpu:0   NVIDIA B, 20.0 of 24.0 GB free, 35% busy"
    assert text[2].startswith(f"        {me.user}: process {os.getpid()}, 3.0 GB, ")
    assert text[3] == f"        somebody: process {2**22 + 1}, not told"
    assert text[4] == "gpu:1   NVIDIA A, 20.0 of 24.0 GB free, 35% busy"


def test_hidden_cards_have_no_name_for_the_option(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    library(stand_in(users=False))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [card.device for card in devices().cards] == [None, "gpu:0"]
    assert "hidden  NVIDIA B" in devices_text(devices())


@pytest.mark.parametrize("call", ["nvmlDeviceGetUtilizationRates", "nvmlDeviceGetComputeRunningProcesses"])
def test_a_card_that_does_not_tell_all_is_listed_all_the_same(library: Any, call: str) -> None:  # noqa: ANN401
    library(stand_in(broken=call))
    assert len(devices().cards) == 2


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetMemoryInfo"])
def test_a_library_without_a_driver_is_a_remark(library: Any, call: str) -> None:  # noqa: ANN401
    library(stand_in(broken=call))
    found = devices()
    assert found.cards == ()
    assert "Not Supported" in (found.remark or "")
    assert "no GPU" in devices_text(found)


def test_without_the_library_the_processors_are_listed(library: Any) -> None:  # noqa: ANN401
    library(None)
    found = devices()
    assert found.processor.cores >= found.processor.usable >= 1
    assert found.processor.memory > found.processor.memory_free > 0
    assert "nvidia-ml-py is not installed" in (found.remark or "")
    assert devices_text(found).startswith("cpu ")


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["gpu:0", "gpu:1", "gpu:2"]),
        ("", [None, None, None]),
        ("-1", [None, None, None]),
        ("2,0", ["gpu:1", None, "gpu:0"]),
        ("GPU-c, GPU-a", ["gpu:1", None, "gpu:0"]),
        # What is none ends the list.
        ("1,7,0", [None, "gpu:0", None]),
        # Two cards begin so: it names none.
        ("GPU-", [None, None, None]),
    ],
)
def test_visible_cards_are_numbered_as_cuda_does(
    visible: str | None, expected: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_names(["GPU-a1", "GPU-b1", "GPU-c1"], visible) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("4GB", 4.0), ("4", 4.0), ("1.5 GiB", 1.5), ("512MB", 0.5), ("2g", 2.0)]
)
def test_gigabytes_are_read(text: str, expected: float) -> None:
    assert gigabytes(text) == expected


@pytest.mark.parametrize("text", ["", "much", "-4GB", "4TB", "4 GB 2", "٤GB"])
def test_gigabytes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--gpu-memory must be like 4GB or 500MB"):
        gigabytes(text)


class FakeConfig:
    """`tf.config` of a machine with some GPUs; it keeps what it is told."""

    def __init__(self, cards: int, started: bool = False) -> None:
        self.cards, self.started = [f"card {number}" for number in range(cards)], started
        self.told: list[tuple[object, ...]] = []
        self.experimental = SimpleNamespace(set_memory_growth=lambda card, on: self.told.append(("growth", card, on)))

    def list_physical_devices(self, kind: str) -> list[str]:
        return self.cards if kind == "GPU" else []

    def set_visible_devices(self, chosen: list[str], kind: str) -> None:
        if self.started:
            raise RuntimeError("Visible devices cannot be modified after being initialized")
        self.told.append(("visible", chosen, kind))

    def set_logical_device_configuration(self, card: str, parts: list[int]) -> None:
        self.told.append(("limit", card, parts))

    def LogicalDeviceConfiguration(self, memory_limit: int) -> int:
        return memory_limit


@pytest.fixture
def tensorflow(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    def use(config: FakeConfig) -> FakeConfig:
        module: Any = ModuleType("tensorflow")
        module.config = config
        monkeypatch.setitem(sys.modules, "tensorflow", module)
        return config

    return use


@pytest.mark.parametrize(
    ("device", "cards", "memory", "expected"),
    [
        ("auto", 0, 0.0, [("visible", [], "GPU")]),
        ("auto", 2, 0.0, [("visible", ["card 0"], "GPU"), ("growth", "card 0", True)]),
        ("cpu", 2, 4.0, [("visible", [], "GPU")]),
        ("gpu:1", 2, 0.0, [("visible", ["card 1"], "GPU"), ("growth", "card 1", True)]),
        ("gpu:1", 2, 4.0, [("visible", ["card 1"], "GPU"), ("limit", "card 1", [4096])]),
    ],
)
def test_one_device_is_used_and_its_memory_left_to_others(
    tensorflow: Any,  # noqa: ANN401
    device: str,
    cards: int,
    memory: float,
    expected: list[tuple[object, ...]],
) -> None:
    config = tensorflow(FakeConfig(cards))
    backend.use_device(device, memory)
    assert config.told == expected


@pytest.mark.parametrize(("cards", "there"), [(0, "cpu"), (2, "cpu, gpu:0, gpu:1")])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(tensorflow: Any, cards: int, there: str) -> None:  # noqa: ANN401
    config = tensorflow(FakeConfig(cards))
    with pytest.raises(PpnlabError, match=f"device must be one of those that TensorFlow finds, {there}, got gpu:2"):
        backend.use_device("gpu:2")
    assert config.told == []


def test_another_device_within_a_process_is_refused(tensorflow: Any) -> None:  # noqa: ANN401
    tensorflow(FakeConfig(1, started=True))
    with pytest.raises(PpnlabError, match="device must stay the same within a process, got gpu:0"):
        backend.use_device("gpu:0")
