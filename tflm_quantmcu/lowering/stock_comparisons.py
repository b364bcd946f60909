"""Stock ops that compare or mix int8 values: extremes, sums, means, differences, slopes of their own, bilinear resizes.

In: an op of an int8 model. Out: KernelCalls. Refuses, naming the op, what TFLM's kernels do not take.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.law.activations import MAX_SHIFT
from tflm_quantmcu.law.fixed_point import mean_multiplier, quantize_multiplier
from tflm_quantmcu.law.kernel_calls import (
    BroadcastPreluParams,
    ComparisonParams,
    FeatureMap,
    KernelCall,
    MeanParams,
    Pair,
    ReductionParams,
    ResizeAxis,
    ResizeBilinearParams,
)
from tflm_quantmcu.law.moves import ALIGNED_CORNERS, HALF_PIXEL_CENTRES, resize_positions
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.lowering.stock_parts import (
    broadcast,
    broadcast_sum,
    constant_input,
    dense_steps,
    io_tensors,
    refuse,
    scale_factor,
    views,
)

_MAX_SUM_COUNT = 1 << 23


def _compare(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """TFLM compares bytes whatever the formats say, and refuses other scales."""
    x0, x1, output = io_tensors(graph, op, 2)
    params = ComparisonParams(*broadcast(graph, op, (x0, x1), output))
    return [KernelCall(op.kind.capitalize(), params, (x0.index, x1.index), output.index)]


def reduced(graph: ModelGraph, op: Op, source: Tensor) -> tuple[ReductionParams, int]:
    """The views of a reduction, and how many values each output value is made of."""
    rank, steps = len(source.shape), dense_steps(source.shape)
    axes = {int(a) % rank for a in constant_input(graph, op, 1, "axes").ravel()}
    parts = [
        views(graph, op, [source.shape[d] for d in dims], [steps[d] for d in dims])
        for dims in ([d for d in range(rank) if d not in axes], sorted(axes))
    ]
    (kept, kept_steps), (reduced, reduced_steps) = parts
    return ReductionParams(kept, kept_steps, reduced, reduced_steps), math.prod(source.shape[a] for a in axes)


def _reduce(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1)
    params, _ = reduced(graph, op, source)
    return [KernelCall(_camel(op.kind), params, (source.index,), output.index)]


def _arg(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if (source.dtype, output.dtype) != ("int8", "int32"):
        raise refuse(graph, op, f"it goes from {source.dtype} to {output.dtype}; supported is int8 to int32")
    params, _ = reduced(graph, op, source)
    return [KernelCall(_camel(op.kind), params, (source.index,), output.index)]


def _add_up(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """SUM and MEAN, law A11; 1 / count of a mean is in its multiplier. Source: QuantizedMeanOrSum of TFLM's
    reference/reduce.h."""
    source, output = io_tensors(graph, op, 1)
    reduction, count = reduced(graph, op, source)
    if count > _MAX_SUM_COUNT:
        raise refuse(graph, op, f"it sums {count} values; supported are {_MAX_SUM_COUNT}")
    factor = scale_factor(graph, op, source.scales[0] / output.scales[0])
    params = MeanParams(
        kept=reduction.kept,
        kept_steps=reduction.kept_steps,
        reduced=reduction.reduced,
        reduced_steps=reduction.reduced_steps,
        input_zero_point=source.zero_points[0],
        output_zero_point=output.zero_points[0],
        multiplier=mean_multiplier(factor, count) if op.kind == "MEAN" else factor,
    )
    return [KernelCall("Mean", params, (source.index,), output.index)]


def _sub(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Law A4 with a difference. Source: CalculateOpDataSub of TFLM's sub_common.cc, which takes ratios in float32."""
    x0, x1, output = io_tensors(graph, op, 2)
    twice_max = 2 * np.float32(max(x0.scales[0], x1.scales[0]))
    ratios = [float(np.float32(t.scales[0]) / twice_max) for t in (x0, x1)]
    ratios.append(float(twice_max / (np.float32(1 << 20) * np.float32(output.scales[0]))))
    factors: list[Pair] = [quantize_multiplier(ratio) for ratio in ratios]
    if factors[2][1] > MAX_SHIFT:
        raise refuse(graph, op, "its output's scale is too fine for 32 bits")
    clamp = LoweredOp("SUB", "", (), output.index, Window(), op.activation).clamp_range(output.format)
    return broadcast_sum(graph, op, "BroadcastSub", (factors[0], factors[1], factors[2]), clamp)


def _prelu(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Source: CalculatePreluParams of TFLM's prelu_common.cc."""
    source, slopes, output = io_tensors(graph, op, 2)
    extents, steps, slope_steps = broadcast(graph, op, (source, slopes), output)
    params = BroadcastPreluParams(
        extents=extents,
        input_steps=steps,
        slope_steps=slope_steps,
        input_zero_point=source.zero_points[0],
        slope_zero_point=slopes.zero_points[0],
        output_zero_point=output.zero_points[0],
        identity=scale_factor(graph, op, source.scales[0] / output.scales[0]),
        negative=scale_factor(graph, op, source.scales[0] * slopes.scales[0] / output.scales[0]),
    )
    return [KernelCall("BroadcastPrelu", params, (source.index, slopes.index), output.index)]


def _resize_bilinear(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1)
    if len(source.shape) != 4 or source.shape[0] != 1:
        raise refuse(graph, op, "its feature maps are not [1, H, W, C]")
    rows, columns = (
        ResizeAxis(*resize_positions(size, wanted, resize_mode(op)), size, 0)
        for size, wanted in zip(source.shape[1:3], output.shape[1:3], strict=True)
    )
    # TFLM moves bytes whatever formats say.
    read, written = (FeatureMap(h, w, c, w * c, 8, 0) for _, h, w, c in (source.shape, output.shape))
    params = ResizeBilinearParams(read, written, rows, columns, (-128, 127), quantize_multiplier(1.0))
    return [KernelCall("ResizeBilinear", params, (source.index,), output.index)]


def resize_mode(op: Op) -> int:
    """The mode of a bilinear resize as `resize_positions` takes it."""
    return HALF_PIXEL_CENTRES * op.half_pixel_centers | ALIGNED_CORNERS * op.align_corners


def _camel(kind: str) -> str:
    return "".join(part.capitalize() for part in kind.split("_"))


COMPARISONS: Mapping[str, Callable[[ModelGraph, Op], list[KernelCall]]] = {
    "ARG_MAX": _arg,
    "ARG_MIN": _arg,
    "MAXIMUM": _compare,
    "MEAN": _add_up,
    "MINIMUM": _compare,
    "PRELU": _prelu,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "RESIZE_BILINEAR": _resize_bilinear,
    "SUB": _sub,
    "SUM": _add_up,
}
