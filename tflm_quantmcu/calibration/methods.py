"""Chooses the ranges of feature maps by each calibration method (law A9).

In: what calibration saw of a map. Out: a Format. `minmax` takes in every value; `percentile` clips the given share at
either end; `mse` has the least squared error; `uspiq` the least error of the layer's output against the unquantised
network, among candidates around the largest value (see `converter.unified_scale`; our reading of USPIQ, Electronics
2023, 12(12), 2660).
"""

from __future__ import annotations

import itertools

import numpy as np

from tflm_quantmcu.calibration.real_histogram import RealHistogram
from tflm_quantmcu.graph.calibration_result import CalibrationMethod, TensorStats
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.fixed_point import round_half_away
from tflm_quantmcu.law.ranges import mse_format

_BOUNDS = 257  # candidates at either end of a range, of method mse at 8 bits
_LEVELS = 255
# Of the largest value, of method uspiq: 1.09 to 0.1 in steps of 2^(1/8).
_FRACTIONS = tuple(2.0 ** (-k / 8) for k in range(-1, 27))


def narrow_format(stats: TensorStats, bits: int) -> Format:
    """A map's format by its own calibration method; at 8 bits the model's.

    `own` and `uspiq` are `mse` here: where earlier maps are narrow too, `converter.unified_scale` chooses again.

    Args:
      stats: of the map; its histogram has at least one count.
      bits: 8, 4 or 2.

    Raises:
      UsageError: the histogram is empty.
    """
    if bits == 8 or stats.method.name not in ("minmax", "percentile"):
        return mse_format(stats.histogram, stats.format, bits)
    reals = (np.arange(-128, 128) - stats.format.zero_point) * stats.format.scale
    share = 1.0 if stats.method.name == "minmax" else stats.method.percentile / 100
    first, last = _quantiles(stats.histogram, share)
    low, high = min(0.0, float(reals[first])), max(0.0, float(reals[last]))
    return format_of_range(low, high, bits) if low < high else mse_format(stats.histogram, stats.format, bits)


def wide_format(seen: RealHistogram, method: CalibrationMethod) -> Format | None:
    """The 8-bit format of a map by its real values; None where all are 0 and any format does.

    Args:
      seen: the map's values in the unquantised network, with those of all maps that share its format.
      method: minmax, percentile or mse.
    """
    if seen.low == seen.high:
        return None
    if method.name == "minmax":
        return format_of_range(seen.low, seen.high, 8)
    if method.name == "mse":
        return format_of_range(*_least_error_range(seen), 8)
    first, last = _quantiles(seen.counts, method.percentile / 100)
    low, high = max(seen.low, min(0.0, seen.edges[first])), min(seen.high, max(0.0, seen.edges[last + 1]))
    return format_of_range(low, high, 8)


def format_of_range(low: float, high: float, bits: int) -> Format:
    """The format whose levels span [low, high], low <= 0 <= high, as nearly as a level at 0 allows."""
    qmin, qmax = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    scale = float(np.float32((high - low) / (qmax - qmin)))
    return Format(bits, scale, int(np.clip(round_half_away(qmin - low / scale), qmin, qmax)))


def candidate_formats(low: float, high: float, bits: int) -> list[Format]:
    """Formats with ranges around [low, high], each end taken for itself, for `least_error_format`."""
    ends = [[end * f for f in _FRACTIONS] if end else [0.0] for end in (low, high)]
    return list(dict.fromkeys(format_of_range(a, b, bits) for a, b in itertools.product(*ends)))


def least_error_format(candidates: list[Format], values: np.ndarray, wanted: np.ndarray) -> Format:
    """The candidate in which `values` come nearest to what is `wanted` of them, by squared error; the first of equals.

    Args:
      candidates: at least one.
      values, wanted: float32, of one shape.
    """

    def error(format: Format) -> float:
        steps = np.rint(values * np.float32(1 / format.scale))
        np.clip(steps, format.qmin - format.zero_point, format.qmax - format.zero_point, out=steps)
        difference = steps * np.float32(format.scale) - wanted
        return float(np.dot(difference, difference))

    return min(candidates, key=error)


def _quantiles(counts: np.ndarray, share: float) -> tuple[int, int]:
    """The first and last bin that are left when at most 1 - share of the counts is cut off at either end."""
    total = np.cumsum(counts)
    cut = (1 - share) * total[-1]
    first = int(np.searchsorted(total, cut, side="right"))
    last = int(np.searchsorted(total, total[-1] - cut, side="left"))
    return first, last


def _least_error_range(seen: RealHistogram) -> tuple[float, float]:
    """The range with the least expected squared error: of clipped values exactly, of all others a step's square / 12.

    Values in the two bins at 0, of which ReLU makes many, count as exact.
    """
    centres = (seen.edges[:-1] + seen.edges[1:]) / 2
    rounded = int(seen.counts[np.abs(centres) > seen.bin_width].sum())
    lows, highs = np.linspace(0, seen.low, _BOUNDS), np.linspace(0, seen.high, _BOUNDS)
    clipped_low = _clipping_error(seen.counts, centres, lows)
    clipped_high = _clipping_error(seen.counts[::-1], -centres[::-1], -highs)
    steps = (highs[None, :] - lows[:, None]) / _LEVELS
    error = clipped_low[:, None] + clipped_high[None, :] + rounded * steps**2 / 12
    error[0, 0] = np.inf  # no range at all
    i, j = np.unravel_index(np.argmin(error), error.shape)
    return float(lows[i]), float(highs[j])


def _clipping_error(counts: np.ndarray, centres: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """[bound] the squared error of raising all values below a bound to it; centres in rising order."""
    moments = [np.concatenate([[0.0], np.cumsum(counts * centres**n)]) for n in range(3)]
    zeroth, first, second = (m[np.searchsorted(centres, bounds)] for m in moments)
    return bounds**2 * zeroth - 2 * bounds * first + second
