"""Maxima over whole maps behind pools: the same bytes on TFLM, and a stage that holds no whole map."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.edit_model import StockModel
from tests.support.stock_tflm import run_stock
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile


def network(shape: tuple[int, ...], axes: tuple[int, ...], *, keeps: bool = False) -> ModelFile:
    """A convolution to 8 channels, and the maximum of it."""
    rng = np.random.default_rng(sum(shape))
    net = StockModel()
    x = net.input(shape, zero_point=3)
    y = net.conv2d(x, rng.integers(-127, 128, (8, 3, 3, shape[3])).astype(np.int8), scale=0.2, zero_point=-7)
    kept = tuple(1 if d in axes else n for d, n in enumerate(y.shape) if keeps or d not in axes)
    wanted = net.constant(np.array(axes, np.int32))
    return ModelFile(net.build(net.stock("REDUCE_MAX", [y, wanted], schema.ReducerOptionsT(keepDims=keeps), kept)))


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("shape", [(1, 4, 4, 3), (1, 7, 11, 2), (1, 1, 30, 4), (1, 23, 3, 3), (1, 16, 16, 3)])
def test_it_gives_tflms_bytes(shape: tuple[int, ...], keeps: bool) -> None:
    model = network(shape, (1, 2), keeps=keeps)
    found = canonical(model)
    assert [op.kind for op in found.graph.ops] == ["CONV_2D", "MAX_POOL_2D", "REDUCE_MAX"]
    x = random_samples(model.graph.tensors[0], 4)
    for before, after in zip(run_stock(model.data, x), run_stock(found.data, x), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(("shape", "axes"), [((1, 3, 5, 2), (1, 2)), ((1, 8, 8, 2), (1,)), ((1, 8, 8, 2), (1, 2, 3))])
def test_few_pixels_and_other_axes_stay(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    model = network(shape, axes)
    assert canonical(model) is model


def test_no_map_is_whole() -> None:
    graph = canonical(network((1, 32, 32, 3), (1, 2))).graph
    found = plan_stages(graph, max_slowdown=2.0)
    assert found.best is not None and found.best.arena_bytes < 32 * 32 * 3 + 2000  # the input; a map has 8,192


@pytest.mark.parametrize("keeps", [False, True])
def test_networks_over_time_have_them_too(keeps: bool) -> None:
    rng = np.random.default_rng(5)
    net = StockModel()
    x = net.input((1, 40, 3), zero_point=3)
    weights = rng.integers(-127, 128, (6, 1, 5, 3)).astype(np.int8)
    y = net.conv2d(net.reshape(x, (1, 1, 40, 3)), weights, scale=0.2, zero_point=-7)
    row = net.reshape(y, (1, 40, 6))
    shape = (1, 1, 6) if keeps else (1, 6)
    axes = net.constant(np.array([1], np.int32))
    model = ModelFile(net.build(net.stock("REDUCE_MAX", [row, axes], schema.ReducerOptionsT(keepDims=keeps), shape)))
    found = canonical(model)
    assert [op.kind for op in found.graph.ops] == ["RESHAPE", "CONV_2D", "MAX_POOL_2D", "REDUCE_MAX"]
    samples = random_samples(model.graph.tensors[0], 4)
    for before, after in zip(run_stock(model.data, samples), run_stock(found.data, samples), strict=True):
        np.testing.assert_array_equal(before, after)
