"""PyTorch's weight files (.pth, the pickle stream of before version 1.6), read without torch and without pickle.

A pickle is a program. This one is run by a machine of our own that knows only the operations that a state dict needs
and can call nothing but an empty `OrderedDict` and torch's description of a tensor; everything else is refused by name.

The file is five pickles (magic number, protocol version, machine, the state dict, the storages' keys) and then, for
each key in order, a little-endian int64 count and that many values.
Source: `torch.serialization._legacy_save`, PyTorch 1.5.
"""

import io
import math
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.errors import PpnlabError

LARGEST = 1 << 30
"""Bytes; a larger weight file is refused unread (the ones that we know are of 20 MB)."""

# One byte can make an object of a hundred. A state dict of 300 tensors needs 13,000 operations.
_MOST_OPERATIONS = 1_000_000
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = MappingProxyType(
    {
        "torch FloatStorage": "<f4",
        "torch DoubleStorage": "<f8",
        "torch HalfStorage": "<f2",
        "torch LongStorage": "<i8",
        "torch IntStorage": "<i4",
        "torch ShortStorage": "<i2",
        "torch CharStorage": "<i1",
        "torch ByteStorage": "<u1",
        "torch BoolStorage": "?",
    }
)
_ORDERED_DICT = "collections OrderedDict"
_REBUILD = "torch._utils _rebuild_tensor_v2"
_ADMITTED = frozenset({_ORDERED_DICT, _REBUILD, *_DTYPES})


class _Refused(Exception):
    """What is wrong with the archive; `read_torch_archive` adds the file's name."""


@dataclass(frozen=True, slots=True)
class _Name:
    text: str


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _count(value: object, what: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise _Refused(f"{what} must be a whole number from 0")
    return value


def _counts(value: object, what: str) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        raise _Refused(f"{what} must be a tuple")
    return tuple(_count(number, what) for number in value)


def _tensor(arguments: tuple[Any, ...]) -> _Tensor:
    if len(arguments) != 6 or not isinstance(arguments[0], _Storage):
        raise _Refused("tensor must be a storage, an offset, a size, a stride and two flags")
    storage, offset, shape, strides = arguments[:4]
    tensor = _Tensor(storage, _count(offset, "offset"), _counts(shape, "size"), _counts(strides, "stride"))
    if len(tensor.shape) != len(tensor.strides):
        raise _Refused(f"tensor must have one stride a dimension, got {len(strides)} for {len(shape)}")
    return tensor


def _reduced(function: object, arguments: object) -> object:
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise _Refused("call must be of an admitted name with a tuple of arguments")
    if function.text == _REBUILD:
        return _tensor(arguments)
    if function.text == _ORDERED_DICT and not arguments:
        return {}
    raise _Refused(f"call must be of an empty OrderedDict or a tensor, got {function.text!r}")


def _storage(identity: object) -> _Storage:
    if not isinstance(identity, tuple) or len(identity) != 6 or identity[0] != "storage":
        raise _Refused("persistent id must be a storage's")
    _, kind, key, _, count, view = identity
    if not isinstance(kind, _Name) or kind.text not in _DTYPES or type(key) is not str or view is not None:
        raise _Refused("storage must have an admitted type, a text key and no view")
    return _Storage(key, _DTYPES[kind.text], _count(count, "storage's count"))


@dataclass(slots=True)
class _Machine:
    """A pickle machine; `marks` are the heights that the stack had at each open MARK."""

    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def pop(self) -> Any:  # noqa: ANN401 (a pickle's values have any type)
        if not self.stack or (self.marks and len(self.stack) <= self.marks[-1]):
            raise _Refused("stack must not be empty")
        return self.stack.pop()

    def last(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def marked(self) -> list[Any]:
        if not self.marks:
            raise _Refused("mark must be open")
        height = self.marks.pop()
        values = self.stack[height:]
        del self.stack[height:]
        return values

    def put(self, index: int) -> None:
        value = self.pop()
        self.memo[index] = value
        self.stack.append(value)

    def get(self, index: int) -> object:
        if index not in self.memo:
            raise _Refused(f"memo must hold entry {index}")
        return self.memo[index]

    def filled(self, pairs: list[Any]) -> dict[str, Any]:
        table = self.pop()
        # Keys are text only: hashing nested tuples that share their items would take for ever.
        if type(table) is not dict or len(pairs) % 2 or not all(type(key) is str for key in pairs[::2]):
            raise _Refused("items must be set in a dict, under keys of text")
        table.update(zip(pairs[::2], pairs[1::2], strict=True))
        return table

    def extended(self, values: list[Any]) -> list[Any]:
        items = self.pop()
        if type(items) is not list:
            raise _Refused("items must be appended to a list")
        items.extend(values)
        return items

    def built(self) -> object:
        # A state dict's `_metadata` (the versions of its modules): of no use here.
        value, state = self.last(2)
        if type(value) is not dict or type(state) is not dict:
            raise _Refused("state must be a dict of a dict")
        return value


def _named(text: str) -> _Name:
    if text not in _ADMITTED:
        raise _Refused(f"name must be one of {len(_ADMITTED)} harmless ones, got {text[:80]!r}")
    return _Name(text)


_PUSH: Mapping[str, Callable[[_Machine, Any], object]] = MappingProxyType(
    {
        **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"), lambda machine, value: value),
        **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
        "NONE": lambda machine, _: None,
        "NEWTRUE": lambda machine, _: True,
        "NEWFALSE": lambda machine, _: False,
        "EMPTY_TUPLE": lambda machine, _: (),
        "EMPTY_LIST": lambda machine, _: [],
        "EMPTY_DICT": lambda machine, _: {},
        "TUPLE1": lambda machine, _: tuple(machine.last(1)),
        "TUPLE2": lambda machine, _: tuple(machine.last(2)),
        "TUPLE3": lambda machine, _: tuple(machine.last(3)),
        "TUPLE": lambda machine, _: tuple(machine.marked()),
        "GLOBAL": lambda machine, name: _named(name),
        "BINPERSID": lambda machine, _: _storage(machine.pop()),
        "REDUCE": lambda machine, _: _reduced(*machine.last(2)),
        "BUILD": lambda machine, _: machine.built(),
        "SETITEM": lambda machine, _: machine.filled(machine.last(2)),
        "SETITEMS": lambda machine, _: machine.filled(machine.marked()),
        "APPEND": lambda machine, _: machine.extended(machine.last(1)),
        "APPENDS": lambda machine, _: machine.extended(machine.marked()),
    }
)


def _load(stream: io.BytesIO) -> object:
    """Return the value of the next pickle of the stream."""
    machine = _Machine()
    for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
        name = opcode.name
        if count == _MOST_OPERATIONS:
            raise _Refused(f"pickle must have at most {_MOST_OPERATIONS:,} operations")
        if name == "STOP":
            return machine.pop()
        if name == "MARK":
            machine.marks.append(len(machine.stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            machine.put(int(argument or 0))
        elif name in _PUSH:
            machine.stack.append(_PUSH[name](machine, argument))
        elif name != "PROTO":
            raise _Refused(f"byte {position}: operation must be one that state dicts need, got {name}")
    raise _Refused("pickle must end with STOP")


def _values(data: bytes, start: int, storage: _Storage) -> NDArray[Any]:
    dtype = np.dtype(storage.dtype)
    if len(data) - start < 8 + storage.count * dtype.itemsize:
        raise _Refused(f"storage {storage.key!r} must hold {storage.count} values, got the end of the file")
    (count,) = struct.unpack_from("<q", data, start)
    if count != storage.count:
        raise _Refused(f"storage {storage.key!r} must hold {storage.count} values, got {count}")
    return np.frombuffer(data, dtype, count, start + 8)


def _array(tensor: _Tensor, values: NDArray[Any]) -> NDArray[Any]:
    # A stride of 0 would let a small storage stand for a tensor of any size.
    count = math.prod(tensor.shape)
    reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if count > len(values) or (count and tensor.offset + reach >= len(values)):
        raise _Refused(f"tensor of shape {tensor.shape} must lie in its storage of {len(values)} values")
    if not count:
        return np.zeros(tensor.shape, values.dtype)
    bytes_apart = [stride * values.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, bytes_apart, writeable=False)
    return np.ascontiguousarray(view).reshape(tensor.shape)


def _storages(state: Mapping[str, object]) -> dict[str, _Storage]:
    """Return the storages of a state dict's tensors by their keys."""
    storages: dict[str, _Storage] = {}
    total = 0
    for name, tensor in state.items():
        if not isinstance(tensor, _Tensor):
            raise _Refused(f"{name[:80]!r} must be a tensor")
        if storages.setdefault(tensor.storage.key, tensor.storage) != tensor.storage:
            raise _Refused(f"{name[:80]!r} must describe its storage as the other tensors do")
        # Tensors may share a storage, so that a small file could describe any number of large ones.
        total += math.prod(tensor.shape) * np.dtype(tensor.storage.dtype).itemsize
        if total > LARGEST:
            raise _Refused(f"tensors must be at most {LARGEST:,} bytes together")
    return storages


def _parsed(data: bytes) -> dict[str, NDArray[Any]]:
    stream = io.BytesIO(data)
    if _load(stream) != _MAGIC or _load(stream) != _PROTOCOL:
        raise _Refused("file must begin with torch's magic number and protocol 1001")
    _load(stream)  # The sizes of the writer's C types.
    state, keys = _load(stream), _load(stream)
    if type(state) is not dict or type(keys) is not list:
        raise _Refused("file must hold a dict of tensors and a list of storages")
    storages = _storages(state)
    position, values = stream.tell(), {}
    for key in keys:
        if type(key) is not str or key not in storages:
            raise _Refused("storage's key must be one that a tensor names")
        values[key] = _values(data, position, storages[key])
        position += 8 + values[key].nbytes
    if missing := sorted(storages.keys() - values.keys()):
        raise _Refused(f"storage {missing[0]!r} must be listed")
    return {name: _array(tensor, values[tensor.storage.key]) for name, tensor in state.items()}


def read_torch_archive(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .pth file's state dict by name, contiguous, in their own dtype; nothing in it is run.

    Raises:
        PpnlabError: the file cannot be read, is larger than LARGEST, is damaged, or holds anything but a dict of
            tensors in the format of before PyTorch 1.6.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise _Refused(f"file must be at most {LARGEST:,} bytes, got {size:,}")
        data = path.read_bytes()
        if data.startswith(b"PK"):
            raise _Refused("format must be the one of before PyTorch 1.6, got a zip archive")
        return _parsed(data)
    except OSError as error:
        raise PpnlabError(f"{path}: weights must be readable, got {error.strerror}") from error
    except (_Refused, ValueError) as error:
        # ValueError is what pickletools raises for a damaged pickle.
        raise PpnlabError(f"{path}: weights: {error}") from error
