"""Splits the network before a strategy cuts widths: what patches give away for nothing, no width needs to.

Strategies that know layers alone (memory_driven, rl, hybrid) would lower maps where patches at 8 bits fit too. So the
network is split first. Where that keeps all bounds, nothing is lowered. Where it keeps the SRAM bound but not those of
flash or work, the strategy chooses widths for these, of the split network. Where patches at 8 bits do not fit, the
strategy alone is tried, and if it cannot either, patches with fewer bits, whose maps VDQS chooses; where tiles of 8
bits are so small that the bound costs time, the accuracy guard asks for such patches too (`mixed_split`).
"""

from __future__ import annotations

import dataclasses
import functools

from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.problem import SearchProblem, Strategy
from tflm_quantmcu.search.settings.common import StageSettings
from tflm_quantmcu.search.tighten import within_sram
from tflm_quantmcu.search.uniform import stage_with_formats
from tflm_quantmcu.search.vdqs import keeps_all_bounds, plan_at_eight_bits, search_vdqs
from tflm_quantmcu.search.widths import free_maps


def split_first(strategy: Strategy, method: str) -> Strategy:
    """The strategy on a split network, unless `split` is off; `method` is its name.

    Raises:
      BudgetError: neither the strategy nor patches with fewer bits keep the bounds.
    """
    split = within_sram(functools.partial(_split, strategy, method))
    return lambda problem: (split if problem.settings.part(StageSettings).split == "on" else strategy)(problem)


def _split(strategy: Strategy, method: str, problem: SearchProblem) -> PrecisionPlan:
    if problem.mixed_split is not None:
        return search_vdqs(problem)
    whole = plan_at_eight_bits(problem, method)
    if whole is None:
        return _below_eight_bits(strategy, problem)
    if keeps_all_bounds(problem, whole):
        return whole
    budget, fixed = problem.budget, problem.fixed
    if budget.bit_ops is None and budget.instructions is None:  # flash alone: maps stay
        maps = {**dict.fromkeys(free_maps(problem.graph), 8), **fixed.activation_bits}
        fixed = dataclasses.replace(fixed, activation_bits=maps)
    rest = dataclasses.replace(problem, budget=dataclasses.replace(budget, sram_bytes=None), fixed=fixed)
    return _joined(problem, whole, strategy(rest))


def _below_eight_bits(strategy: Strategy, problem: SearchProblem) -> PrecisionPlan:
    try:
        return strategy(problem)
    except BudgetError as error:
        try:
            return search_vdqs(problem)
        except BudgetError as other:
            if other.smallest_bytes is None:
                raise error from None
            raise


def _joined(problem: SearchProblem, whole: PrecisionPlan, narrowed: PrecisionPlan) -> PrecisionPlan:
    """The stages of one plan with the widths of the other."""
    stages = tuple(stage_with_formats(problem.graph, stage, dict(narrowed.formats)) for stage in whole.stages)
    inside = {name for stage in stages for c in stage.classes for name in c.formats}
    return dataclasses.replace(
        narrowed,
        stages=stages,
        formats={name: f for name, f in narrowed.formats.items() if name not in inside},
        notes=(*whole.notes[:1], *narrowed.notes),
    )
