"""The planner: its costs against the programs it plans, its choices against trying everything, its refusals in
words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.support import shared_data
from tests.support.networks import inverted_residual
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app import api
from tflm_quantmcu.arena.predict import arena_by_variant
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.cost import network_cost
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, REFERENCE
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.native.kernel_scratch import stage_scratch_bytes
from tflm_quantmcu.patches import stage_planner
from tflm_quantmcu.patches.planned_stage import FULL
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.patches.stage_planner import StagePlanner
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual()


@pytest.fixture(scope="module")
def graph():
    return read_model(MODEL)


@pytest.fixture(scope="module")
def planner(graph):
    return StagePlanner(graph)


@pytest.fixture(scope="module")
def front(planner):
    return planner.front()


def test_splits_cost_what_their_programs_cost(graph, front) -> None:
    for split in front:
        programs = [build_program(graph, plan, weight_bits={}, formats={}) for plan in split.plans(graph)]
        for stage, program in zip(split.stages, programs, strict=True):
            assert program.scratch_bytes == stage.map_bytes
            assert tuple(stage_scratch_bytes(v, program) for v in KERNEL_VARIANTS) == stage.scratch_bytes
            assert program.cost.macs + _reduced_macs(graph, stage, program) == stage.macs
        inside = {index for stage in split.stages for index in stage.ops}
        outside = sum(LoweredNetwork.of(graph).macs(op) for op in graph.ops if op.index not in inside)
        assert split.macs == outside + sum(stage.macs for stage in split.stages)


def _reduced_macs(graph, stage, program) -> int:
    """MACs of a reduction, whose kernel taps are no window's."""
    return LoweredNetwork.of(graph).macs(graph.ops[stage.ops[-1]]) if program.reduces else 0


def test_the_arena_is_that_of_the_converted_model(graph, front) -> None:
    for split in front:
        converted = convert_model(MODEL, PrecisionPlan(graph.sha256, {}, stages=split.plans(graph)))
        assert max(arena_by_variant(read_model(converted)).values()) <= split.arena_bytes


def test_the_front_falls_in_bytes_and_rises_in_macs(front) -> None:
    assert len(front) > 2
    for before, after in itertools.pairwise(front):
        assert after.arena_bytes < before.arena_bytes and after.macs > before.macs


def test_at_a_ratio_of_one_nothing_is_computed_twice(graph) -> None:
    found = plan_stages(graph, max_macs_ratio=1.0)
    assert found.best is not None and found.best.extra_macs == 0
    assert found.best.arena_bytes < found.baseline_arena_bytes
    assert found.baseline_arena_bytes == network_cost.arena_of(graph, variants=KERNEL_VARIANTS)
    assert any(mode == FULL for stage in found.best.stages for mode in stage.modes.values())


def test_more_macs_buy_bytes(planner) -> None:
    ratios = (1.0, 1.1, 1.3, None)
    found = [planner.smallest(ratio) for ratio in ratios]
    for ratio, split in zip(ratios, found, strict=True):
        assert ratio is None or split.macs_ratio <= ratio
    sizes = [split.arena_bytes for split in found]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0]


@pytest.mark.parametrize("share", [0.9, 0.6, 0.45, 0.4])
def test_a_budget_is_met_with_the_fewest_macs(graph, front, share: float) -> None:
    budget = int(network_cost.arena_of(graph) * share)
    found = plan_stages(graph, sram_bytes=budget, max_macs_ratio=100)
    fitting = [split for split in front if split.arena_bytes <= budget]
    if not fitting:
        assert found.best is None and f"{found.smallest_arena_bytes:,}" in found.reason
    else:
        assert found.best is not None and found.best.arena_bytes <= budget
        assert found.best.macs <= min(split.macs for split in fitting)


def test_a_network_that_fits_is_not_split(graph) -> None:
    found = plan_stages(graph, sram_bytes=1 << 20)
    assert found.best is None
    assert "meets 1,048,576" in found.reason


def test_an_impossible_budget_names_what_binds(graph) -> None:
    found = plan_stages(graph, sram_bytes=64)
    assert found.best is None and found.smallest is not None
    assert f"{found.smallest.arena_bytes:,} at the smallest" in found.reason
    assert found.smallest.binding in found.reason


def test_fewer_bits_take_fewer_bytes(graph) -> None:
    names = [t.name for t in graph.tensors if not t.is_constant]
    sizes = [plan_stages(graph, bits=dict.fromkeys(names, bits)).best.arena_bytes for bits in (8, 4, 2)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_a_streamed_input_is_not_in_the_arena(graph) -> None:
    resident, streamed = (
        plan_stages(graph, input_mode=mode, max_macs_ratio=1.0).best for mode in ("resident", "streamed")
    )
    assert streamed.arena_bytes < resident.arena_bytes
    assert streamed.stages[0].input == graph.inputs[0] and streamed.stages[0].plan(graph).input_mode == "streamed"


def test_a_streamed_input_has_its_stage_whatever_the_bound(graph) -> None:
    """Also where the unsplit network meets it, and no split is below."""
    best = plan_stages(graph, input_mode="streamed", sram_bytes=1 << 24).best
    assert best is not None and best.stages[0].input == graph.inputs[0]
    assert best.work_ratio < 1.05


def test_no_convolution_is_a_refusal_with_the_arena_in_it() -> None:
    net = TinyModel()
    graph = read_model(net.build(net.softmax(net.input((1, 40)))))
    found = plan_stages(graph)
    assert found.best is None and found.smallest is None
    assert "no convolution" in found.reason and f"{found.baseline_arena_bytes:,} bytes" in found.reason


def test_splitting_that_does_not_help_is_refused_with_both_figures() -> None:
    """The softmax works in place: the layer before it holds the most, its input of 64 bytes and its output."""
    net = TinyModel()
    x = net.reshape(net.max_pool2d(net.input((1, 8, 8, 4)), (2, 2), stride=(2, 2)), (1, 64))
    graph = read_model(net.build(net.softmax(net.fully_connected(x, np.ones((900, 64), np.int8)))))
    found = plan_stages(graph, variants=(REFERENCE,))
    assert found.best is None and found.baseline_arena_bytes == 64 + 912
    assert f"{found.baseline_arena_bytes:,} bytes unsplit, 976 bytes at best" in found.reason


def test_a_quarter_of_resnet8_is_within_reach() -> None:
    """Its stages hold less than the arena that their places leave: other ways of them are tried."""
    model = shared_data.model("ic_resnet8_int8")
    bound = network_cost.arena_of(read_model(model)) // 4
    result = api.convert(model, search="uniform", sram_bytes=bound, sram_scope="nonpersistent", progress=False)
    assert result.report.converted.arena_bytes <= bound


def test_ops_that_a_stage_computes_faster_are_left_to_it() -> None:
    """A constant a channel is a table in a stage, and stock arithmetic by itself, which fits as well, for it works in
    place."""
    net, rng = TinyModel(), np.random.default_rng(2)
    x = net.input((1, 32, 32, 3))
    x = net.mul(x, net.constant(rng.integers(1, 100, 3).astype(np.int8), scale=0.02), scale=0.04, zero_point=3)
    x = net.add(x, net.constant(rng.integers(1, 100, 3).astype(np.int8), scale=0.02), scale=0.05, zero_point=-3)
    for channels, stride in ((16, (1, 1)), (32, (2, 2))):
        x = net.conv2d(x, rng.integers(-127, 128, (channels, 3, 3, x.shape[3])).astype(np.int8), stride=stride)
    found = plan_stages(read_model(net.build(net.mean(x))))
    assert found.best is not None and found.best.slowdown is not None
    assert found.best.slowdown <= 1.1


@pytest.mark.parametrize("variant", KERNEL_VARIANTS)
def test_a_stage_does_not_take_more_than_the_input_that_waits_beside_it(variant: str) -> None:
    """The fastest way that holds as much leaves gaps in the arena; one that holds less leaves none."""
    graph = canonical(ModelFile(shared_data.model("mcunet_vww80"))).graph
    found = plan_stages(graph, max_slowdown=1.09, variants=(variant,)).best
    assert found and found.arena_bytes == 4 * 80 * 80 * 3  # float32


def test_what_is_tried_in_place_of_a_way_takes_little_more_work_first() -> None:
    assert stage_planner.others(60, 62) == [59, 58, 56, 52, 44, 28, 0, 1, 2, 3, 4, 5]
    assert stage_planner.others(1, 3) == [0, 2]
    assert stage_planner.others(0, 1) == []
