"""Progress bars, on standard error alone: standard output stays for results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import rich.progress
from rich.console import Console

_Item = TypeVar("_Item")


def track(items: Iterable[_Item], what: str, *, progress: bool, total: int | None = None) -> Iterable[_Item]:
    """The items with a bar called `what`, unless `progress` is off; `total` is for items that have no length."""
    return rich.progress.track(items, what, total=total, console=Console(stderr=True), disable=not progress)
