"""Splits of a network, and what a search for one found."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.graph.layer_names import layers_of_ops
from tflm_quantmcu.graph.precision_plan import StagePlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.planned_stage import PlannedStage


@dataclasses.dataclass(frozen=True)
class Split:
    """One way to run the network.

    Attributes:
      stages: in execution order.
      arena_bytes: non-persistent arena of the whole network, with the kernels that take the most.
      macs: of the whole network, recomputation included.
      base_macs: of the network unsplit.
      binding: the op or stage that holds the most, for messages.
      slowdown: estimated cycles over those of the network unsplit; None where MACs are what counts.
    """

    stages: tuple[PlannedStage, ...]
    arena_bytes: int
    macs: int
    base_macs: int
    binding: str
    slowdown: float | None = None

    @property
    def work_ratio(self) -> float:
        """Work over that of the network unsplit."""
        return self.macs_ratio if self.slowdown is None else self.slowdown

    @property
    def work_text(self) -> str:
        if self.slowdown is None:
            return f"{self.macs_ratio:.2f} times the MACs"
        return f"{self.slowdown:.2f} times the estimated cycles"

    @property
    def extra_macs(self) -> int:
        return self.macs - self.base_macs

    @property
    def macs_ratio(self) -> float:
        return self.macs / max(self.base_macs, 1)

    def plans(self, graph: ModelGraph) -> tuple[StagePlan, ...]:
        """The stages with all patches in one class at the model's own formats."""
        return tuple(
            dataclasses.replace(stage.plan(graph), layers=layers_of_ops(graph, sorted(stage.ops)))
            for stage in self.stages
        )


@dataclasses.dataclass(frozen=True)
class StageSearch:
    """What the planner found.

    Attributes:
      baseline_arena_bytes: of the unsplit network.
      best: the split to use, or None: leave the graph alone.
      smallest: where no bound on the arena is met the split with the smallest that the bound on work allows, or None
        when nothing can be split.
      reason: one sentence with the numbers behind `best`.
    """

    baseline_arena_bytes: int
    best: Split | None
    smallest: Split | None
    reason: str

    @property
    def smallest_arena_bytes(self) -> int:
        smallest = self.smallest.arena_bytes if self.smallest else self.baseline_arena_bytes
        return min(smallest, self.baseline_arena_bytes)
