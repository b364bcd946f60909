"""Plans by time: the formula against the estimate of programs, slowdowns that are kept, refusals that are true."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import MAPS_ON_ANY_CORE
from tflm_quantmcu.app import api
from tflm_quantmcu.base.errors import BudgetError, UsageError
from tflm_quantmcu.cost.calls import stage_calls
from tflm_quantmcu.cost.instructions import InstructionTable, graph_instructions, load_table
from tflm_quantmcu.cost.plan_work import work_of
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import STOCK_REFERENCE
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.patches.split import Split
from tflm_quantmcu.patches.stage_costs import UpstreamCosts
from tflm_quantmcu.patches.tile_times import TileTimes
from tflm_quantmcu.patches.work_bound import DEFAULT_MAX_SLOWDOWN
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual()
TABLE = load_table("m4")


@pytest.fixture(scope="module")
def graph():
    return read_model(MODEL)


def _slowdown(graph, split: Split, table: InstructionTable = TABLE) -> float:
    """The slowdown in cycles, by the estimate that reports state."""
    plan = PrecisionPlan(graph.sha256, {}, stages=split.plans(graph))
    return work_of(graph, plan, table).cycles / graph_instructions(graph, table.cycles)


def test_without_bounds_the_slowdown_is_kept(graph) -> None:
    best = plan_stages(graph).best
    assert best is not None and 1 < _slowdown(graph, best) < DEFAULT_MAX_SLOWDOWN
    assert _slowdown(graph, best) == pytest.approx(best.slowdown, rel=1e-4)


def test_the_slowdown_is_kept_in_cycles_and_in_instructions(graph) -> None:
    """Where cycles are no more in stages than at all, instructions bind: they are then counted in their place."""
    rows = [dataclasses.replace(row, work=dataclasses.replace(row.work, cycles=1)) for row in TABLE.stages]
    free = dataclasses.replace(TABLE, cycles=dataclasses.replace(TABLE.cycles, stages=tuple(rows)))
    best = plan_stages(graph, table=free).best
    plan = PrecisionPlan(graph.sha256, {}, stages=best.plans(graph))
    assert best.slowdown < 1.06
    assert work_of(graph, plan, TABLE).instructions / graph_instructions(graph, TABLE) <= DEFAULT_MAX_SLOWDOWN


def test_more_time_buys_bytes(graph) -> None:
    found = [plan_stages(graph, max_slowdown=slowdown).best for slowdown in (1.05, 1.2, 1.5, 3.0)]
    assert all(a.arena_bytes > b.arena_bytes and a.slowdown < b.slowdown for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("share", [0.8, 0.5, 0.4])
def test_a_bound_is_met_in_less_time_than_with_the_fewest_macs(graph, share: float) -> None:
    plan = functools.partial(plan_stages, graph, stock_kernels=STOCK_REFERENCE)
    budget = int(plan().baseline_arena_bytes * share)
    fast, few = (plan(sram_bytes=budget, max_macs_ratio=ratio).best for ratio in (None, 100))
    assert fast.arena_bytes <= budget
    assert _slowdown(graph, fast) <= _slowdown(graph, few) + 1e-4


def test_the_formula_is_close_to_the_estimate(graph) -> None:
    model, times = PlannedModel(graph, {}, {}), TileTimes(TABLE.cycles)
    errors = []
    for upstream in (UpstreamCosts(model, op.index, times) for op in graph.ops):
        for ways in upstream.ways():
            for way in range(0, ways.work.size, max(ways.work.size // 20, 1)):
                program = upstream.stage(ways, way).program(model)
                exact = times.of_stage(program, stage_calls(program))
                errors.append(ways.work.ravel()[way] / exact - 1)
    assert len(errors) > 100 and np.abs(errors).max() < 0.25 and np.sqrt(np.mean(np.square(errors))) < 0.1


def test_a_core_without_measured_stages_counts_their_driver_all_the_same(graph) -> None:
    cycles = dataclasses.replace(TABLE.cycles, stages=())
    table = dataclasses.replace(TABLE, stages=(), cycles=cycles)
    assert TileTimes(table).driver == TileTimes(TABLE).driver
    assert TileTimes(cycles).driver == TileTimes(TABLE.cycles).driver
    best = plan_stages(graph, table=table).best
    assert best.slowdown > _slowdown(graph, best, table)


def test_what_was_not_measured_counts_by_its_macs(graph) -> None:
    pools = InstructionTable.of_rows(row for row in TABLE.rows if row.shape.op.endswith("pool2d"))
    assert plan_stages(graph, table=pools).best is not None


def test_a_slower_split_that_a_bound_needs_says_so(graph) -> None:
    budget = plan_stages(graph, sram_bytes=64).smallest_arena_bytes
    found = plan_stages(graph, sram_bytes=budget)
    assert found.best.slowdown > DEFAULT_MAX_SLOWDOWN
    assert f"{found.best.slowdown:.2f} times the estimated cycles" in found.reason
    assert "a larger --sram_bytes less" in found.reason


def test_a_bound_that_a_given_slowdown_does_not_reach_is_refused(graph) -> None:
    converted = api.convert(MODEL, search="uniform", max_slowdown=1.1, progress=False, **MAPS_ON_ANY_CORE)
    smallest = converted.report.as_dict()["after"]["arena_bytes"]
    with pytest.raises(BudgetError, match=f"the smallest arena reached is {smallest:,} bytes"):
        api.plan(MODEL, search="uniform", sram_bytes=smallest - 1, max_slowdown=1.1, **MAPS_ON_ANY_CORE)
    assert smallest <= plan_stages(graph, max_slowdown=1.1).best.arena_bytes  # the planner counts no ops in place
    api.plan(MODEL, search="uniform", sram_bytes=smallest, max_slowdown=1.1, **MAPS_ON_ANY_CORE)


def test_macs_and_time_are_not_bounded_together() -> None:
    with pytest.raises(UsageError, match="give one of them"):
        api.plan(MODEL, max_macs_ratio=1.0, max_slowdown=1.1)


@pytest.mark.parametrize("options", [{}, {"max_slowdown": 1.1}, {"max_slowdown": 1.6}, {"max_macs_ratio": 1.2}])
@pytest.mark.parametrize(("size", "channels"), [(24, 4), (32, 6), (20, 8)])
def test_no_arena_is_below_what_a_refusal_calls_the_smallest(size, channels, options) -> None:
    graph = read_model(inverted_residual(size=size, channels=channels))
    baseline = plan_stages(graph, sram_bytes=1 << 30).baseline_arena_bytes
    parts = (30, 20, 16, 12, 9, 7, 5, 4, 3, 2)
    found = [plan_stages(graph, sram_bytes=baseline // part, **options) for part in parts]
    refused = [search.smallest_arena_bytes for search in found if not search.best]
    delivered = [search.best.arena_bytes for search in found if search.best]
    assert refused and delivered and max(refused) <= min(delivered)
