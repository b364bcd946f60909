"""Lowers ops of an int8 model to QMCU_ ops, filters as integers.

In: ModelGraph, and a plan's weights. Out: LoweredOp; its table for given formats see requantization.py. Refuses, with
the reason in words, every op that our kernels cannot carry over exactly.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.op_kinds import OP_KINDS, OpKind, op_kind
from tflm_quantmcu.graph.precision_plan import PrecisionPlan, RoundedWeights
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.law.lookups import LOOKUPS, Lookup, gate_of
from tflm_quantmcu.law.ranges import requantize_weights

CONVOLUTIONS = tuple(kind.name for kind in OP_KINDS.values() if kind.has_filter)
POOLS = tuple(kind.name for kind in OP_KINDS.values() if kind.is_pool)
REQUANTIZED = tuple(kind.name for kind in OP_KINDS.values() if kind.becomes == "REQUANTIZE")
MAX_POOL_PIXELS = 1 << 23  # whose 8-bit values' sum fits int32
_KEPT_FILTERS = 256
CHANNEL_AXIS = {kind.name: kind.weight_axis for kind in OP_KINDS.values() if kind.has_filter}


@dataclasses.dataclass(frozen=True, eq=False)
class Filter:
    """Weights of a convolution or fully connected op.

    Attributes:
      values: int8, [O, Kh, Kw, I], depthwise [Kh, Kw, O], fully connected [O, I].
      bits: 8, 4 or 2; the values' range.
      scales: float32 [O], or one where the model's 8-bit weights have one.
      bias: int64 [O], in steps of `model_input_scale * model_scales`.
      correction: float64 [O], real values added to the bias, or None.
      model_scales: the scales of the model's own 8-bit weights.
      model_input_scale: the input's scale in the model.
    """

    values: np.ndarray
    bits: int
    scales: np.ndarray
    bias: np.ndarray
    model_scales: np.ndarray
    model_input_scale: float
    correction: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class LoweredOp:
    """One QMCU_ op before formats are chosen.

    Attributes:
      kind: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, AVERAGE_POOL_2D, MAX_POOL_2D, REQUANTIZE or LUT; at the
        end of a stage also MEAN or GLOBAL_AVERAGE_POOL_2D.
      name: the output tensor's name, for messages.
      inputs: tensor indices of the feature maps read.
      output: tensor index written.
      float32_ratio: the scale ratio is taken in float32 first (law A7, RELU).
      num_pixels: of the map that a MEAN is taken over (law A11).
      lookup: what a LUT's table holds.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    output: int
    window: Window
    activation: str
    depth_multiplier: int = 1
    filter: Filter | None = None
    float32_ratio: bool = False
    num_pixels: int = 1
    lookup: Lookup | None = None

    @property
    def traits(self) -> OpKind:
        """What is known of its kind."""
        return op_kind(self.kind)

    def corrected(self, correction: Sequence[float] | None) -> LoweredOp:
        """The op with real values [O] added to its bias.

        Raises:
          UsageError: not as many values as output channels, or the op has no bias.
        """
        if correction is None:
            return self
        outputs = 0 if self.filter is None else self.filter.bias.size
        if self.filter is None or len(correction) != outputs:
            raise UsageError(
                f"the plan corrects {len(correction)} biases of {self.kind} '{self.name}', which has {outputs}"
            )
        filter = dataclasses.replace(self.filter, correction=np.asarray(correction, np.float64))
        return dataclasses.replace(self, filter=filter)


def why_unsupported(graph: ModelGraph, op: Op) -> str | None:
    """The reason why our kernels cannot run `op` of an int8 model, or None if they can."""
    maps = graph.feature_maps(op)
    tensors = [graph.tensors[t] for t in (*maps, *op.outputs)]
    is_lookup = op.kind in LOOKUPS or gate_of(graph, op) is not None
    if op.kind not in (*CONVOLUTIONS, *POOLS, *REQUANTIZED, "ADD") and not is_lookup:
        return f"{op.kind} has no QMCU_ kernel"
    if any(t.dtype != "int8" or len(t.scales) != 1 for t in tensors):
        return "its feature maps are not int8 with one scale each"
    if op.kind == "FULLY_CONNECTED":
        return _why_filter_unsupported(graph, op) or (
            "its batch is not 1" if tensors[-1].num_elements != tensors[-1].shape[-1] else None
        )
    if any(len(t.shape) != 4 or t.shape[0] != 1 for t in tensors):
        return "its feature maps are not [1, H, W, C]"
    if op.kind in CONVOLUTIONS:
        return _why_filter_unsupported(graph, op)
    if is_lookup:
        return _why_no_table(graph, op)
    if op.kind == "ADD":
        same = len(maps) == 2 and len({t.shape for t in tensors}) == 1
        return None if same else "it adds a constant or broadcasts"
    if op.kind in ("PAD", "PADV2"):
        return _why_pad_unsupported(graph, op)
    if op.kind in ("RELU6", *POOLS) and tensors[0].format != tensors[1].format:
        return "it changes the scale, which TFLM's kernel ignores"
    return None


def _why_filter_unsupported(graph: ModelGraph, op: Op) -> str | None:
    weights = graph.tensors[op.inputs[1]]
    if not weights.is_constant or weights.dtype != "int8" or not weights.scales:
        return "its weights are not constant int8 with scales"
    if any(weights.zero_points):
        return "its weights have a zero point other than 0"
    outputs = weights.shape[CHANNEL_AXIS[op.kind]]
    if len(weights.scales) not in (1, outputs):
        return f"it has {len(weights.scales)} weight scales for {outputs} output channels"
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        bias = graph.tensors[op.inputs[2]]
        if not bias.is_constant or bias.dtype != "int32":
            return "its bias is not constant int32"
    channels = graph.tensors[op.inputs[0]].shape[-1]
    if op.kind == "CONV_2D" and weights.shape[-1] != channels:
        return f"it is a grouped convolution ({channels} channels, filters of {weights.shape[-1]})"
    if op.kind == "DEPTHWISE_CONV_2D" and outputs != channels * op.depth_multiplier:
        return f"its depth multiplier {op.depth_multiplier} does not match its {outputs} filters"
    return None


def _why_pad_unsupported(graph: ModelGraph, op: Op) -> str | None:
    if not op.pads or op.pads[0] != (0, 0) or op.pads[3] != (0, 0):
        return "it pads other axes than height and width, or by amounts that are not constant"
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        value = graph.tensors[op.inputs[2]].data
        if value is None or int(value.ravel()[0]) != graph.tensors[op.outputs[0]].zero_points[0]:
            return "it pads with a value other than the zero point"
    if graph.tensors[op.inputs[0]].format != graph.tensors[op.outputs[0]].format:
        return "its input and output formats differ"
    return None


def _why_no_table(graph: ModelGraph, op: Op) -> str | None:
    try:
        Lookup.of(graph, op)
    except ValueError as error:
        return str(error)
    return None


def folded_maps(graph: ModelGraph) -> frozenset[int]:
    """Tensors that no converted model has: what LOGISTIC gives to a MUL that becomes one table with it (SiLU)."""
    gates = ((op, gate) for op in graph.ops if (gate := gate_of(graph, op)))
    return frozenset(gate.outputs[0] for op, gate in gates if why_unsupported(graph, op) is None)


def lower_op(graph: ModelGraph, op: Op, *, weight_bits: int = 8, rounded: RoundedWeights | None = None) -> LoweredOp:
    """Lowers one op.

    Args:
      op: of `graph`.
      weight_bits: 8 keeps the model's weights; 4 or 2 re-quantises them, one scale an output channel.
      rounded: the weights of that width, if they are others; of 8 bits with as many scales as the model's have.

    Raises:
      UnsupportedModelError: our kernels cannot run the op exactly.
      UsageError: `rounded` does not fit the op.
    """
    output = graph.tensors[op.outputs[0]]
    reason = why_unsupported(graph, op)
    if reason:
        raise UnsupportedModelError(f"{op.kind} '{output.label}' (op {op.index}) cannot become a QMCU_ op: {reason}")
    window = op.window or Window()
    if op.pads:
        window = Window(pad_top=op.pads[1][0], pad_left=op.pads[2][0])
    gate = gate_of(graph, op)
    lookup = Lookup.of(graph, op) if gate or op.kind in LOOKUPS else None
    return LoweredOp(
        kind="REQUANTIZE" if op.kind in REQUANTIZED else "LUT" if lookup else op.kind,
        name=output.label,
        inputs=graph.feature_maps(gate or op),
        output=output.index,
        window=window,
        activation={"RELU": "RELU", "RELU6": "RELU6"}.get(op.kind, op.activation),
        depth_multiplier=op.depth_multiplier,
        filter=_filter(graph, op, weight_bits, rounded) if op.kind in CONVOLUTIONS else None,
        float32_ratio=op.kind == "RELU",
        lookup=lookup,
    )


def lower_planned(graph: ModelGraph, op: Op, plan: PrecisionPlan) -> LoweredOp:
    """Lowers an op outside stages with the weights and the bias that a plan gives it; raises as `lower_op`."""
    name = graph.tensors[op.inputs[1]].name if op.kind in CONVOLUTIONS else ""
    lowered = lower_op(graph, op, weight_bits=plan.weight_bits.get(name, 8), rounded=plan.rounded_weights.get(name))
    return lowered.corrected(plan.bias_corrections.get(graph.tensors[lowered.output].name))


def _filter(graph: ModelGraph, op: Op, bits: int, rounded: RoundedWeights | None) -> Filter:
    weights = graph.tensors[op.inputs[1]]
    assert weights.data is not None
    values = weights.data[0] if op.kind == "DEPTHWISE_CONV_2D" else weights.data
    axis = CHANNEL_AXIS[op.kind] % values.ndim
    outputs = values.shape[axis]
    has_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
    bias = _constant(graph.tensors[op.inputs[2]]) if has_bias else np.zeros(outputs, np.int32)
    model_scales = np.asarray(weights.scales, np.float32)
    if rounded is not None and rounded.bits == bits:
        values, scales = _rounded(weights, rounded, values.shape, model_scales.size if bits == 8 else outputs)
    elif bits == 8:
        scales = model_scales
    else:
        values, scales = _requantized(values.tobytes(), values.shape, weights.scales, axis, bits)
    return Filter(
        values=values,
        bits=bits,
        scales=scales,
        bias=bias.astype(np.int64),
        model_scales=model_scales,
        model_input_scale=graph.tensors[op.inputs[0]].scales[0],
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
