"""Where feature maps and kernels' scratch stand in the arena of emitted code.

In: a ModelGraph and its calls. Out: MemoryPlan, by the planner that also pins the offsets of a `.tflite`. A reshape's
output is its input, and patch stages (`arena/overlap.py`) and ops that work in place (`arena/in_place.py`) may write
over theirs; nothing else shares bytes with what is alive at the same time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tflm_quantmcu.arena.plan import plan_arena
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.law.kernel_calls import KernelCall


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
    """Offsets in bytes, multiples of 16.

    Attributes:
      sources: tensor index -> the tensor whose bytes it is: itself, or what its reshapes began with.
      offsets: of those tensors that are used and not constant.
      scratch: [op], of the op's calls.
      arena_bytes: of all.
    """

    sources: Mapping[int, int]
    offsets: Mapping[int, int]
    scratch: tuple[int, ...]
    arena_bytes: int

    def offset(self, tensor: int) -> int | None:
        """Where a tensor stands; None for constants."""
        return self.offsets.get(self.sources[tensor])


def plan_memory(graph: ModelGraph, calls: Sequence[Sequence[KernelCall]]) -> MemoryPlan:
    """Places all maps and scratch.

    Args:
      graph: the model.
      calls: of each op.

    Raises:
      UnsupportedModelError: an output is a constant, or keeps its values from one inference to the next.
    """
    sources = _sources(graph)
    for t in graph.outputs:
        if graph.tensors[sources[t]].is_constant:
            raise UnsupportedModelError(f"output '{graph.tensors[t].label}' is a constant; supported are feature maps")
    for tensor in graph.tensors:
        if tensor.is_variable:
            raise UnsupportedModelError(f"'{tensor.label}' is a variable tensor; supported are models without a state")
    scratch_bytes = [max((c.scratch_bytes or 0 for c in group), default=0) for group in calls]
    plan = plan_arena(graph, [(n,) for n in scratch_bytes], sources=sources)
    return MemoryPlan(
        sources=sources,
        offsets=plan.offsets,
        scratch=tuple(b.offset for b in plan.buffers if not b.tensors),
        arena_bytes=plan.arena_bytes,
    )


def _sources(graph: ModelGraph) -> dict[int, int]:
    sources = {tensor.index: tensor.index for tensor in graph.tensors}
    for op in graph.ops:
        if op.traits.is_reshape:
            sources[op.outputs[0]] = sources[op.inputs[0]]
    return sources
