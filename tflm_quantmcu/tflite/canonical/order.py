"""Runs an op outside of patch stages before or after its neighbour, where fewer bytes are then alive at the peak.

TFLite writes ops in the order in which the network was traced: two products of one map keep three maps alive where the
second could go first. Ops that a stage may hold keep their order among each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_file import ModelFile


def order_ops(model: ModelFile) -> schema.ModelT | None:
    """The model's tree with its ops in another order, or None where none keeps fewer bytes alive."""
    graph = model.graph
    if not is_movable(graph):
        return None
    order = list(graph.ops)
    while (place := _better(graph, order)) is not None:
        order[place : place + 2] = order[place + 1], order[place]
    return None if order == list(graph.ops) else ordered(named_tree(model), order)


def is_movable(graph: ModelGraph) -> bool:
    """Whether ops may change places at all: nothing but their maps says which comes first."""
    return not any(t.is_variable for t in graph.tensors) and all(op.outputs for op in graph.ops)


def ordered(tree: schema.ModelT, order: Sequence[Op]) -> schema.ModelT:
    """The tree with its ops in this order."""
    operators = tree.subgraphs[0].operators
    tree.subgraphs[0].operators = [operators[op.index] for op in order]
    return tree


def _better(graph: ModelGraph, order: list[Op]) -> int | None:
    """The first of two neighbours at the peak that keep fewer bytes alive the other way round."""
    network, alive = LoweredNetwork.of(graph), alive_bytes(graph, order)
    peak = alive.max(initial=0)
    for place in range(len(order) - 1):
        first, second = order[place : place + 2]
        if alive[place : place + 2].max() < peak or set(first.outputs) & set(second.inputs):
            continue
        if network.stage_refusal(first) is None and network.stage_refusal(second) is None:
            continue
        swapped = [*order[:place], second, first, *order[place + 2 :]]
        if alive_bytes(graph, swapped)[place : place + 2].max() < alive[place : place + 2].max():
            return place
    return None


def alive_bytes(graph: ModelGraph, order: Sequence[Op]) -> np.ndarray:
    """int64 [ops]: of what is there while each op runs, its inputs and outputs too."""
    begins = dict.fromkeys(graph.inputs, 0)
    ends = dict.fromkeys(graph.outputs, len(order) - 1)
    for step, op in enumerate(order):
        for t in op.outputs:
            begins.setdefault(t, step)
            ends.setdefault(t, step)
        for t in graph.feature_maps(op):
            ends[t] = max(ends.get(t, 0), step)
    alive = np.zeros(len(order), np.int64)
    for t, begin in begins.items():
        alive[begin : ends.get(t, begin) + 1] += graph.tensors[t].num_bytes
    return alive
