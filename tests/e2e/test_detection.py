"""A detection network with two outputs: split, narrowed, run, inspected and emitted, every output in every byte."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.cortex_m import skip_without_tools
from tests.support.detection import NUM_OUTPUTS, detection_network
from tests.support.emitted import emit_and_compile
from tests.support.emitted_on_core import run_project
from tests.support.plans import mixed, split
from tests.support.search_problems import MAPS_ON_ANY_CORE, WIDTHS_ALONE
from tests.support.stock_tflm import run_stock
from tests.support.streamed import streamed
from tflm_quantmcu import cli
from tflm_quantmcu.app.inspection import describe_model
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan
from tflm_quantmcu.graph.target import STOCK_REFERENCE, Target
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of
from tflm_quantmcu.tflite.reader import read_model

ACTIVATIONS = ("silu", "hard_swish", "leaky_relu")
MODEL = detection_network()
X = np.random.default_rng(5).integers(-128, 128, (3, 32, 32, 3), dtype=np.int8)


def kinds(model: bytes) -> list[str]:
    return [op.kind for op in read_model(model).ops]


def deep(plan: PrecisionPlan) -> PrecisionPlan:
    """The stage of the front made longer: up to what the first residual add gives."""
    graph = read_model(MODEL)
    add = next(op for op in graph.ops if op.kind == "ADD")
    shape = graph.tensors[add.outputs[0]].shape
    stage = dataclasses.replace(
        plan.stages[0],
        output=graph.tensors[add.outputs[0]].name,
        tile_height=3,
        tile_width=4,
        patch_classes=((0,) * -(-shape[2] // 4),) * -(-shape[1] // 3),
        classes=(PatchClass("outlier", {}),),
    )
    return dataclasses.replace(plan, stages=(stage,))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_split_network_gives_stock_tflms_bytes(activation: str) -> None:
    model = detection_network(activation=activation)
    converted = convert_model(
        model, deep(split(read_model(model))) if activation == "silu" else split(read_model(model))
    )
    found = qm.Interpreter(converted).run_all(X)
    for actual, expected in zip(found, run_stock(model, X), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert len(found) == NUM_OUTPUTS and all(len(np.unique(y)) > 5 for y in found)


@pytest.mark.parametrize("cache_mode", ("recompute", "full"))
def test_activations_run_inside_a_stage(cache_mode: str) -> None:
    plan = deep(split(read_model(MODEL)))
    plan = streamed(plan, cache_mode=cache_mode, map_caches={})
    converted = convert_model(MODEL, plan)
    graph = read_model(converted)
    (stage,) = (program_of(graph, op) for op in graph.ops if op.kind == PATCH_STAGE)
    assert [op.kind for op in stage.ops].count("LUT") == 4
    for actual, expected in zip(qm.Interpreter(converted).run_all(X), run_stock(MODEL, X), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_mixed_widths_equal_the_oracle(activation: str, seed: int) -> None:
    model = detection_network(activation=activation)
    plan = mixed(read_model(model), seed)
    converted = convert_model(model, plan)
    assert "QMCU_LUT" in kinds(converted) and "CONCATENATION" in kinds(converted)
    found = verify_conversion(model, converted, plan, X)
    assert found.num_maps > 10 and not found.is_same_function
    assert all(t.dtype == "int8" and t.shape[-1] == 6 for t in qm.Interpreter(converted).outputs)


@pytest.mark.parametrize(
    "options",
    [
        {"search": "uniform", "activation_bits": 8, "weight_bits": 8},
        {"search": "uniform", "activation_bits": 4},
        {"search": "vdqs", "vdqs_lambda": 0.0, "vdqs_min_bits": 2},
        {"search": "memory_driven", "sram_bytes": 4608, **MAPS_ON_ANY_CORE, **WIDTHS_ALONE},
    ],
)
def test_searches_plan_convert_and_verify_it(options: dict) -> None:
    result = qm.convert(MODEL, calibration_data=X, progress=False, **options)
    before, after = (qm.Interpreter(m).allocations().non_persistent_bytes for m in (MODEL, result.model))
    assert after < before
    assert kinds(result.model).count("MUL") == 0


def test_a_silu_alone_needs_no_map_for_its_gate() -> None:
    """Nothing is split: the budget is met as soon as the maps between LOGISTIC and MUL are gone."""
    after = convert_model(MODEL, PrecisionPlan(read_model(MODEL).sha256, {}))
    arenas = [qm.Interpreter(m).allocations().non_persistent_bytes for m in (MODEL, after)]
    assert arenas[1] < arenas[0]
    result = qm.convert(MODEL, search="uniform", sram_bytes=arenas[1], progress=False, **MAPS_ON_ANY_CORE)
    target = Target.of("any", stock_kernels=STOCK_REFERENCE)
    assert result.plan.stages == () and result.model == convert_model(MODEL, result.plan, target=target)
    assert result.report.converted.recorded_non_persistent_bytes == arenas[1]


def test_run_writes_an_array_for_each_output(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    np.savez(tmp_path / "x.npz", x=X)
    files = [f"--{flag}={tmp_path / name}" for flag, name in (("inputs", "x.npz"), ("outputs", "y.npz"))]
    cli.run(["run", f"--model={tmp_path / 'm.tflite'}", *files])
    with np.load(tmp_path / "y.npz") as found:
        assert found.files == ["y0", "y1"]
        for i, expected in enumerate(run_stock(MODEL, X)):
            np.testing.assert_array_equal(found[f"y{i}"], expected)


def test_emitted_code_gives_every_output(tmp_path: Path) -> None:
    graph = read_model(MODEL)
    for number, plan in enumerate((split(graph), mixed(graph, 1))):
        converted = convert_model(MODEL, plan)
        emitted = emit_and_compile(converted, tmp_path / str(number))
        for sample in np.split(X, len(X)):
            expected = qm.Interpreter(converted).invoke(sample)
            assert [y.tobytes() for y in emitted.invoke(sample)] == [y.tobytes() for y in expected]


@pytest.mark.parametrize("core", ("m0plus", "m4"))
def test_emitted_code_runs_on_a_core(core: str, tmp_path: Path) -> None:
    skip_without_tools()
    run_project(convert_model(MODEL, mixed(read_model(MODEL), 1)), core, tmp_path, tmp_path / "objects")


def test_inspect_names_what_runs() -> None:
    text = describe_model(convert_model(MODEL, deep(split(read_model(MODEL)))))
    assert re.search(r"LUT 'map5' 1x1/1x1: map 1 -> map 2", text) and "QMCU_LUT" in text
