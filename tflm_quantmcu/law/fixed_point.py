"""Fixed-point multiplication (docs/arithmetic.md A1, A2), the root of every kernel's arithmetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_quantmcu.law.arrays import Float64Array, Int32Array, Int64Array

_VALUES_AT_ONCE = 1 << 14  # so that they stay in a core's cache


def round_half_away(x: ArrayLike) -> Float64Array:
    """Rounds to the nearest whole number, halves away from zero, as C's round(); float64 of x's shape."""
    x = np.asarray(x, np.float64)
    whole = np.trunc(x)
    # x - trunc(x) is exact, so neither halves nor their neighbours are misjudged.
    return whole + np.where(np.abs(x - whole) >= 0.5, np.copysign(1.0, x), 0.0)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) of a real factor >= 0, multiplier * 2^(shift - 31) (law A2)."""
    multipliers, shifts = quantize_multipliers(np.array([real]))
    return int(multipliers[0]), int(shifts[0])


def quantize_multipliers(real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`quantize_multiplier` of each of float64 [C]: (multipliers, shifts), int64 [C]."""
    mantissas, shifts = np.frexp(np.asarray(real, np.float64))
    multipliers, shifts = round_half_away(mantissas * 2.0**31).astype(np.int64), shifts.astype(np.int64)
    is_one = multipliers == 1 << 31
    multipliers, shifts = np.where(is_one, multipliers // 2, multipliers), shifts + is_one
    is_tiny = shifts < -31
    return np.where(is_tiny, 0, multipliers), np.where(is_tiny, 0, shifts)


def mean_multiplier(factor: tuple[int, int], count: int) -> tuple[int, int]:
    """The (multiplier, shift) of a sum of `count` values whose mean is scaled by `factor` (law A11)."""
    multiplier, shift = factor
    spare = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << spare) // count, shift - spare


def multiply(x: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> Int32Array:
    """x * multiplier * 2^(shift - 31) with the two roundings of law A1.

    Args:
      x: integers of any shape; only their low 32 bits count.
      multiplier: 0 <= multiplier < 2^31, broadcast against x.
      shift: -31 to 30, broadcast against x.

    Returns:
      int32 of the shape to which all three broadcast.
    """
    x, multiplier, shift = np.asarray(x, np.int64), np.asarray(multiplier, np.int64), np.asarray(shift, np.int64)
    if x.size <= _VALUES_AT_ONCE or x.shape[-1:] != np.broadcast_shapes(x.shape[-1:], multiplier.shape, shift.shape):
        return _multiply(x, multiplier, shift)
    rows = x.reshape(-1, x.shape[-1])
    found = np.empty(rows.shape, np.int32)
    at_once = max(1, _VALUES_AT_ONCE // x.shape[-1])
    for start in range(0, len(rows), at_once):
        found[start : start + at_once] = _multiply(rows[start : start + at_once], multiplier, shift)
    return found.reshape(x.shape)


def _multiply(x: Int64Array, multiplier: Int64Array, shift: Int64Array) -> Int32Array:
    """Multiplies in doubles, which numpy is fastest with: all that is computed is a multiple of 2^-32 below 2^48, so
    exact."""
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    found = to_int32(x << left if left.any() else x).astype(np.float64)
    # floor((x * multiplier + 2^30) / 2^31), the multiplier in two halves: the law's nudge and its division toward zero
    # come to this on either side of 0.
    low = found * (multiplier & 0xFFFF)  # below 2^31 * 2^16 = 2^47
    low += 2.0**30
    low *= 2.0**-16
    found *= multiplier >> 16  # below 2^31 * 2^15 = 2^46
    found += np.floor(low)  # below 2^31 + 2^15
    found *= 2.0**-15
    found = np.floor(found)
    # Divided by 2^right, halves away from 0.
    found *= 2.0**-right
    found += np.copysign(0.5, found)
    return np.trunc(found).astype(np.int32)


def to_int32(x: Int64Array) -> Int32Array:
    """Keeps the low 32 bits of int64 values of any shape, as int32."""
    return x.astype(np.int32)
