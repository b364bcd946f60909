"""Stock ops that repeat, pad or permute values, or move them between pixels, channels and images (law A10).

In: an op of an int8 model. Out: KernelCalls. Refuses, naming the op, amounts that are not constant.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.fixed_point import round_half_away
from tflm_quantmcu.law.kernel_calls import FillParams, KernelCall
from tflm_quantmcu.lowering.stock_moves import MAX_COPIES, MOVED, copied
from tflm_quantmcu.lowering.stock_parts import constant_input, dense_steps, io_tensors, refuse

# Of an axis of MIRROR_PAD: (first value of the output, of the input, how many, step in the input).
_Run = tuple[int, int, int, int]


def _filled(output: Tensor, value: int) -> KernelCall:
    """All values of an output, `value` of a byte each, or all 0."""
    return KernelCall("Fill", FillParams(output.num_bytes, value), (), output.index)


def _pad(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, MOVED)
    if len(op.pads) != len(source.shape) or min((p for pair in op.pads for p in pair), default=0) < 0:
        raise refuse(graph, op, "its pads are not constant counts, one pair a dimension")
    fill = _filled(output, output.zero_points[0] if output.scales else 0)
    if len(op.inputs) > 2:
        values, tensor = constant_input(graph, op, 2, "values"), graph.tensors[op.inputs[2]]
        if values.dtype == np.int8:
            fill = _filled(output, int(values.ravel()[0]))
        else:
            none, all_steps = [0] * len(output.shape), dense_steps(output.shape)
            fill = copied(graph, op, (tensor, output), output.shape, (none, all_steps))
    steps = dense_steps(source.shape), dense_steps(output.shape)
    first = sum(before * step for (before, _), step in zip(op.pads, steps[1], strict=True))
    return [fill, copied(graph, op, (source, output), source.shape, steps, (0, first))]


def _mirror_pad(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """A copy for each combination of what stands before, in and behind the input along each axis. Source:
    GetInputDimension of TFLM's mirror_pad.cc."""
    source, output = io_tensors(graph, op, 1, MOVED)
    pads = constant_input(graph, op, 1, "pads").reshape(-1, 2).tolist()
    is_symmetric = int(op.options.get("mode", 0))
    axes = [list(_mirrored(n, pair[0], pair[1], is_symmetric)) for n, pair in zip(source.shape, pads, strict=True)]
    source_steps, output_steps = dense_steps(source.shape), dense_steps(output.shape)
    calls = []
    for runs in itertools.product(*axes):
        to, first, counts, directions = zip(*runs, strict=True)
        steps = [direction * step for direction, step in zip(directions, source_steps, strict=True)]
        firsts = (int(np.dot(first, source_steps)), int(np.dot(to, output_steps)))
        calls.append(copied(graph, op, (source, output), counts, (steps, output_steps), firsts))
    return calls


def _mirrored(size: int, before: int, after: int, is_symmetric: int) -> Iterator[_Run]:
    """The runs of an axis; a mirror that is symmetric repeats the value at the edge."""
    edge = 1 - is_symmetric
    if min(before, after) < 0 or max(before, after) > size - edge:
        raise ValueError(f"pads {before} and {after} of {size} values")
    if before:
        yield 0, before - 1 + edge, before, -1
    yield before, 0, size, 1
    if after:
        yield before + size, size - 1 - edge, after, -1


def _concatenation(graph: ModelGraph, op: Op) -> list[KernelCall]:
    *sources, output = io_tensors(graph, op, len(op.inputs), MOVED)
    if op.activation != "NONE" or any(
        (t.scales, t.zero_points) != (output.scales, output.zero_points) for t in sources
    ):
        raise refuse(graph, op, "it changes scales or has an activation, which TFLM's kernel refuses")
    steps = dense_steps(output.shape)
    calls, first = [], 0
    for source in sources:
        calls.append(copied(graph, op, (source, output), source.shape, (dense_steps(source.shape), steps), (0, first)))
        first += source.shape[op.axis] * steps[op.axis]
    return calls


def _transpose(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, MOVED)
    order = [int(d) for d in constant_input(graph, op, 1, "dimensions")]
    if sorted(order) != list(range(len(source.shape))):
        raise refuse(graph, op, f"{order} is no order of {len(source.shape)} dimensions")
    steps = dense_steps(source.shape)
    return [copied(graph, op, (source, output), output.shape, ([steps[d] for d in order], dense_steps(output.shape)))]


def _resize(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Nearest neighbours by whole factors: a copy for each row that an input row becomes."""
    source, output = io_tensors(graph, op, 1, MOVED)
    (_, height, width, channels), (_, *size, _) = source.shape, output.shape
    rows, cols = size[0] // height, size[1] // width
    for extent, wanted, times in ((height, size[0], rows), (width, size[1], cols)):
        nearest = _nearest(extent, wanted, align_corners=op.align_corners, half_pixels=op.half_pixel_centers)
        if extent * times != wanted or nearest != [i // times for i in range(wanted)]:
            raise refuse(graph, op, f"it makes {wanted} rows or columns of {extent}; supported are whole factors")
    row = size[1] * channels
    steps = (width * channels, channels, 0, 1), (rows * row, cols * channels, channels, 1)
    extents = (height, width, cols, channels)
    return [copied(graph, op, (source, output), extents, steps, (0, i * row)) for i in range(rows)]


def _nearest(extent: int, wanted: int, *, align_corners: bool, half_pixels: bool) -> list[int]:
    """The input row of each output row. Source: GetNearestNeighbor of TFLM's reference/resize_nearest_neighbor.h."""
    is_aligned = align_corners and wanted > 1
    scale = np.float32(extent - is_aligned) / np.float32(wanted - is_aligned)
    places = (np.arange(wanted, dtype=np.float32) + np.float32(0.5 * half_pixels)) * scale
    nearest = round_half_away(places) if align_corners else np.floor(places)
    return np.clip(nearest, 0, extent - 1).astype(int).tolist()


def _broadcast_to(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, MOVED)
    shape = (1,) * (len(output.shape) - len(source.shape)) + source.shape
    if len(shape) != len(output.shape) or any(n not in (1, m) for n, m in zip(shape, output.shape, strict=True)):
        raise refuse(graph, op, f"shape {list(source.shape)} does not broadcast to {list(output.shape)}")
    steps = [0 if n == 1 else step for n, step in zip(shape, dense_steps(shape), strict=True)]
    return [copied(graph, op, (source, output), output.shape, (steps, dense_steps(output.shape)))]


def _reverse(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, MOVED)
    axes = {int(a) % len(source.shape) for a in constant_input(graph, op, 1, "axes").ravel()}
    steps = dense_steps(source.shape)
    turned = [-step if d in axes else step for d, step in enumerate(steps)]
    last = sum((n - 1) * steps[d] for d, n in enumerate(source.shape) if d in axes)
    return [copied(graph, op, (source, output), source.shape, (turned, steps), (last, 0))]


def _gather_nd(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, MOVED)
    indices = constant_input(graph, op, 1, "indices")
    rows = indices.reshape(-1, indices.shape[-1])
    if len(rows) > MAX_COPIES:
        raise refuse(graph, op, f"it chooses {len(rows)} parts; supported are {MAX_COPIES}")
    steps = dense_steps(source.shape)[: rows.shape[1]]
    size = output.num_elements // len(rows)
    firsts = [int(np.dot(row, steps)) for row in rows]
    return [
        copied(graph, op, (source, output), (size,), ((1,), (1,)), (first, i * size)) for i, first in enumerate(firsts)
    ]


def _depth_to_space(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, MOVED)
    extents, deep, wide = _blocks(op, source, output)
    return [copied(graph, op, (source, output), extents, (deep, wide))]


def _space_to_depth(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, MOVED)
    extents, deep, wide = _blocks(op, output, source)
    return [copied(graph, op, (source, output), extents, (wide, deep))]


def _blocks(op: Op, deep: Tensor, wide: Tensor) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """(extents, steps in the map whose channels are blocks, steps in the other)."""
    block, (_, height, width, depth) = int(op.options["blockSize"]), deep.shape
    channels = wide.shape[3]
    row = width * block * channels
    extents = (height, width, block, block * channels)
    return extents, (width * depth, depth, block * channels, 1), (block * row, block * channels, row, 1)


def _space_to_batch(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """TFLM's kernel pads with `output_offset`, which nobody sets, so that pads have no bytes to be equal to."""
    source, output = io_tensors(graph, op, 1, MOVED)
    if np.any(constant_input(graph, op, 2, "pads")):
        raise refuse(graph, op, "it pads, and TFLM's kernel pads with a byte that it never sets")
    return _between_images(graph, op, spatial=source, batched=output)


def _batch_to_space(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, MOVED)
    return _between_images(graph, op, spatial=output, batched=source)


def _between_images(graph: ModelGraph, op: Op, *, spatial: Tensor, batched: Tensor) -> list[KernelCall]:
    """A copy for each place in a block, to or from the images that it has.

    Args:
      graph: the model.
      op: SPACE_TO_BATCH_ND or its inverse.
      spatial: [B, H, W, C], or [B, H, C], which pads widen or crops have cut.
      batched: [blocks * B, rows, columns, C], or [blocks * B, rows, C].
    """
    blocks = constant_input(graph, op, 1, "blocks").ravel().tolist()
    befores = constant_input(graph, op, 2, "pads or crops").reshape(-1, 2)[:, 0].tolist()
    spatial_steps, batched_steps = dense_steps(spatial.shape), dense_steps(batched.shape)
    places = list(itertools.product(*map(range, blocks)))
    if len(places) > MAX_COPIES:
        raise refuse(graph, op, f"its blocks have {len(places)} values; supported are {MAX_COPIES}")
    calls = []
    for number, place in enumerate(places):
        extents, steps = [spatial.shape[0]], [spatial_steps[0]]
        first, batched_first = 0, number * spatial.shape[0] * batched_steps[0]
        for axis, (block, before, shift) in enumerate(zip(blocks, befores, place, strict=True), 1):
            begin = max(0, -(-(before - shift) // block))
            end = min(batched.shape[axis], -(-(before + spatial.shape[axis] - shift) // block))
            extents.append(max(0, end - begin))
            steps.append(block * spatial_steps[axis])
            first += (begin * block + shift - before) * spatial_steps[axis]
            batched_first += begin * batched_steps[axis]
        if 0 in extents:
            continue
        extents.append(spatial.shape[-1])
        steps.append(1)
        if op.outputs[0] == batched.index:
            call = copied(graph, op, (spatial, batched), extents, (steps, batched_steps), (first, batched_first))
        else:
            call = copied(graph, op, (batched, spatial), extents, (batched_steps, steps), (batched_first, first))
        calls.append(call)
    return calls


REARRANGED: Mapping[str, Callable[[ModelGraph, Op], list[KernelCall]]] = {
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "BROADCAST_TO": _broadcast_to,
    "CONCATENATION": _concatenation,
    "DEPTH_TO_SPACE": _depth_to_space,
    "GATHER_ND": _gather_nd,
    "MIRROR_PAD": _mirror_pad,
    "PAD": _pad,
    "PADV2": _pad,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "REVERSE_V2": _reverse,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "SPACE_TO_DEPTH": _space_to_depth,
    "TRANSPOSE": _transpose,
}
