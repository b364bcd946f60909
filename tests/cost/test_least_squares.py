"""least_squares: coefficients >= 0, the best ones."""

import numpy as np
import pytest

from tflm_quantmcu.cost.least_squares import fit_relative


@pytest.mark.parametrize("seed", range(20))
def test_no_other_coefficients_are_better(seed):
    rng = np.random.default_rng(seed)
    features, counts = rng.uniform(0, 9, (30, 12)), rng.uniform(1, 99, 30)
    features[:, 5] = features[:, 3]
    features[:, 7] = 0
    found = fit_relative(features, counts)
    assert (found >= 0).all() and found[7] == 0
    # Of a convex sum of squares: no way down that keeps all >= 0.
    scaled = features / counts[:, None]
    slope = scaled.T @ (scaled @ found - 1)
    assert (slope > -1e-6).all() and abs(slope @ found) < 1e-6


def test_a_lawful_count_is_found_again():
    rng = np.random.default_rng(1)
    features, law = rng.integers(1, 100, (40, 8)).astype(float), np.array([3, 0, 0.5, 0, 0, 12, 7, 0])
    assert fit_relative(features, features @ law) == pytest.approx(law, abs=1e-6)
