"""The shape of a kernel call: what is measured, and what is estimated."""

from __future__ import annotations

import dataclasses
import math

SAME_FORMAT = "_same"  # ends the name of a kernel that is measured between equal formats too, where it copies
_WITH_WEIGHTS = ("conv2d", "depthwise_conv2d", "fully_connected", "dot_pixels")


@dataclasses.dataclass(frozen=True)
class KernelShape:
    """What a kernel is called on: input and output [H, W, C], and kernel, stride and top left pad [H, W]."""

    op: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    kernel: tuple[int, ...] = (1, 1)
    stride: tuple[int, ...] = (1, 1)
    pad: tuple[int, ...] = (0, 0)

    @property
    def num_outputs(self) -> int:
        return math.prod(self.output)

    @property
    def products_per_output(self) -> int:
        """Multiply-accumulates of one output value; of ops without weights the values that it reads."""
        taps = math.prod(self.kernel)
        return taps * self.input[2] if self.op in ("conv2d", "fully_connected", "dot_pixels") else taps

    @property
    def work(self) -> int:
        """MACs, or output values of ops without weights: what instructions are stated for."""
        return self.num_outputs * (self.products_per_output if self.op in _WITH_WEIGHTS else 1)
