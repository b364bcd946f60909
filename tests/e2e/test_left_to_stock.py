"""What no kernel of ours runs is taken and left to stock TFLM: same bytes, an arena that is no larger."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel, edited, with_tensor
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.app.evaluation import run_file
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.tflite import schema

RNG = np.random.default_rng(0)


def conv(net: TinyModel, x: Handle, outputs: int = 4, **options: object) -> Handle:
    weights = np.random.default_rng(outputs).integers(-127, 128, (outputs, 3, 3, x.shape[3]), dtype=np.int8)
    return net.conv2d(x, weights, scale=0.2, zero_point=-3, **options)


def two_inputs() -> bytes:
    net = TinyModel()
    x, y = net.input((1, 16, 16, 3)), net.input((1, 16, 16, 3), scale=0.1)
    return net.build(net.mean(net.add(conv(net, conv(net, x)), conv(net, y), scale=0.3)))


def integer_input() -> bytes:
    """Rows of an embedding, chosen by an input of indices, beside an image."""
    net = StockModel()
    rows = net.constant(RNG.integers(-127, 128, (7, 4), dtype=np.int8), scale=0.1)
    index = net.input((1,), dtype="int32")
    row = net.stock("GATHER", [rows, index], schema.GatherOptionsT(), (1, 4))
    image = net.mean(conv(net, conv(net, net.input((1, 16, 16, 3)))), scale=0.1)
    return net.build(net.add(image, row, scale=0.2))


def float_island() -> bytes:
    net = StockModel()
    real = net.dequantize(conv(net, conv(net, net.input((1, 16, 16, 3)))))
    root = net.stock("ABS", [real], None, real.shape, dtype="float32")
    root = net.stock("SQRT", [root], None, real.shape, dtype="float32")
    return net.build(net.mean(conv(net, net.quantize(root, scale=0.01, zero_point=-128))))


def sixteen_bit_tail() -> bytes:
    net = StockModel()
    x = net.quantize(net.mean(conv(net, conv(net, net.input((1, 16, 16, 3))))), scale=1e-3, zero_point=0, dtype="int16")
    weights = net.constant(RNG.integers(-127, 128, (5, 4), dtype=np.int8), scale=0.01)
    return net.build(
        net.stock("FULLY_CONNECTED", [x, weights], schema.FullyConnectedOptionsT(), (1, 5), scale=1e-3, dtype="int16")
    )


def all_sixteen_bit() -> bytes:
    net = TinyModel()
    model = net.build(conv(net, net.input((1, 8, 8, 3))))
    for t in (0, 2):
        model = with_tensor(model, t, type=schema.TensorType.INT16)
    zero = lambda tree: [setattr(tree.subgraphs[0].tensors[t].quantization, "zeroPoint", [0]) for t in (0, 2)]  # noqa: E731
    return edited(model, zero)


def with_state() -> bytes:
    """SVDF, which keeps what it saw before."""
    net = StockModel()
    x = net.mean(conv(net, conv(net, net.input((1, 16, 16, 3)))), scale=0.1)
    features = net.constant(RNG.integers(-127, 128, (6, 4), dtype=np.int8), scale=0.01)
    time = net.constant(RNG.integers(-99, 99, (6, 5), dtype=np.int16), scale=0.01)
    bias = TinyModel.constant(net, np.zeros(6, np.int32), scale=1e-4, zero_point=0)
    state = net.input((1, 30), scale=0.01, dtype="int16")
    options = schema.SVDFOptionsT(rank=1, fusedActivationFunction=schema.ActivationFunctionType.RELU)
    model = net.build(net.stock("SVDF", [x, features, time, bias, state], options, (1, 6)))

    def keep(tree: schema.ModelT) -> None:
        graph = tree.subgraphs[0]
        graph.inputs = graph.inputs[:1]
        graph.tensors[state.index].isVariable = True

    return edited(model, keep)


def batch_of_four() -> bytes:
    net = StockModel()
    x = net.input((4, 8, 8, 3))
    weights = net.constant(RNG.integers(-127, 128, (4, 1, 1, 3), dtype=np.int8), scale=0.01)
    options = schema.Conv2DOptionsT(strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    return net.build(net.stock("CONV_2D", [x, weights], options, (4, 8, 8, 4), scale=0.2))


def zero_channel_scale() -> bytes:
    net = TinyModel()
    x = conv(net, net.input((1, 16, 16, 3)), filter_scales=[0.01, 0.0, 0.02, 0.01])
    return net.build(net.mean(conv(net, x), scale=0.1))


def weights_with_zero_point() -> bytes:
    net = TinyModel()
    model = net.build(net.mean(conv(net, conv(net, net.input((1, 16, 16, 3)))), scale=0.1))
    return with_tensor(model, 1, quantization=schema.QuantizationParametersT(scale=[0.01], zeroPoint=[5]))


def biases_at_the_ends() -> bytes:
    """Channels of tiny scales, whose biases TFLite saturates at either end of int32, of weights that make sums wrap and
    of others."""
    net = TinyModel()
    x = net.input((1, 16, 16, 3))
    weights = np.zeros((6, 3, 3, 3), np.int8)
    weights[3:] = RNG.integers(-127, 128, (3, 3, 3, 3))
    bias = np.array([-(1 << 31), (1 << 31) - 1, 5, -(1 << 31), (1 << 31) - 1, 7], np.int32)
    scales = [1e-9, 1e-9, 1e-9, 1e-8, 1e-8, 0.01]
    return net.build(net.mean(conv(net, net.conv2d(x, weights, bias, filter_scales=scales, scale=0.2)), scale=0.1))


def sixteen_bit_softmax() -> bytes:
    net = StockModel()
    x = net.mean(conv(net, conv(net, net.input((1, 16, 16, 3)))), scale=0.1)
    options = schema.SoftmaxOptionsT(beta=1.0)
    return net.build(net.stock("SOFTMAX", [x], options, x.shape, scale=2.0**-16, zero_point=-(1 << 15), dtype="int16"))


def softmax_of_sixteen_bits() -> bytes:
    """One that keeps two tables."""
    net = StockModel()
    x = net.mean(conv(net, conv(net, net.input((1, 16, 16, 3)))), scale=0.1)
    wide = net.quantize(x, scale=1e-3, zero_point=0, dtype="int16")
    options = schema.SoftmaxOptionsT(beta=1.0)
    return net.build(net.stock("SOFTMAX", [wide], options, x.shape, scale=2.0**-15, zero_point=0, dtype="int16"))


def transposed_convolution_of_sixteen_bits() -> bytes:
    """One that sums in 64 bits."""
    net = StockModel()
    x = net.quantize(conv(net, conv(net, net.input((1, 8, 8, 3)))), scale=1e-3, zero_point=0, dtype="int16")
    weights = net.constant(RNG.integers(-127, 128, (4, 3, 3, 4), dtype=np.int8), scale=0.01, zero_point=0)
    size = net.constant(np.array([1, 16, 16, 4], np.int32))
    options = schema.TransposeConvOptionsT(strideH=2, strideW=2)
    y = net.stock("TRANSPOSE_CONV", [size, weights, x], options, (1, 16, 16, 4), scale=1e-3, dtype="int16")
    return edited(net.build(y), lambda tree: None)


def of_a_constant() -> bytes:
    """A convolution and a RELU of maps that the file holds, beside one of the input."""
    net = StockModel()
    x = net.input((1, 16, 16, 3))
    first, second = (net.constant(RNG.integers(-128, 128, x.shape, np.int8), scale=0.1, zero_point=-3) for _ in "ab")
    shifted = net.add(x, net.relu(second), scale=0.3)
    return net.build(net.mean(conv(net, net.add(conv(net, shifted), conv(net, first), scale=0.3))))


MODELS: dict[str, Callable[[], bytes]] = {
    make.__name__: make
    for make in (
        *(two_inputs, integer_input, float_island, sixteen_bit_tail, all_sixteen_bit, with_state, batch_of_four),
        *(zero_channel_scale, weights_with_zero_point, biases_at_the_ends, sixteen_bit_softmax),
        *(softmax_of_sixteen_bits, transposed_convolution_of_sixteen_bits, of_a_constant),
    )
}
SMALLER = {"two_inputs", "integer_input", "sixteen_bit_tail", "with_state", "zero_channel_scale"}
SMALLER |= {"biases_at_the_ends", "sixteen_bit_softmax", "softmax_of_sixteen_bits", "of_a_constant"}
SMALLER |= {"weights_with_zero_point"}  # of the other convolution
SMALLER |= {"float_island"}  # whose ops work in place


@pytest.mark.parametrize("name", MODELS)
def test_stock_tflm_and_the_converted_model_agree(name: str) -> None:
    result = qm.convert(MODELS[name](), search="uniform", progress=False)
    assert result.report.verification.is_same_function
    before, after = result.report.baseline, result.report.converted
    assert after.recorded_non_persistent_bytes <= before.recorded_non_persistent_bytes
    assert (after.recorded_non_persistent_bytes < before.recorded_non_persistent_bytes) == (name in SMALLER)


def test_what_stock_tflm_refuses_is_refused_in_its_words() -> None:
    net = StockModel()
    x = conv(net, net.input((1, 8, 8, 3)))
    model = net.build(net.stock("TILE", [x, net.constant(np.array([1, 2, 2, 1], np.int32))], None, (1, 16, 16, 4)))
    with pytest.raises(UnsupportedModelError, match="TFLM cannot prepare the model: .*TILE"):
        qm.convert(model, search="uniform", progress=False)


def test_samples_of_several_inputs_run_in_python(tmp_path):
    (tmp_path / "m.tflite").write_bytes(two_inputs())
    with pytest.raises(UnsupportedModelError, match=r"has 2 inputs; supported is 1: in Python qm.Interpreter"):
        run_file(tmp_path / "m.tflite", tmp_path / "x.npz", tmp_path / "y.npz")


def test_a_calibration_of_several_inputs_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedModelError, match="has 2 inputs.*; give no calibration: all widths then stay at 8"):
        qm.convert(two_inputs(), calibration_data=np.zeros((2, 16, 16, 3), np.int8), search="uniform", progress=False)
