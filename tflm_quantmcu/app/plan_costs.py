"""Measures plans of one model: bytes as converted, and work."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from tflm_quantmcu.arena.predict import arena_by_variant
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.cost.instructions import InstructionTable, load_table
from tflm_quantmcu.cost.network_cost import Cost
from tflm_quantmcu.cost.plan_work import work_of
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.problem import PlanBytes
from tflm_quantmcu.tflite.model_file import ModelFile


@dataclasses.dataclass(frozen=True, eq=False)
class PlanCosts:
    """What searches ask about plans of one model.

    Attributes:
      model: the int8 `.tflite`.
      core: cortex-m4, ...: whose instructions are estimated.
      strip_metadata: as of `convert`.
    """

    model: ModelFile
    core: str = "cortex-m4"
    strip_metadata: bool = False
    _latest: list[tuple[PrecisionPlan, ModelFile]] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def table(self) -> InstructionTable:
        """Instructions as measured on the core."""
        return load_table(self.core.removeprefix("cortex-"))

    @property
    def key(self) -> dict[str, Any]:
        return {"core": self.core, "strip_metadata": self.strip_metadata}

    def convert(self, plan: PrecisionPlan) -> ModelFile:
        """The converted model; that of the latest plan is kept."""
        for known, converted in self._latest:
            if known == plan:
                return converted
        # Parsed from what was written, not from the tree that it was written of: this is what runs.
        converted = ModelFile(convert_model(self.model, plan, strip_metadata=self.strip_metadata))
        self._latest[:] = [(plan, converted)]
        return converted

    def bytes_of(self, plan: PrecisionPlan) -> PlanBytes:
        """What the converted model takes."""
        converted = self.convert(plan)
        return PlanBytes(max(converted.graph.derived(arena_by_variant).values()), len(converted.data))

    def work_of(self, plan: PrecisionPlan) -> Cost:
        return work_of(self.model.graph, plan, self.table)
