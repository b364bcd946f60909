"""One thread at a time in TFLM, because what it uses belongs to the whole process.

The op library has one reader of streamed inputs and one variant of scratch, TFLM's words go to standard error, and an
interpreter has one arena. Whoever sets one of these holds the lock, and undoes it before the lock is free again. A
process that is forked while another thread holds it starts with a free lock and with everything undone: that thread
does not exist there.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

_lock = threading.RLock()
_owner: int | None = None
_changes: list[Callable[[], None]] = []


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Holds the lock; a thread that has it may take it again, as an input reader does that runs another model."""
    global _owner
    with _lock:
        before, _owner = _owner, threading.get_ident()
        try:
            yield
        finally:
            _owner = before


@contextlib.contextmanager
def changed(undo: Callable[[], None]) -> Iterator[None]:
    """Holds the lock over a change of the process, which `undo` takes back at the end, or in a forked child."""
    with exclusive():
        _changes.append(undo)
        try:
            yield
        finally:
            if undo in _changes:  # not in a child that was forked meanwhile
                _changes.remove(undo)
                undo()


def _start_child() -> None:
    global _lock, _owner
    if _owner == threading.get_ident():  # forked by the very thread: it goes on in the child
        return
    _lock, _owner = threading.RLock(), None
    while _changes:
        _changes.pop()()


os.register_at_fork(after_in_child=_start_child)
