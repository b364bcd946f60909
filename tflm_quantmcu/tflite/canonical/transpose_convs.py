"""A TRANSPOSE_CONV becomes a CONV_2D whose channels are blocks of pixels, and a DEPTH_TO_SPACE.

With the stride s, output pixel y gets products of the taps that are alike in (y + pad) % s, one of s at most for each
input pixel. So the pixels of a block of s x s are channels of one convolution with s times fewer taps along an axis,
whose missing taps are zeros, which add nothing. It reads past the edge, hence a PAD; what it makes beyond the output is
cut off.

TFLM's kernel takes 4 bytes of scratch for each byte of the output (reference kernels), a convolution of ours a few.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile

_FILTER, _INPUT, _BIAS = 1, 2, 3  # inputs of the op


def split_transpose_convs(model: ModelFile) -> schema.ModelT | None:
    """The model's tree without those that can be written so, or None where there are none."""
    found = {op.index: parts for op in model.graph.ops if (parts := _parts_of(model.graph, op))}
    if not found:
        return None
    tree = named_tree(model)
    builder, kept = ModelBuilder(tree), []
    for op, operator in zip(model.graph.ops, tree.subgraphs[0].operators, strict=True):
        kept += _written(builder, model.graph, op, found[op.index]) if op.index in found else [operator]
    tree.subgraphs[0].operators = kept
    return tree


@dataclasses.dataclass(frozen=True)
class _Axis:
    """One axis of the op.

    Attributes:
      stride: pixels of a block.
      taps: of the convolution.
      pads: of the input, in front and behind.
      blocks: that the convolution makes.
      crop: pixels of these before the output's first.
      size: of the output.
    """

    stride: int
    taps: int
    pads: tuple[int, int]
    blocks: int
    crop: int
    size: int

    @staticmethod
    def of(read: int, size: int, kernel: int, stride: int, *, is_same: bool) -> _Axis:
        """Pads as TFLM computes them, of the output. Source: ComputePaddingHeightWidth of TFLM's kernels/padding.h."""
        windows = -(-size // stride) if is_same else (size - kernel + stride) // stride
        pad = max(0, (windows - 1) * stride + kernel - size) // 2
        taps, first = -(-kernel // stride), pad // stride
        blocks = (pad + size - 1) // stride + 1 - first
        before = taps - 1 - first
        return _Axis(stride, taps, (before, blocks + taps - 1 - before - read), blocks, pad - first * stride, size)

    @property
    def is_cropped(self) -> bool:
        return self.blocks * self.stride != self.size


def _parts_of(graph: ModelGraph, op: Op) -> tuple[_Axis, _Axis] | None:
    """Both axes of an op that can be written as a convolution, else None."""
    if op.kind != "TRANSPOSE_CONV":
        return None
    filter, source, output = (graph.tensors[t] for t in (op.inputs[_FILTER], op.inputs[_INPUT], op.outputs[0]))
    if not all(map(_is_map, (source, output))) or not _is_filter(filter, source, output) or not _has_bias(graph, op):
        return None
    strides = [int(op.options.get(name, 1)) for name in ("strideH", "strideW")]
    is_same = int(op.options.get("padding", 0)) == schema.Padding.SAME
    rows, columns = (
        _Axis.of(source.shape[d], output.shape[d], filter.shape[d], stride, is_same=is_same)
        for d, stride in zip((1, 2), strides, strict=True)
    )
    if min(*strides, *rows.pads, *columns.pads) < 0 or strides[0] not in (1, strides[1]):
        return None
    return rows, columns


def _is_map(tensor: Tensor) -> bool:
    is_int8 = tensor.dtype == "int8" and len(tensor.scales) == 1 and not tensor.is_constant
    return is_int8 and len(tensor.shape) == 4 and tensor.shape[0] == 1


def _is_filter(filter: Tensor, source: Tensor, output: Tensor) -> bool:
    is_constant = filter.is_constant and filter.dtype == "int8" and not any(filter.zero_points)
    fits = len(filter.shape) == 4 and (filter.shape[0], filter.shape[3]) == (output.shape[3], source.shape[3])
    return is_constant and fits and len(filter.scales) in (1, filter.shape[0])


def _has_bias(graph: ModelGraph, op: Op) -> bool:
    """Whether it has one that a convolution can have, or none."""
    if len(op.inputs) <= _BIAS or op.inputs[_BIAS] < 0:
        return True
    bias = graph.tensors[op.inputs[_BIAS]]
    return bias.is_constant and bias.dtype == "int32" and len(bias.scales) in (1, bias.num_elements)


def _written(builder: ModelBuilder, graph: ModelGraph, op: Op, axes: tuple[_Axis, _Axis]) -> list[schema.OperatorT]:
    """The operators in its place."""
    rows, columns = axes
    source, output = graph.tensors[op.inputs[_INPUT]], graph.tensors[op.outputs[0]]
    name, depth = output.name, rows.stride * columns.stride * output.shape[3]
    found, last = [], op.inputs[_INPUT]
    if any((*rows.pads, *columns.pads)):
        padded = [size + sum(axis.pads) for size, axis in zip(source.shape[1:3], axes, strict=True)]
        pads = builder.add_constant(f"{name}/pads", np.array([(0, 0), rows.pads, columns.pads, (0, 0)], np.int32))
        whole = _map_like(builder, last, f"{name}/padded", (*padded, source.shape[3]))
        found.append(builder.builtin("PAD", [last, pads], whole, schema.PadOptionsT()))
        last = whole
    is_block, is_cropped = depth != output.shape[3], rows.is_cropped or columns.is_cropped
    blocks = (rows.blocks, columns.blocks, depth)
    made = _map_like(builder, op.outputs[0], f"{name}/blocks", blocks) if is_block or is_cropped else op.outputs[0]
    found.append(_convolution(builder, graph, op, axes, last, made))
    if is_block:
        size = (rows.blocks * rows.stride, columns.blocks * columns.stride, output.shape[3])
        spread = _map_like(builder, op.outputs[0], f"{name}/whole", size) if is_cropped else op.outputs[0]
        found.append(_spread(builder, rows, columns, made, spread))
        made = spread
    if is_cropped:
        ends = [
            builder.add_constant(f"{name}/{what}", np.array(values, np.int32))
            for what, values in (("begin", (0, rows.crop, columns.crop, 0)), ("size", output.shape))
        ]
        found.append(builder.builtin("SLICE", [made, *ends], op.outputs[0], schema.SliceOptionsT()))
    return found


def _spread(builder: ModelBuilder, rows: _Axis, columns: _Axis, source: int, output: int) -> schema.OperatorT:
    """Blocks of one row, whose bytes stand where they belong."""
    if rows.stride == 1:
        return builder.reshape(source, output)
    options = schema.DepthToSpaceOptionsT(blockSize=columns.stride)
    return builder.builtin("DEPTH_TO_SPACE", [source], output, options)


def _convolution(
    builder: ModelBuilder, graph: ModelGraph, op: Op, axes: tuple[_Axis, _Axis], source: int, output: int
) -> schema.OperatorT:
    filter, rows, columns = graph.tensors[op.inputs[_FILTER]], *axes
    assert filter.data is not None
    times = rows.stride * columns.stride
    values = _by_pixel_of_block(filter.data, rows, columns)
    weights = builder.add_weights(op.inputs[_FILTER], values, _tiled(filter.scales, times))
    tensor = builder.subgraph.tensors[weights]
    tensor.name, tensor.shape, tensor.shapeSignature = f"{filter.name}/blocks", np.array(values.shape, np.int32), None
    tensor.quantization.zeroPoint = np.zeros(len(tensor.quantization.scale), np.int64)
    tensor.quantization.quantizedDimension = 0
    inputs = [source, weights]
    if len(op.inputs) > _BIAS and op.inputs[_BIAS] >= 0:
        bias = graph.tensors[op.inputs[_BIAS]]
        assert bias.data is not None
        tiled = np.tile(bias.data.astype(np.int32), times)
        inputs.append(builder.add_bias(f"{bias.name}/blocks", tiled, _tiled(bias.scales, times)))
    activation = getattr(schema.ActivationFunctionType, op.activation)
    options = schema.Conv2DOptionsT(
        padding=schema.Padding.VALID,
        strideH=1,
        strideW=1,
        dilationHFactor=1,
        dilationWFactor=1,
        fusedActivationFunction=activation,
    )
    return builder.builtin("CONV_2D", inputs, output, options)


def _tiled(scales: Sequence[float], times: int) -> np.ndarray:
    found = np.asarray(scales, np.float32)
    return np.tile(found, times) if found.size > 1 else found


def _by_pixel_of_block(filter: np.ndarray, rows: _Axis, columns: _Axis) -> np.ndarray:
    """int8 [rows of a block * columns of one * O, taps, taps, I]: of tap t of s taps apart the convolution's last is
    the first, for an input pixel further on has come by an earlier tap."""
    outputs, height, width, inputs = filter.shape
    shape = (outputs, rows.taps * rows.stride, columns.taps * columns.stride, inputs)
    whole = np.zeros(shape, np.int8)
    whole[:, :height, :width] = filter
    split = whole.reshape(outputs, rows.taps, rows.stride, columns.taps, columns.stride, inputs)
    flipped = split[:, ::-1, :, ::-1].transpose(2, 4, 0, 1, 3, 5)
    return np.ascontiguousarray(flipped).reshape(-1, rows.taps, columns.taps, inputs)


def _map_like(builder: ModelBuilder, tensor: int, name: str, shape: tuple[int, ...]) -> int:
    """A new map [1, *shape] of the format of one that there is."""
    made = copy.copy(builder.subgraph.tensors[tensor])
    made.name, made.shape, made.shapeSignature = name, np.array((1, *shape), np.int32), None
    builder.subgraph.tensors.append(made)
    return len(builder.subgraph.tensors) - 1
