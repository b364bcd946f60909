"""Patches are classified by the share of values that a fitted Gaussian calls outliers."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.calibration.outliers import (
    PHIS,
    classify_patches,
    fit_gaussian,
    outlier_rule,
    outlier_values,
    rule_in,
    z_of_phi,
)
from tflm_quantmcu.graph.calibration_result import TensorStats
from tflm_quantmcu.graph.precision_plan import OutlierRule
from tflm_quantmcu.graph.types import Format

FORMAT = Format(8, 0.5, 10)


def _stats(maps: np.ndarray, name: str = "map") -> TensorStats:
    """Statistics of int8 maps [N, H, W, C], counted naively."""
    histogram = np.bincount(maps.ravel().astype(int) + 128, minlength=256)
    outliers = [(outlier_values(histogram, phi)[maps.astype(int) + 128]).mean(axis=(0, -1)) for phi in PHIS]
    return TensorStats(name, histogram, FORMAT, np.array(outliers, np.float32))


def _quiet_maps_with_one_loud_corner() -> np.ndarray:
    maps = np.random.default_rng(0).normal(0, 5, (8, 6, 6, 3)).round().clip(-20, 20)
    maps[:, :2, :2] = 100
    return maps.astype(np.int8)


QUARTERS = [[(0, 3, 0, 3), (0, 3, 3, 6)], [(3, 6, 0, 3), (3, 6, 3, 6)]]


@pytest.mark.parametrize("phi, z", [(0.90, 1.6449), (0.95, 1.9600), (0.99, 2.5758), (0.999, 3.2905)])
def test_z_is_that_of_the_tables(phi, z):
    assert z_of_phi(phi) == pytest.approx(z, abs=1e-4)


def test_the_fitted_gaussian_has_the_mean_and_deviation_of_the_real_values():
    maps = np.random.default_rng(3).integers(-128, 128, (4, 5, 5, 2)).astype(np.int8)
    reals = (maps.astype(float) - FORMAT.zero_point) * FORMAT.scale
    mu, sigma = fit_gaussian(_stats(maps).histogram, FORMAT)
    assert mu == pytest.approx(reals.mean())
    assert sigma == pytest.approx(reals.std())


def test_outlier_values_lie_beyond_z_deviations():
    q = np.random.default_rng(3).normal(0, 20, 10000).round().clip(-128, 127).astype(int)
    flagged = outlier_values(np.bincount(q + 128, minlength=256), 0.95)
    expected = np.abs(np.arange(-128, 128) - q.mean()) > 1.959963984540054 * q.std()
    assert np.array_equal(flagged, expected)


def test_the_one_value_of_a_constant_map_is_no_outlier():
    histogram = np.zeros(256, np.int64)
    histogram[128 + 37] = 3 * 10**9 + 1
    assert not any(outlier_values(histogram, phi)[128 + 37] for phi in PHIS)


def test_the_loud_corner_is_the_outlier_patch():
    report = classify_patches(_stats(_quiet_maps_with_one_loud_corner()), QUARTERS, phi=0.96)
    assert report.is_outlier.tolist() == [[True, False], [False, False]]
    assert report.fractions[0, 0] == pytest.approx(4 / 9)
    assert report.threshold == pytest.approx(2 * 4 / 36)  # twice the share in the whole map
    assert report.phi == 0.96


def test_fractions_are_shares_of_all_values_of_the_patch():
    maps = _quiet_maps_with_one_loud_corner()
    stats = _stats(maps)
    for phi in PHIS:
        report = classify_patches(stats, QUARTERS, phi=phi)
        flags = outlier_values(stats.histogram, phi)[maps.astype(int) + 128]
        for row in range(2):
            for col in range(2):
                y0, y1, x0, x1 = QUARTERS[row][col]
                assert report.fractions[row, col] == pytest.approx(flags[:, y0:y1, x0:x1].mean(), abs=1e-6)


def test_an_even_map_has_no_outlier_patches_by_default_and_all_under_the_strict_reading():
    maps = np.random.default_rng(1).normal(0, 20, (32, 6, 6, 8)).round().clip(-128, 127).astype(np.int8)
    stats = _stats(maps)
    assert not classify_patches(stats, QUARTERS, phi=0.9).is_outlier.any()
    assert not classify_patches(stats, QUARTERS, phi=0.9, outlier_fraction=0.15).is_outlier.any()
    assert classify_patches(stats, QUARTERS, phi=0.9, outlier_fraction=0).is_outlier.all()


def test_one_value_is_enough_for_the_strict_reading():
    maps = np.zeros((100, 6, 6, 4), np.int8)
    maps[17, 5, 0, 2] = 90
    report = classify_patches(_stats(maps), QUARTERS, phi=0.999, outlier_fraction=0)
    assert report.is_outlier.tolist() == [[False, False], [True, False]]
    assert report.fractions[1, 0] == pytest.approx(1 / (100 * 9 * 4))


def test_halos_may_overlap_and_regions_may_be_empty():
    stats = _stats(_quiet_maps_with_one_loud_corner())
    report = classify_patches(stats, [[(0, 5, 0, 3), (0, 0, 0, 0), (2, 6, 1, 6)]], phi=0.96)
    assert report.is_outlier.tolist() == [[True, False, False]]


def test_maps_without_outliers_are_all_ordinary():
    report = classify_patches(_stats(np.full((3, 6, 6, 2), 5, np.int8)), QUARTERS, phi=0.9, outlier_fraction=0)
    assert not report.is_outlier.any()
    assert report.sigma == 0


@pytest.mark.parametrize(
    "keywords, sentence",
    [
        ({"phi": 0.5}, "phi is 0.5; supported are 0.9, 0.95, 0.96, 0.98, 0.99, 0.999"),
        ({"phi": 0.9, "outlier_fraction": -0.1}, "outlier_fraction is -0.1"),
        ({"phi": 0.9, "regions": [[(0, 7, 0, 6)]]}, r"region \(0, 7, 0, 6\) is outside feature map map of 6 x 6"),
        ({"phi": 0.9, "regions": [[(-1, 2, 0, 6)]]}, "outside feature map"),
    ],
)
def test_requests_that_make_no_sense_are_refused(keywords, sentence):
    regions = keywords.pop("regions", QUARTERS)
    with pytest.raises(UsageError, match=sentence):
        classify_patches(_stats(_quiet_maps_with_one_loud_corner()), regions, **keywords)


def test_maps_without_height_and_width_are_refused():
    histogram = np.ones(256, np.int64)
    with pytest.raises(UsageError, match="feature map logits is not"):
        classify_patches(TensorStats("logits", histogram, FORMAT), QUARTERS, phi=0.9)
    with pytest.raises(UsageError, match="the histogram is empty"):
        fit_gaussian(histogram * 0, FORMAT)


@pytest.mark.parametrize("phi", PHIS)
def test_the_rule_s_outliers_are_those_of_the_gaussian(phi):
    q = np.random.default_rng(4).normal(30, 40, 5000).round().clip(-128, 127).astype(int)
    histogram = np.bincount(q + 128, minlength=256)
    rule = outlier_rule(histogram, phi=phi, threshold=0.25)
    steps = np.arange(-128, 128)
    assert np.array_equal((steps < rule.low) | (steps > rule.high), outlier_values(histogram, phi))
    assert rule.share == 1 << 14


def test_a_share_above_all_never_finds_outliers():
    assert outlier_rule(np.ones(256, np.int64), phi=0.9, threshold=1.7).share == 1 << 16


def test_a_rule_in_its_own_format_stays():
    rule = OutlierRule(-17, 90, 77)
    assert rule_in(rule, FORMAT, FORMAT) == rule
    assert rule_in(rule, FORMAT, Format(8, 1.0, 10)) == OutlierRule(-3, 50, 77)


@pytest.mark.parametrize("narrow", (Format(4, 8.0, -3), Format(4, 3.0, 5), Format(2, 20.0, -1)))
def test_steps_of_fewer_bits_are_outliers_where_their_values_are(narrow):
    rule = OutlierRule(-20, 61, 5)
    moved = rule_in(rule, FORMAT, narrow)
    for q in range(narrow.qmin, narrow.qmax + 1):
        real = (q - narrow.zero_point) * narrow.scale
        is_outlier = not (-20.5 - 10) * 0.5 <= real <= (61.5 - 10) * 0.5
        assert (q < moved.low or q > moved.high) == is_outlier, q


def test_a_bound_at_the_end_of_the_range_is_none_in_any_format():
    moved = rule_in(OutlierRule(-128, 127, 5), Format(8, 0.1, 0), Format(8, 1.0, 0))
    assert (moved.low, moved.high) == (-128, 127)
