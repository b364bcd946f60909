"""Where feature maps and kernels' scratch stand in the arena of emitted code.

In: a ModelGraph and its calls. Out: MemoryPlan, by the planner that also pins the offsets of a `.tflite`. A reshape's
output is its input, and patch stages (`arena/overlap.py`) and ops that work in place (`arena/in_place.py`) may write
over theirs; nothing else shares bytes with what is alive at the same time. What keeps its values from one inference to
the next stands behind all else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tflm_quantmcu.arena.plan import plan_arena
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.law.kernel_calls import KernelCall
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align


@dataclasses.dataclass(frozen=True)
class State:
    """What keeps its values from one inference to the next; `value` is each byte's before the first."""

    offset: int
    num_bytes: int
    value: int


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
    """Offsets in bytes, multiples of 16.

    Attributes:
      sources: tensor index -> the tensor whose bytes it is: itself, or what its reshapes began with.
      offsets: of those tensors that are used and not constant.
      scratch: [op], of the op's calls.
      states: the last bytes of the arena.
      arena_bytes: of all.
    """

    sources: Mapping[int, int]
    offsets: Mapping[int, int]
    scratch: tuple[int, ...]
    states: tuple[State, ...]
    arena_bytes: int

    @property
    def state_bytes(self) -> int:
        """All states and the gaps between them."""
        return self.arena_bytes - min((s.offset for s in self.states), default=self.arena_bytes)

    def offset(self, tensor: int) -> int | None:
        """Where a tensor stands; None for constants."""
        return self.offsets.get(self.sources[tensor])


def plan_memory(graph: ModelGraph, calls: Sequence[Sequence[KernelCall]]) -> MemoryPlan:
    """Places all maps and scratch.

    Args:
      graph: the model.
      calls: of each op.

    Raises:
      UnsupportedModelError: an output is a constant.
    """
    sources = _sources(graph)
    for t in graph.outputs:
        if graph.tensors[sources[t]].is_constant:
            raise UnsupportedModelError(f"output '{graph.tensors[t].label}' is a constant; supported are feature maps")
    scratch_bytes = [max((c.scratch_bytes or 0 for c in group), default=0) for group in calls]
    plan = plan_arena(graph, [(n,) for n in scratch_bytes], sources=sources)
    states, arena_bytes = _states(graph, align(plan.arena_bytes, ARENA_ALIGNMENT))
    return MemoryPlan(
        sources=sources,
        offsets={**plan.offsets, **{t: state.offset for t, state in states.items()}},
        scratch=tuple(b.offset for b in plan.buffers if not b.tensors),
        states=tuple(states.values()),
        arena_bytes=arena_bytes if states else plan.arena_bytes,
    )


def _states(graph: ModelGraph, end: int) -> tuple[dict[int, State], int]:
    """(variable tensor -> its state, from `end` on; where the last ends). Source of the first values: ResetTensorData
    of TFLM's micro_interpreter_graph.cc."""
    states = {}
    for tensor in graph.tensors:
        if tensor.is_variable:
            value = tensor.zero_points[0] if tensor.dtype == "int8" and tensor.zero_points else 0
            states[tensor.index] = State(end, tensor.num_bytes, value)
            end = align(end + tensor.num_bytes, ARENA_ALIGNMENT)
    return states, end


def _sources(graph: ModelGraph) -> dict[int, int]:
    sources = {tensor.index: tensor.index for tensor in graph.tensors}
    for op in graph.ops:
        if op.traits.is_reshape:
            sources[op.outputs[0]] = sources[op.inputs[0]]
    return sources
