"""The unquantised twin computes in float32 what the int8 model approximates, whole and op by op."""

from __future__ import annotations

import numpy as np

from tests.support.networks import inverted_residual
from tests.support.shared_data import path_of
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.calibration.real_model import RealModel
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import load_samples, to_model_input, to_real
from tflm_quantmcu.tflite.reader import read_model

RNG = np.random.default_rng(11)
X = RNG.integers(-128, 128, (3, 6, 6, 2), dtype=np.int8)
FILTER = RNG.integers(-127, 128, (3, 1, 1, 2))
SCALES = (0.01, 0.02, 0.04)
BIAS = np.array([500, -300, 0])


def _exact(x: np.ndarray, filter_values: np.ndarray) -> np.ndarray:
    """The 1x1 convolution below in float64."""
    real = (x.astype(np.float64) - 7) * 0.05
    weights = filter_values.reshape(3, 2)
    return np.maximum(real @ weights.T + BIAS * 0.05 * np.array(SCALES), 0)


def _convolution() -> bytes:
    model = TinyModel()
    x = model.input((1, 6, 6, 2), scale=0.05, zero_point=7)
    return model.build(
        model.conv2d(x, FILTER, BIAS, filter_scales=SCALES, scale=0.001, zero_point=-128, activation="RELU")
    )


def test_nothing_is_rounded_or_clipped():
    interpreter = Interpreter(RealModel(_convolution()).whole())
    for x in X:
        (y,) = interpreter.invoke((x.astype(np.float32) - 7) * np.float32(0.05))
        exact = _exact(x, FILTER.reshape(3, 2) * np.array(SCALES)[:, None])
        assert y.dtype == np.float32 and exact.max() > 1  # far beyond the int8 model's 0.255
        np.testing.assert_allclose(y[0], exact, rtol=1e-5, atol=1e-5)


def test_narrower_weights_have_the_values_of_their_width():
    data = _convolution()
    graph = read_model(data)
    weights = graph.tensors[graph.ops[0].inputs[1]].name
    filter = LoweredNetwork.of(graph).lower(graph.ops[0], weight_bits=4).filter
    y = Interpreter(RealModel(data, {weights: 4}).whole()).invoke(to_real(X[0], graph.tensors[graph.inputs[0]]))[0]
    exact = _exact(X[0], filter.values.reshape(3, 2) * filter.scales[:, None])
    np.testing.assert_allclose(y[0], exact, rtol=1e-5, atol=1e-5)


def test_op_by_op_gives_the_bytes_of_the_whole():
    real = RealModel(inverted_residual())
    graph = real.graph
    whole = Interpreter(real.whole(), preserve_all_tensors=True)
    whole.invoke(RNG.normal(0, 1, graph.tensors[graph.inputs[0]].shape).astype(np.float32))
    for op in graph.ops:
        inputs = [whole.tensor(t) for t in dict.fromkeys(graph.feature_maps(op))]
        (y,) = Interpreter(real.of_op(op)).invoke(inputs)
        assert np.array_equal(y, whole.tensor(op.outputs[0]))


def test_ends_of_other_types_are_handed_on():
    model = TinyModel()
    x = model.quantize(model.input((1, 4), dtype="float32"), scale=0.1, zero_point=0)
    twice = model.add(x, x, scale=0.2)
    y = model.dequantize(model.quantize(twice, scale=0.3, zero_point=5))
    sample = np.array([[0.123, -7.89, 1e6, 0]], np.float32)
    assert np.array_equal(Interpreter(RealModel(model.build(y)).whole()).invoke(sample)[0], 2 * sample)


def test_a_real_network_comes_near_its_float_original():
    real = RealModel(path_of("models/ic_resnet8_int8.tflite").read_bytes())
    original, twin = Interpreter(path_of("models/ic_resnet8_float.tflite").read_bytes()), Interpreter(real.whole())
    tensor = real.graph.tensors[real.graph.inputs[0]]
    x = to_real(to_model_input(load_samples(path_of("samples/cifar10_train_500.npz"), None)[0][:8], tensor), tensor)
    differences = [np.abs(twin.invoke(s)[0] - original.invoke(s)[0]).max() for s in x]
    assert max(differences) < 0.1  # of shares of 1: 8-bit weights are all that differs
