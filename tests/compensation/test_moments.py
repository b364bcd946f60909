"""Moments of inputs: they are what their definition says, and the same in whatever order sums are taken."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tiny_models import TinyModel
from tflm_quantmcu.compensation import moments
from tflm_quantmcu.compensation.moments import Moments, StoredMap, moments_of
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.tflite.reader import read_model

WANTED, PLANNED = Format(8, 0.037, -11), Format(4, 0.61, 3)
ROWS, CHANNELS = 24, 6


def _moments(rows: np.ndarray) -> Moments:
    """Moments of a pointwise convolution whose positions are `rows` int8 [2, samples * positions, CHANNELS]."""
    tiny = TinyModel()
    output = tiny.conv2d(tiny.input([1, ROWS, ROWS, CHANNELS]), np.ones((4, 1, 1, CHANNELS), np.int8))
    graph = read_model(tiny.build(output))
    op = LoweredNetwork.of(graph).lower(graph.ops[0])
    wanted, planned = (values.reshape(-1, ROWS, ROWS, CHANNELS) for values in rows)
    maps = StoredMap(wanted, WANTED), StoredMap(planned, PLANNED)
    return moments_of(op, *maps, (ROWS, ROWS), with_products=True)


def _rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    wanted = np.clip(rng.normal(40, 60, (8 * ROWS * ROWS, CHANNELS)), -128, 127).round()
    planned = np.clip((wanted + 11) * 0.037 / 0.61 + 3, -8, 7).round()
    return np.stack([wanted, planned]).astype(np.int8)


def test_they_are_means_and_covariances() -> None:
    rows = _rows()
    x, y = ((v.astype(np.float64) - f.zero_point) * f.scale for v, f in zip(rows, (WANTED, PLANNED), strict=True))
    found = _moments(rows)
    np.testing.assert_allclose(found.mean[0], x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.planned_mean[0], y.mean(axis=0), rtol=1e-12)
    assert found.cross is not None and found.gram is not None
    centred = x - x.mean(axis=0), y - y.mean(axis=0)
    for product, first in zip((found.cross, found.gram), centred, strict=True):
        np.testing.assert_allclose(product[0], first.T @ centred[1] / len(x), rtol=1e-9, atol=1e-9)


def test_they_do_not_depend_on_the_order_of_sums() -> None:
    rows = _rows()
    order = np.random.default_rng(1).permutation(rows.shape[1])
    first, second = _moments(rows), _moments(rows[:, order])
    for name in ("mean", "planned_mean", "cross", "gram"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


@pytest.mark.parametrize(("positions", "step"), [(8 * ROWS * ROWS, 1), (8 * ROWS * ROWS - 1, 2), (200, 24), (1, 4608)])
def test_of_many_positions_every_few_rows_count(monkeypatch, positions: int, step: int) -> None:
    monkeypatch.setattr(moments, "MAX_POSITIONS", positions)
    monkeypatch.setattr(moments, "MAX_POSITIONS_A_TAP", 0)
    rows = _rows()
    found = _moments(rows)
    kept = rows.reshape(2, 8, ROWS, ROWS, CHANNELS)[:, :, min(step, ROWS) // 2 :: step].reshape(2, -1, CHANNELS)
    assert found.count == kept.shape[1]
    x, y = ((v.astype(np.float64) - f.zero_point) * f.scale for v, f in zip(kept, (WANTED, PLANNED), strict=True))
    np.testing.assert_allclose(found.mean[0], x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.planned_mean[0], y.mean(axis=0), rtol=1e-12)
    assert found.gram is not None
    np.testing.assert_allclose(found.gram[0], np.cov(y.T, bias=True), rtol=1e-9, atol=1e-9)
