"""The child's part of least_arena.py: tries arenas of the model on stdin; the smallest one's bytes go to stdout.

A process of its own runs this, without TFLite's schema, which takes longest to import; it has one thread, so that it
may fork.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from tflm_quantmcu.base.tflm_wheel import interpreter_module
from tflm_quantmcu.native.op_library import connect_op_library

_STDERR = 2


def answer(library: str, registerers: list[str], variant: int, low: int, high: int, step: int) -> None:
    """Halves the interval of arenas, multiples of `step`, that may be the smallest.

    Args:
      library: path of the op library; empty for a model without our ops.
      registerers: functions of it that add ops.
      variant: whose scratch our ops ask for, as kernel_scratch.py numbers them.
      low, high: bytes; no less can do, so many do.
      step: bytes.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    model = sys.stdin.buffer.read()
    interpreter_module()  # once, not in each fork
    if library:
        ops = connect_op_library(Path(library))
        ops.QuantMcuSetScratchVariant(variant)
        ops.QuantMcuSetInputReader(ops.QuantMcuReadStoredMap, None)  # it is looked at, and not called
    least, most = -(-low // step), high // step
    # What is needed is near what is used: from there in steps that double.
    reach = 1
    while least + reach < most and not _prepares(model, registerers, (least + reach) * step):
        least, reach = least + reach + 1, 2 * reach
    most = min(most, least + reach)
    while least < most:
        middle = (least + most) // 2
        if _prepares(model, registerers, middle * step):
            most = middle
        else:
            least = middle + 1
    print(least * step)


def _prepares(model: bytes, registerers: list[str], arena_bytes: int) -> bool:
    """Whether a fork of this process lives through it."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDERR)  # what TFLM says of each
    try:
        interpreter_module().Interpreter.from_bytes(model, custom_op_registerers=registerers, arena_size=arena_bytes)
    except BaseException:  # nothing of the fork goes on
        os._exit(1)
    os._exit(0)
