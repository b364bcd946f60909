"""The persistent part of TFLM's arena: what its nodes, eval tensors and op data take, on this host and on a core.

In: a ModelGraph, stock or converted. Out: bytes, counted allocation by allocation from the arena's end downwards.
Source: MicroAllocator, MicroInterpreter::AllocateTensors and the kernels' Init and Prepare at the pinned version; the
sizes are `sizeof` of its structs and ours, with TFLM's reference kernels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tflm_quantmcu.arena.predict import op_scratch_bytes
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align

_WORD = 4  # of C's int


@dataclasses.dataclass(frozen=True)
class Machine:
    """Bytes of TFLM's structs.

    Attributes:
      pointer: which is also their alignment.
      allocators: (buffer allocator, memory planner, MicroAllocator), in this order.
      builtin_allocator, subgraph, eval_tensor, node, tensor, quantization: SubgraphAllocations, NodeAndRegistration,
        TfLiteTensor and TfLiteAffineQuantization, and what the names say.
      op_data: kind -> of the kernel's own struct; absent where it has none.
      options: kind -> (bytes, alignment) of the parsed builtin options; absent where there are none.
    """

    pointer: int
    allocators: tuple[int, int, int]
    builtin_allocator: int
    subgraph: int
    eval_tensor: int
    node: int
    tensor: int
    quantization: int
    op_data: Mapping[str, int]
    options: Mapping[str, tuple[int, int]]


_OP_DATA = {
    "ADD": 60,
    "AVERAGE_POOL_2D": 32,
    "DEQUANTIZE": 32,
    "ELU": 256,
    "HARD_SWISH": 20,
    "LEAKY_RELU": 24,
    "LOGISTIC": 16,
    "MAX_POOL_2D": 32,
    "MEAN": 44,
    "MUL": 36,
    "PAD": 56,
    "PADV2": 56,
    "QUANTIZE": 32,
    "RELU": 28,
    "RELU6": 8,
    "TANH": 16,
    "QMCU_ADD": 36,
    "QMCU_AVERAGE_POOL_2D": 32,
    "QMCU_CONV_2D": 36,
    "QMCU_DEPTHWISE_CONV_2D": 40,
    "QMCU_FULLY_CONNECTED": 20,
    "QMCU_LUT": 16,
    "QMCU_MAX_POOL_2D": 32,
    "QMCU_PATCH_STAGE": 24,
    "QMCU_REQUANTIZE": 20,
}
_OPTIONS = {
    "AVERAGE_POOL_2D": (40, 4),
    "CONCATENATION": (8, 4),
    "CONV_2D": (28, 4),
    "DEPTHWISE_CONV_2D": (28, 4),
    "LEAKY_RELU": (4, 4),
    "MAX_POOL_2D": (40, 4),
    "MEAN": (1, 1),
    "RESHAPE": (36, 4),
    "RESIZE_NEAREST_NEIGHBOR": (2, 1),
    "SOFTMAX": (4, 4),
    "SQUEEZE": (36, 4),
}
_NO_DATA = ("EXPAND_DIMS", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "SQUEEZE", "TRANSPOSE")

# The interpreter of the Python wheel, which also records and is built with USE_TFLM_COMPRESSION.
HOST = Machine(
    pointer=8,
    allocators=(104, 72, 272),
    builtin_allocator=16,
    subgraph=24,
    eval_tensor=24,
    node=64,
    tensor=64,
    quantization=24,
    op_data={
        **_OP_DATA,
        "CONCATENATION": 80,
        "CONV_2D": 80,
        "DEPTHWISE_CONV_2D": 80,
        "FULLY_CONNECTED": 72,
        "SOFTMAX": 80,
    },
    options={**_OPTIONS, "ADD": (8, 4), "FULLY_CONNECTED": (16, 4), "MUL": (4, 4)},
)
# MicroInterpreter with the arena as a plain array, on any Cortex-M.
CORTEX_M = Machine(
    pointer=4,
    allocators=(36, 44, 36),
    builtin_allocator=8,
    subgraph=8,
    eval_tensor=12,
    node=32,
    tensor=32,
    quantization=12,
    op_data={
        **_OP_DATA,
        "CONCATENATION": 24,
        "CONV_2D": 56,
        "DEPTHWISE_CONV_2D": 56,
        "FULLY_CONNECTED": 48,
        "SOFTMAX": 56,
    },
    options={**_OPTIONS, "ADD": (2, 1), "FULLY_CONNECTED": (5, 1), "MUL": (1, 1)},
)


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


def persistent_bytes(graph: ModelGraph, machine: Machine) -> PersistentBytes | None:
    """The persistent part of an arena whose end is on a multiple of 16; None where an op's data is not known.

    Raises:
      UnsupportedModelError: an op whose scratch is not known.
    """
    if any(op.kind not in machine.op_data and op.kind not in _NO_DATA for op in graph.ops):
        return None
    tail = _Tail(machine)
    for num_bytes in machine.allocators:
        tail.take("interpreter", num_bytes)
    tail.take("interpreter", machine.builtin_allocator)
    tail.take("interpreter", machine.subgraph)
    tail.take("eval_tensors", machine.eval_tensor * len(graph.tensors))
    tail.take("nodes", machine.node * len(graph.ops))
    for op in graph.ops:
        tail.take("op_data", *machine.options.get(op.kind, (0, 1)))
    for op in graph.ops:
        for num_bytes in _kernel_bytes(graph, op, machine):
            tail.take("op_data", num_bytes, ARENA_ALIGNMENT)
    num_scratch = sum(len([n for n in op_scratch_bytes(graph, op) if n]) for op in graph.ops)
    if num_scratch:
        tail.take("op_data", machine.pointer * num_scratch)
    for tensor in graph.tensors:
        if tensor.is_variable and not (graph.offline_offsets and graph.offline_offsets[tensor.index] != -1):
            tail.take("op_data", tensor.num_bytes, ARENA_ALIGNMENT)
    for ends in (graph.inputs, graph.outputs):
        tail.take("interpreter", machine.pointer * len(ends), ARENA_ALIGNMENT)
        for t in ends:
            tail.take("interpreter", machine.tensor)
            if channels := len(graph.tensors[t].scales):
                tail.take("interpreter", machine.quantization)
                tail.take("interpreter", _WORD * (1 + channels), _WORD)
    return PersistentBytes(**tail.used)


class _Tail:
    """The arena's end, from which TFLM takes persistent memory downwards."""

    def __init__(self, machine: Machine) -> None:
        self._at = 0
        self._pointer = machine.pointer
        self.used = dict.fromkeys((f.name for f in dataclasses.fields(PersistentBytes)), 0)

    def take(self, part: str, num_bytes: int, alignment: int | None = None) -> None:
        end = align(self._at + num_bytes, alignment or self._pointer)
        self.used[part] += end - self._at
        self._at = end


def _kernel_bytes(graph: ModelGraph, op: Op, machine: Machine) -> list[int]:
    """What an op's kernel takes in Init and Prepare."""
    if op.kind not in machine.op_data:
        return []
    tables = _WORD * _num_table_channels(graph, op)
    return [machine.op_data[op.kind], *([tables] * 2 if tables else [])]


def _num_table_channels(graph: ModelGraph, op: Op) -> int:
    """Channels of which the kernel keeps a multiplier and a shift."""
    kind = op.traits
    if not kind.has_filter:
        return 0
    weights = graph.tensors[op.inputs[1]]
    if kind.is_windowed:
        return weights.shape[kind.weight_axis]
    return len(weights.scales) if len(weights.scales) > 1 else 0
