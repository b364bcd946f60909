"""What is lowered for BitOPs by measured error: as much as is asked for, and what hurts least."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import problem_of
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.vdqs import search_vdqs

MODEL = inverted_residual()
SHARES = (0.0, 0.4, 0.7, 1.0)


def _problem(**options: object) -> SearchProblem:
    x = np.clip(np.random.default_rng(1).normal(0, 40, (32, 24, 24, 3)), -128, 127).astype(np.int8)
    return problem_of(MODEL, x, vdqs_min_weight_bits=4, vdpc="off", **options)


def _plan(problem: SearchProblem, share: float) -> PrecisionPlan:
    return search_vdqs(dataclasses.replace(problem, saved_share=share))


def _lowered(plan: PrecisionPlan) -> set[str]:
    return {*plan.weight_bits, *(name for stage in plan.stages for c in stage.classes for name in c.formats)}


@pytest.fixture(name="problem", scope="module")
def _trade() -> SearchProblem:
    return _problem(objective="bit_ops")


def test_as_much_is_lowered_as_saves_what_is_asked_for(problem: SearchProblem) -> None:
    plans = [_plan(problem, share) for share in SHARES]
    spent = [problem.cost.work_of(plan).bit_ops for plan in plans]
    most, least = spent[0], spent[-1]
    assert not _lowered(plans[0]) and most > least
    for share, plan, bit_ops in zip(SHARES, plans, spent, strict=True):
        assert most - bit_ops >= share * (most - least)
        assert _lowered(plan) <= _lowered(plans[-1])
    assert _lowered(plans[1]) < _lowered(plans[2]) < _lowered(plans[3]), "the order does not depend on the share"


def test_what_costs_nothing_is_lowered_first() -> None:
    """Weights that 4 bits hold exactly, among others of the same shape."""
    net, rng = TinyModel(), np.random.default_rng(0)
    x = net.input((1, 24, 24, 8))
    for number in range(3):
        weights = rng.integers(-127, 128, (8, 3, 3, 8), dtype=np.int8)
        exact = (16 * rng.integers(-7, 8, (8, 3, 3, 8))).astype(np.int8)
        x = net.conv2d(x, exact if number == 1 else weights, scale=0.5, filter_scales=[0.002] * 8)
    samples = rng.integers(-128, 128, (16, 24, 24, 8), dtype=np.int8)
    problem = problem_of(net.build(x), samples, objective="bit_ops", vdqs_min_weight_bits=4, vdpc="off")
    assert len(_lowered(_plan(problem, 1.0))) > 2
    graph = problem.graph
    assert _lowered(_plan(problem, 0.01)) == {graph.tensors[graph.ops[1].inputs[1]].name}


def test_what_a_bound_needs_comes_first() -> None:
    """Where no split keeps the bound at 8 bits nothing is left to save BitOPs with."""
    with pytest.raises(BudgetError):
        _plan(_problem(objective="bit_ops", sram_bytes=1_500), 0.5)
