"""Where the maps of a patch stage stand in its scratch (docs/format.md F4): what they keep, sums, a tile's buffers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.placement import memory
from tflm_quantmcu.stage import tiles
from tflm_quantmcu.stage.geometry import StageGeometry

CACHE_MODES = ("recompute", "rows", "full", "ahead")
SCRATCH_ALIGNMENT = 4
SUM_BYTES = 4  # of one int32 sum of a reduction


@dataclasses.dataclass(frozen=True)
class MapCache:
    """What a map keeps from one tile to the next, in the same bytes for all classes.

    Attributes:
      mode: index into CACHE_MODES: 0 nothing, 1 the columns that the next tile of the row reads again, 2 also the rows
        that the next row of tiles reads again, 3 the same of a map that is computed ahead.
      left_columns: the most columns that are read again, 0 if none are.
      left_offset, left_bytes: in scratch, of the rows of one tile x left_columns pixels.
      top_rows: the most rows that are read again, 0 if none are.
      top_offset, top_bytes: in scratch, of top_rows x the map's width.
    """

    mode: int = 0
    left_columns: int = 0
    left_offset: int = 0
    left_bytes: int = 0
    top_rows: int = 0
    top_offset: int = 0
    top_bytes: int = 0

    @property
    def keeps_halo(self) -> bool:
        return self.left_columns > 0 or self.top_rows > 0


@dataclasses.dataclass(frozen=True, eq=False)
class ScratchLayout:
    """What a stage's scratch holds, from its start: what maps keep, the sums of a reduction, the buffers of a tile.

    Attributes:
      geometry: of the stage.
      spans: along both axes (`StageGeometry.spans`).
      caches: [map] what is kept, one store behind the other.
      is_streamed: the input has a buffer too.
    """

    geometry: StageGeometry
    spans: tuple[np.ndarray, np.ndarray]
    caches: tuple[MapCache, ...]
    is_streamed: bool

    @staticmethod
    def of(
        geometry: StageGeometry,
        spans: tuple[np.ndarray, np.ndarray],
        modes: Sequence[int],
        bits: Sequence[int],
        *,
        is_streamed: bool,
    ) -> ScratchLayout:
        """Lays out the scratch of a stage.

        Args:
          geometry: of the stage.
          spans: int64 [tiles, maps, 3] along both axes, pixels (`StageGeometry.spans`).
          modes: [map] index into CACHE_MODES.
          bits: [map] width of those that keep a halo.
          is_streamed: the input has a buffer too.
        """
        rows, cols = ((axis[..., tiles.FRESH] - axis[..., tiles.BEGIN]).max(axis=0).tolist() for axis in spans)
        heights = _lengths(spans[0]).max(axis=0).tolist()
        caches = []
        end = 0
        for m, (_, width, channels) in enumerate(geometry.shapes[: geometry.tiled + 1]):
            pixel_bytes = run_bytes(channels, bits[m])
            places = []
            for num_bytes in (heights[m] * cols[m] * pixel_bytes, rows[m] * width * pixel_bytes):
                places.append((end if num_bytes else 0, num_bytes))
                end += memory.align(num_bytes, SCRATCH_ALIGNMENT)
            caches.append(MapCache(modes[m], cols[m], *places[0], rows[m], *places[1]))
        # What a reduction makes is no map of tiles.
        caches += [MapCache()] * geometry.reduces
        return ScratchLayout(geometry, spans, tuple(caches), is_streamed)

    def places(
        self, bits: Sequence[int], visited: np.ndarray | None = None, *, input_offset: int | None = None
    ) -> list[tuple[int, int]]:
        """Where maps stand while a tile runs.

        Args:
          bits: [map] widths.
          visited: int64 [n, 2], places in `spans` of the tiles that run; None is all.
          input_offset: where a streamed input must stand; None is anywhere.

        Returns:
          [map] (offset, bytes) of a buffer, for the output of a reduction of its sums; (-1, 0) of the output otherwise,
          and of inputs, unless it is the first and streamed.
        """
        places = [(-1, 0)] * len(bits)
        base = self._cache_bytes
        if self.geometry.reduces:
            places[-1] = (base, SUM_BYTES * self.geometry.shapes[-1][2])
            base += places[-1][1]
        pixels = self._largest_regions(visited)
        buffered = [*range(self.is_streamed), *range(self.geometry.num_inputs, len(bits) - 1)]
        num_bytes = [pixels[m] * run_bytes(self.geometry.shapes[m][2], bits[m]) for m in buffered]
        lifetimes = self.geometry.lifetimes()
        buffers = [memory.Buffer(n, *lifetimes[m]) for m, n in zip(buffered, num_bytes, strict=True)]
        pinned = {} if input_offset is None else {0: input_offset - base}
        offsets = memory.place(buffers, alignment=SCRATCH_ALIGNMENT, pinned=pinned)
        for m, offset, n in zip(buffered, offsets, num_bytes, strict=True):
            places[m] = (base + offset, n)
        return places

    @property
    def _cache_bytes(self) -> int:
        ends = (max(c.left_offset + c.left_bytes, c.top_offset + c.top_bytes) for c in self.caches)
        return memory.align(max(ends), SCRATCH_ALIGNMENT)

    def _largest_regions(self, visited: np.ndarray | None) -> list[int]:
        """[map up to the tiled one] pixels."""
        heights, widths = (_lengths(axis) for axis in self.spans)
        if visited is None:
            return (heights.max(axis=0) * widths.max(axis=0)).tolist()
        return (heights[visited[:, 0]] * widths[visited[:, 1]]).max(axis=0, initial=0).tolist()


def _lengths(spans: np.ndarray) -> np.ndarray:
    return spans[..., tiles.END] - spans[..., tiles.BEGIN]
