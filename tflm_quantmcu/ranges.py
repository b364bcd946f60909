"""Chooses scales below 8 bits by least mean squared error (law A9).

In: a feature map's histogram, or real weights. Out: a Format, or integer weights and their scales. A
scale is searched from several clipping ranges at once; each descends by alternating two best answers:
the nearest level of every value, then the best scale for these levels (Lloyd, "Least squares
quantization in PCM", 1982). Nothing is random: equal inputs give equal results.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.errors import UsageError
from tflm_quantmcu.fixed_point import round_half_away
from tflm_quantmcu.types import Format

_NUM_STARTS = 64
_NUM_DESCENTS = 4


def mse_format(histogram: np.ndarray, format8: Format, bits: int) -> Format:
    """The per-tensor format with the least squared error over a feature map's values.

    Args:
      histogram: counts [256] of the map's 8-bit values -128 to 127.
      format8: the map's 8-bit format.
      bits: 8, 4 or 2; 8 gives `format8` back.

    Returns:
      A Format in which real 0 is exact; where no value is below 0 its zero point is the lowest level.

    Raises:
      UsageError: the histogram is not [256], or empty.
    """
    counts = np.asarray(histogram, np.float64)
    if counts.shape != (256,) or not counts.any():
        raise UsageError(f"the histogram is {counts.shape} with {counts.sum():g} counts, not [256]")
    if bits == 8:
        return format8
    reals = (np.arange(-128, 128) - format8.zero_point) * format8.scale
    reals, counts = reals[counts > 0], counts[counts > 0]
    # Where every value is 0, any scale is exact; this one spans the range of the 8-bit format.
    best = Format(bits, float(np.float32(format8.scale) * (1 << (8 - bits))), -(1 << (bits - 1)))
    least_error = np.inf
    for zero_point in range(best.qmin, best.qmin + 1 if reals[0] >= 0 else best.qmax + 1):
        scale, error = _best_scale(reals, counts, best.qmin - zero_point, best.qmax - zero_point)
        if error < least_error:
            best, least_error = Format(bits, scale, zero_point), error
    return best


def requantize_weights(weights: np.ndarray, axis: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric weights of `bits` bits, with the scale of least squared error in each output channel.

    Args:
      weights: real values, float64, any rank.
      axis: the output channels' dimension.
      bits: 8, 4 or 2.

    Returns:
      q, int8 of the weights' shape, from -2^(bits-1) to 2^(bits-1) - 1, and the scales, float32 [O]; a
      channel of zeros has scale 1.
    """
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    channels = np.moveaxis(np.asarray(weights, np.float64), axis, 0)
    rows = np.sort(channels.reshape(len(channels), -1), axis=1)
    ones = np.ones(rows.shape[1])
    scales = np.array([_best_scale(row, ones, low, high)[0] for row in rows], np.float32)
    broadcast = scales.astype(np.float64).reshape(-1, *[1] * (channels.ndim - 1))
    q = np.clip(round_half_away(channels / broadcast), low, high).astype(np.int8)
    return np.ascontiguousarray(np.moveaxis(q, 0, axis)), scales


def _best_scale(values: np.ndarray, counts: np.ndarray, low: int, high: int) -> tuple[float, float]:
    """The float32 scale whose levels scale * [low, high] are nearest to sorted values, and its squared error.

    (1, inf) where no scale helps: all values are 0, or lie on a side that has no levels.
    """
    spans = [value / level for value, level in ((values[0], low), (values[-1], high)) if level]
    full = np.float32(max(spans))
    if not full > 0:
        return 1.0, np.inf
    levels = np.arange(low, high + 1, dtype=np.float64)
    num_below = np.concatenate([[0.0], np.cumsum(counts)])
    sum_below = np.concatenate([[0.0], np.cumsum(counts * values)])

    def sums(scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Over all values, of their nearest levels: sum(level * value) and sum(level^2)."""
        ends = np.searchsorted(values, scales[:, None] * (levels[:-1] + 0.5))
        ends = np.pad(ends, ((0, 0), (1, 1)), constant_values=((0, 0), (0, len(values))))
        return np.diff(sum_below[ends]) @ levels, np.diff(num_below[ends]) @ levels**2

    scales = np.float64(full) * np.arange(1, _NUM_STARTS + 1) / _NUM_STARTS
    for _ in range(_NUM_DESCENTS):
        products, squares = sums(scales)
        scales = products / squares
    scales = scales.astype(np.float32).astype(np.float64)
    products, squares = sums(scales)
    errors = np.dot(counts, values**2) - 2 * scales * products + scales**2 * squares
    best = int(np.argmin(errors))
    return float(scales[best]), float(errors[best])
