"""Chooses scales below 8 bits by least mean squared error (law A9).

In: a feature map's histogram, or real weights. Out: a Format, or integer weights and their scales. The scale is the
best there is, not a search's: as the scale falls from infinity, value v moves from level k to k + 1 where the scale is
|v| / (k + 1/2). Between two such crossings every value keeps its level, so that with P = sum(level * v) and
Q = sum(level^2) the best scale is P / Q and the squared error sum(v^2) - P^2 / Q. All crossings in order, and running
sums of P and Q, give the least error of all.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.arrays import AnyArray, Float32Array, Float64Array, Int8Array
from tflm_quantmcu.law.fixed_point import round_half_away

_CROSSINGS_AT_ONCE = 1 << 16  # of weights, so that they stay in the cache


def mse_format(histogram: AnyArray, format8: Format, bits: int) -> Format:
    """The per-tensor format with the least squared error over a feature map's values.

    Args:
      histogram: counts, integers [256], of the map's 8-bit values -128 to 127.
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
        scales, errors = _best_scales(reals[None], counts, best.qmin - zero_point, best.qmax - zero_point)
        if errors[0] < least_error:
            best, least_error = Format(bits, float(scales[0]), zero_point), errors[0]
    return best


def requantize_weights(weights: AnyArray, axis: int, bits: int) -> tuple[Int8Array, Float32Array]:
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
    rows = channels.reshape(len(channels), -1)
    at_once = max(1, _CROSSINGS_AT_ONCE // max(1, rows.shape[1] * -low))
    parts = (rows[start : start + at_once] for start in range(0, len(rows), at_once))
    scales = np.concatenate([_best_scales(part, np.ones(part.shape[1]), low, high)[0] for part in parts])
    broadcast = scales.astype(np.float64).reshape(-1, *[1] * (channels.ndim - 1))
    q = np.clip(round_half_away(channels / broadcast), low, high).astype(np.int8)
    return np.ascontiguousarray(np.moveaxis(q, 0, axis)), scales


def _best_scales(values: Float64Array, counts: Float64Array, low: int, high: int) -> tuple[Float32Array, Float64Array]:
    """The scales whose levels scale * [low, high] are nearest to each row of values, and the rows' squared errors.

    (1, inf) where no scale helps: all values are 0, or lie on a side that has no levels.

    Args:
      values: [R, N].
      counts: of each value, [R, N] or [N].
      low, high: least and largest level.
    """
    steps = np.arange(max(high, -low))
    is_crossed = steps < np.where(values > 0, high, -low)[:, :, None]
    magnitudes = np.abs(values)[:, :, None]
    crossings = np.where(is_crossed, magnitudes / (steps + 0.5), 0.0).reshape(len(values), -1)
    order = np.argsort(-crossings, axis=1, kind="stable")
    weights = np.broadcast_to(np.broadcast_to(counts, values.shape)[:, :, None], is_crossed.shape)
    products, squares = (
        np.cumsum(np.take_along_axis(part.reshape(crossings.shape), order, axis=1), axis=1)
        for part in (weights * magnitudes, weights * (2 * steps + 1))
    )
    is_moved = np.take_along_axis(crossings, order, axis=1) > 0
    gains = np.where(is_moved, products**2 / squares, 0.0)
    best = (np.arange(len(values)), np.argmax(gains, axis=1))
    helps = is_moved[:, 0]
    scales = np.where(helps, products[best] / squares[best], 1.0).astype(np.float32)
    return scales, np.where(helps, np.sum(counts * values**2, axis=1) - gains[best], np.inf)
