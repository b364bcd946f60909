"""The last step of every kernel: scale, zero point and clamps of the map that is written (laws A1, A3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from tflm_quantmcu.law.arrays import AnyArray, Int8Array, Int32Array
from tflm_quantmcu.law.fixed_point import multiply


class OutputFormat(Protocol):
    """What a kernel needs to know of the map that it writes; `program.StageFormat` is one."""

    @property
    def zero_point(self) -> int: ...

    @property
    def clamp_min(self) -> int: ...

    @property
    def clamp_max(self) -> int: ...


# (sums [..., O] of whole numbers in any type, table int32 [3 * O], output) -> int8 [..., O]: a convolution's last step.
Finish = Callable[[AnyArray, Int32Array, OutputFormat], Int8Array]


def requantize_sums(sums: AnyArray, table: Int32Array, output: OutputFormat) -> Int8Array:
    """The last step of law A3: bias, scale, zero point and clamps.

    Args:
      sums: [..., O], whole numbers of at most 32 bits in any type.
      table, output: as of `arithmetic.conv2d`.

    Returns:
      int8 [..., O].
    """
    bias, multiplier, shift = table.reshape(3, -1)
    return to_output(multiply(sums.astype(np.int64) + bias.astype(np.int64), multiplier, shift), output)


def to_output(x: Int32Array, output: OutputFormat) -> Int8Array:
    """Adds the zero point (int32, wraps) to int32 values of any shape and clamps: int8."""
    moved = x + np.int32(output.zero_point)
    return np.clip(moved, output.clamp_min, output.clamp_max, out=moved).astype(np.int8)
