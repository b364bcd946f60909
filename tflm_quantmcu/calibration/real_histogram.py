"""A histogram of real values of unknown range that comes out the same in whatever parts and order they are counted.

Bins are 2^(exponent - 12) wide, one begins at 0. Values beyond the range double it: every two bins become one, exactly.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

_SIDE = 4096  # bins on either side of 0
_MIN_EXPONENT = -100


@dataclasses.dataclass(frozen=True, eq=False)
class RealHistogram:
    """How often values occur.

    Attributes:
      counts: int64 [8192]; bin i holds values from (i - 4096) to (i - 4095) times `bin_width`.
      exponent: every value is below 2^exponent in magnitude, the largest at least half of that.
      low, high: the smallest and the largest value, or 0.
    """

    counts: np.ndarray
    exponent: int
    low: float
    high: float

    @staticmethod
    def of(values: np.ndarray) -> RealHistogram:
        """The histogram of float32 values of any shape, at least one."""
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        exponent = max(math.frexp(max(-low, high))[1], _MIN_EXPONENT)
        bins = np.floor(values.ravel() * np.float32(_SIDE / 2.0**exponent)).astype(np.int32) + _SIDE
        return RealHistogram(np.bincount(bins, minlength=2 * _SIDE), exponent, low, high)

    @property
    def bin_width(self) -> float:
        return 2.0**self.exponent / _SIDE

    @property
    def edges(self) -> np.ndarray:
        """float64 [8193]."""
        return np.arange(-_SIDE, _SIDE + 1) * self.bin_width

    def __add__(self, other: RealHistogram) -> RealHistogram:
        exponent = max(self.exponent, other.exponent)
        counts = self._widened(exponent) + other._widened(exponent)
        return RealHistogram(counts, exponent, min(self.low, other.low), max(self.high, other.high))

    def _widened(self, exponent: int) -> np.ndarray:
        counts = self.counts
        for _ in range(min(exponent - self.exponent, _SIDE.bit_length())):
            halved = counts.reshape(-1, 2).sum(axis=1)
            counts = np.pad(halved, _SIDE // 2)
        return counts
