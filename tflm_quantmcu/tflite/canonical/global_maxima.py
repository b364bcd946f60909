"""A REDUCE_MAX over all pixels of a map takes the largest of windows of it, which a MAX_POOL_2D gives.

The largest of all is the largest of what windows have. A patch stage holds pools, and no reduction of maxima: so it
ends with a pooled map of a few pixels, and the map itself is nowhere whole.
"""

from __future__ import annotations

import copy
import math

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile

_LEAST_PIXELS = 16  # fewer are no more than a pool would leave


def pool_before_maxima(model: ModelFile) -> schema.ModelT | None:
    """The model's tree with a pool in front of each, or None where there is none."""
    graph = model.graph
    found = {op.index for op in graph.ops if _is_global_maximum(graph, op)}
    if not found:
        return None
    tree = named_tree(model)
    builder, kept = ModelBuilder(tree), []
    for op, operator in zip(graph.ops, tree.subgraphs[0].operators, strict=True):
        if op.index in found:
            kept.append(_pool(builder, graph, op))
            operator.inputs = np.array([kept[-1].outputs[0], *operator.inputs[1:]], np.int32)
        kept.append(operator)
    tree.subgraphs[0].operators = kept
    return tree


def _is_global_maximum(graph: ModelGraph, op: Op) -> bool:
    if op.kind != "REDUCE_MAX":
        return False
    source, axes, output = (graph.tensors[t] for t in (*op.inputs, op.outputs[0]))
    if axes.data is None or source.is_constant or source.dtype != "int8" or len(source.scales) != 1:
        return False
    if len(source.shape) != 4 or source.shape[0] != 1 or source.shape[1] * source.shape[2] < _LEAST_PIXELS:
        return False
    alike = (source.scales, source.zero_points) == (output.scales, output.zero_points)
    return alike and {int(a) % 4 for a in axes.data.ravel()} == {1, 2}


def _pool(builder: ModelBuilder, graph: ModelGraph, op: Op) -> schema.OperatorT:
    """A pool of windows about as many as each has pixels, side by side; those at the edge may be smaller."""
    source = graph.tensors[op.inputs[0]]
    _, height, width, channels = source.shape
    rows, columns = (math.isqrt(n - 1) + 1 for n in (height, width))
    pooled = copy.copy(builder.subgraph.tensors[source.index])
    pooled.name, pooled.shapeSignature = f"{graph.tensors[op.outputs[0]].name}/windows", None
    pooled.shape = np.array((1, -(-height // rows), -(-width // columns), channels), np.int32)
    builder.subgraph.tensors.append(pooled)
    options = schema.Pool2DOptionsT(
        padding=schema.Padding.SAME, strideH=rows, strideW=columns, filterHeight=rows, filterWidth=columns
    )
    return builder.builtin("MAX_POOL_2D", [source.index], len(builder.subgraph.tensors) - 1, options)
