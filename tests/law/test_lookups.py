"""Tables of activations: law A18's examples, the model's own formats give TFLM's values, others the real function."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support.edit_model import StockModel
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle, TinyModel
from tests.test_laws import table_rows
from tflm_quantmcu.graph.types import BIT_WIDTHS, Format, ModelGraph
from tflm_quantmcu.law.joined import Joined, Step, inner_ops_of
from tflm_quantmcu.law.lookups import Lookup
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

ALL_VALUES = np.arange(-128, 128, dtype=np.int8)
OWN, GATE = Format(8, float(np.float32(0.05)), 3), Format(8, 1 / 256, -128)
OUTPUT = Format(8, float(np.float32(0.04)), -100)
LOGISTIC = Lookup("LOGISTIC", OWN, GATE)
LOOKUPS: dict[str, Lookup | Joined] = {
    "LOGISTIC": LOGISTIC,
    "x * LOGISTIC(x)": Joined(OWN, (Step("LOGISTIC", (0,), GATE, lookup=LOGISTIC), Step("MUL", (0, 1), OUTPUT))),
    "TANH": Lookup("TANH", OWN, Format(8, 1 / 128, 0)),
    "HARD_SWISH": Lookup("HARD_SWISH", OWN, OUTPUT),
    "LEAKY_RELU": Lookup("LEAKY_RELU", OWN, OUTPUT, alpha=0.25),
    "ELU": Lookup("ELU", OWN, OUTPUT),
    **{kind: Lookup(kind, OWN, OUTPUT) for kind in ("EXP", "GELU", "GELU_BY_TANH", "LOG", "NEG")},
    "ABS": Lookup("ABS", OWN, OUTPUT),
    "SQUARE": Lookup("SQUARE", OWN, OUTPUT),
}
REAL = {
    "LOGISTIC": lambda r: 1 / (1 + np.exp(-r)),
    "x * LOGISTIC(x)": lambda r: r / (1 + np.exp(-r)),
    "TANH": np.tanh,
    "HARD_SWISH": lambda r: r * np.clip(r + 3, 0, 6) / 6,
    "LEAKY_RELU": lambda r: np.where(r >= 0, r, r / 4),
    "ELU": lambda r: np.where(r >= 0, r, np.expm1(r)),
    "EXP": np.exp,
    "GELU": lambda r: r / 2 * np.array([1 + math.erf(x / math.sqrt(2)) for x in r]),
    "GELU_BY_TANH": lambda r: r / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (r + 0.044715 * r**3))),
    "LOG": lambda r: np.array([math.log(x) if x > 0 else -1e9 for x in r]),
    "NEG": np.negative,
    "ABS": np.abs,
    "SQUARE": np.square,
}


def format_of(text: str) -> Format:
    scale, zero_point, bits = (float(part) for part in text.split(","))
    return Format(int(bits), float(np.float32(scale)), int(zero_point))


@pytest.mark.parametrize(
    "row", table_rows("arithmetic.md", "f", "s_in, zero_in, bits", "s_out, zero_out, bits", "table")
)
def test_the_worked_tables(row: list[str]) -> None:
    source, output = format_of(row[1]), format_of(row[2])
    table = LOOKUPS[row[0]].table(source, output, (output.qmin, output.qmax))
    inputs, _, entries = row[3].rpartition(":")
    chosen = [int(x) - source.qmin for x in inputs.removeprefix("of ").split(",")] if inputs else slice(None)
    assert table[chosen].tolist() == [int(y) for y in entries.split(",")]


@pytest.mark.parametrize("name", LOOKUPS)
@pytest.mark.parametrize("input_bits", BIT_WIDTHS)
@pytest.mark.parametrize("output_bits", BIT_WIDTHS)
def test_other_formats_give_the_real_function(name: str, input_bits: int, output_bits: int) -> None:
    source = Format(input_bits, float(np.float32(9.3 / (1 << input_bits))), 1 - (1 << (input_bits - 2)))
    output = Format(output_bits, float(np.float32(5.1 / (1 << output_bits))), -(1 << (output_bits - 2)))
    table = LOOKUPS[name].table(source, output, (output.qmin, output.qmax))
    steps = np.arange(source.qmin, source.qmax + 1) - source.zero_point
    exact = REAL[name](steps * source.scale) / output.scale + output.zero_point
    assert table.dtype == np.int8 and table.size == 1 << input_bits
    np.testing.assert_array_less(np.abs(table - np.clip(exact, output.qmin, output.qmax)), 0.5 + 1e-9)


def test_huge_inputs_neither_overflow_nor_leave_the_range() -> None:
    source = Format(4, 1e30, 0)
    for lookup in LOOKUPS.values():
        assert {*lookup.table(source, Format(2, 1e-30, 0), (-2, 1)).tolist()} <= {-2, -1, 0, 1}
    assert not math.isnan(float(LOOKUPS["LOGISTIC"].table(source, GATE, (-128, 127)).sum()))


def silu(order: int = 0, **options: object) -> tuple[TinyModel, Handle, Handle, Handle]:
    """x, LOGISTIC(x) and their product."""
    net = TinyModel()
    x = net.input((1, 16, 16, 1), scale=OWN.scale, zero_point=OWN.zero_point)
    gate = net.logistic(x)
    operands = (x, gate) if order == 0 else (gate, x)
    return net, x, gate, net.mul(*operands, scale=OUTPUT.scale, zero_point=OUTPUT.zero_point, **options)


def only_table(graph: ModelGraph) -> np.ndarray:
    (low,) = lower_region(graph, graph.ops, {})
    assert low.kind == "LUT"
    table = low.requantization_table([graph.tensors[low.inputs[0]].format], graph.tensors[low.output].format)
    return table.view(np.int8)


@pytest.mark.parametrize("order", (0, 1))
@pytest.mark.parametrize("activation", ("NONE", "RELU", "RELU6", "RELU_N1_TO_1"))
def test_silu_is_one_table_of_tflms_values(order: int, activation: str) -> None:
    net, _, _, y = silu(order, activation=activation)
    model = net.build(y)
    graph = read_model(model)
    (expected,) = run_stock(model, ALL_VALUES.reshape(1, 16, 16, 1))
    np.testing.assert_array_equal(only_table(graph), expected.ravel())
    assert LoweredNetwork.of(graph).lower(graph.ops[1]).clamp_range(OUTPUT)[0] <= expected.min()
    assert {graph.tensors[t].name for t in LoweredNetwork.of(graph).folded} == {"map1"}


@pytest.mark.parametrize("activation", ("NONE", "RELU", "RELU6"))
@pytest.mark.parametrize("scale", (0.05, 0.04, 0.3))
@pytest.mark.parametrize("kind", ("ABS", "square"))
def test_abs_and_squares_are_one_table_of_tflms_values(kind: str, scale: float, activation: str) -> None:
    net = StockModel()
    x = net.input((1, 16, 16, 1), scale=OWN.scale, zero_point=OWN.zero_point)
    format = {"scale": scale, "zero_point": -100}
    if kind == "ABS":
        y = net.stock(kind, [x], schema.AbsOptionsT(), x.shape, **format)
    else:
        y = net.mul(x, x, activation=activation, **format)
    model = net.build(y)
    (expected,) = run_stock(model, ALL_VALUES.reshape(1, 16, 16, 1))
    np.testing.assert_array_equal(only_table(read_model(model)), expected.ravel())


def test_a_gate_that_others_read_is_no_silu() -> None:
    net, _, gate, y = silu()
    graph = read_model(net.build(y, gate))
    assert inner_ops_of(graph, graph.ops[1]) == () and not LoweredNetwork.of(graph).folded
    net, _, gate, y = silu()
    graph = read_model(net.build(net.add(y, gate)))
    assert inner_ops_of(graph, graph.ops[1]) == ()


def test_a_product_of_other_values_is_no_silu() -> None:
    net = TinyModel()
    x = net.input((1, 4, 4, 2))
    graph = read_model(net.build(net.mul(net.max_pool2d(x, (3, 3), padding="SAME"), net.logistic(x))))
    assert inner_ops_of(graph, graph.ops[-1]) == ()
    net = TinyModel()
    gate = net.logistic(net.input((1, 4, 4, 2)))
    graph = read_model(net.build(net.mul(gate, gate)))
    assert inner_ops_of(graph, graph.ops[-1]) == ()
