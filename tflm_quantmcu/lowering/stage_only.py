"""Ops that run as ours in patch stages alone: moves of channels and of pixels (laws A26 to A29, of crops A6 and A7).

In: an op of a ModelGraph. Out: LoweredOp, or None where a stage cannot hold it. Outside of stages they stay stock ops.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.law.activations import MAX_SHIFT
from tflm_quantmcu.law.kernel_calls import KernelCall
from tflm_quantmcu.law.moves import ALIGNED_CORNERS, neighbours, resize_positions
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.lowering.pads import pads_with_zero_point
from tflm_quantmcu.lowering.stock_comparisons import resize_mode
from tflm_quantmcu.lowering.stock_ops import stock_calls

MAX_INPUTS = 8  # of one op of a stage (docs/format.md F4)
_COPY = "StridedCopy"
_UPSAMPLINGS = ("RESIZE_NEAREST", "DEPTH_TO_SPACE")
_BILINEAR = "RESIZE_BILINEAR"
_SHUFFLE = ("RESHAPE", "TRANSPOSE", "RESHAPE")


def shuffle_of(graph: ModelGraph, op: Op) -> tuple[Op, ...]:
    """The RESHAPE, TRANSPOSE and RESHAPE of which `op` is the last, if they only move the channels of a map and nothing
    else reads what is between them; else nothing."""
    chain = [op]
    while len(chain) < len(_SHUFFLE) and chain[0].inputs[0] in graph.producer:
        chain.insert(0, graph.producer[chain[0].inputs[0]])
    if tuple(link.kind for link in chain) != _SHUFFLE:
        return ()
    for link, reader in itertools.pairwise(chain):
        between = link.outputs[0]
        if graph.consumers[between] != (reader,) or between in graph.outputs:
            return ()
    return tuple(chain) if _lower_shuffle(graph, chain) is not None else ()


def _lower_shuffle(graph: ModelGraph, chain: Sequence[Op]) -> LoweredOp | None:
    """A map's bytes are those of its reshapes, so that the copy of the TRANSPOSE says what moves where."""
    source, output = (graph.tensors[t] for t in (chain[0].inputs[0], chain[-1].outputs[0]))
    if source.shape != output.shape or not _is_map(output) or not _feeds(source, output):
        return None
    try:
        copies = stock_calls(graph, chain[1])
    except UnsupportedModelError:
        return None
    copies = tuple(dataclasses.replace(copy, inputs=(source.index,)) for copy in copies)
    channels = _channels(copies, [source], output)
    return None if channels is None else _gather("GATHER_CHANNELS", output, [source], channels)


def lower_in_stage_alone(graph: ModelGraph, op: Op) -> LoweredOp | None:
    """The op of a stage that carries this one over; of a kind with `in_stage` (graph/op_kinds.py), the last of a
    shuffle of channels, a PAD of channels, or a RESHAPE that lays the channels of each pixel side by side."""
    try:
        return _lower_in_stage_alone(graph, op)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None  # its tensors or options contradict each other


def _lower_in_stage_alone(graph: ModelGraph, op: Op) -> LoweredOp | None:
    if chain := shuffle_of(graph, op):
        return _lower_shuffle(graph, chain)
    if op.traits.is_reshape:
        return _blocks_of_row(graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]])
    (output, *others) = (graph.tensors[t] for t in op.outputs)
    if op.traits.is_pad:
        return _padded_channels(graph, op, output)
    if others or not op.traits.in_stage or not _is_map(output):
        return None
    if op.traits.num_maps == 2:
        return _of_two_maps(graph, op, output)
    if op.traits.in_stage == _BILINEAR:
        return _bilinear(op, graph.tensors[op.inputs[0]], output)
    try:
        copies = stock_calls(graph, op)
    except UnsupportedModelError:
        return None
    sources = [graph.tensors[t] for t in dict.fromkeys(copy.inputs[0] for copy in copies)]
    if len(sources) > MAX_INPUTS or any(copy.kernel != _COPY for copy in copies):
        return None
    if op.traits.in_stage in _UPSAMPLINGS:
        return _upsampling(op, sources[0], output)
    if any(not _feeds(source, output) for source in sources):
        return _crop(copies, sources, output)
    channels = _channels(copies, sources, output)
    return None if channels is None else _gather(op.traits.in_stage, output, sources, channels)


def _padded_channels(graph: ModelGraph, op: Op, output: Tensor) -> LoweredOp | None:
    """Channels of zeros are those of the map times nothing: it is an input again, with the factor 0."""
    source = graph.tensors[op.inputs[0]]
    if not _is_map(output) or not _feeds(source, output) or not pads_with_zero_point(graph, op):
        return None
    depth = source.shape[3]
    if depth == output.shape[3]:
        return None
    before, after = ([(depth, min(depth, count - done)) for done in range(0, count, depth)] for count in op.pads[3])
    return LoweredOp(
        kind="GATHER_CHANNELS",
        name=output.label,
        inputs=(source.index, source.index),
        output=output.index,
        window=Window(),
        activation="NONE",
        runs=(*before, (0, depth), *after),
    )


def is_gate(graph: ModelGraph, op: Op, tensor: int) -> bool:
    """Whether an op multiplies each pixel of a map by the tensor, a map of one pixel."""
    shape, output = graph.tensors[tensor].shape, graph.tensors[op.outputs[0]].shape
    return op.kind == "MUL" and len(output) == 4 and shape == (1, 1, 1, output[3]) != output


def _of_two_maps(graph: ModelGraph, op: Op, output: Tensor) -> LoweredOp | None:
    inputs = sorted(op.inputs, key=lambda t: is_gate(graph, op, t))  # a gate is the second
    sources = [graph.tensors[t] for t in inputs]
    if len(sources) != 2 or not all(map(_is_map, sources)) or sources[0].shape != output.shape:
        return None
    if sources[1].shape != output.shape and not is_gate(graph, op, inputs[1]):
        return None
    low = LoweredOp(op.traits.in_stage, output.label, tuple(inputs), output.index, Window(), op.activation)
    shifts = low.requantization_table([source.format for source in sources], output.format)[1::2]
    return None if shifts.max() > MAX_SHIFT else low


def _is_map(tensor: Tensor) -> bool:
    is_int8 = tensor.dtype == "int8" and len(tensor.scales) == 1
    return is_int8 and not tensor.is_constant and len(tensor.shape) == 4 and tensor.shape[0] == 1


def _feeds(source: Tensor, output: Tensor) -> bool:
    """Whether a channel of the one, whose bytes TFLM moves whatever formats say, can be one of the other."""
    return _is_map(source) and source.shape[:3] == output.shape[:3] and source.format == output.format


def _upsampling(op: Op, source: Tensor, output: Tensor) -> LoweredOp | None:
    """A resize by whole factors, which alone become copies."""
    if not _is_map(source) or source.format != output.format:
        return None
    height, width = (wanted // size for wanted, size in zip(output.shape[1:3], source.shape[1:3], strict=True))
    window = Window(stride_height=height, stride_width=width)
    return LoweredOp(op.traits.in_stage, output.label, (source.index,), output.index, window, "NONE")


def _bilinear(op: Op, source: Tensor, output: Tensor) -> LoweredOp | None:
    """A resize by whole factors, whose window holds all that an output pixel mixes, as the stage counts them."""
    mode, axes = resize_mode(op), []
    if not _is_map(source) or source.format != output.format or mode > ALIGNED_CORNERS:  # TFLM refuses both at once
        return None
    for size, wanted in zip(source.shape[1:3], output.shape[1:3], strict=True):
        step, first = resize_positions(size, wanted, mode)
        pixels = np.arange(wanted)
        lower, upper = neighbours(pixels * step + first, size)
        factor = wanted // size
        if wanted % size or lower.max() >= size:  # TFLM would read behind the map
            return None
        pad = max(0, int((pixels - (lower + 1) * factor).max()) + 1)
        axes.append((factor, pad, max(1, int((upper * factor - pixels).max()) + pad + 1)))
    (height, top, rows), (width, left, columns) = axes
    window = Window(rows, columns, height, width, pad_top=top, pad_left=left)
    return LoweredOp(_BILINEAR, output.label, (source.index,), output.index, window, "NONE", depth_multiplier=mode)


def _blocks_of_row(source: Tensor, output: Tensor) -> LoweredOp | None:
    if not _is_map(source) or not _is_map(output) or source.format != output.format:
        return None
    (_, height, width, depth), (_, new_height, new_width, new_depth) = source.shape, output.shape
    block = new_width // width
    if (new_height, new_width, new_depth * block) != (height, block * width, depth) or block < 2:
        return None
    window = Window(stride_width=block)
    return LoweredOp("DEPTH_TO_SPACE", output.label, (source.index,), output.index, window, "NONE")


def _crop(copies: Sequence[KernelCall], sources: Sequence[Tensor], output: Tensor) -> LoweredOp | None:
    """Pixels at regular distances, with all of their channels: a pool of one tap, or without a stride a move."""
    (source, *others), (copy, *_) = sources, copies
    if others or len(copies) > 1 or not _is_map(source) or source.format != output.format:
        return None
    _, height, width, depth = output.shape
    if source.shape[3] != depth or not np.array_equal(_offsets(copy, "output"), np.arange(output.num_elements)):
        return None
    taken = _offsets(copy, "input").reshape(height, width, depth)
    row, pixel = source.shape[2] * depth, depth
    (top, left), strides = divmod(int(taken[0, 0, 0]) // pixel, source.shape[2]), [1, 1]
    if height > 1:
        strides[0] = int(taken[1, 0, 0] - taken[0, 0, 0]) // row
    if width > 1:
        strides[1] = int(taken[0, 1, 0] - taken[0, 0, 0]) // pixel
    rows, columns = (
        first + np.arange(n) * s for first, n, s in zip((top, left), (height, width), strides, strict=True)
    )
    if min(strides) < 1 or not np.array_equal(
        taken, rows[:, None, None] * row + columns[:, None] * pixel + np.arange(depth)
    ):
        return None
    window = Window(stride_height=strides[0], stride_width=strides[1], pad_top=-top, pad_left=-left)
    kind = "REQUANTIZE" if strides == [1, 1] else "MAX_POOL_2D"
    return LoweredOp(kind, output.label, (source.index,), output.index, window, "NONE")


def _channels(copies: Sequence[KernelCall], sources: Sequence[Tensor], output: Tensor) -> np.ndarray | None:
    """[output channels] of all sources, one behind the other; None where a copy moves pixels or leaves gaps."""
    _, height, width, depth = output.shape
    depths = {source.index: source.shape[3] for source in sources}
    pixels, channels = np.full((2, output.num_elements), -1)
    for copy in copies:
        places, source = _offsets(copy, "output"), copy.inputs[0]
        pixels[places], own = np.divmod(_offsets(copy, "input"), depths[source])
        channels[places] = own + _first_channel(sources, source)
    by_pixel = channels.reshape(height * width, depth)
    is_in_place = np.array_equal(pixels, np.repeat(np.arange(height * width), depth))
    return by_pixel[0] if is_in_place and (by_pixel == by_pixel[0]).all() else None


def _first_channel(sources: Sequence[Tensor], tensor: int) -> int:
    indices = [source.index for source in sources]
    return sum(source.shape[3] for source in sources[: indices.index(tensor)])


def _offsets(copy: KernelCall, side: str) -> np.ndarray:
    """[values] where each value of a copy stands in its input or output, in the order of its extents."""
    steps = getattr(copy.params, f"{side}_steps")
    first = copy.output_offset if side == "output" else (*copy.input_offsets, 0)[0]
    grid = np.indices(copy.params.extents).reshape(len(steps), -1)
    return np.asarray(steps) @ grid + first


def _gather(kind: str, output: Tensor, sources: Sequence[Tensor], channels: np.ndarray) -> LoweredOp:
    breaks = np.flatnonzero(np.diff(channels) != 1) + 1
    ends = [0, *breaks.tolist(), len(channels)]
    starts = {_first_channel(sources, source.index) for source in sources}
    # A run ends with its input too.
    cuts = sorted({*ends, *(i for i, c in enumerate(channels.tolist()) if c in starts)})
    return LoweredOp(
        kind=kind,
        name=output.label,
        inputs=tuple(source.index for source in sources),
        output=output.index,
        window=Window(),
        activation="NONE",
        runs=tuple((int(channels[a]), b - a) for a, b in itertools.pairwise(cuts)),
    )
