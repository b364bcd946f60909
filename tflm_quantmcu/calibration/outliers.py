"""VDPC, our reading of QuantMCU (arXiv 2401.13714): which patches of a feature map hold outlier values.

In: the calibration of the map that is split, and the regions of its patches. Out: OutlierReport. A
value is an outlier where a Gaussian fitted to all values of the map covers more than phi around its
mean before it reaches the value: 2*CDF(|x - mu| / sigma) - 1 > phi. Static: one answer a patch
position, over all calibration samples. Dynamic: a rule by which each patch of each input is judged.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.calibration_result import TensorStats
from tflm_quantmcu.graph.precision_plan import OutlierRule
from tflm_quantmcu.graph.types import Format

# A patch is an outlier patch where its share of outliers is so many times that of the whole map.
CONCENTRATION = 2.0
PHIS = (0.90, 0.95, 0.96, 0.98, 0.99, 0.999)

# (y0, y1, x0, x1) of a patch in the map, ends excluded, halo included.
Region = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class OutlierReport:
    """The classes of one map's patches.

    Attributes:
      phi: coverage beyond which a value is an outlier.
      mu, sigma: of the Gaussian fitted to the map's real values.
      threshold: share of outliers among a patch's values above which it is an outlier patch.
      fractions: float64 [rows, cols], mean share of outliers among each patch's values.
      is_outlier: bool [rows, cols].
    """

    phi: float
    mu: float
    sigma: float
    threshold: float
    fractions: np.ndarray
    is_outlier: np.ndarray


def z_of_phi(phi: float) -> float:
    """The z with 2*CDF(z) - 1 = phi of the standard Gaussian; 0 < phi < 1."""
    return statistics.NormalDist().inv_cdf((1 + phi) / 2)


def fit_gaussian(histogram: np.ndarray, format: Format) -> tuple[float, float]:
    """(mu, sigma) of the real values that a histogram, integers [256], of an 8-bit map counts.

    Raises:
      UsageError: the histogram is empty.
    """
    mean, deviation = _fit_steps(histogram)
    return (mean - format.zero_point) * format.scale, deviation * format.scale


def outlier_values(histogram: np.ndarray, phi: float) -> np.ndarray:
    """bool [256]: whether each 8-bit value, -128 to 127, is an outlier of the map with this histogram."""
    mean, deviation = _fit_steps(histogram)
    return np.abs(np.arange(-128, 128) - mean) > z_of_phi(phi) * deviation


def outlier_rule(histogram: np.ndarray, *, phi: float, threshold: float) -> OutlierRule:
    """The rule that finds, at run time, patches with a larger share of outliers than `threshold`.

    Args:
      histogram: [256] of the stage's input.
      phi: as of `outlier_values`, whose outliers are the rule's.
      threshold: from 0 up; kept in steps of 2^-16.

    Returns:
      Bounds in steps of the 8-bit format.

    Raises:
      UsageError: the histogram is empty.
    """
    ordinary = np.flatnonzero(~outlier_values(histogram, phi)) - 128
    return OutlierRule(int(ordinary[0]), int(ordinary[-1]), min(round(threshold * (1 << 16)), 1 << 16))


def rule_in(rule: OutlierRule, old: Format, new: Format) -> OutlierRule:
    """A rule for a map at format `old`, in the steps of another format of the map.

    A step of `new` is an outlier where its real value lies beyond the bounds, half a step of `old` outside of
    [low, high]. A bound at the end of the range of `old` is none.
    """

    def place(step: float) -> float:
        return (step - old.zero_point) * old.scale / new.scale + new.zero_point

    low = new.qmin if rule.low <= old.qmin else math.ceil(place(rule.low - 0.5))
    high = new.qmax if rule.high >= old.qmax else math.floor(place(rule.high + 0.5))
    return OutlierRule(min(max(low, -128), 127), min(max(high, -128), 127), rule.share)


def classify_patches(
    stats: TensorStats,
    regions: Sequence[Sequence[Region]],
    *,
    phi: float,
    outlier_fraction: float | None = None,
) -> OutlierReport:
    """Says which patch positions hold outliers, over the calibration set.

    Args:
      stats: of the map that is split, with its outlier maps.
      regions: regions[row][col] of each patch; an empty one (y1 <= y0 or x1 <= x0) has no outliers.
      phi: one of PHIS.
      outlier_fraction: a patch is an outlier patch where the mean share of outliers among its values is
        above this. None takes CONCENTRATION times the share in the whole map: outliers gather there. 0
        is the strict reading: one outlier value in any sample.

    Raises:
      UsageError: another phi, a fraction outside [0, 1], a map that is not [1, H, W, C], or a region
        outside of it.

    Source: QuantMCU, VDPC. The paper's phi and its definition of an outlier patch are not public; the
    fraction and the values of phi are ours.
    """
    if phi not in PHIS:
        raise UsageError(f"phi is {phi}; supported are {', '.join(map(str, PHIS))}")
    if outlier_fraction is not None and not 0 <= outlier_fraction <= 1:
        raise UsageError(f"outlier_fraction is {outlier_fraction}; it must be from 0 to 1")
    if stats.outliers is None:
        raise UsageError(f"feature map {stats.name} is not [1, H, W, C]; it has no patches")
    shares = stats.outliers[PHIS.index(phi)].astype(np.float64)
    threshold = CONCENTRATION * float(shares.mean()) if outlier_fraction is None else outlier_fraction
    fractions = np.array([[_fraction(shares, region, stats.name) for region in row] for row in regions])
    mu, sigma = fit_gaussian(stats.histogram, stats.format)
    return OutlierReport(phi, mu, sigma, threshold, fractions, fractions > threshold)


def _fit_steps(histogram: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation in 8-bit steps; a map of one value has exactly 0 deviation."""
    counts = np.asarray(histogram, np.float64)
    if not counts.any():
        raise UsageError("the histogram is empty; calibrate on at least one sample")
    q = np.arange(-128, 128)
    mean = float(counts @ q / counts.sum())
    return mean, float(np.sqrt(counts @ (q - mean) ** 2 / counts.sum()))


def _fraction(shares: np.ndarray, region: Region, name: str) -> float:
    y0, y1, x0, x1 = region
    height, width = shares.shape
    if min(y0, x0) < 0 or y1 > height or x1 > width:
        raise UsageError(f"region {region} is outside feature map {name} of {height} x {width}")
    patch = shares[y0:y1, x0:x1]
    return float(patch.mean()) if patch.size else 0.0
