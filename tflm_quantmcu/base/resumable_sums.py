"""Adds up what a function gives for many items, in parallel, such that a run that was killed goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from tflm_quantmcu.base.checkpoint import Checkpoint
from tflm_quantmcu.base.parallel import parallel_map

_Item = TypeVar("_Item")
Arrays = Mapping[str, np.ndarray]


def add_arrays(a: Arrays, b: Arrays) -> Arrays:
    """Each array's sum: names, shapes and dtypes of both are the same."""
    return {name: a[name] + b[name] for name in a}


class ResumableSums:
    """Sums that are made one after another, with one checkpoint for all; the file stays."""

    def __init__(self, checkpoint: Checkpoint | None, *, n_jobs: int | None, progress: bool) -> None:
        """Reads the checkpoint.

        Args:
          checkpoint: where the sums so far are kept after each item; None keeps nothing.
          n_jobs, progress: as of `parallel_map`.

        Raises:
          UsageError: the checkpoint is of another run.
        """
        self._checkpoint = checkpoint
        self._n_jobs = n_jobs
        self._progress = progress
        state = checkpoint.load() if checkpoint else None
        self._done: dict[str, int] = dict(state.values) if state else {}
        self._sums: dict[str, dict[str, np.ndarray]] = {name: {} for name in self._done}
        for key, array in state.arrays.items() if state else ():
            name, _, part = key.partition("/")
            self._sums[name][part] = array

    def sum(
        self,
        name: str,
        function: Callable[[_Item], Arrays],
        items: Sequence[_Item],
        add: Callable[[Arrays, Arrays], Arrays] = add_arrays,
    ) -> Arrays:
        """What `function` gives for all items, at least one, added up in their order.

        Args:
          name: of this sum, for the checkpoint; and the progress bar's.
          function: of a module, so that it can be pickled; the items too. Its arrays have the same names, shapes and
            dtypes for every item.
          items: what it is called with.
          add: of two results.
        """
        done = self._done.get(name, 0)
        total: Arrays | None = self._sums.get(name)
        for part in parallel_map(function, items[done:], n_jobs=self._n_jobs, what=name, progress=self._progress):
            total = part if total is None else add(total, part)
            done += 1
            self._save(name, done, total)
        assert total is not None
        return total

    def _save(self, name: str, done: int, total: Arrays) -> None:
        self._done[name], self._sums[name] = done, dict(total)
        if self._checkpoint:
            arrays = {f"{n}/{part}": array for n, sums in self._sums.items() for part, array in sums.items()}
            self._checkpoint.save(self._done, arrays)
