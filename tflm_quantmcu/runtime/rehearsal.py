"""Tries a model in a forked child before this process runs it: on some models TFLM ends the process.

In: a model and what prepares and runs it once. Out: nothing, or a refusal that says by which signal the child ended.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import os
import resource
import signal
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.native.exclusive import exclusive

# Models that were tried in this process or one that forked it: digests of their files and of what ran them.
_survived: set[bytes] = set()


def rehearse(model: bytes, runs_on: str, work: Callable[[], None]) -> None:
    """Runs `work` in a child, once for each model and what it runs on.

    Args:
      model: the file.
      runs_on: whose kernels.
      work: prepares the model and runs it; what it raises does not count, for this process will meet it too.

    Raises:
      UnsupportedModelError: a signal ended the child.
    """
    key = hashlib.sha256(f"{runs_on}\0".encode() + model).digest()
    if key in _survived:
        return
    with exclusive(), warnings.catch_warnings():
        # Python 3.12 warns where other threads may hold locks; the child takes none but this package's.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if child == 0:
            _work_and_exit(work)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        raise UnsupportedModelError(
            f"TFLM ends the process ({signal.Signals(-code).name}) when it prepares or runs this model: its shapes, "
            "options or scales contradict each other"
        )
    _survived.add(key)


def run_on_zeros(wheel: Any, num_inputs: int) -> None:
    """Runs TFLM's own interpreter once."""
    for i in range(num_inputs):
        details = wheel.get_input_details(i)
        wheel.set_input(np.zeros(details["shape"], details["dtype"]), i)
    wheel.invoke()


def _work_and_exit(work: Callable[[], None]) -> None:
    """Works in the child, without a word, a core file, or anything that this process does at its end."""
    try:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(BaseException):
            work()
    finally:
        os._exit(0)
