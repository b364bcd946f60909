"""Products and differences of two maps: the worked example, and what stages give equals TFLM and the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel
from tests.support.emitted import emit_and_compile
from tests.support.plans import front_stage
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle
from tests.test_laws import table_rows
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format, Window
from tflm_quantmcu.law.two_maps import difference
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.stage.program import StageFormat
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model


def test_the_worked_example() -> None:
    (row,) = table_rows("arithmetic.md", "a", "b", "a - b")
    a, b, y = ([int(v) for v in cell.split(",")] for cell in row)
    formats = [Format(8, 0.05, 3), Format(8, 0.04, -7)]
    op = LoweredOp("SUB", "y", (0, 1), 2, Window(), "NONE")
    table = op.requantization_table(formats, Format(8, 0.06, -9))
    maps = [np.array(x, np.int8).reshape(1, 1, 1, -1) for x in (a, b)]
    output = StageFormat(8, -9, -128, 127)
    assert difference(*maps, table, zero_in=(3, -7), output=output).ravel().tolist() == y


def combined(net: StockModel, kind: str, a: Handle, b: Handle) -> Handle:
    if kind == "MUL":
        return net.mul(a, b, scale=0.06, zero_point=2, activation="RELU6")
    return net.stock("SUB", [a, b], schema.SubOptionsT(), a.shape, scale=0.07, zero_point=-9)


def network(kinds: tuple[str, ...]) -> bytes:
    """Convolutions side by side, products or differences of them, and a mean."""
    rng, net = np.random.default_rng(3), StockModel()
    x = net.input((1, 24, 24, 3))
    for kind in kinds:
        weights = rng.integers(-127, 128, (2, 6, 3, 3, x.shape[3]), dtype=np.int8)
        a, b = (net.conv2d(x, w, scale=0.05, zero_point=z) for w, z in zip(weights, (3, -7), strict=True))
        x = combined(net, kind, a, b)
    return net.build(net.mean(net.max_pool2d(x, (3, 3))))


@pytest.mark.parametrize(
    "widths", [{}, {"activation_bits": 4, "weight_bits": 4}, {"activation_bits": 2, "weight_bits": 2}]
)
@pytest.mark.parametrize("kinds", [("MUL", "SUB"), ("SUB", "MUL")])
def test_stages_run_them(kinds: tuple[str, ...], widths: dict[str, Any]) -> None:
    model = network(kinds)
    samples = random_samples(read_model(model).tensors[0], 8)
    data = {"calibration_data": samples} if widths else {}
    result = qm.convert(model, search="uniform", max_slowdown=2.0, progress=False, **data, **widths)
    found = {op.kind for op in read_model(result.model).ops}
    assert "QMCU_PATCH_STAGE" in found and not {"MUL", "SUB"} & found
    assert result.report.verification.is_same_function != bool(widths)
    graph, interpreter = read_model(model), qm.Interpreter(result.model)
    (expected,) = (simulate(graph, result.plan, samples)[graph.tensors[t].name] for t in graph.outputs)
    np.testing.assert_array_equal(np.concatenate([interpreter.invoke(x)[0] for x in np.split(samples, 8)]), expected)


@pytest.mark.parametrize("activation", ("NONE", "RELU"))
@pytest.mark.parametrize("kind", ("MUL", "SUB"))
def test_a_stage_gives_tflms_bytes(kind: str, activation: str) -> None:
    net = StockModel()
    x = net.input((1, 6, 5, 3), scale=0.05, zero_point=3)
    y = net.max_pool2d(x, (3, 3), padding="SAME", activation=activation)
    model = net.build(combined(net, kind, net.relu(x, scale=0.04, zero_point=-7), y))
    graph = read_model(model)
    stage = front_stage(graph)
    converted = convert_model(model, PrecisionPlan(graph.sha256, {}, stages=(stage,)))
    for sample in np.split(random_samples(graph.tensors[0], 4), 4):
        np.testing.assert_array_equal(qm.Interpreter(converted).invoke(sample)[0], run_stock(model, sample)[0])


def test_what_broadcasts_stays_stock_but_a_gate() -> None:
    for kind, refusal in (("MUL", None), ("SUB", "SUB has no QMCU_ kernel")):
        net = StockModel()
        x = net.input((1, 4, 5, 3))
        pixel = net.mean(x, keep_dims=True, scale=x.scale, zero_point=x.zero_point)
        graph = read_model(net.build(combined(net, kind, x, pixel)))
        assert LoweredNetwork.of(graph).stage_refusal(graph.ops[-1]) == refusal


def test_emitted_code_runs_them(tmp_path: Path) -> None:
    model = network(("MUL", "SUB"))
    converted = qm.convert(model, search="uniform", max_slowdown=2.0, progress=False).model
    emitted, interpreter = emit_and_compile(converted, tmp_path), qm.Interpreter(converted)
    for sample in np.split(random_samples(read_model(model).tensors[0], 3), 3):
        assert emitted.invoke(sample)[0].tobytes() == interpreter.invoke(sample)[0].tobytes()
