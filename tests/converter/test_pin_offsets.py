"""Offsets are pinned where that makes TFLM's arena smaller; a stage that writes over its input computes the same."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tflm_quantmcu as qm
from tests.support import networks, shared_data
from tests.support.edit_model import with_metadata
from tests.support.emitted import emit_and_compile
from tests.support.plans import mixed, split
from tests.support.property_settings import examples
from tests.support.random_cnn import random_cnns, random_stages, stage_regions
from tests.support.search_problems import MAPS_ON_ANY_CORE
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.arena.overlap import overlap_distance
from tflm_quantmcu.arena.plan import plan_arena, tflm_plan
from tflm_quantmcu.arena.predict import (
    arena_by_variant,
    largest_scratch_bytes,
    op_scratch_bytes,
    placed_bytes,
    predict_arena,
)
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.calls import calls_of
from tflm_quantmcu.converter.emit.memory_plan import plan_memory
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, STOCK_REFERENCE
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.placement.best import memory
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, program_of
from tflm_quantmcu.tflite.metadata import read_metadata
from tflm_quantmcu.tflite.reader import load_model_t, read_model


def unpinned(graph: ModelGraph) -> ModelGraph:
    return dataclasses.replace(graph, offline_offsets=None)


def halving_stage(*, has_wide_start: bool) -> tuple[bytes, PrecisionPlan]:
    """A 1x1 convolution from 8 to 4 channels by rows, alone or behind a pool, which needs its input and its output."""
    net = TinyModel()
    x = net.input((1, 16, 16, 8))
    x = net.max_pool2d(x, (3, 3), padding="SAME") if has_wide_start else x
    y = net.conv2d(x, np.arange(32, dtype=np.int8).reshape(4, 1, 1, 8))
    model = net.build(y)
    graph = read_model(model)
    names = [graph.tensors[t].name for t in (x.index, y.index)]
    stage = StagePlan(*names, 1, 16, ((0,),) * 16, (PatchClass("outlier", {}),))
    return model, PrecisionPlan(graph.sha256, {}, stages=(stage,))


def test_a_stage_may_write_over_the_input_of_the_model() -> None:
    """All but the first row's 64 of the output's 1024 bytes fit into what was read of the input's 2048."""
    model, plan = halving_stage(has_wide_start=False)
    converted = convert_model(model, plan)
    graph = read_model(converted)
    assert predict_arena(unpinned(graph)) == 2048 + 1024
    assert predict_arena(graph) == 2048 + 64
    assert plan_memory(graph, [calls_of(graph, op) for op in graph.ops]).arena_bytes == 2048 + 64
    result = verify_conversion(model, converted, plan, random_samples(graph.tensors[graph.inputs[0]], 2))
    assert result.is_same_function
    assert result.arena_bytes == 2048 + 64


def test_emitted_code_writes_over_its_input(tmp_path: Path) -> None:
    model, plan = halving_stage(has_wide_start=False)
    emitted = emit_and_compile(convert_model(model, plan), tmp_path)
    assert emitted.macro("ARENA_BYTES") == 2048 + 64
    for x in random_samples(read_model(model).tensors[0], 3):
        np.testing.assert_array_equal(emitted.invoke(x[None])[0], run_stock(model, x[None])[0])


def test_pins_nothing_where_that_gains_nothing() -> None:
    """The pool needs 2048 bytes twice, whatever the stage behind it does."""
    model, plan = halving_stage(has_wide_start=True)
    graph = read_model(convert_model(model, plan))
    assert graph.offline_offsets is None
    assert predict_arena(graph) == 4096


def test_the_metadata_is_as_tflm_documents_it() -> None:
    model = networks.inverted_residual()
    plan = split(read_model(model))
    converted = convert_model(model, plan)
    graph = read_model(converted)
    assert graph.offline_offsets is not None
    contents = read_metadata(load_model_t(converted), "OfflineMemoryAllocation")
    words = np.frombuffer(contents, "<i4")
    assert words[:3].tolist() == [1, 1, len(graph.tensors)]
    assert tuple(words[3:].tolist()) == graph.offline_offsets
    for tensor, offset in zip(graph.tensors, graph.offline_offsets, strict=True):
        assert offset == -1 if tensor.is_constant else offset >= 0 and offset % 16 == 0
    assert predict_arena(graph) < predict_arena(unpinned(graph))
    assert verify_conversion(model, converted, plan, random_samples(graph.tensors[0], 2)).is_same_function


def arenas(graph: ModelGraph) -> list[int]:
    """What TFLM takes with each variant of our kernels, whose calls say how much scratch they need."""
    return [
        memory.greedy_arena(
            placed_bytes(graph),
            [memory.Step(op.inputs, op.outputs, requested(graph, op, variant)) for op in graph.ops],
            graph.inputs,
            graph.outputs,
            pinned=graph.offline_offsets,
        )
        for variant in KERNEL_VARIANTS
    ]


def requested(graph: ModelGraph, op: Op, variant: str) -> tuple[int, ...]:
    if not op.kind.startswith(PREFIX):
        return op_scratch_bytes(graph, op, variant)
    return tuple(n for call in calls_of(graph, op, variant=variant) if (n := call.scratch_bytes or 0))


def check_on_every_core(graph: ModelGraph) -> None:
    """What is written holds on the worst core what it promises, and less than TFLM would take there without it."""
    found = arenas(graph)
    assert list(arena_by_variant(graph).values()) == found
    if graph.offline_offsets:
        assert max(found) < max(arenas(unpinned(graph)))


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_pinning_never_loses_on_the_worst_core(name: str) -> None:
    model = shared_data.model(name)
    for plan in (PrecisionPlan(read_model(model).sha256, {}), split(read_model(model))):
        check_on_every_core(read_model(convert_model(model, plan)))


@pytest.mark.parametrize("share", [0.9, 0.5, 0.0])
@pytest.mark.parametrize("name", ["kws_dscnn_int8", "ic_resnet8_int8", "person_detect"])
def test_the_budget_holds_on_every_core(name: str, share: float) -> None:
    """The budget is a share of the stock arena; at 0 of it, where a refusal names the smallest arena, it is that."""
    model = shared_data.model(name)
    bound = int(share * predict_arena(read_model(model))) or smallest_reachable(model)
    result = qm.convert(model, search="uniform", sram_bytes=bound, progress=False, **MAPS_ON_ANY_CORE)
    graph = read_model(result.model)
    check_on_every_core(graph)
    found = max(predict_arena(graph, variant, STOCK_REFERENCE) for variant in KERNEL_VARIANTS)
    assert found == result.report.converted.arena_bytes <= bound


def smallest_reachable(model: bytes) -> int:
    with pytest.raises(BudgetError) as refusal:
        qm.plan(model, search="uniform", sram_bytes=16, progress=False, **MAPS_ON_ANY_CORE)
    found = re.search(r"smallest arena reached is ([\d,]+) bytes", str(refusal.value))
    assert found
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize("seed", range(4))
def test_mixed_widths_hold_on_every_core(seed: int) -> None:
    """Ops of ours outside stages take scratch too."""
    model = networks.inverted_residual()
    graph = read_model(convert_model(model, mixed(read_model(model), seed)))
    assert any(arena > predict_arena(graph) for arena in arenas(graph))
    check_on_every_core(graph)


def test_no_core_loses_where_maps_lie_below_the_scratch() -> None:
    """A gap for the largest scratch would take as much on every core; at the end each takes its own."""
    model, plan = halving_stage(has_wide_start=False)
    graph = read_model(convert_model(model, plan))
    found, without = arenas(graph), arenas(unpinned(graph))
    assert len(set(found)) > 1
    assert all(pinned < greedy for pinned, greedy in zip(found, without, strict=True))


@examples(40)
@given(st.data())
def test_random_networks_take_the_predicted_arena_and_aot_takes_no_more(data: st.DataObject) -> None:
    cnn = data.draw(random_cnns())
    graph = read_model(cnn.model)
    stages = (data.draw(random_stages(graph)),) if stage_regions(graph) else ()
    converted = convert_model(cnn.model, PrecisionPlan(graph.sha256, {}, stages=stages))
    after = read_model(converted)
    recorded = Interpreter(converted).allocations().non_persistent_bytes
    assert recorded == predict_arena(after) == tflm_plan(after).arena_bytes
    check_on_every_core(after)
    ours = plan_arena(after, [largest_scratch_bytes(after, op) for op in after.ops])
    worst, greedy = max(arenas(after)), max(arenas(unpinned(after)))
    assert worst <= ours.arena_bytes or worst == greedy
    aot = plan_memory(after, [calls_of(after, op) for op in after.ops])
    assert aot.arena_bytes <= recorded


@examples(60)
@given(st.data())
def test_a_stage_that_writes_over_its_input_gives_every_byte(data: st.DataObject) -> None:
    """The stage's input is pinned at just its distance behind the output; TFLM places all else around the two."""
    cnn = data.draw(random_cnns())
    graph = read_model(cnn.model)
    assume(stage_regions(graph))
    stage = data.draw(random_stages(graph))
    plan = PrecisionPlan(graph.sha256, {}, stages=(stage,))
    converted = convert_model(cnn.model, plan, strip_metadata=True)
    after = read_model(converted)
    op = next(op for op in after.ops if op.kind == PATCH_STAGE)
    source, output = op.inputs[0], op.outputs[0]
    distance = overlap_distance(program_of(after, op))
    assume(distance is not None and after.consumers[source] == (op,) and source not in after.outputs)
    offsets = [-1] * len(after.tensors)
    offsets[source], offsets[output] = distance, 0
    words = np.array([1, 0, len(offsets), *offsets], "<i4").tobytes()
    plain = without_pins(converted)
    overlapping = Interpreter(with_metadata(plain, {"OfflineMemoryAllocation": words}))
    x = cnn.inputs(graph.tensors[graph.inputs[0]].shape)
    outputs = zip(*(overlapping.invoke(sample) for sample in x), strict=True)
    for actual, expected in zip(outputs, run_stock(cnn.model, x), strict=True):
        np.testing.assert_array_equal(np.concatenate(actual), expected, f"{stage}\n{cnn}")


def without_pins(model: bytes) -> bytes:
    return model.replace(b"OfflineMemoryAllocation", b"OfflineMemoryForgotten!")
