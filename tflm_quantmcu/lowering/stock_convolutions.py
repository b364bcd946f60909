"""Convolutions of int8 maps for which there is no op of ours: in groups, transposed, and rows of fully connected ops.

In: an op of an int8 model. Out: KernelCalls. Refuses, naming the op, what TFLM's kernels do not take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.law.kernel_calls import CHANNEL_TABLE, Conv2DParams, FeatureMap, KernelCall
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.law.product_calls import GroupedConv2DParams
from tflm_quantmcu.lowering.filters import why_constants_unsupported
from tflm_quantmcu.lowering.lower import lower_op, weights_of
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.lowering.stock_parts import io_tensors, refuse

_SAME = 0  # of the schema's Padding


def rows_of_fully_connected(graph: ModelGraph, op: Op) -> KernelCall:
    """A fully connected op of several rows as a convolution of one tap."""
    x, output = io_tensors(graph, op, 1)
    lowered = lower_op(graph, op, ())
    assert lowered.filter is not None
    outputs, depth = lowered.filter.values.shape
    maps = [_map(1, x.num_elements // depth, n, t) for n, t in ((depth, x), (outputs, output))]
    params = Conv2DParams(maps[0], maps[1], Window(), lowered.clamp_range(output.format), lowered.filter.bits)
    return _call("Conv2D", params, lowered, (x, output), scratch_bytes=0)


def _grouped(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = _image_tensors(graph, op, op.inputs[0])
    if reason := why_constants_unsupported(graph, op):
        raise refuse(graph, op, reason)
    lowered = lower_op(graph, op, ())
    assert lowered.filter is not None
    channels, (outputs, *_, depth) = source.shape[3], lowered.filter.values.shape
    groups = channels // depth
    if groups * depth != channels or outputs % groups:
        raise refuse(graph, op, f"its {channels} channels and {outputs} filters of {depth} are no groups")
    conv = _params(source, output, lowered)
    params = GroupedConv2DParams(conv.input, conv.output, conv.window, conv.clamp, conv.weight_bits, groups)
    return [_call("GroupedConv2D", params, lowered, (source, output))]


def _transposed(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Source of its pads: ComputePaddingHeightWidth of TFLM's kernels/padding.h, of the output."""
    source, output = _image_tensors(graph, op, op.inputs[op.traits.map_input])
    if reason := why_constants_unsupported(graph, op):
        raise refuse(graph, op, reason)
    filter = weights_of(graph, op)
    _, height, width, _ = filter.values.shape
    rows, columns = (int(op.options[key]) for key in ("strideH", "strideW"))
    is_same = int(op.options.get("padding", 0)) == _SAME
    pads = []
    for size, taps, stride in zip(output.shape[1:3], (height, width), (rows, columns), strict=True):
        windows = -(-size // stride) if is_same else (size - taps + stride) // stride
        pads.append(max(0, (windows - 1) * stride + taps - size) // 2)
    lowered = LoweredOp(
        kind="CONV_2D",
        name=output.label,
        inputs=(source.index,),
        output=output.index,
        window=Window(height, width, rows, columns, pad_top=pads[0], pad_left=pads[1]),
        activation=op.activation,
        filter=filter,
    )
    return [_call("TransposeConv2D", _params(source, output, lowered), lowered, (source, output))]


def _image_tensors(graph: ModelGraph, op: Op, source: int) -> tuple[Tensor, Tensor]:
    tensors = graph.tensors[source], graph.tensors[op.outputs[0]]
    for tensor in tensors:
        if tensor.dtype != "int8" or len(tensor.scales) != 1 or len(tensor.shape) != 4 or tensor.shape[0] != 1:
            raise refuse(graph, op, f"'{tensor.label}' is no int8 map [1, H, W, C] with one scale")
    return tensors


def _map(height: int, width: int, channels: int, tensor: Tensor) -> FeatureMap:
    return FeatureMap(height, width, channels, width * run_bytes(channels, 8), 8, tensor.zero_points[0])


def _params(source: Tensor, output: Tensor, lowered: LoweredOp) -> Conv2DParams:
    assert lowered.filter is not None
    maps = [_map(t.shape[1], t.shape[2], t.shape[3], t) for t in (source, output)]
    return Conv2DParams(maps[0], maps[1], lowered.window, lowered.clamp_range(output.format), lowered.filter.bits)


def _call(
    kernel: str, params: Any, lowered: LoweredOp, maps: tuple[Tensor, Tensor], *, scratch_bytes: int | None = None
) -> KernelCall:
    source, output = maps
    assert lowered.filter is not None
    table = lowered.requantization_table((source.format,), output.format).reshape(3, -1)
    filter = np.ascontiguousarray(lowered.filter.packed).view(np.uint8).ravel()
    constants = dict(zip(("Filter", *CHANNEL_TABLE), (filter, *table), strict=True))
    return KernelCall(kernel, params, (source.index,), output.index, constants, scratch_bytes=scratch_bytes)


CONVOLUTIONS: Mapping[str, Callable[[ModelGraph, Op], list[KernelCall]]] = {
    "CONV_2D": _grouped,
    "TRANSPOSE_CONV": _transposed,
}
