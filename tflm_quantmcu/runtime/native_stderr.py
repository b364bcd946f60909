"""Catches what C++ code writes to the process's standard error, below `sys.stderr`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterator

from tflm_quantmcu.native.exclusive import changed, exclusive

_STDERR = 2


@dataclasses.dataclass
class NativeText:
    """Filled when the `with` block ends."""

    text: str = ""

    @property
    def one_line(self) -> str:
        return "; ".join(line.strip() for line in self.text.splitlines() if line.strip())

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
    with exclusive(), contextlib.ExitStack() as stack:
        try:
            saved = os.dup(_STDERR)
        except OSError:  # standard error is closed
            yield captured
            return
        stack.callback(os.close, saved)
        file = stack.enter_context(tempfile.TemporaryFile())
        try:
            with changed(lambda: _redirect(saved)):
                _redirect(file.fileno())
                yield captured
        finally:
            file.seek(0)
            captured.text = file.read().decode(errors="replace")


def _redirect(descriptor: int) -> None:
    _flush_python_stderr()
    os.dup2(descriptor, _STDERR)


def _flush_python_stderr() -> None:
    with contextlib.suppress(AttributeError, OSError, ValueError):  # None, closed, or replaced
        sys.stderr.flush()
