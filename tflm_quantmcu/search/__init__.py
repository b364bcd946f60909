"""Searches for bit widths, by name; each turns a SearchProblem into a PrecisionPlan."""

from __future__ import annotations

from tflm_quantmcu.errors import UsageError
from tflm_quantmcu.search.problem import Search, SearchProblem
from tflm_quantmcu.search.uniform import search_uniform
from tflm_quantmcu.search.vdqs import search_vdqs
from tflm_quantmcu.types import PrecisionPlan

SEARCHES: dict[str, Search] = {"uniform": search_uniform, "vdqs": search_vdqs}


def run_search(name: str, problem: SearchProblem) -> PrecisionPlan:
    """Runs the search called `name`.

    Raises:
      UsageError: there is no such search.
    """
    if name not in SEARCHES:
        raise UsageError(f"--search is '{name}'; supported are {', '.join(sorted(SEARCHES))}")
    return SEARCHES[name](problem)
