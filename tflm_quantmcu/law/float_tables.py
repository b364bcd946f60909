"""The tables that TensorFlow Lite's int8 kernels of GELU, EXP and LOG make in float32, and that of NEG: law A39.

In: formats, and int64 arrays of inputs. Out: what those kernels give. TFLM has none of these kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.arrays import Int64Array
from tflm_quantmcu.law.fixed_point import round_half_away

_Floats = npt.NDArray[np.float32]
_INT8 = (-128, 127)
_ONE, _HALF = np.float32(1), np.float32(0.5)
_ROOT_HALF = np.float32(-math.sqrt(0.5))
_ROOT_2_PI = np.float32(math.sqrt(2 / math.pi))
_CUBIC = np.float32(0.044715)
# Beyond every 8-bit range, and below where e^x has no double.
_MAX_STEPS, _MAX_EXPONENT = 1024.0, 709.0


def populated(kind: str, source: Format, output: Format, x: Int64Array) -> Int64Array:
    """What the kernel gives: each operation rounded to float32, functions of a C library in double precision first.

    Args:
      kind: one of FUNCTIONS.
      source, output: formats of the op's input and output, 8 bits.
      x: int64 [n], int8 values.

    Returns:
      int64 [n], int8 values.
    """
    scale, output_scale = np.float32(source.scale), np.float32(output.scale)
    least = np.float32(_INT8[0] - output.zero_point) * output_scale
    with np.errstate(over="ignore", under="ignore"):
        y = FUNCTIONS[kind](scale * (x - source.zero_point).astype(np.float32), least)
        steps = np.clip(y * (_ONE / output_scale), np.float32(-_MAX_STEPS), np.float32(_MAX_STEPS))
    return np.clip(round_half_away(steps.astype(np.float64)).astype(np.int64) + output.zero_point, *_INT8)


def exp(x: float) -> float:
    """e^x, or a number beyond all formats."""
    return math.exp(min(x, _MAX_EXPONENT))


def _each(function: Callable[[float], float], values: _Floats) -> _Floats:
    return np.array([function(float(value)) for value in values]).astype(np.float32)


def _gelu(x: _Floats, _: np.float32) -> _Floats:
    return _HALF * x * _each(math.erfc, x * _ROOT_HALF)


def _gelu_by_tanh(x: _Floats, _: np.float32) -> _Floats:
    return _HALF * x * (_ONE + _each(math.tanh, _ROOT_2_PI * (x + _CUBIC * x * x * x)))


def _log(x: _Floats, least: np.float32) -> _Floats:
    return np.where(x > 0, _each(lambda value: math.log(value) if value > 0 else 0.0, x), least)


# Real values in float32, and that of the lowest value of the output, to float32.
FUNCTIONS: Mapping[str, Callable[[_Floats, np.float32], _Floats]] = {
    "EXP": lambda x, _: _each(exp, x),
    "GELU": _gelu,
    "GELU_BY_TANH": _gelu_by_tanh,
    "LOG": _log,
    "NEG": lambda x, _: -x,
}
