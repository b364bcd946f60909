"""Plans patch stages: which parts of the network run tile by tile, with which tiles, and what they keep between tiles.

In: an int8 ModelGraph and bounds on the arena or on the work. Out: the split to use, or the reasons, with numbers, why
splitting does not help. Every path from input to output of single ops and stages is considered (stage_path.py), each
stage in all its ways (stage_costs.py).
Work is judged by MACs with recomputed halos and borders clipped, memory by the arena that TFLM will record with the
kernels that take the most, of those that may run.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.cost import network_cost
from tflm_quantmcu.graph.precision_plan import StagePlan
from tflm_quantmcu.graph.target import KERNEL_VARIANTS
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.stage_costs import PlannedStage, StageWays, UpstreamCosts
from tflm_quantmcu.patches.stage_path import Edge, PathSearch
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT

# Of as many MACs the path is taken that holds the least, summed over its edges: it is the easiest one to place.
_MACS = 1 << 24
_MAX_CALMER, _CALMER_STEP = 6, 1.3  # ways of a stage tried to find larger tiles, each of so many times the calls
_MAX_TRIES = 12  # bounds tried where the arena does not get as small as what is live


@dataclasses.dataclass(frozen=True)
class Split:
    """One way to run the network.

    Attributes:
      stages: in execution order.
      arena_bytes: non-persistent arena of the whole network, with the kernels that take the most.
      macs: of the whole network, recomputation included.
      base_macs: of the network unsplit.
      binding: the op or stage that holds the most, for messages.
    """

    stages: tuple[PlannedStage, ...]
    arena_bytes: int
    macs: int
    base_macs: int
    binding: str

    @property
    def extra_macs(self) -> int:
        return self.macs - self.base_macs

    @property
    def macs_ratio(self) -> float:
        return self.macs / max(self.base_macs, 1)

    def plans(self, graph: ModelGraph) -> tuple[StagePlan, ...]:
        """The stages with all patches in one class at the model's own formats."""
        return tuple(stage.plan(graph) for stage in self.stages)


@dataclasses.dataclass(frozen=True)
class StageSearch:
    """What the planner found.

    Attributes:
      baseline_arena_bytes: of the unsplit network.
      best: the split to use, or None: leave the graph alone.
      smallest: the split with the smallest arena that the bound on work allows, or None when nothing can be split.
      reason: one sentence with the numbers behind `best`.
    """

    baseline_arena_bytes: int
    best: Split | None
    smallest: Split | None
    reason: str

    @property
    def smallest_arena_bytes(self) -> int:
        smallest = self.smallest.arena_bytes if self.smallest else self.baseline_arena_bytes
        return min(smallest, self.baseline_arena_bytes)


def plan_stages(
    graph: ModelGraph,
    *,
    sram_bytes: int | None = None,
    max_macs_ratio: float | None = None,
    bits: Mapping[str, int] | None = None,
    inner_bits: Mapping[str, int] | None = None,
    input_mode: str = "resident",
    variants: Sequence[str] = KERNEL_VARIANTS,
) -> StageSearch:
    """Chooses the stages.

    Args:
      graph: the int8 model.
      sram_bytes: bound on the non-persistent arena. With it: the fewest MACs that meet it, unsplit if that does.
        Without it: the smallest arena, and of equal ones the fewest MACs.
      max_macs_ratio: bound on MACs over those of the unsplit network. None is 1, nothing is computed twice, or with
        `sram_bytes` whatever it takes.
      bits: tensor name -> width of maps outside stages and at their ends; absent is 8.
      inner_bits: the same inside stages; None is `bits`.
      input_mode: `resident`, or `streamed`: the first stage pulls the input from a reader.
      variants: of our kernels, those that may run; the bound holds with all of them.

    Returns:
      The search's result; `best` is None where the unsplit network is the answer or a bound cannot be met.

    Raises:
      UnsupportedModelError: the input is to be streamed and no stage can read it.
    """
    planner = StagePlanner(graph, bits=bits, inner_bits=inner_bits, input_mode=input_mode, variants=variants)
    if max_macs_ratio is None and sram_bytes is None:
        max_macs_ratio = 1.0
    smallest = planner.smallest(max_macs_ratio)
    baseline = planner.baseline_arena_bytes
    if planner.is_streamed and smallest is None and planner.smallest() is None:
        raise UnsupportedModelError(
            "the input cannot be streamed: no patch stage begins with it that leaves nothing else to read it"
        )
    if smallest is None or smallest.arena_bytes >= baseline:
        return StageSearch(baseline, None, smallest, planner.refusal(smallest))
    if sram_bytes is None:
        best = planner.relaxed(smallest, smallest.arena_bytes)
        return StageSearch(baseline, best, smallest, planner.gain(best))
    if baseline <= sram_bytes and not planner.is_streamed:
        reason = f"the unsplit arena of {baseline:,} bytes meets {sram_bytes:,}; splitting would only add work"
        return StageSearch(baseline, None, smallest, reason)
    cheapest = planner.cheapest(sram_bytes, max_macs_ratio)
    if cheapest is None:
        reason = (
            f"the arena is {baseline:,} bytes unsplit and {smallest.arena_bytes:,} at the smallest, for "
            f"{smallest.macs_ratio:.2f} times the MACs, where {smallest.binding} holds the most"
        )
        return StageSearch(baseline, None, smallest, reason)
    best = planner.relaxed(cheapest, sram_bytes)
    return StageSearch(baseline, best, smallest, planner.gain(best))


_Way = tuple[UpstreamCosts, StageWays, int]
_Path = list[tuple[Edge["_Way | None"], int]]


class StagePlanner:
    """All splits of one model; the arguments are those of `plan_stages`."""

    def __init__(
        self,
        graph: ModelGraph,
        *,
        bits: Mapping[str, int] | None = None,
        inner_bits: Mapping[str, int] | None = None,
        input_mode: str = "resident",
        variants: Sequence[str] = KERNEL_VARIANTS,
    ):
        bits = bits or {}
        self.is_streamed = input_mode == "streamed"
        self._graph = graph
        self._model = PlannedModel(
            graph,
            bits,
            bits if inner_bits is None else inner_bits,
            is_streamed=self.is_streamed,
            variants=variants,
        )
        self._base_macs = sum(self._model.base_macs)
        self._stages: dict[tuple[int, int, int], PlannedStage] = {}
        self._regions: dict[tuple[int, int], tuple[UpstreamCosts, StageWays]] = {}
        self._search = PathSearch(self._edges())

    @functools.cached_property
    def baseline_arena_bytes(self) -> int:
        """Of the unsplit network, its input resident."""
        return network_cost.arena_of(self._graph)

    def smallest(self, max_macs_ratio: float | None = None) -> Split | None:
        """The smallest arena within the bound on MACs, and of equal ones the fewest MACs."""
        best: Split | None = None
        bound = self._first_within(max_macs_ratio)
        tries = 0
        while bound is not None and tries < _MAX_TRIES:
            if best and self._search.bounds[bound] >= best.arena_bytes:
                break
            path = self._exact_path(bound)
            if path is None:
                bound = self._first_within(max_macs_ratio)
                continue
            tries += 1
            split = self._split(path, at_most=best.arena_bytes if best else None)
            if split and split.stages:
                best = min(best or split, split, key=lambda found: (found.arena_bytes, found.macs))
            bound = self._next_other(bound)
        return best

    def cheapest(self, sram_bytes: int, max_macs_ratio: float | None = None) -> Split | None:
        """The fewest MACs within the bound on the arena."""
        return next((s for s in self.within(sram_bytes, max_macs_ratio) if s.arena_bytes <= sram_bytes), None)

    def within(self, sram_bytes: int, max_macs_ratio: float | None = None) -> Iterator[Split]:
        """Splits that may meet the bound, with ever more MACs and less live at once; of an arena that does the smallest
        is not searched for."""
        limit = sram_bytes
        while True:
            bound = int(np.searchsorted(self._search.bounds, limit, side="right")) - 1
            if bound < 0 or not self._is_within(bound, max_macs_ratio):
                return
            path = self._exact_path(bound)
            if path is not None:
                yield self._assemble(self._stages_of(path), enough=sram_bytes)
                limit = max(int(edge.num_bytes[number]) for edge, number in path) - 1

    def front(self) -> list[Split]:
        """For each arena that no other split beats in bytes and in MACs, the split; the fewest MACs come first."""
        found: list[Split] = []
        bound = self._search.bounds.size - 1
        while bound >= 0 and self._search.is_reached(bound):
            work = self._search.work // _MACS
            bound = int(np.flatnonzero(work == work[bound])[0])
            path = self._exact_path(bound)
            if path is not None:
                split = self._split(path, at_most=found[-1].arena_bytes - 1 if found else None)
                found += [split] if split else []
                bound -= 1
        return found

    def arena_of(self, split: Split, scratch_bytes: Sequence[tuple[int, ...]], *, enough: int = 0) -> int:
        """The arena of a split whose stages take this much scratch [stage][variant]; `enough` as of
        `network_cost.arena_of`."""
        stages = [
            dataclasses.replace(s.placed, scratch_bytes=n) for s, n in zip(split.stages, scratch_bytes, strict=True)
        ]
        return network_cost.arena_of(self._graph, stages, tensor_bytes=self._model.all_bytes, enough=enough)

    def gain(self, best: Split) -> str:
        count = len(best.stages)
        extra = f"{best.macs_ratio - 1:.1%} more MACs" if best.extra_macs else "no more MACs"
        return (
            f"splitting into {count} patch stage{'s' * (count > 1)} takes the arena from "
            f"{self.baseline_arena_bytes:,} to {best.arena_bytes:,} bytes for {extra}; {best.binding} holds the most"
        )

    def refusal(self, smallest: Split | None) -> str:
        baseline = self.baseline_arena_bytes
        if smallest is None:
            return f"the network is not split and keeps its arena of {baseline:,} bytes: {self._obstacle()}"
        return (
            f"splitting does not lower the arena: {baseline:,} bytes unsplit, {smallest.arena_bytes:,} bytes at best "
            f"({smallest.binding} holds the most), so the graph is left alone"
        )

    def _obstacle(self) -> str:
        spatial = [op for op in self._graph.ops if op.window is not None]
        if all(self._model.why_not_in_stage(op) for op in spatial):
            reasons = [f"; {op.kind} (op {op.index}): {self._model.why_not_in_stage(op)}" for op in spatial[:1]]
            return "it has no convolution or pool that our kernels can run tile by tile" + "".join(reasons)
        return "no stage takes less than its ops do one by one"

    def _edges(self) -> list[Edge[_Way | None]]:
        model = self._model
        edges: list[Edge[_Way | None]] = []
        for op in self._graph.ops:
            if model.can_run_unsplit(op):
                num_bytes = np.array([model.unsplit_bytes[op.index]])
                work = np.array([model.base_macs[op.index] * _MACS]) + num_bytes // ARENA_ALIGNMENT
                edges.append(Edge.of(op.index, op.index + 1, num_bytes, work, [None]))
            upstream = UpstreamCosts(model, op.index)
            edges += [edge for ways in upstream.ways() if (edge := self._stage_edge(upstream, ways))]
        return edges

    def _stage_edge(self, upstream: UpstreamCosts, ways: StageWays) -> Edge[_Way | None] | None:
        """The ways that take less than the ops one by one; of a streamed input all."""
        model = self._model
        is_needed = ways.source in model.streamed
        unsplit = max(model.unsplit_bytes[ways.first : ways.end])
        useful = np.flatnonzero((ways.num_bytes < unsplit) | is_needed)
        if not useful.size:
            return None
        num_bytes = ways.num_bytes.ravel()[useful]
        held = (ways.end - ways.first) * num_bytes // ARENA_ALIGNMENT
        payload = [(upstream, ways, way) for way in useful.tolist()]
        return Edge.of(ways.first, ways.end, num_bytes, ways.macs.ravel()[useful] * _MACS + held, payload)

    def _is_within(self, bound: int, max_macs_ratio: float | None) -> bool:
        return bool(self._search.work[bound] < self._work_limit(max_macs_ratio))

    def _work_limit(self, max_macs_ratio: float | None) -> int:
        return self._search.unreached if max_macs_ratio is None else (int(self._base_macs * max_macs_ratio) + 1) * _MACS

    def _first_within(self, max_macs_ratio: float | None) -> int | None:
        """The least bound that a path within the ratio keeps."""
        within = np.flatnonzero(self._search.work < self._work_limit(max_macs_ratio))
        return int(within[0]) if within.size else None

    def _next_other(self, bound: int) -> int | None:
        """The next bound that allows a path of other work."""
        other = np.flatnonzero(self._search.work[bound:] != self._search.work[bound])
        return bound + int(other[0]) if other.size else None

    def _exact_path(self, bound: int) -> _Path | None:
        """The cheapest path within a bound; None where a way of it takes more than was thought, which is now known."""
        path = self._search.path(bound)
        live = {
            (edge, number): self._stage(way).live_bytes
            for edge, number in path
            if (way := edge.ways[number]) is not None
        }
        dearer = {key: n for key, n in live.items() if n > key[0].num_bytes[key[1]]}
        if dearer:
            self._search = self._search.with_bytes(dearer)
        return None if dearer else path

    def _stage(self, way: _Way) -> PlannedStage:
        upstream, ways, index = way
        self._regions[ways.first, ways.end] = upstream, ways
        key = (ways.first, ways.end, index)
        if key not in self._stages:
            self._stages[key] = upstream.stage(ways, index)
        return self._stages[key]

    def _stages_of(self, path: _Path) -> list[PlannedStage]:
        return [self._stage(way) for edge, number in path if (way := edge.ways[number]) is not None]

    def _split(self, path: _Path, *, at_most: int | None = None) -> Split | None:
        """The split, or None where its arena exceeds a bound."""
        split = self._assemble(self._stages_of(path), enough=at_most or 0)
        if at_most is None:
            return split
        return self._in_smallest_places(split) if split.arena_bytes <= at_most else None

    def _assemble(self, stages: Sequence[PlannedStage], *, enough: int = 0) -> Split:
        """The split of these stages; `enough` as of `network_cost.arena_of`."""
        inside = {index for stage in stages for index in stage.ops}
        held = [(stage.live_bytes, f"the stage up to {self._label(stage.ops[-1])}") for stage in stages]
        held += [
            (self._model.unsplit_bytes[op.index], f"{op.kind} {self._label(op.index)}")
            for op in self._graph.ops
            if op.index not in inside
        ]
        _, binding = max(held, key=lambda entry: entry[0])
        macs = self._base_macs + sum(stage.extra_macs for stage in stages)
        split = Split(tuple(stages), 0, macs, self._base_macs, binding)
        arena_bytes = self.arena_of(split, [s.scratch_bytes for s in stages], enough=enough)
        return dataclasses.replace(split, arena_bytes=arena_bytes)

    def _in_smallest_places(self, split: Split) -> Split:
        """The same, its arena as small as can be found, not only within a bound."""
        smallest = self.arena_of(split, [s.scratch_bytes for s in split.stages])
        return dataclasses.replace(split, arena_bytes=min(split.arena_bytes, smallest))

    def _label(self, op: int) -> str:
        return f"'{self._graph.tensors[self._graph.ops[op].outputs[0]].label}'"

    def relaxed(self, split: Split, num_bytes: int) -> Split:
        """The same with ops by themselves and larger tiles where they fit into the arena with no more MACs."""
        best = split
        for stage in split.stages:
            for other in self._calmer(stage, num_bytes):
                stages = [o for s in best.stages for o in (other if s is stage else [s])]
                found = self._assemble(stages, enough=num_bytes)
                if found.arena_bytes <= num_bytes:
                    best = found
                    break
        return self._in_smallest_places(best)

    def _calmer(self, stage: PlannedStage, num_bytes: int) -> Iterator[list[PlannedStage]]:
        """What to try in place of a stage, the fewest kernel calls first."""
        first, end = stage.ops[0], stage.ops[-1] + 1
        ops = self._graph.ops[first:end]
        if all(map(self._model.can_run_unsplit, ops)) and max(self._model.unsplit_bytes[first:end]) <= num_bytes:
            yield []
        upstream, ways = self._regions[first, end]
        fits = np.flatnonzero((ways.num_bytes <= num_bytes) & (ways.macs <= stage.macs))
        num_calls = ways.num_calls.ravel()
        tried, num_tried = 0.0, 0
        for way in fits[np.lexsort((ways.num_bytes.ravel()[fits], num_calls[fits]))].tolist():
            if num_calls[way] < tried * _CALMER_STEP or num_tried == _MAX_CALMER:
                continue
            other = self._stage((upstream, ways, way))
            if other.live_bytes <= num_bytes:
                tried, num_tried = num_calls[way], num_tried + 1
                yield [other]
