"""Makes a split calmer where its arena has room: ops by themselves and larger tiles, for no more work.

In: a split and the bytes that it may take. Out: one with no more work that fits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tflm_quantmcu.patches.exact_paths import MadeStages
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.planned_stage import PlannedStage, StageWays
from tflm_quantmcu.patches.split import Split
from tflm_quantmcu.patches.split_costs import SplitCosts

_MAX_CALMER, _CALMER_STEP = 6, 1.3  # ways of a stage tried to find larger tiles, each of so many times the calls
_MAX_FASTER, _FASTER_STEP = 16, 1.0  # the same of the work by the formula; the estimate is the judge


class Relaxing:
    """What replaces stages of splits of one model."""

    def __init__(self, model: PlannedModel, costs: SplitCosts, made: MadeStages):
        self._model, self._costs, self._made = model, costs, made

    def relaxed(self, split: Split, num_bytes: int, max_tries: int | None = None) -> Split:
        """The same with ops by themselves and larger tiles where they fit into the arena with no more work; at
        most so many others are tried."""
        best = split
        left = itertools.count() if max_tries is None else iter(range(max_tries))
        for stage in split.stages:
            for other, _ in zip(self._calmer(stage, num_bytes), left, strict=False):
                stages = [o for s in best.stages for o in (other if s is stage else [s])]
                found = self._costs.split_of(stages, enough=num_bytes)
                if found.arena_bytes <= num_bytes and found.work_ratio <= best.work_ratio:
                    best = found
                    break
        return self._costs.in_smallest_places(best)

    def _calmer(self, stage: PlannedStage, num_bytes: int) -> Iterator[list[PlannedStage]]:
        """What to try in place of a stage, the fewest cycles or kernel calls first."""
        first, end = stage.ops[0], stage.ops[-1] + 1
        ops = self._model.graph.ops[first:end]
        if all(map(self._model.can_run_unsplit, ops)) and max(self._model.unsplit_bytes[first:end]) <= num_bytes:
            yield []
        upstream, ways = self._made.regions[first, end]
        found = (self._made.of_way((upstream, ways, way)) for way in self._eligible(ways, stage, num_bytes))
        most = _MAX_FASTER if self._costs.times else _MAX_CALMER
        others = itertools.islice((other for other in found if other.live_bytes <= num_bytes), most)
        if not self._costs.times:
            yield from ([other] for other in others)
            return
        # The formula has chosen some, the estimate says which are best.
        estimates = {other: self._costs.figures_of(other)[0] for other in others}
        better = [other for other, count in estimates.items() if count < self._costs.figures_of(stage)[0]]
        yield from ([other] for other in sorted(better, key=estimates.__getitem__))

    def _eligible(self, ways: StageWays, stage: PlannedStage, num_bytes: int) -> Iterator[int]:
        """Ways of a stage that may fit with no more work, each of so many times the calls, or the work, of the last."""
        is_fit = ways.num_bytes <= num_bytes
        effort, step = (ways.work, _FASTER_STEP) if self._costs.times else (ways.num_calls, _CALMER_STEP)
        fits = np.flatnonzero(is_fit if self._costs.times else is_fit & (ways.macs <= stage.macs))
        effort = effort.ravel()
        tried = 0.0
        for way in fits[np.lexsort((ways.num_bytes.ravel()[fits], effort[fits]))].tolist():
            if effort[way] >= tried * step:
                yield way
                tried = effort[way]
