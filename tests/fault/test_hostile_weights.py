"""Weight files made to do harm: refused by name, never run, and never given the memory that they ask for."""

import io
import pickle
import resource
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch_files import HEAD, archive, state, storage, tensor, text

from annotations.errors import PpnlabError
from detector.pretrained import weight_arrays
from detector.torch_archive import read_torch_archive

ONES = np.ones(6, np.float32)
GOOD = tensor("k", 6, (2, 3), (3, 1))
STORED = {"k": storage(ONES)}


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """Let the test fail where it asks for more than 2 GB on top of what the process has mapped."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + (2 << 30), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def refused(tmp_path: Path, data: bytes) -> str:
    """Return why a file with these bytes is refused."""
    path = tmp_path / "w.pth"
    path.write_bytes(data)
    with pytest.raises(PpnlabError) as error:
        read_torch_archive(path)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("os system", b"touch "),
        ("posix system", b"touch "),
        ("builtins eval", b"open('"),
        ("builtins exec", b"open('"),
        ("subprocess Popen", b"touch "),
        ("torch._utils _rebuild_tensor_v2.__globals__", b""),
        ("collections OrderedDict.update", b""),
    ],
)
def test_calls_are_refused_and_not_made(tmp_path: Path, name: str, arguments: bytes) -> None:
    module, function = name.split(" ")
    victim = tmp_path / "victim"
    push = f"c{module}\n{function}\n".encode() + text(arguments.decode() + str(victim)) + b"\x85R"
    assert "name must be one of" in refused(tmp_path, archive(state({"t": push}), STORED))
    assert not victim.exists()


class _Harm:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.victim), "w")


@pytest.mark.parametrize("protocol", range(6))
def test_pickled_objects_are_refused_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    victim = tmp_path / "victim"
    harm = pickle.dumps({"t": _Harm(victim)}, protocol)
    assert "must be" in refused(tmp_path, HEAD + harm)
    assert "must" in refused(tmp_path, harm)
    assert not victim.exists()


def test_every_cut_is_refused(tmp_path: Path) -> None:
    data = archive(state({"t": GOOD}), STORED)
    for length in range(len(data)):
        refused(tmp_path, data[:length])


def test_every_changed_byte_is_read_or_refused(tmp_path: Path) -> None:
    data = bytearray(archive(state({"t": GOOD}), STORED))
    path = tmp_path / "w.pth"
    rng = np.random.default_rng(0)
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] = rng.integers(256)
        path.write_bytes(changed)
        try:
            read_torch_archive(path)
        except PpnlabError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(
    ("push", "said"),
    [
        (tensor("k", 6, (1 << 40,), (1,)), "bytes together"),
        (tensor("k", 6, (1 << 40, 1 << 40), (0, 0)), "bytes together"),
        (tensor("k", 6, (0, 1 << 62, 1 << 62), (0, 0, 0)), "too big"),
        (tensor("k", 6, (1 << 20,), (0,)), "must lie in its storage"),
        (tensor("k", 6, (7,), (0,)), "must lie in its storage"),
        (tensor("k", 6, (2,), (1 << 62,)), "must lie in its storage"),
        (tensor("k", 6, (2,), (1,), offset=5), "must lie in its storage"),
        (tensor("k", 6, (2,), (-1,), offset=5), "whole number from 0"),
        (tensor("k", 6, (-2,), (1,)), "whole number from 0"),
        (tensor("k", 6, (2,), (1,), offset=-1), "whole number from 0"),
        (tensor("k", 6, (2, 3), (1,)), "one stride a dimension"),
        (tensor("k", 1 << 40, (6,), (1,)), "got the end of the file"),
        (tensor("k", 5, (5,), (1,)), "must hold 5 values, got 6"),
        (tensor("other", 6, (6,), (1,)), "one that a tensor names"),
        (tensor("k", 6, (6,), (1,), storage="QInt8Storage"), "name must be one of"),
        (text("word"), "'t' must be a tensor"),
    ],
)
def test_tensors_outside_their_storage_are_refused(tmp_path: Path, push: bytes, said: str) -> None:
    assert said in refused(tmp_path, archive(state({"t": push}), STORED))


def test_many_tensors_of_one_storage_are_refused(tmp_path: Path) -> None:
    # 300 views of 4 MB: 1.2 GB out of a file of 4 MB.
    pushes = {f"t{number}": tensor("k", 1 << 20, (1 << 20,), (1,)) for number in range(300)}
    data = archive(state(pushes), {"k": storage(np.zeros(1 << 20, np.float32))})
    assert "at most 1,073,741,824 bytes together" in refused(tmp_path, data)


def test_storage_described_in_two_ways_is_refused(tmp_path: Path) -> None:
    pushes = {"a": GOOD, "b": tensor("k", 3, (3,), (1,), storage="DoubleStorage")}
    assert "'b' must describe its storage" in refused(tmp_path, archive(state(pushes), STORED))


def test_endless_programs_are_refused(tmp_path: Path) -> None:
    # Each byte is an empty list of 56 bytes.
    assert "at most 1,000,000 operations" in refused(tmp_path, HEAD + b"\x80\x02" + b"]" * 1_000_001 + b".")


def test_too_many_dimensions_are_refused(tmp_path: Path) -> None:
    push = tensor("k", 6, (1,) * 100, (1,) * 100)
    assert "weights" in refused(tmp_path, archive(state({"t": push}), STORED))


def test_storage_without_a_key_is_refused(tmp_path: Path) -> None:
    assert "must be listed" in refused(tmp_path, archive(state({"t": GOOD}), {}))


@pytest.mark.parametrize(
    "push",
    [
        b"X\xff\xff\xff\xffword",  # A text of 4 GB.
        b"r\xff\xff\xff\x7f",  # A memo of 2,147,483,647 entries, over an empty stack.
        b"Nr\xff\xff\xff\x7f0",
        b"\x8b\xff\xff\xff\x7f\x01",  # A number of 2 GB.
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",  # Bytes without end.
        b"I" + b"9" * 5000 + b"\n",
    ],
)
def test_absurd_lengths_are_refused(tmp_path: Path, push: bytes) -> None:
    refused(tmp_path, HEAD + b"\x80\x02" + push + b".")


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    assert "must be a tensor" in refused(tmp_path, archive(state({"t": b")" + b"\x85" * 300_000}), STORED))


def test_shared_nesting_does_not_unfold(tmp_path: Path) -> None:
    # Sixty pairs, each of the one before twice: 2 to the 60 leaves for whoever walks, prints or hashes them.
    doubled = b")" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60))
    refused(tmp_path, HEAD + b"\x80\x02}(" + doubled + b"Nu.")
    assert "must be a tensor" in refused(tmp_path, archive(state({"t": doubled}), STORED))


def test_dict_within_itself_is_refused(tmp_path: Path) -> None:
    assert "must be a tensor" in refused(tmp_path, archive(b"\x80\x02}q\x00" + text("t") + b"h\x00s.", STORED))


@pytest.mark.parametrize("push", [b".", b"0.", b"e.", b"t.", b"s.", b"R.", b"Q.", b"b.", b"h\x05.", b"(((.", b"\x87."])
def test_programs_without_their_arguments_are_refused(tmp_path: Path, push: bytes) -> None:
    refused(tmp_path, HEAD + b"\x80\x02" + push)


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 1000, b"PK\x03\x04" + b"\x00" * 100, b"\x89PNG\r\n", b"{}", b"." * 1000]
)
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path, data)


def test_file_larger_than_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with path.open("wb") as file:
        file.truncate(8 << 30)
    with pytest.raises(PpnlabError, match="at most 1,073,741,824 bytes, got 8,589,934,592"):
        read_torch_archive(path)


def write_npz(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return str(path)


def npy(array: object, *, pickled: bool = False) -> bytes:
    data = io.BytesIO()
    np.save(data, np.asarray(array), allow_pickle=pickled)
    return data.getvalue()


def test_npz_with_a_pickled_array_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    members = {"stem_conv/0.npy": npy(np.array([_Harm(victim)], object), pickled=True)}
    with pytest.raises(PpnlabError, match="an array that is not of floats"):
        weight_arrays(write_npz(tmp_path / "w.npz", members))
    assert not victim.exists()


def test_npz_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    # 8 exabytes in the header, 4 bytes behind it.
    claimed = npy(np.float32([1])).replace(b"(1,), }" + b" " * 12, b"(%d,), }" % (1 << 40))
    assert b"1099511627776" in claimed
    with pytest.raises(PpnlabError, match=r"w\.npz: weights must be a readable \.npz"):
        weight_arrays(write_npz(tmp_path / "w.npz", {"a.npy": claimed}))


def test_npz_that_would_unpack_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file, file.open("a.npy", "w") as member:
        for _ in range(65):
            member.write(bytes(16 << 20))
    with pytest.raises(PpnlabError, match="arrays must be at most 1,073,741,824 bytes"):
        weight_arrays(str(path))


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY", b"no zip at all" * 100])
def test_damaged_npz_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "w.npz").write_bytes(data)
    with pytest.raises(PpnlabError, match=r"w\.npz: weights must be a readable \.npz"):
        weight_arrays(str(tmp_path / "w.npz"))


def test_every_cut_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    write_npz(path, {"a.npy": npy(ONES)}, zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(PpnlabError):
            weight_arrays(str(path))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_changed_byte_of_an_npz_is_read_or_refused(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "w.npz"
    write_npz(path, {"a.npy": npy(ONES)}, compression)
    data, rng = path.read_bytes(), np.random.default_rng(1)
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] = rng.integers(256)
        path.write_bytes(changed)
        try:
            weight_arrays(str(path))
        except PpnlabError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(
    "header",
    [
        "(" * 9000,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-6,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }" % ("9" * 4000),
        "{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999999999), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (6,), }",
        "{'shape': (6,)}",
        "1" + "+1" * 4000,
    ],
)
def test_hostile_array_headers_are_refused(tmp_path: Path, header: str) -> None:
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + ONES.tobytes()
    with pytest.raises(PpnlabError, match=r"w\.npz: weights must be a readable \.npz"):
        weight_arrays(write_npz(tmp_path / "w.npz", {"a.npy": data}))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, value: float) -> None:
    np.savez(tmp_path / "w.npz", **{"stem_conv/0": np.float32([1, value])})
    with pytest.raises(PpnlabError, match=r"w\.npz: stem_conv/0: weights must be finite, got"):
        weight_arrays(str(tmp_path / "w.npz"))
