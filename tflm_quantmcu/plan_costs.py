"""Measures plans of one model: bytes as converted, and work."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.arena import predict_arena
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.reader import read_model
from tflm_quantmcu.cost import Cost
from tflm_quantmcu.instructions import InstructionTable
from tflm_quantmcu.plan_work import work_of
from tflm_quantmcu.search.problem import PlanBytes
from tflm_quantmcu.types import ModelGraph, PrecisionPlan


@dataclasses.dataclass(frozen=True, eq=False)
class PlanCosts:
    """What searches ask about plans of one model.

    Attributes:
      data: the int8 `.tflite`.
      graph: of it.
      table: of the core whose instructions are estimated.
      strip_metadata: as of `convert`.
    """

    data: bytes
    graph: ModelGraph
    table: InstructionTable
    strip_metadata: bool = False
    _converted: list[tuple[PrecisionPlan, bytes]] = dataclasses.field(default_factory=list)

    def convert(self, plan: PrecisionPlan) -> bytes:
        """The converted model; of the latest plan it is kept."""
        for known, converted in self._converted:
            if known == plan:
                return converted
        converted = convert_model(self.data, plan, strip_metadata=self.strip_metadata)
        self._converted[:] = [(plan, converted)]
        return converted

    def bytes_of(self, plan: PrecisionPlan) -> PlanBytes:
        converted = self.convert(plan)
        return PlanBytes(predict_arena(read_model(converted)), len(converted))

    def work_of(self, plan: PrecisionPlan) -> Cost:
        return work_of(self.graph, plan, self.table)
