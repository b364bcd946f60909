"""Plans patch stages: which parts of the network run tile by tile, with which tiles, and what they keep between tiles.

In: an int8 ModelGraph and bounds on the arena or on the work. Out: the split to use, or the reasons, with numbers, why
splitting does not help. Every path from input to output of single ops and stages is considered (stage_path.py), each
stage in all its ways (stage_costs.py).
Work is the estimated cycles of a core, or MACs with recomputed halos and borders clipped where these are bounded;
memory is the arena that TFLM will record with the kernels that take the most, of those that may run.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.cost import network_cost
from tflm_quantmcu.cost.calls import stage_calls
from tflm_quantmcu.cost.instructions import InstructionTable
from tflm_quantmcu.graph.layer_names import layers_of_ops
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, QUANTMCU
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.exact_paths import ExactPaths, MadeStages, Path, StageEdge, most_bytes
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.planned_stage import PlannedStage
from tflm_quantmcu.patches.split import Split, StageSearch
from tflm_quantmcu.patches.stage_costs import StageWays, UpstreamCosts
from tflm_quantmcu.patches.stage_path import Edge
from tflm_quantmcu.patches.tile_times import TileTimes
from tflm_quantmcu.patches.work_bound import DEFAULT_MAX_SLOWDOWN, planning_table, work_ratio
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT

# The formula that paths are found by is off from the estimate by less than this, and mostly by less than the second.
_FORMULA_ERROR, _USUAL_ERROR = 1.15, 1.05
_ABOUT = 1.02  # times the work
# What a stage counts beside its work, of the network's: each one more makes places in the arena harder to find, which
# matters most where the smallest arena is wanted.
_STAGE_SHARE, _STAGE_SHARE_OF_SMALLEST = 0.003, 0.01
_STAGE_SHARE_OF_FEW, _MAX_STAGES = 0.03, 8  # the more, where places are not found; and of how many stages limits know
# Of as much work the path is taken that holds the least, summed over its edges: it is the easiest one to place.
_WORK = 1 << 24
_MAX_CALMER, _CALMER_STEP = 6, 1.3  # ways of a stage tried to find larger tiles, each of so many times the calls
_MAX_FASTER, _FASTER_STEP = 16, 1.0  # the same of the work by the formula; the estimate is the judge
_FRONT_STEP = 0.97  # of one arena to the next, of the front by time
_MAX_MOVED = 6  # ways of a stage tried where the places of others leave it no room
_OTHER_STEP = 0.98  # of the work, where only the figure that is not minimised exceeds its bound
_MAX_TRIES = 12  # bounds tried where the arena does not get as small as what is live


def plan_stages(
    graph: ModelGraph,
    *,
    sram_bytes: int | None = None,
    max_macs_ratio: float | None = None,
    max_slowdown: float | None = None,
    table: InstructionTable | None = None,
    bits: Mapping[str, int] | None = None,
    inner_bits: Mapping[str, int] | None = None,
    input_mode: str = "resident",
    variants: Sequence[str] = KERNEL_VARIANTS,
    stock_kernels: str = QUANTMCU,
) -> StageSearch:
    """Chooses the stages.

    Args:
      graph: the int8 model.
      sram_bytes: bound on the non-persistent arena. With it: the least work that meets it, unsplit if that does.
        Without it: the smallest arena, and of equal ones the least work.
      max_macs_ratio: bound on MACs over those of the unsplit network. With it work is MACs, else cycles.
      max_slowdown: bound on cycles, and on instructions, over those of the unsplit network on our kernels. None is
        `DEFAULT_MAX_SLOWDOWN`, or with `sram_bytes` whatever it takes.
      table: of the core whose time is estimated, with its cycles; None is the Cortex-M4's.
      bits: tensor name -> width of maps outside stages and at their ends; absent is 8.
      inner_bits: the same inside stages; None is `bits`.
      input_mode: `resident`, or `streamed`: the first stage pulls the input from a reader.
      variants: of our kernels, those that may run; the bound holds with all of them.
      stock_kernels: what runs the ops outside of stages, one of STOCK_KERNELS.

    Returns:
      The search's result; `best` is None where the unsplit network is the answer or a bound cannot be met.

    Raises:
      UnsupportedModelError: the input is to be streamed and no stage can read it.
    """
    table = planning_table(table, max_macs_ratio)
    ratio = work_ratio(sram_bytes, table, max_macs_ratio, max_slowdown)
    planner = StagePlanner(
        graph,
        table=table,
        bits=bits,
        inner_bits=inner_bits,
        input_mode=input_mode,
        variants=variants,
        stock_kernels=stock_kernels,
        is_work_bounded=ratio is not None,
    )
    if planner.is_streamed and planner.is_whole:
        raise UnsupportedModelError(
            "the input cannot be streamed: no patch stage begins with it that leaves nothing else to read it"
        )
    return _smallest(planner, ratio) if sram_bytes is None else _within(planner, sram_bytes, ratio)


def _smallest(planner: StagePlanner, ratio: float | None) -> StageSearch:
    """The best split without a bound on the arena."""
    smallest, baseline = planner.smallest(ratio), planner.baseline_arena_bytes
    if smallest is None and planner.is_streamed:
        smallest = next(planner.within(baseline), None)  # it is asked for whatever it takes
    if smallest is None or smallest.arena_bytes >= baseline and not planner.is_streamed:
        return StageSearch(baseline, None, smallest, planner.refusal(smallest, ratio))
    best = planner.relaxed(smallest, smallest.arena_bytes)
    return StageSearch(baseline, best, smallest, planner.gain(best))


def _within(planner: StagePlanner, sram_bytes: int, ratio: float | None) -> StageSearch:
    """The best split within a bound on the arena."""
    baseline = planner.baseline_arena_bytes
    if baseline <= sram_bytes and not planner.is_streamed:
        reason = f"the unsplit arena of {baseline:,} bytes meets {sram_bytes:,}; splitting would only add work"
        return StageSearch(baseline, None, None, reason)
    cheapest = planner.cheapest(sram_bytes, ratio)
    smallest = cheapest or planner.smallest(ratio)
    if smallest is None or smallest.arena_bytes >= baseline and not planner.is_streamed:
        return StageSearch(baseline, None, smallest, planner.refusal(smallest, ratio))
    if smallest.arena_bytes > sram_bytes:  # its places may be found the better for it
        smallest = planner.relaxed(smallest, smallest.arena_bytes)
    if smallest.arena_bytes > sram_bytes:
        reason = (
            f"the arena is {baseline:,} bytes unsplit and {smallest.arena_bytes:,} at the smallest, for "
            f"{smallest.work_text}, where {smallest.binding} holds the most"
        )
        return StageSearch(baseline, None, smallest, reason)
    best = planner.relaxed(smallest, sram_bytes)
    return StageSearch(baseline, best, smallest, planner.gain(best))


def _by_bytes(split: Split) -> tuple[int, float]:
    return split.arena_bytes, split.work_ratio


class StagePlanner:
    """All splits of one model; arguments as of `plan_stages`, bounds on work those of `work_ratio`."""

    def __init__(
        self,
        graph: ModelGraph,
        *,
        table: InstructionTable | None = None,
        bits: Mapping[str, int] | None = None,
        inner_bits: Mapping[str, int] | None = None,
        input_mode: str = "resident",
        variants: Sequence[str] = KERNEL_VARIANTS,
        stock_kernels: str = QUANTMCU,
        is_work_bounded: bool = False,
    ):
        """Work is cycles by the table, or without one MACs; where it is bounded the smallest arena is wanted."""
        self._stage_share = _STAGE_SHARE_OF_SMALLEST if is_work_bounded else _STAGE_SHARE
        bits = bits or {}
        self.is_streamed = input_mode == "streamed"
        self._graph = graph
        self._model = PlannedModel(
            graph,
            bits,
            bits if inner_bits is None else inner_bits,
            is_streamed=self.is_streamed,
            variants=variants,
            stock_kernels=stock_kernels,
        )
        self._base_macs = sum(self._model.base_macs)
        # What is minimised, and beside it what a bound on work is kept in too.
        self._figures = [TileTimes(figure) for figure in ((table.cycles or table, table) if table else ())]
        self._times = self._figures[0] if self._figures else None
        self._base_figures = [[times.of_graph(graph, bits, op.index) for op in graph.ops] for times in self._figures]
        # [op] by itself
        self._base_work: Sequence[float] = self._base_figures[0] if self._times else self._model.base_macs
        self._made = MadeStages()
        self._arenas: dict[tuple[PlannedStage, ...], tuple[int, int]] = {}
        self._stage_figures: dict[PlannedStage, list[float]] = {}
        edges = self._edges()
        self._has_stages = any(way is not None for edge in edges for way in edge.ways[:1])
        # Where the first finds no places the second may, whose stages are fewer.
        fewer = int(sum(self._base_work) * _STAGE_SHARE_OF_FEW) * _WORK
        self._searches = [ExactPaths(edges, self._made, more) for more in (0, fewer)]
        self._search = self._searches[0]

    @property
    def is_whole(self) -> bool:
        """Whether nothing can be split."""
        return not self._search.is_reached(int(self._search.bounds[-1]))

    @functools.cached_property
    def baseline_arena_bytes(self) -> int:
        """Bytes of the unsplit network, its input resident."""
        return self._arena_of(())

    def smallest(self, max_ratio: float | None = None) -> Split | None:
        """The smallest arena within the bound on work, and of equal ones the least work."""
        best: Split | None = None
        least: Path | None = None
        allowed, tries = self._work_limit(max_ratio), 0
        while tries < _MAX_TRIES:
            num_bytes = self._search.least_bytes(allowed)
            if num_bytes is None or (best and num_bytes >= best.arena_bytes):
                break
            path = self._search.path(num_bytes)
            if path is None:
                continue
            allowed = self._search.work(num_bytes)
            slowdowns = self._slowdowns(self._made.of_path(path)) if self._times and max_ratio else [0.0]
            if max_ratio and max(slowdowns) > max_ratio:  # what exceeds in the other figure alone goes in small steps
                allowed = int(allowed * min(_OTHER_STEP, _USUAL_ERROR * max_ratio / slowdowns[0]))
                continue
            tries += 1
            least = least or path
            split = self._split(path, at_most=best.arena_bytes if best else None)
            if split and split.stages:
                best = min(best or split, split, key=_by_bytes)
        if best and least:
            moved = self._moved(least, best.arena_bytes - ARENA_ALIGNMENT, max_ratio)
            best = min((best, *map(self._in_smallest_places, moved)), key=_by_bytes)
        best = best or self.cheapest(self.baseline_arena_bytes - ARENA_ALIGNMENT, max_ratio)
        return self._tightened(best, max_ratio) if best and best.stages else best

    def _tightened(self, split: Split, max_ratio: float | None) -> Split:
        """What meets fewer bytes when they are asked for, as long as something does: no bound is met below it."""
        while (found := self.cheapest(split.arena_bytes - ARENA_ALIGNMENT, max_ratio)) and found.stages:
            split = self._in_smallest_places(found)
        return split

    def cheapest(self, sram_bytes: int, max_ratio: float | None = None) -> Split | None:
        """The least work within the bound on the arena; of those that the formula holds for about as fast, the one
        that the estimate says."""
        lasts = []
        for search in self._searches:
            best, last = self._cheapest_of(search, sram_bytes, max_ratio)
            if best:
                return best
            lasts.append(last)
        moved = [split for path in lasts for split in self._moved(path, sram_bytes, max_ratio)]
        return min(moved, key=lambda split: split.work_ratio, default=None)

    def _cheapest_of(self, search: ExactPaths, sram_bytes: int, max_ratio: float | None) -> tuple[Split | None, Path]:
        """(what is found, the last path that was looked at)."""
        best: Split | None = None
        last: Path = []
        for path, work in self._paths(search, sram_bytes, max_ratio):
            last, stages = path, self._made.of_path(path)
            if best and (not self._times or work > best.work_ratio * _ABOUT):
                break
            if best and self._slowdown(stages) >= best.work_ratio:
                continue
            split = self._assemble(stages, enough=sram_bytes)
            if split.arena_bytes <= sram_bytes:
                best = split
        return best, last

    def within(self, sram_bytes: int, max_ratio: float | None = None) -> Iterator[Split]:
        """Splits that may meet the bound, with ever more work and less live at once; of an arena that does the smallest
        is not searched for."""
        for path, _ in self._paths(self._search, sram_bytes, max_ratio):
            yield self._assemble(self._made.of_path(path), enough=sram_bytes)

    def _moved(self, path: Path, num_bytes: int, max_ratio: float | None) -> Iterator[Split]:
        """Where a path's places leave gaps: the same with one stage run in others of its ways, those that hold the
        least, as far as the arena is then within the bytes."""
        if not path or most_bytes(path) > num_bytes:
            return
        for position, (edge, number) in enumerate(path):
            for other in range(min(len(edge.ways), _MAX_MOVED) if edge.ways[number] else 0):
                if other == number or edge.num_bytes[other] > num_bytes:
                    continue
                stages = self._made.of_path([*path[:position], (edge, other), *path[position + 1 :]])
                if max(s.live_bytes for s in stages) > num_bytes or not self._keeps(stages, max_ratio):
                    continue
                split = self._assemble(stages, enough=num_bytes)
                if split.arena_bytes <= num_bytes:
                    yield split

    def _keeps(self, stages: Sequence[PlannedStage], max_ratio: float | None) -> bool:
        """Whether they keep a bound on work."""
        return not self._times or max_ratio is None or max(self._slowdowns(stages)) <= max_ratio

    def _paths(self, search: ExactPaths, sram_bytes: int, max_ratio: float | None) -> Iterator[tuple[Path, float]]:
        """The paths of `within`, and their work over that of the unsplit network by the formula."""
        limit = self._work_limit(max_ratio)
        for path, work in search.within(sram_bytes, min(limit + _MAX_STAGES * search.stage_work, search.unreached)):
            stages = self._made.of_path(path)
            work -= len(stages) * search.stage_work
            if work < limit and self._keeps(stages, max_ratio):
                yield path, work / _WORK / max(sum(self._base_work), 1)

    def front(self) -> list[Split]:
        """The splits that no other beats both in bytes and in work; the least work comes first. By
        time the first one is the unsplit network, if its input is resident."""
        if self._times:
            return self._front_by_time()
        found: list[Split] = []
        limit = int(self._search.bounds[-1])
        while self._search.is_reached(limit):
            # The fewest bytes in which as few MACs do.
            num_bytes = self._search.least_bytes((self._search.work(limit) // _WORK + 1) * _WORK)
            assert num_bytes is not None
            path = self._search.path(num_bytes)
            if path is not None:
                split = self._split(path, at_most=found[-1].arena_bytes - 1 if found else None)
                found += [split] if split else []
                limit = num_bytes - 1
        return found

    def _front_by_time(self) -> list[Split]:
        """The formula proposes a split for each arena, in steps; the estimate says which of them are beaten."""
        whole = [] if self.is_streamed else [self._assemble([])]
        found, limit = [], whole[0].arena_bytes - 1 if whole else int(self._search.bounds[-1])
        while self._search.is_reached(limit):
            path = self._search.path(limit)
            if path is not None:
                found.append(self._in_smallest_places(self._assemble(self._made.of_path(path))))
                limit = int(_FRONT_STEP * most_bytes(path))
        kept = whole[:]
        for split in sorted(found, key=lambda split: (split.work_ratio, split.arena_bytes)):
            if not kept or split.arena_bytes < kept[-1].arena_bytes:
                kept.append(split)
        return kept

    def arena_of(self, split: Split, scratch_bytes: Sequence[tuple[int, ...]], *, enough: int = 0) -> int:
        """The arena of a split whose stages take this much scratch [stage][variant]; `enough` as of
        `network_cost.arena_of`."""
        stages = [
            dataclasses.replace(s.placed, scratch_bytes=n) for s, n in zip(split.stages, scratch_bytes, strict=True)
        ]
        return self._arena_of(stages, tensor_bytes=self._model.all_bytes, enough=enough)

    def _arena_of(self, stages: Sequence[network_cost.PlacedStage], **options: Any) -> int:
        model = self._model
        return network_cost.arena_of(
            self._graph, stages, variants=model.variants, stock_kernels=model.stock_kernels, **options
        )

    def cost_of(self, split: Split, table: InstructionTable) -> network_cost.Cost:
        """Work of a split, by the table of a core."""
        programs = [(stage.ops, stage.program(self._model)) for stage in split.stages]
        return network_cost.cost_of(self._graph, programs, map_bits=self._model.map_bits, table=table)

    def gain(self, best: Split) -> str:
        count = len(best.stages)
        extra = f"{best.macs_ratio - 1:.1%} more MACs" if best.extra_macs else "no more MACs"
        slower = "" if best.slowdown is None else f" and {best.slowdown:.2f} times the estimated cycles"
        text = (
            f"splitting into {count} patch stage{'s' * (count > 1)} takes the arena from {self.baseline_arena_bytes:,} "
            f"to {best.arena_bytes:,} bytes for {extra}{slower}; {best.binding} holds the most"
        )
        if best.slowdown is None or best.slowdown <= DEFAULT_MAX_SLOWDOWN:
            return text
        return f"{text}; the bound takes that much time, a larger --sram_bytes less"

    def refusal(self, smallest: Split | None, max_ratio: float | None = None) -> str:
        baseline = self.baseline_arena_bytes
        slower = self.smallest() if smallest is None else None
        if slower and slower.arena_bytes < baseline and max_ratio is not None:
            return (
                f"the network is not split and keeps its arena of {baseline:,} bytes: no split keeps within "
                f"{max_ratio:.2f} times its work; {slower.arena_bytes:,} bytes take {slower.work_text}"
            )
        if self._has_stages:
            smallest = smallest or slower or self._assemble([])
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

    def _edges(self) -> list[StageEdge]:
        model = self._model
        edges: list[StageEdge] = []
        for op in self._graph.ops:
            if model.can_run_unsplit(op):
                num_bytes = np.array([model.unsplit_bytes[op.index]])
                work = np.array([int(self._base_work[op.index]) * _WORK]) + num_bytes // ARENA_ALIGNMENT
                edges.append(Edge.of(op.index, op.index + 1, num_bytes, work, [None]))
            upstream = UpstreamCosts(model, op.index, self._times)
            edges += [edge for ways in upstream.ways() if (edge := self._stage_edge(upstream, ways))]
        return edges

    def _stage_edge(self, upstream: UpstreamCosts, ways: StageWays) -> StageEdge | None:
        """The ways that take less than the ops one by one, none of them in place; of a streamed input all."""
        model = self._model
        is_needed = ways.source in model.streamed
        unsplit = max(model.held_bytes[ways.first : ways.end])
        useful = np.flatnonzero((ways.num_bytes < unsplit) | is_needed)
        if not useful.size:
            return None
        num_bytes = ways.num_bytes.ravel()[useful]
        held = (ways.end - ways.first) * num_bytes // ARENA_ALIGNMENT
        if self._times:
            held += int(sum(self._base_work) * self._stage_share) * _WORK
        payload = [(upstream, ways, way) for way in useful.tolist()]
        return Edge.of(ways.first, ways.end, num_bytes, ways.work.ravel()[useful] * _WORK + held, payload)

    def _work_limit(self, max_ratio: float | None) -> int:
        """What a path's work is below within the bound, by the formula that may be too high."""
        if max_ratio is None:
            return self._search.unreached
        slack = _FORMULA_ERROR if self._times else 1.0
        return (int(sum(self._base_work) * max_ratio * slack) + 1) * _WORK

    def _slowdown(self, stages: Sequence[PlannedStage]) -> float:
        """Cycles over those of the network unsplit, by the programs of the stages."""
        return self._slowdowns(stages)[0]

    def _slowdowns(self, stages: Sequence[PlannedStage]) -> list[float]:
        """The same of each figure."""
        inside = {index for stage in stages for index in stage.ops}
        ratios = []
        for figure, base in enumerate(self._base_figures):
            outside = sum(n for index, n in enumerate(base) if index not in inside)
            split = sum(self._figures_of(stage)[figure] for stage in stages)
            ratios.append((outside + split) / max(sum(base), 1))
        return ratios

    def _figures_of(self, stage: PlannedStage) -> list[float]:
        if stage not in self._stage_figures:
            program = stage.program(self._model)
            calls = stage_calls(program)
            self._stage_figures[stage] = [times.of_stage(program, calls) for times in self._figures]
        return self._stage_figures[stage]

    def _split(self, path: Path, *, at_most: int | None = None) -> Split | None:
        """The split, or None where its arena exceeds a bound."""
        split = self._assemble(self._made.of_path(path), enough=at_most or 0)
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
        slowdown = self._slowdown(stages) if self._times else None
        split = Split(tuple(stages), 0, macs, self._base_macs, binding, slowdown)
        return dataclasses.replace(split, arena_bytes=self._arena_within(split, enough))

    def _arena_within(self, split: Split, enough: int) -> int:
        """What `arena_of` gives; what met so many bytes, or did not, is not placed again."""
        least, exceeds = self._arenas.get(split.stages, (1 << 62, 0))  # and the most bytes that are too few
        if not 0 < enough <= exceeds and not least <= enough:
            least = min(least, self.arena_of(split, [s.scratch_bytes for s in split.stages], enough=enough))
            self._arenas[split.stages] = least, max(exceeds, enough * (least > enough))
        return least

    def _in_smallest_places(self, split: Split) -> Split:
        """The same, its arena as small as can be found, not only within a bound."""
        smallest = self.arena_of(split, [s.scratch_bytes for s in split.stages])
        return dataclasses.replace(split, arena_bytes=min(split.arena_bytes, smallest))

    def _label(self, op: int) -> str:
        return f"'{layers_of_ops(self._graph, [op])[0]}'"

    def relaxed(self, split: Split, num_bytes: int) -> Split:
        """The same with ops by themselves and larger tiles where they fit into the arena with no more work."""
        best = split
        for stage in split.stages:
            for other in self._calmer(stage, num_bytes):
                stages = [o for s in best.stages for o in (other if s is stage else [s])]
                found = self._assemble(stages, enough=num_bytes)
                if found.arena_bytes <= num_bytes and found.work_ratio <= best.work_ratio:
                    best = found
                    break
        return self._in_smallest_places(best)

    def _calmer(self, stage: PlannedStage, num_bytes: int) -> Iterator[list[PlannedStage]]:
        """What to try in place of a stage, the fewest cycles or kernel calls first."""
        first, end = stage.ops[0], stage.ops[-1] + 1
        ops = self._graph.ops[first:end]
        if all(map(self._model.can_run_unsplit, ops)) and max(self._model.unsplit_bytes[first:end]) <= num_bytes:
            yield []
        upstream, ways = self._made.regions[first, end]
        found = (self._made.of_way((upstream, ways, way)) for way in self._eligible(ways, stage, num_bytes))
        others = itertools.islice(
            (other for other in found if other.live_bytes <= num_bytes), _MAX_FASTER if self._times else _MAX_CALMER
        )
        if not self._times:
            yield from ([other] for other in others)
            return
        # The formula has chosen some, the estimate says which are best.
        estimates = {other: self._figures_of(other)[0] for other in others}
        better = [other for other, count in estimates.items() if count < self._figures_of(stage)[0]]
        yield from ([other] for other in sorted(better, key=estimates.__getitem__))

    def _eligible(self, ways: StageWays, stage: PlannedStage, num_bytes: int) -> Iterator[int]:
        """Ways of a stage that may fit with no more work, each of so many times the calls, or the work, of the last."""
        is_fit = ways.num_bytes <= num_bytes
        effort, step = (ways.work, _FASTER_STEP) if self._times else (ways.num_calls, _CALMER_STEP)
        fits = np.flatnonzero(is_fit if self._times else is_fit & (ways.macs <= stage.macs))
        effort = effort.ravel()
        tried = 0.0
        for way in fits[np.lexsort((ways.num_bytes.ravel()[fits], effort[fits]))].tolist():
            if effort[way] >= tried * step:
                yield way
                tried = effort[way]
