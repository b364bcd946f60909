"""Keras layers that compute with the values our formats can hold, and let gradients through (law A9).

Rounding is straight through: forward it rounds, backward it is the identity. Scales below 8 bits are learned
as exponents of two from where the plan put them: inside the range their gradient is the rounding error, outside
the clip, as in TQT (arXiv 1903.08066) and, for the clip alone, PACT (arXiv 1805.06085). Zero points stay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.keras_bridge.to_tflite import keras
from tflm_quantmcu.law.ranges import requantize_weights

# Optimisers like Adam move every variable about equally far: an exponent goes so many times as far as a weight.
EXPONENT_RATE = 10.0
# Stands for "no clip"; a float32 step count beyond it has no fraction left to round.
_UNBOUNDED = float(1 << 24)


def round_straight_through(x: Any) -> Any:
    """x rounded to the nearest whole number, halves away from zero; its gradient is that of x."""
    rounded = keras.ops.sign(x) * keras.ops.floor(keras.ops.abs(x) + 0.5)
    return x + keras.ops.stop_gradient(rounded - x)


def fake_quantize(x: Any, scale: Any, low: Any, high: Any) -> Any:
    """Rounds x to steps of `scale` and clips it to [low, high] steps.

    Args:
      x: float tensor of any shape.
      scale: real value of a step, broadcast against x.
      low, high: steps, broadcast against x.
    """
    steps = round_straight_through(x / scale)
    return keras.ops.minimum(keras.ops.maximum(steps, low), high) * scale


class FakeQuantizedMap(keras.layers.Layer):
    """A feature map in the plan's formats.

    At 8 bits it rounds and does not clip: the ranges of 8-bit maps are measured anew after training.
    """

    def __init__(self, formats: Sequence[Format], grid: np.ndarray | None = None, **keywords: Any) -> None:
        """Makes the layer.

        Args:
          formats: distinct ones of the map.
          grid: int [H, W], which of them each position has; None where there is one format.
        """
        super().__init__(**keywords)
        self.formats = tuple(formats)
        self._grid = grid
        self.exponents = self.add_weight(
            shape=(len(formats),), initializer="zeros", name="exponents", trainable=any(f.bits < 8 for f in formats)
        )

    def call(self, x: Any) -> Any:
        lows = [f.qmin - f.zero_point if f.bits < 8 else -_UNBOUNDED for f in self.formats]
        highs = [f.qmax - f.zero_point if f.bits < 8 else _UNBOUNDED for f in self.formats]
        return fake_quantize(x, *(self._place(v, x) for v in (self.scales(), lows, highs)))

    def scales(self) -> Any:
        """The learned scale of each format."""
        below = np.array([f.bits < 8 for f in self.formats], np.float32)
        scales = np.array([f.scale for f in self.formats], np.float32)
        return keras.ops.power(2.0, self.exponents * (EXPONENT_RATE * below)) * scales

    def _place(self, values: Any, x: Any) -> Any:
        """The format's value at each position: a scalar, or an array that broadcasts over batch and channels."""
        if self._grid is None:
            return values[0]
        index = self._grid.reshape(*x.shape[1:-1], 1)
        return keras.ops.take(keras.ops.convert_to_tensor(values, "float32"), index)

    def learned_formats(self) -> list[Format]:
        """The formats with their learned scales; those of 8 bits are as they were."""
        factors = np.exp2(EXPONENT_RATE * np.asarray(self.exponents, np.float64))
        return [
            dataclasses.replace(f, scale=float(np.float32(f.scale * factor))) if f.bits < 8 else f
            for f, factor in zip(self.formats, factors, strict=True)
        ]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


@dataclasses.dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel among a layer's weights.

    Attributes:
      layer: whose it is.
      index: in `layer.weights`.
      channel_axes: how many of its last dimensions make up the output channels: 2 of a depthwise kernel, else 1.
      factors: one an output channel, which batch normalisation brings to the folded weights; 0 where it is not known.
    """

    layer: keras.layers.Layer
    index: int
    channel_axes: int
    factors: np.ndarray

    @property
    def variable(self) -> Any:
        return self.layer.weights[self.index]

    @property
    def signs(self) -> np.ndarray:
        """The factors' signs, 1 or -1: int64 [output channels]."""
        return np.where(self.factors < 0, -1, 1)


def kernel_rows(kernel: np.ndarray, channel_axes: int) -> np.ndarray:
    """A Keras kernel, float [..., output channels], as a view [output channels, taps x inputs], the order of a
    `.tflite`'s filters."""
    channels = int(np.prod(kernel.shape[-channel_axes:]))
    return kernel.reshape(-1, channels).T


class FakeQuantizedKernels(keras.layers.Layer):
    """A layer that computes with its kernels' values at 8, 4 or 2 bits, one symmetric scale an output channel.

    A factor that batch normalisation brings to a channel later, and the converter folds into the kernel, moves into the
    channel's scale: the quantised kernel is the folded one, whatever the statistics are at that moment.

    Sums with a kernel below 8 bits have coarse steps, input scale x weight scale: the bias is rounded to them (law A3),
    and the first of the two roundings of law A1 shows.
    """

    def __init__(
        self, layer: keras.layers.Layer, kernels: Sequence[Kernel], bits: Sequence[int], **keywords: Any
    ) -> None:
        super().__init__(**keywords)
        self.layer = layer
        self._kernels = tuple(zip(kernels, bits, strict=True))
        self._scales = {k.index: _least_error_scales(k, b) for k, b in self._kernels if b < 8}
        self.exponents = [
            self.add_weight(shape=self._scales[k.index].shape, initializer="zeros", name=f"exponents_{k.index}")
            for k, b in self._kernels
            if b < 8
        ]
        self._sums: Callable[[], _Sums] | None = None

    def round_sums(
        self, source: FakeQuantizedMap, output: FakeQuantizedMap, norm: keras.layers.BatchNormalization | None
    ) -> None:
        """Rounds bias and sums as the kernels will; of maps with several formats at the largest scale.

        Args:
          source, output: the maps that the layer reads, and that it gives with what is fused into it.
          norm: the batch normalisation that will be folded into the layer.
        """
        if len(self._kernels) == 1 and self.lowered():
            (kernel,) = self.lowered()
            # A function, since Keras would count layers held here as parts of this one.
            self._sums = lambda: _sums(self.layer, self._lowered_scale(kernel), source, output, norm)

    def call(self, *args: Any, **keywords: Any) -> Any:
        values = {id(k.variable): self.quantized(k) for k, _ in self._kernels}
        sums, bias = self._sums() if self._sums else None, getattr(self.layer, "bias", None)
        if sums is not None and bias is not None:
            values[id(bias)] = bias + sums.bias_error
        trainable, others = (
            [values.get(id(v), v) for v in variables]
            for variables in (self.layer.trainable_variables, self.layer.non_trainable_variables)
        )
        y = self.layer.stateless_call(trainable, others, *args, **keywords)[0]
        if sums is None:
            return y
        whole = y + sums.offset + (sums.bias_error if bias is None else 0.0)
        return round_straight_through(whole / sums.grid) * sums.grid - sums.offset

    def _lowered_scale(self, kernel: Kernel) -> Any:
        exponents = self.exponents[list(self._scales).index(kernel.index)]
        return keras.ops.power(2.0, exponents * EXPONENT_RATE) * self._scales[kernel.index]

    def lowered(self) -> list[Kernel]:
        """The kernels below 8 bits."""
        return [k for k, bits in self._kernels if bits < 8]

    def quantized(self, kernel: Kernel) -> Any:
        """The kernel's values as they will be converted."""
        bits = next(b for k, b in self._kernels if k.index == kernel.index)
        values = keras.ops.convert_to_tensor(kernel.variable)
        if bits == 8:
            axes = tuple(range(len(values.shape) - kernel.channel_axes))
            largest = keras.ops.max(keras.ops.abs(values), axis=axes, keepdims=True)
            scale = keras.ops.stop_gradient(keras.ops.maximum(largest, 1e-30)) / 127
            return fake_quantize(values, scale, -127.0, 127.0)
        scale = self._lowered_scale(kernel)
        signs = kernel.signs.reshape(scale.shape[-kernel.channel_axes :]).astype(np.float32)
        high = float((1 << (bits - 1)) - 1)
        return fake_quantize(values * signs, scale, -1.0 - high, high) * signs

    def compute_output_spec(self, *args: Any, **keywords: Any) -> Any:
        return self.layer.compute_output_spec(*args, **keywords)


@dataclasses.dataclass(frozen=True, eq=False)
class _Sums:
    """How a layer's sums are rounded, in units of its output before normalisation; [O] each.

    Attributes:
      bias_error: what rounding adds to the whole bias.
      offset: what normalisation adds to the layer's own bias.
      grid: of the first rounding of law A1.
    """

    bias_error: Any
    offset: Any
    grid: Any


def _sums(
    layer: keras.layers.Layer,
    weight_scale: Any,
    source: FakeQuantizedMap,
    output: FakeQuantizedMap,
    norm: keras.layers.BatchNormalization | None,
) -> _Sums:
    step = keras.ops.reshape(weight_scale, (-1,)) * keras.ops.max(source.scales())
    factor, offset = (keras.ops.ones_like(step), keras.ops.zeros_like(step)) if norm is None else folded(norm)
    bias = getattr(layer, "bias", None)
    whole = offset if bias is None else offset + bias
    error = round_straight_through(whole / step) * step - whole
    scale = keras.ops.max(output.scales())
    shift = keras.ops.floor(keras.ops.log2(step * keras.ops.abs(factor) / scale)) + 1
    grid = scale * keras.ops.power(2.0, keras.ops.minimum(shift, 0.0)) / keras.ops.abs(factor)
    return _Sums(*(keras.ops.stop_gradient(v) for v in (error, offset, grid)))


def folded(norm: keras.layers.BatchNormalization) -> tuple[Any, Any]:
    """The factor of a normalisation, and its offset as one before the factor."""
    factor = keras.ops.rsqrt(norm.moving_variance + norm.epsilon)
    if norm.gamma is not None:
        factor = factor * norm.gamma
    factor = keras.ops.where(keras.ops.abs(factor) < 1e-12, 1e-12, factor)
    return factor, (0.0 if norm.beta is None else norm.beta / factor) - norm.moving_mean


def _least_error_scales(kernel: Kernel, bits: int) -> np.ndarray:
    """Float32 scales, broadcasting against the kernel, as the converter would choose them."""
    values = np.asarray(kernel.variable, np.float64)
    rows = kernel_rows(values, kernel.channel_axes) * kernel.signs[:, None]
    scales = requantize_weights(rows, 0, bits)[1]
    taps = values.ndim - kernel.channel_axes
    return scales.reshape(*[1] * taps, *values.shape[taps:])


class FreezableNormalization(keras.layers.Layer):
    """Batch normalisation whose statistics can be frozen while training goes on; gamma and beta are learned further."""

    def __init__(self, layer: keras.layers.BatchNormalization, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.layer = layer
        self.is_frozen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="is_frozen")

    def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
        def normalize(training: bool) -> Any:
            return self.layer(x, training=training, mask=mask)

        if not training:
            return normalize(False)
        return keras.ops.cond(self.is_frozen > 0, lambda: normalize(False), lambda: normalize(True))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
