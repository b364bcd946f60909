"""A SELECT, which TFLM has no kernel for, becomes the SELECT_V2 that gives the same bytes.

The two differ where the condition has fewer dimensions than what is chosen: SELECT has one for each of the first
dimension, SELECT_V2 aligns the last ones. A condition of the same shape, or of one value, means the same in both.
"""

from __future__ import annotations

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile

_CHOSEN = ("int8", "int16", "float32")  # what TFLM's kernel takes


def rename_selects(model: ModelFile) -> schema.ModelT | None:
    """The model's tree with a SELECT_V2 in the place of each SELECT that means the same; None where there is none."""
    found = {op.index for op in model.graph.ops if is_renamed(model.graph, op)}
    if not found:
        return None
    tree = named_tree(model)
    builder = ModelBuilder(tree)
    operators = builder.subgraph.operators
    for op in model.graph.ops:
        if op.index in found:
            operators[op.index] = builder.builtin("SELECT_V2", op.inputs, op.outputs[0], schema.SelectV2OptionsT())
    return tree


def is_renamed(graph: ModelGraph, op: Op) -> bool:
    """Whether the op is a SELECT that means what a SELECT_V2 does."""
    if op.kind != "SELECT" or len(op.inputs) != 3 or len(op.outputs) != 1 or min(op.inputs) < 0:
        return False
    condition, *chosen = (graph.tensors[t] for t in (*op.inputs, *op.outputs))
    shapes, dtypes = {t.shape for t in chosen}, {t.dtype for t in chosen}
    is_alike = condition.num_elements == 1 or {condition.shape} == shapes
    return condition.dtype == "bool" and len(shapes) == len(dtypes) == 1 and dtypes < {*_CHOSEN} and is_alike
