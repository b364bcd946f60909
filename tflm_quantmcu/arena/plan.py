"""Where each feature map and each scratch buffer of a model stands in the arena, and when.

In: a ModelGraph, stock or converted. Out: ArenaPlan, as TFLM places (`tflm_plan`) or as small as our planner gets it
(`plan_arena`), which also lets a patch stage write over its input (`overlap.py`), and so other ops (`in_place.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from tflm_quantmcu.arena.in_place import overlays
from tflm_quantmcu.arena.overlap import overlap_distance
from tflm_quantmcu.arena.predict import op_scratch_bytes, placed_bytes
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.placement import memory
from tflm_quantmcu.placement.best import place_best
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of


@dataclasses.dataclass(frozen=True)
class PlacedBuffer:
    """Bytes of the arena from step `first` to step `last`; op i runs in step i + 1.

    Attributes:
      tensors: whose values it holds, more than one where an op works in place; none: scratch of the op of its step.
      num_bytes, offset: multiples of 16.
    """

    tensors: tuple[int, ...]
    num_bytes: int
    offset: int
    first: int
    last: int


@dataclasses.dataclass(frozen=True)
class ArenaPlan:
    """A placed arena.

    Attributes:
      buffers: feature maps, then scratch in execution order.
      arena_bytes: of all.
    """

    buffers: tuple[PlacedBuffer, ...]
    arena_bytes: int

    @property
    def offsets(self) -> dict[int, int]:
        """Tensor index -> offset."""
        return {t: b.offset for b in self.buffers for t in b.tensors}


def tflm_plan(graph: ModelGraph) -> ArenaPlan:
    """The plan of TFLM's own planner, which keeps to the offsets that the file pins.

    Raises:
      UnsupportedModelError: an op or a tensor whose bytes are not known.
    """
    scratch_bytes = [op_scratch_bytes(graph, op) for op in graph.ops]
    tensors, buffers = _buffers(graph, scratch_bytes)
    offsets = memory.greedy_offsets(tensors, buffers, graph.offline_offsets)
    return _plan([(t,) for t in tensors], buffers, offsets)


def plan_arena(
    graph: ModelGraph,
    scratch_bytes: Sequence[tuple[int, ...]],
    *,
    sources: Mapping[int, int] | None = None,
    without_inputs: bool = False,
) -> ArenaPlan:
    """The smallest arena that our planner finds.

    Args:
      graph: the model; its own offline plan does not count.
      scratch_bytes: [op] sizes of its scratch buffers.
      sources: tensor index -> the tensor whose bytes it is, for those that an op leaves in place; what is a constant's
        gets no place, as no tensor does that nothing uses.
      without_inputs: leave out the model's inputs, as if they were elsewhere.

    Raises:
      UnsupportedModelError: a tensor whose bytes are not known.
    """
    tensors, buffers = _buffers(graph, scratch_bytes)
    left_out = {t for t in tensors if graph.tensors[(sources or {}).get(t, t)].is_constant}
    if without_inputs:
        left_out |= {t for t in tensors if (sources or {}).get(t, t) in graph.inputs}
    names, joined = join_buffers(tensors, buffers, sources or {}, left_out)
    owner = {t: number for number, group in enumerate(names) for t in group}
    pairs = ((op.outputs[0], overlays_of(graph, op)) for op in graph.ops)
    distances = shared_distances(graph, pairs, joined, owner)
    placement = place_best(joined, alignment=memory.ARENA_ALIGNMENT, distances=distances)
    return _plan(names, joined, placement.offsets)


def _buffers(graph: ModelGraph, scratch_bytes: Sequence[tuple[int, ...]]) -> tuple[list[int], list[memory.Buffer]]:
    steps = [memory.Step(op.inputs, op.outputs, n) for op, n in zip(graph.ops, scratch_bytes, strict=True)]
    return memory.graph_buffers(placed_bytes(graph), steps, graph.inputs, graph.outputs)


def _plan(names: Sequence[tuple[int, ...]], buffers: Sequence[memory.Buffer], offsets: Sequence[int]) -> ArenaPlan:
    tensors = [*names, *[()] * (len(buffers) - len(names))]
    placed = tuple(
        PlacedBuffer(t, b.num_bytes, offset, b.first, b.last)
        for t, b, offset in zip(tensors, buffers, offsets, strict=True)
    )
    return ArenaPlan(placed, memory.peak(buffers, offsets))


def overlays_of(graph: ModelGraph, op: Op) -> Mapping[int, int]:
    """The overlays of any op (`in_place.overlays`), of patch stages too."""
    if op.kind != PATCH_STAGE:
        return overlays(graph, op)
    distance = overlap_distance(program_of(graph, op))
    return {} if distance is None else {op.inputs[0]: distance}


def join_buffers(
    tensors: Sequence[int],
    buffers: Sequence[memory.Buffer],
    sources: Mapping[int, int],
    left_out: Collection[int] = (),
) -> tuple[list[tuple[int, ...]], list[memory.Buffer]]:
    """Tensors with the same bytes as one buffer.

    Args:
      tensors, buffers: of `memory.graph_buffers`.
      sources: tensor index -> the tensor whose bytes it is.
      left_out: tensors that get no place, as none gets that nothing uses.

    Returns:
      (the tensors of each of the first buffers, buffers with all scratch behind).
    """
    groups: dict[int, list[int]] = {}
    for i, t in enumerate(tensors):
        if buffers[i].last >= 0 and t not in left_out:
            groups.setdefault(sources.get(t, t), []).append(i)
    members = [*groups.values(), *([i] for i in range(len(tensors), len(buffers)))]
    joined = [
        memory.Buffer(
            max(buffers[i].num_bytes for i in group),
            min(buffers[i].first for i in group),
            max(buffers[i].last for i in group),
        )
        for group in members
    ]
    return [tuple(tensors[i] for i in group) for group in groups.values()], joined


def shared_distances(
    graph: ModelGraph,
    pairs: Iterable[tuple[int, Mapping[int, int]]],
    buffers: Sequence[memory.Buffer],
    owner: Mapping[int, int],
) -> dict[tuple[int, int], int]:
    """How far behind the output the input must begin, of each op that is the last to read its input.

    TFLM gives an input of the model away after its last reader as it does any map, so that may be one too.

    Args:
      graph: the model.
      pairs: (output, input -> distance) of each op; the first input that may be taken is.
      buffers: of maps, then scratch.
      owner: tensor -> its buffer.
    """
    kept = {owner.get(t) for t in graph.outputs} | {owner.get(t.index) for t in graph.tensors if t.is_variable}
    distances = {}
    for output, inputs in pairs:
        lower = owner.get(output)
        for source, distance in inputs.items():
            upper = owner.get(source)
            if lower is None or upper is None or lower == upper or upper in kept:
                continue
            if buffers[upper].last == buffers[lower].first and distance < buffers[lower].num_bytes:
                distances[lower, upper] = distance
                break
    return distances
