"""Measures plans of one model: bytes as converted, and work."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from tflm_quantmcu.app.reserve import (
    NONPERSISTENT,
    ArenaBytes,
    arena_bytes_on,
    losses_by_variant,
    unknown_persistent_bytes,
)
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.cost.boards import time_text
from tflm_quantmcu.cost.instructions import InstructionTable, load_table
from tflm_quantmcu.cost.model_time import time_of_model
from tflm_quantmcu.cost.network_cost import Cost
from tflm_quantmcu.cost.plan_work import work_of
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import TFLM, WORST_CORE, Target
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.search.problem import PlanBytes
from tflm_quantmcu.tflite.model_file import ModelFile


@dataclasses.dataclass(frozen=True, eq=False)
class PlanCosts:
    """What searches ask about plans of one model.

    Attributes:
      model: the int8 `.tflite`.
      target: what the plans are for.
      sram_scope: of the arena, what counts.
      sram_bytes: bound on what counts, or None.
      strip_metadata: as of `convert`.
    """

    model: ModelFile
    target: Target = WORST_CORE
    sram_scope: str = NONPERSISTENT
    sram_bytes: int | None = None
    strip_metadata: bool = False
    _latest: list[tuple[PrecisionPlan, ModelFile]] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def table(self) -> InstructionTable:
        """Instructions as measured on the core."""
        return load_table(self.target.timed_core)

    @property
    def cycles(self) -> InstructionTable:
        """The same of documented cycles."""
        assert self.table.cycles
        return self.table.cycles

    @property
    def key(self) -> dict[str, Any]:
        return {
            "target": dataclasses.asdict(self.target),
            "sram_scope": self.sram_scope,
            "strip_metadata": self.strip_metadata,
        }

    def convert(self, plan: PrecisionPlan) -> ModelFile:
        """The converted model; that of the latest plan is kept."""
        for known, converted in self._latest:
            if known == plan:
                return converted
        pins_count = self.target.runtime == TFLM and self.sram_bytes is not None
        fits = self._fits if pins_count else None
        data = convert_model(self.model, plan, strip_metadata=self.strip_metadata, target=self.target, fits=fits)
        converted = ModelFile(data)  # parsed from what was written, not from the tree that it was written of
        self._latest[:] = [(plan, converted)]
        return converted

    def bytes_of(self, plan: PrecisionPlan) -> PlanBytes:
        """What the converted model takes."""
        converted = self.convert(plan)
        found = self._arena(converted.graph)
        counted = found.counted(self.sram_scope)
        losses = sum(pinned - own for pinned, own in losses_by_variant(converted.graph, self.target).values())
        return PlanBytes(counted, len(converted.data), counted - found.nonpersistent_bytes, losses)

    @functools.cached_property
    def _unknown_bytes(self) -> int:
        return unknown_persistent_bytes(self.model)

    def _arena(self, graph: ModelGraph) -> ArenaBytes:
        return arena_bytes_on(graph, self.target, unknown_bytes=self._unknown_bytes)

    def _fits(self, graph: ModelGraph) -> bool:
        return self.sram_bytes is None or self._arena(graph).counted(self.sram_scope) <= self.sram_bytes

    def time_text(self, plan: PrecisionPlan) -> str:
        """What an inference takes on the target's core and board, unsplit and as planned, in words."""
        graphs = (self.model.graph, self.convert(plan).graph)
        times = [time_of_model(graph, self.target, self.table) for graph in graphs]
        return time_text(self.target.timed_core, self.target.board, times)

    def work_of(self, plan: PrecisionPlan) -> Cost:
        return work_of(self.model.graph, plan, self.table)
