"""Which weights and biases our kernels take, in stages and out of them.

In: a ModelGraph and one of its ops that has weights. Out: the reason why none takes them, or None.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.lowering.ops import sum_room


def why_filter_unsupported(graph: ModelGraph, op: Op) -> str | None:
    """The reason why our kernels cannot run an op with these weights, or None if they can."""
    return (
        why_constants_unsupported(graph, op) or _why_channels_unsupported(graph, op) or _why_sums_unsupported(graph, op)
    )


def why_constants_unsupported(graph: ModelGraph, op: Op) -> str | None:
    """The reason why no kernel of ours takes the weights or the bias of an op, or None."""
    kind, weights = op.traits, graph.tensors[op.inputs[1]]
    if not weights.is_constant or weights.dtype not in ("int8", "int4") or not weights.scales:
        return "its weights are not constant int8 or int4 with scales"
    if any(weights.zero_points):
        return "its weights have a zero point other than 0"
    outputs = weights.shape[kind.weight_axis]
    if len(weights.scales) not in (1, outputs):
        return f"it has {len(weights.scales)} weight scales for {outputs} output channels"
    if len(op.inputs) > kind.bias_input and op.inputs[kind.bias_input] >= 0:
        bias = graph.tensors[op.inputs[kind.bias_input]]
        if not bias.is_constant or bias.dtype != "int32":
            return "its bias is not constant int32"
    return None


def _why_channels_unsupported(graph: ModelGraph, op: Op) -> str | None:
    kind, weights = op.traits, graph.tensors[op.inputs[1]]
    outputs = weights.shape[kind.weight_axis]
    channels = graph.tensors[op.inputs[0]].shape[-1]
    if kind.is_windowed and not kind.is_depthwise and weights.shape[-1] != channels:
        return f"it is a grouped convolution ({channels} channels, filters of {weights.shape[-1]})"
    if kind.is_depthwise and outputs != channels * op.depth_multiplier:
        return f"its depth multiplier {op.depth_multiplier} does not match its {outputs} filters"
    return None


def _why_sums_unsupported(graph: ModelGraph, op: Op) -> str | None:
    kind, weights = op.traits, graph.tensors[op.inputs[1]].data
    bias = graph.tensors[op.inputs[kind.bias_input]].data if len(op.inputs) > kind.bias_input else None
    if bias is None or weights is None or op.inputs[kind.bias_input] < 0:
        return None
    channels = np.moveaxis(weights, kind.weight_axis, 0).reshape(weights.shape[kind.weight_axis], -1)
    room = sum_room(channels.shape[1])
    if np.any((np.abs(bias.astype(np.int64)) > room) & channels.any(axis=1)):
        return "a channel's bias is so large that its sums may leave 32 bits"
    return None
