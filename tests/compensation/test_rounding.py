"""Rounding that carries errors over: against rounding to the nearest, and where the two must agree."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.compensation.rounding import fit_weights, round_weights
from tflm_quantmcu.law.fixed_point import round_half_away
from tflm_quantmcu.law.ranges import requantize_weights

GROUPS, OUTPUTS, TAPS = 3, 8, 12


def _inputs(seed: int) -> np.ndarray:
    """float64 [GROUPS, 500, TAPS], taps that go together."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(GROUPS, 500, 4)) @ rng.normal(size=(GROUPS, 4, TAPS)) + rng.normal(
        0, 0.2, (GROUPS, 500, TAPS)
    )


def _gram(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x.swapaxes(1, 2) @ y / x.shape[1]


def _weights(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(GROUPS, OUTPUTS, TAPS))


def _nearest(weights: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    q, scales = requantize_weights(weights.reshape(-1, TAPS), 0, bits)
    return q.reshape(weights.shape), scales.reshape(GROUPS, OUTPUTS)


def _error(x: np.ndarray, weights: np.ndarray, q: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """[GROUPS]: squared error of the sums."""
    return np.sum((x @ (weights - q * scales[..., None].astype(np.float64)).swapaxes(1, 2)) ** 2, axis=(1, 2))


@pytest.mark.parametrize("bits", (4, 2))
@pytest.mark.parametrize("seed", range(5))
def test_sums_of_inputs_that_go_together_change_less_than_by_rounding_to_the_nearest(bits, seed):
    x, weights = _inputs(seed), _weights(seed)
    q, scales = round_weights(weights, _gram(x, x), bits)
    assert q.dtype == np.int8 and scales.dtype == np.float32
    assert -(1 << (bits - 1)) <= q.min() and q.max() < 1 << (bits - 1)
    assert (_error(x, weights, q, scales) < 0.8 * _error(x, weights, *_nearest(weights, bits))).all()


@pytest.mark.parametrize("bits", (4, 2))
def test_inputs_that_have_nothing_in_common_are_rounded_to_the_nearest(bits):
    weights = _weights(0)
    energies = np.random.default_rng(1).uniform(0.1, 2, (GROUPS, TAPS))
    q, scales = round_weights(weights, energies[:, None, :] * np.eye(TAPS), bits)
    nearest = _nearest(weights, bits)
    np.testing.assert_array_equal(q, nearest[0])
    np.testing.assert_array_equal(scales, nearest[1])


def test_weights_are_fitted_to_inputs_that_are_not_what_they_should_be():
    x, weights = _inputs(0), _weights(0)
    planned = 0.5 * x + np.random.default_rng(2).normal(0, 0.1, x.shape)
    fitted = fit_weights(weights, _gram(x, planned), _gram(planned, planned))
    least = np.linalg.lstsq(planned[1], x[1] @ weights[1].T, rcond=None)[0].T
    np.testing.assert_allclose(fitted[1], least, rtol=1e-6, atol=1e-8)


def test_weights_stay_where_inputs_are_what_they_should_be():
    gram = _gram(_inputs(0), _inputs(0))
    np.testing.assert_allclose(fit_weights(_weights(0), gram, gram), _weights(0))


def test_of_very_many_inputs_each_error_moves_all_weights_still_to_come():
    taps = 150
    rng = np.random.default_rng(3)
    x, weights = rng.normal(size=(400, taps)) @ rng.normal(size=(taps, taps)), rng.normal(size=(1, 3, taps))
    gram = x.T @ x / len(x)
    q, scales = round_weights(weights, gram[None], 4)
    left, expected = weights[0].copy(), np.zeros((3, taps), np.int8)
    rest = np.argsort(-np.diagonal(gram), kind="stable")
    while rest.size:
        k, rest = rest[0], rest[1:]
        expected[:, k] = np.clip(round_half_away(left[:, k] / scales[0]), -8, 7)
        error = left[:, k] - scales[0] * expected[:, k]
        left[:, rest] += np.outer(error, np.linalg.solve(gram[np.ix_(rest, rest)], gram[rest, k]))
    np.testing.assert_array_equal(q[0], expected)
