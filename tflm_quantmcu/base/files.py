"""Reads the user's files, and writes so that a reader sees the old file or the whole new one, never a part."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

from tflm_quantmcu.base.errors import UsageError

_MAX_NAME_BYTES = 255  # of the file systems that people use


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A file, open to be read. A pipe would be waited for, and a device may have no end.

    Raises:
      OSError: it cannot be opened, or is no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError:  # a NUL in the name
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "not a regular file; pipes and devices are not read")


def read_bytes(path: str | os.PathLike[str], flag: str) -> bytes:
    """The file's bytes.

    Raises:
      UsageError: it cannot be read; the sentence names `flag`.
    """
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"{flag} {path} cannot be read: {error.strerror or error}") from None


def require_folder(path: str | os.PathLike[str]) -> None:
    """Refuses a path that nothing can be written to, before the work that makes what is written.

    Raises:
      UsageError: its folder is missing or not writable, it is a folder, a pipe or a device, or its name is too long.
    """
    target = Path(path)
    if "\0" in os.fspath(path):
        raise UsageError(f"{target} cannot be written: a name has no NUL")
    try:
        is_other = target.exists() and not target.is_file()
        reasons = {
            errno.ENOENT: not target.parent.is_dir(),
            errno.EISDIR: target.is_dir(),
            errno.EACCES: not os.access(target.parent, os.W_OK),
        }
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    for number, holds in reasons.items():
        if holds:
            raise UsageError(f"{target} cannot be written: {os.strerror(number)}")
    if is_other:
        raise UsageError(f"{target} cannot be written: it is a pipe or a device")
    if len(os.fsencode(target.name)) > _MAX_NAME_BYTES:
        raise UsageError(f"{target} cannot be written: {os.strerror(errno.ENAMETOOLONG)}")


def beside(path: str | os.PathLike[str], suffix: str) -> Path:
    """The path of a file beside another: its name and the suffix, and where that is too long for a file system the
    name's begin and digest."""
    target = Path(path)
    if len(os.fsencode(target.name + suffix)) <= _MAX_NAME_BYTES:
        return target.with_name(target.name + suffix)
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return target.with_name(f"{target.name[:32]}.{digest}{suffix}")


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes `data` to a temporary name of its own in the same folder, and renames it to `path` when the disk has it.
    Where `path` is a link, what it leads to is replaced.

    Raises:
      UsageError: the folder is missing or not writable, the disk is full, or `path` is no regular file.
    """
    require_folder(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".quantmcu-{secrets.token_hex(8)}.part")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):  # gone after the rename
            temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """So that the rename outlives a loss of power; some file systems have no such call."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
