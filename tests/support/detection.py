"""A small detection network: SiLU blocks, a residual add, a CONCATENATION behind an upsampling, heads at two scales."""

from __future__ import annotations

import numpy as np

from tests.support.tiny_models import Handle, TinyModel

NUM_OUTPUTS = 2


def detection_network(seed: int = 0, *, size: int = 32, channels: int = 8, activation: str = "silu") -> bytes:
    """An int8 model with outputs [1, size / 4, size / 4, 6] and [1, size / 8, size / 8, 6], both through LOGISTIC.

    Args:
      seed: of the weights.
      size: of the input [1, size, size, 3]; a multiple of 8.
      channels: of the first block.
      activation: of the blocks: `silu`, `hard_swish` or `leaky_relu`.
    """
    rng = np.random.default_rng(seed)
    net = TinyModel()

    def conv(x: Handle, outputs: int, kernel: int, *, stride: int = 1) -> Handle:
        weights = rng.integers(-127, 128, (outputs, kernel, kernel, x.shape[3]), dtype=np.int8)
        bias = rng.integers(-500, 500, outputs, dtype=np.int32)
        spread = 70 * 70 * kernel * np.sqrt(x.shape[3])
        scales = (rng.uniform(0.5, 1, outputs) / spread / x.scale * 2).tolist()
        return net.conv2d(x, weights, bias, filter_scales=scales, stride=(stride, stride), scale=0.05, zero_point=4)

    def act(x: Handle) -> Handle:
        options = {"scale": 0.028, "zero_point": -110}
        if activation == "leaky_relu":
            return net.leaky_relu(x, 0.1, **options)
        return getattr(net, activation)(x, **options)

    def block(x: Handle, outputs: int, kernel: int = 3, *, stride: int = 1) -> Handle:
        return act(conv(x, outputs, kernel, stride=stride))

    def residual(x: Handle) -> Handle:
        y = block(block(x, x.shape[3] // 2, 1), x.shape[3])
        return net.add(x, y, scale=0.04, zero_point=-100)

    x = net.input((1, size, size, 3), scale=1 / 255, zero_point=-128)
    x = residual(block(block(x, channels, stride=2), 2 * channels, stride=2))
    fine = block(x, 2 * channels)
    coarse = block(fine, 4 * channels, stride=2)
    raised = net.resize_nearest(block(coarse, 2 * channels, 1), (size // 4, size // 4), half_pixel_centers=True)
    joined = net.concatenation((raised, fine), 3)
    heads = [net.logistic(conv(y, 6, 1)) for y in (block(joined, 2 * channels), coarse)]
    return net.build(*heads)
