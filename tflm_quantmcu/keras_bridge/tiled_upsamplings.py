"""Keras' UpSampling1D and UpSampling2D of nearest neighbours, which TensorFlow exports as TILE between reshapes, as the
resize that they are.

In: an int8 `.tflite`. Out: one that gives the same bytes; TFLM has no TILE, and patch stages hold the resize.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.prune import prune
from tflm_quantmcu.tflite.writer import write_model

_LINKS = ("RESHAPE", "TILE")


def resize_in_place_of_tiles(data: bytes) -> bytes:
    """The model with a RESIZE_NEAREST_NEIGHBOR for each such chain; the same bytes where there is none."""
    try:
        model = ModelFile(data)
        graph = model.graph
    except UnsupportedModelError:
        return data  # whoever reads it says why
    chains = [chain for op in graph.ops if (chain := _chain(graph, op))]
    if not chains:
        return data
    tree = named_tree(model)
    builder = ModelBuilder(tree)
    resizes = {chain[-1].index: _resize(builder, graph, chain) for chain in chains}
    left_out = {op.index for chain in chains for op in chain}
    kept: list[schema.OperatorT] = []
    for i, operator in enumerate(tree.subgraphs[0].operators):
        kept += resizes.get(i, [] if i in left_out else [operator])
    tree.subgraphs[0].operators = kept
    prune(tree)
    return write_model(tree)


def _chain(graph: ModelGraph, last: Op) -> list[Op]:
    """The ops that end in `last` and together repeat each pixel of a map; else none."""
    chain: list[Op] = []
    op: Op | None = last
    while op is not None and op.kind in _LINKS and (not chain or _is_between(graph, op)):
        chain.insert(0, op)
        op = graph.producer.get(op.inputs[0])
    is_end = last.kind == "RESHAPE" and any(link.kind == "TILE" for link in chain)
    return chain if is_end and _repeats_pixels(graph, chain) else []


def _is_between(graph: ModelGraph, op: Op) -> bool:
    return len(graph.consumers[op.outputs[0]]) == 1 and op.outputs[0] not in graph.outputs


def _repeats_pixels(graph: ModelGraph, chain: list[Op]) -> bool:
    source, output = graph.tensors[chain[0].inputs[0]], graph.tensors[chain[-1].outputs[0]]
    if source.dtype != "int8" or any(len(t.shape) not in (3, 4) for t in (source, output)):
        return False
    before, after = _map_shape(source), _map_shape(output)
    if source.format != output.format or (before[0], before[3]) != (after[0], after[3]):
        return False
    places = np.arange(source.num_elements).reshape(source.shape)
    moved = places
    for op in chain:
        if op.kind == "TILE":
            counts = graph.tensors[op.inputs[1]].data
            if counts is None:
                return False
            moved = np.tile(moved, counts.ravel().tolist())
        moved = moved.reshape(graph.tensors[op.outputs[0]].shape)
    rows, columns = (m // n for m, n in zip(after[1:3], before[1:3], strict=True))
    repeated = places.reshape(before).repeat(rows, 1).repeat(columns, 2)
    return np.array_equal(moved.reshape(after), repeated)


def _map_shape(tensor: Tensor) -> tuple[int, ...]:
    """[N, H, W, C] of a map, one row of what has three dimensions."""
    return tensor.shape if len(tensor.shape) == 4 else (tensor.shape[0], 1, *tensor.shape[1:])


def _resize(builder: ModelBuilder, graph: ModelGraph, chain: list[Op]) -> list[schema.OperatorT]:
    """The resize, between reshapes where the maps have three dimensions."""
    source, output = graph.tensors[chain[0].inputs[0]], graph.tensors[chain[-1].outputs[0]]
    before, after = source.index, output.index
    reshapes = []
    if len(source.shape) == 3:
        before = builder.add_map(f"{output.name}/row", _map_shape(source), source.format)
        reshapes.append(_reshape(builder, source.index, before))
    if len(output.shape) == 3:
        after = builder.add_map(f"{output.name}/resized", _map_shape(output), output.format)
    size = builder.add_constant(f"{output.name}/size", np.array(_map_shape(output)[1:3], np.int32))
    options = schema.ResizeNearestNeighborOptionsT()
    resize = builder.builtin("RESIZE_NEAREST_NEIGHBOR", [before, size], after, options)
    return [*reshapes, resize, *([_reshape(builder, after, output.index)] if after != output.index else [])]


def _reshape(builder: ModelBuilder, source: int, target: int) -> schema.OperatorT:
    shape = builder.subgraph.tensors[target].shape
    return builder.builtin("RESHAPE", [source], target, schema.ReshapeOptionsT(newShape=list(map(int, shape))))
