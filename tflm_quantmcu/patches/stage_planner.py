"""Searches the splits of one model: the smallest, the cheapest within a bound, the front of both.

In: an int8 ModelGraph, and what counts as work. Out: Splits. The formulas propose paths (exact_paths.py), what their
stages are found to take decides (split_costs.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.cost import network_cost
from tflm_quantmcu.cost.instructions import InstructionTable
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, QUANTMCU
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.exact_paths import ExactPaths, MadeStages, Path, most_bytes
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.reasons import gain_of, no_smaller, no_split, too_slow
from tflm_quantmcu.patches.relaxing import Relaxing
from tflm_quantmcu.patches.split import Split
from tflm_quantmcu.patches.split_costs import SplitCosts
from tflm_quantmcu.patches.stage_edges import WORK_UNIT, stage_edges, wide_edges
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT

# The formula that paths are found by is off from the estimate by less than this, and mostly by less than the second.
_FORMULA_ERROR, _USUAL_ERROR = 1.15, 1.05
_ABOUT = 1.02  # times the work
# What a stage counts beside its work, of the network's: each one more makes places in the arena harder to find, which
# matters most where the smallest arena is wanted.
_STAGE_SHARE, _STAGE_SHARE_OF_SMALLEST = 0.003, 0.01
_STAGE_SHARE_OF_FEW, _MAX_STAGES = 0.03, 8  # the more, where places are not found; and of how many stages limits know
_FRONT_STEP = 0.97  # of one arena to the next, of the front by time
_MAX_MOVED = 6  # of the ways of a stage that hold the least, tried where the places of others leave it no room
_OTHER_STEP = 0.98  # of the work, where only the figure that is not minimised exceeds its bound
_MAX_TRIES = 12  # bounds tried where the arena does not get as small as what is live
# The same with stages of several inputs, so many tries times ops; and what each must save to count.
_WIDE_TRIES_OPS, _MIN_WIDE_TRIES, _WIDE_STEP = 400, 2, 0.99

NOT_STREAMED = "the input cannot be streamed: no patch stage begins with it that leaves nothing else to read it"


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
        bits = bits or {}
        self.is_streamed = input_mode == "streamed"
        self._model = PlannedModel(
            graph,
            bits,
            bits if inner_bits is None else inner_bits,
            is_streamed=self.is_streamed,
            variants=variants,
            stock_kernels=stock_kernels,
        )
        self._costs = SplitCosts(self._model, table, bits)
        self._made = MadeStages()
        share = _STAGE_SHARE_OF_SMALLEST if is_work_bounded else _STAGE_SHARE
        self._stage_work = int(self._costs.total_work * share) if self._costs.times else 0
        self._edges = stage_edges(self._model, self._costs.base_work, self._costs.times, self._stage_work)
        if not self._edges:  # each op alone is one, but the first of a streamed input
            raise UnsupportedModelError(NOT_STREAMED)
        self._has_stages = any(way is not None for edge in self._edges for way in edge.ways[:1])
        # Where the first finds no places the second may, whose stages are fewer.
        fewer = int(self._costs.total_work * _STAGE_SHARE_OF_FEW) * WORK_UNIT
        self._searches = [ExactPaths(self._edges, self._made, more) for more in (0, fewer)]
        self._search = self._searches[0]

    @property
    def is_whole(self) -> bool:
        """Whether nothing can be split."""
        return not self._search.is_reached(int(self._search.bounds[-1]))

    @property
    def baseline_arena_bytes(self) -> int:
        """Bytes of the unsplit network, its input resident."""
        return self._costs.baseline_arena_bytes

    def smallest(self, max_ratio: float | None = None) -> Split | None:
        """The smallest arena within the bound on work, and of equal ones the least work."""
        best: Split | None = None
        least: Path | None = None
        allowed = self._work_limit(max_ratio)
        for _ in range(_MAX_TRIES):
            most = best.arena_bytes if best else self._search.unreached
            if (found := self._least_path(self._search, allowed, max_ratio, most)) is None:
                break
            path, allowed = found
            least = least or path
            split = self._split(path, at_most=best.arena_bytes if best else None)
            if split and split.stages:
                best = min(best or split, split, key=_by_bytes)
        if best and least:
            moved = self._moved(least, best.arena_bytes - ARENA_ALIGNMENT, max_ratio)
            best = min((best, *map(self._costs.in_smallest_places, moved)), key=_by_bytes)
        best = best or self.cheapest(self.baseline_arena_bytes - ARENA_ALIGNMENT, max_ratio)
        return self._tightened(best, max_ratio) if best and best.stages else best

    def _least_path(
        self, search: ExactPaths, allowed: int, max_ratio: float | None, limit: int
    ) -> tuple[Path, int] | None:
        """(the path of the fewest bytes, below a limit, that does less work than is allowed, its work)."""
        while (num_bytes := search.least_bytes(allowed)) is not None and num_bytes < limit:
            path = search.path(num_bytes)
            if path is None:
                continue
            allowed = search.work(num_bytes)
            slowdowns = self._costs.slowdowns(self._made.of_path(path)) if self._costs.times and max_ratio else [0.0]
            if not max_ratio or max(slowdowns) <= max_ratio:
                return path, allowed
            # What exceeds in the other figure alone goes in small steps.
            allowed = int(allowed * min(_OTHER_STEP, _USUAL_ERROR * max_ratio / slowdowns[0]))
        return None

    def smaller(self, num_bytes: int, max_ratio: float | None = None, sram_bytes: int = 0) -> Split | None:
        """The smallest arena, well below so many bytes, of splits with stages of several inputs, within the bound on
        work; relaxed, where there is room in `sram_bytes`. None where there is none. The more ops there are the fewer
        are tried: each takes the longer."""
        limit = int(num_bytes * _WIDE_STEP)
        wide = wide_edges(self._model, self._edges, limit, self._costs.times, self._stage_work)
        search = ExactPaths([*self._edges, *wide], self._made)
        best: Split | None = None
        allowed = self._work_limit(max_ratio)
        for _ in range(self._wide_tries if wide else 0):
            if found := self._least_path(search, allowed, max_ratio, limit):
                path, allowed = found
            elif not (path := next((p for p, _ in self._paths(search, limit, max_ratio, self._wide_tries)), [])):
                break
            if split := self._split(path, at_most=limit):
                best, limit = split, int(split.arena_bytes * _WIDE_STEP)
            elif not found:
                break
        return self.relaxed(best, max(best.arena_bytes, sram_bytes), self._wide_tries) if best else None

    @property
    def _wide_tries(self) -> int:
        return max(_MIN_WIDE_TRIES, _WIDE_TRIES_OPS // len(self._model.graph.ops))

    def _tightened(self, split: Split, max_ratio: float | None) -> Split:
        """What meets fewer bytes when they are asked for, as long as something does: no bound is met below it."""
        while (found := self.cheapest(split.arena_bytes - ARENA_ALIGNMENT, max_ratio)) and found.stages:
            split = self._costs.in_smallest_places(found)
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
            if best and (not self._costs.times or work > best.work_ratio * _ABOUT):
                break
            if best and self._costs.slowdowns(stages)[0] >= best.work_ratio:
                continue
            split = self._costs.split_of(stages, enough=sram_bytes)
            if split.arena_bytes <= sram_bytes:
                best = split
        return best, last

    def within(self, sram_bytes: int, max_ratio: float | None = None) -> Iterator[Split]:
        """Splits that may meet the bound, with ever more work and less live at once; of an arena that does the smallest
        is not searched for."""
        for path, _ in self._paths(self._search, sram_bytes, max_ratio):
            yield self._costs.split_of(self._made.of_path(path), enough=sram_bytes)

    def _moved(self, path: Path, num_bytes: int, max_ratio: float | None) -> Iterator[Split]:
        """Where a path's places leave gaps: the same with one stage run in others of its ways, ones that hold ever
        less and take little more work, then those that hold the least, as far as the arena is within the bytes."""
        if not path or most_bytes(path) > num_bytes:
            return
        for position, (edge, number) in enumerate(path):
            for other in others(number, len(edge.ways)) if edge.ways[number] else ():
                if edge.num_bytes[other] > num_bytes:
                    continue
                stages = self._made.of_path([*path[:position], (edge, other), *path[position + 1 :]])
                if max(s.live_bytes for s in stages) > num_bytes or not self._costs.keeps(stages, max_ratio):
                    continue
                split = self._costs.split_of(stages, enough=num_bytes)
                if split.arena_bytes <= num_bytes:
                    yield split

    def _paths(
        self, search: ExactPaths, sram_bytes: int, max_ratio: float | None, most: int | None = None
    ) -> Iterator[tuple[Path, float]]:
        """The paths of `within`, of at most so many, and their work over that of the unsplit network by the formula."""
        limit = self._work_limit(max_ratio)
        found = search.within(sram_bytes, min(limit + _MAX_STAGES * search.stage_work, search.unreached))
        for path, work in itertools.islice(found, most):
            stages = self._made.of_path(path)
            work -= len(stages) * search.stage_work
            if work < limit and self._costs.keeps(stages, max_ratio):
                yield path, work / WORK_UNIT / max(self._costs.total_work, 1)

    def front(self) -> list[Split]:
        """The splits that no other beats both in bytes and in work; the least work comes first. By
        time the first one is the unsplit network, if its input is resident."""
        if self._costs.times:
            return self._front_by_time()
        found: list[Split] = []
        limit = int(self._search.bounds[-1])
        while self._search.is_reached(limit):
            # The fewest bytes in which as few MACs do.
            num_bytes = self._search.least_bytes((self._search.work(limit) // WORK_UNIT + 1) * WORK_UNIT)
            assert num_bytes is not None
            path = self._search.path(num_bytes)
            if path is not None:
                split = self._split(path, at_most=found[-1].arena_bytes - 1 if found else None)
                found += [split] if split else []
                limit = num_bytes - 1
        return found

    def _front_by_time(self) -> list[Split]:
        """The formula proposes a split for each arena, in steps; the estimate says which of them are beaten."""
        whole = [] if self.is_streamed else [self._costs.split_of([])]
        found, limit = [], whole[0].arena_bytes - 1 if whole else int(self._search.bounds[-1])
        while self._search.is_reached(limit):
            path = self._search.path(limit)
            if path is not None:
                found.append(self._costs.in_smallest_places(self._costs.split_of(self._made.of_path(path))))
                limit = int(_FRONT_STEP * most_bytes(path))
        kept = whole[:]
        for split in sorted(found, key=lambda split: (split.work_ratio, split.arena_bytes)):
            if not kept or split.arena_bytes < kept[-1].arena_bytes:
                kept.append(split)
        return kept

    def arena_of(self, split: Split, scratch_bytes: Sequence[tuple[int, ...]]) -> int:
        """The arena of a split whose stages take this much scratch [stage][variant]."""
        return self._costs.arena_of(split, scratch_bytes)

    def cost_of(self, split: Split, table: InstructionTable) -> network_cost.Cost:
        """Work of a split, by the table of a core."""
        return self._costs.cost_of(split, table)

    def relaxed(self, split: Split, num_bytes: int, max_tries: int | None = None) -> Split:
        """What `Relaxing.relaxed` makes of a split."""
        return Relaxing(self._model, self._costs, self._made).relaxed(split, num_bytes, max_tries)

    def gain(self, best: Split) -> str:
        """What a split brings, in words."""
        return gain_of(best, self.baseline_arena_bytes)

    def refusal(self, smallest: Split | None, max_ratio: float | None = None) -> str:
        """Why the network is not split, in words; `smallest` is the smallest split within the bound on work."""
        baseline = self.baseline_arena_bytes
        slower = self.smallest() if smallest is None else None
        if slower and slower.arena_bytes < baseline and max_ratio is not None:
            return too_slow(slower, baseline, max_ratio)
        if self._has_stages:
            smallest = smallest or slower or self._costs.split_of([])
        return no_split(self._model, baseline) if smallest is None else no_smaller(smallest, baseline)

    def _work_limit(self, max_ratio: float | None) -> int:
        """What a path's work is below within the bound, by the formula that may be too high."""
        if max_ratio is None:
            return self._search.unreached
        slack = _FORMULA_ERROR if self._costs.times else 1.0
        return (int(self._costs.total_work * max_ratio * slack) + 1) * WORK_UNIT

    def _split(self, path: Path, *, at_most: int | None = None) -> Split | None:
        """The split, or None where its arena exceeds a bound."""
        split = self._costs.split_of(self._made.of_path(path), enough=at_most or 0)
        if at_most is None:
            return split
        return self._costs.in_smallest_places(split) if split.arena_bytes <= at_most else None


def others(number: int, num_ways: int) -> list[int]:
    """Ways to try in place of one, of ways that hold ever more and take ever less work."""
    less = [number - (1 << i) for i in range(number.bit_length()) if 1 << i <= number]
    return [n for n in dict.fromkeys([*less, *range(min(num_ways, _MAX_MOVED))]) if n != number]


def _by_bytes(split: Split) -> tuple[int, float]:
    return split.arena_bytes, split.work_ratio
