"""What a search is given, and the parts that all searches share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.errors import BudgetError, UsageError
from tflm_quantmcu.stages import StageSearch
from tflm_quantmcu.types import Budget, CalibrationResult, ModelGraph, PrecisionPlan, TensorStats


@dataclasses.dataclass(frozen=True, eq=False)
class SearchProblem:
    """Input of a search.

    Attributes:
      graph: the int8 model.
      budget: bytes that the plan must keep.
      calibration: statistics of the model's feature maps, or None.
      samples_of: tensor index -> int8 [N, H, W, C], that map's values for the calibration samples.
      parameters: the search's own flags by name.
    """

    graph: ModelGraph
    budget: Budget
    calibration: CalibrationResult | None
    samples_of: Callable[[int], np.ndarray]
    parameters: Mapping[str, Any]

    def stats(self, name: str) -> TensorStats:
        """Calibration statistics of a feature map.

        Raises:
          UsageError: there is no calibration, or it does not know the tensor.
        """
        if self.calibration is None:
            raise UsageError("widths below 8 bits need calibration: pass --calibration_data or --calibration")
        if name not in self.calibration.stats:
            raise UsageError(f"the calibration has no statistics of tensor '{name}'; calibrate this model anew")
        return self.calibration.stats[name]

    def provenance(self, method: str, **found: Any) -> dict[str, Any]:
        """The plan's `search` entry."""
        return {"method": method, **self.parameters, **found}

    def over_budget(self, found: StageSearch, smallest_bytes: int | None = None) -> BudgetError:
        """The refusal of a budget that no split reaches."""
        smallest = min(found.smallest_arena_bytes, smallest_bytes or found.smallest_arena_bytes)
        return BudgetError(
            f"--sram_bytes is {self.budget.sram_bytes:,} and the smallest arena reached is {smallest:,} bytes "
            f"({found.reason}); raise --sram_bytes or shrink the model's input or channels"
        )


Search = Callable[[SearchProblem], PrecisionPlan]
