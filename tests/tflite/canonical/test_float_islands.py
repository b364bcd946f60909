"""Activations that TFLite left in float32 become int8 ops that give TFLM's bytes, or stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.edit_model import StockModel
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

SHAPE = (1, 4, 8, 8)
ALL_VALUES = np.arange(-128, 128, dtype=np.int8).reshape(SHAPE)
KINDS = {**{kind: kind for kind in ("ABS", "ELU", "EXP", "LEAKY_RELU", "NEG")}, "SQUARE": "MUL"}


def options_of(kind: str) -> Any:
    return {"ABS": schema.AbsOptionsT(), "LEAKY_RELU": schema.LeakyReluOptionsT(alpha=0.3)}.get(kind)


def island(net: StockModel, x: Handle, kind: str, *, scale: float, zero_point: int) -> Handle:
    y = net.stock(kind, [net.dequantize(x)], options_of(kind), x.shape, dtype="float32")
    return net.quantize(y, scale=scale, zero_point=zero_point)


def model_of(kind: str, rng: np.random.Generator) -> ModelFile:
    net = StockModel()
    scales = [float(np.float32(s)) for s in np.exp(rng.uniform(-5, -1, 2))]
    x = net.input(SHAPE, scale=scales[0], zero_point=int(rng.integers(-128, 128)))
    return ModelFile(net.build(island(net, x, kind, scale=scales[1], zero_point=int(rng.integers(-128, 128)))))


@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_tflms_bytes_at_all_formats_and_is_int8_at_most(kind: str) -> None:
    rng, count = np.random.default_rng(len(kind)), 0
    for _ in range(24):
        model = model_of(kind, rng)
        found = canonical(model)
        if found is not model:
            assert [op.kind for op in found.graph.ops] == [KINDS[kind]]
            count += 1
        (before,) = run_stock(model.data, ALL_VALUES)
        np.testing.assert_array_equal(before, Interpreter(found).run(ALL_VALUES))
    assert count >= 12


def test_what_is_read_in_float_stays() -> None:
    net = StockModel()
    x = net.dequantize(net.input(SHAPE, scale=0.05))
    y = net.stock("ABS", [x], schema.AbsOptionsT(), SHAPE, dtype="float32")
    model = ModelFile(net.build(net.quantize(y, scale=0.05, zero_point=0), y))
    assert canonical(model) is model


def test_a_dequantize_that_others_read_stays_alone() -> None:
    net = StockModel()
    x = net.dequantize(net.input(SHAPE, scale=0.0625))
    y = net.stock("ABS", [x], schema.AbsOptionsT(), SHAPE, dtype="float32")
    found = canonical(ModelFile(net.build(net.quantize(y, scale=0.0625, zero_point=0), x)))
    assert sorted(op.kind for op in found.graph.ops) == ["ABS", "DEQUANTIZE"]


def test_stages_hold_it() -> None:
    net, rng = StockModel(), np.random.default_rng(3)
    x = net.conv2d(net.input((1, 24, 24, 3)), rng.integers(-127, 128, (16, 3, 3, 3)).astype(np.int8))
    y = island(net, x, "ELU", scale=0.05, zero_point=-100)
    model = ModelFile(net.build(net.mean(y)))
    best = plan_stages(canonical(model).graph, max_slowdown=2.0).best
    assert best is not None and best.arena_bytes < 24 * 24 * 3 + 3000  # a float map has 36,864
