"""Entropy in bits a value: worked cases, bounds, and the order of the widths."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.calibration.entropy import entropy_by_bits, weight_entropy_by_bits
from tflm_quantmcu.graph.calibration_result import TensorStats
from tflm_quantmcu.graph.types import Format


def _stats(counts: dict[int, int], zero_point: int = 0, scale: float = 1.0) -> TensorStats:
    histogram = np.zeros(256, np.int64)
    for q, count in counts.items():
        histogram[q + 128] = count
    return TensorStats("map", histogram, Format(8, scale, zero_point))


def test_all_values_alike_have_no_entropy():
    assert entropy_by_bits(_stats({7: 100})) == {8: 0.0, 4: 0.0, 2: 0.0}


def test_even_values_have_as_many_bits_as_the_width():
    entropies = entropy_by_bits(_stats(dict.fromkeys(range(-128, 128), 3)))
    assert entropies[8] == pytest.approx(8)
    assert 3.9 < entropies[4] <= 4
    assert 1.8 < entropies[2] <= 2


def test_four_equidistant_values_survive_two_bits():
    entropies = entropy_by_bits(_stats({0: 5, 30: 5, 60: 5, 90: 5}))
    assert entropies == {8: pytest.approx(2), 4: pytest.approx(2), 2: pytest.approx(2)}


def test_rare_outliers_cost_the_bulk_its_entropy():
    bulk = dict.fromkeys(range(-8, 8), 1000)
    far = {127: 400, -128: 400}
    assert entropy_by_bits(_stats(bulk))[4] > 3.9
    assert entropy_by_bits(_stats(bulk | far))[4] < 2.5


@pytest.mark.parametrize("seed", range(20))
def test_narrower_never_has_more_than_wide_and_never_more_than_its_bits(seed):
    rng = np.random.default_rng(seed)
    counts = dict(enumerate(rng.integers(0, 100, 256) * (rng.random(256) < rng.random()), -128))
    entropies = entropy_by_bits(_stats(counts | {0: 1}, int(rng.integers(-128, 128)), float(rng.random() + 1e-3)))
    for bits, entropy in entropies.items():
        assert 0 <= entropy <= min(bits, entropies[8]) + 1e-9


def test_only_the_asked_widths_are_computed():
    assert list(entropy_by_bits(_stats({0: 1, 5: 2}), bits=(4,))) == [4]


def test_an_empty_histogram_is_refused():
    with pytest.raises(UsageError, match="histogram"):
        entropy_by_bits(_stats({}))


def test_weights_lose_information_channel_by_channel():
    weights = np.random.default_rng(0).integers(-127, 128, (8, 3, 3, 64), dtype=np.int8)
    weights[:4] //= 16  # in steps of their own scale these channels have few values, which 4 bits hold
    few = weight_entropy_by_bits(weights[:4], 0)
    assert few[8] - few[4] < 0.2
    assert few[4] > few[2]
    many = weight_entropy_by_bits(weights[4:], 0)
    assert many[8] - many[4] > 1
    depthwise = np.ascontiguousarray(np.moveaxis(weights[4:], 0, 3))
    assert weight_entropy_by_bits(depthwise, 3) == many
