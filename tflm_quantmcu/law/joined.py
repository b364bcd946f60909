"""Several ops that together are a function of one value of one map, as one table (law A18): SiLU, hard swish, PReLU and
their like, written out.

In: an op of a ModelGraph. Out: the ops before it that its table stands for, and the table. Refuses, with a ValueError
that says why, what TFLM's own kernels do not take.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.graph.types import Format, ModelGraph, Op, Tensor
from tflm_quantmcu.law.arrays import Int32Array, Int64Array
from tflm_quantmcu.law.clamps import clamp_range, real_range
from tflm_quantmcu.law.constant_operands import REAL_FUNCTIONS, pair_values
from tflm_quantmcu.law.fixed_point import multiply, quantize_multiplier
from tflm_quantmcu.law.kernel_calls import Pair
from tflm_quantmcu.law.lookups import Lookup, is_lookup, quantized
from tflm_quantmcu.law.relations import CHOICE, RELATIONS, Constant, Relation, chosen_values, constant_of, relation_of

_TRUTH = Format(8, 1.0, 0)  # of values that are true or false
_PAIRS = ("ADD", "MAXIMUM", "MINIMUM", "MUL", "SUB")
_Found = tuple[int, frozenset[int]] | None
_RESCALING = ("QUANTIZE", "RELU", "RELU6")  # law A7, with clamps


@dataclasses.dataclass(frozen=True)
class Step:
    """One op.

    Attributes:
      kind: of the op; of a constant that is chosen none.
      inputs: places of the values that it takes: 0 is the map's, n that of step n - 1.
      output: its format; of a relation nothing.
      activation: what its values are clamped to.
      lookup: of a function of one value, a relation or a constant; None of what rescales, or takes several values.
    """

    kind: str
    inputs: tuple[int, ...]
    output: Format
    activation: str = "NONE"
    lookup: Lookup | Relation | Constant | None = None

    def stock_values(self, values: Sequence[Int64Array], formats: Sequence[Format]) -> Int64Array:
        """What TFLM's kernel gives for int64 values [n] or [channel, n] of 8-bit formats: int64, the same shape or with
        channels.

        Raises:
          ValueError: TFLM's kernel does not take these formats.
        """
        if isinstance(self.lookup, Relation | Constant):
            return self.lookup.stock_values(formats[0], values[0])
        if self.kind == CHOICE:
            return chosen_values(values, formats, self.output)
        clamps = clamp_range(self.activation, self.output)
        if self.lookup is not None:
            table = np.atleast_2d(self.lookup.table(formats[0], self.output, clamps))
            places = np.atleast_2d(values[0]) + 128
            shape = (max(len(table), len(places)), places.shape[1])
            found = np.take_along_axis(np.broadcast_to(table, (shape[0], 256)), np.broadcast_to(places, shape), 1)
            return found.astype(np.int64) if len(found) > 1 else found[0].astype(np.int64)
        if len(values) == 2:
            return np.clip(pair_values(self.kind, values, formats, self.output), *clamps)
        ratio = formats[0].scale / self.output.scale
        factor = quantize_multiplier(float(np.float32(ratio)) if self.kind == "RELU" else ratio)
        scaled = multiply(values[0] - formats[0].zero_point, *factor).astype(np.int64)
        return np.clip(scaled + self.output.zero_point, *clamps)

    def real_value(self, values: Sequence[float], channel: int) -> float:
        """The op in real numbers."""
        if self.lookup is not None:
            functions = self.lookup.functions()
            found = functions[channel % len(functions)](values[0])
        elif self.kind == CHOICE:
            found = values[1] if values[0] else values[2]
        else:
            found = REAL_FUNCTIONS[self.kind](*values) if len(values) == 2 else values[0]
        low, high = real_range(self.activation)
        return min(max(found, low), high)


@dataclasses.dataclass(frozen=True)
class Joined:
    """The function that steps make, the last one's value.

    Attributes:
      source: the model's own format of the map.
      steps: in order.
    """

    source: Format
    steps: tuple[Step, ...]

    @staticmethod
    def of(graph: ModelGraph, op: Op, inner: Sequence[Op]) -> Joined:
        """The function of an op and the ops that `inner_ops_of` gives of it.

        Raises:
          ValueError: TFLM's kernel of one of them does not take its formats.
        """
        source = graph.feature_maps(inner[0])[0]
        places, steps = {source: 0}, []
        for step in (*inner, op):
            for t in _chosen_constants(graph, step) - places.keys():
                steps.append(_constant_step(graph, step, t))
                places[t] = len(steps)
            is_unary = _is_unary(graph, step)
            maps = graph.feature_maps(step)[:1] if is_unary else step.inputs
            steps.append(
                Step(
                    kind=step.kind,
                    inputs=tuple(places[t] for t in maps),
                    output=_format_of(graph.tensors[step.outputs[0]]),
                    activation=step.traits.activation or step.activation,
                    lookup=Lookup.of(graph, step) if is_lookup(graph, step) else relation_of(graph, step),
                )
            )
            places[step.outputs[0]] = len(steps)
        joined = Joined(graph.tensors[source].format, tuple(steps))
        _stock_values(joined)
        return joined

    @property
    def is_per_channel(self) -> bool:
        """Whether it is another function in each channel."""
        return self._num_functions > 1

    @property
    def _num_functions(self) -> int:
        return max(len(step.lookup.functions()) if step.lookup else 1 for step in self.steps)

    def table(self, source: Format, output: Format, clamps: Pair) -> Int32Array:
        """The output value of every input value, as of `Lookup.table`."""
        if (source, output) == (self.source, self.steps[-1].output):
            return np.clip(_stock_values(self), *clamps).astype(np.int8)
        functions = [functools.partial(self._real_value, channel) for channel in range(self._num_functions)]
        return quantized(functions, source, output, clamps)

    def _real_value(self, channel: int, x: float) -> float:
        values = [x]
        for step in self.steps:
            values.append(step.real_value([values[i] for i in step.inputs], channel))
        return values[-1]


@functools.lru_cache(maxsize=1024)
def _stock_values(joined: Joined) -> Int64Array:
    """int64 [256] or [C, 256]: what stock TFLM gives for every input value."""
    values: list[Int64Array] = [np.arange(-128, 128, dtype=np.int64)]
    formats = [joined.source]
    for step in joined.steps:
        values.append(step.stock_values([values[i] for i in step.inputs], [formats[i] for i in step.inputs]))
        formats.append(step.output)
    return values[-1]


def inner_ops_of(graph: ModelGraph, op: Op) -> tuple[Op, ...]:
    """The ops, in order, between a map and `op`, which takes several values, if all of them together are a function of
    one value of that map, and nothing else reads what they give; else nothing."""
    try:
        found = _joined(graph, op, {})
        if found is None:
            return ()
        inner = tuple(graph.ops[i] for i in sorted(found[1]))
        Joined.of(graph, op, inner)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return ()  # TFLM's kernels do not take these formats, or tensors or options contradict each other
    return inner


def _joined(graph: ModelGraph, op: Op, known: dict[int, _Found]) -> _Found:
    """(map, indices of the ops between) of `inner_ops_of`; None where there are none. `known`: of other ops."""
    if op.index not in known:
        known[op.index] = _newly_joined(graph, op, known)
    return known[op.index]


def _newly_joined(graph: ModelGraph, op: Op, known: dict[int, _Found]) -> _Found:
    if not _takes_several(op) or not _is_alike(graph, op):
        return None
    constants = _chosen_constants(graph, op)
    first, *others = (_ways_back(graph, t, known) for t in op.inputs if t not in constants)
    source = next((t for t in first if all(t in found for found in others)), None)
    if source is None:
        return None
    inner = first[source].union(*(found[source] for found in others))
    inside = inner | {op.index}
    outputs = [graph.ops[i].outputs[0] for i in inner]
    is_closed = all(t not in graph.outputs and inside >= {c.index for c in graph.consumers[t]} for t in outputs)
    return (source, inner) if is_closed else None


def _takes_several(op: Op) -> bool:
    """Whether the op is of two maps that are not one, or a choice of two by a third."""
    if op.kind == CHOICE:
        return len(op.inputs) == 3 and min(op.inputs) >= 0
    return op.kind in _PAIRS and len(op.inputs) == 2 and len({*op.inputs}) == 2


def _chosen_constants(graph: ModelGraph, op: Op) -> set[int]:
    """Tensors that the op, a choice, takes as constants of one value or one a channel."""
    shape = graph.tensors[op.outputs[0]].shape
    chosen = op.inputs[1:] if op.kind == CHOICE else ()
    return {t for t in chosen if constant_of(graph.tensors[t], shape) is not None}


def _constant_step(graph: ModelGraph, op: Op, tensor: int) -> Step:
    constant = constant_of(graph.tensors[tensor], graph.tensors[op.outputs[0]].shape)
    assert constant is not None
    return Step("", (0,), constant.format, lookup=constant)


def _ways_back(graph: ModelGraph, tensor: int, known: dict[int, _Found]) -> dict[int, frozenset[int]]:
    """A map that `tensor` is a function of, value by value -> the ops of that function; `tensor` first."""
    found: dict[int, frozenset[int]] = {tensor: frozenset()}
    ops: frozenset[int] = frozenset()
    while (op := graph.producer.get(tensor)) is not None and _is_alike(graph, op):
        ops |= {op.index}
        if _is_unary(graph, op):
            tensor = graph.feature_maps(op)[0]
        elif before := _joined(graph, op, known):
            tensor, ops = before[0], ops | before[1]
        else:
            break
        found[tensor] = ops
    return found


def _is_unary(graph: ModelGraph, op: Op) -> bool:
    return op.kind in _RESCALING or is_lookup(graph, op) or relation_of(graph, op) is not None


def _is_alike(graph: ModelGraph, op: Op) -> bool:
    """Whether the op makes an int8 map of maps of its shape, or what is true or false of them, or chooses by that."""
    maps = graph.feature_maps(op)
    truths = {*(op.inputs[:1] if op.kind == CHOICE else ()), *(op.outputs if op.kind in RELATIONS else ())}
    tensors = [graph.tensors[t] for t in (*maps, *op.outputs)]
    return len(op.outputs) == 1 and all(
        (t.dtype == "bool" if t.index in truths else t.dtype == "int8" and len(t.scales) == 1)
        and not t.is_variable
        and t.shape == tensors[-1].shape
        for t in tensors
    )


def _format_of(tensor: Tensor) -> Format:
    return _TRUTH if tensor.dtype == "bool" else tensor.format
