"""Plans the patch stage: one at the front of the network, every (last op, tile size) considered.

In: an int8 ModelGraph and a bound on the arena. Out: the candidate to use, or the reasons, with numbers, why
splitting does not help.
Work is judged by MACs with recomputed halos and borders clipped, memory by the arena that TFLM will record.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from tflm_quantmcu import cost, tiles
from tflm_quantmcu.errors import UnsupportedModelError
from tflm_quantmcu.lowering import LoweredOp, lower_reduction, lower_region, why_unsupported
from tflm_quantmcu.stage_program import (
    MAX_MAPS,
    StageGeometry,
    macs_per_pixel,
    map_tensors,
    place_scratch,
    stage_ops,
)
from tflm_quantmcu.types import ModelGraph, Op, PatchClass, StagePlan


@dataclasses.dataclass(frozen=True)
class StageCandidate:
    """One way to split, at 8 bits.

    Attributes:
      input, output: tensor indices.
      tile_height, tile_width: of the output.
      arena_bytes: non-persistent arena of the whole network.
      macs: of the stage, recomputation included.
      base_macs: of the same ops unsplit.
    """

    input: int
    output: int
    tile_height: int
    tile_width: int
    arena_bytes: int
    macs: int
    base_macs: int

    @property
    def extra_macs(self) -> int:
        return self.macs - self.base_macs

    def plan(self, graph: ModelGraph) -> StagePlan:
        """The stage with all patches in one class at the model's own formats."""
        shape = graph.tensors[self.output].shape
        rows, cols = -(-shape[1] // self.tile_height), -(-shape[2] // self.tile_width)
        return StagePlan(
            input=graph.tensors[self.input].name,
            output=graph.tensors[self.output].name,
            tile_height=self.tile_height,
            tile_width=self.tile_width,
            patch_classes=((0,) * cols,) * rows,
            classes=(PatchClass("outlier", {}),),
        )


@dataclasses.dataclass(frozen=True)
class StageSearch:
    """What the planner found.

    Attributes:
      baseline_arena_bytes: of the unsplit network.
      best: the candidate to use, or None: leave the graph alone.
      smallest: the candidate with the smallest arena, or None when nothing can be split.
      reason: one sentence with the numbers behind `best`.
    """

    baseline_arena_bytes: int
    best: StageCandidate | None
    smallest: StageCandidate | None
    reason: str

    @property
    def smallest_arena_bytes(self) -> int:
        smallest = self.smallest.arena_bytes if self.smallest else self.baseline_arena_bytes
        return min(smallest, self.baseline_arena_bytes)


def plan_stage(graph: ModelGraph, *, sram_bytes: int | None = None) -> StageSearch:
    """Chooses the front stage.

    Args:
      graph: the int8 model.
      sram_bytes: bound on the non-persistent arena. With it: the fewest extra MACs that meet it, unsplit if that does.
        Without it: the smallest arena, and of equal ones the fewest extra MACs.

    Returns:
      The search's result; `best` is None where the unsplit network is the answer or the bound cannot be met.
    """
    baseline = cost.arena_of(graph)
    fronts, obstacle = _fronts(graph)
    smallest = _smallest(graph, fronts)
    if smallest is None or smallest.arena_bytes >= baseline:
        return StageSearch(baseline, None, smallest, _refusal(graph, baseline, smallest, obstacle))
    if sram_bytes is None:
        return StageSearch(baseline, smallest, smallest, _gain(graph, baseline, smallest))
    if baseline <= sram_bytes:
        reason = f"the unsplit arena of {baseline:,} bytes meets {sram_bytes:,}; splitting would only add work"
        return StageSearch(baseline, None, smallest, reason)
    best = _cheapest(fronts, sram_bytes)
    if best is None:
        reason = (
            f"the arena is {baseline:,} bytes unsplit and at 8 bits {smallest.arena_bytes:,} at the "
            f"smallest, with the stage up to '{graph.tensors[smallest.output].label}'"
        )
        return StageSearch(baseline, None, smallest, reason)
    return StageSearch(baseline, best, smallest, _gain(graph, baseline, best))


def candidates(graph: ModelGraph, *, sram_bytes: int) -> Iterator[StageCandidate]:
    """Candidates that lower widths may still bring within the bound, smallest floor at 8 bits first."""
    options = [
        (int(floor), number, i, front)
        for number, front in enumerate(_fronts(graph)[0])
        if front.arena(0) <= sram_bytes
        for i, floor in enumerate(front.floors.flat)
    ]
    for _, _, i, front in sorted(options, key=lambda o: o[:3]):
        yield front.candidate(i)


def stage_arena(graph: ModelGraph, source: int, target: int, scratch_bytes: int) -> int:
    """The network's arena with the region between two tensors fused into a stage of this much scratch."""
    region = {op.index for op in stage_ops(graph, source, target)}
    return cost.arena_of(graph, [cost.PlacedStage(region, source, target, scratch_bytes)])


def _gain(graph: ModelGraph, baseline: int, best: StageCandidate) -> str:
    return (
        f"splitting up to '{graph.tensors[best.output].label}' into tiles of {best.tile_height}x{best.tile_width} "
        f"takes the arena from {baseline:,} to {best.arena_bytes:,} bytes for "
        f"{best.extra_macs / max(best.base_macs, 1):.1%} more MACs in the stage"
    )


def _refusal(graph: ModelGraph, baseline: int, smallest: StageCandidate | None, obstacle: str) -> str:
    if smallest is None:
        return f"the network is not split and keeps its arena of {baseline:,} bytes: {obstacle}"
    return (
        f"splitting does not lower the arena: {baseline:,} bytes unsplit, {smallest.arena_bytes:,} bytes at best "
        f"(stage up to '{graph.tensors[smallest.output].label}'), so the graph is left alone"
    )


def _fronts(graph: ModelGraph) -> tuple[list[_Front], str]:
    """The regions that can be a front stage, and what stops the region from growing further."""
    first = next((op for op in graph.ops if _is_spatial(graph, op)), None)
    if first is None:
        return [], "it has no convolution or pool that our kernels can run tile by tile"
    source = graph.feature_maps(first)[0]
    fronts = []
    obstacle = ""
    for op in graph.ops[first.index :]:
        try:
            region = stage_ops(graph, source, op.outputs[0])
        except UnsupportedModelError as error:
            obstacle = obstacle or str(error)
            continue
        blocked = next(((o, why) for o in region if (why := _why_not_in_stage(graph, o))), None)
        if blocked:
            obstacle = obstacle or f"{blocked[0].kind} (op {blocked[0].index}) cannot be in a stage: {blocked[1]}"
        elif len(region) < MAX_MAPS and not lower_reduction(graph, region, {}):
            fronts.append(_Front(graph, source, op.outputs[0], region))
    return fronts, obstacle or "no region has one entry and one exit"


def _is_spatial(graph: ModelGraph, op: Op) -> bool:
    return op.window is not None and _why_not_in_stage(graph, op) is None


def _why_not_in_stage(graph: ModelGraph, op: Op) -> str | None:
    return "it has no spatial axes" if op.kind == "FULLY_CONNECTED" else why_unsupported(graph, op)


class _Front:
    """One region and the cost of all its tile sizes, as arrays [tile heights, tile widths]."""

    def __init__(self, graph: ModelGraph, source: int, target: int, region: Sequence[Op]):
        self._graph = graph
        self._source = source
        self._target = target
        self._region = region
        lowered: tuple[LoweredOp, ...] = lower_region(graph, region, {})
        self._tensors = map_tensors(lowered, source)
        self._geometry: StageGeometry = StageGeometry.of_lowered(graph, lowered, source)
        channels = [graph.tensors[t].shape[3] for t in self._tensors]
        index = {t: m for m, t in enumerate(self._tensors)}
        self._work = np.array(
            [
                macs_per_pixel(op.kind, op.window, channels[index[op.inputs[0]]], channels[m])
                for m, op in enumerate(lowered, start=1)
            ],
            np.int64,
        )
        _, height, width, _ = graph.tensors[target].shape
        self._heights, self._widths = tiles.tile_sizes(height), tiles.tile_sizes(width)

    @functools.cached_property
    def _extents(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each axis (largest, summed) extents [tile sizes, maps] over the tiles."""
        result = []
        geometry = self._geometry
        for axis, sizes in enumerate((self._heights, self._widths)):
            largest, summed = [], []
            for size in sizes:
                spans = geometry.axis_spans(axis, size, [0] * len(geometry.shapes))
                lengths = spans[..., tiles.END] - spans[..., tiles.BEGIN]
                largest.append(lengths.max(axis=0))
                summed.append(lengths.sum(axis=0))
            result.append((np.array(largest, np.int64), np.array(summed, np.int64)))
        return result

    @functools.cached_property
    def macs(self) -> np.ndarray:
        (_, rows), (_, cols) = self._extents
        return np.einsum("hm,wm,m->hw", rows[:, 1:], cols[:, 1:], self._work)

    @functools.cached_property
    def floors(self) -> np.ndarray:
        """A lower bound of the arena: input, output and what is live in scratch at once."""
        (heights, _), (widths, _) = self._extents
        channels = np.array([s[2] for s in self._geometry.shapes], np.int64)
        spans = self._geometry.lifetimes()
        live = np.zeros((len(self._heights), len(self._widths)), np.int64)
        for time in range(len(self._geometry.ops_y)):
            inner = [m for m in range(1, len(spans) - 1) if spans[m][0] <= time <= spans[m][1]]
            step = np.einsum("hm,wm,m->hw", heights[:, inner], widths[:, inner], channels[inner])
            live = np.maximum(live, step)
        ends = sum(self._graph.tensors[t].num_bytes for t in (self._source, self._target))
        return np.maximum(live + ends, self.arena(0))

    def arena(self, scratch_bytes: int) -> int:
        return stage_arena(self._graph, self._source, self._target, scratch_bytes)

    def candidate(self, option: int) -> StageCandidate:
        """The exact cost of one tile size, `option` counting through [tile heights, tile widths]."""
        h, w = np.unravel_index(option, self.macs.shape)
        (heights, _), (widths, _) = self._extents
        channels = [shape[2] for shape in self._geometry.shapes]
        map_bytes = [int(y * x) * c for y, x, c in zip(heights[h], widths[w], channels, strict=True)]
        offsets = place_scratch(self._geometry, map_bytes)
        scratch = max((o + n for o, n in zip(offsets, map_bytes, strict=True) if o >= 0), default=0)
        return StageCandidate(
            input=self._source,
            output=self._target,
            tile_height=self._heights[h],
            tile_width=self._widths[w],
            arena_bytes=self.arena(scratch),
            macs=int(self.macs[h, w]),
            base_macs=int(self.macs[0, 0]),
        )


def _smallest(graph: ModelGraph, fronts: Sequence[_Front]) -> StageCandidate | None:
    """The smallest arena, then the fewest MACs; floors spare most exact evaluations."""
    best: StageCandidate | None = None
    options = [
        (int(floor), int(macs), front, i)
        for front in fronts
        for i, (floor, macs) in enumerate(zip(front.floors.flat, front.macs.flat, strict=True))
    ]
    for floor, macs, front, i in sorted(options, key=lambda o: o[:2]):
        if best and (floor > best.arena_bytes or (floor == best.arena_bytes and _no_better(front, macs, best))):
            continue
        found = front.candidate(i)
        if best is None or (found.arena_bytes, found.extra_macs) < (
            best.arena_bytes,
            best.extra_macs,
        ):
            best = found
    return best


def _no_better(front: _Front, macs: int, best: StageCandidate) -> bool:
    return macs - int(front.macs[0, 0]) >= best.extra_macs


def _cheapest(fronts: Sequence[_Front], sram_bytes: int) -> StageCandidate | None:
    """The fewest extra MACs within the bound, then the smallest arena."""
    options = [
        (int(macs - front.macs[0, 0]), int(floor), front, i)
        for front in fronts
        for i, (floor, macs) in enumerate(zip(front.floors.flat, front.macs.flat, strict=True))
        if floor <= sram_bytes
    ]
    best: StageCandidate | None = None
    for extra, floor, front, i in sorted(options, key=lambda o: o[:2]):
        if best and (extra > best.extra_macs or floor >= best.arena_bytes):
            break
        found = front.candidate(i)
        if found.arena_bytes <= sram_bytes and (best is None or found.arena_bytes < best.arena_bytes):
            best = found
    return best
