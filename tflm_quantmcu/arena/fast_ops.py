"""The scratch that TFLite's own ops request where `quantmcu::RegisterFastOps` registered them.

In: an op that stays TFLite's own, and the variant of our kernels that runs it. Out: bytes. What TFLM keeps of such an
op is the same as ever, for its own Prepare runs too (tflm_kernels/micro/fast_ops.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tflm_quantmcu.graph.op_kind import OpKind
from tflm_quantmcu.graph.target import REFERENCE
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.law.kernel_calls import Conv2DParams, DepthwiseConv2DParams, FeatureMap, FullyConnectedParams
from tflm_quantmcu.native.kernel_scratch import kernel_scratch_bytes

# TFLite's ops that RegisterFastOps adds.
FAST_OPS = ("ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D")
_WORD = 4
_BLOCK = 64  # outputs of a layer whose table is made at a time (fast_ops/fully_connected.cc)
_MAX_EXTENT, _MAX_CHANNELS = 32767, 1 << 24  # tflm_kernels/portable/law/limits.h


def fast_scratch_bytes(graph: ModelGraph, op: Op, variant: str) -> tuple[int, ...] | None:
    """[buffer]; None where TFLM's own kernel runs.

    Raises:
      IndexError, ValueError: the op has not the inputs of its kind.
    """
    kind = op.traits
    if variant == REFERENCE or op.kind not in FAST_OPS or not kind.has_filter:
        return None
    source, filter, output = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]
    bias = graph.tensors[op.inputs[2]] if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    is_int8 = source.dtype == filter.dtype == output.dtype == "int8" and (bias is None or bias.dtype == "int32")
    if not is_int8 or not filter.is_constant or not (bias is None or bias.is_constant):
        return None
    ends = _vectors(source, filter, output) if kind.is_vector else _maps(op, source, filter, output)
    if not ends:
        return None
    num_rows = int(bias is None) + (2 if kind.is_vector and len(filter.scales) <= 1 else 0)
    multiplier = ends[1].channels // ends[0].channels if kind.is_depthwise else 1
    params = filter_params(kind, ends, op.window, 8, multiplier)
    channels = min(ends[1].channels, _BLOCK) if kind.is_vector else ends[1].channels
    num_bytes = kernel_scratch_bytes(variant, kind.kernel, params) + _WORD * num_rows * channels
    return (num_bytes,) if num_bytes else ()


def _vectors(source: Tensor, filter: Tensor, output: Tensor) -> tuple[FeatureMap, ...]:
    """Input and output of a layer that our kernel takes; () of another."""
    if len(filter.shape) != 2 or any(filter.zero_points):
        return ()
    num_outputs, num_inputs = filter.shape
    fits = all(1 <= n <= _MAX_CHANNELS for n in filter.shape)
    if not fits or source.num_elements != num_inputs or output.num_elements != num_outputs:
        return ()
    return tuple(FeatureMap(1, 1, n, n, 8, 0) for n in (num_inputs, num_outputs))


def _maps(op: Op, source: Tensor, filter: Tensor, output: Tensor) -> tuple[FeatureMap, ...]:
    """Input and output of a convolution that our kernel takes; () of another."""
    shapes = (source.shape, output.shape)
    if any(len(s) != 4 or s[0] != 1 or not _in_range(s[1:3]) or not 1 <= s[3] <= _MAX_CHANNELS for s in shapes):
        return ()
    if op.traits.is_depthwise:
        is_ours = filter.shape[0] == 1 and output.shape[3] % source.shape[3] == 0
    else:
        is_ours = filter.shape[3] == source.shape[3]
    w = op.window
    assert w is not None
    extents = (w.kernel_height, w.kernel_width, w.stride_height, w.stride_width, w.dilation_height, w.dilation_width)
    if not is_ours or not _in_range(extents):
        return ()
    return tuple(FeatureMap(h, w, c, w * c, 8, 0) for _, h, w, c in shapes)


def _in_range(extents: Sequence[int]) -> bool:
    return all(1 <= n <= _MAX_EXTENT for n in extents)


def filter_params(
    kind: OpKind, ends: Sequence[FeatureMap], window: Window | None, weight_bits: int, depth_multiplier: int
) -> Any:
    """What decides the scratch of a kernel with a filter; clamps do not.

    Args:
      kind: of the op.
      ends: its input and its output.
      window: None of a fully connected op.
      weight_bits: width of the filter's values.
      depth_multiplier: of a depthwise convolution; of others it does not count.
    """
    source, output = ends
    if kind.is_vector:
        return FullyConnectedParams(source, output, (0, 0), weight_bits)
    assert window is not None
    if kind.is_depthwise:
        return DepthwiseConv2DParams(source, output, window, (0, 0), weight_bits, depth_multiplier)
    return Conv2DParams(source, output, window, (0, 0), weight_bits)
