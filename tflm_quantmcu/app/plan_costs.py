"""Measures plans of one model: bytes as converted, and work."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from tflm_quantmcu.app.code_size import MODEL, TOTAL, code_bytes, counted_flash
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
from tflm_quantmcu.graph.target import TFLM, WORST_CORE, Target, has_faster_kernels
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT
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
      strip_metadata, keep_stock_ops, flash_bytes: as of `convert`.
      flash_scope: of the flash, what counts.
    """

    model: ModelFile
    target: Target = WORST_CORE
    sram_scope: str = NONPERSISTENT
    sram_bytes: int | None = None
    strip_metadata: bool = False
    keep_stock_ops: bool = False
    flash_bytes: int | None = None
    flash_scope: str = MODEL
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
            "keep_stock_ops": self.keep_stock_ops,
            "flash_scope": self.flash_scope,
        }

    def convert(self, plan: PrecisionPlan) -> ModelFile:
        """The converted model; that of the latest plan is kept."""
        decided = plan.without_scores()
        for known, converted in self._latest:
            if known == decided:
                return converted
        keeps = self.keep_stock_ops or self.sram_scope == NONPERSISTENT  # ops of ours save bytes beside maps alone
        converted = self._converted(plan, keeps)
        if not keeps and not self._gains_surely(converted):
            stock = self._converted(plan, True)
            if stock.data != converted.data:  # else no op became ours
                converted = min(stock, converted, key=self._rank)
        self._latest[:] = [(decided, converted)]
        return converted

    def _converted(self, plan: PrecisionPlan, keep_stock_ops: bool) -> ModelFile:
        pins_count = self.target.runtime == TFLM and self.sram_bytes is not None
        data = convert_model(
            self.model,
            plan,
            strip_metadata=self.strip_metadata,
            target=self.target,
            keep_stock_ops=keep_stock_ops,
            fits=self._fits if pins_count else None,
        )
        return ModelFile(data)  # parsed from what was written, not from the tree that it was written of

    def _gains_surely(self, converted: ModelFile) -> bool:
        """Whether ops that became ours cannot have made anything larger.

        What they save counts where TFLM needs no more than it keeps and plans; their tables may take more flash.
        """
        found = self._arena(converted.graph)
        is_planned = found.reserved_bytes <= found.nonpersistent_bytes + found.persistent_bytes + 2 * ARENA_ALIGNMENT
        is_small = self.flash_bytes is None or self._flash(converted) <= self.flash_bytes
        return not has_faster_kernels(self.target) or (is_planned and is_small)

    def _rank(self, converted: ModelFile) -> tuple[bool, int, int]:
        num_bytes = self._flash(converted)
        is_too_large = self.flash_bytes is not None and num_bytes > self.flash_bytes
        return is_too_large, self._arena(converted.graph).counted(self.sram_scope), num_bytes

    def bytes_of(self, plan: PrecisionPlan) -> PlanBytes:
        """What the converted model takes."""
        converted = self.convert(plan)
        found = self._arena(converted.graph)
        counted = found.counted(self.sram_scope)
        losses = sum(pinned - own for pinned, own in losses_by_variant(converted.graph, self.target).values())
        return PlanBytes(counted, self._flash(converted), counted - found.nonpersistent_bytes, losses)

    def _flash(self, converted: ModelFile) -> int:
        """The bytes of flash that count."""
        code = code_bytes(converted.graph, self.target) if self.flash_scope == TOTAL else None
        return counted_flash(len(converted.data), code, self.flash_scope)

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

    def within(self, sram_bytes: int | None) -> PlanCosts:
        return dataclasses.replace(self, sram_bytes=sram_bytes, _latest=[])

    def work_of(self, plan: PrecisionPlan) -> Cost:
        return work_of(self.model.graph, plan, self.table)
