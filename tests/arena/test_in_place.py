"""Ops whose output stands in the bytes of an input that nobody reads any more give what they give elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support import networks
from tests.support.edit_model import StockModel, with_metadata
from tests.support.emitted import emit_and_compile
from tests.support.stock_op_models import SHAPE, STOCK_OP_MODELS, binary, unary
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.arena.in_place import overlays
from tflm_quantmcu.arena.plan import plan_arena
from tflm_quantmcu.arena.predict import op_scratch_bytes, predict_arena
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_inputs
from tflm_quantmcu.stage.custom_ops import PREFIX
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

NUM_SAMPLES = 4
VALUES = int(np.prod(SHAPE))  # a multiple of 16


def of_one(build: Callable[[TinyModel, Handle], Handle], *, dtype: str = "int8") -> bytes:
    net = TinyModel()
    return net.build(build(net, net.input(SHAPE, dtype=dtype)))


MODELS: dict[str, Callable[[], bytes]] = {
    **{kind: STOCK_OP_MODELS[kind] for kind in ("ABS", "DIV", "MAXIMUM", "MINIMUM", "PRELU", "SQUARED_DIFFERENCE")},
    **{kind: STOCK_OP_MODELS[kind] for kind in ("CEIL", "COS", "EXP", "FLOOR", "NEG", "ROUND", "SUB")},
    **{kind: lambda kind=kind: unary(kind, dtype="float32") for kind in ("LOG", "RSQRT", "SIN", "SQRT", "SQUARE")},
    "ADD": lambda: binary("ADD", schema.AddOptionsT()),
    "MUL": lambda: binary("MUL", schema.MulOptionsT()),
    "ADD of floats": lambda: binary("ADD", schema.AddOptionsT(), dtype="float32"),
    "DEQUANTIZE": lambda: of_one(lambda net, x: net.dequantize(x)),
    "ELU": lambda: of_one(lambda net, x: net.elu(x)),
    "HARD_SWISH": lambda: of_one(lambda net, x: net.hard_swish(x, scale=0.04, zero_point=-9)),
    "LEAKY_RELU": lambda: of_one(lambda net, x: net.leaky_relu(x, 0.2)),
    "LOGISTIC": lambda: of_one(lambda net, x: net.logistic(x)),
    "LOGISTIC of floats": lambda: unary("LOGISTIC", dtype="float32"),
    "QUANTIZE": lambda: of_one(lambda net, x: net.quantize(x, scale=0.07, zero_point=5)),
    "QUANTIZE of floats": lambda: of_one(lambda net, x: net.quantize(x, scale=0.02, zero_point=5), dtype="float32"),
    "RELU": lambda: of_one(lambda net, x: net.relu(x, scale=0.03, zero_point=-128)),
    "RELU6": lambda: of_one(lambda net, x: net.relu6(x)),
    "SOFTMAX": lambda: of_one(lambda net, x: net.softmax(x)),
    "SOFTMAX of floats": lambda: unary("SOFTMAX", schema.SoftmaxOptionsT(beta=1.0), dtype="float32"),
    "TANH": lambda: of_one(lambda net, x: net.tanh(x)),
}


def check_equal(model: bytes, other: bytes) -> None:
    graph = read_model(model)
    runs = Interpreter(model), Interpreter(other)
    assert runs[1].allocations().non_persistent_bytes == predict_arena(read_model(other))
    for sample in zip(*random_inputs(graph.input_tensors, NUM_SAMPLES), strict=True):
        expected, found = (run.invoke([x.copy() for x in sample]) for run in runs)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)


def pinned(model: bytes) -> tuple[bytes, int]:
    """A model of one op with our places, and the arena that they make."""
    graph = read_model(model)
    plan = plan_arena(graph, [op_scratch_bytes(graph, op) for op in graph.ops])
    words = [1, 1, len(graph.tensors), *(plan.offsets.get(t.index, -1) for t in graph.tensors)]
    return with_metadata(model, {"OfflineMemoryAllocation": np.array(words, "<i4").tobytes()}), plan.arena_bytes


@pytest.mark.parametrize("kind", MODELS)
def test_tflm_computes_the_same_in_the_place_of_the_input(kind: str) -> None:
    model = MODELS[kind]()
    graph = read_model(model)
    found, arena_bytes = pinned(model)
    (op,) = graph.ops
    source = next(iter(overlays(graph, op)))
    sizes = [VALUES * (4 if graph.tensors[t].dtype == "float32" else 1) for t in (source, op.outputs[0])]
    assert arena_bytes == max(sizes) + sizes[0] * (len(graph.inputs) - 1)
    check_equal(model, found)


@pytest.mark.parametrize("options", [{}, {"alignCorners": True}, {"halfPixelCenters": True}])
@pytest.mark.parametrize("sizes", [((9, 7), (5, 4)), ((8, 8), (8, 3)), ((12, 5), (11, 5)), ((6, 6), (1, 6))])
def test_a_resize_to_a_smaller_map_writes_over_its_input(
    sizes: tuple[tuple[int, int], tuple[int, int]], options: dict[str, bool], tmp_path: Path
) -> None:
    net = StockModel()
    x, size = net.input((1, *sizes[0], 16)), net.constant(np.array(sizes[1], np.int32))
    shape = (1, *sizes[1], 16)
    model = net.build(net.stock("RESIZE_BILINEAR", [x, size], schema.ResizeBilinearOptionsT(**options), shape))
    found, arena_bytes = pinned(model)
    assert arena_bytes == 16 * sizes[0][0] * sizes[0][1]
    check_equal(model, found)
    emitted, run = emit_and_compile(found, tmp_path), Interpreter(model)
    assert emitted.macro("ARENA_BYTES") == arena_bytes
    for sample in random_inputs(read_model(model).input_tensors, 2)[0]:
        np.testing.assert_array_equal(emitted.invoke(sample[None])[0], run.invoke(sample)[0])


def test_a_network_runs_in_place_on_tflm_and_in_emitted_code(tmp_path: Path) -> None:
    model = networks.in_place(SHAPE)
    converted = convert_model(model, PrecisionPlan(read_model(model).sha256, {}))
    graph = read_model(converted)
    assert PREFIX + "LUT" in {op.kind for op in graph.ops}
    assert 2 * VALUES <= predict_arena(graph) <= 2 * VALUES + 16 < predict_arena(read_model(model))
    check_equal(model, converted)
    emitted, run = emit_and_compile(converted, tmp_path), Interpreter(model)
    for sample in random_inputs(graph.input_tensors, NUM_SAMPLES)[0]:
        np.testing.assert_array_equal(emitted.invoke(sample[None])[0], run.invoke(sample)[0])
    assert emitted.macro("ARENA_BYTES") <= predict_arena(graph)


def test_nothing_shares_bytes_that_are_read_again() -> None:
    net = TinyModel()
    x = net.input(SHAPE)
    graph = read_model(net.build(net.add(net.tanh(x), net.average_pool2d(x, (1, 1)))))
    assert plan_arena(graph, [()] * len(graph.ops)).arena_bytes == 3 * VALUES
    net = TinyModel()
    y = net.tanh(net.input(SHAPE))
    graph = read_model(net.build(net.relu6(y), y))
    assert plan_arena(graph, [()] * 2).arena_bytes == 2 * VALUES


def test_what_is_spread_is_not_written_over() -> None:
    net = TinyModel()
    small, large = net.input((1, 1, 1, 8)), net.input(SHAPE)
    graph = read_model(net.build(net.mul(small, large)))
    assert overlays(graph, graph.ops[0]) == {large.index: 0}


def test_maps_of_fewer_bits_are_not_written_over() -> None:
    model = of_one(lambda net, x: net.silu(net.relu(x)))
    graph = read_model(model)
    names = [graph.tensors[graph.ops[i].outputs[0]].name for i in (0, -1)]
    for bits, count in ((8, 1), (4, 0)):
        formats = {} if bits == 8 else dict.fromkeys(names, Format(bits, 0.8, 0))
        converted = read_model(convert_model(model, PrecisionPlan(graph.sha256, {}, formats=formats)))
        (lut,) = (op for op in converted.ops if op.kind == PREFIX + "LUT")
        assert len(overlays(converted, lut)) == count
