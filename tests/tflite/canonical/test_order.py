"""Ops change places with their neighbours where fewer bytes are then alive, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.canonical.order import order_ops
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.writer import write_model

RNG = np.random.default_rng(5)


def normalised(*, is_scaled_first: bool) -> bytes:
    """A map and the mean of its channels, both times a third map, which the second product is the last to read."""
    net = TinyModel()
    x = net.input((1, 16, 16, 8))
    mean = net.mean(x, (3,), keep_dims=True, scale=0.05)
    gain = net.constant(RNG.integers(-127, 128, (1, 1, 1, 8), dtype=np.int8), scale=0.01)
    scale = net.mul(mean, gain, scale=0.03)

    def product(of: Handle) -> Handle:
        return net.mul(of, scale, scale=0.1)

    sides = [product(x), product(mean)] if is_scaled_first else [product(mean), product(x)][::-1]
    return net.build(net.mean(net.add(*sides, scale=0.1), scale=0.1))


def test_the_product_that_ends_a_map_goes_first() -> None:
    model = ModelFile(normalised(is_scaled_first=False))
    tree = order_ops(model)
    assert tree is not None
    ordered = ModelFile(write_model(tree))
    kinds = [[op.outputs for op in file.graph.ops] for file in (model, ordered)]
    assert kinds[0] != kinds[1] and sorted(kinds[0]) == sorted(kinds[1])
    before, after = Interpreter(model), Interpreter(ordered)
    assert after.allocations().non_persistent_bytes < before.allocations().non_persistent_bytes
    for _ in range(3):
        x = RNG.integers(-128, 128, (1, 16, 16, 8)).astype(np.int8)
        np.testing.assert_array_equal(after.invoke(x)[0], before.invoke(x)[0])


def test_a_good_order_stays() -> None:
    assert order_ops(ModelFile(normalised(is_scaled_first=True))) is None


def test_ops_that_stages_hold_keep_their_order() -> None:
    """The last convolution ends the largest map, and could go before the one that does not read it."""
    net = TinyModel()
    x = net.input((1, 16, 16, 8))
    weights = [RNG.integers(-127, 128, shape, dtype=np.int8) for shape in ((16, 1, 1, 8), (8, 1, 1, 8), (2, 1, 1, 16))]
    wide, other = (net.conv2d(x, w, scale=0.2) for w in weights[:2])
    narrow = net.conv2d(wide, weights[2], scale=0.2)
    assert order_ops(ModelFile(net.build(net.mean(other, scale=0.1), net.mean(narrow, scale=0.1)))) is None


@pytest.mark.parametrize("is_scaled_first", [False, True])
def test_either_order_converts_to_one_arena(is_scaled_first: bool) -> None:
    result = qm.convert(normalised(is_scaled_first=is_scaled_first), search="uniform", progress=False)
    assert result.report.verification.is_same_function
    assert result.report.converted.recorded_non_persistent_bytes <= 2 * 16 * 16 * 8 + 4 * 16 * 16
