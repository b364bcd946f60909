"""Lowers ops of an int8 model to QMCU_ ops: filters as integers, requantisation tables as laws A2-A8 say.

In: ModelGraph and formats. Out: LoweredOp, and the int32 table of one op for given input and output formats.
Refuses, with the
reason in words, every op that our kernels cannot carry over exactly.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from tflm_quantmcu.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.fixed_point import mean_multiplier, quantize_multiplier, round_half_away
from tflm_quantmcu.lookups import LOOKUPS, Lookup, gate_of
from tflm_quantmcu.ranges import requantize_weights
from tflm_quantmcu.types import Format, ModelGraph, Op, PrecisionPlan, RoundedWeights, Tensor, Window

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
REQUANTIZED = ("PAD", "PADV2", "QUANTIZE", "RELU", "RELU6")
MAX_POOL_PIXELS = 1 << 23  # whose 8-bit values' sum fits int32
_KEPT_FILTERS = 256
CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": -1, "FULLY_CONNECTED": 0}


@dataclasses.dataclass(frozen=True, eq=False)
class Filter:
    """Weights of a convolution or fully connected op.

    Attributes:
      values: int8, [O, Kh, Kw, I], depthwise [Kh, Kw, O], fully connected [O, I].
      bits: 8, 4 or 2; the values' range.
      scales: float32, one for fully connected per tensor, else [O].
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
      rounded: the weights of that width, if they are not to be rounded to the nearest.

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
    if bits == 8:
        scales = model_scales
    elif rounded is not None and rounded.bits == bits:
        values, scales = _rounded(weights, rounded, values.shape, outputs)
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
    weights: Tensor, rounded: RoundedWeights, shape: tuple[int, ...], outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    values = np.frombuffer(rounded.values, np.int8)
    scales = np.asarray(rounded.scales, np.float32)
    limit = 1 << (rounded.bits - 1)
    if values.size != weights.num_elements or scales.shape != (outputs,):
        raise UsageError(
            f"the plan rounds {values.size} weights '{weights.label}' with {scales.size} scales; the model has "
            f"{weights.num_elements} for {outputs} output channels"
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


def lower_region(
    graph: ModelGraph,
    ops: Sequence[Op],
    weight_bits: Mapping[str, int],
    rounded_weights: Mapping[str, RoundedWeights] = MappingProxyType({}),
) -> tuple[LoweredOp, ...]:
    """Lowers the ops of a stage; a PAD that only convolutions of the stage read is folded into their windows, a
    LOGISTIC of SiLU into its MUL.

    Args:
      ops: in execution order.
      weight_bits: weight tensor name -> bits; absent is 8.
      rounded_weights: weight tensor name -> values, of those that are not rounded to the nearest.

    Raises:
      UnsupportedModelError: our kernels cannot run an op exactly.
    """
    reduction = lower_reduction(graph, ops, weight_bits, rounded_weights)
    if reduction:
        return (*lower_region(graph, ops[: -reduction.num_ops], weight_bits, rounded_weights), reduction.op)
    lowered = []
    for op in ops:
        name = graph.tensors[op.inputs[1]].name if op.kind in CONVOLUTIONS else ""
        lowered.append(lower_op(graph, op, weight_bits=weight_bits.get(name, 8), rounded=rounded_weights.get(name)))
    inside = {op.index for op in ops}
    folded = {
        op.outputs[0]: low
        for op, low in zip(ops, lowered, strict=True)
        if op.pads
        and graph.consumers[op.outputs[0]]
        and op.outputs[0] not in graph.outputs
        and all(
            c.index in inside and c.kind in ("CONV_2D", "DEPTHWISE_CONV_2D") for c in graph.consumers[op.outputs[0]]
        )
    }
    gates = {gate.outputs[0] for op in ops if (gate := gate_of(graph, op))}
    halves = folded_maps(graph) & {low.output for low in lowered} - gates
    if halves:
        name = graph.tensors[min(halves)].label
        raise UnsupportedModelError(f"a stage ends inside x * LOGISTIC(x), at '{name}'; let it end before or behind")
    return tuple(_fold_pad(low, folded) for low in lowered if low.output not in {*folded, *gates})


def _fold_pad(op: LoweredOp, pads: Mapping[int, LoweredOp]) -> LoweredOp:
    pad = pads.get(op.inputs[0])
    if pad is None:
        return op
    window = dataclasses.replace(
        op.window,
        pad_top=op.window.pad_top + pad.window.pad_top,
        pad_left=op.window.pad_left + pad.window.pad_left,
    )
    return _fold_pad(dataclasses.replace(op, window=window, inputs=pad.inputs), pads)


@dataclasses.dataclass(frozen=True, eq=False)
class Reduction:
    """The end of a region that makes one pixel of a map: its last op, or a reshape and its last op."""

    op: LoweredOp
    num_ops: int


def lower_reduction(
    graph: ModelGraph,
    ops: Sequence[Op],
    weight_bits: Mapping[str, int],
    rounded_weights: Mapping[str, RoundedWeights] = MappingProxyType({}),
) -> Reduction | None:
    """Lowers the end of a region, if it is a reduction that can be taken piece by piece (docs/format.md F4)."""
    last = ops[-1]
    num_ops = 2 if len(ops) > 2 and last.kind == "FULLY_CONNECTED" and ops[-2].kind == "RESHAPE" else 1
    if len(ops) <= num_ops:
        return None
    source, output = graph.tensors[graph.feature_maps(ops[-num_ops])[0]], graph.tensors[last.outputs[0]]
    if len(source.shape) != 4 or source.shape[:1] != (1,) or source.shape[1:3] == (1, 1):
        return None
    if any(t.dtype != "int8" or len(t.scales) != 1 for t in (source, output)):
        return None
    place: dict[str, Any] = {"name": output.label, "inputs": (source.index,), "output": output.index}
    if last.kind == "FULLY_CONNECTED":
        name = graph.tensors[last.inputs[1]].name
        bits = weight_bits.get(name, 8)
        if why_unsupported(graph, last) or (source.shape[3] * bits) % 8:
            return None
        low = lower_op(graph, last, weight_bits=bits, rounded=rounded_weights.get(name))
        return Reduction(dataclasses.replace(low, inputs=(source.index,)), num_ops)
    pixels = source.shape[1] * source.shape[2]
    if pixels > MAX_POOL_PIXELS:
        return None
    if last.kind == "MEAN" and _mean_axes(graph, last) == {1, 2}:
        return Reduction(LoweredOp("MEAN", window=Window(), activation="NONE", num_pixels=pixels, **place), 1)
    is_global = last.kind == "AVERAGE_POOL_2D" and _pools_all(last, source.shape, output.shape)
    if is_global and why_unsupported(graph, last) is None:
        return Reduction(LoweredOp("GLOBAL_AVERAGE_POOL_2D", window=Window(), activation=last.activation, **place), 1)
    return None


def _mean_axes(graph: ModelGraph, op: Op) -> set[int]:
    axes = graph.tensors[op.inputs[1]].data
    return set() if axes is None else {int(a) % len(graph.tensors[op.inputs[0]].shape) for a in axes.ravel()}


def _pools_all(op: Op, shape: tuple[int, ...], output_shape: tuple[int, ...]) -> bool:
    """Whether a pool has one window, which is the whole map."""
    window = op.window or Window()
    covers_all = (window.kernel_height, window.kernel_width, window.pad_top, window.pad_left) == (*shape[1:3], 0, 0)
    return covers_all and output_shape[1:3] == (1, 1)


def requantization_table(op: LoweredOp, inputs: Sequence[Format], output: Format) -> np.ndarray:
    """The op's int32 table (docs/format.md F3, F4) for these formats.

    Returns:
      Convolutions: [3 * O] bias, multiplier, shift. Add: [6]. Pools and requantize: [2]. LUT: its entries, four a word.

    Raises:
      UnsupportedModelError: a re-quantised bias or a multiplier does not fit.
    """
    if op.filter is not None:
        return _convolution_table(op, op.filter, inputs[0], output)
    if op.kind == "ADD":
        twice_max = 2 * float(np.float32(max(f.scale for f in inputs)))
        ratios = [f.scale / twice_max for f in inputs] + [twice_max / ((1 << 20) * output.scale)]
        return np.array([w for r in ratios for w in quantize_multiplier(r)], np.int32)
    if op.kind == "MEAN":
        factor = quantize_multiplier(inputs[0].scale / output.scale)
        return np.array(mean_multiplier(factor, op.num_pixels), np.int32)
    if op.lookup is not None:
        return op.lookup.table(inputs[0], output, clamp_range(op, output)).view("<i4").astype(np.int32)
    if op.float32_ratio:
        ratio = float(np.float32(inputs[0].scale) / np.float32(output.scale))
    else:
        ratio = inputs[0].scale / output.scale
    return np.array(quantize_multiplier(ratio), np.int32)


def _convolution_table(op: LoweredOp, filter: Filter, source: Format, output: Format) -> np.ndarray:
    outputs = filter.bias.size
    if op.kind == "FULLY_CONNECTED" and filter.scales.size == 1:
        product = np.float32(source.scale) * filter.scales[:1]
        real = product.astype(np.float64) / output.scale
    else:
        real = source.scale * filter.scales.astype(np.float64) / output.scale
    pairs = np.array([quantize_multiplier(r) for r in np.broadcast_to(real, outputs)], np.int64)
    model_step = filter.model_input_scale * filter.model_scales.astype(np.float64)
    step = source.scale * filter.scales.astype(np.float64)
    bias = filter.bias.astype(np.float64)
    if filter.bits != 8 or source.scale != filter.model_input_scale or filter.correction is not None:
        correction = 0.0 if filter.correction is None else filter.correction / step
        bias = round_half_away(bias * (model_step / step) + correction)
    words = np.concatenate([bias, *pairs.T.astype(np.float64)])
    if np.abs(words).max(initial=0) >= 2**31 or pairs[:, 1].max(initial=0) > 30:
        raise UnsupportedModelError(
            f"{op.kind} '{op.name}': a bias or multiplier leaves int32 at these widths; keep its maps at more bits"
        )
    return words.astype(np.int32)


def clamp_range(op: LoweredOp, output: Format) -> tuple[int, int]:
    """The activation clamps of law A8 in the output's format."""

    def q(real: float) -> int:
        steps = np.float32(real) / np.float32(output.scale)
        return output.zero_point + int(round_half_away(np.float64(steps)))

    low = {"RELU": 0.0, "RELU6": 0.0, "RELU_N1_TO_1": -1.0}.get(op.activation)
    high = {"RELU6": 6.0, "RELU_N1_TO_1": 1.0}.get(op.activation)
    clamp_min = output.qmin if low is None else max(output.qmin, q(low))
    clamp_max = output.qmax if high is None else min(output.qmax, q(high))
    return clamp_min, clamp_max
