"""Transposes of six dimensions, which TFLM does not take, become ones of fewer, or a shuffle of blocks."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel
from tests.support.stock_tflm import run_stock
from tflm_quantmcu.keras_bridge.wide_transposes import narrow_transposes, narrowed
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "order", "expected"),
    [
        ((1, 4, 4, 2, 3, 1), (0, 1, 3, 2, 4, 5), ((4, 4, 2, 3), (0, 2, 1, 3))),
        ((1, 4, 8, 4, 8, 3), (0, 1, 3, 2, 4, 5), ((4, 8, 4, 24), (0, 2, 1, 3))),
        ((2, 3, 4), (0, 1, 2), ((24,), (0,))),
        ((2, 1, 3), (2, 1, 0), ((2, 3), (1, 0))),
        ((2, 3, 1, 4), (3, 0, 2, 1), ((6, 4), (1, 0))),
        ((1, 1), (1, 0), ((), ())),
    ],
)
def test_axes_that_stay_together_are_one(shape, order, expected) -> None:
    assert narrowed(shape, order) == expected


def test_every_order_moves_elements_alike() -> None:
    for _ in range(300):
        shape = RNG.integers(1, 4, RNG.integers(1, 7))
        order = RNG.permutation(len(shape))
        sizes, narrow = narrowed(shape.tolist(), order.tolist())
        places = np.arange(shape.prod())
        wanted = places.reshape(shape).transpose(order).ravel()
        np.testing.assert_array_equal(places.reshape(sizes).transpose(narrow).ravel(), wanted)


def transposed(source: tuple[int, ...], middle: tuple[int, ...], order: tuple[int, ...], target: tuple[int, ...]):
    """relu(x), whose elements are then moved, and relu of that."""
    net = StockModel()
    x = net.reshape(net.relu(net.input(source)), middle)
    shape = tuple(middle[axis] for axis in order)
    axes = net.constant(np.array(order, np.int32))
    x = net.stock("TRANSPOSE", [x, axes], schema.TransposeOptionsT(), shape)
    return net.build(net.relu(net.reshape(x, target)))


@pytest.mark.parametrize(
    ("source", "middle", "order", "target", "kinds"),
    [
        ((1, 3, 5, 8), (1, 3, 5, 2, 2, 2), (0, 1, 3, 2, 4, 5), (1, 6, 10, 2), ["DEPTH_TO_SPACE"]),
        ((1, 6, 10, 2), (1, 3, 2, 5, 2, 2), (0, 1, 3, 2, 4, 5), (1, 3, 5, 8), ["SPACE_TO_DEPTH"]),
        # PyTorch's order of a pixel shuffle: channels before blocks.
        ((1, 3, 5, 8), (1, 3, 5, 2, 2, 2), (0, 1, 4, 2, 5, 3), (1, 6, 10, 2), ["RESHAPE", "TRANSPOSE", "RESHAPE"]),
        ((1, 4, 6, 3), (1, 2, 2, 3, 2, 3), (0, 1, 3, 2, 4, 5), (1, 6, 12), ["RESHAPE", "TRANSPOSE", "RESHAPE"]),
        ((1, 6, 6, 1), (1, 3, 2, 6, 1, 1), (0, 2, 1, 3, 4, 5), (1, 6, 6, 1), ["RESHAPE", "TRANSPOSE", "RESHAPE"]),
    ],
)
def test_elements_go_where_they_went(source, middle, order, target, kinds) -> None:
    found = narrow_transposes(transposed(source, middle, order, target))
    between = [op.kind for op in read_model(found).ops][1:-1]
    assert [kind for i, kind in enumerate(between) if kind != "RESHAPE" or between[:i][-1:] != ["RESHAPE"]] == kinds
    for sample in np.split(random_samples(read_model(found).tensors[read_model(found).inputs[0]], 3), 3):
        expected = np.maximum(sample, 0).reshape(middle).transpose(order).reshape(target)
        np.testing.assert_array_equal(run_stock(found, sample)[0], expected)


def test_others_stay() -> None:
    model = transposed((1, 6, 6, 2), (1, 6, 6, 2), (0, 2, 1, 3), (1, 6, 6, 2))
    assert narrow_transposes(model) is model
    model = transposed((2, 2, 2, 8), (2, 2, 2, 2, 2, 2), (5, 4, 3, 2, 1, 0), (2, 2, 2, 8))
    assert [op.kind for op in read_model(narrow_transposes(model)).ops] == [op.kind for op in read_model(model).ops]


def test_a_keras_model_with_a_pixel_shuffle_converts_and_shrinks() -> None:
    keras = pytest.importorskip("keras")
    layers, ops = keras.layers, keras.ops
    source = keras.Input((12, 12, 1))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(source)
    x = ops.reshape(layers.Conv2D(9, 3, padding="same")(x), (-1, 12, 12, 3, 3, 1))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 36, 36, 1))
    samples = RNG.uniform(size=(8, 12, 12, 1)).astype(np.float32)
    result = qm.convert(keras.Model(source, x), calibration_data=samples, search="uniform", progress=False)
    assert result.report.verification.is_same_function
    before, after = (r.recorded_non_persistent_bytes for r in (result.report.baseline, result.report.converted))
    assert after < 0.9 * before
