"""The ops of stock TFLM between a network's input and its scores that no QMCU_ op replaces.

In: an op of a ModelGraph and its input [N, ...]. Out: the values that TFLM's reference kernels
give, or None for what is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tflm_quantmcu.fixed_point import multiply, quantize_multiplier, round_half_away
from tflm_quantmcu.types import ModelGraph, Op, Tensor

RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def run(graph: ModelGraph, op: Op, x: np.ndarray) -> np.ndarray | None:
    """Runs one op.

    Args:
      graph: the model; tensors keep batch 1 in front.
      op: RESHAPE, SQUEEZE, EXPAND_DIMS, PAD, PADV2, MEAN or QUANTIZE; any other is not known.
      x: [N, ...], values of the op's first input.

    Returns:
      The output's values with N in front, or None if the op, its types or its axes are not known.
    """
    kernel = _KERNELS.get(op.kind)
    has_batch = all(graph.tensors[t].shape[:1] == (1,) for t in (op.inputs[0], op.outputs[0]))
    return kernel(graph, op, x) if kernel and has_batch else None


def _reshape(graph: ModelGraph, op: Op, x: np.ndarray) -> np.ndarray | None:
    del graph, op  # The shape is the caller's to set.
    return x


def _pad(graph: ModelGraph, op: Op, x: np.ndarray) -> np.ndarray | None:
    output = graph.tensors[op.outputs[0]]
    if not op.pads or op.pads[0] != (0, 0) or output.dtype != "int8":
        return None
    fill = output.zero_points[0]
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        value = graph.tensors[op.inputs[2]].data
        if value is None:
            return None
        fill = int(value.ravel()[0])
    return np.pad(x, op.pads, constant_values=fill)


def _mean(graph: ModelGraph, op: Op, x: np.ndarray) -> np.ndarray | None:
    """Source: QuantizedMeanOrSum of TFLM's reference/reduce.h: 1/count is in the multiplier."""
    source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    axes_data = graph.tensors[op.inputs[1]].data
    if source.dtype != "int8" or axes_data is None:
        return None
    axes = tuple({int(a) % len(source.shape) for a in axes_data.ravel()})
    if 0 in axes:
        return None
    count = int(np.prod([source.shape[a] for a in axes]))
    multiplier, shift = quantize_multiplier(source.scales[0] / output.scales[0])
    spare = min(count.bit_length() - 1, 32, 31 + shift)
    total = x.sum(axis=axes, dtype=np.int64) - source.zero_points[0] * count
    scaled = multiply(total, (multiplier << spare) // count, shift - spare)
    return _saturate(scaled.astype(np.int64), output)


def _quantize(graph: ModelGraph, op: Op, x: np.ndarray) -> np.ndarray | None:
    """Source: AffineQuantize and Requantize of TFLM's reference kernels."""
    source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if output.dtype not in ("int8", "uint8") or len(output.scales) != 1:
        return None
    if source.dtype == "float32":
        steps = round_half_away(x / np.float32(output.scales[0]))
        return _saturate(steps, output)
    if source.dtype in ("int8", "uint8") and len(source.scales) == 1:
        multiplier, shift = quantize_multiplier(source.scales[0] / output.scales[0])
        scaled = multiply(x.astype(np.int64) - source.zero_points[0], multiplier, shift)
        return _saturate(scaled.astype(np.int64), output)
    return None


def _saturate(x: np.ndarray, output: Tensor) -> np.ndarray:
    """Adds the zero point and saturates to the tensor's type."""
    limits = np.iinfo(output.dtype)
    return np.clip(x + output.zero_points[0], limits.min, limits.max).astype(output.dtype)


_KERNELS: Mapping[str, Callable[[ModelGraph, Op, np.ndarray], np.ndarray | None]] = {
    **dict.fromkeys(RESHAPES, _reshape),
    "PAD": _pad,
    "PADV2": _pad,
    "MEAN": _mean,
    "QUANTIZE": _quantize,
}
