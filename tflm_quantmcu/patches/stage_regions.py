"""Which consecutive ops of a model one patch stage may run: those with few entries and one exit."""

from __future__ import annotations

from collections.abc import Collection

from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.lowering.stage_only import is_gate
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.stage.program import MAX_MAPS


def is_closed(graph: ModelGraph, last: int, end: int) -> bool:
    """Whether nothing reads what the reduction of the ops (last, end) makes but itself."""
    chain = graph.ops[last:end]
    inner = [op.outputs[0] for op in chain[:-1]]
    return all(
        t not in graph.outputs and graph.consumers[t] == (reader,) for t, reader in zip(inner, chain[1:], strict=True)
    )


def entries_of(model: PlannedModel, target: int, last: int, end: int) -> dict[int, tuple[int, ...]]:
    """The regions that end in one map and have few entries and one exit.

    Args:
      model: whose ops they run.
      target: the map.
      last: the op that makes it.
      end: behind the reduction that reads it, or else behind `last`.

    Returns:
      First op -> input tensors; of the first, tiles may be streamed, or be written over.
    """
    graph: ModelGraph = model.graph
    entries: dict[int, tuple[int, ...]] = {}
    needed, gates = {target}, set[int]()
    for op in reversed(graph.ops[: last + 1]):
        (output, *others) = op.outputs
        is_read_behind = any(reader.index >= end for reader in graph.consumers[output])
        is_exit = output != target and (is_read_behind or output in graph.outputs)
        if others or output not in needed or output in gates or is_exit or model.why_not_in_stage(op):
            break
        needed = (needed - {output}) | set(graph.feature_maps(op))
        gates |= {t for t in graph.feature_maps(op) if is_gate(graph, op, t)}
        if last - op.index + 1 == MAX_MAPS:
            break
        if _may_be_read(model, needed):
            entries[op.index] = tuple(sorted(needed, key=lambda t: _rank(model, t, end, is_gate=t in gates)))
    return entries


def _may_be_read(model: PlannedModel, tensors: Collection[int]) -> bool:
    """Whether a stage may have these inputs: of several none comes from a reader."""
    is_known = len(tensors) == 1 or (len(tensors) <= model.max_inputs and model.streamed.isdisjoint(tensors))
    return is_known and all(map(model.may_part_at, tensors))


def _rank(model: PlannedModel, tensor: int, end: int, *, is_gate: bool) -> tuple[bool, bool, int, int]:
    """The least comes first: what nothing reads behind the stage, so that its output may be written over it, and is
    large."""
    return is_gate, tensor in model.live[end], -model.tensor_bytes(tensor), tensor
