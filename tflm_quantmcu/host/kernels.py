"""The oracle's laws with convolutions on fast kernels of this machine, equal in every byte.

Products are summed by numpy, exactly; what follows them, and depthwise convolutions, the op library computes
(tflm_kernels/host). All other kinds are the oracle's own. Calibration, the searches' accuracy and compensation take
these; what checks a converted model, or C++, takes the oracle's (`own_kernels.LAWS`).
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.law import arithmetic
from tflm_quantmcu.law.arithmetic import OutputFormat
from tflm_quantmcu.law.taps import padded
from tflm_quantmcu.native.op_library import find_op_library, open_op_library
from tflm_quantmcu.oracle.own_kernels import LAWS, Call, Law

LEVELS = ("x86-64", "AVX2", "AVX-512")  # a processor without one takes the next below
_level = contextvars.ContextVar("level", default=len(LEVELS) - 1)
_OF_TYPE = {np.dtype(np.float32): "Float", np.dtype(np.float64): "Double", np.dtype(np.int32): "Int"}


@contextlib.contextmanager
def at_level(level: int) -> Iterator[None]:
    """Takes no instructions beyond a level, 0 to 2 (LEVELS): for tests."""
    token = _level.set(level)
    try:
        yield
    finally:
        _level.reset(token)


def requantize_sums(sums: np.ndarray, table: np.ndarray, output: OutputFormat) -> np.ndarray:
    """`arithmetic.requantize_sums`.

    Args:
      sums: float32, float64 or int32 [..., O], whole numbers.
      table: int32 [3 * O]: bias, multiplier, shift.
      output: zero point and clamps of the result.

    Returns:
      int8 [..., O].
    """
    sums, table = np.ascontiguousarray(sums), np.ascontiguousarray(table, np.int32)
    y = np.empty(sums.shape, np.int8)
    channels = sums.shape[-1]
    _function(f"QuantMcuHostRequantize{_OF_TYPE[sums.dtype]}")(
        _level.get(), _at(sums), y.size // max(1, channels), channels, _at(table), _at(_words(output)), _at(y)
    )
    return y


def depthwise_conv2d(call: Call) -> np.ndarray:
    """`arithmetic.depthwise_conv2d`: int8 [N, *size, O]."""
    (x,), window, size = call.inputs, call.window, call.size
    x = np.repeat(x, call.depth_multiplier, axis=-1) if call.depth_multiplier > 1 else x
    x = np.ascontiguousarray(padded(x, window, size, call.zeros[0]), np.int8)
    filter, table = np.ascontiguousarray(call.filter), np.ascontiguousarray(call.table, np.int32)
    channels = x.shape[-1]
    y, sums = np.empty((len(x), *size, channels), np.int8), np.empty(channels, np.int32)
    kernel = (window.kernel_height, window.kernel_width, window.stride_height, window.stride_width)
    extents = np.array([*x.shape[1:], *kernel, window.dilation_height, window.dilation_width, *size], np.int64)
    arrays = (_at(filter), call.zeros[0], _at(table), _at(_words(call.output)), _at(sums), _at(y))
    _function("QuantMcuHostDepthwise")(_level.get(), _at(x), len(x), _at(extents), *arrays)
    return y


def _conv2d(call: Call) -> np.ndarray:
    return arithmetic.conv2d(call.inputs[0], call.filter, call.table, **call.place, finish=requantize_sums)


def _fully_connected(call: Call) -> np.ndarray:
    x = call.inputs[0].reshape(len(call.inputs[0]), -1)
    formats: dict[str, Any] = {"zero_in": call.zeros[0], "output": call.output}
    return arithmetic.fully_connected(x, call.filter, call.table, **formats, finish=requantize_sums)


# As `own_kernels.LAWS`.
HOST_LAWS: Mapping[str, Law] = {
    **LAWS,
    "CONV_2D": _conv2d,
    "DEPTHWISE_CONV_2D": depthwise_conv2d,
    "FULLY_CONNECTED": _fully_connected,
}


def _words(output: OutputFormat) -> np.ndarray:
    return np.array([output.zero_point, output.clamp_min, output.clamp_max], np.int32)


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@functools.cache
def _function(name: str) -> Any:
    """A function of the op library.

    Raises:
      UsageError: the library is missing.
    """
    function = open_op_library(find_op_library())[name]
    function.restype = None
    pointer, number, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    if name == "QuantMcuHostDepthwise":
        function.argtypes = [number, pointer, size, pointer, pointer, number, pointer, pointer, pointer, pointer]
    else:
        function.argtypes = [number, pointer, size, size, pointer, pointer, pointer]
    return function
