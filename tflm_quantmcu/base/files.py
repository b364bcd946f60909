"""Reads the user's files, and writes so that a reader sees the old file or the whole new one, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from tflm_quantmcu.base.errors import UsageError


def read_bytes(path: str | os.PathLike[str], flag: str) -> bytes:
    """The file's bytes.

    Raises:
      UsageError: it cannot be read; the sentence names `flag`.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{flag} {path} cannot be read: {error.strerror or error}") from None


def require_folder(path: str | os.PathLike[str]) -> None:
    """Refuses a path that nothing can be written to, before the work that makes what is written.

    Raises:
      UsageError: its folder is missing or not writable, or it is a folder.
    """
    target = Path(path)
    reasons = {
        errno.ENOENT: not target.parent.is_dir(),
        errno.EISDIR: target.is_dir(),
        errno.EACCES: not os.access(target.parent, os.W_OK),
    }
    for number, holds in reasons.items():
        if holds:
            raise UsageError(f"{target} cannot be written: {os.strerror(number)}")


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes `data` to a temporary name in the same folder, then renames it to `path`.

    Raises:
      UsageError: the folder is missing or not writable, the disk is full, or `path` is a folder.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):  # gone after the rename
            temporary.unlink()
