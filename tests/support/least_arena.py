"""The least arena in which the real TFLM prepares a model on this host, found by trying.

TFLM does not check every allocation, so what does not fit may end the process: each size is tried in one of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tflm_quantmcu.native.handshake import load_op_library
from tflm_quantmcu.native.op_library import find_op_library
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT

ROOT = Path(__file__).resolve().parents[2]


def least_arena(model: bytes, *, at_most: int) -> int:
    """The least multiple of 16 by bisection, below which the next fails; `at_most` must suffice."""
    load_op_library(find_op_library())  # is known to work before anything is tried
    command = [sys.executable, "-m", "tests.support.least_arena", str(at_most)]
    done = subprocess.run(command, input=model, capture_output=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr.decode()
    return int(done.stdout)


def _bisect(model: bytes, at_most: int) -> int:
    if not _prepares(model, at_most):
        sys.exit(f"{at_most} bytes do not suffice")
    fails, succeeds = 0, at_most // ARENA_ALIGNMENT
    while succeeds - fails > 1:
        middle = (fails + succeeds) // 2
        if _prepares(model, middle * ARENA_ALIGNMENT):
            succeeds = middle
        else:
            fails = middle
    return succeeds * ARENA_ALIGNMENT


def _prepares(model: bytes, num_bytes: int) -> bool:
    child = os.fork()
    if child == 0:
        from tflm_quantmcu.base.tflm_wheel import interpreter_module
        from tflm_quantmcu.native.op_library import REGISTERER, connect_op_library

        connect_op_library(find_op_library())
        registerers = [REGISTERER] if b"QMCU_" in model else []
        try:
            interpreter_module().Interpreter.from_bytes(model, custom_op_registerers=registerers, arena_size=num_bytes)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    from tflm_quantmcu.base.tflm_wheel import interpreter_module

    interpreter_module()
    print(_bisect(sys.stdin.buffer.read(), int(sys.argv[1])))
