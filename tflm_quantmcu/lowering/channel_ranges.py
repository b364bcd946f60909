"""Which int8 values each channel of a feature map can have, by interval arithmetic through the network.

In: a ModelGraph. Out: tensor index -> (lowest, highest) int64 [C]. A channel whose two are equal is constant: dead, in
trained networks. What is not known has the whole range.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tflm_quantmcu.graph.types import Format, ModelGraph, Op, Window
from tflm_quantmcu.law.fixed_point import multiply
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.ops import Filter, LoweredOp

_INT32 = np.iinfo(np.int32)
Range = tuple[np.ndarray, np.ndarray]
_LOW, _HIGH = -128, 127
_MOST_CHANNELS = 1 << 16  # of a map that is looked into: a file may say that there are 2^31


def channel_ranges(graph: ModelGraph) -> dict[int, Range]:
    """The ranges of every int8 map with a last dimension; computed once a graph with `graph.derived`."""
    found: dict[int, Range] = {}
    network = LoweredNetwork.of(graph)
    for op in graph.ops:
        for t in (*graph.feature_maps(op), *op.outputs):
            tensor = graph.tensors[t]
            if tensor.dtype == "int8" and tensor.shape:
                # Without memory of their own.
                low, high = (np.broadcast_to(np.int64(end), tensor.shape[-1:]) for end in (_LOW, _HIGH))
                found.setdefault(t, (low, high))
        known = _range_of(graph, network, op, found)
        if known is not None:
            found[op.outputs[0]] = known
    return found


def _range_of(graph: ModelGraph, network: LoweredNetwork, op: Op, found: dict[int, Range]) -> Range | None:
    if not op.inputs or min(op.inputs[0], len(op.outputs) - 1) < 0:
        return None  # an op of others
    source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if op.traits.is_reshape:
        same = source.shape[-1:] == output.shape[-1:] and source.scales == output.scales
        return found.get(op.inputs[0]) if same and source.zero_points == output.zero_points else None
    if not network.is_ours(op) or network.inner_ops(op) or op.traits.is_vector:
        return None
    lowered = network.lower(op)
    formats = [graph.tensors[t].format for t in lowered.inputs]
    ranges = [found[t] for t in lowered.inputs]
    if lowered.filter is not None:
        shapes = graph.tensors[lowered.inputs[0]].shape, output.shape
        return _convolution(lowered, lowered.filter, formats[0], output.format, ranges[0], shapes)
    if ranges[0][0].size > _MOST_CHANNELS:
        return None
    known = _element_wise(lowered, formats, output.format, ranges)
    if known is None or not op.traits.is_pad:
        return known
    zero_point = output.zero_points[0]
    return np.minimum(known[0], zero_point), np.maximum(known[1], zero_point)


def _element_wise(op: LoweredOp, formats: list[Format], output: Format, ranges: list[Range]) -> Range | None:
    """The ranges of sums, changes of format, pads, pools and tables; all but tables grow with their inputs."""
    table, clamps = op.requantization_table(formats, output), op.clamp_range(output)
    if op.lookup is not None:
        entries = table.astype("<i4").view(np.int8).reshape(-1, 256).astype(np.int64)
        low, high = ranges[0]
        places = [
            (entries[c % len(entries), a + 128 : b + 129]) for c, (a, b) in enumerate(zip(low, high, strict=True))
        ]
        return np.array([p.min() for p in places]), np.array([p.max() for p in places])
    if op.kind == "ADD":
        factors = table.reshape(3, 2)
        ends = []
        for end in range(2):
            parts = [
                multiply((r[end] - f.zero_point) << 20, *factor).astype(np.int64)
                for r, f, factor in zip(ranges, formats, factors, strict=False)
            ]
            ends.append(multiply(parts[0] + parts[1], *factors[2]).astype(np.int64))
        return _clipped(ends, output, clamps)
    if op.traits.table is None or table.size != 2:
        return None
    low, high = ranges[0]
    scaled = [multiply(end - formats[0].zero_point, *table).astype(np.int64) for end in (low, high)]
    return _clipped(scaled, output, clamps)


def _clipped(ends: list[np.ndarray], output: Format, clamps: tuple[int, int]) -> Range:
    low, high = (np.clip(end + output.zero_point, *clamps) for end in ends)
    return low, high


def _convolution(
    op: LoweredOp, filter: Filter, source: Format, output: Format, given: Range, shapes: tuple[tuple[int, ...], ...]
) -> Range:
    """The union over all ways in which borders clip the window."""
    bias, multiplier, shift = op.requantization_table([source], output).reshape(3, -1).astype(np.int64)
    clamps = op.clamp_range(output)
    low, high = (end - source.zero_point for end in given)
    weights = filter.values.astype(np.int64)
    if op.traits.is_depthwise:  # [Kh, Kw, O], output o reads channel o / depth_multiplier
        low, high = (np.repeat(end, op.depth_multiplier) for end in (low, high))
        products = np.minimum(weights * low, weights * high), np.maximum(weights * low, weights * high)
    else:  # [O, Kh, Kw, I] -> [Kh, Kw, O]
        products = tuple(
            choose(weights * low, weights * high).sum(axis=3).transpose(1, 2, 0) for choose in (np.minimum, np.maximum)
        )
    ends: list[Range] = []
    for rows in set(inside_taps(op.window, 0, shapes[0][1], shapes[1][1])):
        for columns in set(inside_taps(op.window, 1, shapes[0][2], shapes[1][2])):
            taps = np.ix_(rows, columns)
            sums = [bias + part[taps].sum(axis=(0, 1)) for part in products]
            scaled = [multiply(s, multiplier, shift).astype(np.int64) for s in sums]
            wraps = (sums[0] < _INT32.min) | (sums[1] > _INT32.max)  # such a sum may be anything
            found = zip(_clipped(scaled, output, clamps), clamps, strict=True)
            low, high = (np.where(wraps, limit, end) for end, limit in found)
            ends.append((low, high))
    return np.min([a for a, _ in ends], axis=0), np.max([b for _, b in ends], axis=0)


def inside_taps(window: Window, axis: int, extent: int, output: int) -> Iterator[tuple[int, ...]]:
    """The taps that lie inside a map, of each output row or column in turn.

    Args:
      window: of the op.
      axis: 0 of rows, 1 of columns.
      extent: pixels of the map along it.
      output: pixels of the output along it.
    """
    names = ("height", "width")[axis], ("top", "left")[axis]
    kernel, stride, dilation = (getattr(window, f"{what}_{names[0]}") for what in ("kernel", "stride", "dilation"))
    pad = getattr(window, f"pad_{names[1]}")
    for i in range(output):
        first = i * stride - pad
        yield tuple(k for k in range(kernel) if 0 <= first + k * dilation < extent)
