"""Stock int8 models for RegisterFastOps: what our kernels take in other words than TFLM, and what they leave to it."""

from __future__ import annotations

import numpy as np

from tests.support.edit_model import StockModel
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.tflite import schema


def odd_shapes() -> bytes:
    """No bias, one factor of all channels, a grouped convolution."""
    rng = np.random.default_rng(0)
    net = TinyModel()

    def values(*shape: int) -> np.ndarray:
        return rng.integers(-127, 128, shape, dtype=np.int8)

    x = net.input((1, 9, 7, 4))
    x = net.conv2d(x, values(6, 3, 3, 4), stride=(2, 1), scale=0.05, filter_scales=[0.01 + 0.001 * i for i in range(6)])
    x = net.depthwise_conv2d(x, values(3, 3, 12), filter_scales=[0.02] * 12, scale=0.05, zero_point=-7)
    x = net.conv2d(x, values(6, 1, 1, 6), scale=0.06, filter_scales=[0.01] * 6, zero_point=4)
    x = net.add(x, x, scale=0.1, zero_point=9, activation="RELU")
    x = net.max_pool2d(x, (2, 2))
    x = net.average_pool2d(x, (2, 2))
    x = net.reshape(x, (1, int(np.prod(x.shape[1:]))))
    x = net.fully_connected(x, values(150, x.shape[1]), rng.integers(-999, 999, 150), scale=0.2)
    x = net.fully_connected(x, values(70, 150), scale=0.4, filter_scales=[0.01 + 0.0001 * i for i in range(70)])
    return net.build(net.fully_connected(x, values(10, 70), scale=0.5))


def computed_weights() -> bytes:
    """The second layer's weights are what the first one computes: TFLM's kernel alone takes such."""
    rng = np.random.default_rng(1)
    net = StockModel()
    x = net.input((1, 6))
    weights = net.fully_connected(x, rng.integers(-127, 128, (12, 6), dtype=np.int8), scale=0.1)
    weights = net.reshape(weights, (2, 6))
    options = schema.FullyConnectedOptionsT()
    return net.build(net.stock("FULLY_CONNECTED", [x, weights], options, (1, 2), scale=0.3))
