"""SPACE_TO_BATCH_ND that pads: TFLM computes what TFLite does, whatever stands in the byte that it never sets."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.blocks import Amounts, blocks_of, conv, map_of
from tests.support.edit_model import StockModel
from tests.support.stock_tflm import run_stock
from tflm_quantmcu.keras_bridge.keras_quietly import keras, tf
from tflm_quantmcu.keras_bridge.padded_blocks import pads_of_zero_points
from tflm_quantmcu.keras_bridge.to_tflite import keras_to_int8
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.reader import read_model


def run_tflite(model: bytes, samples: np.ndarray) -> list[np.ndarray]:
    interpreter = tf.lite.Interpreter(model_content=model, experimental_op_resolver_type=_REFERENCE)
    interpreter.allocate_tensors()
    made = []
    for x in samples:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x[None])
        interpreter.invoke()
        made.append([interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()])
    return [np.concatenate(rows) for rows in zip(*made, strict=True)]


_REFERENCE = tf.lite.experimental.OpResolverType.BUILTIN_REF


def assert_as_tflite(model: bytes, found: bytes) -> None:
    samples = random_samples(read_model(model).tensors[read_model(model).inputs[0]], 4)
    for expected, made in zip(run_tflite(model, samples), run_stock(found, samples), strict=True):
        np.testing.assert_array_equal(made.reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("shape", "blocks", "pads", "crops", "is_dilated"),
    [
        ((1, 12, 4), (3,), [(3, 3)], [(0, 0)], True),
        ((1, 13, 4), (3,), [(3, 5)], [(0, 2)], True),
        ((1, 13, 4), (3,), [(6, 2)], [(0, 2)], False),  # causal: no padding of a convolution's
        ((1, 12, 9, 4), (3, 2), [(3, 3), (2, 3)], [(0, 0), (0, 1)], True),
    ],
)
def test_tflm_gives_tflites_bytes(
    shape: tuple[int, ...], blocks: tuple[int, ...], pads: Amounts, crops: Amounts, is_dilated: bool
) -> None:
    net = StockModel()
    inner = blocks_of(net, net.relu(net.input(shape, zero_point=5)), blocks, pads)
    kernel = (1, 3) if len(blocks) == 1 else (3, 3)
    model = net.build(*(map_of(net, conv(net, inner, kernel), blocks, crops) for _ in range(2)))
    found = pads_of_zero_points(model)
    kinds = [op.kind for op in read_model(found).ops]
    assert ("PAD" not in kinds, "SPACE_TO_BATCH_ND" not in kinds) == (is_dilated, is_dilated)
    assert_as_tflite(model, found)
    assert pads_of_zero_points(found) == found


def test_others_are_not_touched() -> None:
    net = StockModel()
    inner = blocks_of(net, net.input((1, 12, 4)), (3,), [(0, 0)])
    model = net.build(map_of(net, conv(net, inner, (1, 3)), (3,), [(0, 0)]))
    assert pads_of_zero_points(model) is model


def test_the_gates_of_a_wavenet_are_converted_as_keras_means_them() -> None:
    layers = keras.layers
    source = keras.Input((20, 4))
    x = layers.Conv1D(4, 1)(source)
    gates = [layers.Conv1D(4, 3, padding="same", dilation_rate=2, activation=a)(x) for a in ("tanh", "sigmoid")]
    model = keras.Model(source, layers.Multiply()(gates))
    samples = np.random.default_rng(0).normal(size=(8, 20, 4)).astype(np.float32)
    kinds = {op.kind for op in read_model(keras_to_int8(model, samples)).ops}
    assert "CONV_2D" in kinds and not any("BATCH" in kind for kind in kinds)
