"""The reciprocal square root of stock TFLM at int8: law A32.

In: formats. Out: its table.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.activations import divide_by_power, product, quantize_factor
from tflm_quantmcu.law.arrays import Int8Array
from tflm_quantmcu.law.fixed_point import multiply
from tflm_quantmcu.law.kernel_calls import Pair

_FRACTION = 20  # bits that 1 / sqrt(steps) has behind the point
_NUM_ITERATIONS = 5
_ONE_AND_A_HALF = (1 << 28) + (1 << 27)  # in Q3
_HALF_ROOT_OF_2 = 1518500250  # in Q0
_MAX_PAIRS = 11  # of bits by which steps are shifted; more are a shift of the result


def reciprocal_root(source: Format, output: Format) -> Int8Array:
    """The output value of every input value, the lowest first, int8 [256].

    Args:
      source, output: formats of int8 maps.

    Raises:
      ValueError: TFLM's kernel does not take these formats.
    """
    real = 1.0 / float(np.sqrt(np.float32(source.scale)) * np.float32(output.scale))
    multiplier, shift = quantize_factor(real)
    if shift - _FRACTION < -31:
        raise ValueError(f"its scales differ by the factor {real:g}, too small for 32 bits")
    values = []
    for x in range(-128, 128):
        steps = x - source.zero_point
        if steps <= 0:
            values.append(127)
            continue
        root, root_shift = root_factor(steps)
        fine = int(multiply(1, root, root_shift + _FRACTION))
        scaled = int(multiply(fine, multiplier, shift - _FRACTION))
        values.append(min(max(scaled + output.zero_point, -128), 127))
    return np.array(values, np.int8)


def root_factor(number: int) -> Pair:
    """(multiplier, shift) of 1 / sqrt(number), number from 0, which counts as 1, to 2^31 - 1."""
    if number <= 1:
        return (1 << 31) - 1, 0
    shift = _MAX_PAIRS
    while number >= 1 << 29:
        number, shift = number // 4, shift + 1
    pairs = (31 - number.bit_length()) // 2 - 1
    shift -= pairs
    half = np.array([number << 2 * pairs], np.int64) >> 1  # in Q3, below 2^28
    half_half = divide_by_power(half, 1)
    x = np.array([1 << 28], np.int64)
    for _ in range(_NUM_ITERATIONS):
        cube = product(product(x, x), x) << 6  # Q9 to Q3
        x = (product(x, _ONE_AND_A_HALF) - product(half_half, cube)) << 3  # Q6 to Q3
    return int(product(x, _HALF_ROOT_OF_2)[0]) << max(-shift, 0), min(-shift, 0)
