"""What brings an op's sums to its output: the int32 table and the clamps of a lowered op, as laws A2-A8 and A11 say.

In: LoweredOp and formats. Out: its table (docs/format.md F3, F4). Refuses what leaves int32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.op_kinds import Table
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.fixed_point import mean_multiplier, quantize_multiplier, round_half_away
from tflm_quantmcu.lowering.ops import Filter, LoweredOp


def requantization_table(op: LoweredOp, inputs: Sequence[Format], output: Format) -> np.ndarray:
    """The op's int32 table (docs/format.md F3, F4) for these formats.

    Returns:
      Convolutions: [3 * O] bias, multiplier, shift. Add: [6]. Pools and requantize: [2]. LUT: its entries, four a word,
      CHANNEL_LUT: those of one channel behind the other.

    Raises:
      UnsupportedModelError: a re-quantised bias or a multiplier does not fit.
    """
    if op.filter is not None:
        return _convolution_table(op, op.filter, inputs[0], output)
    if op.traits.table is Table.SUM:
        twice_max = 2 * float(np.float32(max(f.scale for f in inputs)))
        ratios = [f.scale / twice_max for f in inputs] + [twice_max / ((1 << 20) * output.scale)]
        return np.array([w for r in ratios for w in quantize_multiplier(r)], np.int32)
    if op.kind == "MEAN":
        factor = quantize_multiplier(inputs[0].scale / output.scale)
        return np.array(mean_multiplier(factor, op.num_pixels), np.int32)
    if op.lookup is not None:
        return op.lookup.table(inputs[0], output, clamp_range(op, output)).ravel().view("<i4").astype(np.int32)
    if op.float32_ratio:
        ratio = float(np.float32(inputs[0].scale) / np.float32(output.scale))
    else:
        ratio = inputs[0].scale / output.scale
    return np.array(quantize_multiplier(ratio), np.int32)


def _convolution_table(op: LoweredOp, filter: Filter, source: Format, output: Format) -> np.ndarray:
    outputs = filter.bias.size
    if op.traits.is_vector and filter.scales.size == 1:
        product = np.float32(source.scale) * filter.scales[:1]
        real = product.astype(np.float64) / output.scale
    else:
        real = source.scale * filter.scales.astype(np.float64) / output.scale
    pairs = np.array([quantize_multiplier(r) for r in np.broadcast_to(real, outputs)], np.int64)
    model_step = filter.model_input_scale * filter.model_scales.astype(np.float64)
    step = source.scale * filter.scales.astype(np.float64)
    bias = filter.bias.astype(np.float64)
    if filter.correction is not None or not np.array_equal(step, model_step):
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
