"""Weight files as PyTorch before 1.6 wrote them, made by hand: whole ones, and hostile ones."""

import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
HEAD = b"\x80\x02\x8a\x0a" + MAGIC + b"." + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
_REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(word: str) -> bytes:
    """Return the operation that pushes a text."""
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def whole(number: int) -> bytes:
    """Return the operation that pushes a whole number."""
    data = number.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(values: Sequence[int]) -> bytes:
    """Return the operations that push a tuple of whole numbers."""
    return b"(" + b"".join(whole(value) for value in values) + b"t"


def tensor(
    key: str,
    count: int,
    shape: Sequence[int],
    strides: Sequence[int],
    *,
    offset: int = 0,
    storage: str = "FloatStorage",
) -> bytes:
    """Return the operations that push a tensor of a storage of `count` values."""
    identity = b"(" + text("storage") + b"ctorch\n" + storage.encode() + b"\n" + text(key) + text("cpu")
    stored = identity + whole(count) + b"NtQ"
    empty = b"ccollections\nOrderedDict\n)R"
    return _REBUILD + b"(" + stored + whole(offset) + numbers(shape) + numbers(strides) + b"\x89" + empty + b"tR"


def state(tensors: Mapping[str, bytes]) -> bytes:
    """Return the pickle of a state dict."""
    items = b"".join(text(name) + push for name, push in tensors.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."


def storage(values: NDArray[np.generic], count: int | None = None) -> bytes:
    """Return a storage as it stands at the end of the file; `count` overrides the true one."""
    return struct.pack("<q", values.size if count is None else count) + values.tobytes()


def archive(state_pickle: bytes, storages: Mapping[str, bytes]) -> bytes:
    """Return a whole file."""
    return HEAD + state_pickle + pickle.dumps(list(storages), 2) + b"".join(storages.values())


def write_archive(path: Path, arrays: Mapping[str, NDArray[np.float32]]) -> Path:
    """Write contiguous float32 arrays by name; the path comes back."""
    pushes, storages = {}, {}
    for key, (name, array) in enumerate(arrays.items()):
        array = np.asarray(array, np.float32, order="C")
        strides = [stride // 4 for stride in array.strides]
        pushes[name] = tensor(str(key), array.size, array.shape, strides)
        storages[str(key)] = storage(array)
    path.write_bytes(archive(state(pushes), storages))
    return path
