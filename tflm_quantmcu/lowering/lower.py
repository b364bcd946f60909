"""Lowers ops of an int8 model to QMCU_ ops, filters as integers.

In: an op of a ModelGraph, and a plan's weights. Out: LoweredOp. Which ops our kernels can run says support.py; a whole
model is lowered by network.py.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.precision_plan import RoundedWeights
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.law.joined import Joined
from tflm_quantmcu.law.lookups import Lookup, is_lookup
from tflm_quantmcu.law.ranges import requantize_weights
from tflm_quantmcu.lowering.ops import Filter, LoweredOp

_KEPT_FILTERS = 256


def lower_op(
    graph: ModelGraph, op: Op, inner: Sequence[Op], *, weight_bits: int = 8, rounded: RoundedWeights | None = None
) -> LoweredOp:
    """Lowers one op that our kernels can run; all but `LoweredNetwork`, which keeps the result, ask that.

    Args:
      graph: the model.
      op: of it.
      inner: what `inner_ops_of` gives of the op.
      weight_bits, rounded: as of `LoweredNetwork.lower`.

    Raises:
      UsageError: `rounded` does not fit the op.
    """
    kind, output = op.traits, graph.tensors[op.outputs[0]]
    window = op.window or Window()
    if op.pads:
        window = Window(pad_top=op.pads[1][0], pad_left=op.pads[2][0])
    lookup: Lookup | Joined | None = Joined.of(graph, op, inner) if inner else None
    if is_lookup(graph, op):
        lookup = Lookup.of(graph, op)
    maps = graph.feature_maps(inner[0] if inner else op)
    return LoweredOp(
        kind=_kind_of(lookup) if lookup else kind.becomes,
        name=output.label,
        inputs=tuple(dict.fromkeys(maps)) if lookup else maps,  # x * x is a function of one map
        output=output.index,
        window=window,
        activation=kind.activation or op.activation,
        depth_multiplier=op.depth_multiplier,
        filter=_filter(graph, op, weight_bits, rounded) if kind.has_filter else None,
        float32_ratio=op.kind == "RELU",
        lookup=lookup,
    )


def _kind_of(lookup: Lookup | Joined) -> str:
    return "CHANNEL_LUT" if lookup.is_per_channel else "LUT"


def weights_of(graph: ModelGraph, op: Op) -> Filter:
    """The weights and the bias of an op that the model has, as they are."""
    return _filter(graph, op, 8, None)


def _filter(graph: ModelGraph, op: Op, bits: int, rounded: RoundedWeights | None) -> Filter:
    weights, bias_input = graph.tensors[op.inputs[1]], op.traits.bias_input
    assert weights.data is not None
    values = weights.data[0] if op.traits.is_depthwise else weights.data
    axis = op.traits.weight_axis % values.ndim
    outputs = values.shape[axis]
    has_bias = len(op.inputs) > bias_input and op.inputs[bias_input] >= 0
    bias = _constant(graph.tensors[op.inputs[bias_input]]).ravel() if has_bias else np.zeros(outputs, np.int32)
    model_scales = np.asarray(weights.scales, np.float32)
    if rounded is not None and rounded.bits == bits:
        values, scales = _rounded(weights, rounded, values.shape, model_scales.size if bits == 8 else outputs)
    elif bits >= weights.weight_bits:
        bits, scales = weights.weight_bits, model_scales
    else:
        values, scales = _requantized(values.tobytes(), values.shape, weights.scales, axis, bits)
    return Filter(
        values=values,
        bits=bits,
        scales=scales,
        bias=bias.astype(np.int64),
        model_scales=model_scales,
        model_input_scale=graph.tensors[op.inputs[op.traits.map_input]].scales[0],
    )


def _rounded(
    weights: Tensor, rounded: RoundedWeights, shape: tuple[int, ...], num_scales: int
) -> tuple[np.ndarray, np.ndarray]:
    values = rounded.values(weights.num_elements)
    scales = np.asarray(rounded.scales, np.float32)
    limit = 1 << (rounded.bits - 1)
    if values.size != weights.num_elements or scales.shape != (num_scales,):
        found = f"{values.size}" if values.size <= weights.num_elements else f"more than {weights.num_elements}"
        raise UsageError(
            f"the plan rounds {found} weights '{weights.label}' with {scales.size} scales; the model has "
            f"{weights.num_elements}, with {num_scales} scales at {rounded.bits} bits"
        )
    if values.min() < -limit or values.max() >= limit or not (np.isfinite(scales) & (scales > 0)).all():
        raise UsageError(
            f"the plan's rounded weights '{weights.label}' leave {rounded.bits} bits, or have a scale <= 0"
        )
    return values.reshape(shape), scales


@functools.lru_cache(maxsize=_KEPT_FILTERS)
def _requantized(
    values: bytes, shape: tuple[int, ...], scales: tuple[float, ...], axis: int, bits: int
) -> tuple[np.ndarray, np.ndarray]:
    """Read-only; kept, since searches convert the same weights again and again."""
    steps = np.asarray(scales, np.float32).astype(np.float64)
    real = np.frombuffer(values, np.int8).reshape(shape) * np.expand_dims(
        steps, [a for a in range(len(shape)) if a != axis]
    )
    requantized = requantize_weights(real, axis, bits)
    for array in requantized:
        array.setflags(write=False)
    return requantized


def _constant(tensor: Tensor) -> np.ndarray:
    assert tensor.data is not None
    return tensor.data
