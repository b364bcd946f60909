"""SPLIT and SPLIT_V become a SLICE a part that something reads.

Patch stages hold ops of one output. A slice moves the bytes that a split moves, and each part is made when it is read
first, not all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile

# Of each kind: which input is the map, which the axis.
_PLACES = {"SPLIT": (1, 0), "SPLIT_V": (0, 2)}


def slice_splits(model: ModelFile) -> schema.ModelT | None:
    """The model's tree with slices in their place, or None where there are none."""
    graph = model.graph
    found = {op.index: axis for op in graph.ops if (axis := _axis_of(graph, op))}
    if not found:
        return None
    tree = named_tree(model)
    builder = ModelBuilder(tree)
    kept: list[schema.OperatorT] = []
    for op, operator in zip(graph.ops, tree.subgraphs[0].operators, strict=True):
        kept += _slices(builder, graph, op, found[op.index]) if op.index in found else [operator]
    tree.subgraphs[0].operators = kept
    return tree


def _axis_of(graph: ModelGraph, op: Op) -> int:
    """The axis of a split of an int8 map [1, H, W, C]; 0 of any other op."""
    if op.kind not in _PLACES:
        return 0
    source, axis = (graph.tensors[op.inputs[place]] for place in _PLACES[op.kind])
    is_map = source.dtype == "int8" and not source.is_constant and len(source.shape) == 4 and source.shape[0] == 1
    if not is_map or axis.data is None or any(len(graph.tensors[t].shape) != 4 for t in op.outputs):
        return 0
    return int(axis.data.ravel()[0]) % 4


def _slices(builder: ModelBuilder, graph: ModelGraph, op: Op, axis: int) -> Sequence[schema.OperatorT]:
    place, _ = _PLACES[op.kind]
    made, first = [], 0
    for t in op.outputs:
        output = graph.tensors[t]
        if graph.consumers[t] or t in graph.outputs:
            begin = [first if d == axis else 0 for d in range(4)]
            ends = [
                builder.add_constant(f"{output.name}/{what}", np.array(values, np.int32))
                for what, values in (("begin", begin), ("size", output.shape))
            ]
            made.append(builder.builtin("SLICE", [op.inputs[place], *ends], t, schema.SliceOptionsT()))
        first += output.shape[axis]
    return made
