"""Reads the user's files."""

from __future__ import annotations

import os
import pathlib

from tflm_quantmcu.errors import UsageError


def read_bytes(path: str | os.PathLike[str], flag: str) -> bytes:
    """The file's bytes.

    Raises:
      UsageError: it cannot be read; the sentence names `flag`.
    """
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{flag} {path} cannot be read: {error.strerror or error}") from None
