"""Formats below 8 bits have the least squared error that there is, and keep real 0."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.fixed_point import round_half_away
from tflm_quantmcu.law.ranges import mse_format, requantize_weights

WIDE = Format(8, float(np.float32(0.05)), -3)
# For the rounding of the scale to float32.
MARGIN = 1.00001


def _histogram(q: np.ndarray) -> np.ndarray:
    return np.bincount(np.clip(np.rint(q), -128, 127).astype(int) + 128, minlength=256)


def _error(reals: np.ndarray, counts: np.ndarray, scale: float, zero_point: int, bits: int) -> float:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    q = np.clip(round_half_away(reals / scale) + zero_point, low, high)
    return float(counts @ (reals - (q - zero_point) * scale) ** 2)


def _least_error(reals: np.ndarray, counts: np.ndarray, bits: int, zero_points: range) -> float:
    """The least error over 1000 scales and every zero point."""
    scales = np.abs(reals[counts > 0]).max() * np.arange(1, 1001) / 1000
    return min(_error(reals, counts, s, z, bits) for s in scales for z in zero_points)


RNG = np.random.default_rng(5)
MAPS = {
    "gaussian": RNG.normal(0, 20, 3000),
    "relu": np.maximum(RNG.normal(-110, 40, 3000), -3),
    "outliers": np.concatenate([RNG.normal(0, 4, 3000), [-120, 110, 127]]),
    "skewed": RNG.gamma(2, 15, 3000) - 30,
    "two values": np.array([-3.0] * 50 + [90.0]),
}


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("name", MAPS)
def test_no_other_format_is_better(name, bits):
    histogram = _histogram(MAPS[name])
    reals = (np.arange(-128, 128) - WIDE.zero_point) * WIDE.scale
    found = mse_format(histogram, WIDE, bits)
    assert found.bits == bits
    least = _least_error(reals, histogram, bits, range(found.qmin, found.qmax + 1))
    assert _error(reals, histogram, found.scale, found.zero_point, bits) <= MARGIN * least + 1e-12


@pytest.mark.parametrize("bits", [4, 2])
def test_maps_without_negative_values_use_the_lowest_zero_point(bits):
    histogram = _histogram(np.array([-3.0, 10.0, 60.0, 61.0, 127.0]))
    assert mse_format(histogram, WIDE, bits).zero_point == -(1 << (bits - 1))


def test_maps_without_positive_values_are_served_too():
    histogram = _histogram(np.array([-128.0] * 5 + [-60.0] * 5 + [-3.0] * 5))
    found = mse_format(histogram, WIDE, 2)
    reals = (np.arange(-128, 128) - WIDE.zero_point) * WIDE.scale
    assert _error(reals, histogram, found.scale, found.zero_point, 2) < 1.0


def test_few_levels_are_kept_exactly():
    wide = Format(8, 1.0, 0)
    assert mse_format(_histogram(np.array([0.0, 5.0, 10.0, 15.0])), wide, 2) == Format(2, 5.0, -2)


def test_a_map_of_zeros_has_a_valid_format():
    assert mse_format(_histogram(np.full(9, -3.0)), WIDE, 4) == Format(4, float(np.float32(0.05) * 16), -8)


def test_eight_bits_are_the_models_own():
    assert mse_format(_histogram(MAPS["gaussian"]), WIDE, 8) is WIDE


def test_scales_are_float32_values():
    for bits in (4, 2):
        scale = mse_format(_histogram(MAPS["gaussian"]), WIDE, bits).scale
        assert scale == float(np.float32(scale))


@pytest.mark.parametrize("histogram", [np.zeros(256), np.ones(255)])
def test_histograms_that_say_nothing_are_refused(histogram):
    with pytest.raises(UsageError, match="the histogram is"):
        mse_format(histogram, WIDE, 4)


@pytest.mark.parametrize("axis", [0, 3, -1])
@pytest.mark.parametrize("bits", [4, 2])
def test_each_channel_of_weights_has_its_best_scale(axis, bits):
    weights = np.random.default_rng(1).normal(0, np.array([0.1, 1, 20, 3]), (4, 3, 3, 4))
    q, scales = requantize_weights(weights, axis, bits)
    assert q.dtype == np.int8 and q.shape == weights.shape and q.flags.c_contiguous
    assert scales.dtype == np.float32 and scales.shape == (4,)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    assert q.min() == low and q.max() == high
    for w, integers, scale in zip(
        np.moveaxis(weights, axis, 0), np.moveaxis(q, axis, 0), scales.astype(np.float64), strict=True
    ):
        assert np.array_equal(integers, np.clip(round_half_away(w / scale), low, high))
        error = np.sum((w - integers * scale) ** 2)
        least = _least_error(w.ravel(), np.ones(w.size), bits, range(0, 1))
        assert error <= MARGIN * least


def test_weights_on_the_grid_come_back_exactly():
    integers = np.array([[-8, 7, 3, 0], [1, -2, 4, -8]])
    q, scales = requantize_weights(integers * np.array([[0.25], [0.5]]), 0, 4)
    assert np.array_equal(q, integers)
    assert scales.tolist() == [0.25, 0.5]


def test_zero_channels_have_scale_one():
    q, scales = requantize_weights(np.array([[0.0, 0.0], [3.0, -3.0]]), 0, 2)
    assert scales[0] == 1.0
    assert q[0].tolist() == [0, 0]


def test_results_repeat():
    weights = np.random.default_rng(2).normal(size=(8, 50))
    first, second = requantize_weights(weights, 0, 4), requantize_weights(weights, 0, 4)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize(("channels", "taps"), [(1, 1), (700, 9), (40, 960), (3, 40_000)])
def test_a_channel_s_scale_does_not_depend_on_the_others(bits, channels, taps):
    rng = np.random.default_rng(taps)
    weights = rng.normal(size=(channels, taps)) * rng.choice([0, 1e-3, 1, 50], (channels, 1))
    weights[rng.random(weights.shape) < 0.1] = 0
    weights[: channels // 3] = np.round(weights[: channels // 3])  # equal values, equal crossings
    q, scales = requantize_weights(weights, 0, bits)
    alone = [requantize_weights(row[None], 0, bits) for row in weights]
    np.testing.assert_array_equal(q, np.concatenate([of_row for of_row, _ in alone]))
    np.testing.assert_array_equal(scales, np.concatenate([scale for _, scale in alone]))
