"""Small networks with the shapes that make splitting worth while, built op by op."""

from __future__ import annotations

import numpy as np

from tests.support.tiny_models import Handle, TinyModel


def inverted_residual(seed: int = 0, *, size: int = 24, channels: int = 4) -> bytes:
    """Stem, one inverted residual with a skip, a strided one, pool, classifier: a small MobileNetV2."""
    rng = np.random.default_rng(seed)
    net = TinyModel()

    def conv(x: Handle, outputs: int, kernel: int, **options: object) -> Handle:
        weights = rng.integers(-127, 128, (outputs, kernel, kernel, x.shape[3]), dtype=np.int8)
        bias = rng.integers(-500, 500, outputs, dtype=np.int32)
        scales = rng.uniform(0.002, 0.01, outputs).tolist()
        return net.conv2d(x, weights, bias, filter_scales=scales, scale=0.05, **options)  # type: ignore[arg-type]

    def depthwise(x: Handle, **options: object) -> Handle:
        weights = rng.integers(-127, 128, (3, 3, x.shape[3]), dtype=np.int8)
        scales = rng.uniform(0.005, 0.02, x.shape[3]).tolist()
        return net.depthwise_conv2d(x, weights, filter_scales=scales, scale=0.05, **options)  # type: ignore[arg-type]

    relu = {"activation": "RELU6", "zero_point": -128}
    x = net.input((1, size, size, 3))
    x = conv(x, channels, 3, **relu)
    y = depthwise(conv(x, 6 * channels, 1, **relu), **relu)
    x = net.add(x, conv(y, channels, 1, zero_point=3), scale=0.06, zero_point=-5)
    x = conv(depthwise(conv(x, 6 * channels, 1, **relu), stride=(2, 2), **relu), 2 * channels, 1, zero_point=1)
    x = net.average_pool2d(x, (x.shape[1], x.shape[2]), padding="VALID")
    x = net.reshape(x, (1, x.shape[3]))
    weights = rng.integers(-127, 128, (5, x.shape[1]), dtype=np.int8)
    return net.build(net.softmax(net.fully_connected(x, weights, scale=0.1)))


def over_time(seed: int = 0, *, width: int = 40, channels: int = 8) -> bytes:
    """A temporal convolutional network [1, W, C] as TFLite writes Conv1D: every convolution between two reshapes, pads,
    sums and activations on three dimensions."""
    rng = np.random.default_rng(seed)
    net = TinyModel()

    def conv(x: Handle, dilation: int, zero_point: int, stride: int = 1) -> Handle:
        x = net.pad(x, ((0, 0), (2 * dilation, 0), (0, 0)))
        x = net.reshape(x, (1, 1, *x.shape[1:]))
        weights = rng.integers(-127, 128, (channels, 1, 3, x.shape[3]), dtype=np.int8)
        scales = rng.uniform(0.002, 0.01, channels).tolist()
        y = net.conv2d(
            x,
            weights,
            filter_scales=scales,
            stride=(1, stride),
            dilation=(1, dilation),
            padding="VALID",
            activation="RELU",
            scale=0.05,
            zero_point=zero_point,
        )
        return net.reshape(y, (1, *y.shape[2:]))

    x = conv(net.input((1, width, 3), zero_point=-7), 1, -128)
    for dilation in (1, 2):
        y = conv(net.hard_swish(x, scale=0.04, zero_point=-100), dilation, -120)
        x = net.add(x, y, activation="RELU", scale=0.06, zero_point=-128)
    x = conv(net.relu(x), 1, -128, stride=2)
    x = net.mean(net.concatenation([x, net.relu(x)], axis=2), (1,), scale=0.02, zero_point=5)
    weights = rng.integers(-127, 128, (5, x.shape[1]), dtype=np.int8)
    return net.build(net.softmax(net.fully_connected(x, weights, scale=0.1)))


def in_place(shape: tuple[int, int, int, int] = (1, 4, 6, 8)) -> bytes:
    """Ops of ours and stock ones that work in place, of one map and of two, one of which is read again."""
    net = TinyModel()
    weights = np.arange(-32, 32, dtype=np.int8).reshape(8, 1, 1, 8)
    x = net.silu(net.conv2d(net.input(shape), weights), scale=0.05, zero_point=-120)
    y = net.add(x, net.tanh(net.relu6(x)), scale=0.1, zero_point=2)
    return net.build(net.softmax(net.mul(y, net.mean(y, keep_dims=True), scale=0.3, zero_point=-1)))


def flattened(channels: int) -> bytes:
    """A convolution whose map of 16x16 pixels a fully connected op reads."""
    rng, net = np.random.default_rng(channels), TinyModel()
    weights = rng.integers(-127, 128, (channels, 3, 3, 3), dtype=np.int8)
    x = net.conv2d(net.input((1, 16, 16, 3)), weights, scale=0.5)
    filter = rng.integers(-127, 128, (5, 256 * channels), dtype=np.int8)
    return net.build(net.fully_connected(net.reshape(x, (1, 256 * channels)), filter, scale=9.0))
