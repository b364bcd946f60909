"""Functions of one value that several ops make together: one table of the values that TFLM gives, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.joined import Joined, inner_ops_of
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

ALL_VALUES = np.arange(-128, 128, dtype=np.int8)
FINE = {"scale": 0.04, "zero_point": -100}


def one(net: StockModel, x: Handle, value: int, scale: float | None = None) -> Handle:
    """A constant of x's format, or of another scale."""
    zero_point = x.zero_point if scale is None else 0
    return net.constant(np.array([value], np.int8), scale=scale or x.scale, zero_point=zero_point)


def compared(net: StockModel, kind: str, x: Handle, y: Handle) -> Handle:
    options = schema.MaximumMinimumOptionsT()
    return net.stock(kind, [x, y], options, x.shape, scale=x.scale, zero_point=x.zero_point)


def less(net: StockModel, x: Handle, y: Handle) -> Handle:
    return net.stock("SUB", [x, y], schema.SubOptionsT(), x.shape, **FINE)


def hard_swish(net: StockModel, x: Handle) -> Handle:
    gate = net.relu6(net.add(x, one(net, x, 60), scale=0.06, zero_point=-10))
    return net.mul(x, net.mul(gate, one(net, x, 127, 1 / 762), scale=1 / 256, zero_point=-128), **FINE)


def prelu(net: StockModel, x: Handle) -> Handle:
    """max(x, 0) + slope * min(x, 0), a slope a channel."""
    zero = one(net, x, x.zero_point)
    slopes = net.constant(np.arange(1, x.shape[3] + 1, dtype=np.int8), scale=0.1)
    below = net.mul(compared(net, "MINIMUM", x, zero), slopes, scale=0.03, zero_point=100)
    return net.add(compared(net, "MAXIMUM", x, zero), below, activation="RELU_N1_TO_1", **FINE)


def leaky(net: StockModel, x: Handle) -> Handle:
    return compared(net, "MAXIMUM", x, net.mul(x, one(net, x, 20, 0.01), scale=x.scale, zero_point=x.zero_point))


def nested(net: StockModel, x: Handle) -> Handle:
    """A sum of two functions of which one is a product of two."""
    return less(net, net.quantize(net.silu(net.relu(x, scale=0.07, zero_point=-3), **FINE), **FINE), net.tanh(x))


def related(net: StockModel, kind: str, x: Handle, y: Handle, shape: tuple[int, ...]) -> Handle:
    return net.stock(kind, [x, y], None, shape, dtype="bool")


def chosen(net: StockModel, condition: Handle, x: Handle, y: Handle) -> Handle:
    options, like = schema.SelectV2OptionsT(), max(x, y, key=lambda h: len(h.shape))
    inputs = [condition, x, y]
    return net.stock("SELECT_V2", inputs, options, like.shape, scale=like.scale, zero_point=like.zero_point)


def elu_written_out(net: StockModel, x: Handle) -> Handle:
    """Where x > 0 a product of it, elsewhere one of tanh, as SELU has them."""
    positive = related(net, "GREATER", x, one(net, x, 0, 0.01), x.shape)
    times, small = one(net, x, 105, 0.01), one(net, x, 120, 0.01)
    return chosen(net, positive, net.mul(x, times, **FINE), net.mul(net.tanh(x), small, **FINE))


def threshold(net: StockModel, x: Handle) -> Handle:
    """Where 0.4 < x of a channel's own threshold x, elsewhere a constant."""
    thresholds = net.constant(np.arange(38, 38 + x.shape[3], dtype=np.int8), scale=0.01)
    return chosen(net, related(net, "LESS_EQUAL", thresholds, x, x.shape), x, one(net, x, -7))


def soft_shrink(net: StockModel, x: Handle) -> Handle:
    """A choice of a choice."""
    more, zero, like = one(net, x, 13), one(net, x, x.zero_point), {"scale": x.scale, "zero_point": x.zero_point}
    below = related(net, "LESS", x, one(net, x, -10), x.shape)
    above = related(net, "GREATER_EQUAL", x, one(net, x, 16), x.shape)
    outside = chosen(net, below, net.add(x, more, **like), zero)
    minus = net.stock("SUB", [x, more], schema.SubOptionsT(), x.shape, **like)
    return chosen(net, above, minus, outside)


CASES: dict[str, tuple[Callable[[StockModel, Handle], Handle], int]] = {
    "hard swish": (hard_swish, 3),
    "PReLU": (prelu, 3),
    "leaky ReLU": (leaky, 1),
    "nested": (nested, 5),
    "ELU written out": (elu_written_out, 4),
    "threshold": (threshold, 1),
    "soft shrink": (soft_shrink, 5),
}
PER_CHANNEL = ("PReLU", "threshold")


@pytest.mark.parametrize("case", CASES)
def test_they_are_one_table_of_tflms_values(case: str) -> None:
    make, num_inner = CASES[case]
    net = StockModel()
    x = net.input((1, 16, 16, 3), scale=0.05, zero_point=3)
    model = net.build(make(net, x))
    graph, values = read_model(model), np.repeat(ALL_VALUES, 3).reshape(1, 16, 16, 3)
    network = LoweredNetwork.of(graph)
    assert len(network.inner_ops(graph.ops[-1])) == num_inner == len(network.folded)
    (low,) = lower_region(graph, graph.ops, {})
    formats = [graph.tensors[t].format for t in (low.inputs[0], low.output)]
    tables = low.requantization_table(formats[:1], formats[1]).view(np.int8).reshape(-1, 256)
    (expected,) = run_stock(model, values)
    assert len(tables) == (3 if case in PER_CHANNEL else 1)
    np.testing.assert_array_equal(np.broadcast_to(tables, (3, 256)).T, expected.reshape(256, 3))


@pytest.mark.parametrize("case", CASES)
def test_other_formats_give_the_real_function(case: str) -> None:
    net = StockModel()
    graph = read_model(net.build(CASES[case][0](net, net.input((1, 4, 4, 3), scale=0.05, zero_point=3))))
    joined = Joined.of(graph, graph.ops[-1], inner_ops_of(graph, graph.ops[-1]))
    own = joined.table(joined.source, joined.steps[-1].output, (-128, 127)).astype(int)
    wide = Format(8, joined.source.scale * 1.0001, joined.source.zero_point)  # another one, so that real values count
    real = joined.table(wide, joined.steps[-1].output, (-128, 127)).astype(int)
    assert real.shape == own.shape
    assert np.abs(real - own).max() <= 4  # steps that roundings of up to five ops may make


@pytest.mark.parametrize("case", CASES)
def test_a_stage_holds_them_and_gives_tflms_bytes(case: str) -> None:
    net, rng = StockModel(), np.random.default_rng(5)
    x = net.input((1, 24, 24, 3))
    for stride in (1, 2):
        weights = rng.integers(-127, 128, (3, 3, 3, 3), dtype=np.int8)
        x = net.conv2d(x, weights, scale=0.05, zero_point=3, stride=(stride, stride))
        x = net.quantize(CASES[case][0](net, x), scale=0.05, zero_point=3)
    model = net.build(net.mean(x))
    result = qm.convert(model, search="uniform", progress=False)
    assert result.report.verification.is_same_function
    kinds = [op.kind for op in read_model(result.model).ops]
    assert "QMCU_PATCH_STAGE" in kinds and not {"MUL", "ADD", "MAXIMUM", "SUB", "SELECT_V2"} & {*kinds}
    before, after = (r.recorded_non_persistent_bytes for r in (result.report.baseline, result.report.converted))
    assert after < 0.6 * before


@pytest.mark.parametrize("case", CASES)
def test_outside_of_stages_they_are_one_table_too(case: str) -> None:
    net = StockModel()
    model = net.build(CASES[case][0](net, net.input((1, 6, 5, 3), scale=0.05, zero_point=3)))
    result = qm.convert(model, search="uniform", progress=False)
    kinds = [op.kind for op in read_model(result.model).ops]
    assert kinds == ["QMCU_CHANNEL_LUT" if case in PER_CHANNEL else "QMCU_LUT"]
    assert result.report.verification.is_same_function


def read_elsewhere(net: StockModel, x: Handle) -> tuple[Handle, ...]:
    gate = net.tanh(x)
    return net.mul(x, gate, **FINE), net.relu(gate)


def of_two_maps(net: StockModel, x: Handle) -> tuple[Handle, ...]:
    return (net.add(net.max_pool2d(x, (3, 3), padding="SAME"), net.tanh(x), **FINE),)


def of_one_row(net: StockModel, x: Handle) -> tuple[Handle, ...]:
    row = net.constant(np.zeros((1, 1, 5, 3), np.int8) + np.arange(5, dtype=np.int8)[:, None], scale=0.05)
    return (net.add(x, net.mul(x, row, **FINE), **FINE),)


def other_formats(net: StockModel, x: Handle) -> tuple[Handle, ...]:
    return (compared(net, "MAXIMUM", net.tanh(x), x),)


def chosen_by_another(net: StockModel, x: Handle) -> tuple[Handle, ...]:
    other = net.max_pool2d(x, (3, 3), padding="SAME")
    return (chosen(net, related(net, "LESS", other, one(net, x, 0), x.shape), x, one(net, x, 5)),)


def chosen_of_other_formats(net: StockModel, x: Handle) -> tuple[Handle, ...]:
    condition = related(net, "LESS", x, one(net, x, 0), x.shape)
    return (chosen(net, condition, x, net.tanh(x)),)


def compared_with_a_map(net: StockModel, x: Handle) -> tuple[Handle, ...]:
    return (chosen(net, related(net, "LESS", x, net.tanh(x), x.shape), x, one(net, x, 5)),)


NONE = (read_elsewhere, of_two_maps, of_one_row, other_formats, chosen_by_another, chosen_of_other_formats)


@pytest.mark.parametrize("make", (*NONE, compared_with_a_map))
def test_what_is_no_function_of_one_value_stays(make: Callable[[StockModel, Handle], Any]) -> None:
    net = StockModel()
    graph = read_model(net.build(*make(net, net.input((1, 4, 5, 3), scale=0.05, zero_point=3))))
    network = LoweredNetwork.of(graph)
    assert not any(network.inner_ops(op) for op in graph.ops) and not network.folded
