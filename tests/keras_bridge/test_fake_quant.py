"""The training layers hold values to the formats and let gradients through."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.keras_bridge.fake_quant import (
    EXPONENT_RATE,
    FakeQuantizedKernels,
    FakeQuantizedMap,
    FreezableNormalization,
    Kernel,
    kernel_rows,
    round_straight_through,
)
from tflm_quantmcu.keras_bridge.to_tflite import keras, tf
from tflm_quantmcu.law.ranges import requantize_weights

FORMAT = Format(4, 0.25, -3)  # steps from -5 to 10


def test_rounding_lets_gradients_through():
    x = tf.constant([-1.6, -0.4, 0.5, 2.2])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = round_straight_through(x)
    assert np.array_equal(y, [-2, 0, 1, 2])
    assert np.array_equal(tape.gradient(y, x), [1, 1, 1, 1])


def test_a_map_takes_the_values_of_its_format():
    x = np.random.default_rng(0).normal(0, 2, (2, 3, 4, 5)).astype(np.float32)
    expected = np.clip(np.floor(x / 0.25 + 0.5), -5, 10) * 0.25
    assert np.array_equal(FakeQuantizedMap([FORMAT])(x), expected)


def test_the_exponent_learns_from_rounding_inside_and_from_the_clip_outside():
    layer = FakeQuantizedMap([FORMAT])
    for value, steps, x_gradient in ((0.3, 1.0, 1.0), (-1.1, -4.0, 1.0), (9.0, 10.0, 0.0), (-9.0, -5.0, 0.0)):
        x = tf.constant([[value]])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        by_x, by_exponent = tape.gradient(y, [x, layer.exponents.value])
        by_scale = steps - (value / 0.25 if x_gradient else 0)
        assert by_x.numpy().item() == x_gradient
        assert by_exponent.numpy().item() == pytest.approx(by_scale * 0.25 * np.log(2) * EXPONENT_RATE, rel=1e-4)


def test_eight_bit_maps_are_rounded_but_not_clipped_nor_learned():
    layer = FakeQuantizedMap([Format(8, 0.5, -128)])
    assert np.array_equal(layer(np.array([[-7.3, 0.2, 500.0]], np.float32)), [[-7.5, 0.0, 500.0]])
    assert not layer.trainable_weights
    assert layer.learned_formats() == [Format(8, 0.5, -128)]


def test_each_position_has_the_format_of_its_class():
    formats = [FORMAT, Format(2, 1.0, -2), Format(8, 0.125, 0)]
    grid = np.array([[0, 1, 2], [2, 1, 0]])
    x = np.random.default_rng(1).normal(0, 3, (2, 2, 3, 4)).astype(np.float32)
    y = np.asarray(FakeQuantizedMap(formats, grid)(x))
    for k, format in enumerate(formats):
        assert np.array_equal(y[:, grid == k], FakeQuantizedMap([format])(x[:, grid == k]))


def test_learned_formats_keep_bits_and_zero_point():
    layer = FakeQuantizedMap([FORMAT, Format(8, 0.5, 3)], np.zeros((1, 1), int))
    layer.exponents.assign([1 / EXPONENT_RATE, 5.0])
    assert layer.learned_formats() == [Format(4, 0.5, -3), Format(8, 0.5, 3)]


def _layers() -> list[tuple[keras.layers.Layer, tuple[int, ...], int]]:
    return [
        (keras.layers.Conv2D(4, 3, strides=2, activation="relu"), (2, 7, 7, 3), 1),
        (keras.layers.DepthwiseConv2D((3, 2), depth_multiplier=2), (2, 7, 7, 3), 2),
        (keras.layers.Dense(5), (2, 9), 1),
    ]


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("number", range(3))
def test_a_layer_computes_with_the_kernel_that_the_converter_makes(number, bits):
    keras.utils.set_random_seed(number)
    layer, shape, channel_axes = _layers()[number]
    x = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    layer(x)
    values = np.asarray(layer.kernel, np.float64)
    rows = kernel_rows(values, channel_axes)
    signs = np.where(np.arange(len(rows)) % 2, 1, -1)
    kernel = Kernel(layer, 0, channel_axes, signs)
    if bits == 8:
        scales = np.abs(rows).max(axis=1, keepdims=True) / 127
        expected = np.round(rows / scales) * scales
    else:
        q, scales = requantize_weights(rows * signs[:, None], 0, bits)
        expected = q * scales[:, None] * signs[:, None]
    wrapped = FakeQuantizedKernels(layer, [kernel], [bits])
    assert kernel_rows(np.asarray(wrapped.quantized(kernel)), channel_axes) == pytest.approx(expected, abs=1e-6)

    y = np.asarray(wrapped(x))
    assert np.array_equal(layer.kernel, values.astype(np.float32)), "the layer keeps its own kernel"
    layer.kernel.assign(wrapped.quantized(kernel))
    assert y == pytest.approx(np.asarray(layer(x)), abs=1e-5)


@pytest.mark.parametrize("bits", [8, 2])
def test_gradients_reach_the_kernel_the_bias_and_the_exponents(bits):
    layer, shape, channel_axes = _layers()[0]
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    layer(x)
    wrapped = FakeQuantizedKernels(layer, [Kernel(layer, 0, channel_axes, np.ones(4, int))], [bits])
    assert len(wrapped.trainable_weights) == (3 if bits == 2 else 2)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(wrapped(x) ** 2)
    for gradient in tape.gradient(y, [v.value for v in wrapped.trainable_weights]):
        assert np.abs(gradient).max() > 0


def test_frozen_normalisation_keeps_its_statistics_and_learns_on():
    norm = keras.layers.BatchNormalization(momentum=0.5)
    layer = FreezableNormalization(norm)
    x = np.random.default_rng(4).normal(3, 2, (8, 5)).astype(np.float32)
    layer(x, training=True)
    moved = np.asarray(norm.moving_mean)
    assert np.abs(moved).min() > 0.5
    layer.is_frozen.assign(1.0)
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
        loss = tf.reduce_sum(y**2)
    assert np.array_equal(norm.moving_mean, moved)
    assert np.array_equal(y, norm(x, training=False))
    assert np.abs(tape.gradient(loss, norm.gamma.value)).min() > 0
