"""VDQS: what it prefers, what lambda and the memory bound change, and plans that round-trip."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.plans import front_stage
from tests.support.search_problems import problem_of
from tflm_quantmcu.app import api
from tflm_quantmcu.base.errors import BudgetError, UsageError
from tflm_quantmcu.compensation.compensate import without_compensation
from tflm_quantmcu.cost.plan_work import work_of
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.oracle import simulate
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.patches.split import StageSearch
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.registry import finish_plan
from tflm_quantmcu.search.uniform import search_uniform
from tflm_quantmcu.search.vdqs import quantize_stage, search_vdqs
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.stage.geometry import stage_ops
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual()


@pytest.fixture(scope="module")
def graph() -> ModelGraph:
    return read_model(MODEL)


def _samples(spiky: bool) -> np.ndarray:
    """int8 [16, 24, 24, 3]: mild noise; `spiky` puts large values into the upper left corner."""
    x = np.random.default_rng(1).normal(0, 12, (16, 24, 24, 3))
    if spiky:
        x[:, :6, :6] *= 8
    return np.clip(np.round(x), -128, 127).astype(np.int8)


def _problem(x: np.ndarray, **options) -> SearchProblem:
    return problem_of(MODEL, x, **options)


def _bits(plan: PrecisionPlan) -> list[int]:
    return [f.bits for stage in plan.stages for c in stage.classes for f in c.formats.values()]


def _programs(graph: ModelGraph, plan: PrecisionPlan) -> list[StageProgram]:
    return [build_program(graph, stage, weight_bits={}, formats={}) for stage in plan.stages]


def test_patches_with_outliers_keep_eight_bits(graph) -> None:
    plan = search_vdqs(_problem(_samples(True), vdqs_lambda=0.0, vdpc_phi=0.98))
    stage = next(stage for stage in plan.stages if len(stage.classes) == 2)
    names = [[stage.classes[k].name for k in row] for row in stage.patch_classes]
    assert names[0][0] == "outlier" and names[-1][-1] == "ordinary"
    torn = [p for p, s in zip(_programs(graph, plan), plan.stages, strict=True) if len(s.classes) == 2]
    assert all(f.bits == 8 for program in torn for f in program.formats[0])
    assert any(f.bits == 4 for program in torn for f in program.formats[1])
    kept = [f for p in torn for f, cache in zip(p.formats[1], p.caches, strict=True) if cache.keeps_halo]
    assert kept and all(f.bits == 8 for f in kept), "what outliers share keeps their format"


def test_lambda_trades_bit_ops_against_entropy(graph) -> None:
    spent = []
    for weight in (0.0, 0.5, 1.0):
        plan = search_vdqs(_problem(_samples(False), vdqs_lambda=weight))
        spent.append(sum(program.cost.bit_ops for program in _programs(graph, plan)))
    assert spent == sorted(spent)
    assert spent[0] < spent[-1]


def test_min_bits_is_kept(graph) -> None:
    assert set(_bits(search_vdqs(_problem(_samples(False), vdqs_lambda=0.0)))) == {4}
    two = search_vdqs(_problem(_samples(False), vdqs_lambda=0.0, vdqs_min_bits=2))
    assert 2 in _bits(two)


def test_a_bound_below_eight_bits_lowers_maps_until_it_is_met(graph) -> None:
    smallest = _smallest_at_eight_bits(graph)
    options = {"vdqs_lambda": 1.0, "vdpc_outlier_fraction": 0.99, "sram_bytes": smallest - 64}
    plan = search_vdqs(_problem(_samples(False), **options))
    assert 4 in _bits(plan)
    assert not any(c.name == "outlier" for stage in plan.stages for c in stage.classes)


@pytest.mark.parametrize("room", (None, 0, 512))
def test_nothing_is_lowered_where_eight_bits_meet_the_bound(graph, room) -> None:
    bound = None if room is None else _smallest_at_eight_bits(graph) + room
    options = {"vdqs_min_weight_bits": 4, "sram_bytes": bound}
    plan = search_vdqs(_problem(_samples(True), **options))
    assert plan.stages and not plan.weight_bits and not _bits(plan)
    assert any("no width is lowered" in note for note in plan.notes)
    assert search_vdqs(problem_of(MODEL, None, **options)).stages == plan.stages, "and no calibration is asked for"


def test_memory_alone_lowers_no_weights(graph) -> None:
    options = {"vdqs_min_weight_bits": 4, "vdpc": "off", "sram_bytes": _smallest_at_eight_bits(graph) - 64}
    plan = search_vdqs(_problem(_samples(False), **options))
    assert 4 in _bits(plan) and not plan.weight_bits


def test_an_impossible_bound_names_the_smallest_bytes(graph) -> None:
    with pytest.raises(BudgetError, match=r"--sram_bytes is 64 and the smallest arena reached is [\d,]+ bytes"):
        search_vdqs(_problem(_samples(False), sram_bytes=64))


def _smallest_at_eight_bits(graph: ModelGraph) -> int:
    return plan_stages(graph, sram_bytes=1).smallest_arena_bytes


def test_uniform_needs_calibration_below_eight_bits(graph) -> None:
    problem = problem_of(MODEL, None, activation_bits=4)
    with pytest.raises(UsageError, match="calibration"):
        search_uniform(problem)


def test_uniform_at_eight_bits_computes_the_model(graph) -> None:
    problem = problem_of(MODEL, None)
    plan = search_uniform(problem)
    x = _samples(True)
    whole, split = simulate.simulate(graph, None, x), simulate.simulate(graph, plan, x)
    for name, values in split.items():
        assert np.array_equal(values, whole[name]), name


def test_a_plan_survives_its_file(graph) -> None:
    plan = search_vdqs(_problem(_samples(True), vdpc_phi=0.98))
    again = PrecisionPlan.from_json(plan.to_json())
    assert again.to_json() == plan.to_json()
    assert again.stages == plan.stages


@functools.cache
def _calibrated() -> tuple[SearchProblem, StageSearch]:
    """A problem, and its stages without bounds."""
    problem = _problem(_samples(False))
    return problem, plan_stages(problem.graph, **problem.stage_bounds)


def _search(**options) -> PrecisionPlan:
    problem, found = _calibrated()
    chosen = Options.of({"vdpc": "off", **options})
    problem = dataclasses.replace(problem, budget=chosen.budget, settings=chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SearchProblem, "planned_stages", lambda self: found)
        return finish_plan(problem, search_vdqs(problem), is_new=True)


def _bit_ops(graph: ModelGraph, plan: PrecisionPlan) -> int:
    return work_of(graph, plan).bit_ops


def _stage_weights(graph: ModelGraph, plan: PrecisionPlan) -> set[str]:
    ends = [(graph.by_name[s.input].index, graph.by_name[s.output].index) for s in plan.stages]
    inside = [op for source, target in ends for op in stage_ops(graph, (source,), target)]
    return {graph.tensors[op.inputs[1]].name for op in inside if op.traits.has_filter}


def test_weights_keep_eight_bits_unless_asked(graph) -> None:
    assert not _search(vdqs_lambda=0.0).weight_bits


@pytest.mark.parametrize("bits", (4, 2))
def test_weights_of_stages_are_scored_like_maps(graph, bits) -> None:
    options = {"vdqs_min_weight_bits": bits, "vdqs_min_bits": 4}
    lowest = _search(vdqs_lambda=0.0, **options)
    assert lowest.weight_bits == dict.fromkeys(_stage_weights(graph, lowest), bits)
    assert not _search(vdqs_lambda=1.0, **options).weight_bits
    between = _search(vdqs_lambda=0.65, **options)
    assert 0 < len(between.weight_bits) < len(lowest.weight_bits)
    scores = between.search["scores"]
    for name in _stage_weights(graph, between):
        best = max(scores[name], key=lambda b: scores[name][b])
        assert int(best) == between.weight_bits.get(name, 8)


def test_pinned_weights_keep_eight_bits(graph) -> None:
    options = {"vdqs_lambda": 0.0, "vdqs_min_weight_bits": 4, "vdpc": "off"}
    first = graph.tensors[graph.ops[0].inputs[1]].name
    free, pinned = (
        quantize_stage(_problem(_samples(False), pinned_layers=layers, **options), front_stage(graph)).weight_bits
        for layers in ("none", "first")
    )
    assert first in free
    assert set(pinned) == set(free) - {first}


def test_a_bound_on_bit_ops_lowers_lambda_no_further_than_needed(graph) -> None:
    options = {"vdqs_min_weight_bits": 4, "compensation": "off"}
    spent = {n / 10: _bit_ops(graph, _search(vdqs_lambda=n / 10, **options)) for n in range(11)}
    assert spent[0.0] < spent[0.5] < spent[1.0]
    for bound in (spent[0.5], (spent[0.0] + spent[0.5]) // 2, spent[0.0]):
        plan = _search(vdqs_lambda=1.0, max_bit_ops=bound, **options)
        assert max(value for value in spent.values() if value <= bound) <= _bit_ops(graph, plan) <= bound
        assert sum(note.startswith("lambda is ") for note in plan.notes) == 1
    assert not any(
        n.startswith("lambda is ") for n in _search(vdqs_lambda=0.5, max_bit_ops=spent[0.5], **options).notes
    )


def test_without_the_trade_a_bound_on_bit_ops_is_met_from_eight_bits_down(graph) -> None:
    options = {"vdqs_min_weight_bits": 4, "compensation": "off"}
    unbounded = _bit_ops(graph, _search(**options))
    plan = _search(max_bit_ops=unbounded * 3 // 4, **options)
    assert plan == dataclasses.replace(
        _search(vdqs_lambda=1.0, max_bit_ops=unbounded * 3 // 4, **options), search=plan.search
    )
    assert _bit_ops(graph, plan) <= unbounded * 3 // 4
    assert not _bits(_search(max_bit_ops=unbounded, **options))


def test_the_objective_bit_ops_is_the_papers_trade(graph) -> None:
    options = {"vdqs_min_weight_bits": 4}
    assert _search(objective="bit_ops", **options) == _search(vdqs_lambda=0.5, **options)
    assert _search(objective="bit_ops", vdqs_lambda=0.0, **options) == _search(vdqs_lambda=0.0, **options)
    with pytest.raises(UsageError, match="--vdqs_lambda weighs BitOPs, which --objective cycles does not"):
        _search(objective="cycles", vdqs_lambda=0.0)


def test_plans_carry_what_makes_up_for_their_widths(graph) -> None:
    plan = _search(vdqs_lambda=0.0, vdqs_min_weight_bits=4)
    assert set(plan.rounded_weights) >= set(plan.weight_bits)
    assert plan.bias_corrections
    bias = _search(vdqs_lambda=0.0, vdqs_min_weight_bits=4, compensation="bias")
    assert bias.bias_corrections and not bias.rounded_weights
    off = _search(vdqs_lambda=0.0, vdqs_min_weight_bits=4, compensation="off")
    assert off == dataclasses.replace(without_compensation(plan), search=off.search)


def test_without_calibration_a_bound_below_eight_bits_is_refused_with_what_would_help():
    with pytest.raises(BudgetError, match=r"smallest arena reached is [\d,]+ bytes.*; give --calibration_data, with"):
        api.plan(MODEL, sram_bytes=256)
