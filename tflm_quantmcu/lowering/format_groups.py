"""Which feature maps of an int8 model must share a format, and which must keep the one they have.

In: a ModelGraph. Out: groups of tensors. TFLM's kernels of moves and pools copy bytes or average them whatever the
formats say, so that all their maps have one; logistic, softmax and their like write a format of their own; the model's
inputs and outputs are its interface. An op that is not listed here keeps all formats it touches.
"""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.graph.types import ModelGraph, Tensor

# Their kernels take any format of each map.
_FREE = frozenset(
    (
        "ADD",
        "ARG_MAX",
        "ARG_MIN",
        "BATCH_MATMUL",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DEQUANTIZE",
        "DIV",
        "EQUAL",
        "FULLY_CONNECTED",
        "GREATER",
        "GREATER_EQUAL",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LESS",
        "LESS_EQUAL",
        "MEAN",
        "MUL",
        "NOT_EQUAL",
        "PRELU",
        "QUANTIZE",
        "RELU",
        "SQUARED_DIFFERENCE",
        "SUB",
        "SUM",
        "TRANSPOSE_CONV",
    )
)
# They take any format and write one of their own.
_OWN_OUTPUT = frozenset(
    (
        "L2_NORMALIZATION",
        "LOGISTIC",
        "LOG_SOFTMAX",
        "SOFTMAX",
        "TANH",
    )
)
# All their maps have one format.
_SHARED = frozenset(
    (
        "AVERAGE_POOL_2D",
        "BATCH_TO_SPACE_ND",
        "BROADCAST_TO",
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "GATHER",
        "GATHER_ND",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MINIMUM",
        "MIRROR_PAD",
        "PACK",
        "PAD",
        "PADV2",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "RELU6",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SPLIT_V",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
        "UNPACK",
    )
)


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
        if op.kind in _SHARED:
            united = own.union(*(group[t] for t in own))
            group |= dict.fromkeys(united, united)
            kept |= united if own != touched else set()
        elif op.kind in _OWN_OUTPUT:
            kept |= set(op.outputs)
        elif op.kind not in _FREE:
            kept |= own
    groups = []
    for first in maps:
        members = tuple(t for t in maps if t in group[first])
        has_one_format = len({graph.tensors[t].format for t in members}) == 1
        if first == members[0] and has_one_format and kept.isdisjoint(members):
            groups.append(FormatGroup(members, tuple(t for t in members if graph.producer[t].kind in _FREE)))
    return tuple(groups)


def _has_format(tensor: Tensor) -> bool:
    return tensor.dtype == "int8" and len(tensor.scales) == 1
