"""Lowers ops of an int8 model to QMCU_ ops: filters as integers, requantisation tables as laws A2-A8 say.

In: ModelGraph and formats. Out: LoweredOp, and the int32 table of one op for given input and output formats.
Refuses, with the
reason in words, every op that our kernels cannot carry over exactly.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.arithmetic import quantize_multiplier, round_half_away
from tflm_quantmcu.errors import UnsupportedModelError
from tflm_quantmcu.ranges import requantize_weights
from tflm_quantmcu.types import Format, ModelGraph, Op, Tensor, Window

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
      model_scales: the scales of the model's own 8-bit weights.
      model_input_scale: the input's scale in the model.
    """

    values: np.ndarray
    bits: int
    scales: np.ndarray
    bias: np.ndarray
    model_scales: np.ndarray
    model_input_scale: float


@dataclasses.dataclass(frozen=True, eq=False)
class LoweredOp:
    """One QMCU_ op before formats are chosen.

    Attributes:
      kind: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, AVERAGE_POOL_2D, MAX_POOL_2D or REQUANTIZE; at the end of
        a stage also MEAN or GLOBAL_AVERAGE_POOL_2D.
      name: the output tensor's name, for messages.
      inputs: tensor indices of the feature maps read.
      output: tensor index written.
      float32_ratio: the scale ratio is taken in float32 first (law A7, RELU).
      num_pixels: of the map that a MEAN is taken over (law A11).
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


def why_unsupported(graph: ModelGraph, op: Op) -> str | None:
    """The reason why our kernels cannot run `op` of an int8 model, or None if they can."""
    maps = graph.feature_maps(op)
    tensors = [graph.tensors[t] for t in (*maps, *op.outputs)]
    if op.kind not in (*CONVOLUTIONS, *POOLS, *REQUANTIZED, "ADD"):
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


def lower_op(graph: ModelGraph, op: Op, *, weight_bits: int = 8) -> LoweredOp:
    """Lowers one op.

    Args:
      op: of `graph`.
      weight_bits: 8 keeps the model's weights; 4 or 2 re-quantises them, one scale an output channel.

    Raises:
      UnsupportedModelError: our kernels cannot run the op exactly.
    """
    output = graph.tensors[op.outputs[0]]
    reason = why_unsupported(graph, op)
    if reason:
        raise UnsupportedModelError(f"{op.kind} '{output.label}' (op {op.index}) cannot become a QMCU_ op: {reason}")
    window = op.window or Window()
    if op.pads:
        window = Window(pad_top=op.pads[1][0], pad_left=op.pads[2][0])
    return LoweredOp(
        kind="REQUANTIZE" if op.kind in REQUANTIZED else op.kind,
        name=output.label,
        inputs=graph.feature_maps(op),
        output=output.index,
        window=window,
        activation={"RELU": "RELU", "RELU6": "RELU6"}.get(op.kind, op.activation),
        depth_multiplier=op.depth_multiplier,
        filter=_filter(graph, op, weight_bits) if op.kind in CONVOLUTIONS else None,
        float32_ratio=op.kind == "RELU",
    )


def _filter(graph: ModelGraph, op: Op, bits: int) -> Filter:
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


def lower_region(graph: ModelGraph, ops: Sequence[Op], weight_bits: Mapping[str, int]) -> tuple[LoweredOp, ...]:
    """Lowers the ops of a stage; a PAD that only convolutions of the stage read is folded into their windows.

    Args:
      ops: in execution order.
      weight_bits: weight tensor name -> bits; absent is 8.

    Raises:
      UnsupportedModelError: our kernels cannot run an op exactly.
    """
    reduction = lower_reduction(graph, ops, weight_bits)
    if reduction:
        return (*lower_region(graph, ops[: -reduction.num_ops], weight_bits), reduction.op)
    lowered = []
    for op in ops:
        bits = weight_bits.get(graph.tensors[op.inputs[1]].name, 8) if op.kind in CONVOLUTIONS else 8
        lowered.append(lower_op(graph, op, weight_bits=bits))
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
    return tuple(_fold_pad(low, folded) for low in lowered if low.output not in folded)


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


def lower_reduction(graph: ModelGraph, ops: Sequence[Op], weight_bits: Mapping[str, int]) -> Reduction | None:
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
        bits = weight_bits.get(graph.tensors[last.inputs[1]].name, 8)
        if why_unsupported(graph, last) or (source.shape[3] * bits) % 8:
            return None
        return Reduction(dataclasses.replace(lower_op(graph, last, weight_bits=bits), inputs=(source.index,)), num_ops)
    pixels = source.shape[1] * source.shape[2]
    if pixels > MAX_POOL_PIXELS:
        return None
    if last.kind == "MEAN" and _mean_axes(graph, last) == {1, 2}:
        return Reduction(LoweredOp("MEAN", window=Window(), activation="NONE", num_pixels=pixels, **place), 1)
    if last.kind == "AVERAGE_POOL_2D" and _pools_all(last, source.shape) and why_unsupported(graph, last) is None:
        return Reduction(LoweredOp("GLOBAL_AVERAGE_POOL_2D", window=Window(), activation=last.activation, **place), 1)
    return None


def _mean_axes(graph: ModelGraph, op: Op) -> set[int]:
    axes = graph.tensors[op.inputs[1]].data
    return set() if axes is None else {int(a) % len(graph.tensors[op.inputs[0]].shape) for a in axes.ravel()}


def _pools_all(op: Op, shape: tuple[int, ...]) -> bool:
    """Whether the one window of a pool is the whole map."""
    window = op.window or Window()
    return (window.kernel_height, window.kernel_width, window.pad_top, window.pad_left) == (*shape[1:3], 0, 0)


def requantization_table(op: LoweredOp, inputs: Sequence[Format], output: Format) -> np.ndarray:
    """The op's int32 table (docs/format.md F3, F4) for these formats.

    Returns:
      Convolutions: [3 * O] bias, multiplier, shift. Add: [6]. Pools and requantize: [2].

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
        return _mean_table(op, inputs[0].scale / output.scale)
    if op.float32_ratio:
        ratio = float(np.float32(inputs[0].scale) / np.float32(output.scale))
    else:
        ratio = inputs[0].scale / output.scale
    return np.array(quantize_multiplier(ratio), np.int32)


def _mean_table(op: LoweredOp, ratio: float) -> np.ndarray:
    """Law A11: the multiplier holds 1 / num_pixels."""
    multiplier, shift = quantize_multiplier(ratio)
    spare = min(op.num_pixels.bit_length() - 1, 32, 31 + shift)
    return np.array(((multiplier << spare) // op.num_pixels, shift - spare), np.int32)


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
    if filter.bits != 8 or source.scale != filter.model_input_scale:
        bias = round_half_away(bias * (model_step / step))
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
