"""What the splits of one model take: arena, and work by the programs of their stages.

In: a PlannedModel, the tables of a core, stages. Out: Splits, their arenas and their costs.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from tflm_quantmcu.cost import network_cost
from tflm_quantmcu.cost.calls import stage_calls
from tflm_quantmcu.cost.instructions import InstructionTable
from tflm_quantmcu.graph.layer_names import layers_of_ops
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.planned_stage import PlannedStage
from tflm_quantmcu.patches.split import Split
from tflm_quantmcu.patches.tile_times import TileTimes


class SplitCosts:
    """What splits of a model take; each figure of a stage, and each arena, is found once.

    Attributes:
      times: what is minimised, or None where that is MACs.
      base_work: [op] of that, by itself.
    """

    def __init__(self, model: PlannedModel, table: InstructionTable | None, bits: Mapping[str, int]):
        """Work is cycles by the table, or without one MACs; `bits` are the widths of maps outside stages."""
        self._model, self._graph = model, model.graph
        self._base_macs = sum(model.base_macs)
        # What is minimised, and beside it what a bound on work is kept in too.
        self._figures = [TileTimes(figure) for figure in ((table.cycles or table, table) if table else ())]
        self.times = self._figures[0] if self._figures else None
        ops = self._graph.ops
        self._base_figures = [[times.of_graph(self._graph, bits, op.index) for op in ops] for times in self._figures]
        self.base_work: Sequence[float] = self._base_figures[0] if self.times else model.base_macs
        self._arenas: dict[tuple[PlannedStage, ...], tuple[int, int]] = {}
        self._stage_figures: dict[PlannedStage, list[float]] = {}

    @functools.cached_property
    def total_work(self) -> float:
        """Work of the network unsplit."""
        return sum(self.base_work)

    @functools.cached_property
    def baseline_arena_bytes(self) -> int:
        """Bytes of the unsplit network, its input resident."""
        return self._arena_of(())

    def keeps(self, stages: Sequence[PlannedStage], max_ratio: float | None) -> bool:
        """Whether they keep a bound on work."""
        return not self.times or max_ratio is None or max(self.slowdowns(stages)) <= max_ratio

    def slowdowns(self, stages: Sequence[PlannedStage]) -> list[float]:
        """Cycles over those of the network unsplit, by the programs of the stages; then the same of instructions."""
        inside = {index for stage in stages for index in stage.ops}
        ratios = []
        for figure, base in enumerate(self._base_figures):
            outside = sum(n for index, n in enumerate(base) if index not in inside)
            split = sum(self.figures_of(stage)[figure] for stage in stages)
            ratios.append((outside + split) / max(sum(base), 1))
        return ratios

    def figures_of(self, stage: PlannedStage) -> list[float]:
        """Cycles and instructions of a stage; nothing where MACs are what counts."""
        if stage not in self._stage_figures:
            program = stage.program(self._model)
            calls = stage_calls(program)
            self._stage_figures[stage] = [times.of_stage(program, calls) for times in self._figures]
        return self._stage_figures[stage]

    def split_of(self, stages: Sequence[PlannedStage], *, enough: int = 0) -> Split:
        """The split of these stages; `enough` as of `network_cost.arena_of`."""
        inside = {index for stage in stages for index in stage.ops}
        held = [(stage.live_bytes, f"the stage up to {self._label(stage.ops[-1])}") for stage in stages]
        held += [
            (self._model.unsplit_bytes[op.index], f"{op.kind} {self._label(op.index)}")
            for op in self._graph.ops
            if op.index not in inside
        ]
        _, binding = max(held, key=lambda entry: entry[0])
        macs = self._base_macs + sum(stage.extra_macs for stage in stages)
        slowdown = self.slowdowns(stages)[0] if self.times else None
        split = Split(tuple(stages), 0, macs, self._base_macs, binding, slowdown)
        return dataclasses.replace(split, arena_bytes=self._arena_within(split, enough))

    def _arena_within(self, split: Split, enough: int) -> int:
        """What `arena_of` gives; what met so many bytes, or did not, is not placed again."""
        least, exceeds = self._arenas.get(split.stages, (1 << 62, 0))  # and the most bytes that are too few
        if not 0 < enough <= exceeds and not least <= enough:
            least = min(least, self.arena_of(split, [s.scratch_bytes for s in split.stages], enough=enough))
            self._arenas[split.stages] = least, max(exceeds, enough * (least > enough))
        return least

    def in_smallest_places(self, split: Split) -> Split:
        """The same, its arena as small as can be found, not only within a bound."""
        smallest = self.arena_of(split, [s.scratch_bytes for s in split.stages])
        return dataclasses.replace(split, arena_bytes=min(split.arena_bytes, smallest))

    def arena_of(self, split: Split, scratch_bytes: Sequence[tuple[int, ...]], *, enough: int = 0) -> int:
        """The arena of a split whose stages take this much scratch [stage][variant]; `enough` as of
        `network_cost.arena_of`."""
        stages = [
            dataclasses.replace(s.placed, scratch_bytes=n) for s, n in zip(split.stages, scratch_bytes, strict=True)
        ]
        return self._arena_of(stages, tensor_bytes=self._model.all_bytes, enough=enough)

    def _arena_of(self, stages: Sequence[network_cost.PlacedStage], **options: Any) -> int:
        model = self._model
        return network_cost.arena_of(
            self._graph, stages, variants=model.variants, stock_kernels=model.stock_kernels, **options
        )

    def cost_of(self, split: Split, table: InstructionTable) -> network_cost.Cost:
        """Work of a split, by the table of a core."""
        programs = [(stage.ops, stage.program(self._model)) for stage in split.stages]
        return network_cost.cost_of(self._graph, programs, map_bits=self._model.map_bits, table=table)

    def _label(self, op: int) -> str:
        return f"'{layers_of_ops(self._graph, [op])[0]}'"
