"""What a search is given, and the parts that all searches share."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from tflm_quantmcu.errors import BudgetError, UsageError
from tflm_quantmcu.progress import track
from tflm_quantmcu.ranges import mse_format
from tflm_quantmcu.search.overrides import FixedWidths
from tflm_quantmcu.stages import StageSearch
from tflm_quantmcu.types import Budget, CalibrationResult, Format, ModelGraph, PrecisionPlan, TensorStats

_Item = TypeVar("_Item")


@dataclasses.dataclass(frozen=True)
class PlanBytes:
    """What a plan costs once it is converted.

    Attributes:
      arena_bytes: non-persistent arena, as TFLM records it.
      flash_bytes: of the `.tflite`.
    """

    arena_bytes: int
    flash_bytes: int


@dataclasses.dataclass(frozen=True, eq=False)
class SearchProblem:
    """Input of a search.

    Attributes:
      graph: the int8 model.
      budget: bytes that the plan must keep.
      calibration: statistics of the model's feature maps, or None.
      samples_of: tensor index -> int8 [N, H, W, C], that map's values for the calibration samples.
      parameters: the search's own flags by name.
      bytes_of: converts a plan and measures.
      fixed: widths that the user set.
      progress: bars on standard error.
    """

    graph: ModelGraph
    budget: Budget
    calibration: CalibrationResult | None
    samples_of: Callable[[int], np.ndarray]
    parameters: Mapping[str, Any]
    bytes_of: Callable[[PrecisionPlan], PlanBytes]
    fixed: FixedWidths = dataclasses.field(default_factory=FixedWidths)
    progress: bool = False

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

    def format_of(self, name: str, bits: int) -> Format:
        """The format of a whole feature map with the least squared error; raises as `stats`."""
        stats = self.stats(name)
        return mse_format(stats.histogram, stats.format, bits)

    def track(self, items: Iterable[_Item], what: str, *, total: int | None = None) -> Iterable[_Item]:
        """The items with a progress bar."""
        return track(items, what, progress=self.progress, total=total)

    def provenance(self, method: str, **found: Any) -> dict[str, Any]:
        """The plan's `search` entry: the method and all that it depends on beside the model."""
        return {"method": method, **self.parameters, "calibration_sha256": self._calibration_sha256, **found}

    @functools.cached_property
    def _calibration_sha256(self) -> str | None:
        if self.calibration is None:
            return None
        samples = np.ascontiguousarray(self.calibration.samples)
        return hashlib.sha256(f"{samples.dtype} {samples.shape}".encode() + samples.tobytes()).hexdigest()

    @property
    def stage_bounds(self) -> dict[str, Any]:
        """What `plan_stages` must keep to."""
        return {
            "sram_bytes": self.budget.sram_bytes,
            "max_macs_ratio": self.parameters["max_macs_ratio"],
            "input_mode": self.parameters["input"],
        }

    def over_budget(self, found: StageSearch, smallest_bytes: int | None = None) -> BudgetError:
        """The refusal of a budget that no split reaches."""
        smallest = min(found.smallest_arena_bytes, smallest_bytes or found.smallest_arena_bytes)
        return BudgetError(
            f"--sram_bytes is {self.budget.sram_bytes:,} and the smallest arena reached is {smallest:,} bytes "
            f"({found.reason}); raise --sram_bytes or shrink the model's input or channels"
        )


Search = Callable[[SearchProblem], PrecisionPlan]
