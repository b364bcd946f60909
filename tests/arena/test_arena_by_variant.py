"""The arena of each variant of our kernels, as report, `inspect`, budgets and emitted projects have it."""

from __future__ import annotations

import dataclasses

import pytest

import tflm_quantmcu as qm
from tests.support.networks import inverted_residual
from tests.support.plans import mixed
from tests.support.search_problems import MAPS_ON_ANY_CORE
from tflm_quantmcu.app.inspection import describe_model
from tflm_quantmcu.arena.predict import arena_by_variant, op_scratch_bytes, predict_arena
from tflm_quantmcu.base.errors import BudgetError, UnsupportedModelError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.calls import calls_of
from tflm_quantmcu.graph.target import DSP, KERNEL_VARIANTS, MVE, PLAIN, REFERENCE
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.stage.custom_ops import PREFIX, encode_options
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual()


@pytest.fixture(scope="module")
def result() -> qm.ConversionResult:
    return qm.convert(MODEL, plan=mixed(read_model(MODEL), 0), search="uniform", progress=False, **MAPS_ON_ANY_CORE)


def narrow(seed: int) -> ModelGraph:
    """Every op by itself, at widths drawn from all."""
    plan = dataclasses.replace(mixed(read_model(MODEL), seed), stages=())
    return read_model(convert_model(MODEL, plan))


@pytest.mark.parametrize("seed", range(3))
def test_an_op_of_ours_requests_what_its_calls_need(seed: int) -> None:
    graph = narrow(seed)
    ours = [op for op in graph.ops if op.kind.startswith(PREFIX)]
    assert {"CONV_2D", "DEPTHWISE_CONV_2D"} <= {op.kind.removeprefix(PREFIX) for op in ours}
    for variant in KERNEL_VARIANTS:
        for op in ours:
            needed = sum(call.scratch_bytes or 0 for call in calls_of(graph, op, variant=variant))
            assert sum(op_scratch_bytes(graph, op, variant)) == needed, (variant, op.kind)


def test_the_report_gives_each_variant_and_the_most(result: qm.ConversionResult) -> None:
    arenas = arena_by_variant(read_model(result.model))
    assert len(set(arenas.values())) > 1
    rows = {label: after for label, _, after in result.report.rows()}
    assert rows["non-persistent arena on any core (bytes)"] == max(arenas.values())
    for variant, num_bytes in arenas.items():
        assert rows[f"non-persistent arena with {variant} kernels"] == num_bytes
    assert rows["  recorded by TFLM on this host"] == arenas[REFERENCE]


def test_inspect_gives_each_variant_and_the_most(result: qm.ConversionResult) -> None:
    arenas = arena_by_variant(read_model(result.model))
    expected = (
        f"non-persistent arena: at most {max(arenas.values()):,} bytes; "
        f"{arenas[REFERENCE]:,} with reference kernels (host), "
        f"{arenas[PLAIN]:,} with plain kernels (cortex-m0plus, cortex-m3), "
        f"{arenas[DSP]:,} with dsp kernels (cortex-m4, cortex-m7, cortex-m33), "
        f"{arenas[MVE]:,} with mve kernels (cortex-m55); flash"
    )
    assert expected in describe_model(result.model)


def test_a_bound_that_only_the_host_keeps_is_refused(result: qm.ConversionResult) -> None:
    graph = read_model(result.model)
    assert predict_arena(graph) < result.report.converted.arena_bytes
    with pytest.raises(BudgetError, match=f"smallest reached is {result.report.converted.arena_bytes:,} bytes"):
        bounds = {"sram_bytes": predict_arena(graph), **MAPS_ON_ANY_CORE}
        qm.convert(MODEL, plan=result.plan, search="uniform", progress=False, **bounds)


@pytest.mark.parametrize("options", [{}, {"weight_bits": 4}])
def test_options_without_what_scratch_depends_on_are_refused(options: dict[str, int]) -> None:
    graph = narrow(0)
    op = next(op for op in graph.ops if op.kind == f"{PREFIX}CONV_2D")
    malformed: Op = dataclasses.replace(op, custom_options=encode_options(options))
    assert op_scratch_bytes(graph, malformed) == ()
    with pytest.raises(UnsupportedModelError, match=rf"{PREFIX}CONV_2D \(op {op.index}\) is malformed: "):
        op_scratch_bytes(graph, malformed, DSP)
