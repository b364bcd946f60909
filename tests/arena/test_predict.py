"""The predicted non-persistent arena is the one that TFLM records, to the byte."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import networks, shared_data
from tests.support.edit_model import StockModel, edited, with_metadata, with_tensor
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.arena.predict import op_scratch_bytes, predict_arena
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

MODELS = (*shared_data.CONVOLUTIONAL, "ad01_int8", "hello_world_int8", "hello_world_float", "ic_resnet8_float")


def assert_predicted(model: bytes) -> None:
    assert predict_arena(read_model(model)) == Interpreter(model).allocations().non_persistent_bytes


@pytest.mark.parametrize("name", MODELS)
def test_real_models(name):
    assert_predicted(shared_data.model(name))


def test_residual_network():
    assert_predicted(networks.inverted_residual())


def mean(net: StockModel):
    return net.mean(net.input((1, 9, 7, 5)))


def reduce(kind: str):
    def build(net: StockModel):
        x = net.input((1, 9, 7, 5))
        return net.stock(kind, [x, net.constant(np.array([1, 2], np.int32))], schema.ReducerOptionsT(), (1, 5))

    return build


def mirror_pad(net: StockModel):
    x = net.input((1, 5, 6, 3))
    options = schema.MirrorPadOptionsT()
    pads = net.constant(np.array([[0, 0], [1, 1], [2, 2], [0, 0]], np.int32))
    return net.stock("MIRROR_PAD", [x, pads], options, (1, 7, 10, 3))


def add_n(net: StockModel):
    x = net.input((1, 5, 5, 4))
    copies = [net.relu(x) for _ in range(3)]
    return net.stock("ADD_N", copies, schema.AddNOptionsT(), x.shape)


def transpose_conv(net: StockModel):
    x = net.input((1, 4, 4, 3))
    options = schema.TransposeConvOptionsT(strideH=2, strideW=2, padding=schema.Padding.VALID)
    shape = net.constant(np.array([1, 9, 9, 2], np.int32))
    filter = net.constant(np.ones((2, 3, 3, 3), np.int8), scale=0.01)
    return net.stock("TRANSPOSE_CONV", [shape, filter, x], options, (1, 9, 9, 2))


def svdf(net: StockModel):
    x = net.input((1, 6), scale=0.5)
    feature = net.constant(np.ones((8, 6), np.int8), scale=0.5)
    time = net.constant(np.ones((8, 3), np.int8), scale=0.5)
    bias = net.constant(np.ones(4, np.int32), scale=0.25)
    state = net.input((1, 24), scale=0.5)
    options = schema.SVDFOptionsT(rank=2, fusedActivationFunction=schema.ActivationFunctionType.RELU)
    return net.stock("SVDF", [x, feature, time, bias, state], options, (1, 4))


def as_variable(model: bytes) -> bytes:
    """The last input becomes a state that the model keeps."""

    def edit(tree: schema.ModelT) -> None:
        graph = tree.subgraphs[0]
        graph.tensors[graph.inputs[-1]].isVariable = True
        graph.inputs = graph.inputs[:-1]

    return edited(model, edit)


@pytest.mark.parametrize(
    "build", [mean, reduce("SUM"), reduce("REDUCE_MAX"), reduce("REDUCE_MIN"), mirror_pad, add_n, transpose_conv]
)
def test_ops_with_scratch(build):
    net = StockModel()
    model = net.build(build(net))
    graph = read_model(model)
    assert op_scratch_bytes(graph, graph.ops[-1])
    assert_predicted(model)


def test_svdf_and_its_state():
    net = StockModel()
    model = as_variable(net.build(svdf(net)))
    graph = read_model(model)
    assert op_scratch_bytes(graph, graph.ops[0]) == (4 * 8, 4 * 4)
    assert_predicted(model)


def test_four_bit_filters():
    net = TinyModel()
    y = net.conv2d(net.input((1, 6, 6, 4)), np.zeros((8, 3, 3, 4), np.int8))
    y = net.depthwise_conv2d(y, np.zeros((3, 3, 8), np.int8))
    y = net.fully_connected(net.reshape(y, (1, 288)), np.zeros((5, 288), np.int8))
    model = net.build(y)
    filters = [op.inputs[1] for op in read_model(model).ops if op.kind != "RESHAPE"]
    for index in filters:
        model = with_tensor(model, index, type=schema.TensorType.INT4)
    graph = read_model(model)
    assert [op_scratch_bytes(graph, graph.consumers[t][0]) for t in filters] == [(288,), (72,), (1440,)]
    assert_predicted(model)


def test_a_tensor_that_nothing_uses_takes_its_bytes():
    model = networks.inverted_residual()

    def edit(tree: schema.ModelT) -> None:
        unused = schema.TensorT(shape=[1, 50, 1000], type=schema.TensorType.INT8, name="unused")
        tree.subgraphs[0].tensors.append(unused)

    with_unused = edited(model, edit)
    assert predict_arena(read_model(with_unused)) > predict_arena(read_model(model))
    assert_predicted(with_unused)


@pytest.mark.parametrize("seed", range(5))
def test_an_offline_plan_is_kept_and_the_rest_goes_around_it(seed):
    model = networks.inverted_residual()
    graph = read_model(model)
    rng = np.random.default_rng(seed)
    offsets = [
        16 * int(rng.integers(0, 3000)) if not t.is_constant and rng.random() < 0.5 else -1 for t in graph.tensors
    ]
    words = np.array([1, 0, len(offsets), *offsets], "<i4").tobytes()
    assert_predicted(with_metadata(model, {"OfflineMemoryAllocation": words}))


def test_a_pinned_state_lies_in_the_arena():
    net = StockModel()
    model = as_variable(net.build(svdf(net)))
    offsets = [1600 if t.is_variable else -1 for t in read_model(model).tensors]
    words = np.array([1, 0, len(offsets), *offsets], "<i4").tobytes()
    pinned = with_metadata(model, {"OfflineMemoryAllocation": words})
    assert predict_arena(read_model(pinned)) == 1600 + 32
    assert_predicted(pinned)


def test_refuses_ops_whose_scratch_is_not_known():
    def custom(tree: schema.ModelT) -> None:
        code = tree.operatorCodes[tree.subgraphs[0].operators[0].opcodeIndex]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = "Theirs"

    model = edited(networks.inverted_residual(), custom)
    with pytest.raises(UnsupportedModelError, match=r"how much scratch Theirs \(op 0\) takes is not known"):
        predict_arena(read_model(model))


def test_refuses_tensors_that_tflm_cannot_place():
    model = with_tensor(networks.inverted_residual(), 0, type=schema.TensorType.STRING)
    with pytest.raises(UnsupportedModelError, match="tensor 'map0' is string, a type that TFLM cannot place"):
        predict_arena(read_model(model))
