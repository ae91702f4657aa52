"""Weight files of PyTorch, read without it."""

from pathlib import Path

import numpy as np
import pytest
from torch_files import archive, state, storage, tensor, write_archive

from annotations.errors import PpnlabError
from detector.torch_archive import read_torch_archive


def test_arrays_come_back_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"a.weight": rng.random((2, 3, 4), np.float32), "b": rng.random(5, np.float32)}
    found = read_torch_archive(write_archive(tmp_path / "w.pth", arrays))
    assert list(found) == ["a.weight", "b"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.c_contiguous


def test_views_follow_offset_and_strides(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32)
    # Columns of a 3 x 4 matrix, the first row left out.
    push = tensor("7", 12, (4, 2), (1, 4), offset=4)
    (tmp_path / "w.pth").write_bytes(archive(state({"t": push}), {"7": storage(values)}))
    np.testing.assert_array_equal(read_torch_archive(tmp_path / "w.pth")["t"], values.reshape(3, 4)[1:].T)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("DoubleStorage", np.float64), ("HalfStorage", np.float16), ("LongStorage", np.int64), ("BoolStorage", np.bool_)],
)
def test_every_storage_keeps_its_type(tmp_path: Path, name: str, dtype: type[np.generic]) -> None:
    values = np.array([0, 1, 1]).astype(dtype)
    push = tensor("k", 3, (3,), (1,), storage=name)
    (tmp_path / "w.pth").write_bytes(archive(state({"t": push}), {"k": storage(values)}))
    found = read_torch_archive(tmp_path / "w.pth")["t"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values)


def test_scalars_and_empty_tensors_are_read(tmp_path: Path) -> None:
    pushes = {"one": tensor("k", 3, (), ()), "none": tensor("k", 3, (0, 4), (4, 1))}
    (tmp_path / "w.pth").write_bytes(archive(state(pushes), {"k": storage(np.float32([5, 6, 7]))}))
    found = read_torch_archive(tmp_path / "w.pth")
    assert found["one"].shape == ()
    assert found["one"] == 5
    assert found["none"].shape == (0, 4)


def test_tensors_share_a_storage(tmp_path: Path) -> None:
    pushes = {"low": tensor("k", 4, (2,), (1,)), "high": tensor("k", 4, (2,), (1,), offset=2)}
    (tmp_path / "w.pth").write_bytes(archive(state(pushes), {"k": storage(np.float32([1, 2, 3, 4]))}))
    found = read_torch_archive(tmp_path / "w.pth")
    assert [found["low"].tolist(), found["high"].tolist()] == [[1, 2], [3, 4]]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PpnlabError, match=r"w\.pth: weights must be readable, got No such file"):
        read_torch_archive(tmp_path / "w.pth")
