"""Element-wise ops of a map and a constant, one value or one a channel, as functions of one value (law A18).

In: an op of a ModelGraph. Out: its Operand, with what stock TFLM's int8 kernel gives and the real function.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.graph.types import Format, ModelGraph, Op
from tflm_quantmcu.law.activations import MAX_SHIFT, quantize_factor
from tflm_quantmcu.law.fixed_point import multiply, quantize_multiplier, to_int32

_SUM_SHIFT = 20


@dataclasses.dataclass(frozen=True)
class Operand:
    """The constant of such an op.

    Attributes:
      kind: ADD, SUB, MUL, MINIMUM, MAXIMUM or PRELU.
      values: int8, one that is the same wherever it is added, multiplied or compared, or one a channel.
      format: of it.
      is_first: the map is the second operand.
    """

    kind: str
    values: tuple[int, ...]
    format: Format
    is_first: bool

    def stock_values(self, source: Format, output: Format, x: np.ndarray) -> np.ndarray:
        """What TFLM's kernel gives for int64 values [n] of the map, before the clamps: [n], or [channel, n].

        Raises:
          ValueError: TFLM's kernel does not take these formats.
        """
        sides = [*np.broadcast_arrays(x, np.array(self.values, np.int64)[:, None])]
        formats, order = [source, self.format], -1 if self.is_first else 1
        found = pair_values(self.kind, sides[::order], formats[::order], output)
        return np.squeeze(found, 0 if len(self.values) == 1 else ())

    def functions(self) -> list[Callable[[float], float]]:
        """The functions of each value, in real numbers."""
        reals = [(value - self.format.zero_point) * self.format.scale for value in self.values]
        return [functools.partial(self._function, real) for real in reals]

    def _function(self, real: float, x: float) -> float:
        return REAL_FUNCTIONS[self.kind](real, x) if self.is_first else REAL_FUNCTIONS[self.kind](x, real)


def pair_values(kind: str, values: Sequence[np.ndarray], formats: Sequence[Format], output: Format) -> np.ndarray:
    """What TFLM's kernel of an op of two values gives, before the clamps.

    Args:
      kind: ADD, SUB, MUL, MINIMUM, MAXIMUM or PRELU.
      values: int64 of both operands, of shapes that broadcast.
      formats: theirs.
      output: the op's.

    Raises:
      ValueError: TFLM's kernel does not take these formats.
    """
    if kind in _COMPARISONS:
        if not formats[0] == formats[1] == output:
            raise ValueError("it changes the scale, which TFLM's kernel ignores")
        return _COMPARISONS[kind](*values)
    a, b = (x - format.zero_point for x, format in zip(values, formats, strict=True))
    scales = formats[0].scale, formats[1].scale
    if kind == "PRELU":
        scaled = _prelu(a, b, scales, output.scale)
    elif kind == "MUL":
        scaled = multiply(a * b, *quantize_factor(scales[0] * scales[1] / output.scale)).astype(np.int64)
    else:
        scaled = _sum(kind, (a, b), scales, output.scale)
    return to_int32(scaled + output.zero_point).astype(np.int64)


def operand_of(graph: ModelGraph, op: Op) -> Operand | None:
    """What an element-wise op takes beside a map of its output's shape, if it is one value or one a channel."""
    if op.kind not in REAL_FUNCTIONS or len(op.inputs) != 2 or min(op.inputs) < 0:
        return None
    first, second = (graph.tensors[t] for t in op.inputs)
    constant, source = (first, second) if first.is_constant else (second, first)
    if constant.data is None or source.is_constant or constant.dtype != "int8" or len(constant.scales) != 1:
        return None
    if source.shape != graph.tensors[op.outputs[0]].shape:
        return None
    if op.kind == "PRELU" and constant is first:
        return None
    values = np.unique(constant.data)
    if values.size != 1:
        if constant.num_elements != source.shape[-1] or constant.shape[-1:] != source.shape[-1:]:
            return None
        values = constant.data.ravel()
    return Operand(op.kind, tuple(values.tolist()), constant.format, constant is first)


def _prelu(x: np.ndarray, slope: np.ndarray, scales: tuple[float, float], output: float) -> np.ndarray:
    """Law A25."""
    same, times = (quantize_factor(ratio) for ratio in (scales[0] / output, scales[0] * scales[1] / output))
    return np.where(x >= 0, multiply(x, *same), multiply(x * slope, *times)).astype(np.int64)


def _sum(kind: str, steps: tuple[np.ndarray, np.ndarray], scales: tuple[float, float], output: float) -> np.ndarray:
    """Law A4, and as it the difference."""
    twice_max = 2 * np.float32(max(scales))
    if kind == "SUB":
        ratios = difference_ratios(scales, output)
    else:
        ratios = [s / float(twice_max) for s in scales] + [float(twice_max) / ((1 << _SUM_SHIFT) * output)]
    *factors, of_output = map(quantize_multiplier, ratios)
    if of_output[1] > MAX_SHIFT:
        raise ValueError("its output's scale is too fine for 32 bits")
    a, b = (multiply(x << _SUM_SHIFT, *f).astype(np.int64) for x, f in zip(steps, factors, strict=True))
    return multiply(a - b if kind == "SUB" else a + b, *of_output).astype(np.int64)


def difference_ratios(scales: Sequence[float], output: float) -> list[float]:
    """What SUB scales its inputs and its difference by (law A24): TFLM takes the ratios of scales in float32."""
    twice_max = 2 * np.float32(max(scales))
    ratios = [float(np.float32(s) / twice_max) for s in scales]
    return [*ratios, float(twice_max / (np.float32(1 << _SUM_SHIFT) * np.float32(output)))]


_COMPARISONS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "MINIMUM": np.minimum,
    "MAXIMUM": np.maximum,
}
REAL_FUNCTIONS: Mapping[str, Callable[[float, float], float]] = {
    "ADD": lambda a, b: a + b,
    "SUB": lambda a, b: a - b,
    "MUL": lambda a, b: a * b,
    "MINIMUM": min,
    "MAXIMUM": max,
    "PRELU": lambda a, b: a if a >= 0 else a * b,
}
KINDS = tuple(REAL_FUNCTIONS)
