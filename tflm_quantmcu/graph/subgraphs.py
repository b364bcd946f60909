"""A network of several subgraphs, or with resource variables: to planning one op, which stock TFLM runs as a whole.

In: ModelGraphs as read, one a subgraph. Out: one ModelGraph with their ends. Whoever counts bytes looks inside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import ModelGraph, Op

SUBGRAPHS = "SUBGRAPHS"  # the kind of the one op
# Kinds that run other subgraphs -> their options that name these, in the order in which TFLM plans their memory.
INNER = {
    "CALL_ONCE": ("initSubgraphIndex",),
    "IF": ("thenSubgraphIndex", "elseSubgraphIndex"),
    "WHILE": ("condSubgraphIndex", "bodySubgraphIndex"),
}
_TRAINS = (
    "; a batch normalisation in it takes the statistics of each input, as in training: export the model for inference "
    "(training=False), or give the Keras model itself"
)
# Kinds whose order counts beside what they read and write.
_ORDERED = frozenset({"ASSIGN_VARIABLE", "READ_VARIABLE", "VAR_HANDLE", *INNER})


def parts_of(graph: ModelGraph) -> tuple[ModelGraph, ...]:
    """The subgraphs of a model, the first its own; of other models itself."""
    return graph.subgraphs or (graph,)


def all_ops(graph: ModelGraph) -> Iterator[tuple[ModelGraph, Op]]:
    """Every op of a model with the subgraph that it stands in."""
    return ((part, op) for part in parts_of(graph) for op in part.ops)


def why_whole(graph: ModelGraph) -> str:
    """Words for people, behind a colon: why the model runs stock; "" of models that are planned op by op."""
    if not graph.subgraphs:
        return ""
    kinds = {op.kind for _, op in all_ops(graph)}
    parts = [f"{len(graph.subgraphs)} subgraphs"] if len(graph.subgraphs) > 1 else []
    parts += ["resource variables"] if "VAR_HANDLE" in kinds else []
    told = f"it has {' with '.join(parts)}, so stock TFLM runs it as a whole and its bytes stay as they are"
    return told + _TRAINS if any(_is_statistic(part, op) for part, op in all_ops(graph)) else told


def _is_statistic(graph: ModelGraph, op: Op) -> bool:
    """Whether an op is a batch normalisation's mean or variance, as Keras calls them."""
    return op.kind == "VAR_HANDLE" and "/moving_" in graph.tensors[op.outputs[0]].name


def joined(parts: Sequence[ModelGraph]) -> ModelGraph:
    """The model of these subgraphs: the only one itself, if TFLM runs that op by op and nothing else.

    Raises:
      UnsupportedModelError: nothing in it writes an output.
    """
    main = parts[0]
    if len(parts) == 1 and not any(op.kind in _ORDERED for op in main.ops):
        return main
    outputs = tuple(t for t in main.outputs if t not in main.inputs and not main.tensors[t].is_constant)
    if not outputs:
        raise UnsupportedModelError("the model's outputs are its inputs or constants, so there is nothing to convert")
    ends = {*main.inputs, *main.outputs}
    return dataclasses.replace(
        main,
        tensors=tuple(t if t.index in ends else dataclasses.replace(t, shape=(0,), data=None) for t in main.tensors),
        ops=(Op(0, SUBGRAPHS, main.inputs, outputs),),
        offline_offsets=None,
        subgraphs=tuple(parts),
    )
