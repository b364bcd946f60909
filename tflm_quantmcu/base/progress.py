"""Progress on standard error alone, where that is a terminal: standard output stays for results.

A long call names its stages once, with `stages`; loops inside it, wherever they are, call `track`. Then one line shows
the stage, how far its loop is, and about how long the whole call still takes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import rich.progress
from rich.console import Console

_Item = TypeVar("_Item")
_LINE = (
    rich.progress.TextColumn("{task.description}"),
    rich.progress.BarColumn(),
    rich.progress.TaskProgressColumn(),
    rich.progress.TextColumn("{task.fields[loop]}"),
    rich.progress.TimeRemainingColumn(),
)
_current: _Stages | None = None


class _Stages:
    """The line of a call that has stages."""

    def __init__(self, shares: Mapping[str, float], console: Console) -> None:
        self._names, self._shares = list(shares), list(shares.values())
        self._stage = 0
        self._line = rich.progress.Progress(*_LINE, console=console, transient=True)
        self._task = self._line.add_task("", total=sum(self._shares), loop="")

    def __enter__(self) -> _Stages:
        self._line.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.stop()

    def enter(self, name: str) -> None:
        """Begins the stage of that name; those before it are done."""
        self._stage = self._names.index(name)
        self._show(0.0, "")

    def track(self, items: Iterable[_Item], what: str, total: int | None) -> Iterator[_Item]:
        """The items, shown as the part of the stage that they are."""
        length = total or getattr(items, "__len__", lambda: 0)()
        for done, item in enumerate(items):
            self._show(min(done / length, 1.0) if length else 0.0, what)
            yield item

    def _show(self, fraction: float, loop: str) -> None:
        """Moves the bar, never back: a stage may have several loops."""
        description = f"{self._stage + 1}/{len(self._names)} {self._names[self._stage]}"
        reached = sum(self._shares[: self._stage]) + fraction * self._shares[self._stage]
        completed = max(reached, self._line.tasks[self._task].completed)
        self._line.update(self._task, description=description, completed=completed, loop=loop)


@contextlib.contextmanager
def stages(shares: Mapping[str, float], *, progress: bool) -> Iterator[Callable[[str], None]]:
    """Shows the stages of a long call; gives the function that begins the stage of a name.

    Args:
      shares: of the call's time, by stage, in their order; roughly.
      progress: whether to show anything. Inside another call's stages, and where nobody looks on, nothing is shown.
    """
    global _current
    console = Console(stderr=True)
    if not progress or _current is not None or not console.is_terminal:
        yield lambda name: None
        return
    with _Stages(shares, console) as line:
        _current = line
        try:
            yield line.enter
        finally:
            _current = None


def track(items: Iterable[_Item], what: str, *, progress: bool, total: int | None = None) -> Iterable[_Item]:
    """The items with a bar called `what`, unless `progress` is off or standard error is no terminal.

    Args:
      total: number of items that have no length.
    """
    if progress and _current is not None:
        return _current.track(items, what, total)
    console = Console(stderr=True)
    shown = progress and console.is_terminal
    return rich.progress.track(items, what, total=total, console=console, disable=not shown)
