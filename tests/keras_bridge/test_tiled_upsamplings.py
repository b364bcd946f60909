"""UpSampling1D and UpSampling2D, exported as TILE between reshapes, are a resize, which TFLM has and stages hold."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle
from tflm_quantmcu.keras_bridge.tiled_upsamplings import resize_in_place_of_tiles
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model


def tiled(net: StockModel, x: Handle, counts: tuple[int, ...]) -> Handle:
    shape = tuple(n * count for n, count in zip(x.shape, counts, strict=True))
    return net.stock("TILE", [x, net.constant(np.array(counts, np.int32))], schema.TileOptionsT(), shape)


def upsampled(net: StockModel, x: Handle, rows: int, columns: int) -> Handle:
    """What TensorFlow's converter writes."""
    _, height, width, depth = x.shape
    x = tiled(net, net.reshape(x, (1, height, 1, width, depth)), (1, 1, rows, 1, 1))
    x = tiled(net, net.reshape(x, (1, height * rows, width, 1, depth)), (1, 1, 1, columns, 1))
    return net.reshape(x, (1, height * rows, width * columns, depth))


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (1, 4)])
def test_each_pixel_is_repeated(factors: tuple[int, int]) -> None:
    net = StockModel()
    x = net.input((1, 3, 4, 5))
    model = net.build(net.relu(upsampled(net, net.relu(x), *factors)))
    found = resize_in_place_of_tiles(model)
    assert [op.kind for op in read_model(found).ops] == ["RELU", "RESIZE_NEAREST_NEIGHBOR", "RELU"]
    assert [t.name for t in read_model(found).tensors if t.name in ("map0", "map1")] == ["map0", "map1"]
    for sample in np.split(random_samples(read_model(model).tensors[0], 4), 4):
        expected = np.maximum(sample, 0).repeat(factors[0], 1).repeat(factors[1], 2)
        np.testing.assert_array_equal(run_stock(found, sample)[0], expected)


@pytest.mark.parametrize("ranks", [(3, 3), (3, 4), (4, 3)])
def test_each_step_is_repeated(ranks: tuple[int, int]) -> None:
    """UpSampling1D, of which reshapes around it may have become part."""
    shapes = {3: (1, 6, 5), 4: (1, 1, 6, 5)}, {3: (1, 12, 5), 4: (1, 1, 12, 5)}
    net = StockModel()
    x = net.relu(net.input(shapes[0][ranks[0]]))
    y = net.reshape(tiled(net, net.reshape(x, (1, 6, 1, 5)), (1, 1, 2, 1)), shapes[1][ranks[1]])
    model = net.build(net.relu(y))
    found = resize_in_place_of_tiles(model)
    assert [op.kind for op in read_model(found).ops if op.kind != "RESHAPE"] == [
        *("RELU", "RESIZE_NEAREST_NEIGHBOR", "RELU")
    ]
    for sample in np.split(random_samples(read_model(model).tensors[0], 4), 4):
        expected = np.maximum(sample, 0).repeat(2, -2).reshape(shapes[1][ranks[1]])
        np.testing.assert_array_equal(run_stock(found, sample)[0], expected)


def test_other_tiles_stay() -> None:
    net = StockModel()
    x = net.input((1, 3, 4, 5))
    whole = net.reshape(tiled(net, x, (1, 2, 1, 1)), (1, 6, 4, 5))  # the map below itself
    repeated = net.reshape(tiled(net, net.reshape(x, (1, 3, 1, 4, 5)), (1, 1, 2, 1, 1)), (1, 6, 4, 5))
    model = net.build(whole, repeated)
    found = [op.kind for op in read_model(resize_in_place_of_tiles(model)).ops]
    assert found.count("TILE") == 1 and "RESIZE_NEAREST_NEIGHBOR" in found
    plain = StockModel()
    model = plain.build(plain.relu(plain.input((1, 3, 4, 5))))
    assert resize_in_place_of_tiles(model) is model


def test_a_keras_model_with_it_converts_and_shrinks() -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    source = keras.Input((16, 16, 3))
    skip = layers.Conv2D(8, 3, padding="same", activation="relu")(source)
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(skip))
    x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
    model = keras.Model(source, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(x)))
    samples = np.random.default_rng(0).uniform(size=(8, 16, 16, 3)).astype(np.float32)
    result = qm.convert(model, calibration_data=samples, search="uniform", progress=False)
    assert result.report.verification.is_same_function
    before, after = (r.recorded_non_persistent_bytes for r in (result.report.baseline, result.report.converted))
    assert after < 0.6 * before
