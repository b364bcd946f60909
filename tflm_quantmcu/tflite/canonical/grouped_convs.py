"""A CONV_2D of a few groups of channels becomes one of all of them, whose other weights are zeros.

A product with 0 adds nothing, so that each byte stays. The convolution has as many times the products as there were
groups, and our fast kernels; patch stages hold it at every width. Where its maps are small beside those of the rest of
the network nothing would be gained, and it stays.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile

MAX_GROUPS = 4
_LEAST_SHARE = 0.5  # of the bytes that the largest op of the network reads and writes


def join_groups(model: ModelFile) -> schema.ModelT | None:
    """The model's tree without those that are written so, or None where there are none."""
    graph = model.graph
    least = _LEAST_SHARE * max((_map_bytes(graph, op) for op in graph.ops), default=0)
    found = {op.index for op in graph.ops if 1 < groups_of(graph, op) <= MAX_GROUPS and _map_bytes(graph, op) >= least}
    if not found:
        return None
    tree = named_tree(model)
    builder = ModelBuilder(tree)
    for op in (graph.ops[index] for index in found):
        operator = tree.subgraphs[0].operators[op.index]
        operator.inputs = np.array([op.inputs[0], _joined(builder, graph, op), *op.inputs[2:]], np.int32)
    return tree


def _map_bytes(graph: ModelGraph, op: Op) -> int:
    return sum(graph.tensors[t].num_bytes for t in {*graph.feature_maps(op), *op.outputs})


def groups_of(graph: ModelGraph, op: Op) -> int:
    """The groups of a convolution of int8 maps with constant weights; 0 of any other op."""
    if op.kind != "CONV_2D":
        return 0
    source, filter, output = (graph.tensors[t] for t in (*op.inputs[:2], op.outputs[0]))
    if any(t.dtype != "int8" or len(t.shape) != 4 for t in (source, filter, output)) or filter.data is None:
        return 0
    inputs, outputs, depth = source.shape[3], filter.shape[0], filter.shape[3]
    groups = inputs // depth if depth and inputs % depth == 0 else 0
    fits = groups and outputs % groups == 0 and len(filter.scales) in (1, outputs) and not any(filter.zero_points)
    return groups if fits else 0


def _joined(builder: ModelBuilder, graph: ModelGraph, op: Op) -> int:
    """Index of the weights of all groups, zeros where an output channel does not read an input channel."""
    filter = graph.tensors[op.inputs[1]]
    assert filter.data is not None
    groups, (outputs, height, width, depth) = groups_of(graph, op), filter.shape
    values = np.zeros((groups, outputs // groups, height, width, groups, depth), np.int8)
    for group, own in enumerate(np.split(filter.data, groups)):
        values[group, ..., group, :] = own
    whole = values.reshape(outputs, height, width, groups * depth)
    return builder.add_reshaped_weights(
        filter.index, whole, np.asarray(filter.scales, np.float32), f"{filter.name}/groups"
    )
