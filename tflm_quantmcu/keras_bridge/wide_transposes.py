"""Keras' transposes of more dimensions than TFLM takes, such as those of pixel shuffles, patches and windows.

In: an int8 `.tflite`. Out: one that gives the same bytes: axes of one element are left out, and axes that stay side by
side are one. What shuffles blocks of pixels between reshapes is a DEPTH_TO_SPACE, which patch stages hold, or a
SPACE_TO_DEPTH.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.prune import prune
from tflm_quantmcu.tflite.writer import write_model

_MOST_DIMENSIONS = 5  # that TFLM's TRANSPOSE takes
_Operators = list[schema.OperatorT]


def narrow_transposes(data: bytes) -> bytes:
    """The model with such ops in place of each transpose of more than 5 dimensions; the same bytes where there is
    none."""
    try:
        model = ModelFile(data)
        graph = model.graph
    except UnsupportedModelError:
        return data  # whoever reads it says why
    wide = [op for op in graph.ops if _is_wide(graph, op)]
    if not wide:
        return data
    tree = named_tree(model)
    builder = ModelBuilder(tree)
    made: dict[int, _Operators] = {}
    for op in wide:
        made.update(_block_shuffle(builder, graph, op) or _narrowed(builder, graph, op))
    kept: _Operators = []
    for i, operator in enumerate(tree.subgraphs[0].operators):
        kept += made.get(i, [operator])
    tree.subgraphs[0].operators = kept
    prune(tree)
    return write_model(tree)


def narrowed(shape: Sequence[int], order: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape and the order of axes of the transpose of fewest dimensions that moves elements alike.

    Args:
      shape: of what is transposed.
      order: the axis that each of the result's comes from.
    """
    runs: list[list[int]] = []
    real = [axis for axis in range(len(shape)) if shape[axis] > 1]
    for axis in (axis for axis in order if shape[axis] > 1):
        if runs and real.index(runs[-1][-1]) + 1 == real.index(axis):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    before = sorted(runs)
    sizes = tuple(math.prod(shape[axis] for axis in run) for run in before)
    return sizes, tuple(before.index(run) for run in runs)


def _is_wide(graph: ModelGraph, op: Op) -> bool:
    if op.kind != "TRANSPOSE" or graph.tensors[op.inputs[1]].data is None:
        return False
    source = graph.tensors[op.inputs[0]]
    return source.dtype == "int8" and len(source.shape) > _MOST_DIMENSIONS


def _order(graph: ModelGraph, op: Op) -> list[int]:
    data = graph.tensors[op.inputs[1]].data
    assert data is not None
    return [int(axis) for axis in data.ravel()]


def _narrowed(builder: ModelBuilder, graph: ModelGraph, op: Op) -> dict[int, _Operators]:
    """The op as one of fewer dimensions between reshapes; none where TFLM does not take that one either."""
    source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    shape, order = narrowed(source.shape, _order(graph, op))
    if len(shape) > _MOST_DIMENSIONS:
        return {}
    shape, order = (shape, order) if shape else ((1,), (0,))
    before = builder.add_map(f"{output.name}/narrow", shape, source.format)
    after = builder.add_map(f"{output.name}/transposed", [shape[axis] for axis in order], output.format)
    axes = builder.add_constant(f"{output.name}/order", np.array(order, np.int32))
    transpose = builder.builtin("TRANSPOSE", [before, axes], after, schema.TransposeOptionsT())
    return {op.index: [_reshape(builder, source.index, before), transpose, _reshape(builder, after, output.index)]}


def _block_shuffle(builder: ModelBuilder, graph: ModelGraph, op: Op) -> dict[int, _Operators]:
    """The op and the reshapes around it as one op on maps; none where they are no such op."""
    first, last = graph.producer.get(op.inputs[0]), _only_reader(graph, op)
    if first is None or last is None or {first.kind, last.kind} != {"RESHAPE"}:
        return {}
    source, output = graph.tensors[first.inputs[0]], graph.tensors[last.outputs[0]]
    if any(len(tensor.shape) != 4 for tensor in (source, output)):
        return {}
    middle = graph.tensors[op.inputs[0]].shape
    moved = np.arange(source.num_elements).reshape(middle).transpose(_order(graph, op)).reshape(output.shape)
    for kind, options, wide, narrow in (
        ("DEPTH_TO_SPACE", schema.DepthToSpaceOptionsT, output, source),
        ("SPACE_TO_DEPTH", schema.SpaceToDepthOptionsT, source, output),
    ):
        size = wide.shape[1] // narrow.shape[1]
        if size > 1 and _is_shuffled(wide, narrow, size, moved, is_deeper=kind == "SPACE_TO_DEPTH"):
            shuffle = builder.builtin(kind, [source.index], output.index, options(blockSize=size))
            left_out = [op] if len(graph.consumers[first.outputs[0]]) > 1 else [first, op]
            return {**{link.index: [] for link in left_out}, last.index: [shuffle]}
    return {}


def _is_shuffled(wide: Tensor, narrow: Tensor, size: int, moved: np.ndarray, *, is_deeper: bool) -> bool:
    """Whether elements go as a block's pixels go to channels (`is_deeper`), or back."""
    samples, rows, columns, depth = narrow.shape
    if wide.shape != (samples, rows * size, columns * size, depth // size**2) or depth % size**2:
        return False
    blocks = (samples, rows, size, columns, size, depth // size**2)
    if is_deeper:
        expected = np.arange(moved.size).reshape(blocks).transpose(0, 1, 3, 2, 4, 5)
    else:
        blocks = (samples, rows, columns, size, size, depth // size**2)
        expected = np.arange(moved.size).reshape(blocks).transpose(0, 1, 3, 2, 4, 5)
    return np.array_equal(moved, expected.reshape(moved.shape))


def _only_reader(graph: ModelGraph, op: Op) -> Op | None:
    readers = graph.consumers[op.outputs[0]]
    return readers[0] if len(readers) == 1 and op.outputs[0] not in graph.outputs else None


def _reshape(builder: ModelBuilder, source: int, target: int) -> schema.OperatorT:
    shape = builder.subgraph.tensors[target].shape
    return builder.builtin("RESHAPE", [source], target, schema.ReshapeOptionsT(newShape=list(map(int, shape))))
