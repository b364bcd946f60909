"""SPACE_TO_BATCH_ND of a Keras model, whose pads are the zero point: TFLM's kernel pads with a byte that it never sets.

In: an int8 `.tflite` of TensorFlow's converter. Out: one that gives on TFLM the bytes that TFLite gives for it: dilated
convolutions are such ops again, and where blocks stay, a PAD stands before them.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.graph.unset_pads import pads_unset
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.dilated_convs import dilate_convs
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.prune import prune
from tflm_quantmcu.tflite.writer import write_model


def pads_of_zero_points(data: bytes) -> bytes:
    """The model without a SPACE_TO_BATCH_ND that pads; the same bytes where there is none."""
    try:
        model = ModelFile(data)
        if not any(pads_unset(model.graph, op) for op in model.graph.ops):
            return data
    except UnsupportedModelError:
        return data  # whoever reads it says why
    tree = dilate_convs(model, means_zero_point=True)
    if tree is not None:
        prune(tree)
        model = ModelFile(write_model(tree))
    if not any(pads_unset(model.graph, op) for op in model.graph.ops):
        return model.data
    return _with_pads(model)


def _with_pads(model: ModelFile) -> bytes:
    """The model with a PAD, which takes the zero point, before each SPACE_TO_BATCH_ND that pads."""
    graph, tree = model.graph, named_tree(model)
    builder, kept = ModelBuilder(tree), list[schema.OperatorT]()
    for op, operator in zip(graph.ops, tree.subgraphs[0].operators, strict=True):
        if pads_unset(graph, op):
            source, own = (graph.tensors[op.inputs[i]] for i in (0, 2))
            padded, amounts = _padded(builder, source, own)
            kept.append(builder.builtin("PAD", [source.index, amounts], padded, schema.PadOptionsT()))
            nothing = builder.add_constant(f"{own.name}/nothing", np.zeros(own.shape, np.int32))
            operator.inputs = np.array([padded, op.inputs[1], nothing], np.int32)
        kept.append(operator)
    tree.subgraphs[0].operators = kept
    return write_model(tree)


def _padded(builder: ModelBuilder, source: Tensor, own: Tensor) -> tuple[int, int]:
    """Indices of a new map, the source with its pads, and of the amounts of all its dimensions."""
    assert own.data is not None
    amounts = np.zeros((len(source.shape), 2), np.int32)
    amounts[1 : 1 + len(own.data)] = own.data
    shape = tuple(n + int(pads.sum()) for n, pads in zip(source.shape, amounts, strict=True))
    padded = builder.add_map(f"{source.name}/padded", shape, source.format)
    return padded, builder.add_constant(f"{own.name}/all", amounts)
