"""Drops reshapes whose output is there already: a map that is given its own shape again, or the same one twice.

What reads the output of such a reshape reads the map that it came from; a reshape of a reshape reads the first map.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile


def drop_needless_reshapes(model: ModelFile) -> schema.ModelT | None:
    """The model's tree without them, or None where there are none."""
    graph = model.graph
    chains = {op.outputs[0]: _chain(graph, op) for op in graph.ops if op.traits.is_reshape}
    same = _same_maps(graph, chains)
    if not same:
        return None
    tree = named_tree(model)
    builder = ModelBuilder(tree)
    kept: list[schema.OperatorT] = []
    read = {*graph.outputs}
    for op, operator in reversed(list(zip(graph.ops, tree.subgraphs[0].operators, strict=True))):
        chain = chains.get(op.outputs[0], [])
        if op.outputs[0] in same or (chain and op.outputs[0] not in read):
            continue
        if len(chain) > 1:
            operator = builder.reshape(chain[-1], op.outputs[0])
        operator.inputs = np.array([same.get(int(t), int(t)) for t in operator.inputs], np.int32)
        read.update(operator.inputs.tolist())
        kept.append(operator)
    tree.subgraphs[0].operators = kept[::-1]
    return tree


def _chain(graph: ModelGraph, op: Op) -> list[int]:
    """What a reshape reads, what that was reshaped from, and so on, all of one format."""
    tensors, chain = graph.tensors, [op.inputs[0]]
    while (writer := graph.producer.get(chain[-1])) and writer.traits.is_reshape:
        source, output = (tensors[t] for t in (writer.inputs[0], writer.outputs[0]))
        if source.is_constant or source.is_variable or source.scales != output.scales:
            break
        if source.zero_points != output.zero_points or source.dtype != output.dtype:
            break
        chain.append(source.index)
    return chain


def _same_maps(graph: ModelGraph, chains: Mapping[int, list[int]]) -> dict[int, int]:
    """Output of a reshape -> a map that is the same in all, and there before it."""
    made: dict[tuple[object, ...], int] = {}  # what a map is -> the first that is it
    same: dict[int, int] = {}
    for output, chain in chains.items():
        tensors = [graph.tensors[t] for t in (*reversed(chain), output)]
        if any(t.is_constant or t.is_variable for t in tensors):
            continue
        for tensor in tensors:
            made.setdefault(_identity(tensor, chain[-1]), tensor.index)
        first = made[_identity(tensors[-1], chain[-1])]
        if first != output and output not in graph.outputs:
            same[output] = first
    return same


def _identity(tensor: Tensor, root: int) -> tuple[object, ...]:
    return root, tensor.shape, tensor.dtype, tensor.scales, tensor.zero_points
