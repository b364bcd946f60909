"""Which feature maps of an int8 model must share a format, and which must keep the one they have.

In: a ModelGraph. Out: groups of tensors. TFLM's kernels of moves and pools copy bytes or average them whatever the
formats say, so that all their maps have one; logistic, softmax and their like write a format of their own; the model's
inputs and outputs are its interface. An op whose kind has no row (graph/op_kinds.py) keeps all it touches.
"""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.graph.op_kind import Formats
from tflm_quantmcu.graph.types import ModelGraph, Tensor


@dataclasses.dataclass(frozen=True)
class FormatGroup:
    """Feature maps with one format.

    Attributes:
      tensors: indices, in the order in which they are written.
      computed: those of them whose values an op computes, instead of moving or pooling the group's own.
    """

    tensors: tuple[int, ...]
    computed: tuple[int, ...]


def free_groups(graph: ModelGraph) -> tuple[FormatGroup, ...]:
    """The groups whose format is nobody else's business, in the order in which they are first written."""
    maps = [t for op in graph.ops for t in op.outputs if _has_format(graph.tensors[t])]
    group = {t: {t} for t in maps}
    kept = {*graph.inputs, *graph.outputs}
    for op in graph.ops:
        touched = {t for t in (*op.inputs, *op.outputs) if t >= 0 and _has_format(graph.tensors[t])}
        own = touched & group.keys()
        if op.traits.formats is Formats.SHARED:
            united = own.union(*(group[t] for t in own))
            group |= dict.fromkeys(united, united)
            kept |= united if own != touched else set()
        elif op.traits.formats is Formats.OWN_OUTPUT:
            kept |= set(op.outputs)
        elif op.traits.formats is Formats.KEPT:
            kept |= own
    groups = []
    for first in maps:
        members = tuple(t for t in maps if t in group[first])
        has_one_format = len({graph.tensors[t].format for t in members}) == 1
        if first == members[0] and has_one_format and kept.isdisjoint(members):
            computed = tuple(t for t in members if graph.producer[t].traits.formats is Formats.FREE)
            groups.append(FormatGroup(members, computed))
    return tuple(groups)


def _has_format(tensor: Tensor) -> bool:
    return tensor.dtype == "int8" and len(tensor.scales) == 1
