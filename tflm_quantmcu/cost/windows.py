"""The windows of a kernel call, axis by axis, as its loops run over them."""

from __future__ import annotations

import functools

import numpy as np

from tflm_quantmcu.cost.shapes import KernelShape


def blocks_of(count: int, size: int) -> int:
    """Blocks of `size` that hold `count`."""
    return -(-count // size)


class Axis:
    """The windows of one axis.

    Attributes:
      outputs: number of output positions.
      kernel: taps of a window.
      inside: int64 [outputs], taps inside the input.
      segments: taps inside of each run of positions that a kernel handles alike: all whole windows are one.
    """

    def __init__(self, outputs: int, kernel: int, inside: np.ndarray):
        self.outputs = outputs
        self.kernel = kernel
        self.inside = inside
        cut = [int(n) for n in inside if n < kernel]
        self.whole = outputs - len(cut)
        self.segments = [kernel] * (self.whole > 0) + cut

    @staticmethod
    @functools.lru_cache(maxsize=4096)
    def _made(size: int, outputs: int, kernel: int, stride: int, pad: int) -> Axis:
        positions = (np.arange(outputs) * stride - pad)[:, None] + np.arange(kernel)
        return Axis(outputs, kernel, ((positions >= 0) & (positions < size)).sum(axis=1))

    @staticmethod
    def of(shape: KernelShape, axis: int) -> Axis:
        """The rows (0) or columns (1) of a call."""
        return Axis._made(
            shape.input[axis], shape.output[axis], shape.kernel[axis], shape.stride[axis], shape.pad[axis]
        )
