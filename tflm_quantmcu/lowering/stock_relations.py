"""Stock ops whose values are true or false, and what chooses by them: comparisons, logic, SELECT_V2 (law A34).

In: an op of a model. Out: KernelCalls. Refuses, naming the op, what TFLM's kernels do not take.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.fixed_point import quantize_multiplier
from tflm_quantmcu.law.kernel_calls import ComparisonParams, KernelCall, Pair
from tflm_quantmcu.law.product_calls import CastParams, ScaledComparisonParams, SelectParams
from tflm_quantmcu.lowering.stock_parts import broadcast, io_tensors, refuse, require_finite

# Kind -> (name of the relation, whether the operands change places).
_RELATIONS = {
    "EQUAL": ("Equal", False),
    "GREATER": ("Less", True),
    "GREATER_EQUAL": ("LessEqual", True),
    "LESS": ("Less", False),
    "LESS_EQUAL": ("LessEqual", False),
    "NOT_EQUAL": ("NotEqual", False),
}
_PREFIXES = {"int8": "Scaled", "float32": "Float", "int32": "Int32", "bool": "Byte"}
_CHOSEN = ("int8", "float32")


def _compare(graph: ModelGraph, op: Op) -> list[KernelCall]:
    relation, is_swapped = _RELATIONS[op.kind]
    *inputs, output = io_tensors(graph, op, 2, tuple(_PREFIXES))
    dtype = inputs[0].dtype
    if output.dtype != "bool" or inputs[1].dtype != dtype or (dtype == "bool" and "Less" in relation):
        raise refuse(graph, op, f"it compares {dtype} with {inputs[1].dtype} and gives {output.dtype}")
    require_finite(graph, op, inputs)
    if is_swapped:
        inputs.reverse()
    params = ComparisonParams(*broadcast(graph, op, inputs, output))
    places = tuple(t.index for t in inputs)
    if dtype != "int8":
        return [KernelCall(_PREFIXES[dtype] + relation, params, places, output.index)]
    zeros = (t.zero_points[0] for t in inputs)
    multipliers = (_scale(graph, op, t) for t in inputs)
    scaled = ScaledComparisonParams(*dataclasses.astuple(params), *zeros, *multipliers)
    return [KernelCall(_PREFIXES[dtype] + relation, scaled, places, output.index)]


def _scale(graph: ModelGraph, op: Op, tensor: Tensor) -> Pair:
    """Source: ComparisonsPrepare of TFLM's comparisons.cc, which ends the process at scales from 1 on."""
    multiplier, shift = quantize_multiplier(tensor.scales[0])
    if not -31 <= shift <= 0:
        raise refuse(graph, op, f"'{tensor.label}' has scale {tensor.scales[0]:g}; TFLM's kernel takes one below 1")
    return multiplier, shift


def _logic(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """True is the larger byte."""
    x0, x1, output = io_tensors(graph, op, 2, ("bool",))
    params = ComparisonParams(*broadcast(graph, op, (x0, x1), output))
    kernel = "Minimum" if op.kind == "LOGICAL_AND" else "Maximum"
    return [KernelCall(kernel, params, (x0.index, x1.index), output.index)]


def _not(graph: ModelGraph, op: Op) -> list[KernelCall]:
    x, output = io_tensors(graph, op, 1, ("bool",))
    extents = (1, 1, 1, x.num_elements)
    params = ComparisonParams(extents, (0, 0, 0, 1), (0, 0, 0, 0))
    return [KernelCall("ByteEqual", params, (x.index,), output.index, {"False": np.zeros(1, np.uint8)})]


def _select(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """What is chosen where the condition holds, then what is chosen elsewhere."""
    condition, *chosen, output = io_tensors(graph, op, 3, ("bool", *_CHOSEN))
    if condition.dtype != "bool" or any(t.dtype != output.dtype or t.dtype not in _CHOSEN for t in chosen):
        raise refuse(graph, op, f"it chooses {output.dtype} by {condition.dtype}")
    size, calls = output.value_bytes, []
    for tensor, wanted in zip(chosen, (1, 0), strict=True):
        extents, condition_steps, steps = broadcast(graph, op, (condition, tensor), output)
        params = SelectParams(extents, condition_steps, tuple(size * step for step in steps), wanted, size)
        calls.append(KernelCall("Select", params, (condition.index, tensor.index), output.index))
    return calls


def _cast(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Integers alone: what is no integer, or too large, cores round differently."""
    source, output = io_tensors(graph, op, 1, tuple(_PREFIXES))
    if source.dtype == "float32" or output.dtype == "bool":
        raise refuse(graph, op, f"it goes from {source.dtype} to {output.dtype}, which cores round differently")
    before, after = (t.value_bytes for t in (source, output))
    params = CastParams(source.num_elements, before, after, int(output.dtype == "float32"))
    return [KernelCall("Cast", params, (source.index,), output.index)]


RELATIONS: Mapping[str, Callable[[ModelGraph, Op], list[KernelCall]]] = {
    **dict.fromkeys(_RELATIONS, _compare),
    "CAST": _cast,
    "LOGICAL_AND": _logic,
    "LOGICAL_NOT": _not,
    "LOGICAL_OR": _logic,
    "SELECT_V2": _select,
}
