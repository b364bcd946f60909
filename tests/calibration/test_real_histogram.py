"""Histograms of real values: every value in its bin, whatever the parts and their order."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.calibration.real_histogram import RealHistogram

RNG = np.random.default_rng(3)
PARTS = [RNG.normal(0, deviation, 300).astype(np.float32) for deviation in (1e-4, 1.0, 80.0)]


def _same(a: RealHistogram, b: RealHistogram) -> bool:
    return (a.exponent, a.low, a.high) == (b.exponent, b.low, b.high) and np.array_equal(a.counts, b.counts)


def test_each_value_is_counted_in_its_bin():
    values = PARTS[1]
    found = RealHistogram.of(values)
    assert np.array_equal(found.counts, np.histogram(values.astype(np.float64), found.edges)[0])
    assert (found.low, found.high) == (values.min(), values.max())
    assert 2.0 ** (found.exponent - 1) <= np.abs(values).max() < 2.0**found.exponent


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_parts_in_any_order_give_the_whole(order):
    total = RealHistogram.of(PARTS[order[0]])
    for i in order[1:]:
        total = total + RealHistogram.of(PARTS[i])
    assert _same(total, RealHistogram.of(np.concatenate(PARTS)))


@pytest.mark.parametrize("largest", [1.0, -1.0, 0.5, 3.0, 2.0**20])
def test_ends_of_the_range_have_their_bins(largest):
    found = RealHistogram.of(np.array([largest, 0], np.float32))
    assert found.counts.sum() == 2 and found.counts[4096] >= 1


def test_zeros_alone_have_no_range():
    found = RealHistogram.of(np.zeros(5, np.float32))
    assert (found.low, found.high) == (0, 0) and found.counts[4096] == 5
    assert _same(found + RealHistogram.of(PARTS[2]), RealHistogram.of(np.concatenate([np.zeros(5), PARTS[2]])))
