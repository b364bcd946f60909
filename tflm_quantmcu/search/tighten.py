"""Splits a network again, within less, where the widths that a search chose after the split take more than planned.

Stages are planned with weights at 8 bits and stock ops around them. Narrower weights, and ops that become ours for
their widths, can make the kernels of a core ask for more scratch, which only the converted model shows.
"""

from __future__ import annotations

import dataclasses
import functools

from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.problem import SearchProblem, Strategy

MAX_TRIES = 4  # each within less by twice as much as the one before


def within_sram(strategy: Strategy) -> Strategy:
    """The strategy, its converted model within `sram_bytes`; if none of those tried is, the smallest.

    It raises what the strategy does at the bound itself.
    """
    return functools.partial(_within_sram, strategy)


def _within_sram(strategy: Strategy, problem: SearchProblem) -> PrecisionPlan:
    plan, bound = strategy(problem), problem.budget.sram_bytes
    if bound is None or not _is_narrowed(plan):
        return plan
    best, smallest, tighter = plan, problem.bytes_of(plan).arena_bytes, bound
    for number in range(MAX_TRIES):
        if smallest <= bound:
            break
        tighter = max(1, tighter - (smallest - bound << number))
        budget = dataclasses.replace(problem.budget, sram_bytes=tighter)
        try:
            plan = strategy(dataclasses.replace(problem, budget=budget))
        except BudgetError:
            break
        arena_bytes = problem.bytes_of(plan).arena_bytes
        if arena_bytes < smallest:
            best, smallest = plan, arena_bytes
    return best


def _is_narrowed(plan: PrecisionPlan) -> bool:
    return bool(plan.formats or plan.weight_bits or any(c.formats for stage in plan.stages for c in stage.classes))
