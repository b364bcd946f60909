"""MicroInterpreter::AllocateTensors replayed: what TFLM's arena keeps, and the least arena in which it succeeds.

In: a ModelGraph, stock or converted, a Machine, a variant of our kernels and whose kernels run the ops that stay
TFLite's own. Out: bytes, counted allocation by allocation: persistent ones from the arena's end downwards, the others
from its begin upwards. TFLM needs more to prepare than it uses afterwards where the tables of its memory planner, or
the temporary tensors of one kernel's Prepare, take more than the plan that they make.
Source: MicroAllocator, AllocationInfoBuilder, GreedyMemoryPlanner and the kernels' Init and Prepare at the pinned
version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tflm_quantmcu.arena.machine import Machine
from tflm_quantmcu.arena.predict import op_scratch_bytes, placed_bytes, predict_arena
from tflm_quantmcu.arena.prepare_steps import prepare_steps
from tflm_quantmcu.graph.subgraphs import all_ops, parts_of
from tflm_quantmcu.graph.target import QUANTMCU, REFERENCE
from tflm_quantmcu.graph.types import ModelGraph, Tensor
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align

_WORD = 4  # of C's int
_REQUESTS_AN_OP = 12  # kMaxScratchBuffersPerOp: room for so many is kept while an op prepares
_PLANNED_BUFFER = 40  # GreedyMemoryPlanner::per_buffer_size()


@dataclasses.dataclass(frozen=True)
class PersistentBytes:
    """What the persistent arena consists of, padding where it arises.

    Attributes:
      interpreter: allocators, and the TfLiteTensors of the model's inputs and outputs.
      eval_tensors, nodes: one a tensor and one an op.
      op_data: of kernels, their options, channel tables and handles of scratch buffers.
    """

    interpreter: int
    eval_tensors: int
    nodes: int
    op_data: int

    @property
    def total(self) -> int:
        return self.interpreter + self.eval_tensors + self.nodes + self.op_data


@dataclasses.dataclass(frozen=True)
class Allocation:
    """What AllocateTensors takes.

    Attributes:
      persistent: what stays.
      needed_bytes: the least arena, a multiple of 16 on a multiple of 16, in which it succeeds.
      is_exact: whether the data of every op is known, of this version of TFLM; else both may leave something out.
    """

    persistent: PersistentBytes
    needed_bytes: int
    is_exact: bool


def persistent_bytes(
    graph: ModelGraph, machine: Machine, variant: str = REFERENCE, stock_kernels: str = QUANTMCU
) -> PersistentBytes | None:
    """The persistent part of an arena whose end is on a multiple of 16; None where an op's data is not known.

    Args:
      graph: the model.
      machine: sizes of TFLM's structs on the core.
      variant: of our kernels.
      stock_kernels: what runs stock ops, one of STOCK_KERNELS.

    Raises:
      UnsupportedModelError: an op whose scratch is not known.
    """
    found = replay_allocation(graph, machine, variant, stock_kernels)
    return found.persistent if found.is_exact else None


def replay_allocation(
    graph: ModelGraph, machine: Machine, variant: str = REFERENCE, stock_kernels: str = QUANTMCU
) -> Allocation:
    """Allocates all that AllocateTensors does, in its order.

    Args:
      graph: the model.
      machine: whose structs.
      variant: of our kernels, which decides how much scratch they request.
      stock_kernels: of the ops that stay TFLite's own, one of STOCK_KERNELS.

    Raises:
      UnsupportedModelError: an op whose scratch is not known.
    """
    machine = machine.with_kernels(stock_kernels)
    arena = _Arena(machine)
    num_requests = _prepare(graph, machine, variant, stock_kernels, arena)
    arena.keep("op_data", machine.pointer * num_requests)
    _plan(graph, machine, num_requests, arena)
    arena.resize(predict_arena(graph, variant, stock_kernels))
    for ends in (graph.inputs, graph.outputs):
        arena.keep_array("interpreter", machine.pointer * len(ends))
        for t in ends:
            for num_bytes, alignment in _tensor_parts(graph.tensors[t], machine):
                arena.keep("interpreter", num_bytes, alignment)
    is_exact = machine.is_measured and all(op.kind in machine.known for _, op in all_ops(graph))
    return Allocation(PersistentBytes(**arena.kept), align(arena.most, ARENA_ALIGNMENT), is_exact)


class _Arena:
    """The arena from both ends; `most` is the largest sum of them so far."""

    def __init__(self, machine: Machine) -> None:
        self._tail = self._head = self._temporary = self.most = 0
        self._pointer = machine.pointer
        self.kept = dict.fromkeys((f.name for f in dataclasses.fields(PersistentBytes)), 0)

    def keep(self, part: str, num_bytes: int, alignment: int | None = None) -> None:
        """A persistent allocation; one of no bytes is none."""
        if num_bytes:
            self._keep_until(part, align(self._tail + num_bytes, alignment or self._pointer))

    def keep_array(self, part: str, num_bytes: int) -> None:
        """Keeps, like `keep`, an array on a multiple of 16; TFLM allocates an array of no bytes too, and pads for
        it."""
        self._keep_until(part, align(self._tail + num_bytes, ARENA_ALIGNMENT))

    def _keep_until(self, part: str, end: int) -> None:
        self.kept[part] += end - self._tail
        self._tail = end
        self._count()

    def borrow(self, num_bytes: int, alignment: int) -> None:
        """A temporary allocation, which stays until `resize`."""
        self._temporary = align(self._temporary, alignment) + num_bytes
        self._count()

    def resize(self, num_bytes: int) -> None:
        """Gives all that is temporary back; the buffer at the begin takes so much."""
        self._head = self._temporary = num_bytes
        self._count()

    def align_tail(self) -> int:
        """Padding between what is kept and the next multiple of 16 below it."""
        return align(self._tail, ARENA_ALIGNMENT) - self._tail

    def _count(self) -> None:
        self.most = max(self.most, self._tail + self._temporary)


def _prepare(graph: ModelGraph, machine: Machine, variant: str, stock_kernels: str, arena: _Arena) -> int:
    """All up to the planning of memory; returns how many scratch buffers were requested."""
    for num_bytes in machine.allocators:
        arena.keep("interpreter", num_bytes)
    arena.keep("interpreter", machine.builtin_allocator)
    arena.resize(machine.scratch_request * _REQUESTS_AN_OP)
    parts, ops = parts_of(graph), list(all_ops(graph))
    arena.keep("interpreter", machine.subgraph * len(parts))
    for part in parts:
        arena.keep("eval_tensors", machine.eval_tensor * len(part.tensors))
    for part in parts:
        arena.keep("nodes", machine.node * len(part.ops))
    for _, op in ops:
        arena.keep("op_data", *machine.options.get(op.kind, (0, 1)))
    for _, op in ops:
        arena.keep("op_data", machine.op_data.get(op.kind, 0), ARENA_ALIGNMENT)
    num_requests = 0
    for part, op in ops:
        for step in prepare_steps(part, op, variant, stock_kernels):
            if isinstance(step, Tensor):
                for num_bytes, alignment in _tensor_parts(step, machine):
                    arena.borrow(num_bytes, alignment)
            else:
                arena.keep("op_data", step, ARENA_ALIGNMENT)
        num_requests += sum(n > 0 for n in op_scratch_bytes(part, op, variant, stock_kernels))
        arena.resize(machine.scratch_request * (num_requests + _REQUESTS_AN_OP))
    return num_requests


def _plan(graph: ModelGraph, machine: Machine, num_requests: int, arena: _Arena) -> None:
    """Plans memory: a lifetime each tensor and request, and the planner's tables of the buffers that it places."""
    parts = parts_of(graph)
    arena.borrow(machine.pointer * len(parts), machine.pointer)
    num_tensors = sum(len(part.tensors) for part in parts)
    arena.borrow(machine.allocation_info * (num_tensors + num_requests), machine.pointer)
    for part in parts:
        for tensor in part.tensors:
            if tensor.is_variable and not (part.offline_offsets and part.offline_offsets[tensor.index] != -1):
                arena.keep("op_data", tensor.num_bytes, ARENA_ALIGNMENT)
    num_buffers = sum(n > 0 for part in parts for n in placed_bytes(part)) + num_requests
    arena.borrow(_PLANNED_BUFFER * num_buffers + arena.align_tail(), ARENA_ALIGNMENT)


def _tensor_parts(tensor: Tensor, machine: Machine) -> Iterator[tuple[int, int]]:
    """(bytes, alignment) of the allocations that a TfLiteTensor consists of."""
    yield machine.tensor, machine.pointer
    if channels := len(tensor.scales):
        yield machine.quantization, machine.pointer
        yield _WORD * (1 + channels), _WORD
