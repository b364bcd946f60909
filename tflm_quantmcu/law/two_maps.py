"""Products and differences of two maps, value by value (laws A12, A24): what patch stages run beside A4.

In: int8 values, and an op's int32 table. Out: int8 values, equal to the kernels in every byte.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.law.arithmetic import OutputFormat, to_output
from tflm_quantmcu.law.arrays import Int8Array, Int32Array
from tflm_quantmcu.law.fixed_point import multiply


def product(
    x0: Int8Array, x1: Int8Array, table: Int32Array, *, zero_in: tuple[int, int], output: OutputFormat
) -> Int8Array:
    """Law A12 on maps of equal shape, or of a map and a gate.

    Args:
      x0: int8 [N, H, W, C].
      x1: the same, or int8 [N, 1, 1, C].
      table: int32 [2]: multiplier and shift.
      zero_in: zero points of x0 and x1.
      output: as of `arithmetic.conv2d`.

    Returns:
      int8 [N, H, W, C].
    """
    a, b = (x.astype(np.int64) - zero for x, zero in zip((x0, x1), zero_in, strict=True))
    return to_output(multiply(a * b, table[0], table[1]), output)


def difference(
    x0: Int8Array, x1: Int8Array, table: Int32Array, *, zero_in: tuple[int, int], output: OutputFormat
) -> Int8Array:
    """Law A24, of SUB, on maps of equal shape; arguments and what is returned as of `arithmetic.add`."""
    scaled = [
        multiply((x.astype(np.int64) - zero) << 20, table[2 * j], table[2 * j + 1]).astype(np.int64)
        for j, (x, zero) in enumerate(zip((x0, x1), zero_in, strict=True))
    ]
    return to_output(multiply(scaled[0] - scaled[1], table[4], table[5]), output)
