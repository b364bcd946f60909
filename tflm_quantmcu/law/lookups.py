"""Activations as tables (law A18): which ops of an int8 model are functions of one value, and the table of each.

In: an op of a ModelGraph. Out: a Lookup. Refuses, with a ValueError that says why, what TFLM's own kernels do not take.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.graph.types import Format, ModelGraph, Op
from tflm_quantmcu.law import activations, float_tables
from tflm_quantmcu.law.arrays import Int32Array, Int64Array
from tflm_quantmcu.law.constant_operands import Operand, operand_of
from tflm_quantmcu.law.fixed_point import multiply, round_half_away, to_int32
from tflm_quantmcu.law.kernel_calls import Pair

# As lookups: x * x, a MUL of a map and itself; a GELU whose options say `approximate`.
_SQUARE, _GELU_BY_TANH = "SQUARE", "GELU_BY_TANH"
# Beyond every range: steps are clamped here before they become integers.
_MAX_STEPS = 1024.0


@dataclasses.dataclass(frozen=True)
class Lookup:
    """A function of one value.

    Attributes:
      kind: of the stock op, one that becomes a LUT; SQUARE is x * x, GELU_BY_TANH the approximate GELU.
      source, output: the model's own formats.
      alpha: of LEAKY_RELU, a float32 value.
      operand: the constant of an element-wise op.
    """

    kind: str
    source: Format
    output: Format
    alpha: float = 0.0
    operand: Operand | None = None

    @staticmethod
    def of(graph: ModelGraph, op: Op) -> Lookup:
        """The lookup of an op that is one (`is_lookup`).

        Raises:
          ValueError: TFLM's kernel does not take these formats.
        """
        source, output = (graph.tensors[t].format for t in (graph.feature_maps(op)[0], op.outputs[0]))
        lookup = Lookup(lookup_kind(op), source, output, op.alpha, operand_of(graph, op))
        _stock_values(lookup)
        return lookup

    @property
    def is_per_channel(self) -> bool:
        """Whether it is another function in each channel."""
        return self.operand is not None and len(self.operand.values) > 1

    def table(self, source: Format, output: Format, clamps: Pair) -> Int32Array:
        """The output value of every input value, the lowest first.

        Args:
          source, output: formats. The model's own give what stock TFLM's kernels give, others the real function.
          clamps: of the output.

        Returns:
          int8 [2^source.bits], or [C, 2^source.bits].
        """
        if (source, output) == (self.source, self.output):
            return np.clip(_stock_values(self), *clamps).astype(np.int8)
        return quantized(self.functions(), source, output, clamps)

    def functions(self) -> list[Callable[[float], float]]:
        """The function in real numbers, or those of each channel."""
        return self.operand.functions() if self.operand else [self._function]

    def _function(self, x: float) -> float:
        return _FUNCTIONS[self.kind](x, self.alpha)


def quantized(
    functions: Sequence[Callable[[float], float]], source: Format, output: Format, clamps: Pair
) -> Int32Array:
    """The table of functions in real numbers; arguments and what is returned as of `Lookup.table`."""
    steps = np.arange(source.qmin, source.qmax + 1) - source.zero_point
    real = np.array([[f(float(step) * source.scale) / output.scale for step in steps] for f in functions])
    real = real if len(functions) > 1 else real[0]
    rounded = round_half_away(np.clip(real, -_MAX_STEPS, _MAX_STEPS)) + output.zero_point
    return np.clip(rounded, *clamps).astype(np.int8)


def is_lookup(graph: ModelGraph, op: Op) -> bool:
    """Whether the op is by itself a function of one value."""
    return op.traits.is_lookup or _is_square(op) or operand_of(graph, op) is not None


def lookup_kind(op: Op) -> str:
    """The `Lookup.kind` of an op that is one, of any type of values."""
    if op.kind == "GELU" and op.options.get("approximate"):
        return _GELU_BY_TANH
    return _SQUARE if _is_square(op) else op.kind


def _is_square(op: Op) -> bool:
    return op.kind == "MUL" and len(op.inputs) == 2 and op.inputs[0] == op.inputs[1]


@functools.lru_cache(maxsize=1024)
def _stock_values(lookup: Lookup) -> Int64Array:
    """int64 [256] or [C, 256]: what stock TFLM gives for every input value, before a fused activation's clamps."""
    x = np.arange(-128, 128, dtype=np.int64)
    if lookup.operand is not None:
        return lookup.operand.stock_values(lookup.source, lookup.output, x)
    return _STOCK[lookup.kind](lookup, x)


def _logistic(lookup: Lookup, x: Int64Array) -> Int64Array:
    return activations.logistic(activations.logistic_params(lookup.source, lookup.output, 1), x)


def _hard_swish(lookup: Lookup, x: Int64Array) -> Int64Array:
    return activations.hard_swish(activations.hard_swish_params(lookup.source, lookup.output, 1), x)


def _square(lookup: Lookup, x: Int64Array) -> Int64Array:
    """Law A12."""
    source, output = lookup.source, lookup.output
    factor = activations.quantize_factor(source.scale * source.scale / output.scale)
    scaled = multiply((x - source.zero_point) ** 2, *factor).astype(np.int64)
    return to_int32(scaled + output.zero_point).astype(np.int64)


def _populated(lookup: Lookup, x: Int64Array) -> Int64Array:
    return float_tables.populated(lookup.kind, lookup.source, lookup.output, x)


_STOCK: Mapping[str, Callable[[Lookup, Int64Array], Int64Array]] = {
    **dict.fromkeys(float_tables.FUNCTIONS, _populated),
    "ABS": lambda lookup, x: activations.absolute(lookup.source, lookup.output, x),
    "ELU": lambda lookup, x: activations.elu(lookup.source, lookup.output, x),
    "HARD_SWISH": _hard_swish,
    "LEAKY_RELU": lambda lookup, x: activations.leaky_relu(lookup.source, lookup.output, lookup.alpha, x),
    "LOGISTIC": _logistic,
    "SQUARE": _square,
    "TANH": lambda lookup, x: activations.tanh(lookup.source, x),
}


def _sigmoid(x: float) -> float:
    small = math.exp(-abs(x))
    return (1 if x >= 0 else small) / (1 + small)


_FUNCTIONS: Mapping[str, Callable[[float, float], float]] = {
    "ABS": lambda x, _: abs(x),
    "ELU": lambda x, _: x if x >= 0 else math.expm1(x),
    "EXP": lambda x, _: float_tables.exp(x),
    "GELU": lambda x, _: x / 2 * math.erfc(-x / math.sqrt(2)),
    "GELU_BY_TANH": lambda x, _: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))),
    "HARD_SWISH": lambda x, _: x * min(max(x + 3, 0), 6) / 6,
    "LEAKY_RELU": lambda x, alpha: x if x >= 0 else alpha * x,
    "LOG": lambda x, _: math.log(x) if x > 0 else -math.inf,
    "LOGISTIC": lambda x, _: _sigmoid(x),
    "NEG": lambda x, _: -x,
    "SQUARE": lambda x, _: x * x,
    "TANH": lambda x, _: math.tanh(x),
}
