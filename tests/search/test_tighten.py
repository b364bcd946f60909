"""A network is split again where the widths that were chosen after the split take more than was planned."""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import problem_of
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app import api
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.cost.network_cost import Cost
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import STOCK_REFERENCE
from tflm_quantmcu.search.problem import PlanBytes, SearchProblem
from tflm_quantmcu.search.tighten import within_sram
from tflm_quantmcu.search.uniform import search_uniform

MODEL = inverted_residual()
SAMPLES = np.random.default_rng(0).integers(-100, 100, (4, 24, 24, 3)).astype(np.int8)


def problem(**options: float | str) -> SearchProblem:
    return problem_of(MODEL, SAMPLES, search="uniform", **options)


@pytest.mark.parametrize("sram_bytes", [2896, 3024, 3088])
def test_narrow_weights_that_take_more_scratch_keep_the_bound(sram_bytes: int) -> None:
    narrow = problem(
        sram_bytes=sram_bytes,
        activation_bits=4,
        weight_bits=2,
        max_macs_ratio=100.0,
        stock_kernels=STOCK_REFERENCE,  # of which planning counts no scratch, and ops with narrow weights are ours
    )
    assert narrow.bytes_of(search_uniform(narrow)).arena_bytes > sram_bytes
    assert narrow.bytes_of(within_sram(search_uniform)(narrow)).arena_bytes <= sram_bytes


def test_what_no_split_meets_is_the_smallest_that_was_tried() -> None:
    narrow = problem(sram_bytes=64, activation_bits=4, weight_bits=2)
    once, again = (s(narrow) for s in (search_uniform, within_sram(search_uniform)))
    assert 64 < narrow.bytes_of(again).arena_bytes <= narrow.bytes_of(once).arena_bytes


def test_eight_bits_are_planned_exactly() -> None:
    wide = problem(sram_bytes=6000)
    plan = within_sram(search_uniform)(wide)
    assert plan == search_uniform(wide)
    assert wide.bytes_of(plan).arena_bytes <= 6000


def test_a_refusal_does_not_say_that_the_unsplit_network_meets_a_bound_of_its_own() -> None:
    net = TinyModel()
    dense = net.build(net.fully_connected(net.input((1, 64)), np.ones((80, 64), np.int8)))
    with pytest.raises(BudgetError, match=r"reached is [\d,]+ bytes, .* \(unsplit, for no split takes less\); raise"):
        api.plan(dense, search="uniform", sram_bytes=64)


@pytest.mark.parametrize("has_plan", (True, False))
def test_a_smallest_that_grows_when_it_is_asked_for_is_asked_again(has_plan: bool) -> None:
    """Splits are tried the fastest first, so that within other bytes others are, and a smaller one is missed."""
    narrow = problem(sram_bytes=2000, activation_bits=4, weight_bits=2)
    asked: list[int] = []

    def strategy(tried: SearchProblem) -> PrecisionPlan:
        bound = tried.budget.sram_bytes
        assert bound is not None
        asked.append(bound)
        if (bound == 2000 and has_plan) or bound == 2500:
            return search_uniform(narrow)
        smallest = 2500 if bound >= 2400 else 2400
        raise BudgetError(f"--sram_bytes is {bound:,} and the smallest is {smallest:,}", smallest_bytes=smallest)

    assert within_sram(strategy)(narrow) == search_uniform(narrow)
    assert asked[0] == 2000 and asked[-2:] == [2400, 2500]


def test_a_refusal_names_the_bound_that_was_given() -> None:
    narrow = problem(sram_bytes=2000, activation_bits=4, weight_bits=2)

    def strategy(tried: SearchProblem) -> PrecisionPlan:
        bound = tried.budget.sram_bytes
        raise BudgetError(f"--sram_bytes is {bound}", smallest_bytes=(bound or 0) + 1)

    with pytest.raises(BudgetError, match="--sram_bytes is 2000$"):
        within_sram(strategy)(narrow)


@pytest.mark.parametrize(("cycles", "is_taken"), [(1001, True), (1100, False)])
def test_a_plan_that_suits_all_cores_is_not_taken_where_the_target_pays_in_time(cycles: int, is_taken: bool) -> None:
    asked = problem(sram_bytes=6000)
    own, other = (dataclasses.replace(search_uniform(asked), notes=(name,)) for name in ("own", "other"))
    losses, times = {"own": 64, "other": 0}, {"own": 1000, "other": cycles}
    cost = types.SimpleNamespace(
        target=types.SimpleNamespace(is_core=True),
        bytes_of=lambda plan: PlanBytes(5000, 0, loss_bytes=losses[plan.notes[0]]),
        work_of=lambda plan: Cost(0, 0, 0, 0, cycles=times[plan.notes[0]]),
    )
    tried = dataclasses.replace(asked, cost=cost)
    chosen = within_sram(lambda each: other if each.suits_all_cores else own)(tried)
    assert chosen is (other if is_taken else own)


def test_what_stands_beside_maps_is_asked_of_the_plan_that_is_taken() -> None:
    """The first plan takes more beside its maps than the one that fits, which leaves room for a faster one."""
    asked = problem(sram_bytes=6000)
    first, small, fast = (dataclasses.replace(search_uniform(asked), notes=(n,)) for n in ("first", "small", "fast"))
    arenas, beside = {"first": 6700, "small": 5800, "fast": 5990}, {"first": 750, "small": 670, "fast": 670}
    cost = types.SimpleNamespace(
        target=types.SimpleNamespace(is_core=False),
        bytes_of=lambda plan: PlanBytes(arenas[plan.notes[0]], 0, beside_bytes=beside[plan.notes[0]]),
        work_of=lambda plan: Cost(0, 0, 0, 0, cycles={"first": 90, "small": 120, "fast": 100}[plan.notes[0]]),
    )

    def strategy(tried: SearchProblem) -> PrecisionPlan:
        bound = tried.budget.sram_bytes
        assert bound is not None
        return first if bound > 5330 else fast if bound > 5300 else small

    assert within_sram(strategy)(dataclasses.replace(asked, cost=cost)) is fast
