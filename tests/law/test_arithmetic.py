"""The oracle where hand-worked numbers or stock TFLM can say what is right; parity/ has the rest."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.law.arithmetic import multiply, quantize_multiplier, round_half_away
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.tflite.reader import read_model

CHANNELS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33)
RNG = np.random.default_rng(3)


def test_halves_round_away_from_zero_and_their_neighbours_do_not():
    below = np.nextafter(0.5, 0)
    x = [0.5, -0.5, 1.5, -2.5, below, -below, 2**52 + 1.0]
    assert round_half_away(x).tolist() == [1, -1, 2, -3, 0, 0, 2**52 + 1]


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (0.5, (1 << 30, 0)),
        (1 - 2.0**-40, (1 << 30, 1)),  # rounds up to 2^31, which is halved
        (2.0**-32, (1 << 30, -31)),
        (2.0**-33, (0, 0)),  # too small for a shift
        (2.0**29, (1 << 30, 30)),
    ],
)
def test_quantize_multiplier_at_its_edges(real, expected):
    assert quantize_multiplier(real) == expected


def test_multiply_broadcasts_and_wraps_to_int32():
    y = multiply(np.array([[1], [1 << 30]]), [1 << 30, 1 << 30], [1, 2])
    assert y.dtype == np.int32
    assert y.tolist() == [[1, 2], [-(1 << 30), 0]]


def weights(*shape: int) -> np.ndarray:
    return RNG.integers(-127, 128, shape).astype(np.int8)


def check(net: TinyModel, y: Handle, shape: tuple[int, ...]) -> None:
    """The simulated output equals stock TFLM's on noise and extremes."""
    model = net.build(y)
    graph = read_model(model)
    x = np.concatenate([RNG.integers(-128, 128, shape), np.full(shape, -128), np.full(shape, 127)])
    x = x.astype(np.int8)
    (expected,) = run_stock(model, x)
    actual = simulate(graph, None, x)[graph.tensors[graph.outputs[0]].name]
    np.testing.assert_array_equal(actual, expected)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize(("inputs", "outputs"), [*zip(CHANNELS, CHANNELS[::-1], strict=True), (64, 4)])
def test_conv2d_equals_stock_tflm(inputs, outputs):
    net = TinyModel()
    x = net.input((1, 4, 3, inputs), scale=0.1, zero_point=-20)
    scales = RNG.uniform(0.001, 0.02, outputs).tolist()
    bias = RNG.integers(-5000, 5000, outputs)
    filter = weights(outputs, 3, 3, inputs)
    scale = 0.1 * np.sqrt(inputs)
    y = net.conv2d(x, filter, bias, filter_scales=scales, stride=(1, 2), scale=scale, zero_point=9)
    check(net, y, x.shape)


@pytest.mark.parametrize("inputs", CHANNELS)
@pytest.mark.parametrize("multiplier", (1, 2))
def test_depthwise_conv2d_equals_stock_tflm(inputs, multiplier):
    net = TinyModel()
    x = net.input((1, 5, 4, inputs), scale=0.1, zero_point=127)
    scales = RNG.uniform(0.001, 0.02, inputs * multiplier).tolist()
    bias = RNG.integers(-5000, 5000, inputs * multiplier)
    filter = weights(3, 2, inputs * multiplier)
    y = net.depthwise_conv2d(x, filter, bias, filter_scales=scales, scale=0.2, zero_point=-128)
    check(net, y, x.shape)


@pytest.mark.parametrize("inputs", (*CHANNELS, 2000))
@pytest.mark.parametrize("per_channel", (False, True))
def test_fully_connected_equals_stock_tflm(inputs, per_channel):
    net = TinyModel()
    x = net.input((1, inputs), scale=0.0173, zero_point=-128)
    scales = RNG.uniform(0.001, 0.02, 5 if per_channel else 1).astype(np.float32).tolist()
    bias = RNG.integers(-5000, 5000, 5)
    scale = 0.02 * np.sqrt(inputs)
    y = net.fully_connected(x, weights(5, inputs), bias, filter_scales=scales, activation="RELU", scale=scale)
    check(net, y, x.shape)


@pytest.mark.parametrize("ratio", (1e-3, 0.37, 1.0, 2.0, 900.0))
@pytest.mark.parametrize("activation", ("NONE", "RELU", "RELU6", "RELU_N1_TO_1"))
def test_add_equals_stock_tflm(ratio, activation):
    net = TinyModel()
    x = net.input((1, 6, 7, 3), scale=0.05, zero_point=-128)
    other = net.quantize(x, scale=0.05 * ratio, zero_point=100)
    y = net.add(other, x, activation=activation, scale=0.031, zero_point=-31)
    check(net, y, x.shape)


@pytest.mark.parametrize("ratio", (1e-9, 1e-6, 0.01, 100.0, 1e6))
def test_extreme_multipliers_equal_stock_tflm(ratio):
    net = TinyModel()
    x = net.input((1, 4, 4, 3), scale=1.0, zero_point=5)
    y = net.conv2d(
        x,
        weights(4, 3, 3, 3),
        np.array([0, 1 << 30, -(1 << 30), 77]),
        filter_scales=[ratio * f for f in (0.3, 0.7, 1.0, 1.9)],
        scale=1.0,
        zero_point=0,
    )
    check(net, y, x.shape)


@pytest.mark.parametrize("kind", ("average_pool2d", "max_pool2d"))
@pytest.mark.parametrize("kernel", ((1, 1), (2, 2), (3, 5), (9, 9)))
@pytest.mark.parametrize("activation", ("NONE", "RELU6"))
def test_pools_equal_stock_tflm(kind, kernel, activation):
    net = TinyModel()
    x = net.input((1, 7, 8, 3), scale=0.07, zero_point=-30)
    pool = getattr(net, kind)
    y = pool(x, kernel, stride=(2, 1), padding="SAME", activation=activation)
    check(net, y, x.shape)
