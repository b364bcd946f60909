"""Loads the op library, once it was seen to work with the installed TFLM wheel.

A wheel whose C structs are others would end the process, so a process of its own tries it. It runs one model whose op
(tflm_kernels/micro/python/handshake.h) uses all that our ops use of TFLM: the resolver, nodes, tensors, options,
persistent and scratch memory, and TFLM's way to report.
"""

from __future__ import annotations

import ctypes
import functools
import signal
import subprocess
import sys
from pathlib import Path

import flatbuffers
import numpy as np

from tflm_quantmcu.base.tflm_wheel import refusal
from tflm_quantmcu.native.op_library import connect_op_library
from tflm_quantmcu.tflite import schema

_OP = "QMCU_HANDSHAKE"
_OPTIONS = b"QMCU"
_INPUT = np.arange(-60, 60, 5, dtype=np.int8)[None]
_TABLE = np.array([3, -(2**20) - 7, 2**30 + 11, 90, -1], np.int32)

_SECONDS = 60
# Modules are looked for where this process finds them.
_CHILD = """
import sys
library, sample, *sys.path[:] = sys.argv[1:]
from tflm_quantmcu.native.handshake_child import answer
answer(library, sample)
"""


@functools.cache
def load_op_library(path: Path) -> ctypes.CDLL:
    """Loads the library for the whole process, once it was seen to work with the installed TFLM wheel.

    Raises:
      UsageError: it cannot be loaded, is another library, or does not work with the wheel.
    """
    library = connect_op_library(path)
    _require_handshake(path)
    return library


def _require_handshake(path: Path) -> None:
    command = [sys.executable, "-c", _CHILD, str(path), _INPUT.tobytes().hex(), *sys.path]
    try:
        child = subprocess.run(command, input=_model(), capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise refusal(f"trying it failed: {error}") from None
    said = child.stderr.decode(errors="replace").strip()
    if child.returncode < 0:
        raise refusal(f"a process that tried it was ended by {signal.Signals(-child.returncode).name}")
    if child.returncode:
        raise refusal(said.rpartition("\n")[2])
    if child.stdout != _expected_output().tobytes() or f"{_OP}: {_INPUT.size} values" not in said:
        raise refusal("an op computed other values with it")


def _model() -> bytes:
    """The `.tflite`: its op reads _INPUT's shape and _TABLE."""
    tensors = [_tensor(_INPUT, 0), _tensor(_TABLE, 1), _tensor(_INPUT, 0)]
    custom = schema.BuiltinOperator.CUSTOM
    code = schema.OperatorCodeT(builtinCode=custom, deprecatedBuiltinCode=custom, customCode=_OP, version=1)
    op = schema.OperatorT(inputs=[0, 1], outputs=[2], customOptions=list(_OPTIONS))
    graph = schema.SubGraphT(tensors=tensors, operators=[op], inputs=[0], outputs=[2])
    buffers = [schema.BufferT(), schema.BufferT(data=list(_TABLE.tobytes()))]
    builder = flatbuffers.Builder(1024)
    tree = schema.ModelT(version=3, operatorCodes=[code], subgraphs=[graph], buffers=buffers)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _expected_output() -> np.ndarray:
    """What the op makes of _INPUT: int8 [1, N]."""
    added = np.resize(_TABLE, _INPUT.shape)
    return (_INPUT[:, ::-1] + added).astype(np.int8)


def _tensor(values: np.ndarray, buffer: int) -> schema.TensorT:
    type_ = schema.TensorType.INT8 if values.dtype == np.int8 else schema.TensorType.INT32
    return schema.TensorT(shape=list(values.shape), type=type_, buffer=buffer, name="t", hasRank=True)
