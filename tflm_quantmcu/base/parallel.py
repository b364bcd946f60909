"""Runs a function on many items in parallel: on the cores of this machine, or where joblib is told to.

    with joblib.parallel_config(backend="dask"):  # a cluster
        qm.calibrate_model(...)

Results come in the order of the items and are those of a plain loop. What a worker did not finish when it was killed is
run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from tflm_quantmcu.base.progress import track

MAX_KILLS = 3  # workers may be killed so often before a run gives up

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def parallel_map(
    function: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *,
    n_jobs: int | None = -1,
    what: str = "",
    progress: bool = False,
) -> Iterator[_Result]:
    """The function's results, in the items' order, each as soon as it and those before it are there.

    Args:
      function: of a module, so that it can be pickled; it must give the same result wherever it runs.
      items: its arguments.
      n_jobs: processes; -1 is one a core, or all workers of a cluster; 1 is none.
      what: the progress bar's name.
      progress: a bar on standard error.
    """
    yield from track(_results(function, items, n_jobs), what, progress=progress, total=len(items))


def _results(function: Callable[[_Item], _Result], items: Sequence[_Item], n_jobs: int | None) -> Iterator[_Result]:
    done = kills = 0
    while done < len(items):
        tasks = (joblib.delayed(function)(item) for item in items[done:])
        try:
            for result in joblib.Parallel(n_jobs=n_jobs, return_as="generator")(tasks):
                yield result
                done += 1
        except TerminatedWorkerError:
            kills += 1
            if kills > MAX_KILLS:
                raise
