"""Element-wise ops with a constant, one value or one a channel, are tables: TFLM's bytes in any order and format."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.edit_model import StockModel
from tests.support.plans import narrowed
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import Format, ModelGraph
from tflm_quantmcu.law.constant_operands import operand_of
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

KINDS = ("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "PRELU")
# A constant may be the first operand of all but PRELU.
PLACED = [(kind, is_first) for kind in KINDS for is_first in (False, True) if kind != "PRELU" or not is_first]
ALL_VALUES = np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1)


def options_of(kind: str, activation: str = "NONE") -> Any:
    if kind in ("MINIMUM", "MAXIMUM"):
        return schema.MaximumMinimumOptionsT()
    if kind == "PRELU":
        return None
    made = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT}[kind]()
    made.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    return made


def combined(
    net: StockModel, kind: str, x: Handle, values: np.ndarray, own: Format, *, is_first: bool = False, **options: Any
) -> Handle:
    constant = TinyModel.constant(net, values, scale=own.scale, zero_point=own.zero_point)
    inputs = [constant, x] if is_first else [x, constant]
    activation = options.pop("activation", "NONE")
    return net.stock(kind, inputs, options_of(kind, activation), x.shape, **options)


def random_formats(kind: str, rng: np.random.Generator) -> list[Format]:
    """Formats of the map, the constant and the output; TFLM compares bytes of one format."""
    scales = np.float32(10.0 ** rng.uniform(-2.5, 0.5, 3))
    formats = [Format(8, float(s), int(rng.integers(-128, 128))) for s in scales]
    return formats[:1] * 3 if kind in ("MINIMUM", "MAXIMUM") else formats


def table_of(graph: ModelGraph) -> np.ndarray:
    lowered = LoweredNetwork.of(graph).lower(graph.ops[0])
    assert lowered.kind in ("LUT", "CHANNEL_LUT") and lowered.lookup is not None
    source, output = (graph.tensors[t].format for t in (*lowered.inputs, lowered.output))
    return lowered.lookup.table(source, output, lowered.clamp_range(output))


@pytest.mark.parametrize(("kind", "is_first"), PLACED)
@pytest.mark.parametrize("seed", range(12))
def test_tables_hold_what_tflm_gives_for_every_value(kind: str, is_first: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, own, output = random_formats(kind, rng)
    net = StockModel()
    x = net.input((1, 16, 16, 1), scale=source.scale, zero_point=source.zero_point)
    shape = ((), (1,), (1, 1, 1, 1))[seed % 3]
    values = np.full(shape, rng.integers(-128, 128), np.int8)
    activation = {} if kind in ("MINIMUM", "MAXIMUM", "PRELU") else {"activation": ("NONE", "RELU", "RELU6")[seed % 3]}
    formats = {"scale": output.scale, "zero_point": output.zero_point}
    model = net.build(combined(net, kind, x, values, own, is_first=is_first, **activation, **formats))
    (found,) = run_stock(model, ALL_VALUES)
    np.testing.assert_array_equal(table_of(read_model(model)), found.ravel())


@pytest.mark.parametrize(("kind", "is_first"), PLACED)
def test_other_formats_give_the_real_function(kind: str, is_first: bool) -> None:
    own = Format(8, 0.05, 3)
    net = StockModel()
    x = net.input((1, 16, 16, 1), scale=0.05, zero_point=3)
    graph = read_model(net.build(combined(net, kind, x, np.full((), 17, np.int8), own, is_first=is_first)))
    lookup = LoweredNetwork.of(graph).lower(graph.ops[0]).lookup
    assert lookup is not None
    source, output = Format(4, 0.3, -2), Format(2, 0.7, 0)
    r = (np.arange(-8, 8) + 2) * 0.3
    a, b = (0.7, r) if is_first else (r, 0.7)
    exact = {"ADD": a + b, "SUB": a - b, "MUL": a * b, "MINIMUM": np.minimum(a, b), "MAXIMUM": np.maximum(a, b)}
    exact["PRELU"] = np.where(r >= 0, r, r * 0.7)
    table = lookup.table(source, output, (-2, 1))
    np.testing.assert_array_less(np.abs(table - np.clip(exact[kind] / 0.7, -2, 1)), 0.5 + 1e-6)


@pytest.mark.parametrize(("kind", "is_first"), PLACED)
@pytest.mark.parametrize("seed", range(4))
def test_a_constant_a_channel_has_a_table_a_channel(kind: str, is_first: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, own, output = random_formats(kind, rng)
    net = StockModel()
    x = net.input((1, 16, 16, 5), scale=source.scale, zero_point=source.zero_point)
    values = rng.integers(-128, 128, ((5,), (1, 1, 1, 5))[seed % 2], np.int8)
    formats = {"scale": output.scale, "zero_point": output.zero_point}
    model = net.build(combined(net, kind, x, values, own, is_first=is_first, **formats))
    (found,) = run_stock(model, np.repeat(ALL_VALUES, 5, axis=3))
    np.testing.assert_array_equal(table_of(read_model(model)), found.reshape(256, 5).T)


def test_constants_of_other_shapes_and_maps_that_broadcast_are_none() -> None:
    own = Format(8, 0.05, 3)
    maps = (np.arange(12).reshape(1, 4, 1, 3), np.ones((1, 4, 4, 3)), np.arange(4).reshape(4, 1))
    for values, is_broadcast in zip(maps, (False, True, False), strict=True):
        net = StockModel()
        x = net.input((1, 1, 1, 3) if is_broadcast else (1, 4, 4, 3))
        values = values.astype(np.int8)
        constant = TinyModel.constant(net, values, scale=own.scale, zero_point=own.zero_point)
        graph = read_model(net.build(net.stock("ADD", [x, constant], options_of("ADD"), (1, 4, 4, 3))))
        assert operand_of(graph, graph.ops[0]) is None


def test_comparisons_of_several_formats_stay_stock() -> None:
    net = StockModel()
    x = net.input((1, 4, 4, 2), scale=0.05)
    graph = read_model(net.build(combined(net, "MINIMUM", x, np.full((), 5, np.int8), Format(8, 0.1, 0))))
    assert LoweredNetwork.of(graph).refusal(graph.ops[0]) == "it changes the scale, which TFLM's kernel ignores"


def _values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-100, 100, shape, np.int8) if shape else np.full((), 40, np.int8)


def _chain(shape: tuple[int, ...], seed: int) -> bytes:
    """Every kind behind a convolution of its own, and a mean of the whole."""
    rng = np.random.default_rng(seed)
    net = StockModel()
    x = net.input((1, 20, 20, 3))
    for kind in rng.permutation(KINDS):
        weights = rng.integers(-127, 128, (6, 3, 3, x.shape[3]), dtype=np.int8)
        x = net.conv2d(x, weights, scale=0.05, zero_point=-3)
        is_compared = kind in ("MINIMUM", "MAXIMUM")
        own = Format(8, x.scale, x.zero_point) if is_compared else Format(8, 0.02, 5)
        output = {} if is_compared else {"scale": 0.07, "zero_point": 1}
        is_first = kind != "PRELU" and bool(rng.integers(2))
        x = combined(net, str(kind), x, _values(rng, shape), own, is_first=is_first, **output)
    return net.build(net.mean(x))


def _kinds(model: bytes) -> set[str]:
    return {op.kind for op in read_model(model).ops}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("shape", [(), (6,)])
@pytest.mark.parametrize("seed", range(2))
def test_they_run_inside_stages(bits: int, shape: tuple[int, ...], seed: int) -> None:
    model = _chain(shape, seed)
    graph = read_model(model)
    tiled = graph.tensors[graph.ops[-1].inputs[0]]
    rows, columns = (-(-extent // 4) for extent in tiled.shape[1:3])
    inner = [graph.tensors[op.outputs[0]] for op in graph.ops[:-2]]
    formats = {t.name: narrowed(t.format, bits) for t in inner if bits < 8}
    classes = (PatchClass("all", formats),)
    stage = StagePlan(graph.input_tensors[0].name, tiled.name, 4, 4, ((0,) * columns,) * rows, classes)
    plan = PrecisionPlan(graph.sha256, {}, stages=(stage,))
    converted = convert_model(model, plan)
    assert PATCH_STAGE in _kinds(converted) and not {*KINDS} & _kinds(converted)
    x = random_samples(graph.input_tensors[0], 8)
    output = graph.tensors[graph.outputs[0]]
    oracle = simulate(graph, plan, x.reshape(-1, *graph.input_tensors[0].shape[1:]))[output.name]
    stock, ours = Interpreter(model), Interpreter(converted)
    for sample, expected in zip(x, oracle, strict=True):
        found = ours.invoke(sample)[0]
        np.testing.assert_array_equal(found.ravel(), expected.ravel())
        assert bits < 8 or np.array_equal(found, stock.invoke(sample)[0])
