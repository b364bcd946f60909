"""An .npz from anywhere is read or refused by one sentence, before it takes memory."""

from __future__ import annotations

import io
import os
import pathlib
import struct
import threading
import zipfile

import numpy as np
import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.npz import open_npz


def member(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def written(path, data: bytes, name: str = "x.npy", **options: int) -> str:
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr(name, data)
    return str(path)


def read(path) -> dict[str, np.ndarray]:
    with open_npz(path) as file:
        return {name: file[name] for name in file.headers}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_wrote_comes_back(tmp_path, save):
    arrays = {"x": np.arange(6.0).reshape(2, 3), "y": np.array(5), "n": np.array(["a", "bc"]), "e": np.zeros((0, 4))}
    save(tmp_path / "a.npz", **arrays)
    found = read(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    assert all(np.array_equal(found[n], a) and found[n].dtype == a.dtype for n, a in arrays.items())


@pytest.mark.parametrize("shape", ["(9,)", "(7,)", "(-8,)", "(8000000000000,)", "(8, 0)", "8", "(1 << 40,)", "(8.0,)"])
def test_a_header_that_promises_other_than_there_is_takes_no_memory(tmp_path, shape):
    data = member(np.zeros(8, np.int8))
    end = data.index(b"(8,), }")
    head = data[:end] + f"{shape}, }}".encode()
    bad = head + b" " * (len(data) - 8 - 1 - len(head)) + b"\n" + bytes(8)
    assert len(bad) == len(data)
    with pytest.raises(UsageError, match="is not a readable .npz file"):
        read(written(tmp_path / "a.npz", bad))


def test_a_bomb_is_refused_by_its_header(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros(1 << 22, np.int8))
    assert path.stat().st_size < 1 << 14
    monkeypatch.setattr("tflm_quantmcu.base.npz._memory_bytes", lambda: 1 << 20)
    with pytest.raises(UsageError, match="takes 4194304 bytes, more than this machine's memory"):
        read(path)


def test_encrypted_members_are_refused(tmp_path):
    path = written(tmp_path / "a.npz", member(np.arange(3)))
    data = bytearray(pathlib.Path(path).read_bytes())
    central = data.index(b"PK\1\2")
    for flags in (6, central + 8):
        data[flags : flags + 2] = struct.pack("<H", 1)
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(UsageError, match="'x.npy' is encrypted"):
        read(path)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"no array", "is not a readable .npz file"),
        (member(np.arange(3))[:-1], "has 23 bytes for"),
        (member(np.zeros(2, [("a", "i4")])), "holds"),
    ],
)
def test_members_that_are_no_plain_arrays_are_refused(tmp_path, data, sentence):
    with pytest.raises(UsageError, match=sentence):
        read(written(tmp_path / "a.npz", data))


def test_other_packings_and_doubled_names_are_refused(tmp_path):
    with pytest.raises(UsageError, match="is packed by method 14"):
        read(written(tmp_path / "a.npz", member(np.arange(3)), compression=zipfile.ZIP_LZMA))
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            archive.writestr("x.npy", member(np.arange(3)))
    with pytest.raises(UsageError, match="stands twice"):
        read(tmp_path / "b.npz")


def test_a_wrong_checksum_is_refused(tmp_path):
    path = written(tmp_path / "a.npz", member(np.arange(3)))
    data = bytearray(pathlib.Path(path).read_bytes())
    data[data.index(b"PK\1\2") - 1] ^= 1
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(UsageError, match="Bad CRC-32"):
        read(path)


def test_pipes_devices_folders_and_odd_names_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path, "a\0b", tmp_path / ("n" * 256)):
        refusals: list[str] = []

        def work(path=path, refusals=refusals) -> None:
            with pytest.raises(UsageError, match="cannot be read") as refusal:
                read(path)
            refusals.append(str(refusal.value))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(60)
        assert refusals, path
