"""A tree to rewrite whose tensors have the names that the graph of the model gives them."""

from __future__ import annotations

from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.model_file import ModelFile


def named_tree(model: ModelFile) -> schema.ModelT:
    """A copy of the model's tree. Repeated names, which the reader tells apart by index, are apart in the tree too, so
    that dropping tensors changes no name."""
    tree = model.copied_tree()
    for tensor, read in zip(tree.subgraphs[0].tensors, model.graph.tensors, strict=True):
        tensor.name = read.name
    return tree
