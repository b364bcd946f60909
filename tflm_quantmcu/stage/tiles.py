"""Region arithmetic of a patch stage (docs/format.md F4): which part of every map one tile needs, and computes.

The two axes are independent, so everything here is about one axis and all of its tiles at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

Interval = tuple[int, int]
MAX_PRIMING_TILES = 1024
_PRIMING_STEP = 16  # tried at once
NOT_PRIMED, PRIMED, ROWS_PRIMED = range(3)  # along which axes there are priming tiles
RECOMPUTED, KEPT, AHEAD = range(3)  # along an axis: computed again, kept, and computed ahead
_UNREAD = -(1 << 40)
_FINISHED = 1 << 40
BEGIN, FRESH, END = range(3)  # of a span: readers see [begin, end), the tile computes [fresh, end)


@dataclasses.dataclass(frozen=True)
class AxisOp:
    """What an op does along one axis: `inputs` and `output` are map indices; an add is kernel 1, stride 1, pad 0.
    An op that makes its map larger has stride 1 on the larger one, each of whose pixels is one of `upsampling` of its
    input's."""

    inputs: tuple[int, ...]
    output: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0
    upsampling: int = 1


def split_axis(extent: int, tile: int) -> list[Interval]:
    """Cuts `extent` pixels into tiles of `tile`; the last may be smaller."""
    return [(start, min(start + tile, extent)) for start in range(0, extent, tile)]


def priming_of(is_primed: bool, extent: int, tile: int) -> int:
    """The priming of a stage whose tiles have `tile` of `extent` columns: a tile of all columns looks ahead at none."""
    if not is_primed:
        return NOT_PRIMED
    return PRIMED if tile < extent else ROWS_PRIMED


def kept_along(axis: int, modes: Sequence[int]) -> list[int]:
    """[map] RECOMPUTED, KEPT or AHEAD along height (0) or width (1), of indices into CACHE_MODES."""
    return [RECOMPUTED if mode < 2 - axis else KEPT if mode < 3 else AHEAD for mode in modes]


def priming_tiles(ops: Sequence[AxisOp], extents: Sequence[int], tile: int, kept: Sequence[int]) -> list[Interval]:
    """The tiles before the first one that bring cached maps on their way, so that none starts with all it looks ahead.

    They hold no pixel of the last map: [-n * tile, -(n - 1) * tile), ..., [-tile, 0), as many as compute anything.

    Args:
      tile: pixels of a tile of the last map.
      ops, extents, kept: as of `axis_spans`.
    """
    (count,) = priming_counts(ops, extents, [tile], kept)
    return [(-n * tile, (1 - n) * tile) for n in range(count, 0, -1)]


def priming_counts(
    ops: Sequence[AxisOp], extents: Sequence[int], sizes: Sequence[int], kept: Sequence[int]
) -> list[int]:
    """How many priming tiles there are for tiles of each size; MAX_PRIMING_TILES at most.

    Args:
      sizes: pixels of a tile of the last map.
      ops, extents, kept: as of `axis_spans`.
    """
    cached = np.flatnonzero(kept)
    counts = np.zeros(len(sizes), np.int64)
    if not cached.size:
        return counts.tolist()
    for first in range(0, MAX_PRIMING_TILES, _PRIMING_STEP):
        ends = -np.arange(first, first + _PRIMING_STEP) * np.array(sizes)[:, None]
        cuts = np.stack([ends - np.array(sizes)[:, None], ends], axis=-1)[:, :, None]  # each as if it were the first
        computes = axis_spans(ops, extents, cuts, kept)[:, :, 0, cached, END].any(axis=-1)
        counts += computes.sum(axis=1)  # what a tile looks ahead grows with its end
        if not computes[:, -1].any():
            break
    return counts.tolist()


def axis_spans(
    ops: Sequence[AxisOp],
    extents: Sequence[int],
    tiles: Sequence[Interval] | np.ndarray,
    kept: Sequence[int],
) -> np.ndarray:
    """What each tile needs of every map, clipped to the map.

    Args:
      ops: of the stage, in execution order; op i writes map n + i behind n inputs.
      extents: pixels of each map along the axis.
      tiles: [..., tiles, 2] intervals of the last map, in execution order, perhaps behind priming tiles; of several
        ways to cut it at once, too.
      kept: [map] KEPT: the part that an earlier tile computed is not computed again. AHEAD: so it is, and its op runs
        ahead, so that what it reads is held for it no longer than for ops behind it.

    Returns:
      int64 [..., tiles, maps, 3]: begin, fresh, end. An empty span has begin = fresh = end.
    """
    cuts = np.asarray(tiles)
    spans = np.zeros((3, len(extents), *cuts.shape[:-1]), np.int64)
    begin, fresh, end = spans
    begin[:] = np.reshape(extents, (-1, *[1] * (cuts.ndim - 1)))
    np.maximum(cuts[..., 0], 0, out=begin[-1])
    np.maximum(cuts[..., 1], 0, out=end[-1])
    fresh[-1] = begin[-1]
    # Ends before they are clipped at 0: how far a map is from being needed.
    reached = np.full(begin.shape, _UNREAD)
    reached[-1] = cuts[..., 1]
    keeps = any(kept)
    for place, op in reversed([*enumerate(ops)]):
        y = op.output
        if y < len(extents) - 1:
            if kept[y] == AHEAD:
                np.maximum(reached[y], _reach_ahead(op, ops[place + 1 :], reached, extents), out=reached[y])
            _settle(spans[:, y], reached[y], kept[y] > RECOMPUTED)
        is_read = fresh[y] < end[y]
        if keeps:
            # What an op that is not done yet will read must be on its way, and stay.
            is_read |= (reached[y] < extents[y]) & (reached[y] > _UNREAD)
        is_identity = op.kernel == op.stride == op.upsampling == 1 and op.pad == 0
        for x in op.inputs:
            if is_identity:
                start, reach = fresh[y], reached[y]
            else:
                start = fresh[y] * op.stride
                start -= op.pad
                np.maximum(start, 0, out=start)
                reach = reached[y] * op.stride
                reach += (op.kernel - 1) * op.dilation + 1 - op.stride - op.pad
                if op.upsampling > 1:
                    start, reach = start // op.upsampling, (reach - 1) // op.upsampling + 1
            start = np.minimum(start, extents[x])
            reach = np.where(is_read, np.minimum(reach, extents[x]), _UNREAD)
            np.minimum(begin[x], start, out=begin[x], where=is_read if keeps else start < reach)
            np.maximum(reached[x], reach, out=reached[x])
    for x in range(len(extents) - len(ops)):
        _settle(spans[:, x], reached[x], kept[x] > RECOMPUTED)
    return np.moveaxis(spans, (0, 1), (-1, -2))


def _reach_ahead(op: AxisOp, behind: Sequence[AxisOp], reached: np.ndarray, extents: Sequence[int]) -> np.ndarray:
    """How far an op must compute for its next tile to read its input from where ops behind it will; [...] pixels."""
    readers = [other for other in behind if op.inputs[0] in other.inputs]
    if not readers:
        return np.full_like(reached[op.output], _UNREAD)
    reaches = np.stack([reached[other.output] for other in readers])
    starts = [(r * other.stride - other.pad) // other.upsampling for r, other in zip(reaches, readers, strict=True)]
    is_done = reaches >= np.reshape([extents[other.output] for other in readers], (-1, *[1] * (reaches.ndim - 1)))
    first = np.where(is_done, _FINISHED, starts).min(axis=0)
    reach = np.minimum(-((-first * op.upsampling - op.pad) // op.stride), extents[op.output])
    return np.where((reaches == _UNREAD).any(axis=0), _UNREAD, reach)


def _settle(spans: np.ndarray, reached: np.ndarray, is_cached: bool) -> None:
    """Completes a map's spans [3, ..., tiles] once all that its readers need is joined."""
    begin, fresh, end = spans
    np.maximum(reached, 0, out=end)
    if is_cached:
        np.maximum.accumulate(end, axis=-1, out=end)
        np.minimum(begin, end, out=begin)
        fresh[..., 0] = 0
        fresh[..., 1:] = end[..., :-1]
        np.maximum(begin, fresh, out=fresh)
        np.minimum(fresh, end, out=fresh)
    else:
        np.maximum(begin, end, out=end)
        fresh[:] = begin


def tile_sizes(extent: int) -> list[int]:
    """The tile sizes worth trying: the smallest tile for every distinct number of tiles along `extent` pixels."""
    return sorted({-(-extent // n) for n in range(1, extent + 1)}, reverse=True)
