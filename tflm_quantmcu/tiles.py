"""Region arithmetic of a patch stage (docs/format.md F4): which part of every map one tile needs, and computes.

The two axes are independent, so everything here is about one axis and all of its tiles at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

Interval = tuple[int, int]
BEGIN, FRESH, END = range(3)  # of a span: readers see [begin, end), the tile computes [fresh, end)


@dataclasses.dataclass(frozen=True)
class AxisOp:
    """What an op does along one axis: `inputs` and `output` are map indices; an add is kernel 1, stride 1, pad 0."""

    inputs: tuple[int, ...]
    output: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0


def split_axis(extent: int, tile: int) -> list[Interval]:
    """Cuts `extent` pixels into tiles of `tile`; the last may be smaller."""
    return [(start, min(start + tile, extent)) for start in range(0, extent, tile)]


def axis_spans(
    ops: Sequence[AxisOp],
    extents: Sequence[int],
    tiles: Sequence[Interval] | np.ndarray,
    is_cached: Sequence[bool],
) -> np.ndarray:
    """What each tile needs of every map, clipped to the map.

    Args:
      ops: of the stage, in execution order; op i writes map i + 1.
      extents: pixels of each map along the axis.
      tiles: [..., tiles, 2] intervals of the last map, in execution order; of several ways to cut it at once, too.
      is_cached: [map] whether the part that an earlier tile computed is kept instead of computed again.

    Returns:
      int64 [..., tiles, maps, 3]: begin, fresh, end. An empty span has begin = fresh = end.
    """
    cuts = np.asarray(tiles)
    spans = np.zeros((*cuts.shape[:-1], len(extents), 3), np.int64)
    spans[..., BEGIN] = extents
    spans[..., -1, :] = cuts[..., [0, 0, 1]]
    for op in reversed(ops):
        if op.output < len(extents) - 1:
            _settle(spans[..., op.output, :], is_cached[op.output])
        fresh, end = spans[..., op.output, FRESH], spans[..., op.output, END]
        # A cached map's pixels may all be there already while later tiles still wait for what they read.
        is_read = (fresh < end) | (is_cached[op.output] & (end > 0))
        for m in op.inputs:
            first = np.clip(fresh * op.stride - op.pad, 0, extents[m])
            last = (end - 1) * op.stride - op.pad + (op.kernel - 1) * op.dilation
            reach = np.where(is_read, np.clip(last + 1, 0, extents[m]), 0)
            # Where halos are kept, pixels from the first one that any later tile may read must stay.
            joins = (first < reach) | any(is_cached)
            np.minimum(spans[..., m, BEGIN], first, out=spans[..., m, BEGIN], where=joins)
            np.maximum(spans[..., m, END], reach, out=spans[..., m, END])
    _settle(spans[..., 0, :], is_cached[0])
    return spans


def _settle(spans: np.ndarray, is_cached: bool) -> None:
    """Completes a map's spans [..., tiles, 3] once all that its readers need is joined."""
    begin, end = spans[..., BEGIN], spans[..., END]
    if is_cached:
        np.maximum.accumulate(end, axis=-1, out=end)
        before = np.concatenate([np.zeros_like(end[..., :1]), end[..., :-1]], axis=-1)
        np.minimum(begin, end, out=begin)
        spans[..., FRESH] = np.minimum(np.maximum(begin, before), end)
    else:
        np.maximum(begin, end, out=end)
        spans[..., FRESH] = begin


def tile_sizes(extent: int) -> list[int]:
    """The tile sizes worth trying: the smallest tile for every distinct number of tiles along `extent` pixels."""
    return sorted({-(-extent // n) for n in range(1, extent + 1)}, reverse=True)
