"""Catches what C++ code writes to the process's standard error, below `sys.stderr`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

_STDERR = 2
_lock = threading.RLock()


@dataclasses.dataclass
class NativeText:
    """Filled when the `with` block ends."""

    text: str = ""

    def pass_on(self) -> None:
        """Writes the text to standard error after all, so that nothing is lost on success."""
        if self.text:
            os.write(_STDERR, self.text.encode())


@contextlib.contextmanager
def capture_native_stderr() -> Iterator[NativeText]:
    """Collects file descriptor 2 during the block; one thread at a time, others' lines come along.

    Yields:
      NativeText; stays empty in a process that has no standard error.
    """
    captured = NativeText()
    with _lock, contextlib.ExitStack() as stack:
        _flush_python_stderr()
        try:
            saved = os.dup(_STDERR)
        except OSError:  # standard error is closed
            yield captured
            return
        stack.callback(os.close, saved)
        file = stack.enter_context(tempfile.TemporaryFile())
        os.dup2(file.fileno(), _STDERR)
        try:
            yield captured
        finally:
            _flush_python_stderr()
            os.dup2(saved, _STDERR)
            file.seek(0)
            captured.text = file.read().decode(errors="replace")


def _flush_python_stderr() -> None:
    with contextlib.suppress(AttributeError, OSError, ValueError):  # None, closed, or replaced
        sys.stderr.flush()
