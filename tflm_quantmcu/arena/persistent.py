"""MicroInterpreter::AllocateTensors replayed: what TFLM's arena keeps, and the least arena in which it succeeds.

In: a ModelGraph, stock or converted, a Machine and a variant of our kernels. Out: bytes, counted allocation by
allocation: persistent ones from the arena's end downwards, the others from its begin upwards. TFLM needs more to
prepare than it uses afterwards where the tables of its memory planner, or the temporary tensors of one kernel's
Prepare, take more than the plan that they make.
Source: MicroAllocator, AllocationInfoBuilder, GreedyMemoryPlanner and the kernels' Init and Prepare at the pinned
version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from tflm_quantmcu.arena.machine import NO_DATA, Machine
from tflm_quantmcu.arena.predict import lowered_scratch_bytes, op_scratch_bytes, placed_bytes, predict_arena
from tflm_quantmcu.graph.target import REFERENCE
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align
from tflm_quantmcu.stage.custom_ops import PREFIX

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


def persistent_bytes(graph: ModelGraph, machine: Machine, variant: str = REFERENCE) -> PersistentBytes | None:
    """The persistent part of an arena whose end is on a multiple of 16; None where an op's data is not known.

    Raises:
      UnsupportedModelError: an op whose scratch is not known.
    """
    found = replay_allocation(graph, machine, variant)
    return found.persistent if found.is_exact else None


def replay_allocation(graph: ModelGraph, machine: Machine, variant: str = REFERENCE) -> Allocation:
    """Allocates all that AllocateTensors does, in its order.

    Args:
      graph: the model.
      machine: whose structs.
      variant: of our kernels, which decides how much scratch they request.

    Raises:
      UnsupportedModelError: an op whose scratch is not known.
    """
    arena = _Arena(machine)
    num_requests = _prepare(graph, machine, variant, arena)
    arena.keep("op_data", machine.pointer * num_requests)
    _plan(graph, machine, num_requests, arena)
    arena.resize(predict_arena(graph, variant))
    for ends in (graph.inputs, graph.outputs):
        arena.keep_array("interpreter", machine.pointer * len(ends))
        for t in ends:
            for num_bytes, alignment in _tensor_parts(graph.tensors[t], machine):
                arena.keep("interpreter", num_bytes, alignment)
    is_exact = machine.is_measured and all(op.kind in machine.op_data or op.kind in NO_DATA for op in graph.ops)
    return Allocation(PersistentBytes(**arena.kept), align(arena.most, ARENA_ALIGNMENT), is_exact)


def op_bytes(graph: ModelGraph, op: Op, machine: Machine) -> int:
    """What TFLM keeps for one op, padding and the constants that no other op reads included."""
    kept = align(machine.op_data.get(op.kind, 0), ARENA_ALIGNMENT) + machine.options.get(op.kind, (0, 1))[0]
    kept += sum(align(step, ARENA_ALIGNMENT) for step in _prepare_steps(graph, op) if isinstance(step, int))
    constants = {t for t in op.inputs if t >= 0 and graph.tensors[t].is_constant}
    return kept + machine.eval_tensor * sum(len(graph.consumers[t]) == 1 for t in constants)


def own_op_bytes(graph: ModelGraph, op: Op, machine: Machine) -> int:
    """What TFLM would keep for the op of ours that carries this one over, with a handle of scratch."""
    traits = LoweredNetwork.of(graph).lower(op).traits
    num_constants = 2 if traits.has_filter else int(traits.has_entries)
    kept = align(machine.op_data[PREFIX + traits.name], ARENA_ALIGNMENT)
    return kept + machine.eval_tensor * num_constants + machine.pointer * traits.takes_scratch


def saved_bytes(graph: ModelGraph, ops: Iterable[Op], machine: Machine) -> dict[int, int]:
    """Index of an op -> what TFLM keeps less if the op of ours carries it over; only those for which it does."""
    known = [op for op in ops if op.kind in machine.op_data]
    saved = {op.index: op_bytes(graph, op, machine) - own_op_bytes(graph, op, machine) for op in known}
    return {index: num_bytes for index, num_bytes in saved.items() if num_bytes > 0}


def extra_scratch_bytes(graph: ModelGraph, indices: Iterable[int], variants: Sequence[str]) -> dict[int, int]:
    """Index of an op -> what the op of ours asks for beyond the stock one, with the variant for which that is most."""
    return {
        index: max(lowered_scratch_bytes(graph, graph.ops[index], variant) for variant in variants)
        - sum(op_scratch_bytes(graph, graph.ops[index]))
        for index in indices
    }


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
        """As `keep`, on a multiple of 16; TFLM allocates an array of no bytes too, and pads for it."""
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


def _prepare(graph: ModelGraph, machine: Machine, variant: str, arena: _Arena) -> int:
    """All up to the planning of memory; returns how many scratch buffers were requested."""
    for num_bytes in machine.allocators:
        arena.keep("interpreter", num_bytes)
    arena.keep("interpreter", machine.builtin_allocator)
    arena.resize(machine.scratch_request * _REQUESTS_AN_OP)
    arena.keep("interpreter", machine.subgraph)
    arena.keep("eval_tensors", machine.eval_tensor * len(graph.tensors))
    arena.keep("nodes", machine.node * len(graph.ops))
    for op in graph.ops:
        arena.keep("op_data", *machine.options.get(op.kind, (0, 1)))
    for op in graph.ops:
        arena.keep("op_data", machine.op_data.get(op.kind, 0), ARENA_ALIGNMENT)
    num_requests = 0
    for op in graph.ops:
        for step in _prepare_steps(graph, op):
            if isinstance(step, Tensor):
                for num_bytes, alignment in _tensor_parts(step, machine):
                    arena.borrow(num_bytes, alignment)
            else:
                arena.keep("op_data", step, ARENA_ALIGNMENT)
        num_requests += sum(n > 0 for n in op_scratch_bytes(graph, op, variant))
        arena.resize(machine.scratch_request * (num_requests + _REQUESTS_AN_OP))
    return num_requests


def _plan(graph: ModelGraph, machine: Machine, num_requests: int, arena: _Arena) -> None:
    """Plans memory: a lifetime each tensor and request, and the planner's tables of the buffers that it places."""
    arena.borrow(machine.pointer, machine.pointer)
    arena.borrow(machine.allocation_info * (len(graph.tensors) + num_requests), machine.pointer)
    for tensor in graph.tensors:
        if tensor.is_variable and not (graph.offline_offsets and graph.offline_offsets[tensor.index] != -1):
            arena.keep("op_data", tensor.num_bytes, ARENA_ALIGNMENT)
    num_buffers = sum(n > 0 for n in placed_bytes(graph)) + num_requests
    arena.borrow(_PLANNED_BUFFER * num_buffers + arena.align_tail(), ARENA_ALIGNMENT)


def _prepare_steps(graph: ModelGraph, op: Op) -> Sequence[Tensor | int]:
    """What an op's Prepare allocates: a temporary TfLiteTensor of a tensor, or so many bytes to keep."""
    if op.kind.startswith(PREFIX):
        return ()
    tables = [_WORD * channels] * 2 if (channels := _num_table_channels(graph, op)) else []
    inputs = [graph.tensors[t] for t in op.inputs if t >= 0]
    outputs = [graph.tensors[t] for t in op.outputs]
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return *outputs, *inputs[:2], *tables, *inputs, *outputs
    if op.kind in ("MEAN", "SUM"):
        return *inputs[:1], *outputs, *inputs[1:], *inputs, *outputs
    if op.kind == "CONCATENATION":
        return *inputs[:1], *outputs, *inputs
    if op.kind in ("RESHAPE", "SQUEEZE"):
        return *inputs[:1], *outputs
    if op.kind == "GATHER":
        return *inputs, *outputs, _WORD * (1 + len(outputs[0].shape))  # the output's dimensions, copied
    if op.kind == "TANH":
        return *inputs, *outputs, *inputs
    return *inputs, *outputs, *tables


def _tensor_parts(tensor: Tensor, machine: Machine) -> Iterator[tuple[int, int]]:
    """(bytes, alignment) of the allocations that a TfLiteTensor consists of."""
    yield machine.tensor, machine.pointer
    if channels := len(tensor.scales):
        yield machine.quantization, machine.pointer
        yield _WORD * (1 + channels), _WORD


def _num_table_channels(graph: ModelGraph, op: Op) -> int:
    """Channels of which the kernel keeps a multiplier and a shift."""
    kind = op.traits
    if not kind.has_filter:
        return 0
    weights = graph.tensors[op.inputs[1]]
    if kind.is_windowed:
        return weights.shape[kind.weight_axis]
    return len(weights.scales) if len(weights.scales) > 1 else 0
