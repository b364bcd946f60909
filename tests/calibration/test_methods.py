"""Calibration methods: what each takes into a map's range, at 8 bits and below."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.calibration.methods import (
    candidate_formats,
    format_of_range,
    least_error_format,
    narrow_format,
    wide_format,
)
from tflm_quantmcu.calibration.real_histogram import RealHistogram
from tflm_quantmcu.graph.calibration_result import CALIBRATION_METHODS, CalibrationMethod, TensorStats
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.fixed_point import round_half_away
from tflm_quantmcu.law.ranges import mse_format

RNG = np.random.default_rng(8)
GAUSSIAN = RNG.normal(0, 1, 20_000).astype(np.float32)
RECTIFIED = np.maximum(GAUSSIAN, 0) ** 2
WIDE = Format(8, float(np.float32(0.05)), -20)


def _seen(values: np.ndarray) -> RealHistogram:
    return RealHistogram.of(np.asarray(values, np.float32))


def _stats(q: np.ndarray, method: CalibrationMethod) -> TensorStats:
    return TensorStats("map", np.bincount(np.asarray(q) + 128, minlength=256), WIDE, method=method)


def _error(values: np.ndarray, format: Format) -> float:
    q = np.clip(round_half_away(values / format.scale) + format.zero_point, format.qmin, format.qmax)
    return float(np.sum((values - (q - format.zero_point) * format.scale) ** 2))


def test_a_range_is_spanned_by_the_levels():
    assert format_of_range(0.0, 25.5, 8) == Format(8, float(np.float32(0.1)), -128)
    assert format_of_range(-1.5, 6.0, 4) == Format(4, 0.5, -5)
    assert format_of_range(-3.0, 0.0, 2) == Format(2, 1.0, 1)


def test_minmax_takes_in_every_value():
    for values in (GAUSSIAN, RECTIFIED, -RECTIFIED):
        format = wide_format(_seen(values), CalibrationMethod("minmax"))
        low, high = ((q - format.zero_point) * format.scale for q in (-128, 127))
        assert low <= values.min() + format.scale and high >= values.max() - format.scale
        assert format.scale == np.float32((max(values.max(), 0.0) - min(values.min(), 0.0)) / 255)


def test_percentile_clips_that_share_at_either_end():
    values = np.arange(-1000, 1001)
    format = wide_format(_seen(values), CalibrationMethod("percentile", 99.0))
    clipped = (values < (-128 - format.zero_point) * format.scale).sum()
    assert abs(clipped - 20) <= 5  # 1 % of 2,001, to a step and a bin
    assert format.scale == pytest.approx(2 * 980 / 255, rel=0.01)
    assert wide_format(_seen(values), CalibrationMethod("percentile", 100.0)).scale == pytest.approx(2000 / 255)


@pytest.mark.parametrize("values", [GAUSSIAN, RECTIFIED, RNG.standard_t(2, 20_000)], ids=["gauss", "relu", "tails"])
def test_mse_at_8_bits_has_no_more_error_than_any_range(values):
    chosen = _error(values, wide_format(_seen(values), CalibrationMethod("mse")))
    shares = np.linspace(0.02, 1, 25)
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    rivals = [format_of_range(low * a, high * b, 8) for a, b in itertools.product(shares, shares)]
    assert chosen <= 1.02 * min(_error(values, rival) for rival in rivals)  # rounding errors are taken as even


def test_a_map_of_zeros_keeps_its_format():
    for name in CALIBRATION_METHODS[1:4]:
        assert wide_format(_seen(np.zeros(4)), CalibrationMethod(name)) is None
        assert narrow_format(_stats(np.full(9, -20), CalibrationMethod(name)), 4).zero_point == -8


@pytest.mark.parametrize("bits", [4, 2])
def test_below_8_bits_the_same_ranges_are_taken(bits):
    q = np.r_[np.arange(-20, 100), [126]]
    top = 146 * WIDE.scale
    assert narrow_format(_stats(q, CalibrationMethod("minmax")), bits) == format_of_range(0.0, top, bits)
    clipped = narrow_format(_stats(q, CalibrationMethod("percentile", 99.0)), bits)
    assert clipped == format_of_range(0.0, 119 * WIDE.scale, bits)
    for name in ("own", "mse", "uspiq"):
        stats = _stats(q, CalibrationMethod(name))
        assert narrow_format(stats, bits) == mse_format(stats.histogram, WIDE, bits)


def test_at_8_bits_a_map_keeps_the_models_format():
    for name in CALIBRATION_METHODS:
        assert narrow_format(_stats(np.arange(-128, 128), CalibrationMethod(name)), 8) is WIDE


def test_candidates_lie_around_the_range_and_the_nearest_is_found():
    candidates = candidate_formats(-1.0, 4.0, 4)
    assert len(candidates) == len(set(candidates)) > 100
    scales = [c.scale * 15 for c in candidates]
    assert min(scales) < 0.6 and max(scales) > 5.0
    assert len(candidate_formats(0.0, 4.0, 4)) < 40
    values = GAUSSIAN * 0.8
    best = least_error_format(candidates, values, values)
    assert _error(values, best) <= 1.0001 * min(_error(values, c) for c in candidates)


def test_what_is_wanted_decides_and_not_what_is_found():
    halved = least_error_format([Format(4, 1.0, 0), Format(4, 0.5, 0)], np.full(3, 6.0), np.full(3, 3.5))
    assert halved == Format(4, 0.5, 0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "guess"}, "--calibration_method is guess; supported are own, minmax, percentile, mse, uspiq"),
        ({"percentile": 50.0}, "--calibration_percentile is 50.0; it must be above 50 and at most 100"),
        ({"percentile": 100.5}, "--calibration_percentile is 100.5"),
    ],
)
def test_other_methods_are_refused(fields, words):
    with pytest.raises(UsageError, match=words):
        CalibrationMethod(**fields)


def test_flags_name_what_decides():
    assert CalibrationMethod("mse", 99.0).flags == {"calibration_method": "mse"}
    percentile = CalibrationMethod("percentile", 99.0)
    assert CalibrationMethod.of_flags({"method": "vdqs", **percentile.flags}) == percentile
    assert CalibrationMethod.of_flags({}) == CalibrationMethod()
