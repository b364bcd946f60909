"""Searches for bit widths, by name; each turns a SearchProblem into a PrecisionPlan."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.errors import UsageError
from tflm_quantmcu.layer_names import layer_names
from tflm_quantmcu.search.memory_driven import search_memory_driven
from tflm_quantmcu.search.overrides import override_plan
from tflm_quantmcu.search.problem import Search, SearchProblem
from tflm_quantmcu.search.uniform import search_uniform
from tflm_quantmcu.search.vdqs import search_vdqs
from tflm_quantmcu.types import PrecisionPlan

SEARCHES: dict[str, Search] = {
    "uniform": search_uniform,
    "vdqs": search_vdqs,
    "memory_driven": search_memory_driven,
}


def run_search(name: str, problem: SearchProblem) -> PrecisionPlan:
    """Runs the search called `name`, then sets the widths that the user fixed.

    Raises:
      UsageError: there is no such search, or it has no patch stage to stream the input to.
    """
    if name not in SEARCHES:
        raise UsageError(f"--search is '{name}'; supported are {', '.join(sorted(SEARCHES))}")
    plan = SEARCHES[name](problem)
    if problem.parameters["input"] == "streamed" and plan.streamed_input is None:
        raise UsageError(
            f"--input is streamed, and --search {name} made no patch stage that reads the input "
            f"({'; '.join(plan.notes)}); use another search, or leave the input resident"
        )
    return finish_plan(problem, plan)


def finish_plan(problem: SearchProblem, plan: PrecisionPlan) -> PrecisionPlan:
    """Any plan with the user's fixed widths, and with layer names for who reads it."""
    plan = override_plan(problem.graph, plan, problem.fixed, problem.format_of)
    return dataclasses.replace(plan, layers=layer_names(problem.graph))
