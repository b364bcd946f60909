"""Which models count as full-integer int8, and what is said about all others."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.support import networks, shared_data
from tests.support.edit_model import StockModel, edited, with_tensor
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model, require_full_integer

REMEDY = "convert with a representative_dataset and target_spec.supported_ops = [TFLITE_BUILTINS_INT8]"


def conv(net: TinyModel, x: Handle) -> Handle:
    return net.conv2d(x, np.ones((2, 1, 1, 3), np.int8))


def int8_inside(net: TinyModel, dtype: str) -> bytes:
    """int8 arithmetic with another type at both ends."""
    x = net.input((1, 4, 4, 3), dtype=dtype)
    y = conv(net, net.quantize(x, scale=0.05, zero_point=0))
    if dtype == "float32":
        return net.build(net.dequantize(y))
    return net.build(net.quantize(y, scale=0.1, zero_point=100, dtype=dtype))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_accepts_int8_between_ends_of_any_type(dtype):
    require_full_integer(read_model(int8_inside(TinyModel(), dtype)))


def test_accepts_int32_beside_int8():
    net = StockModel()
    x = net.input((1, 10))
    axis = net.constant(np.array(1, np.int32))
    options = schema.ArgMaxOptionsT(outputType=schema.TensorType.INT32)
    require_full_integer(read_model(net.build(net.stock("ARG_MAX", [x, axis], options, (1,), dtype="int32"))))


@pytest.mark.parametrize("name", [*shared_data.CONVOLUTIONAL, "ad01_int8", "hello_world_int8"])
def test_accepts_real_models(name):
    require_full_integer(read_model(shared_data.model(name)))


def all_maps(dtype: str) -> bytes:
    net = TinyModel()
    model = net.build(conv(net, net.input((1, 4, 4, 3))))
    for t in (0, 2):
        model = with_tensor(model, t, type=getattr(schema.TensorType, dtype.upper()))
    return model


def float_model() -> bytes:
    def widen(tree: schema.ModelT) -> None:
        weights = tree.subgraphs[0].tensors[1]
        weights.type = schema.TensorType.FLOAT32
        tree.buffers[weights.buffer].data = np.ones((2, 1, 1, 3), np.float32).view(np.uint8).ravel()

    return edited(all_maps("float32"), widen)


def float16_weights() -> bytes:
    net = StockModel()
    weights = net.constant(np.ones((2, 3), np.float16))
    real = net.stock("DEQUANTIZE", [weights], schema.DequantizeOptionsT(), (2, 3), dtype="float32")
    x = net.input((1, 3), dtype="float32")
    return net.build(net.stock("ADD", [x, real], schema.AddOptionsT(), (2, 3), dtype="float32"))


def partly_quantised() -> bytes:
    net = StockModel()
    y = net.dequantize(conv(net, net.input((1, 4, 4, 3))))
    return net.build(net.stock("EXP", [y], schema.ExpOptionsT(), y.shape, dtype="float32"))


@pytest.mark.parametrize("model", [partly_quantised, lambda: all_maps("int16")])
def test_accepts_what_stock_tflm_computes_beside_int8(model):
    require_full_integer(read_model(model()))


def uint8_weights() -> bytes:
    return with_tensor(all_maps("int8"), 1, type=schema.TensorType.UINT8)


def fine_softmax() -> bytes:
    net = TinyModel()
    return net.build(net.softmax(net.input((1, 4), scale=1e-8)))


def with_bias() -> bytes:
    net = TinyModel()
    return net.build(net.conv2d(net.input((1, 4, 4, 3)), np.ones((2, 1, 1, 3), np.int8), np.ones(2)))


def scale(value: float, zero_point: int) -> schema.QuantizationParametersT:
    return schema.QuantizationParametersT(scale=[value], zeroPoint=[zero_point])


REFUSED = {
    "float": (float_model, "CONV_2D 'map2' (op 0) computes on float32 'map0' (a float model); supported are"),
    "dynamic range": (
        lambda: all_maps("float32"),
        "computes on float32 'map0' with integer weights (dynamic-range quantisation); supported are",
    ),
    "float16": (
        float16_weights,
        "DEQUANTIZE 'map1' (op 0) computes on float32 'map1' (weights stored as float16, arithmetic in float)",
    ),
    "legacy": (lambda: all_maps("uint8"), "computes on uint8 'map0' (the uint8 quantisation of TensorFlow 1)"),
    "uint8 weights": (uint8_weights, "CONV_2D 'map2' (op 0) has uint8 weights 'constant1'; supported are int8"),
    "no scale": (
        lambda: with_tensor(all_maps("int8"), 0, quantization=scale(0.0, 0)),
        "CONV_2D 'map2' (op 0) uses 'map0' with scale 0.0 and zero point 0; supported are scales from 1e-37",
    ),
    "softmax": (
        fine_softmax,
        "SOFTMAX 'map1' (op 0) reads 'map0' with scale 1e-08, too fine for TFLM's softmax (needed is more than 2^-26",
    ),
    "zero point": (
        lambda: with_tensor(all_maps("int8"), 2, quantization=scale(0.5, 128)),
        "uses 'map2' with scale 0.5 and zero point 128",
    ),
    "bias": (
        lambda: with_tensor(with_bias(), 2, shape=np.array([1], np.int32)),
        "CONV_2D 'map3' (op 0) has weights of shape [2, 1, 1, 3] and a bias of [1] values for an output of shape",
    ),
    "weights without scale": (
        lambda: with_tensor(all_maps("int8"), 1, quantization=scale(-1.0, 0)),
        "has weights 'constant1' with a scale below 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case):
    build, sentence = REFUSED[case]
    with pytest.raises(UnsupportedModelError, match=re.escape(sentence)):
        require_full_integer(read_model(build()))


def test_refusals_say_how_to_convert_instead():
    with pytest.raises(UnsupportedModelError, match=re.escape(REMEDY)):
        require_full_integer(read_model(float_model()))


@pytest.mark.parametrize("name", ["hello_world_float", "ic_resnet8_float", "kws_dscnn_float"])
def test_refuses_real_float_models(name):
    with pytest.raises(UnsupportedModelError, match="computes on float32"):
        require_full_integer(read_model(shared_data.model(name)))


def test_a_residual_network_is_full_integer():
    require_full_integer(read_model(networks.inverted_residual()))


@pytest.mark.parametrize(
    "code, sentence",
    [
        ("ethos-u", "was compiled for an Ethos-U; give the .tflite from before Vela"),
        ("edgetpu-custom-op", "was compiled for an Edge TPU; give the .tflite from before the Edge TPU compiler"),
    ],
)
def test_compiled_models_are_told_from_other_ways_to_quantise(code, sentence):
    """Vela writes them so: the command stream is uint8, and so is scratch, which nothing writes."""
    net = StockModel()
    x, scratch = net.input((1, 4, 4, 3)), net.input((4096,), dtype="uint8")
    stream = net.constant(np.zeros(64, np.uint8))
    y = net.stock("CUSTOM", [stream, scratch, x], None, (1, 10))

    def finish(tree: schema.ModelT) -> None:
        tree.operatorCodes[0].customCode = code
        tree.subgraphs[0].inputs = [x.index]

    with pytest.raises(UnsupportedModelError, match=f"^{code} '.*' .op 0. {re.escape(sentence)}$") as caught:
        require_full_integer(read_model(edited(net.build(y), finish)))
    assert caught.value.exit_code == 3
