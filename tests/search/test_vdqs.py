"""VDQS: what it prefers, what lambda and the memory bound change, and plans that round-trip."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import problem_of
from tflm_quantmcu import simulate
from tflm_quantmcu.converter.reader import read_model
from tflm_quantmcu.errors import BudgetError, UsageError
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.uniform import search_uniform
from tflm_quantmcu.search.vdqs import search_vdqs
from tflm_quantmcu.stage_build import build_program
from tflm_quantmcu.stage_program import StageProgram
from tflm_quantmcu.types import ModelGraph, PrecisionPlan

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


def test_an_impossible_bound_names_the_smallest_bytes(graph) -> None:
    with pytest.raises(BudgetError, match=r"--sram_bytes is 64 and the smallest arena reached is [\d,]+ bytes"):
        search_vdqs(_problem(_samples(False), sram_bytes=64))


def _smallest_at_eight_bits(graph: ModelGraph) -> int:
    from tflm_quantmcu.stages import plan_stages

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
