"""The kernels that a patch stage may run, as emitted code names them."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Kernels:
    """Names of the C++ functions that patch stages run (tflm_kernels/portable/ops/kernels.h)."""

    conv2d: str = "nullptr"
    conv2d_scratch_bytes: str = "nullptr"
    depthwise_conv2d: str = "nullptr"
    depthwise_conv2d_scratch_bytes: str = "nullptr"
    add: str = "nullptr"
    average_pool2d: str = "nullptr"
    max_pool2d: str = "nullptr"
    requantize: str = "nullptr"
    lut: str = "nullptr"
    sum_pixels: str = "nullptr"
    dot_pixels: str = "nullptr"
    gather_channels: str = "nullptr"
    resize_nearest: str = "nullptr"
    depth_to_space: str = "nullptr"
    resize_bilinear: str = "nullptr"
    product: str = "nullptr"
    difference: str = "nullptr"
    rare_op: str = "nullptr"
