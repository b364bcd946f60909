"""What all ways share of running some consecutive ops as one stage: their maps, their geometry, spans of tiles.

In: a model's ops [first, end) and the tensors that they read. Out: RegionGeometry.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.stage import tiles
from tflm_quantmcu.stage.geometry import StageGeometry, map_tensors, unfiltered_ops


class RegionGeometry:
    """A region as every way of it sees it.

    Attributes:
      maps: tensor indices, the inputs first.
      geometry: of a stage that runs it.
      ops: of that stage, weights at 8 bits.
    """

    def __init__(self, graph: ModelGraph, first: int, end: int, sources: Sequence[int]):
        """The ops [first, end), which read `sources`."""
        lowered = lower_region(graph, graph.ops[first:end], {})
        self.maps = map_tensors(lowered, sources)
        self.geometry = StageGeometry.of_lowered(graph, lowered, sources)
        self.ops = unfiltered_ops(lowered, self.maps)
        self._spans: dict[tuple[int, int, tuple[int, ...], int], np.ndarray] = {}

    def spans(self, height: int, width: int, modes: Sequence[int], *, is_primed: bool) -> tuple[np.ndarray, np.ndarray]:
        """Spans, int64 [tiles, maps, 3], along height and along width, as of `StageGeometry.spans`.

        Args:
          height, width: of a tile, pixels.
          modes: [map] of the caches.
          is_primed: with those of priming tiles first.
        """
        primed = tiles.priming_of(is_primed, self.geometry.shapes[self.geometry.tiled][1], width)
        return self._axis(0, height, modes, primed), self._axis(1, width, modes, primed)

    def _axis(self, axis: int, tile: int, modes: Sequence[int], primed: int) -> np.ndarray:
        key = (axis, tile, tuple(modes), primed)
        if key not in self._spans:
            self._spans[key] = self.geometry.axis_spans(axis, tile, modes, primed=primed)
        return self._spans[key]
