"""A CONV_2D each of whose groups is one input channel becomes the DEPTHWISE_CONV_2D that it is.

TensorFlow writes a depthwise convolution of Keras' Conv2D(groups=...), as ConvNeXt's, as a grouped one, which patch
stages do not hold and no fast kernel runs. Products, their order and rounding are the same.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.grouped_convs import groups_of
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile


def make_depthwise(model: ModelFile) -> schema.ModelT | None:
    """The model's tree without those that are written so, or None where there are none."""
    graph = model.graph
    found = [op for op in graph.ops if _is_depthwise(graph, op)]
    if not found:
        return None
    tree = named_tree(model)
    builder = ModelBuilder(tree)
    for op in found:
        options = dict(vars(tree.subgraphs[0].operators[op.index].builtinOptions))
        kept = {name: value for name, value in options.items() if hasattr(schema.DepthwiseConv2DOptionsT(), name)}
        multiplier = graph.tensors[op.outputs[0]].shape[3] // graph.tensors[op.inputs[0]].shape[3]
        depthwise = schema.DepthwiseConv2DOptionsT(**{**kept, "depthMultiplier": multiplier})
        inputs = (op.inputs[0], _weights(builder, graph, op), *op.inputs[2:])
        operator = builder.builtin("DEPTHWISE_CONV_2D", inputs, op.outputs[0], depthwise)
        tree.subgraphs[0].operators[op.index] = operator
    return tree


def _is_depthwise(graph: ModelGraph, op: Op) -> bool:
    groups = groups_of(graph, op)  # 0 of other ops, whose inputs may be none
    return groups > 1 and groups == graph.tensors[op.inputs[0]].shape[3]


def _weights(builder: ModelBuilder, graph: ModelGraph, op: Op) -> int:
    """Index of the filter with the channels last: [O, H, W, 1] as [1, H, W, O]."""
    filter = graph.tensors[op.inputs[1]]
    assert filter.data is not None
    whole = filter.data.transpose(3, 1, 2, 0)
    scales = np.asarray(filter.scales, np.float32)
    weights = builder.add_reshaped_weights(filter.index, whole, scales, f"{filter.name}/depthwise")
    builder.subgraph.tensors[weights].quantization.quantizedDimension = 3 if len(filter.scales) > 1 else 0
    return weights
