"""The planner: its costs against the program it plans, its choices against trying everything, its refusals in words."""

from __future__ import annotations

import pytest

from tests.support.networks import inverted_residual
from tests.support.tiny_models import TinyModel
from tflm_quantmcu import cost
from tflm_quantmcu.converter.reader import read_model
from tflm_quantmcu.stage_program import build_program, stage_ops
from tflm_quantmcu.stages import candidates, plan_stage, stage_arena


@pytest.fixture(scope="module")
def graph():
    return read_model(inverted_residual())


@pytest.fixture(scope="module")
def everything(graph):
    return list(candidates(graph, sram_bytes=1 << 30))


def test_candidates_cost_what_their_programs_cost(graph, everything) -> None:
    for candidate in everything[::7]:
        program = build_program(graph, candidate.plan(graph), weight_bits={}, formats={})
        assert program.cost.macs == candidate.macs
        region = stage_ops(graph, candidate.input, candidate.output)
        assert candidate.base_macs == sum(cost.op_macs(graph, op) for op in region)
        arena = stage_arena(graph, candidate.input, candidate.output, program.scratch_bytes)
        assert arena == candidate.arena_bytes


def test_the_smallest_arena_is_found(graph, everything) -> None:
    found = plan_stage(graph)
    least = min((c.arena_bytes, c.extra_macs) for c in everything)
    assert found.best is not None
    assert (found.best.arena_bytes, found.best.extra_macs) == least
    assert found.best.arena_bytes < found.baseline_arena_bytes == cost.arena_of(graph)


@pytest.mark.parametrize("share", [0.9, 0.7, 0.5, 0.4])
def test_a_budget_is_met_with_the_fewest_extra_macs(graph, everything, share: float) -> None:
    budget = int(cost.arena_of(graph) * share)
    found = plan_stage(graph, sram_bytes=budget)
    fitting = [(c.extra_macs, c.arena_bytes) for c in everything if c.arena_bytes <= budget]
    if not fitting:
        assert found.best is None and f"{found.smallest_arena_bytes:,}" in found.reason
    else:
        assert found.best is not None
        assert (found.best.extra_macs, found.best.arena_bytes) == min(fitting)


def test_a_network_that_fits_is_not_split(graph) -> None:
    found = plan_stage(graph, sram_bytes=1 << 20)
    assert found.best is None
    assert "meets 1,048,576" in found.reason


def test_no_convolution_is_a_refusal_with_the_arena_in_it() -> None:
    net = TinyModel()
    graph = read_model(net.build(net.softmax(net.input((1, 40)))))
    found = plan_stage(graph)
    assert found.best is None and found.smallest is None
    assert "no convolution" in found.reason and f"{found.baseline_arena_bytes:,} bytes" in found.reason


def test_splitting_that_does_not_help_is_refused_with_both_figures() -> None:
    net = TinyModel()
    graph = read_model(net.build(net.max_pool2d(net.input((1, 8, 8, 4)), (2, 2))))
    found = plan_stage(graph)
    assert found.best is None and found.smallest is not None
    assert f"{found.baseline_arena_bytes:,} bytes unsplit" in found.reason
    assert f"{found.smallest.arena_bytes:,} bytes at best" in found.reason
