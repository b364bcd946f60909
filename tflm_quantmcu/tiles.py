"""Region arithmetic of a patch stage (docs/format.md F4): which part of every map one tile of the output needs.

The two axes are independent, so everything here is about one axis: intervals [start, end), empty is (0, 0).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

Interval = tuple[int, int]
EMPTY: Interval = (0, 0)


@dataclasses.dataclass(frozen=True)
class AxisOp:
    """What an op does along one axis: `inputs` and `output` are map indices; an add is kernel 1, stride 1, pad 0."""

    inputs: tuple[int, ...]
    output: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0

    def needs(self, interval: Interval, extent: int) -> Interval:
        """The part of an input of `extent` pixels that computing `interval` of the output reads."""
        start, end = interval
        if end <= start:
            return EMPTY
        first = start * self.stride - self.pad
        last = (end - 1) * self.stride - self.pad + (self.kernel - 1) * self.dilation
        clipped = (min(max(first, 0), extent), min(max(last + 1, 0), extent))
        return clipped if clipped[1] > clipped[0] else EMPTY


def split_axis(extent: int, tile: int) -> list[Interval]:
    """Cuts `extent` pixels into tiles of `tile`; the last may be smaller."""
    return [(start, min(start + tile, extent)) for start in range(0, extent, tile)]


def join(a: Interval, b: Interval) -> Interval:
    """The smallest interval that holds both; an empty one adds nothing."""
    if a[1] <= a[0]:
        return b
    if b[1] <= b[0]:
        return a
    return min(a[0], b[0]), max(a[1], b[1])


def backward_intervals(ops: Sequence[AxisOp], extents: Sequence[int], tile: Interval) -> list[Interval]:
    """The interval of every map that one tile of the last op's output needs, clipped to the map."""
    intervals = [EMPTY] * len(extents)
    intervals[ops[-1].output] = tile
    for op in reversed(ops):
        for m in op.inputs:
            intervals[m] = join(intervals[m], op.needs(intervals[op.output], extents[m]))
    return intervals


def tile_sizes(extent: int) -> list[int]:
    """The tile sizes worth trying: the smallest tile for every distinct number of tiles along `extent` pixels."""
    return sorted({-(-extent // n) for n in range(1, extent + 1)}, reverse=True)
