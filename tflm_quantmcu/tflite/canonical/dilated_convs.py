"""A convolution between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND becomes the dilated convolution that it is.

TensorFlow writes a dilated convolution so, and TFLite's converter joins the three again, but where two convolutions
read the same blocks, as the gates of a WaveNet do: then all stay, and hold the map three times.

TFLM's SPACE_TO_BATCH_ND pads with a byte that it never sets. Where an output depends on it, only whoever knows that the
zero point is meant may rewrite it.
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

_SPATIAL = 2  # dimensions of an image
_STEPS = ("strideH", "strideW", "dilationHFactor", "dilationWFactor")


def dilate_convs(model: ModelFile, *, means_zero_point: bool = False) -> schema.ModelT | None:
    """The model's tree with dilated convolutions in their place, or None where there are none.

    Args:
      model: as read.
      means_zero_point: pads that outputs depend on are the zero point; else such convolutions stay.
    """
    graph = model.graph
    found = {dilated.last: dilated for op in graph.ops if (dilated := _dilated(graph, op, means_zero_point))}
    if not found:
        return None
    tree = named_tree(model)
    builder, images = ModelBuilder(tree), dict[int, int]()
    operators = tree.subgraphs[0].operators
    inner = {i for dilated in found.values() for i in dilated.inner}
    made = {i: _operators(builder, graph, dilated, operators, images) for i, dilated in found.items()}
    kept = [new for i, own in enumerate(operators) if i not in inner for new in made.get(i, [own])]
    tree.subgraphs[0].operators = _without_unread_blocks(graph, builder, kept)
    return tree


@dataclasses.dataclass(frozen=True)
class _Dilated:
    """One such convolution.

    Attributes:
      source, output: tensors, of three or four dimensions.
      conv, last: ops, by index: the convolution and the BATCH_TO_SPACE_ND.
      inner: ops that nothing else reads, the convolution among them.
      dilation: of height and width.
      padding: of the schema.
    """

    source: int
    output: int
    conv: int
    last: int
    inner: tuple[int, ...]
    dilation: tuple[int, int]
    padding: int


def _dilated(graph: ModelGraph, last: Op, means_zero_point: bool) -> _Dilated | None:
    """What a BATCH_TO_SPACE_ND ends; None of any other op."""
    if last.kind != "BATCH_TO_SPACE_ND":
        return None
    inner: list[Op] = []
    op = _only_writer(graph, last)
    while op is not None and op.traits.is_reshape and not inner:
        inner.append(op)
        op = _only_writer(graph, op)
    if op is None or not _is_plain_conv(op):
        return None
    conv, first = op, graph.producer.get(op.inputs[0])
    inner.append(conv)
    if first is not None and first.traits.is_reshape:
        first = graph.producer.get(first.inputs[0])
    if first is None or first.kind != "SPACE_TO_BATCH_ND":
        return None
    found = _dilation_and_padding(graph, first, last, conv, means_zero_point)
    indices = tuple(op.index for op in inner)
    return found and _Dilated(first.inputs[0], last.outputs[0], conv.index, last.index, indices, *found)


def _only_writer(graph: ModelGraph, op: Op) -> Op | None:
    """What writes the map that an op alone reads."""
    t = op.inputs[0]
    return graph.producer.get(t) if len(graph.consumers[t]) == 1 and t not in graph.outputs else None


def _is_plain_conv(op: Op) -> bool:
    options = op.options
    is_conv = op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and options.get("padding") == schema.Padding.VALID
    return is_conv and all(options.get(what, 1) == 1 for what in _STEPS)


def _numbers(graph: ModelGraph, op: Op) -> tuple[list[int], list[int]] | None:
    """Values a block and pads or crops before the map, an axis each, of SPACE_TO_BATCH_ND or its inverse; None where
    they are not constant."""
    sizes, edges = (graph.tensors[t].data for t in op.inputs[1:3])
    if sizes is None or edges is None:
        return None
    return sizes.ravel().tolist(), edges.reshape(-1, 2)[:, 0].tolist()


def _dilation_and_padding(
    graph: ModelGraph, first: Op, last: Op, conv: Op, means_zero_point: bool
) -> tuple[tuple[int, int], int] | None:
    """Dilation and padding of the schema, where maps are [1, H, W, C], or [1, W, C] and the convolution's one row;
    else None."""
    tensors = graph.tensors
    source, output, before, after = (
        tensors[t] for t in (first.inputs[0], last.outputs[0], conv.inputs[0], conv.outputs[0])
    )
    opened, closed = _numbers(graph, first), _numbers(graph, last)
    if opened is None or closed is None or opened[0] != closed[0]:
        return None
    if any(t.dtype != "int8" or t.is_constant or t.shape[0] != 1 for t in (source, output)):
        return None
    if source.format != before.format or output.format != after.format:
        return None
    blocks = opened[0]
    maps = [tensors[t].shape for t in (first.outputs[0], last.inputs[0])]
    if maps != [t.shape if len(blocks) == _SPATIAL else _row(t) for t in (before, after)]:
        return None
    kernel = tensors[conv.inputs[1]].shape[1:3][-len(blocks) :]
    axes = [
        _Axis(pad - crop, (k - 1) * block, size, left)
        for pad, crop, k, block, size, left in zip(
            opened[1], closed[1], kernel, blocks, source.shape[1:-1], output.shape[1:-1], strict=True
        )
    ]
    height, width = (1, *blocks)[-_SPATIAL:]
    if all(axis.is_valid for axis in axes):
        return (height, width), int(schema.Padding.VALID)
    is_same = means_zero_point and all(axis.is_same for axis in axes)
    return ((height, width), int(schema.Padding.SAME)) if is_same else None


@dataclasses.dataclass(frozen=True)
class _Axis:
    """One of height and width.

    Attributes:
      before: what is padded and not cropped again.
      reach: from the first tap to the last.
      size, left: of the map that is read, and of what is written.
    """

    before: int
    reach: int
    size: int
    left: int

    @property
    def is_valid(self) -> bool:
        """No output depends on a pad."""
        return self.before == 0 and self.left + self.reach == self.size

    @property
    def is_same(self) -> bool:
        """A convolution that is padded to its input's size pads as much on either side."""
        return self.left == self.size and self.before == self.reach // 2


def _row(image: Tensor) -> tuple[int, ...]:
    """The shape of an image of one row without that row; of others one that no map has."""
    return (image.shape[0], *image.shape[2:]) if len(image.shape) == 4 and image.shape[1] == 1 else ()


def _operators(
    builder: ModelBuilder,
    graph: ModelGraph,
    dilated: _Dilated,
    operators: Sequence[schema.OperatorT],
    images: dict[int, int],
) -> list[schema.OperatorT]:
    """The convolution, between reshapes where its ends are rows; `images` are of rows that have got one."""
    conv = operators[dilated.conv]
    options = conv.builtinOptions
    options.padding = dilated.padding
    options.dilationHFactor, options.dilationWFactor = dilated.dilation
    if len(graph.tensors[dilated.source].shape) > 1 + _SPATIAL:
        conv.inputs = np.array([dilated.source, *conv.inputs[1:]], np.int32)
        conv.outputs = np.array([dilated.output], np.int32)
        return [conv]
    before = []
    if dilated.source not in images:
        images[dilated.source] = _add_image(builder, graph.tensors[dilated.source])
        before.append(builder.reshape(dilated.source, images[dilated.source]))
    image = _add_image(builder, graph.tensors[dilated.output])
    conv.inputs = np.array([images[dilated.source], *conv.inputs[1:]], np.int32)
    conv.outputs = np.array([image], np.int32)
    return [*before, conv, builder.reshape(image, dilated.output)]


def _add_image(builder: ModelBuilder, row: Tensor) -> int:
    """Index of a new map [1, 1, W, C] like a row."""
    tensors = builder.subgraph.tensors
    image = copy.copy(tensors[row.index])
    image.name, image.shapeSignature = f"{row.name}/blocks", None
    image.shape = np.array((1, *row.shape), np.int32)
    tensors.append(image)
    return len(tensors) - 1


def _without_unread_blocks(
    graph: ModelGraph, builder: ModelBuilder, operators: Sequence[schema.OperatorT]
) -> list[schema.OperatorT]:
    """The operators but SPACE_TO_BATCH_ND and the reshapes behind it that nothing reads any more."""
    blocks = {op.outputs[0] for op in graph.ops if op.kind == "SPACE_TO_BATCH_ND"}
    blocks |= {op.outputs[0] for op in graph.ops if op.traits.is_reshape and op.inputs[0] in blocks}
    kept, read = [], {int(t) for t in builder.subgraph.outputs}
    for operator in reversed(operators):
        if int(operator.outputs[0]) in blocks - read:
            continue
        read.update(int(t) for t in operator.inputs)
        kept.append(operator)
    return kept[::-1]
