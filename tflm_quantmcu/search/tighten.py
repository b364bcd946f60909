"""Splits a network again, within less, where the converted model takes more than the maps and scratch of the plan.

Stages are planned by maps and scratch, with weights at 8 bits and stock ops around them. What TFLM keeps beside them,
or the stack of emitted code, only the converted model shows; and narrower weights, and ops that become ours for their
widths, can make the kernels of a core ask for more scratch.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.problem import SearchProblem, Strategy

MAX_TRIES = 5  # each within less by twice as much as the one before
# Before a bound is refused, plans of so many larger maps are tried, by up to this share of what stands beside them.
_LARGER_MAPS, _WORTH = 6, 0.25
_AS_FAST = 1.005  # times the cycles


def within_sram(strategy: Strategy) -> Strategy:
    """The strategy, its converted model within `sram_bytes`; if none of those tried is, the smallest.

    Of plans within the bound one is taken with which no other core pays for the target's offsets, where there is one
    that takes the target no longer.

    Raises:
      BudgetError: the strategy has no plan, or that of its smallest maps and scratch exceeds the bound at 8 bits.
    """
    return functools.partial(_within_sram, strategy)


def _within_sram(strategy: Strategy, problem: SearchProblem) -> PrecisionPlan:
    bound = problem.budget.sram_bytes
    if bound is None:
        return strategy(problem)
    plan = _tightened(strategy, problem, bound)
    if not problem.cost.target.is_core:
        return plan
    found = problem.bytes_of(plan)
    if found.arena_bytes > bound or not found.loss_bytes:
        return plan
    try:
        other = _tightened(strategy, dataclasses.replace(problem, suits_all_cores=True), bound)
    except BudgetError:
        return plan
    found = problem.bytes_of(other)
    is_slower = _cycles(problem, other) > _AS_FAST * _cycles(problem, plan)
    return plan if found.arena_bytes > bound or found.loss_bytes or is_slower else other


def _tightened(strategy: Strategy, problem: SearchProblem, bound: int) -> PrecisionPlan:
    best, smallest, within = None, 0, bound
    for number in range(MAX_TRIES):
        try:
            plan = strategy(_with_maps_within(problem, within))
        except BudgetError as error:
            return _of_smallest_maps(strategy, problem, error, best)
        found = problem.bytes_of(plan)
        if best is None or found.arena_bytes < smallest:
            best, smallest = plan, found.arena_bytes
        if found.arena_bytes <= bound:
            return _roomier(strategy, problem, bound, plan, within)
        planned = min(within, found.arena_bytes - found.beside_bytes)
        within = max(1, planned - (found.arena_bytes - bound << max(0, number - 1)))
    assert best is not None
    if not _is_narrowed(best):
        try:
            strategy(_with_maps_within(problem, 1))
        except BudgetError as error:
            return _of_smallest_maps(strategy, problem, error, best)
    return best


def _roomier(strategy: Strategy, problem: SearchProblem, bound: int, plan: PrecisionPlan, within: int) -> PrecisionPlan:
    """What is faster than a plan found within less than what it leaves of the bound for maps and scratch."""
    room = bound - problem.bytes_of(plan).beside_bytes
    if within == bound or room <= within:
        return plan
    try:
        other = strategy(_with_maps_within(problem, room))
    except BudgetError:
        return plan
    is_within = problem.bytes_of(other).arena_bytes <= bound
    return other if is_within and _cycles(problem, other) < _cycles(problem, plan) else plan


def _cycles(problem: SearchProblem, plan: PrecisionPlan) -> int:
    return problem.cost.work_of(plan).cycles


def _with_maps_within(problem: SearchProblem, num_bytes: int) -> SearchProblem:
    return dataclasses.replace(problem, budget=dataclasses.replace(problem.budget, sram_bytes=num_bytes))


def _of_smallest_maps(
    strategy: Strategy, problem: SearchProblem, error: BudgetError, best: PrecisionPlan | None
) -> PrecisionPlan:
    """The plan of the smallest maps and scratch that a strategy has, or the best so far, if that takes less."""
    if error.smallest_bytes is None:
        if best is None:
            raise error
        return best
    smallest = _at_smallest_maps(strategy, problem, error.smallest_bytes)
    plans = [plan for plan in (smallest, best) if plan is not None]
    if not plans:
        raise error
    if smallest and smallest.stages and not _is_narrowed(smallest):
        plans += _with_less_beside(strategy, problem, smallest)
    plan = min(plans, key=lambda tried: problem.bytes_of(tried).arena_bytes)
    found, bound = problem.bytes_of(plan), problem.budget.sram_bytes
    assert bound is not None
    if found.arena_bytes <= bound or _is_narrowed(plan):
        return plan
    if best is None and found.arena_bytes == error.smallest_bytes:
        raise error
    maps = found.arena_bytes - found.beside_bytes
    how = plan.notes[0] if plan.stages else "unsplit, for no split takes less"
    raise BudgetError(
        f"--sram_bytes is {bound:,} and the smallest arena reached is {found.arena_bytes:,} bytes, {maps:,} of maps "
        f"and scratch and {found.beside_bytes:,} beside them ({how}); {error.remedy}",
        smallest_bytes=maps,
    )


def _at_smallest_maps(strategy: Strategy, problem: SearchProblem, num_bytes: int) -> PrecisionPlan | None:
    """The plan within what a strategy called its smallest; of other splits that it tries there the smallest can be
    larger again. None where none of them holds."""
    for _ in range(MAX_TRIES):
        try:
            return strategy(_with_maps_within(problem, num_bytes))
        except BudgetError as error:
            if error.smallest_bytes is None or error.smallest_bytes <= num_bytes:
                return None
            num_bytes = error.smallest_bytes
    return None


def _with_less_beside(strategy: Strategy, problem: SearchProblem, smallest: PrecisionPlan) -> Iterator[PrecisionPlan]:
    """Plans of larger maps, whose fewer stages may take less beside them: the same ones whatever the bound is."""
    found, unsplit = (problem.bytes_of(p) for p in (smallest, PrecisionPlan(problem.graph.sha256, {})))
    maps, whole = (n.arena_bytes - n.beside_bytes for n in (found, unsplit))
    most = max(0, min(int(_WORTH * found.beside_bytes), whole - maps))
    for within in dict.fromkeys(maps + most * step // _LARGER_MAPS for step in range(1, _LARGER_MAPS + 1)):
        plan = _at_smallest_maps(strategy, problem, within)
        if plan is not None:
            yield plan


def _is_narrowed(plan: PrecisionPlan) -> bool:
    return bool(plan.formats or plan.weight_bits or any(c.formats for stage in plan.stages for c in stage.classes))
