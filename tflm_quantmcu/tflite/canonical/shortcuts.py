"""Runs the op of a shortcut before the others that read its input, so that a stage may compute it ahead of them.

A residual block whose shortcut is an op reads its input twice: at once by the block's first op, and late, in the order
in which networks are traced, by the shortcut's, for which the larger map is kept.
"""

from __future__ import annotations

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.canonical.order import alive_bytes, is_movable, ordered
from tflm_quantmcu.tflite.model_file import ModelFile


def put_shortcuts_first(model: ModelFile) -> schema.ModelT | None:
    """The model's tree with shortcuts before their blocks, or None where none moves without more bytes alive."""
    graph = model.graph
    if not is_movable(graph):
        return None
    order = list(graph.ops)
    for op in graph.ops:
        if _is_shortcut(graph, op):
            order = _moved(graph, order, op)
    return None if order == list(graph.ops) else ordered(named_tree(model), order)


def _is_shortcut(graph: ModelGraph, op: Op) -> bool:
    """Whether a stage can hold it, its output goes into one op of several maps, and is no larger than its input."""
    maps = graph.feature_maps(op)
    if len(maps) != 1 or len(op.outputs) != 1 or op.traits.is_vector:
        return False
    readers = graph.consumers[op.outputs[0]]
    joins = len(readers) == 1 and len(graph.feature_maps(readers[0])) > 1
    is_smaller = graph.tensors[op.outputs[0]].num_bytes <= graph.tensors[maps[0]].num_bytes
    return joins and is_smaller and LoweredNetwork.of(graph).stage_refusal(op) is None


def _moved(graph: ModelGraph, order: list[Op], op: Op) -> list[Op]:
    """The order with the op before the first other reader of its input; as it is where more bytes would be alive."""
    last = order.index(op)
    readers = [order.index(reader) for reader in graph.consumers[graph.feature_maps(op)[0]]]
    first = min(readers)
    found = [*order[:first], op, *order[first:last], *order[last + 1 :]]
    before, after = (alive_bytes(graph, ops)[first : last + 1].max() for ops in (order, found))
    return found if after <= before else order
