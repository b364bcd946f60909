"""Lowers ops outside stages that read or write a map below 8 bits, or whose weights are below 8 bits, and every SiLU,
which one table computes without the map between LOGISTIC and MUL."""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.graph.types import Op
from tflm_quantmcu.tflite.operators import QmcuOp


def quantize_ops(rewrite: Rewrite) -> None:
    """Replaces them one by one; an op that has no kernel stays, and reads and writes 8 bits. Others stay stock ops, so
    that they run on vendors' kernels.

    Raises:
      UnsupportedModelError: the plan lowers the weights of an op that has no kernel, or a table does not fit.
    """
    network = rewrite.network
    for op in rewrite.graph.ops:
        if not rewrite.is_untouched(op.index):
            continue
        if op.outputs[0] in network.folded:
            rewrite.slots[op.index] = []
            continue
        bits = _weight_bits(rewrite, op)
        touches = any(rewrite.is_reformatted(t) for t in _maps(rewrite, op))
        is_silu = not network.folded.isdisjoint(op.inputs)
        if bits != 8 or is_silu or (touches and network.is_ours(op)):
            replace_op(rewrite, op)
        elif _has_other_constants(rewrite, op):
            _renew_constants(rewrite, op)


def _weight_bits(rewrite: Rewrite, op: Op) -> int:
    """The plan's, or the file's own where one of our kernels reads INT4 filters, which TFLM's unpack as a whole."""
    weights = rewrite.network.weights(op)
    if weights is None:
        return 8
    own = weights.weight_bits if rewrite.network.is_ours(op) else 8
    return min(rewrite.plan.weight_bits.get(weights.name, 8), own)


def _maps(rewrite: Rewrite, op: Op) -> tuple[int, ...]:
    return (*rewrite.graph.feature_maps(op), *op.outputs)


def _has_other_constants(rewrite: Rewrite, op: Op) -> bool:
    """Whether the plan gives an op another bias or other weights of 8 bits."""
    weights, output = rewrite.network.weights(op), rewrite.graph.tensors[op.outputs[0]]
    if weights is None:
        return False
    rounded = rewrite.plan.rounded_weights.get(weights.name)
    is_rounded = rounded is not None and rounded.bits == 8 and rewrite.network.is_ours(op)
    return is_rounded or output.name in rewrite.plan.bias_corrections


def _renew_constants(rewrite: Rewrite, op: Op) -> None:
    """A stock op stays one: its weights and its bias alone are other constants."""
    lowered = rewrite.network.lower_planned(op, rewrite.plan)
    filter = lowered.filter
    assert filter is not None
    source, output = (rewrite.graph.tensors[t].format for t in (op.inputs[0], lowered.output))
    bias = lowered.requantization_table([source], output)[: filter.bias.size]
    weights_at = op.inputs[1]
    if filter.scales is not filter.model_scales:
        weights_at = rewrite.add_weights(weights_at, filter.values, filter.scales)
    bias_at = rewrite.add_bias(f"{lowered.name}/bias", bias, np.float32(source.scale) * filter.scales)
    rewrite.slots[op.index][0].inputs = np.array([op.inputs[0], weights_at, bias_at], np.int32)


def replace_op(rewrite: Rewrite, op: Op) -> None:
    """Puts the op of ours with the plan's formats in the place of one that our kernels can run."""
    graph = rewrite.graph
    lowered = rewrite.network.lower_planned(op, rewrite.plan)
    formats = [rewrite.format_of(t) for t in lowered.inputs]
    output = rewrite.format_of(lowered.output)
    channels = [graph.tensors[t].shape[-1] for t in (*lowered.inputs, lowered.output)]
    if op.traits.is_vector:
        channels[0] = _flattened_channels(rewrite, op)
    qmcu = QmcuOp.of(lowered, formats, output, channels)
    rewrite.slots[op.index] = [qmcu.operator(rewrite, lowered.name, lowered.inputs, lowered.output)]


def _flattened_channels(rewrite: Rewrite, op: Op) -> int:
    """A fully connected op reads its whole input as one pixel, which its runs must allow."""
    source = rewrite.graph.tensors[op.inputs[0]]
    bits = rewrite.format_of(source.index).bits
    if source.shape[-1] != source.num_elements and source.shape[-1] * bits % 8:
        raise UnsupportedModelError(
            f"FULLY_CONNECTED (op {op.index}) flattens '{source.label}' of {source.shape[-1]} channels, whose "
            f"{bits}-bit runs have gaps; keep that map at 8 bits"
        )
    return source.num_elements
