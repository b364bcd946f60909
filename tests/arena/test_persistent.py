"""The predicted persistent arena is the one that TFLM records on this host; on a core ours is no larger than TFLM's."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.support import networks, shared_data
from tests.support.detection import detection_network
from tests.support.edit_model import StockModel
from tests.support.plans import mixed, split
from tests.support.property_settings import examples
from tests.support.random_cnn import random_cnns
from tests.support.streamed import streamed
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.arena.machine import CORTEX_M, HOST
from tflm_quantmcu.arena.persistent import PersistentBytes, persistent_bytes
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model


def predicted(model: bytes) -> PersistentBytes:
    found = persistent_bytes(read_model(model), HOST)
    assert found is not None
    return found


def assert_predicted(model: bytes) -> None:
    recorded = Interpreter(model).allocations()
    found = predicted(model)
    assert found.total == recorded.persistent_bytes
    assert found.eval_tensors == recorded.details["TfLiteEvalTensor data"]
    assert found.nodes == recorded.details["NodeAndRegistration struct"]


@pytest.mark.parametrize("name", [*shared_data.CONVOLUTIONAL, "ad01_int8", "hello_world_int8"])
def test_real_models(name: str) -> None:
    assert_predicted(shared_data.model(name))


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_real_models_in_patches_take_no_more_on_a_core(name: str) -> None:
    model = shared_data.model(name)
    converted = convert_model(model, split(read_model(model)))
    assert_predicted(converted)
    ours, stock = (persistent_bytes(read_model(m), CORTEX_M) for m in (converted, model))
    assert ours is not None and stock is not None
    assert ours.total < stock.total


@pytest.mark.parametrize("activation", ("silu", "hard_swish", "leaky_relu"))
def test_detection_networks(activation: str) -> None:
    model = detection_network(activation=activation)
    assert_predicted(model)
    assert_predicted(convert_model(model, mixed(read_model(model), 1)))


def test_other_activations() -> None:
    net = TinyModel()
    x = net.input((1, 4, 4, 2))
    assert_predicted(net.build(net.tanh(net.elu(x))))


@pytest.mark.parametrize("name", ("inverted residual", *shared_data.CONVOLUTIONAL))
def test_models_without_an_input_tensor(name: str) -> None:
    model = networks.inverted_residual() if name == "inverted residual" else shared_data.model(name)
    assert_predicted(convert_model(model, streamed(split(read_model(model)))))


@pytest.mark.parametrize("seed", range(6))
def test_all_of_our_ops(seed: int) -> None:
    model = networks.inverted_residual(seed)
    assert_predicted(convert_model(model, mixed(read_model(model), seed)))


@examples(60)
@given(random_cnns())
def test_random_networks(cnn) -> None:
    assert_predicted(cnn.model)


@pytest.mark.parametrize("kind", [kind for kind in CORTEX_M.op_data if kind.startswith("QMCU_")])
def test_op_data_of_ours_is_no_larger_on_a_core_than_that_of_the_stock_op(kind: str) -> None:
    """A requantize's counterpart is QUANTIZE, a table's LOGISTIC, a stage's the first op that it swallows, CONV_2D."""
    stock = {"REQUANTIZE": "QUANTIZE", "LUT": "LOGISTIC", "CHANNEL_LUT": "LOGISTIC", "PATCH_STAGE": "CONV_2D"}
    name = kind.removeprefix("QMCU_")
    assert CORTEX_M.op_data[kind] <= CORTEX_M.op_data[stock.get(name, name)]


def test_says_nothing_of_ops_whose_data_is_not_known() -> None:
    net = StockModel()
    x = net.input((1, 4, 4, 2))
    y = net.stock("L2_NORMALIZATION", [x], schema.L2NormOptionsT(), x.shape)
    assert persistent_bytes(read_model(net.build(y)), HOST) is None
