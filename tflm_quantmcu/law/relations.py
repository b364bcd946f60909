"""Relations of a map and a constant, one value or one a channel, as functions of one value that is true or false (law
A34), and choices by such a one (SELECT_V2), of constants too.

In: an op or a tensor of a ModelGraph. Out: its Relation or Constant, with what stock TFLM's int8 kernel gives and the
real function.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.graph.types import Format, ModelGraph, Op, Tensor
from tflm_quantmcu.law.arrays import Int64Array
from tflm_quantmcu.law.fixed_point import multiply, quantize_multiplier

CHOICE = "SELECT_V2"
_ROOM = 8  # bits by which values are shifted before they are scaled
_RELATIONS: Mapping[str, Callable[..., object]] = {
    "EQUAL": operator.eq,
    "GREATER": operator.gt,
    "GREATER_EQUAL": operator.ge,
    "LESS": operator.lt,
    "LESS_EQUAL": operator.le,
    "NOT_EQUAL": operator.ne,
}


RELATIONS = tuple(_RELATIONS)


@dataclasses.dataclass(frozen=True)
class Relation:
    """An op that compares a map with a constant.

    Attributes:
      kind: of the op.
      values: int8 of the constant, one or one a channel.
      format: of it.
      is_first: the constant is the first operand.
    """

    kind: str
    values: tuple[int, ...]
    format: Format
    is_first: bool

    def stock_values(self, source: Format, x: Int64Array) -> Int64Array:
        """What TFLM's kernel gives for int64 values [n] or [channel, n] of the map: 0 and 1, int64, the same shape or
        with channels.

        Raises:
          ValueError: TFLM's kernel does not take these formats.
        """
        sides = [_scaled(x, source), _scaled(_column(self.values), self.format)]
        return np.asarray(_RELATIONS[self.kind](*sides[:: -1 if self.is_first else 1])).astype(np.int64)

    def functions(self) -> list[Callable[[float], float]]:
        """The functions of each value, in real numbers, of 0 and 1."""
        reals = [(value - self.format.zero_point) * self.format.scale for value in self.values]
        return [functools.partial(self._function, real) for real in reals]

    def _function(self, real: float, x: float) -> float:
        sides = (real, x) if self.is_first else (x, real)
        return float(bool(_RELATIONS[self.kind](*sides)))


@dataclasses.dataclass(frozen=True)
class Constant:
    """A constant that is chosen.

    Attributes:
      values: int8, one or one a channel.
      format: of it.
    """

    values: tuple[int, ...]
    format: Format

    def stock_values(self, _: Format, x: Int64Array) -> Int64Array:
        """The constant for int64 values [n] or [channel, n] of a map: int64, the same shape or with channels."""
        return np.broadcast_to(_column(self.values), np.broadcast_shapes(x.shape, _column(self.values).shape))

    def functions(self) -> list[Callable[[float], float]]:
        """The constant of each value, as functions of anything."""
        reals = [(value - self.format.zero_point) * self.format.scale for value in self.values]
        return [functools.partial(_first, real) for real in reals]


def _first(real: float, _: float) -> float:
    return real


def _column(values: Sequence[int]) -> Int64Array:
    """int64 [1], or [channel, 1] of several."""
    return np.array(values, np.int64)[:, None] if len(values) > 1 else np.array(values, np.int64)


def _scaled(values: Int64Array, format: Format) -> Int64Array:
    multiplier, shift = quantize_multiplier(format.scale)
    if not -31 <= shift <= 0:
        raise ValueError(f"it compares values of scale {format.scale:g}; TFLM's kernel takes one below 1")
    return multiply((values - format.zero_point) << _ROOM, multiplier, shift).astype(np.int64)


def relation_of(graph: ModelGraph, op: Op) -> Relation | None:
    """The relation that an op is, of an int8 map of its output's shape and one value or one a channel."""
    if op.kind not in _RELATIONS or len(op.inputs) != 2 or min(op.inputs) < 0:
        return None
    first, second = (graph.tensors[t] for t in op.inputs)
    constant, source = (first, second) if first.is_constant else (second, first)
    if source.is_constant or source.dtype != "int8" or source.shape != graph.tensors[op.outputs[0]].shape:
        return None
    found = constant_of(constant, source.shape)
    return None if found is None else Relation(op.kind, found.values, found.format, constant is first)


def constant_of(tensor: Tensor, shape: Sequence[int]) -> Constant | None:
    """What an int8 tensor is beside each value of a map of a shape, if it is one value or one a channel."""
    if tensor.data is None or tensor.dtype != "int8" or len(tensor.scales) != 1:
        return None
    values = np.unique(tensor.data)
    if values.size != 1:
        if tensor.num_elements != shape[-1] or tensor.shape[-1:] != tuple(shape[-1:]):
            return None
        values = tensor.data.ravel()
    return Constant(tuple(values.tolist()), tensor.format)


def chosen_values(values: Sequence[Int64Array], formats: Sequence[Format], output: Format) -> Int64Array:
    """What TFLM's kernel of SELECT_V2 gives.

    Args:
      values: int64 of the condition, 0 and 1, and of what is chosen where it is 1 and elsewhere; of shapes that
        broadcast.
      formats: theirs; that of the condition is nothing.
      output: the op's.

    Raises:
      ValueError: it changes the scale, which TFLM's kernel ignores.
    """
    if not formats[1] == formats[2] == output:
        raise ValueError("it changes the scale, which TFLM's kernel ignores")
    return np.where(values[0] != 0, values[1], values[2])
