"""Which consecutive ops of a model one patch stage may run: those with few entries and one exit."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.lowering.regions import Reduction, lower_reduction
from tflm_quantmcu.lowering.stage_only import is_gate
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.stage.program import MAX_MAPS

Entries = Mapping[int, tuple[int, ...]]  # first op -> input tensors


@dataclasses.dataclass(frozen=True)
class StageEnd:
    """Where stages may end.

    Attributes:
      output: tensor index of what they make.
      end: behind their last op.
      target: tensor index of the map that is cut into tiles: the output, or what a reduction makes it of.
      last: the op that makes that map.
      reduction: what makes the output of it, or None.
    """

    output: int
    end: int
    target: int
    last: int
    reduction: Reduction | None

    @staticmethod
    def of(model: PlannedModel, last: int) -> StageEnd | None:
        """The end behind op `last`; None where no stage ends there."""
        graph, end = model.graph, last + 1
        output = graph.ops[last].outputs[0]
        reduction = lower_reduction(graph, graph.ops[:end], {})
        last -= reduction.num_ops if reduction else 0
        if not model.may_part_at(output) or not _is_closed(graph, last, end):
            return None
        return StageEnd(output, end, reduction.op.inputs[0] if reduction else output, last, reduction)

    def may_be_over(self, model: PlannedModel, source: int) -> bool:
        """Whether the output may be written over the first input."""
        return not self.reduction and source not in model.live[self.end] and source not in model.streamed

    def bytes_around(self, model: PlannedModel, sources: tuple[int, ...], first: int) -> int:
        """What is live while the ops [first, end) run but the first input, the output and what is inside."""
        around = (model.live[first] & model.live[self.end]).union(sources) - {sources[0], self.output}
        return sum(map(model.tensor_bytes, around))


def _is_closed(graph: ModelGraph, last: int, end: int) -> bool:
    """Whether nothing reads what the reduction of the ops (last, end) makes but itself."""
    chain = graph.ops[last:end]
    inner = [op.outputs[0] for op in chain[:-1]]
    return all(
        t not in graph.outputs and graph.consumers[t] == (reader,) for t, reader in zip(inner, chain[1:], strict=True)
    )


def entries_of(model: PlannedModel, end: StageEnd, max_inputs: int = 1) -> dict[int, tuple[int, ...]]:
    """The regions that end in one map and have few entries and one exit.

    Args:
      model: whose ops they run.
      end: behind them.
      max_inputs: of them.

    Returns:
      First op -> input tensors; of the first, tiles may be streamed, or be written over.
    """
    graph: ModelGraph = model.graph
    entries: dict[int, tuple[int, ...]] = {}
    needed, gates = {end.target}, set[int]()
    for op in reversed(graph.ops[: end.last + 1]):
        (output, *others) = op.outputs
        is_read_behind = any(reader.index >= end.end for reader in graph.consumers[output])
        is_exit = output != end.target and (is_read_behind or output in graph.outputs)
        if others or output not in needed or output in gates or is_exit or model.why_not_in_stage(op):
            break
        needed = (needed - {output}) | set(graph.feature_maps(op))
        gates |= {t for t in graph.feature_maps(op) if is_gate(graph, op, t)}
        if end.last - op.index + 1 == MAX_MAPS:
            break
        if _may_be_read(model, needed, max_inputs):
            entries[op.index] = tuple(sorted(needed, key=lambda t: _rank(model, t, end.end, is_gate=t in gates)))
    return entries


def _may_be_read(model: PlannedModel, tensors: Collection[int], max_inputs: int) -> bool:
    """Whether a stage may have these inputs: of several none comes from a reader."""
    is_known = len(tensors) == 1 or (len(tensors) <= max_inputs and model.streamed.isdisjoint(tensors))
    return is_known and all(map(model.may_part_at, tensors))


def _rank(model: PlannedModel, tensor: int, end: int, *, is_gate: bool) -> tuple[bool, bool, int, int]:
    """The least comes first: what nothing reads behind the stage, so that its output may be written over it, and is
    large."""
    return is_gate, tensor in model.live[end], -model.tensor_bytes(tensor), tensor
