"""Stock TFLite ops as calls of the portable kernels: what TFLM's Prepare computes, computed ahead of time.

In: an op of an int8 model that no QMCU_ op replaces. Out: KernelCalls. Refuses, naming the op, what the kernels cannot
compute to the very bytes that TFLM gives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.layer_names import op_place
from tflm_quantmcu.graph.op_kinds import RESHAPES
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.law.activations import MAX_SHIFT, hard_swish_params, logistic_params
from tflm_quantmcu.law.kernel_calls import (
    FeatureMap,
    KernelCall,
    LutParams,
    MulParams,
    Pair,
    QuantizeParams,
    RequantizeBytesParams,
)
from tflm_quantmcu.law.lookups import Lookup
from tflm_quantmcu.lowering.images import calls_of_images
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.lowering.stock_comparisons import COMPARISONS
from tflm_quantmcu.lowering.stock_convolutions import CONVOLUTIONS
from tflm_quantmcu.lowering.stock_floats import FLOATS, float_calls, is_float, is_refused_float
from tflm_quantmcu.lowering.stock_moves import MOVES
from tflm_quantmcu.lowering.stock_parts import (
    accepted,
    broadcast,
    broadcast_sum,
    io_tensors,
    refuse,
    scale_factor,
)
from tflm_quantmcu.lowering.stock_products import PRODUCTS
from tflm_quantmcu.lowering.stock_rearranged import REARRANGED
from tflm_quantmcu.lowering.stock_recurrent import RECURRENT
from tflm_quantmcu.lowering.stock_relations import RELATIONS
from tflm_quantmcu.lowering.stock_rows import ROWS


def stock_calls(graph: ModelGraph, op: Op) -> tuple[KernelCall, ...]:
    """The calls that compute `op`, in order; none for a reshape, whose output is its input.

    Raises:
      UnsupportedModelError: no kernel computes this op exactly; the sentence says why.
    """
    if op.traits.is_reshape:
        return ()
    if (calls := calls_of_images(graph, op, lambda one: stock_calls(one, op))) is not None:
        return calls
    if is_float(graph, op):
        return tuple(float_calls(graph, op))
    if is_refused_float(graph, op):
        raise refuse(graph, op, "it is of float32, and C libraries round it differently")
    if op.kind not in _LOWER:
        raise UnsupportedModelError(
            f"{op_place(graph, op)} has no portable kernel; covered are {', '.join(sorted({*KINDS, *RESHAPES}))}"
        )
    try:
        return tuple(_LOWER[op.kind](graph, op))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise refuse(graph, op, f"its tensors or options contradict each other ({error})") from None


def _lowered(op: Op, output: Tensor, kind: str) -> LoweredOp:
    """The part of the op that laws A2 to A8 look at."""
    activation = op.traits.activation or op.activation
    return LoweredOp(kind, output.label, (), output.index, Window(), activation, float32_ratio=op.kind == "RELU")


def _mul(graph: ModelGraph, op: Op) -> list[KernelCall]:
    x0, x1, output = io_tensors(graph, op, 2)
    extents, steps0, steps1 = broadcast(graph, op, (x0, x1), output)
    params = MulParams(
        extents=extents,
        input0_steps=steps0,
        input1_steps=steps1,
        input0_zero_point=x0.zero_points[0],
        input1_zero_point=x1.zero_points[0],
        output_zero_point=output.zero_points[0],
        clamp=_lowered(op, output, "MUL").clamp_range(output.format),
        multiplier=scale_factor(graph, op, x0.scales[0] * x1.scales[0] / output.scales[0]),
    )
    return [KernelCall("Mul", params, (x0.index, x1.index), output.index)]


def _add(graph: ModelGraph, op: Op) -> list[KernelCall]:
    x0, x1, output = io_tensors(graph, op, 2)
    lowered = _lowered(op, output, "ADD")
    words = lowered.requantization_table((x0.format, x1.format), output.format).tolist()
    multipliers = ((words[0], words[1]), (words[2], words[3]), (words[4], words[5]))
    return broadcast_sum(graph, op, "BroadcastAdd", multipliers, lowered.clamp_range(output.format))


def _logistic(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1)
    params = accepted(graph, op, lambda: logistic_params(source.format, output.format, source.num_elements))
    return [KernelCall("Logistic", params, (source.index,), output.index)]


def _hard_swish(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1)
    params = accepted(graph, op, lambda: hard_swish_params(source.format, output.format, source.num_elements))
    return [KernelCall("HardSwish", params, (source.index,), output.index)]


def _look_up(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """What has no kernel but its table."""
    source, output = io_tensors(graph, op, 1)
    lookup = accepted(graph, op, lambda: Lookup.of(graph, op))
    table = lookup.table(source.format, output.format, (-128, 127))
    count = source.num_elements
    maps = [FeatureMap(1, 1, count, count, 8, t.zero_points[0]) for t in (source, output)]
    params = LutParams(input=maps[0], output=maps[1], pad_top=0, pad_left=0)
    return [KernelCall("Lut", params, (source.index,), output.index, {"Table": table})]


def _quantize(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, ("int8", "uint8", "float32"))
    if "float32" in (source.dtype, output.dtype):
        if (source.dtype, output.dtype) != ("float32", "int8"):
            raise refuse(graph, op, f"TFLM's kernel does not go from {source.dtype} to {output.dtype}")
        params = QuantizeParams(source.num_elements, output.scales[0], output.zero_points[0])
        return [KernelCall("Quantize", params, (source.index,), output.index)]
    if source.dtype == output.dtype == "uint8":
        raise refuse(graph, op, "TFLM's kernel does not go from uint8 to uint8")
    limits = np.iinfo(output.dtype)
    multiplier = scale_factor(graph, op, source.scales[0] / output.scales[0])
    return [_requantize_bytes(source, output, (int(limits.min), int(limits.max)), multiplier)]


def _requantize_bytes(source: Tensor, output: Tensor, clamp: Pair, multiplier: Pair) -> KernelCall:
    params = RequantizeBytesParams(
        count=source.num_elements,
        is_input_unsigned=int(source.dtype == "uint8"),
        input_zero_point=source.zero_points[0],
        output_zero_point=output.zero_points[0],
        clamp=clamp,
        multiplier=multiplier,
    )
    return KernelCall("RequantizeBytes", params, (source.index,), output.index)


def _relu(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """RELU6 keeps the input's format in TFLM, whatever the output's is."""
    source, output = io_tensors(graph, op, 1)
    if op.kind == "RELU6":
        output = dataclasses.replace(output, scales=source.scales, zero_points=source.zero_points)
    lowered = _lowered(op, output, "REQUANTIZE")
    multiplier, shift = lowered.requantization_table((source.format,), output.format).tolist()
    if shift > MAX_SHIFT:
        raise refuse(graph, op, f"its scales {source.scales[0]:g} and {output.scales[0]:g} leave 32 bits")
    return [_requantize_bytes(source, output, lowered.clamp_range(output.format), (multiplier, shift))]


def _dequantize(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, ("int8", "float32"))
    if (source.dtype, output.dtype) != ("int8", "float32"):
        raise refuse(graph, op, f"it goes from {source.dtype} to {output.dtype}; supported is int8 to float32")
    params = QuantizeParams(source.num_elements, source.scales[0], source.zero_points[0])
    return [KernelCall("Dequantize", params, (source.index,), output.index)]


_LOWER: Mapping[str, Callable[[ModelGraph, Op], list[KernelCall]]] = {
    **COMPARISONS,
    **CONVOLUTIONS,
    **MOVES,
    **REARRANGED,
    **RECURRENT,
    **RELATIONS,
    **ROWS,
    **PRODUCTS,
    **dict.fromkeys(("ABS", "ELU", "EXP", "GELU", "LEAKY_RELU", "LOG", "NEG", "TANH"), _look_up),
    "ADD": _add,
    "DEQUANTIZE": _dequantize,
    "HARD_SWISH": _hard_swish,
    "LOGISTIC": _logistic,
    "MUL": _mul,
    "QUANTIZE": _quantize,
    "RELU": _relu,
    "RELU6": _relu,
}
KINDS = tuple({**_LOWER, **FLOATS})
