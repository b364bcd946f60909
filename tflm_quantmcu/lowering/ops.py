"""An op of an int8 model as a QMCU_ op, its filter as integers; and what brings its sums to its output, as laws A2-A8
and A11 say.

In: LoweredOp (lower.py makes them) and formats. Out: its int32 table and clamps (docs/format.md F3, F4). Refuses what
leaves int32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.op_kind import OpKind, Table
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.types import Format, Window
from tflm_quantmcu.law.clamps import clamp_range
from tflm_quantmcu.law.constant_operands import difference_ratios
from tflm_quantmcu.law.fixed_point import (
    mean_multiplier,
    multiply,
    quantize_multiplier,
    quantize_multipliers,
    round_half_away,
)
from tflm_quantmcu.law.joined import Joined
from tflm_quantmcu.law.lookups import Lookup
from tflm_quantmcu.law.packing import pack

_INT32 = np.iinfo(np.int32)
_LARGEST_PRODUCT = 255 * 128  # of a difference of 8 bits and a weight
_BEYOND_CLAMPS = 1 << 9


@dataclasses.dataclass(frozen=True, eq=False)
class Filter:
    """Weights of a convolution or fully connected op.

    Attributes:
      values: int8, [O, Kh, Kw, I], depthwise [Kh, Kw, O], fully connected [O, I].
      bits: 8, 4 or 2; the values' range.
      scales: float32 [O], or one where the model's own weights have one.
      bias: int64 [O], in steps of `model_input_scale * model_scales`.
      correction: float64 [O], real values added to the bias, or None.
      model_scales: the scales of the model's own weights.
      model_input_scale: the input's scale in the model.
    """

    values: np.ndarray
    bits: int
    scales: np.ndarray
    bias: np.ndarray
    model_scales: np.ndarray
    model_input_scale: float
    correction: np.ndarray | None = None

    def has_weights(self, kind: OpKind) -> np.ndarray:
        """bool [O]: whether any weight of the channel of such an op is not 0."""
        channels = self.values if kind.is_depthwise else np.moveaxis(self.values, 0, -1)
        return np.any(channels, axis=tuple(range(channels.ndim - 1)))

    @property
    def packed(self) -> np.ndarray:
        """The values, uint8 in the shape of docs/format.md F2."""
        return pack(self.values, self.bits)


@dataclasses.dataclass(frozen=True, eq=False)
class LoweredOp:
    """One QMCU_ op before formats are chosen.

    Attributes:
      kind: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, AVERAGE_POOL_2D, MAX_POOL_2D, REQUANTIZE, LUT or
        CHANNEL_LUT; in a stage also MUL, SUB and GATHER_CHANNELS, at its end MEAN or GLOBAL_AVERAGE_POOL_2D.
      name: the output tensor's name, for messages.
      inputs: tensor indices of the feature maps read; of GATHER_CHANNELS one that is there again gives zeros.
      output: tensor index written.
      float32_ratio: the scale ratio is taken in float32 first (law A7, RELU).
      num_pixels: of the map that a MEAN is taken over (law A11).
      lookup: what a LUT's table holds.
      runs: of GATHER_CHANNELS (first, count), channels of all inputs one behind the other (law A27).
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
    lookup: Lookup | Joined | None = None
    runs: tuple[tuple[int, int], ...] = ()

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

    def clamp_range(self, output: Format) -> tuple[int, int]:
        """The activation clamps of law A8 in the output's format."""
        return clamp_range(self.activation, output)

    def requantization_table(self, inputs: Sequence[Format], output: Format) -> np.ndarray:
        """The op's int32 table (docs/format.md F3, F4) for these formats.

        Returns:
          Convolutions: [3 * O] bias, multiplier, shift. Add, sub: [6]. Mul, pools and requantize: [2]. LUT: its
          entries, four a word, CHANNEL_LUT: those of one channel behind the other. GATHER_CHANNELS: [2 * inputs + 2 *
          runs].

        Raises:
          UnsupportedModelError: a re-quantised bias or a multiplier does not fit.
        """
        if self.filter is not None:
            return _convolution_table(self, self.filter, inputs[0], output)
        if self.kind == "SUB":
            ratios = difference_ratios([f.scale for f in inputs], output.scale)
            return np.array([w for r in ratios for w in quantize_multiplier(r)], np.int32)
        if self.kind == "MUL":
            return np.array(quantize_multiplier(inputs[0].scale * inputs[1].scale / output.scale), np.int32)
        if self.traits.table is Table.SUM:
            twice_max = 2 * float(np.float32(max(f.scale for f in inputs)))
            ratios = [f.scale / twice_max for f in inputs] + [twice_max / ((1 << 20) * output.scale)]
            return np.array([w for r in ratios for w in quantize_multiplier(r)], np.int32)
        if self.traits.table is Table.CHANNEL_RUNS:
            is_again = [t in self.inputs[:j] for j, t in enumerate(self.inputs)]
            ratios = [0.0 if a else f.scale / output.scale for a, f in zip(is_again, inputs, strict=True)]
            factors = [w for ratio in ratios for w in quantize_multiplier(ratio)]
            return np.array([*factors, *(n for run in self.runs for n in run)], np.int32)
        if self.kind == "MEAN":
            factor = quantize_multiplier(inputs[0].scale / output.scale)
            return np.array(mean_multiplier(factor, self.num_pixels), np.int32)
        if self.lookup is not None:
            return self.lookup.table(inputs[0], output, self.clamp_range(output)).ravel().view("<i4").astype(np.int32)
        if self.float32_ratio:
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
    multipliers, shifts = quantize_multipliers(np.broadcast_to(real, outputs))
    model_step = filter.model_input_scale * filter.model_scales.astype(np.float64)
    step = source.scale * filter.scales.astype(np.float64)
    bias = filter.bias.astype(np.float64)
    if filter.correction is not None or not np.array_equal(step, model_step):
        correction = 0.0 if filter.correction is None else filter.correction / step
        bias = round_half_away(bias * (model_step / step) + correction)
    words = np.stack([bias, multipliers.astype(np.float64), shifts.astype(np.float64)])
    is_constant = (np.abs(bias) > sum_room(filter.values.size // outputs)) & ~filter.has_weights(op.traits)
    words[:, is_constant] = _of_constants(words[:, is_constant])
    if np.abs(words).max(initial=0) >= 2**31 or words[2].max(initial=0) > 30:
        raise UnsupportedModelError(
            f"{op.kind} '{op.name}': a bias or multiplier leaves int32 at these widths; keep its maps at more bits"
        )
    return words.astype(np.int32).ravel()


def sum_room(num_products: int) -> int:
    """The largest bias beside which so many products of 8 bits stay within int32, as the device checks it."""
    return int(_INT32.max) - num_products * _LARGEST_PRODUCT


def _of_constants(words: np.ndarray) -> np.ndarray:
    """The same outputs of channels without weights, whose biases TFLite saturates where their scales are tiny: float64
    [3, channels], biases, multipliers and shifts. Outputs beyond every clamp may be others beyond it."""
    values = multiply(np.clip(words[0], _INT32.min, _INT32.max).astype(np.int64), *words[1:].astype(np.int64))
    steps = 2.0 * np.clip(values, -_BEYOND_CLAMPS, _BEYOND_CLAMPS)
    return np.stack([steps, np.full(steps.shape, 2.0**30), np.zeros(steps.shape)])
