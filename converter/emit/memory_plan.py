"""Where feature maps and kernels' scratch stand in the arena of emitted code.

In: a ModelGraph and its calls. Out: MemoryPlan, the smaller one of our planner's and TFLM's greedy one. A reshape's
output is its input; nothing else shares bytes with what is alive at the same time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tflm_quantmcu import memory
from tflm_quantmcu.arena import placed_bytes
from tflm_quantmcu.errors import UnsupportedModelError
from tflm_quantmcu.kernel_calls import KernelCall
from tflm_quantmcu.stock_ops import RESHAPES
from tflm_quantmcu.types import ModelGraph


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
    """Offsets in bytes, multiples of 16.

    Attributes:
      sources: tensor index -> the tensor whose bytes it is: itself, or what its reshapes began with.
      offsets: of those tensors that are not constant.
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
    maps = _maps(graph, sources)
    scratch_bytes = [max((c.scratch_bytes or 0 for c in group), default=0) for group in calls]
    scratch = [memory.Buffer(n, op + 1, op + 1) for op, n in enumerate(scratch_bytes)]
    buffers = [
        dataclasses.replace(b, num_bytes=memory.align(b.num_bytes, memory.ARENA_ALIGNMENT))
        for b in (*maps.values(), *scratch)
    ]
    tflm_order = sorted(range(len(buffers)), key=lambda i: (-buffers[i].num_bytes, -i))
    plans = (memory.place(buffers, alignment=memory.ARENA_ALIGNMENT), memory.first_fit(buffers, tflm_order))
    offsets = min(plans, key=lambda plan: memory.peak(buffers, plan))
    return MemoryPlan(
        sources=sources,
        offsets=dict(zip(maps, offsets, strict=False)),
        scratch=tuple(offsets[len(maps) :]),
        arena_bytes=memory.peak(buffers, offsets),
    )


def _sources(graph: ModelGraph) -> dict[int, int]:
    sources = {tensor.index: tensor.index for tensor in graph.tensors}
    for op in graph.ops:
        if op.kind in RESHAPES:
            sources[op.outputs[0]] = sources[op.inputs[0]]
    return sources


def _maps(graph: ModelGraph, sources: Mapping[int, int]) -> dict[int, memory.Buffer]:
    """Buffer of every tensor that has bytes of its own; time 0 is before the first op, which runs at 1."""
    times: dict[int, list[int]] = {}

    def use(tensor: int, time: int) -> None:
        if tensor >= 0 and not graph.tensors[sources[tensor]].is_constant:
            times.setdefault(sources[tensor], []).append(time)

    for t in graph.inputs:
        use(t, 0)
    for op in graph.ops:
        for t in (*op.inputs, *op.outputs):
            use(t, op.index + 1)
    for t in graph.outputs:
        use(t, len(graph.ops))
    num_bytes = placed_bytes(graph)
    return {t: memory.Buffer(num_bytes[t], min(used), max(used)) for t, used in times.items()}
