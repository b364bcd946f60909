"""Logarithms on integers, as stock TFLM's LOG_SOFTMAX takes them: law A36.

In: int64 arrays. Out: int64 arrays of the same shape.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.law.activations import divide_by_power, product, reciprocal_of_one_plus, saturate
from tflm_quantmcu.law.arrays import Int64Array

_INT32 = (-(1 << 31), (1 << 31) - 1)
_SUM_BITS = 12
_ONE = 1 << 25  # in Q6
_QUARTER = 1 << 23
_LOG_OF_2 = 1488522236  # in Q0, as all below
_ROOT_OF_HALF = 1518500250
_ROOT_OF_ROOT_OF_HALF = 1805811301
_ALPHA_N, _ALPHA_D, _ALPHA_I, _ALPHA_F = 117049297, 127690142, 1057819769, 638450708


def log_of_sum(z: Int64Array) -> Int64Array:
    """log(z) in Q5 of z >= 1 in Q12; int64 of any shape."""
    zeros = _leading_zeros(z)
    above = saturate(product(saturate(z << (zeros - 1), _INT32), _ROOT_OF_HALF) << 1, _INT32)
    zeros_below = _leading_zeros(product(z, _ROOT_OF_HALF)) - 1
    below = saturate(z << zeros_below, _INT32)
    power = np.maximum((_SUM_BITS - zeros) * _ONE + _QUARTER, (_SUM_BITS - zeros_below) * _ONE - _QUARTER)
    return saturate((product(power, _LOG_OF_2) + _log_near_root(np.minimum(above, below))) << 1, _INT32)


def _leading_zeros(x: Int64Array) -> Int64Array:
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)


def _log_near_root(r: Int64Array) -> Int64Array:
    """log(r) in Q6, of r in Q0; int64 of any shape."""
    total = r + _ROOT_OF_ROOT_OF_HALF
    p = (total + 1) >> 1
    q = 2 * (r - _ROOT_OF_ROOT_OF_HALF)
    square = product(q, q)
    numerator = product(q, r) + product(product(q, square), _ALPHA_N)
    denominator = product(p, _ALPHA_I + q + product(square, _ALPHA_D)) + product(q, _ALPHA_F)
    return product(divide_by_power(numerator, 6), reciprocal_of_one_plus(denominator))
