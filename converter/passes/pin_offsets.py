"""Pins feature maps to places in the arena where our plan is smaller than what TFLM's planner makes of the model."""

from __future__ import annotations

import numpy as np
from tflite_micro.tensorflow.lite.python import schema_py_generated as schema

from tflm_quantmcu import memory
from tflm_quantmcu.arena import op_scratch_bytes, placed_bytes
from tflm_quantmcu.arena_plan import plan_arena
from tflm_quantmcu.converter.emit.calls import core_scratch_bytes
from tflm_quantmcu.converter.reader import graph_of
from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.kernel_scratch import DSP, MVE
from tflm_quantmcu.types import ModelGraph

# Words before the number of tensors and their offsets: version, number of subgraphs.
_HEADER = (1, 1)
_UNPINNED = -1
# TFLM's kernel does nothing where its input is its output; those of the other reshapes copy in any case.
_IN_PLACE = "RESHAPE"


def pin_offsets(rewrite: Rewrite) -> None:
    """Writes OfflineMemoryAllocation, which the device reads, if it makes the arena smaller.

    Scratch cannot be pinned: TFLM puts it into the gaps, largest first. The kernels of a core may ask for more scratch
    than those of the host, so of plans that are equal on the host the one that is the least on all cores is taken.

    Source: TFLM's docs/memory_management.md, "Offline planned tensor allocations".
    """
    graph = graph_of(rewrite.model, rewrite.graph.sha256)
    scratch = [[op_scratch_bytes(graph, op) for op in graph.ops]]
    best = _planned(graph, scratch[0])
    if _arena(graph, scratch[0], best) >= _arena(graph, scratch[0], None):
        return
    scratch += [[core_scratch_bytes(graph, op, variant) for op in graph.ops] for variant in (DSP, MVE)]

    def arenas(pinned: list[int]) -> tuple[int, int]:
        """(on the host, on all)"""
        found = [_arena(graph, scratch_bytes, pinned) for scratch_bytes in scratch]
        return found[0], sum(found)

    _add(rewrite.model, min([best, *(_planned(graph, n) for n in scratch[1:])], key=arenas))


def _planned(graph: ModelGraph, scratch_bytes: list[tuple[int, ...]]) -> list[int]:
    offsets = plan_arena(graph, scratch_bytes, sources=_in_place(graph)).offsets
    return [offsets.get(t, _UNPINNED) for t in range(len(graph.tensors))]


def _arena(graph: ModelGraph, scratch_bytes: list[tuple[int, ...]], pinned: list[int] | None) -> int:
    steps = [memory.Step(op.inputs, op.outputs, n) for op, n in zip(graph.ops, scratch_bytes, strict=True)]
    return memory.greedy_arena(placed_bytes(graph), steps, graph.inputs, graph.outputs, pinned=pinned)


def _in_place(graph: ModelGraph) -> dict[int, int]:
    """Output of a reshape -> the tensor that its bytes are."""
    sources: dict[int, int] = {}
    for op in graph.ops:
        if op.kind == _IN_PLACE and not (
            graph.tensors[op.inputs[0]].is_constant or graph.tensors[op.inputs[0]].is_variable
        ):
            sources[op.outputs[0]] = sources.get(op.inputs[0], op.inputs[0])
    return sources


def _add(model: schema.ModelT, offsets: list[int]) -> None:
    words = np.array([*_HEADER, len(offsets), *offsets], "<i4")
    model.buffers.append(schema.BufferT(data=np.frombuffer(words.tobytes(), np.uint8)))
    model.metadata = [
        *(model.metadata or ()),
        schema.MetadataT(name=memory.OFFLINE_METADATA.encode(), buffer=len(model.buffers) - 1),
    ]
