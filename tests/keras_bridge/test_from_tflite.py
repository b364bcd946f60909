"""A Keras model of an int8 file computes what the file does, but for its rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support import shared_data
from tests.support.edit_model import StockModel
from tests.support.networks import inverted_residual
from tests.support.tiny_keras import functional_cnn, samples
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.layer_names import layer_names
from tflm_quantmcu.graph.op_kinds import OP_KINDS
from tflm_quantmcu.keras_bridge.layers_of_ops import LAYERS
from tflm_quantmcu.keras_bridge.to_tflite import keras_to_int8
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import to_model_input, to_real
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

RNG = np.random.default_rng(3)
Build = Callable[[TinyModel, Handle], Handle]


def _weights(*shape: int) -> np.ndarray:
    return RNG.integers(-127, 128, shape, dtype=np.int8)


def _bias(count: int) -> np.ndarray:
    return RNG.integers(-300, 300, count, dtype=np.int32)


def _grow(scale: float) -> dict[str, float]:
    return {"scale": scale, "zero_point": 3}


def _per_channel(count: int) -> list[float]:
    return np.linspace(0.002, 0.02, count).tolist()


# One op each, on a [1, 7, 9, 4] map; strides, pads and kernels are uneven.
OPS: dict[str, Build] = {
    "conv": lambda net, x: net.conv2d(
        x, _weights(5, 3, 2, 4), _bias(5), filter_scales=_per_channel(5), stride=(2, 3), **_grow(0.1)
    ),
    "conv dilated, no bias": lambda net, x: net.conv2d(
        x, _weights(3, 3, 3, 4), dilation=(2, 1), padding="VALID", **_grow(0.2)
    ),
    "conv relu6": lambda net, x: net.conv2d(x, _weights(6, 1, 1, 4), activation="RELU6", scale=0.03, zero_point=-128),
    "conv relu_n1": lambda net, x: net.conv2d(x, _weights(2, 2, 2, 4), activation="RELU_N1_TO_1", scale=0.01),
    "depthwise": lambda net, x: net.depthwise_conv2d(
        x, _weights(3, 5, 8), _bias(8), filter_scales=_per_channel(8), stride=(2, 2), **_grow(0.1)
    ),
    "depthwise relu": lambda net, x: net.depthwise_conv2d(
        x, _weights(2, 3, 4), activation="RELU", padding="VALID", scale=0.1, zero_point=-128
    ),
    "fully connected of a map": lambda net, x: net.fully_connected(x, _weights(6, 252), _bias(6), **_grow(0.5)),
    "add": lambda net, x: net.add(x, net.relu(x), activation="RELU", **_grow(0.1)),
    "add a constant": lambda net, x: net.add(
        x, net.constant(_weights(1, 1, 1, 4), scale=0.02, zero_point=5), **_grow(0.1)
    ),
    "mul": lambda net, x: net.mul(x, net.relu(x), **_grow(0.3)),
    "mul a constant": lambda net, x: net.mul(net.constant(_weights(1, 4), scale=0.02, zero_point=5), x, **_grow(0.2)),
    "concatenation": lambda net, x: net.concatenation([x, net.max_pool2d(x, (3, 3), padding="SAME")], -1),
    "average pool": lambda net, x: net.average_pool2d(x, (3, 2), stride=(2, 2), padding="SAME", activation="RELU"),
    "max pool": lambda net, x: net.max_pool2d(x, (2, 3), stride=(3, 2)),
    "mean": lambda net, x: net.mean(x, **_grow(0.02)),
    "mean kept": lambda net, x: net.mean(x, (-2, 1), keep_dims=True, **_grow(0.02)),
    "mean of channels": lambda net, x: net.mean(x, (3,), keep_dims=True, **_grow(0.03)),
    "pad": lambda net, x: net.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0))),
    "padv2": lambda net, x: net.pad(x, ((0, 0), (2, 0), (1, 1), (0, 0)), value=x.zero_point),
    "transpose": lambda net, x: net.transpose(x, (0, 2, 1, 3)),
    "reshape": lambda net, x: net.reshape(x, (1, 63, 4)),
    "relu": lambda net, x: net.relu(x, scale=0.02, zero_point=-100),
    "logistic": lambda net, x: net.logistic(x),
    "hard swish": lambda net, x: net.hard_swish(x, scale=0.05, zero_point=-20),
    "tanh": lambda net, x: net.tanh(x),
    "elu": lambda net, x: net.elu(x, **_grow(0.05)),
    "abs": lambda net, x: net.stock("ABS", [x], None, x.shape, **_grow(0.05)),
    "exp": lambda net, x: net.stock("EXP", [x], schema.ExpOptionsT(), x.shape, scale=2.0, zero_point=-128),
    "gelu": lambda net, x: net.stock("GELU", [x], schema.GeluOptionsT(), x.shape, **_grow(0.05)),
    "gelu by tanh": lambda net, x: net.stock(
        "GELU", [x], schema.GeluOptionsT(approximate=True), x.shape, **_grow(0.05)
    ),
    "neg": lambda net, x: net.stock("NEG", [x], schema.NegOptionsT(), x.shape, **_grow(0.05)),
    "leaky relu": lambda net, x: net.leaky_relu(x, alpha=0.3, **_grow(0.05)),
    "resize": lambda net, x: net.resize_nearest(x, (14, 27)),
    "resize by middles": lambda net, x: net.resize_nearest(x, (5, 13), half_pixel_centers=True),
    "softmax": lambda net, x: net.softmax(x, beta=0.5),
    "quantize": lambda net, x: net.quantize(x, scale=0.07, zero_point=9),
    "dequantize": lambda net, x: net.dequantize(x),
}


@pytest.mark.parametrize("build", OPS.values(), ids=OPS.keys())
def test_an_op_gives_what_tflm_gives_to_a_step(build):
    net = StockModel()
    model = net.build(build(net, net.input((1, 7, 9, 4), scale=0.05, zero_point=-7)))
    graph = read_model(model)
    source, output = (graph.tensors[t] for t in (graph.inputs[0], graph.outputs[0]))
    x = RNG.integers(-128, 128, (6, *source.shape[1:]), dtype=np.int8)
    expected = to_real(Interpreter(model).run(x).reshape(6, *output.shape[1:]), output)
    found = qm.keras_from_tflite(model).predict(to_real(x, source), verbose=0)
    assert found.shape == expected.shape
    if output.scales:
        limits = to_real(np.array([-128, 127]), output)
        assert limits[0] < expected.mean() < limits[1] and expected.std() > output.scales[0]
        assert np.max(np.abs(np.clip(found, *limits) - expected)) <= 1.6 * output.scales[0]
    else:
        assert np.array_equal(found, expected)


REFUSED: dict[str, tuple[Build, str]] = {
    "grouped": (lambda net, x: net.conv2d(x, _weights(4, 3, 3, 2)), "CONV_2D 'map.*it is grouped: 4 channels"),
    "strides": (
        lambda net, x: net.depthwise_conv2d(x, _weights(3, 3, 4), stride=(2, 1)),
        r"DEPTHWISE_CONV_2D .*strides \(2, 1\)",
    ),
    "dilated and strided": (
        lambda net, x: net.conv2d(x, _weights(4, 2, 2, 4), stride=(2, 2), dilation=(2, 2)),
        "Keras allows one of the two",
    ),
    "padded channels": (lambda net, x: net.pad(x, ((0, 0), (0, 0), (0, 0), (0, 2))), "PAD .*height and width"),
    "padded by a value": (lambda net, x: net.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), value=50), "PADV2 .*is 0"),
    "resize by corners": (
        lambda net, x: net.resize_nearest(x, (14, 18), align_corners=True),
        r"RESIZE_NEAREST_NEIGHBOR .*from \(7, 9\) to \(14, 18\) it takes other pixels",
    ),
    "uneven resize": (lambda net, x: net.resize_nearest(x, (10, 18)), "it takes other pixels"),
    "rescaled by a reshape": (lambda net, x: net.reshape(x, (1, 252), scale=0.3), "RESHAPE .*different scales"),
    "whole constant": (
        lambda net, x: net.add(x, net.constant(_weights(7, 9, 4), scale=0.1, zero_point=0)),
        "ADD .*one value a channel",
    ),
}


@pytest.mark.parametrize("build, reason", REFUSED.values(), ids=REFUSED.keys())
def test_what_keras_cannot_compute_is_refused_by_name(build, reason):
    net = TinyModel()
    model = net.build(build(net, net.input((1, 7, 9, 4))))
    with pytest.raises(UnsupportedModelError, match=reason):
        qm.keras_from_tflite(model)


def test_files_that_are_no_int8_models_are_refused(tmp_path):
    with pytest.raises(UsageError, match="absent.tflite"):
        qm.keras_from_tflite(tmp_path / "absent.tflite")
    with pytest.raises(UnsupportedModelError):
        qm.keras_from_tflite(shared_data.path_of("models/hello_world_float.tflite"))


def test_layers_are_called_after_the_keras_layers_that_the_file_came_from(tmp_path):
    model = keras_to_int8(functional_cnn(), samples()[0])
    (tmp_path / "model.tflite").write_bytes(model)
    names = [layer.name for layer in qm.keras_from_tflite(tmp_path / "model.tflite").layers]
    graph = read_model(model)
    known = layer_names(graph)
    maps = [graph.tensors[op.outputs[0]].name for op in graph.ops]
    assert len(known) > 4 and {known[name] for name in maps if name in known} <= set(names)
    assert len(names) == len(set(names))


def test_a_rebuilt_model_is_fine_tuned_and_converted():
    x, y = samples()
    graph = read_model(inverted_residual(size=8))
    x = np.random.default_rng(0).normal(size=(24, 8, 8, 3)).astype(np.float32)
    y = np.arange(24) % 5
    model = qm.keras_from_tflite(inverted_residual(size=8))
    calibration = qm.calibrate_model(model, x, progress=False)
    options = {"search": "uniform", "activation_bits": 4, "weight_bits": 4, "progress": False}
    plan = qm.plan(model, calibration=calibration, **options)
    tuned = qm.finetune(model, plan, (x, y), epochs=1, calibration=calibration, calibration_data=x, verbose=0)
    assert tuned.plan.weight_bits and {f.bits for f in tuned.plan.formats.values()} == {4}
    result = qm.convert(tuned.model, plan=tuned.plan, calibration=tuned.calibration, progress=False)
    weighted = sum(op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") for op in graph.ops)
    assert len(result.plan.weight_bits) == weighted


@pytest.mark.parametrize(
    "name, data, count", (("ic_resnet8_int8", "cifar10_test_2000", 300), ("kws_dscnn_int8", "kws_test_375", 375))
)
def test_real_models_are_right_as_often_as_the_int8_ones(name, data, count):
    model = shared_data.model(name)
    source = read_model(model).input_tensors[0]
    with np.load(shared_data.path_of(f"samples/{data}.npz")) as archive:
        x, y = to_model_input(archive["x"][:count], source), archive["y"][:count]
    found = qm.keras_from_tflite(model).predict(to_real(x, source), verbose=0).argmax(axis=1)
    expected = Interpreter(model).run(x).reshape(count, -1).argmax(axis=1)
    assert np.mean(found == expected) > 0.94
    assert abs(np.mean(found == y) - np.mean(expected == y)) < 0.015


@pytest.mark.parametrize("kind", [kind.name for kind in OP_KINDS.values() if kind.becomes])
def test_each_kind_that_becomes_one_of_ours_has_a_keras_layer(kind: str) -> None:
    assert kind in LAYERS, f"tflm_quantmcu/keras_bridge/layers_of_ops.py, LAYERS, lacks {kind}"
