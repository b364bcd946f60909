"""Fixed-point multiplication (docs/arithmetic.md A1, A2), the root of every kernel's arithmetic."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def round_half_away(x: ArrayLike) -> np.ndarray:
    """Rounds to the nearest whole number, halves away from zero, as C's round(); float64."""
    x = np.asarray(x, np.float64)
    whole = np.trunc(x)
    # x - trunc(x) is exact, so neither halves nor their neighbours are misjudged.
    return whole + np.where(np.abs(x - whole) >= 0.5, np.copysign(1.0, x), 0.0)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) of a real factor >= 0, multiplier * 2^(shift - 31) (law A2)."""
    mantissa, shift = math.frexp(real)
    multiplier = int(round_half_away(mantissa * 2.0**31))
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (multiplier, shift) if shift >= -31 else (0, 0)


def mean_multiplier(factor: tuple[int, int], count: int) -> tuple[int, int]:
    """The (multiplier, shift) of a sum of `count` values whose mean is scaled by `factor` (law A11)."""
    multiplier, shift = factor
    spare = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << spare) // count, shift - spare


def multiply(x: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> np.ndarray:
    """x * multiplier * 2^(shift - 31) with the two roundings of law A1.

    Args:
      x: integers; only their low 32 bits count.
      multiplier: 0 <= multiplier < 2^31, broadcast against x.
      shift: -31 to 30, broadcast against x.

    Returns:
      int32.
    """
    shift = np.asarray(shift, np.int64)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    high = to_int32(np.asarray(x, np.int64) << left) * np.asarray(multiplier, np.int64)
    # The law's nudge and its division toward zero come to this on either side of 0: halves go up.
    high += 1 << 30
    high >>= 31
    mask = (np.int64(1) << right) - 1
    is_above = (high & mask) > (mask >> 1) + (high < 0)
    return to_int32((high >> right) + is_above)


def to_int32(x: np.ndarray) -> np.ndarray:
    """Keeps the low 32 bits of int64 values, as int32."""
    return x.astype(np.int32)
