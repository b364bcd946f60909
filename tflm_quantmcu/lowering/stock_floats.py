"""Stock ops that TFLite left in float32, between DEQUANTIZE and QUANTIZE, value by value or two by two (law A33).

In: an op of a model. Out: KernelCalls. Exponentials are left out: C libraries round them differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.kernel_calls import ComparisonParams, KernelCall
from tflm_quantmcu.law.product_calls import (
    FloatMeanParams,
    FloatPairsParams,
    FloatRowsParams,
    FloatSlopeParams,
    FloatValuesParams,
)
from tflm_quantmcu.lowering.stock_comparisons import reduced
from tflm_quantmcu.lowering.stock_parts import broadcast, io_tensors, require_finite

_VALUES = ("ABS", "CEIL", "FLOOR", "HARD_SWISH", "NEG", "RELU", "RELU6", "ROUND", "RSQRT", "SQRT", "SQUARE")
_TWO_VALUES = ("MAXIMUM", "MINIMUM", "PRELU", "SQUARED_DIFFERENCE")
_PAIRS = ("ADD", "DIV", "MUL", "SUB")
_OF_C_LIBRARIES = ("COS", "ELU", "EXP", "LOG", "LOGISTIC", "LOG_SOFTMAX", "SIN", "SOFTMAX", "TANH")
_LARGEST = float(np.finfo(np.float32).max)
# TFLM clamps to finite numbers where there is no activation.
_LIMITS = {
    "NONE": (-_LARGEST, _LARGEST),
    "RELU": (0.0, _LARGEST),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def float_calls(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """The calls of an op whose first input is float32."""
    return FLOATS[op.kind](graph, op)


def is_refused_float(graph: ModelGraph, op: Op) -> bool:
    """Whether it is an op of float32 values that C libraries round differently."""
    return op.kind in _OF_C_LIBRARIES and bool(op.inputs) and graph.tensors[op.inputs[0]].dtype == "float32"


def is_float(graph: ModelGraph, op: Op) -> bool:
    """Whether it is an op of float32 values that is computed here."""
    return op.kind in FLOATS and bool(op.inputs) and graph.tensors[op.inputs[0]].dtype == "float32"


def _value(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, ("float32",))
    params = FloatValuesParams(source.num_elements)
    return [KernelCall(f"Float{_camel(op.kind)}", params, (source.index,), output.index)]


def _leaky_relu(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, ("float32",))
    params = FloatSlopeParams(source.num_elements, op.alpha)
    return [KernelCall("FloatLeakyRelu", params, (source.index,), output.index)]


def _camel(kind: str) -> str:
    return "".join(map(str.capitalize, kind.split("_")))


def _of_two(graph: ModelGraph, op: Op) -> list[KernelCall]:
    x0, x1, output = _two(graph, op)
    params = ComparisonParams(*broadcast(graph, op, (x0, x1), output))
    return [KernelCall(f"Float{_camel(op.kind)}", params, (x0.index, x1.index), output.index)]


def _pair(graph: ModelGraph, op: Op) -> list[KernelCall]:
    x0, x1, output = _two(graph, op)
    extents, steps0, steps1 = broadcast(graph, op, (x0, x1), output)
    params = FloatPairsParams(extents, steps0, steps1, *_LIMITS[op.activation])
    return [KernelCall(f"Float{op.kind.capitalize()}", params, (x0.index, x1.index), output.index)]


def _add_up(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, ("float32",))
    views, count = reduced(graph, op, source)
    divisor = float(count) if op.kind == "MEAN" else 1.0
    params = FloatMeanParams(views.kept, views.kept_steps, views.reduced, views.reduced_steps, divisor)
    return [KernelCall("FloatMean", params, (source.index,), output.index)]


def _l2_normalization(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, ("float32",))
    depth = source.shape[-1]
    params = FloatRowsParams(source.num_elements // depth, depth)
    return [KernelCall("FloatL2Normalization", params, (source.index,), output.index)]


def _two(graph: ModelGraph, op: Op) -> list[Tensor]:
    tensors = io_tensors(graph, op, 2, ("float32",))
    require_finite(graph, op, tensors)
    return tensors


FLOATS: Mapping[str, Callable[[ModelGraph, Op], list[KernelCall]]] = {
    **dict.fromkeys(_VALUES, _value),
    **dict.fromkeys(_TWO_VALUES, _of_two),
    **dict.fromkeys(_PAIRS, _pair),
    "LEAKY_RELU": _leaky_relu,
    "L2_NORMALIZATION": _l2_normalization,
    "MEAN": _add_up,
    "SUM": _add_up,
}
