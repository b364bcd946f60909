"""The child's part of a handshake (handshake.py): runs the model on stdin; its output's bytes go to stdout.

A process of its own runs this, without TFLite's schema, which takes longest to import.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tflm_quantmcu.base.tflm_wheel import interpreter_module
from tflm_quantmcu.native.op_library import REGISTERER, connect_op_library

_REGISTERERS = (REGISTERER, "QuantMcuRegisterHandshake")
_ARENA_BYTES = 1 << 16


def answer(library: str, sample: str) -> None:
    """Connects the op library at this path; the sample is int8 [1, N], its bytes in hexadecimal digits."""
    connect_op_library(Path(library))
    interpreter = interpreter_module().Interpreter.from_bytes(
        sys.stdin.buffer.read(), custom_op_registerers=list(_REGISTERERS), arena_size=_ARENA_BYTES
    )
    interpreter.set_input(np.frombuffer(bytes.fromhex(sample), np.int8)[None], 0)
    interpreter.invoke()
    sys.stdout.buffer.write(interpreter.get_output(0).tobytes())
