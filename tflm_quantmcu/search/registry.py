"""Searches for bit widths, by name; all have one signature and give a PrecisionPlan."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.base.checkpoint import Checkpoint
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.suggest import did_you_mean
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.layer_names import layer_names
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Budget, ModelGraph
from tflm_quantmcu.runtime.samples import digest
from tflm_quantmcu.search.evaluator import Evaluator
from tflm_quantmcu.search.guard import Knobs, keep_accuracy
from tflm_quantmcu.search.hybrid import search_hybrid
from tflm_quantmcu.search.knobs import has_widths_by_hand, memory_driven_knobs, no_knobs, split_knobs, vdqs_knobs
from tflm_quantmcu.search.memory_driven import search_memory_driven
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.overrides import FixedWidths, override_plan
from tflm_quantmcu.search.problem import CostModel, SearchProblem, Strategy
from tflm_quantmcu.search.rl import search_rl
from tflm_quantmcu.search.settings.base import Settings
from tflm_quantmcu.search.settings.common import StageSettings, WeightCutSettings
from tflm_quantmcu.search.settings.hybrid import HybridSettings
from tflm_quantmcu.search.settings.memory_driven import MemoryDrivenSettings
from tflm_quantmcu.search.settings.rl import RlSettings
from tflm_quantmcu.search.settings.uniform import UniformSettings
from tflm_quantmcu.search.settings.vdqs import VdqsSettings
from tflm_quantmcu.search.split_first import split_first
from tflm_quantmcu.search.tighten import within_sram
from tflm_quantmcu.search.uniform import search_uniform
from tflm_quantmcu.search.vdqs import search_vdqs


@dataclasses.dataclass(frozen=True)
class Search:
    """A search by its name: `SEARCHES["vdqs"](graph, calibration, budget, cost, seed=0, vdqs_lambda=0.4)`.

    Attributes:
      name: as flags say it.
      strategy: what is called.
      settings: that it takes beside those that count for every search.
      knobs: settings that the accuracy guard may change, each as a set of its own, where the user left them open.
      judges: whether it judges plans on samples itself, which takes long.
    """

    name: str
    strategy: Strategy
    settings: Sequence[type[Settings]] = ()
    knobs: Callable[[SearchProblem], Knobs] = no_knobs
    judges: bool = False

    @property
    def own_flags(self) -> tuple[str, ...]:
        """Those that do not count for every search."""
        return tuple(name for kind in self.settings for name in kind.names())

    def __call__(
        self,
        graph: ModelGraph,
        calibration: CalibrationResult | None,
        budget: Budget,
        cost: CostModel,
        *,
        evaluate: Callable[[PrecisionPlan], float] | None = None,
        labelled: tuple[np.ndarray, np.ndarray] | None = None,
        seed: int = 0,
        progress: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        fixed: FixedWidths | None = None,
        refine: Callable[[PrecisionPlan], PrecisionPlan] | None = None,
        **parameters: Any,
    ) -> PrecisionPlan:
        """Searches; the same arguments give the same plan.

        Args:
          graph: the int8 model.
          calibration: statistics of its feature maps; None where all widths stay 8 bits.
          budget: what the plan must keep to.
          cost: measures plans of the model.
          evaluate: what a plan is worth, higher is better; None is the `Evaluator` of the labelled samples, or without
            them of the calibration samples.
          labelled: inputs [N, ...] of the model's type and labels int64 [N], none of which the result is judged on
            later.
          seed: of everything random.
          progress: bars on standard error.
          checkpoint: file of a long search's state; after a kill the same call goes on from it. It stays.
          fixed: widths set by hand.
          refine: chooses formats anew once all widths are known, before what makes up for them is found.
          **parameters: the search's flags, see `options.Options`; the rest have their defaults.

        Raises:
          UsageError, BudgetError: see `tflm_quantmcu.base.errors`; a flag of other searches is refused too.
        """
        refuse_unused(parameters, [self.name])
        options = Options.of({**parameters, **budget.flags, "seed": seed})
        problem = SearchProblem(
            graph=graph,
            calibration=calibration,
            budget=budget,
            cost=cost,
            settings=options,
            labelled=labelled,
            seed=seed,
            progress=progress,
            fixed=fixed or FixedWidths(),
        )
        if evaluate is None and labelled is not None:
            evaluate = Evaluator(graph, cost, *labelled)
        elif evaluate is None and calibration is not None:
            evaluate = Evaluator(graph, cost, calibration.samples)
        if evaluate is not None:
            problem = dataclasses.replace(problem, evaluate=evaluate)
        if checkpoint is not None:
            problem = dataclasses.replace(problem, checkpoint=Checkpoint(checkpoint, _key(self.name, problem)))
        return keep_accuracy(
            problem,
            functools.partial(self._found, refine=refine),
            self.knobs(problem),
            is_by_hand=has_widths_by_hand(problem, self.name),
            make_quickly=functools.partial(find_search("vdqs")._found, refine=refine) if self.judges else None,
            finish=problem.compensated,
        )

    def _found(
        self, problem: SearchProblem, *, refine: Callable[[PrecisionPlan], PrecisionPlan] | None
    ) -> PrecisionPlan:
        """The strategy's plan with the user's widths; nothing makes up for narrow ones yet."""
        plan = self.strategy(problem)
        if problem.settings.part(StageSettings).input == "streamed" and plan.streamed_input is None:
            raise UsageError(
                f"--input is streamed, and --search {self.name} made no patch stage that reads the input "
                f"({'; '.join(plan.notes)}); use another search, or leave the input resident"
            )
        return _with_fixed_widths(problem, plan, refine)


SEARCHES: dict[str, Search] = {
    search.name: search
    for search in (
        Search("uniform", within_sram(search_uniform), (UniformSettings, StageSettings)),
        Search("vdqs", within_sram(search_vdqs), (VdqsSettings, WeightCutSettings, StageSettings), vdqs_knobs),
        Search(
            "memory_driven",
            split_first(search_memory_driven, "memory_driven"),
            (MemoryDrivenSettings, WeightCutSettings, StageSettings),
            memory_driven_knobs,
        ),
        Search(
            "rl", split_first(search_rl, "rl"), (RlSettings, WeightCutSettings, StageSettings), split_knobs, judges=True
        ),
        Search(
            "hybrid",
            split_first(search_hybrid, "hybrid"),
            (HybridSettings, MemoryDrivenSettings, WeightCutSettings, StageSettings),
            split_knobs,
            judges=True,
        ),
    )
}


def find_search(name: str) -> Search:
    """The search of that name.

    Raises:
      UsageError: there is none.
    """
    if name not in SEARCHES:
        raise UsageError(
            f"--search is {name}; supported are {', '.join(sorted(SEARCHES))}{did_you_mean(name, SEARCHES)}"
        )
    return SEARCHES[name]


def refuse_unused(given: Mapping[str, Any], searches: Sequence[str]) -> None:
    """Refuses flags that only other searches use, since they would change nothing.

    Args:
      given: flag -> value, of what the user set; None is not set.
      searches: names of those that will run.

    Raises:
      UsageError: there is one; the sentence names it and who uses it.
    """
    for flag in (name for name, value in given.items() if value is not None):
        users = [search.name for search in SEARCHES.values() if flag in search.own_flags]
        if users and not set(users) & set(searches):
            raise UsageError(
                f"--{flag} is used by --search {' and '.join(users)} alone, not by {' or '.join(searches)}; "
                "drop the flag or use another search"
            )


def finish_plan(problem: SearchProblem, plan: PrecisionPlan, *, is_new: bool = False) -> PrecisionPlan:
    """Any plan with the user's fixed widths, and with layer names for who reads it.

    What makes up for widths below 8 bits is found where the plan is new or its widths were changed; else it stays.
    """
    changed = _with_fixed_widths(problem, plan)
    return problem.compensated(changed) if is_new or _widths(changed) != _widths(plan) else changed


def _with_fixed_widths(
    problem: SearchProblem, plan: PrecisionPlan, refine: Callable[[PrecisionPlan], PrecisionPlan] | None = None
) -> PrecisionPlan:
    """The plan with the user's widths and layer names; `refine` see `Search`."""
    changed = override_plan(problem.graph, plan, problem.fixed, problem.format_of)
    if refine is not None:
        changed = refine(changed)
    return dataclasses.replace(changed, layers=problem.graph.derived(layer_names))


def _widths(plan: PrecisionPlan) -> tuple[Any, ...]:
    """All that compensation makes up for."""
    return plan.formats, plan.weight_bits, [c.formats for stage in plan.stages for c in stage.classes]


def _key(name: str, problem: SearchProblem) -> dict[str, Any]:
    """All that decides the result of a search."""
    return {
        "model": problem.graph.sha256,
        "search": problem.provenance(name),
        "budget": dataclasses.asdict(problem.budget),
        "overrides": dataclasses.asdict(problem.fixed),
        "costs": dict(problem.cost.key),
        "evaluation_data": digest(*problem.labelled) if problem.labelled else None,
    }
