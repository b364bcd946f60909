"""Networks with int8 ops that TFLM lacks (GELU, EXP, LOG, NEG, SELECT) are taken: others stand in their place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel
from tests.support.emitted import emit_and_compile
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle
from tflm_quantmcu.app.inspection import describe_model
from tflm_quantmcu.arena.machine import HOST
from tflm_quantmcu.arena.persistent import replay_allocation
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.law.lookups import Lookup
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_inputs
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.missing_ops import missing_kinds, runnable
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

FINE = {"scale": 0.04, "zero_point": -100}
ALL_VALUES = np.arange(-128, 128, dtype=np.int8)


def gelu(net: StockModel, x: Handle) -> Handle:
    return net.stock("GELU", [x], schema.GeluOptionsT(approximate=False), x.shape, **FINE)


def exp(net: StockModel, x: Handle, **format: float) -> Handle:
    return net.stock("EXP", [x], schema.ExpOptionsT(), x.shape, **format or {"scale": 0.1, "zero_point": -128})


def softplus(net: StockModel, x: Handle) -> Handle:
    one = net.constant(np.array([10], np.int8), scale=0.1)
    more = net.add(exp(net, x), one, scale=0.1, zero_point=-128)
    return net.stock("LOG", [more], None, x.shape, **FINE)


def mish(net: StockModel, x: Handle) -> Handle:
    return net.mul(x, net.tanh(softplus(net, x)), **FINE)


def negative(net: StockModel, x: Handle) -> Handle:
    return net.stock("NEG", [x], schema.NegOptionsT(), x.shape, **FINE)


def select(net: StockModel, condition: Handle, x: Handle, y: Handle) -> Handle:
    return net.stock("SELECT", [condition, x, y], None, x.shape, scale=x.scale, zero_point=x.zero_point)


def selu(net: StockModel, x: Handle) -> Handle:
    def constant(value: int) -> Handle:
        return net.constant(np.array([value], np.int8), scale=0.014)

    less = net.stock("SUB", [exp(net, x), constant(71)], schema.SubOptionsT(), x.shape, scale=0.05, zero_point=0)
    positive = net.stock("GREATER", [x, constant(0)], None, x.shape, dtype="bool")
    return select(net, positive, net.mul(x, constant(75), **FINE), net.mul(less, constant(125), **FINE))


ACTIVATIONS = {"gelu": gelu, "softplus": softplus, "mish": mish, "negative": negative, "selu": selu}
KINDS = {
    "gelu": ("GELU",),
    "softplus": ("EXP", "LOG"),
    "mish": ("EXP", "LOG"),
    "negative": ("NEG",),
    "selu": ("EXP", "SELECT"),
}


def network(activation: Callable[[StockModel, Handle], Handle]) -> bytes:
    """Two convolutions and a classifier, each with the activation behind it."""
    net, rng = StockModel(), np.random.default_rng(5)
    x = net.input((1, 24, 24, 3))
    for stride in (1, 2):
        weights = rng.integers(-127, 128, (4, 3, 3, x.shape[3]), dtype=np.int8)
        x = net.conv2d(x, weights, scale=0.05, zero_point=3, stride=(stride, stride))
        x = activation(net, x)
    scores = net.fully_connected(net.mean(x), rng.integers(-127, 128, (5, 4), dtype=np.int8), scale=0.05)
    return net.build(activation(net, scores))


# Shapes of what is chosen and of the condition, and whether SELECT_V2 gives the same.
SELECTS = (((1, 4, 4, 2), (1, 4, 4, 2), True), ((4, 2), (1,), True), ((4, 2), (4,), False), ((2, 2), (2,), False))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_they_are_in_stages_and_behind_and_the_report_says_what_it_compares_with(name: str, tmp_path: Path) -> None:
    model = network(ACTIVATIONS[name])
    with pytest.raises(RuntimeError):
        run_stock(model, np.zeros((1, 24, 24, 3), np.int8))
    result = qm.convert(model, search="uniform", progress=False)
    kinds = [op.kind for op in read_model(result.model).ops]
    assert "QMCU_PATCH_STAGE" in kinds and not {*kinds} & {"GELU", "EXP", "LOG", "NEG", "SELECT"}
    found = result.report.verification
    assert found.is_same_function and found.missing == KINDS[name]
    text = str(result.report)
    assert "stock TFLM in every byte" not in text and "int8 TFLM" not in text
    assert f"stock TFLM does not run this model, it has no int8 kernel for {', '.join(KINDS[name])}" in text
    before, after = (r.recorded_non_persistent_bytes for r in (result.report.baseline, result.report.converted))
    assert after < 0.7 * before == 0.7 * result.report.baseline.predicted_non_persistent_bytes
    runs = Interpreter(model), Interpreter(result.model)
    emitted = [emit_and_compile(data, tmp_path / str(i)) for i, data in enumerate((model, result.model))]
    for sample in random_inputs(read_model(model).input_tensors, 4)[0]:
        expected = runs[0].invoke(sample)[0]
        np.testing.assert_array_equal(expected, runs[1].invoke(sample)[0])
        for code in emitted:
            np.testing.assert_array_equal(expected, code.invoke(sample[None])[0])


@pytest.mark.parametrize("shape", ((1, 16, 16, 1), (1, 256), (1, 16, 16), (256,), (2, 8, 16, 1), (1, 2, 8, 4, 4)))
def test_maps_of_every_shape_are_looked_up(shape: tuple[int, ...]) -> None:
    net = StockModel()
    x = net.input(shape, scale=0.05, zero_point=3)
    model = ModelFile(net.build(gelu(net, x)))
    graph = model.graph
    source, output = (graph.tensors[t].format for t in (graph.inputs[0], graph.outputs[0]))
    table = Lookup("GELU", source, output).table(source, output, (-128, 127))
    interpreter = Interpreter(model)
    np.testing.assert_array_equal(interpreter.invoke(ALL_VALUES.reshape(shape))[0].ravel(), table)
    found = runnable(model).graph
    recorded, replayed = interpreter.allocations(), replay_allocation(found, HOST)
    assert recorded.non_persistent_bytes == predict_arena(found)
    assert replayed.is_exact and recorded.persistent_bytes == replayed.persistent.total
    converted = qm.convert(model.data, search="uniform", progress=False)
    assert "QMCU_LUT" in [op.kind for op in read_model(converted.model).ops]
    assert converted.report.verification.missing == ("GELU",)


@pytest.mark.parametrize("bits", (4, 2))
def test_below_8_bits_the_oracle_knows_them(bits: int) -> None:
    model = network(mish)
    samples = random_inputs(read_model(model).input_tensors, 8)[0]
    options = {"search": "uniform", "activation_bits": bits, "weight_bits": bits, "progress": False}
    result = qm.convert(model, calibration_data=samples, **options)
    assert not result.report.verification.is_same_function and result.report.verification.num_maps > 2


def island(net: StockModel, x: Handle, kind: str) -> Handle:
    options = {"GELU": schema.GeluOptionsT(approximate=True), "NEG": schema.NegOptionsT()}.get(kind)
    return net.quantize(net.stock(kind, [net.dequantize(x)], options, x.shape, dtype="float32"), **FINE)


@pytest.mark.parametrize("kind", ("GELU", "NEG"))
def test_float_islands_are_taken(kind: str) -> None:
    """GELU has no float kernel in TFLM; NEG has one, whose bytes are the reference."""
    net = StockModel()
    x = net.input((1, 16, 16, 1), scale=0.05, zero_point=3)
    model = ModelFile(net.build(net.relu(island(net, x, kind))))
    assert missing_kinds(model) == (("GELU",) if kind == "GELU" else ())
    assert [op.kind for op in canonical(model).graph.ops] == [kind, "RELU"]
    result = qm.convert(model.data, search="uniform", progress=False)
    assert result.report.verification.is_same_function
    assert ("stock TFLM in every byte" in str(result.report)) == (kind == "NEG")


def test_what_no_table_holds_is_refused_in_tflms_words() -> None:
    net = StockModel()
    x = net.input((1, 4, 4, 2), scale=1e-4, dtype="int16")
    model = ModelFile(net.build(net.stock("GELU", [x], schema.GeluOptionsT(), x.shape, dtype="int16")))
    assert not missing_kinds(model) and runnable(model) is model
    with pytest.raises(UnsupportedModelError, match="GELU"):
        Interpreter(model)


@pytest.mark.parametrize(("shape", "condition", "is_taken"), SELECTS)
def test_a_select_is_one_of_the_second_version_where_both_mean_the_same(
    shape: tuple[int, ...], condition: tuple[int, ...], is_taken: bool
) -> None:
    net = StockModel()
    x, y = net.input(shape), net.input(shape)
    of_x = x if condition == shape else net.input(condition)
    positive = net.stock(
        "GREATER", [of_x, net.constant(np.zeros(1, np.int8), scale=0.05)], None, condition, dtype="bool"
    )
    model = ModelFile(net.build(select(net, positive, x, y)))
    kinds = [op.kind for op in canonical(model).graph.ops]
    assert kinds == ["GREATER", "SELECT_V2" if is_taken else "SELECT"]
    assert missing_kinds(model) == (("SELECT",) if is_taken else ())
    if not is_taken:
        with pytest.raises(UnsupportedModelError, match="SELECT"):
            Interpreter(model)
        return
    sample = [v[0] for v in random_inputs(model.graph.input_tensors, 1)]
    real = model.graph.input_tensors[-1].scales[0]
    is_chosen = np.broadcast_to(sample[-1 if of_x is not x else 0] * real > 0, shape)
    found = Interpreter(model).invoke(sample)[0]
    np.testing.assert_array_equal(found.reshape(shape), np.where(is_chosen, *[v.reshape(shape) for v in sample[:2]]))


def test_other_models_are_what_they_were() -> None:
    net = StockModel()
    model = ModelFile(net.build(net.relu(net.input((1, 4, 4, 2)))))
    assert runnable(model) is model


def test_inspect_tells_of_the_tables() -> None:
    text = describe_model(network(gelu))
    assert "GELU(T" in text and "no int8 kernel for GELU" in text and "QMCU_LUT" not in text


@pytest.mark.parametrize("activation", ("gelu", "softplus", "mish", "selu"))
def test_a_keras_network_is_taken(activation: str) -> None:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(3)
    x = keras.Input((16, 16, 3))
    y = keras.layers.Conv2D(8, 3, strides=2, activation=activation)(x)
    y = keras.layers.Conv2D(8, 3, activation=activation)(y)
    model = keras.Model(x, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(y)))
    data = np.random.default_rng(3).normal(size=(8, 16, 16, 3)).astype(np.float32)
    result = qm.convert(model, calibration_data=data, search="uniform", progress=False)
    assert result.report.verification.is_same_function
    assert result.report.verification.missing == KINDS[activation]
    scores, expected = Interpreter(result.model).predict(data), model.predict(data, verbose=0)
    assert np.abs(scores - expected).max() < 0.1 * np.abs(expected).max() + 0.02
