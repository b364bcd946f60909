"""The best place for buffers: several orders of first fit, then an exact search between what they reach and what must
be live at once.

In: buffers, and pairs that may share bytes. Out: Placement, with a proof where the search ended. The same for the same
input: what bounds the search is a number of nodes, not a time.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

from tflm_quantmcu.placement import memory
from tflm_quantmcu.placement.chains import Chain
from tflm_quantmcu.placement.memory import Buffer, Distances

NODE_LIMIT = 4_000


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where buffers go.

    Attributes:
      offsets: multiples of the alignment, in the order of the buffers.
      num_bytes: the peak.
      lower_bound: no placing has a smaller peak.
    """

    offsets: tuple[int, ...]
    num_bytes: int
    lower_bound: int

    @property
    def is_optimal(self) -> bool:
        return self.num_bytes == self.lower_bound


def place_best(
    buffers: Sequence[Buffer],
    *,
    alignment: int,
    distances: Distances | None = None,
    node_limit: int = NODE_LIMIT,
    enough: int = 0,
) -> Placement:
    """The smallest peak that can be found.

    Args:
      buffers: what to place.
      alignment: of the offsets; sizes are rounded up to it.
      distances: pairs that may share bytes; multiples of `alignment`.
      node_limit: of the exact search for one peak; it tries several.
      enough: a peak with which the search ends, as it does where that is proven impossible; 0: the smallest.
    """
    return _placed(tuple(buffers), tuple((distances or {}).items()), alignment, node_limit, enough)


@functools.lru_cache(maxsize=1024)  # the planner comes back to the same splits
def _placed(
    buffers: tuple[Buffer, ...],
    distances: tuple[tuple[tuple[int, int], int], ...],
    alignment: int,
    node_limit: int,
    enough: int,
) -> Placement:
    pairs = dict(distances)
    aligned = [dataclasses.replace(b, num_bytes=memory.align(b.num_bytes, alignment)) for b in buffers]
    as_tflm = sorted(range(len(aligned)), key=lambda i: (-aligned[i].num_bytes, -i))
    candidates = [
        memory.place(aligned, alignment=alignment, distances=pairs),
        memory.first_fit(aligned, as_tflm, distances=pairs),
    ]
    best = min(candidates, key=lambda offsets: memory.peak(aligned, offsets))
    search = _Search(aligned, pairs, alignment, node_limit)
    chain = Chain(aligned, pairs)
    # Peaks below `proven` are impossible; those below `tried` were given up.
    proven = tried = memory.live_bytes(aligned, pairs)
    target = proven
    while max(tried, enough) < memory.peak(aligned, best) and not 0 < enough < proven:
        found = chain.fit(target) or search.fit(target)
        if found is not None:
            best = found
        else:
            tried = target + alignment
            proven = proven if search.gave_up else tried
        middle = (tried + memory.peak(aligned, best) - alignment) // 2
        target = max(tried, middle // alignment * alignment)
    return Placement(tuple(best), memory.peak(aligned, best), proven)


class _OutOfNodes(Exception):
    """The search has looked at as many partial placings as it may."""


class _Search:
    """Looks for a placing within a given peak.

    Buffers are placed one after the other at rising offsets, each directly upon what lies below it: some placing of
    the smallest peak is of that kind. Buffers that fit whatever the others do are left for the end.

    Attributes:
      gave_up: the last `fit` found nothing, which proves nothing.
    """

    def __init__(self, buffers: Sequence[Buffer], distances: Mapping[tuple[int, int], int], alignment: int, nodes: int):
        self._buffers = buffers
        self._distances = distances
        self._alignment = alignment
        self._node_limit = self._nodes_left = nodes
        self._beside = [[j for j in range(len(buffers)) if j != i and self._meet(i, j)] for i in range(len(buffers))]
        self.gave_up = False

    def _meet(self, i: int, j: int) -> bool:
        a, b = self._buffers[i], self._buffers[j]
        return a.first <= b.last and b.first <= a.last

    def fit(self, target: int) -> list[int] | None:
        """Offsets with a peak of at most `target`, or None."""
        self.gave_up = False
        self._nodes_left = self._node_limit
        offsets = [-1] * len(self._buffers)
        hard, easy = self._split(target)
        try:
            for component in self._components(hard):
                placed = _Component(self, component, target).place()
                if placed is None:
                    return None
                for i, offset in zip(component, placed, strict=True):
                    offsets[i] = offset
        except _OutOfNodes:
            self.gave_up = True
            return None
        done = list(hard)
        for i in reversed(easy):
            offsets[i] = memory.lowest_gap(self._buffers, offsets, done, i, self._distances)
            done.append(i)
        return offsets

    def count_node(self) -> None:
        if self._nodes_left == 0:
            raise _OutOfNodes
        self._nodes_left -= 1

    def _split(self, target: int) -> tuple[list[int], list[int]]:
        """(hard, easy): each easy one fits after all hard ones and the easy ones behind it, whatever their places.

        k neighbours leave at most k + 1 gaps, all of which are too small only if together they are.
        """
        hard, easy = set(range(len(self._buffers))), []
        changed = True
        while changed:
            changed = False
            for i in sorted(hard):
                beside = [j for j in self._beside[i] if j in hard]
                free = target - sum(self._buffers[j].num_bytes for j in beside)
                needed = self._buffers[i].num_bytes
                if needed == 0 or (free >= needed and free > (len(beside) + 1) * (needed - self._alignment)):
                    hard.remove(i)
                    easy.append(i)
                    changed = True
        return sorted(hard), easy

    def _components(self, indices: Sequence[int]) -> Iterator[list[int]]:
        """Groups that never meet in time."""
        group: list[int] = []
        end = -1
        for i in sorted(indices, key=lambda i: (self._buffers[i].first, i)):
            if group and self._buffers[i].first > end:
                yield group
                group = []
            group.append(i)
            end = max(end, self._buffers[i].last)
        if group:
            yield group

    def problem(self, indices: Sequence[int]) -> tuple[list[Buffer], dict[tuple[int, int], int]]:
        """The buffers and pairs of a group, renumbered."""
        number = {i: n for n, i in enumerate(indices)}
        pairs = {
            (number[a], number[b]): distance
            for (a, b), distance in self._distances.items()
            if a in number and b in number and self._meet(a, b)
        }
        return [self._buffers[i] for i in indices], pairs


class _Component:
    """The exact search on one group of buffers. What a node asks of all buffers stands in lists: it is asked thousands
    of times."""

    def __init__(self, search: _Search, indices: Sequence[int], target: int):
        self._count_node = search.count_node
        buffers, self._distances = search.problem(indices)
        self._target = target
        times = sorted({b.first for b in buffers})
        self._live = [[i for i, b in enumerate(buffers) if b.first <= t <= b.last] for t in times]
        self._steps = [[t for t, live in enumerate(self._live) if i in live] for i in range(len(buffers))]
        self._sizes = [b.num_bytes for b in buffers]
        self._areas = [b.num_bytes * len(steps) for b, steps in zip(buffers, self._steps, strict=True)]
        # Of each buffer the lower ones that it may share bytes with, and how many.
        self._sharing: list[list[tuple[int, int]]] = [[] for _ in buffers]
        for (a, b), distance in self._distances.items():
            self._sharing[b].append((a, memory.shared_bytes(buffers[a], buffers[b], distance)))
        self._paired = {i for pair in self._distances for i in pair}
        # Of each buffer those of lower index that are like it in all.
        single = [i for i in range(len(buffers)) if i not in self._paired]
        self._twins = [[j for j in single if j < i and buffers[j] == buffers[i]] for i in range(len(buffers))]
        self._offsets = [-1] * len(buffers)

    def place(self) -> list[int] | None:
        floors = [0] * len(self._sizes)
        tops = [0] * len(self._live)
        return self._offsets if self._extend(floors, tops, 0, -1) else None

    def _extend(self, floors: list[int], tops: list[int], level: int, last: int) -> bool:
        """Places the rest.

        Args:
          floors: the lowest offset of each buffer upon those placed.
          tops: the highest end of a placed buffer at each step.
          level: offset of the buffer placed last, below which nothing more goes.
          last: that buffer, -1 at the start.
        """
        self._count_node()
        rest = [i for i, offset in enumerate(self._offsets) if offset < 0]
        if not rest:
            return True
        lowest = [-1] * len(floors)  # of each that is not placed yet
        for i in rest:
            lowest[i] = floors[i] if floors[i] > level else level
        if not self._can_fit(lowest, tops):
            return False
        # What begins at or above another one's end could have let that one go first.
        roof = min([lowest[i] + self._sizes[i] for i in rest])
        for i in sorted([i for i in rest if lowest[i] < roof], key=lambda i: (lowest[i], -self._areas[i], i)):
            if self._is_mirrored(i, last, lowest[i]):
                continue
            offset = lowest[i]
            end = offset + self._sizes[i]
            raised, higher = list(floors), list(tops)
            for t in self._steps[i]:
                higher[t] = max(higher[t], end)
                for j in self._live[t]:
                    upon = offset + self._distances[i, j] if (i, j) in self._distances else end
                    if upon > raised[j]:
                        raised[j] = upon
            self._offsets[i] = offset
            if self._extend(raised, higher, offset, i):
                return True
            self._offsets[i] = -1
        return False

    def _is_mirrored(self, i: int, last: int, lowest: int) -> bool:
        """Whether the same placing is found by another order: of equal offsets the lower index first, as of equals."""
        if last > i and lowest == self._offsets[last] and (last, i) not in self._distances:
            return True
        return i not in self._paired and any(self._offsets[j] < 0 for j in self._twins[i])

    def _can_fit(self, lowest: Sequence[int], tops: Sequence[int]) -> bool:
        """Whether at each step what is still to come can lie above what is there."""
        for live, top in zip(self._live, tops, strict=True):
            coming = [i for i in live if lowest[i] >= 0]
            if not coming:
                continue
            base = min([lowest[i] for i in coming])
            base = base if base > top else top
            needed = base
            for i in coming:
                # Of a buffer that may share bytes with one that is placed, part may lie below `base`.
                above = self._sizes[i]
                if lowest[i] < base:
                    above -= base - lowest[i]
                for a, num_bytes in self._sharing[i]:
                    if lowest[a] >= 0:
                        above -= num_bytes
                if above > 0:
                    needed += above
            if needed > self._target:
                return False
        return True
