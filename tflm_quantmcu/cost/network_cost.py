"""What a network costs: MACs, BitOPs and the arena of a graph whose regions are fused into stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from tflm_quantmcu.arena.in_place import eight_bit_overlays, reshape_sources
from tflm_quantmcu.arena.plan import join_buffers, shared_distances
from tflm_quantmcu.arena.predict import converted_scratch_bytes, placed_bytes
from tflm_quantmcu.cost.calls import graph_calls, stage_calls
from tflm_quantmcu.cost.instructions import InstructionTable
from tflm_quantmcu.graph.target import QUANTMCU, REFERENCE
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.placement.best import place_best
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, Buffer, Step, graph_buffers, greedy_offsets, peak
from tflm_quantmcu.stage.program import StageProgram

_NODE_LIMIT = 300  # of the search for places: planning tries many networks, the converter searches longer


@dataclasses.dataclass(frozen=True)
class PlacedStage:
    """A region as one op of the arena.

    Attributes:
      ops: op indices.
      inputs, output: tensor indices.
      scratch_bytes: of each variant of our kernels that may run.
      distance: the least bytes by which the first input must begin behind the output where both may share bytes, else
        None.
    """

    ops: Collection[int]
    inputs: tuple[int, ...]
    output: int
    scratch_bytes: tuple[int, ...]
    distance: int | None = None


def arena_of(
    graph: ModelGraph,
    stages: Sequence[PlacedStage] = (),
    *,
    tensor_bytes: Sequence[int] | None = None,
    variants: Sequence[str] = (REFERENCE,),
    stock_kernels: str = QUANTMCU,
    enough: int = 0,
) -> int:
    """Non-persistent arena bytes of the graph with these regions fused, with the kernels that take the most.

    TFLM will record no more with any of them: as it places by itself, or around offsets that hold the largest scratch.

    Args:
      graph: the model.
      stages: the regions.
      tensor_bytes: [tensor] bytes in the arena where they are not the graph's own.
      variants: of our kernels, in the order of the stages' scratch.
      stock_kernels: what runs the ops outside, one of STOCK_KERNELS.
      enough: bytes that decide: of an arena that keeps or exceeds them, the smallest is not searched for.
    """
    tensor_bytes = list(tensor_bytes or placed_bytes(graph))
    for t in LoweredNetwork.of(graph).folded:
        tensor_bytes[t] = 0
    for stage in stages:
        for t in (t for i in stage.ops for t in graph.ops[i].outputs if t != stage.output):
            tensor_bytes[t] = 0

    def buffers_with(number: int | None) -> tuple[list[int], list[Buffer]]:
        """What TFLM places with this variant, or with the one that takes the most, op by op."""
        of_stages = [max(s.scratch_bytes) if number is None else s.scratch_bytes[number] for s in stages]
        names = variants if number is None else variants[number : number + 1]
        steps = _steps(graph, stages, of_stages, names, stock_kernels)
        return graph_buffers(tensor_bytes, steps, graph.inputs, graph.outputs)

    tensors, buffers = buffers_with(None)
    inside = frozenset(i for stage in stages for i in stage.ops)
    names, joined = join_buffers(tensors, buffers, reshape_sources(graph, inside))
    owner = {t: number for number, group in enumerate(names) for t in group}
    distances = shared_distances(graph, _pairs(graph, stages, inside, tensor_bytes), joined, owner)
    best = place_best(joined, alignment=ARENA_ALIGNMENT, distances=distances, node_limit=_NODE_LIMIT, enough=enough)
    pinned = [best.offsets[owner[t]] if t in owner else -1 for t in range(len(tensor_bytes))]
    unpinned = [peak(found, greedy_offsets(tensors, found)) for _, found in map(buffers_with, range(len(variants)))]
    return min(max(unpinned), peak(buffers, greedy_offsets(tensors, buffers, pinned)))


def _pairs(
    graph: ModelGraph, stages: Sequence[PlacedStage], inside: Collection[int], tensor_bytes: Sequence[int]
) -> Iterator[tuple[int, Mapping[int, int]]]:
    """What `shared_distances` is given of the stages and of the ops outside of them."""
    yield from ((stage.output, {stage.inputs[0]: stage.distance}) for stage in stages if stage.distance is not None)
    for op in graph.ops:
        if op.index not in inside:
            yield op.outputs[0], eight_bit_overlays(graph, op, tensor_bytes)


def _steps(
    graph: ModelGraph,
    stages: Sequence[PlacedStage],
    scratch: Sequence[int],
    variants: Sequence[str],
    stock_kernels: str,
) -> list[Step]:
    """The ops as the arena sees them, a stage with its scratch in place of its ops."""
    network = LoweredNetwork.of(graph)
    owner = {index: (stage, n) for stage, n in zip(stages, scratch, strict=True) for index in stage.ops}
    steps = []
    for op in graph.ops:
        if op.index not in owner:
            steps.append(
                Step(network.reads(op), op.outputs, converted_scratch_bytes(graph, op, variants, stock_kernels))
            )
            continue
        stage, num_bytes = owner[op.index]
        if stage.output in op.outputs:
            steps.append(Step(stage.inputs, (stage.output,), (num_bytes,)))
    return steps


@dataclasses.dataclass(frozen=True)
class Cost:
    """Work of one inference.

    Attributes:
      macs, bit_ops: of the whole network; BitOPs = MACs x input bits x weight bits.
      stage_macs, stage_bit_ops: of its patch stages, recomputed halos included.
      instructions: of our kernels on a core, estimated from its measured table; 0 without one.
      cycles: the documented ones of these (cycles.py), 0 without a table of them.
      unknown: ops that the table does not know, as messages name them: instructions and cycles lack them.
    """

    macs: int
    bit_ops: int
    stage_macs: int
    stage_bit_ops: int
    instructions: int = 0
    cycles: int = 0
    unknown: tuple[str, ...] = ()


def cost_of(
    graph: ModelGraph,
    programs: Sequence[tuple[Collection[int], StageProgram]] = (),
    *,
    map_bits: Mapping[str, int] | None = None,
    weight_bits: Mapping[str, int] | None = None,
    only: Collection[int] | None = None,
    table: InstructionTable | None = None,
) -> Cost:
    """Counts the work of a network.

    Args:
      graph: the int8 model.
      programs: (op indices, program) of each stage.
      map_bits, weight_bits: tensor name -> bits outside the stages; absent is 8.
      only: op indices to count; default all.
      table: of the core whose instructions are estimated; what runs as a whole has none.
    """
    if graph.subgraphs and (only is None or only):
        return cost_of(graph.subgraphs[0])  # how often the others run, the file does not say
    inside = {index for ops, _ in programs for index in ops}
    network = LoweredNetwork.of(graph)
    macs = bit_ops = 0
    for op in graph.ops:
        if op.index in inside or not op.outputs or (only is not None and op.index not in only):
            continue
        if not (count := network.macs(op)):
            continue
        a_bits = (map_bits or {}).get(graph.tensors[op.inputs[0]].name, 8)
        weights = graph.tensors[op.inputs[1]]
        w_bits = min((weight_bits or {}).get(weights.name, 8), weights.weight_bits)
        macs += count
        bit_ops += count * a_bits * w_bits
    stage_macs = sum(p.cost.macs for _, p in programs)
    stage_bit_ops = sum(p.cost.bit_ops for _, p in programs)
    instructions = cycles = 0.0
    unknown: list[str] = []
    if table:
        counted = set(range(len(graph.ops)) if only is None else only) - inside
        calls = graph_calls(graph, map_bits=map_bits, weight_bits=weight_bits, only=counted)
        for _, program in programs:
            calls.update(stage_calls(program))
        unknown = table.unknown(calls)
        instructions, cycles = (
            t.total(calls) + sum(t.beside_kernels(program) for _, program in programs) if t else 0
            for t in (table, table.cycles)
        )
    counts = (macs + stage_macs, bit_ops + stage_bit_ops, stage_macs, stage_bit_ops)
    return Cost(*counts, round(instructions), round(cycles), tuple(unknown))
