"""Keeps the bound on accuracy, whatever search chooses the widths.

In: a search's problem, what makes a plan of a problem, and settings of the search that the user left open. Out: of the
plans of these settings the best one that keeps the accuracy bound and the budgets, with the front that it was chosen
from. A plan that lowers nothing computes what the model does, so that it costs no run; others are looked for only where
its tiles are so small that the bound costs time, and one is taken only where it is faster by more than SLOWER_AT_MOST.
Plans are made up for and judged the fastest first, until one keeps the bound: those behind it would not be taken.

Widths that are set by hand are measured and delivered, unless a bound is given; otherwise a bound that no plan keeps is
refused, with the bytes at which one does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.compensation.compensate import has_low_widths, without_compensation
from tflm_quantmcu.cost.network_cost import Cost
from tflm_quantmcu.graph.accuracy_loss import AccuracyLoss, samples_needed
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.loss_judge import LossJudge
from tflm_quantmcu.search.problem import PlanBytes, SearchProblem
from tflm_quantmcu.search.settings.accuracy import AccuracySettings
from tflm_quantmcu.search.settings.vdqs import VdqsSettings

Make = Callable[[SearchProblem], PrecisionPlan]
Finish = Callable[[PrecisionPlan], PrecisionPlan]
Knobs = Sequence[Mapping[str, Any]]
# Factors of the budgets at which a plan within the accuracy bound is looked for, to say so in a refusal.
SLOWER_AT_MOST = 1.1  # of 8 bits against the fastest plan, or against the unsplit network
LARGER_BUDGETS = (1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)


@dataclasses.dataclass(frozen=True, eq=False)
class FrontPoint:
    """A plan that keeps the budgets, and what it costs."""

    plan: PrecisionPlan
    loss: AccuracyLoss
    found: PlanBytes
    work: Cost

    @property
    def fields(self) -> dict[str, Any]:
        """What the plan's file says of it."""
        return {
            "points": round(self.loss.points, 3),
            "limit_points": round(self.loss.upper_points, 3),
            "sqnr_db": self.loss.to_fields()["sqnr_db"],
            "arena_bytes": self.found.arena_bytes,
            "flash_bytes": self.found.flash_bytes,
            "instructions": self.work.instructions,
            "cycles": self.work.cycles,
            "bit_ops": self.work.bit_ops,
        }


def keep_accuracy(
    problem: SearchProblem,
    make: Make,
    knobs: Knobs,
    *,
    is_by_hand: bool,
    make_quickly: Make | None = None,
    finish: Finish = lambda plan: plan,
) -> PrecisionPlan:
    """The best plan within the accuracy bound.

    Args:
      problem: the search's.
      make: the plan of a problem.
      knobs: settings to change beside none, of those that the user left open.
      is_by_hand: the user set the widths, so that a bound that was not given is no reason to refuse them.
      make_quickly: as `make`, for what a refusal tells of larger budgets; None is `make`.
      finish: a plan with what makes up for its widths, which takes runs.

    Raises:
      BudgetError: no plan keeps the budgets, or none of those that do keeps the accuracy bound.
    """
    chosen = problem.settings.part(AccuracySettings)
    first = make(problem)
    if chosen.is_off or not (has_low_widths(first) or _may_gain(problem, first, knobs)):
        return finish(first)
    if has_low_widths(first) and first.search.get("method") == "vdqs":  # it is the first of its kind itself
        knobs = [knob for knob in knobs if knob.get("mixed_split") != 0]
    is_strict = chosen.max_accuracy_drop is not None
    guard = _Guard(problem, make, make_quickly or make, finish, chosen.bound, is_strict=is_strict)
    front = list(guard.front(first, () if is_by_hand and not is_strict else knobs))
    able = [point for point in front if guard.accepts(point.loss)]
    if able:
        return guard.told(guard.best(able), front)
    if front and (is_by_hand and not is_strict or front[0].loss.measured_by == "none"):
        return guard.told(front[0], front)
    if not front:  # the caller refuses what exceeds a budget
        return finish(first)
    raise guard.refusal(front)


def _may_gain(problem: SearchProblem, whole: PrecisionPlan, knobs: Knobs) -> bool:
    """Whether fewer bits are tried though a plan at 8 bits keeps the bounds: to save BitOPs, or because it is slower
    than the unsplit network by too much."""
    if any("saved_share" in knob for knob in knobs):
        return True
    if not any("mixed_split" in knob for knob in knobs):
        return False
    unsplit = problem.cost.work_of(PrecisionPlan(problem.graph.sha256, {}))
    return _time(problem.cost.work_of(whole)) > SLOWER_AT_MOST * _time(unsplit)


class _Guard:
    """Makes plans and judges them."""

    def __init__(
        self,
        problem: SearchProblem,
        make: Make,
        make_quickly: Make,
        finish: Finish,
        bound: float,
        *,
        is_strict: bool,
    ) -> None:
        self.problem = problem
        self.make = make
        self.make_quickly = make_quickly
        self.finish = finish
        self.bound = bound
        self.is_strict = is_strict
        self.judge = LossJudge(problem, bound)

    def front(self, first: PrecisionPlan, knobs: Knobs) -> Iterator[FrontPoint]:
        """What keeps the budgets of the first plan and those of the knobs: the fastest, or those of fewest BitOPs,
        up to the first that keeps the bound, and all of 8 bits."""
        reached = float("inf")
        for plan in sorted(self._distinct(first, knobs), key=lambda plan: self.cost(self.problem.cost.work_of(plan))):
            is_low = has_low_widths(plan)
            if is_low and self.cost(self.problem.cost.work_of(plan)) > reached:
                continue
            point = self.point(plan)
            if point is None:
                continue
            yield point
            if is_low and self.accepts(point.loss):
                reached = self.cost(point.work)

    def _distinct(self, first: PrecisionPlan, knobs: Knobs) -> list[PrecisionPlan]:
        """The first plan and those of the knobs that differ in what they plan."""
        found: list[PrecisionPlan] = []
        seen: list[PrecisionPlan] = []
        for plan in (first, *self._made(knobs)):
            widths = dataclasses.replace(without_compensation(plan), search={}, notes=())
            if widths not in seen:
                seen.append(widths)
                found.append(plan)
        return found

    def _made(self, knobs: Knobs) -> Iterator[PrecisionPlan]:
        for knob in self.problem.track([knob for knob in knobs if knob], "accuracy"):
            try:
                yield self.make(_changed(self.problem, knob))
            except BudgetError:
                continue

    def point(self, plan: PrecisionPlan, problem: SearchProblem | None = None) -> FrontPoint | None:
        """The plan finished and judged; None if it exceeds a budget of the problem, None is the guard's own."""
        finished = self.finish(plan)
        found, work = self.problem.cost.bytes_of(finished), self.problem.cost.work_of(finished)
        reached = (found.arena_bytes, found.flash_bytes, work.bit_ops, work.instructions)
        budget = (problem or self.problem).budget
        if any(b is not None and value > b for b, value in zip(budget.flags.values(), reached, strict=True)):
            return None
        loss = self.judge.of(finished) if has_low_widths(finished) else AccuracyLoss("equality", 0)
        return FrontPoint(finished, loss, found, work)

    def accepts(self, loss: AccuracyLoss) -> bool:
        """Whether a loss keeps the bound; where the samples are too few to show it, its limit counts only if the bound
        was given."""
        if loss.keeps(self.bound):
            return True
        return not self.is_strict and loss.lacks_samples(self.bound) and loss.points <= self.bound

    def cost(self, work: Cost) -> int:
        """What is to be least: BitOPs where they are the objective, else time."""
        is_for_bit_ops = self.problem.settings.part(VdqsSettings).trade is not None
        return work.bit_ops if is_for_bit_ops else _time(work)

    def rank(self, point: FrontPoint) -> tuple[float, ...]:
        """Smaller is better: what is to be least, then what it loses."""
        return self.cost(point.work), point.loss.points, -min(point.loss.sqnr_db, default=0.0)

    def best(self, able: Sequence[FrontPoint]) -> FrontPoint:
        """The best plan within the bound; that of 8 bits where fewer buy too little time."""
        fastest = min(able, key=self.rank)
        enough = SLOWER_AT_MOST * self.rank(fastest)[0]
        whole = [p for p in able if not has_low_widths(p.plan) and self.rank(p)[0] <= enough]
        return min(whole, key=self.rank, default=fastest)

    def told(self, point: FrontPoint, front: Sequence[FrontPoint]) -> PrecisionPlan:
        """The point's plan with its loss and the front, in the part of its provenance that costs no flash."""
        scores = {
            **point.plan.search.get("scores", {}),
            "accuracy_loss": {**point.loss.to_fields(), "bound": self.bound},
            "front": [other.fields for other in sorted(front, key=self.rank)],
        }
        return dataclasses.replace(point.plan, search={**point.plan.search, "scores": scores})

    def refusal(self, front: Sequence[FrontPoint]) -> BudgetError:
        """The refusal, with what the best plan loses and what the bound takes."""
        best = min(front, key=lambda p: (p.loss.points, p.loss.upper_points, -min(p.loss.sqnr_db, default=0.0)))
        budget = self.problem.budget
        bounds = " and ".join(f"--{flag} {bound:,}" for flag, bound in budget.flags.items() if bound is not None)
        within = f"within {bounds} " if bounds else ""
        if best.loss.lacks_samples(self.bound) and best.loss.points <= self.bound:
            remedy = f"give at least {samples_needed(self.bound)} samples"
        else:
            remedy = self._remedy()
        return BudgetError(
            f"--max_accuracy_drop is {self.bound:g} and no plan {within}keeps it: of the best one "
            f"{best.loss.sentence}, with {_sizes(best)}; {remedy}, "
            f"or deliver it with --max_accuracy_drop off"
        )

    def _remedy(self) -> str:
        """What keeps the bound, looked for in ever larger budgets."""
        budget = self.problem.budget
        for factor in LARGER_BUDGETS if (budget.sram_bytes or budget.flash_bytes) else ():
            larger = {
                name: bound and int(bound * factor)
                for name, bound in (("sram_bytes", budget.sram_bytes), ("flash_bytes", budget.flash_bytes))
            }
            problem = dataclasses.replace(
                self.problem.changed(**larger),
                budget=dataclasses.replace(budget, **larger),
                cost=self.problem.cost.within(larger["sram_bytes"]),
                checkpoint=None,
            )
            try:
                point = self.point(self.make_quickly(problem), problem)
            except BudgetError:
                continue
            if point is None:
                continue
            if not has_low_widths(point.plan) or point.loss.keeps(self.bound):
                lost = f"{point.loss.points:.2f} points" if has_low_widths(point.plan) else "nothing, at 8 bits"
                return f"{_sizes(point)} lose {lost}: raise the budget"
        return "raise the budget" if (budget.sram_bytes or budget.flash_bytes) else "leave the widths to the search"


def _time(work: Cost) -> int:
    """Documented cycles; instructions by a table that has no cycles."""
    return work.cycles or work.instructions


def _sizes(point: FrontPoint) -> str:
    return f"an arena of {point.found.arena_bytes:,} and {point.found.flash_bytes:,} bytes of flash"


def _changed(problem: SearchProblem, knob: Mapping[str, Any]) -> SearchProblem:
    """The problem with a knob turned: settings, which split of fewer bits is taken, or how much is lowered by error."""
    settings = dict(knob)
    mixed, share = (settings.pop(name, None) for name in ("mixed_split", "saved_share"))
    return dataclasses.replace(problem.changed(**settings), mixed_split=mixed, saved_share=share, checkpoint=None)
