"""What tiles of all sizes see, make and keep of every map of a stage, along one axis.

In: the ops of a stage along an axis, and which maps keep their halos. Out: AxisCosts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.stage import tiles

_NOWHERE = 1 << 40  # a row behind all others


@dataclasses.dataclass(frozen=True, eq=False)
class AxisCosts:
    """Extents of every map along one axis, [tile sizes, maps].

    Attributes:
      largest: of what a tile sees.
      summed, seen, kept, makers, keepers, counts: see `TileSums`.
      halo: the most that a tile sees of what was kept.
      begins: [tile sizes, tiles, maps] first pixel that a tile reads, `_NOWHERE` if none.
      ends: [tile sizes, tiles] of the tiles.
    """

    largest: np.ndarray
    summed: np.ndarray
    seen: np.ndarray
    kept: np.ndarray
    makers: np.ndarray
    keepers: np.ndarray
    halo: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    counts: np.ndarray


def axis_costs(
    ops: Sequence[tiles.AxisOp], extents: list[int], sizes: list[int], kept: list[int], primed: tuple[bool, bool]
) -> AxisCosts:
    """The extents of all maps.

    Args:
      ops: of the stage, along the axis.
      extents: [maps] pixels.
      sizes: of tiles of the last map.
      kept: [maps] as of `tiles.axis_spans`.
      primed: whether warm-up tiles run first, where there are several tiles and where there is one.
    """
    priming = tiles.priming_counts(ops, extents, sizes, kept) if any(primed) else [0] * len(sizes)
    priming = [n * primed[size >= extents[-1]] for n, size in zip(priming, sizes, strict=True)]
    intervals, is_tile = _tiles_of_sizes(extents[-1], sizes, priming)
    spans = tiles.axis_spans(ops, extents, intervals, kept)
    begin, fresh, end = np.moveaxis(spans, -1, 0)
    present = is_tile[..., None]
    return AxisCosts(
        largest=((end - begin) * present).max(axis=1).astype(float),
        summed=((end - fresh) * present).sum(axis=1).astype(float),
        seen=((end - begin) * present).sum(axis=1).astype(float),
        kept=((fresh - begin) * present).sum(axis=1).astype(float),
        makers=((end > fresh) & present).sum(axis=1).astype(float),
        keepers=((fresh > begin) & present).sum(axis=1).astype(float),
        halo=((fresh - begin) * present).max(axis=1).astype(float),
        begins=np.where((begin < end) & present, begin, _NOWHERE),
        ends=np.maximum(intervals[..., 1], 0),
        counts=is_tile.sum(axis=1),
    )


def _tiles_of_sizes(extent: int, sizes: Sequence[int], priming: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(tiles of each size [sizes, tiles, 2], which of them there are); the rest is empty and behind the last."""
    cuts = [
        [(-n * size, (1 - n) * size) for n in range(before, 0, -1)] + tiles.split_axis(extent, size)
        for size, before in zip(sizes, priming, strict=True)
    ]
    most = max(map(len, cuts))
    padded = [cut + [(extent, extent)] * (most - len(cut)) for cut in cuts]
    return np.array(padded), np.array([[i < len(cut) for i in range(most)] for cut in cuts])
