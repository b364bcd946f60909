"""The cheapest way through a network for every bound on its arena, over paths of single ops and patch stages.

Nodes are the places between ops; an edge runs the ops between two nodes, by themselves or as one stage, in one of
several ways. What a path takes is the largest of its edges' bytes, and its work their sum.

Source: the graph of fusion blocks of msf-CNN (arXiv 2505.11483); differs: bytes hold all that is live, tiles of any
size, and ways may turn out to take more.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np

Way = TypeVar("Way")
_UNREACHED = 1 << 61


@dataclasses.dataclass(frozen=True, eq=False)
class _Ways(Generic[Way]):
    """What an edge may come to use: int64 [ways] bytes as far as they are known, int64 [ways] work, and the ways."""

    num_bytes: np.ndarray
    work: np.ndarray
    ways: Sequence[Way]


@dataclasses.dataclass(frozen=True, eq=False)
class Edge(Generic[Way]):
    """The ops [first, end), run in one of several ways.

    Attributes:
      num_bytes: int64, rising.
      work: int64, falling: of ways that take more bytes only those that do less work are in use.
      ways: what was given for each.
      given: all ways, also those that are not in use as far as bytes are known.
      kept: int64, which of these are.
    """

    first: int
    end: int
    num_bytes: np.ndarray
    work: np.ndarray
    ways: Sequence[Way]
    given: _Ways[Way]
    kept: np.ndarray

    @staticmethod
    def of(first: int, end: int, num_bytes: np.ndarray, work: np.ndarray, ways: Sequence[Way]) -> Edge[Way]:
        """An edge of the ways that no other one beats in bytes and in work.

        Args:
          first, end: nodes.
          num_bytes: int64 [ways].
          work: int64 [ways], in the caller's unit.
          ways: what each stands for.
        """
        return Edge._used(first, end, _Ways(num_bytes, work, ways))

    @staticmethod
    def _used(first: int, end: int, given: _Ways[Way]) -> Edge[Way]:
        kept = _unbeaten(given.num_bytes, given.work)
        ways = [given.ways[i] for i in kept.tolist()]
        return Edge(first, end, given.num_bytes[kept], given.work[kept], ways, given, kept)

    @functools.cached_property
    def _steps(self) -> tuple[list[int], list[int]]:
        """(bytes, work) of the ways: a search looks one up faster than in arrays."""
        return self.num_bytes.tolist(), self.work.tolist()

    def way_within(self, num_bytes: int) -> int:
        """Index of the way of least work within the bytes; -1 where there is none."""
        return bisect.bisect_right(self._steps[0], num_bytes) - 1

    def least_work(self, num_bytes: int) -> int:
        """Work of that way; more than any where there is none."""
        way = bisect.bisect_right(self._steps[0], num_bytes) - 1
        return self._steps[1][way] if way >= 0 else _UNREACHED

    def with_work(self, more: int) -> Edge[Way]:
        """The edge where each way does so much more work."""
        return Edge._used(self.first, self.end, dataclasses.replace(self.given, work=self.given.work + more))

    def with_bytes(self, num_bytes: Mapping[int, int]) -> Edge[Way]:
        """The edge where some ways in use, by their index, turned out to take more bytes: what these beat so far may be
        in use again.
        """
        known = self.given.num_bytes.copy()
        known[self.kept[list(num_bytes)]] = list(num_bytes.values())
        return Edge._used(self.first, self.end, dataclasses.replace(self.given, num_bytes=known))


def _unbeaten(num_bytes: np.ndarray, work: np.ndarray) -> np.ndarray:
    """Indices of what no other one beats, bytes rising and work falling."""
    order = np.lexsort((work, num_bytes))
    least = np.minimum.accumulate(work[order])
    return order[np.concatenate([[True], least[1:] < least[:-1]])]


class PathSearch(Generic[Way]):
    """Paths from node 0 to the last node. Bounds are in bytes; what was found within one is kept."""

    def __init__(self, edges: Sequence[Edge[Way]]):
        self._edges = sorted(edges, key=lambda edge: (edge.end, edge.first))
        self._num_nodes = self._edges[-1].end + 1
        self._found: dict[int, list[int]] = {}

    @functools.cached_property
    def bounds(self) -> np.ndarray:
        """Bytes of all ways, int64 [bounds], rising: what a bound can be without changing what it allows."""
        return np.unique(np.concatenate([edge.num_bytes for edge in self._edges]))

    def _least_work(self, num_bytes: int) -> list[int]:
        """[nodes] from node 0 to each node with no way above the bound."""
        if num_bytes not in self._found:
            least = [0] + [_UNREACHED] * (self._num_nodes - 1)
            for edge in self._edges:
                work = least[edge.first] + edge.least_work(num_bytes)
                if work < least[edge.end]:
                    least[edge.end] = work
            self._found[num_bytes] = least
        return self._found[num_bytes]

    def work(self, num_bytes: int) -> int:
        """Work of the cheapest path within the bytes; `unreached` where there is none."""
        return self._least_work(num_bytes)[-1]

    def least_bytes(self, work_limit: int) -> int | None:
        """The fewest bytes within which a path does less work; None where none does at all."""
        place = bisect.bisect_left(self.bounds, True, key=lambda bound: self.work(int(bound)) < work_limit)
        return int(self.bounds[place]) if place < self.bounds.size else None

    @property
    def unreached(self) -> int:
        """More than any work."""
        return _UNREACHED

    def with_bytes(self, num_bytes: Mapping[tuple[Edge[Way], int], int]) -> PathSearch[Way]:
        """The same edges, where some ways, given as (edge, index), turned out to take more bytes."""
        changed: dict[Edge[Way], dict[int, int]] = {}
        for (edge, way), n in num_bytes.items():
            changed.setdefault(edge, {})[way] = n
        return PathSearch([e.with_bytes(changed[e]) if e in changed else e for e in self._edges])

    def is_reached(self, num_bytes: int) -> bool:
        return self.work(num_bytes) < _UNREACHED

    def path(self, num_bytes: int) -> list[tuple[Edge[Way], int]]:
        """The cheapest path within the bytes: (edge, index of its way) in order."""
        steps = []
        least, node = self._least_work(num_bytes), self._num_nodes - 1
        while node > 0:
            for edge in self._into[node]:
                if least[edge.first] + edge.least_work(num_bytes) == least[node]:
                    break
            steps.append((edge, edge.way_within(num_bytes)))
            node = edge.first
        return steps[::-1]

    @functools.cached_property
    def _into(self) -> dict[int, list[Edge[Way]]]:
        into: dict[int, list[Edge[Way]]] = {}
        for edge in self._edges:
            into.setdefault(edge.end, []).append(edge)
        return into
