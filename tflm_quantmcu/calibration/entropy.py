"""The entropy term of VDQS: how much of the information of a feature map or of weights each width keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.calibration.methods import narrow_format
from tflm_quantmcu.graph.calibration_result import TensorStats
from tflm_quantmcu.graph.types import BIT_WIDTHS, Format
from tflm_quantmcu.law.fixed_point import round_half_away
from tflm_quantmcu.law.ranges import requantize_weights


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
    range of each width is the calibration method's, by default that of the least squared error.
    """
    return {b: _entropy(_dequantized(stats, narrow_format(stats, b))) for b in bits}


def weight_entropy_by_bits(weights: np.ndarray, axis: int, *, bits: Sequence[int] = BIT_WIDTHS) -> dict[int, float]:
    """Estimates the information that weights keep at each width.

    Args:
      weights: int8, of any rank; each output channel has a scale of its own.
      axis: the output channels' dimension.
      bits: candidate widths, each 8, 4 or 2.

    Returns:
      {bits: entropy}, in bits a value, as of `entropy_by_bits`.

    Source: our reading of QuantMCU, which searches no weights: the same entropy, of weights rounded to the nearest
    (`ranges.requantize_weights`), in the steps that they have at 8 bits.
    """
    return {b: _entropy(np.bincount(_rounded(weights, axis, b).ravel() + 128, minlength=256)) for b in bits}


def _rounded(weights: np.ndarray, axis: int, bits: int) -> np.ndarray:
    """The weights after a round trip through `bits` bits, in steps of 8 bits."""
    if bits == 8:
        return weights.astype(int)
    q, scales = requantize_weights(weights.astype(np.float64), axis, bits)
    shape = [1] * weights.ndim
    shape[axis] = -1
    return np.clip(round_half_away(q * scales.astype(np.float64).reshape(shape)), -128, 127).astype(int)


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
