"""What the reader makes of a model, and the sentence for each model that it refuses."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.support.edit_model import StockModel, edited, with_metadata, with_tensor
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.metadata import read_metadata
from tflm_quantmcu.tflite.reader import load_model_t, read_model, read_plan


def small_cnn() -> bytes:
    """T0 input, T1 T2 filter and bias, T3 conv, T4 pads, T5 pad, T6 filter, T7 depthwise, T8 pool."""
    net = TinyModel()
    x = net.input((1, 9, 8, 3), scale=0.5, zero_point=-3)
    filter = np.arange(4 * 3 * 2 * 3, dtype=np.int8).reshape(4, 3, 2, 3)
    y = net.conv2d(x, filter, np.arange(4), filter_scales=(0.1, 0.2, 0.3, 0.4), stride=(2, 1), activation="RELU6")
    y = net.pad(y, [(0, 0), (1, 2), (0, 1), (0, 0)])
    y = net.depthwise_conv2d(y, np.ones((3, 3, 8), np.int8), dilation=(1, 2), padding="VALID")
    return net.build(net.average_pool2d(y, (2, 2), stride=(2, 2), padding="SAME"))


def test_tensors():
    graph = read_model(small_cnn())
    x, filter, bias = (graph.tensors[t] for t in graph.ops[0].inputs)
    assert (x.name, x.shape, x.dtype, x.scales, x.zero_points) == ("map0", (1, 9, 8, 3), "int8", (0.5,), (-3,))
    assert not x.is_constant
    assert filter.scales == tuple(float(np.float32(s)) for s in (0.1, 0.2, 0.3, 0.4))
    assert filter.zero_points == (0, 0, 0, 0)
    assert filter.quantized_dimension == 0
    np.testing.assert_array_equal(filter.data, np.arange(72, dtype=np.int8).reshape(4, 3, 2, 3))
    np.testing.assert_array_equal(bias.data, np.arange(4, dtype=np.int32))
    assert graph.inputs == (0,)
    assert graph.tensors[graph.outputs[0]].shape == (1, 3, 3, 8)


def test_windows_pads_and_activations():
    conv, pad, depthwise, pool = read_model(small_cnn()).ops
    # SAME on 9 rows: (5 - 1) * 2 + 3 - 9 = 2 rows of padding, 1 above; on 8 columns 1, on the right.
    assert conv.window == Window(3, 2, stride_height=2, pad_top=1)
    assert conv.activation == "RELU6"
    assert pad.pads == ((0, 0), (1, 2), (0, 1), (0, 0))
    assert depthwise.window == Window(3, 3, dilation_width=2)
    assert depthwise.depth_multiplier == 2
    assert pool.window == Window(2, 2, 2, 2)


def test_names_are_unique():
    model = small_cnn()
    for index, name in {1: "same", 2: "same", 3: "same#2", 4: None}.items():
        model = with_tensor(model, index, name=name)
    names = [t.name for t in read_model(model).tensors[:5]]
    assert names == ["map0", "same", "same#2", "same#2#3", "#4"]


def test_weights_may_be_shared():
    net = StockModel()
    filter = np.ones((3, 1, 1, 3), np.int8)
    model = net.build(net.conv2d(net.conv2d(net.input((1, 4, 4, 3)), filter), filter))

    def share(tree: schema.ModelT) -> None:
        first, second = tree.subgraphs[0].operators
        second.inputs = [first.outputs[0], first.inputs[1]]

    graph = read_model(edited(model, share))
    assert graph.consumers[1] == graph.ops


def test_one_zero_point_stands_for_all_and_scales_without_are_none():
    model = small_cnn()
    quantization = schema.QuantizationParametersT(scale=[0.1, 0.2, 0.3, 0.4], zeroPoint=[0])
    assert read_model(with_tensor(model, 1, quantization=quantization)).tensors[1].zero_points == (0, 0, 0, 0)
    quantization = schema.QuantizationParametersT(scale=[0.1, 0.2, 0.3, 0.4])
    assert read_model(with_tensor(model, 1, quantization=quantization)).tensors[1].scales == ()


def test_four_bit_constants_are_unpacked():
    model = with_tensor(small_cnn(), 1, type=schema.TensorType.INT4)
    filter = read_model(model).tensors[1]
    assert filter.dtype == "int4"
    # Bytes 0, 1, 2, ...: low nibble first.
    assert filter.data.ravel()[:6].tolist() == [0, 0, 1, 0, 2, 0]


def test_empty_constants_are_constants():
    net = StockModel()
    x = net.input((1, 2, 2, 3))
    axes = net.constant(np.zeros(0, np.int32))
    graph = read_model(net.build(net.stock("MEAN", [x, axes], schema.ReducerOptionsT(), x.shape)))
    assert graph.tensors[axes.index].is_constant
    assert graph.feature_maps(graph.ops[0]) == (0,)


def test_custom_ops_keep_their_code_and_options():
    def custom(tree: schema.ModelT) -> None:
        tree.operatorCodes.append(schema.OperatorCodeT(builtinCode=32, deprecatedBuiltinCode=32, customCode="Theirs"))
        operator = tree.subgraphs[0].operators[0]
        operator.opcodeIndex = len(tree.operatorCodes) - 1
        operator.builtinOptions, operator.builtinOptionsType = None, 0
        operator.customOptions = np.frombuffer(b"abc", np.uint8)

    op = read_model(edited(small_cnn(), custom)).ops[0]
    assert (op.kind, op.custom_options, op.window) == ("Theirs", b"abc", None)


def test_metadata():
    model = with_metadata(small_cnn(), {"note": b"hello"})
    assert read_metadata(load_model_t(model), "note") == b"hello"
    assert read_metadata(load_model_t(model), "other") is None
    assert read_plan(model) is None


def test_offline_plan():
    offsets = [-1] * 9
    offsets[3] = 64
    words = np.array([1, 0, 9, *offsets], "<i4").tobytes()
    graph = read_model(with_metadata(small_cnn(), {"OfflineMemoryAllocation": words}))
    assert graph.offline_offsets == tuple(offsets)
    assert read_model(small_cnn()).offline_offsets is None


def drop_inputs(tree: schema.ModelT) -> None:
    tree.subgraphs[0].operators[0].inputs = np.array([0], np.int32)


def omit_filter(tree: schema.ModelT) -> None:
    tree.subgraphs[0].operators[0].inputs = [0, -1, 2]


def drop_options(tree: schema.ModelT) -> None:
    operator = tree.subgraphs[0].operators[0]
    operator.builtinOptions, operator.builtinOptionsType = None, 0


def options_of_another_op(tree: schema.ModelT) -> None:
    operator = tree.subgraphs[0].operators[0]
    operator.builtinOptions = schema.Pool2DOptionsT()
    operator.builtinOptionsType = schema.BuiltinOptions.Pool2DOptions


def no_stride(tree: schema.ModelT) -> None:
    tree.subgraphs[0].operators[0].builtinOptions.strideH = 0


def dynamic_rows(tree: schema.ModelT) -> None:
    tree.subgraphs[0].tensors[0].shapeSignature = np.array([-1, -1, 8, 3], np.int32)


def no_rows(tree: schema.ModelT) -> None:
    tree.subgraphs[0].tensors[0].shape = np.array([1, 0, 8, 3], np.int32)


def sparse_filter(tree: schema.ModelT) -> None:
    tree.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()


REFUSED = {
    drop_inputs: "CONV_2D (op 0) has inputs [0] and outputs [3]; it needs at least 2 of the first and 1 of the second",
    omit_filter: "CONV_2D (op 0) has inputs [0, -1, 2] and outputs [3]; it needs at least 2",
    drop_options: "CONV_2D 'map3' (op 0) lacks its Conv2DOptions",
    options_of_another_op: "CONV_2D 'map3' (op 0) lacks its Conv2DOptions",
    no_stride: "CONV_2D 'map3' (op 0) has stride (0, 1), kernel (3, 2) and dilation (1, 1); each must be at least 1",
    dynamic_rows: "tensor 'map0' has the dynamic shape [-1, -1, 8, 3]; give the Keras model a fixed input size",
    no_rows: "tensor 'map0' has the dynamic shape [1, 0, 8, 3]",
    sparse_filter: "tensor 'constant1' is sparse; TFLM reads dense constants only",
}


@pytest.mark.parametrize("edit", REFUSED)
def test_refuses(edit):
    with pytest.raises(UnsupportedModelError, match=re.escape(REFUSED[edit])):
        read_model(edited(small_cnn(), edit))


def test_a_batch_dimension_may_be_open_in_the_signature():
    signature = np.array([-1, 9, 8, 3], np.int32)
    assert read_model(with_tensor(small_cnn(), 0, shapeSignature=signature)).tensors[0].shape == (1, 9, 8, 3)


def test_refuses_metadata_that_it_would_break():
    compressed = with_metadata(small_cnn(), {"COMPRESSION_METADATA": b"anything"})
    with pytest.raises(UnsupportedModelError, match="is compressed by TFLM's tool"):
        read_model(compressed)
    words = np.array([1, 0, 3, -1, -1, -1], "<i4").tobytes()
    with pytest.raises(UnsupportedModelError, match="does not hold one offset for each of the model's 9 tensors"):
        read_model(with_metadata(small_cnn(), {"OfflineMemoryAllocation": words}))


def test_refuses_what_is_no_tflite():
    with pytest.raises(UnsupportedModelError):
        read_model(b"no model at all")
    with pytest.raises(UnsupportedModelError):
        read_model(small_cnn()[:-700])


@pytest.mark.parametrize("teacher", ("math", "ml_dtypes"))
def test_constants_of_types_that_numpy_lacks_are_bytes(teacher):
    pytest.importorskip(teacher)
    net = StockModel()
    data = net.build(net.fully_connected(net.input((1, 4)), np.eye(4, dtype=np.int8)))
    found = read_model(with_tensor(data, 1, type=schema.TensorType.FLOAT8_E4M3FN)).tensors[1].data
    assert found is not None and found.dtype == np.uint8
