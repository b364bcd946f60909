"""The entropy term of VDQS: how much of a feature map's information each width keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.fixed_point import round_half_away
from tflm_quantmcu.ranges import mse_format
from tflm_quantmcu.types import BIT_WIDTHS, Format, TensorStats


def entropy_by_bits(stats: TensorStats, *, bits: Sequence[int] = BIT_WIDTHS) -> dict[int, float]:
    """Estimates the information that a feature map keeps at each width.

    Args:
      stats: of one feature map; its histogram has at least one count.
      bits: candidate widths, each 8, 4 or 2.

    Returns:
      {bits: entropy}, entropy in bits a value, 0 <= entropy <= bits, and never above that at 8 bits.

    Raises:
      UsageError: an empty histogram, or another width.

    Source: our reading of QuantMCU (arXiv 2401.13714), VDQS: entropy of a histogram of the de-quantised
    values, 256 bins with the same edges for every width (one bin a step of the 8-bit format). Ours: the
    range of each width has the least squared error (`ranges.mse_format`).
    """
    return {b: _entropy(_dequantized(stats, mse_format(stats.histogram, stats.format, b))) for b in bits}


def _dequantized(stats: TensorStats, narrow: Format) -> np.ndarray:
    """The histogram of the map's values after a round trip through `narrow`, in the map's own bins."""
    wide = stats.format
    reals = (np.arange(wide.qmin, wide.qmax + 1) - wide.zero_point) * wide.scale
    q = np.clip(round_half_away(reals / narrow.scale) + narrow.zero_point, narrow.qmin, narrow.qmax)
    returned = (q - narrow.zero_point) * narrow.scale
    bins = np.clip(round_half_away(returned / wide.scale) + wide.zero_point, wide.qmin, wide.qmax)
    return np.bincount((bins - wide.qmin).astype(int), weights=stats.histogram, minlength=256)


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(abs(-np.sum(share * np.log2(share))))
