"""Which consecutive ops of a model one patch stage may run: those with one entry and one exit."""

from __future__ import annotations

from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.stage.program import MAX_MAPS


def is_closed(graph: ModelGraph, last: int, end: int) -> bool:
    """Whether nothing reads what the reduction of the ops (last, end) makes but itself."""
    chain = graph.ops[last:end]
    inner = [op.outputs[0] for op in chain[:-1]]
    return all(
        t not in graph.outputs and graph.consumers[t] == (reader,) for t, reader in zip(inner, chain[1:], strict=True)
    )


def entries_of(model: PlannedModel, target: int, last: int, end: int) -> dict[int, int]:
    """The regions that end in one map and have one entry and one exit.

    Args:
      model: whose ops they run.
      target: the map.
      last: the op that makes it.
      end: behind the reduction that reads it, or else behind `last`.

    Returns:
      First op -> input tensor.
    """
    graph: ModelGraph = model.graph
    entries: dict[int, int] = {}
    needed = {target}
    for op in reversed(graph.ops[: last + 1]):
        (output, *others) = op.outputs
        is_read_behind = any(reader.index >= end for reader in graph.consumers[output])
        is_exit = output != target and (is_read_behind or output in graph.outputs)
        if others or output not in needed or is_exit or model.why_not_in_stage(op):
            break
        needed = (needed - {output}) | set(graph.feature_maps(op))
        if last - op.index + 1 == MAX_MAPS:
            break
        if len(needed) == 1 and model.may_part_at(*needed):
            entries[op.index] = next(iter(needed))
    return entries
