"""Reads `.npz` files that may come from anywhere: headers first, arrays when whoever asks has seen them.

In: a path. Out: shapes and types of its arrays, then arrays. Refuses what is no regular file, no ZIP, encrypted or
packed in other ways than numpy's, arrays that are longer or shorter than their header says, that hold objects, or that
this machine's memory cannot hold. Nothing is unpacked before its header is known.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import zipfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.files import open_regular
from tflm_quantmcu.base.text import shown

_SUFFIX = ".npy"
_NPY_MAGIC = b"\x93NUMPY"


@dataclasses.dataclass(frozen=True)
class Header:
    """What an array is.

    Attributes:
      shape: its dimensions.
      dtype: its type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def form(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        return self.shape, self.dtype


class NpzFile:
    """An open `.npz`.

    Attributes:
      headers: name -> header, in the file's order.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        members = [m for m in archive.infolist() if not m.is_dir()]
        if len({m.filename for m in members}) < len(members):
            raise ValueError("a name stands twice in it")
        self._members = {m.filename.removesuffix(_SUFFIX): m for m in members}
        self.headers = {name: self._header(member) for name, member in self._members.items()}

    def __contains__(self, name: str) -> bool:
        return name in self.headers

    def __getitem__(self, name: str) -> np.ndarray:
        """The array of a name."""
        with self._archive.open(self._members[name]) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            file.read(1)  # behind the end the checksum is compared
        return array

    def get(self, name: str) -> np.ndarray | None:
        """The array of a name, of the shape and dtype that `headers` say, or None without one."""
        return self[name] if name in self.headers else None

    def _header(self, member: zipfile.ZipInfo) -> Header:
        if member.flag_bits & 1:
            raise ValueError(f"{shown(member.filename)} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{shown(member.filename)} is packed by method {member.compress_type}")
        with self._archive.open(member) as file:
            header, header_bytes = _read_header(file)
        if header.dtype.hasobject or header.dtype.names:
            raise ValueError(f"{shown(member.filename)} holds {header.dtype}")
        num_bytes = math.prod(header.shape) * header.dtype.itemsize
        if min(header.shape, default=0) < 0 or num_bytes != member.file_size - header_bytes:
            found = member.file_size - header_bytes
            raise ValueError(f"{shown(member.filename)} has {found} bytes for {header.shape} {header.dtype}")
        if num_bytes > _memory_bytes():
            raise ValueError(f"{shown(member.filename)} takes {num_bytes} bytes, more than this machine's memory")
        return header


@contextlib.contextmanager
def open_npz(path: str | os.PathLike[str], what: str = "a readable .npz file") -> Iterator[NpzFile]:
    """Opens a file for as long as the context lasts; what is read from it there is refused as the file is.

    Args:
      path: of the file.
      what: it must be, for sentences.

    Raises:
      UsageError: it cannot be read, or is none.
    """
    try:
        with open_regular(path) as file:
            is_array = file.read(len(_NPY_MAGIC)) == _NPY_MAGIC
            file.seek(0)
            if is_array and _read_header(file):
                raise UsageError(f"{path} holds one array; supported is .npz with the keys x and y")
            with zipfile.ZipFile(file) as archive:
                yield NpzFile(archive)
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # zipfile and numpy raise whatever misread bytes lead to
        raise UsageError(f"{path} is not {what}: {shown(error) or type(error).__name__}") from None


def _read_header(file: IO[bytes]) -> tuple[Header, int]:
    """A member's header, and how many bytes it takes."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an array has the header version {version}")
    shape, _, dtype = readers[version](file)
    return Header(tuple(map(int, shape)), dtype), file.tell()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
