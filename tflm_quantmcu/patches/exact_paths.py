"""Paths through a network whose stages take what they were thought to take, found by making each path's stages.

In: edges whose ways are the ops one by one, or stages of `stage_costs.py` with bytes that are lower bounds. Out: paths
of exact bytes; what was found out about a way stays known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tflm_quantmcu.patches.planned_stage import PlannedStage, StageWays
from tflm_quantmcu.patches.stage_costs import UpstreamCosts
from tflm_quantmcu.patches.stage_path import Edge, PathSearch

Way = tuple[UpstreamCosts, StageWays, int]
StageEdge = Edge["Way | None"]  # None: one op by itself
Path = list[tuple[StageEdge, int]]


@dataclasses.dataclass(frozen=True)
class MadeStages:
    """The stages that were made, each once.

    Attributes:
      regions: (first, end) of ops -> all ways to run them.
    """

    regions: dict[tuple[int, int], tuple[UpstreamCosts, StageWays]] = dataclasses.field(default_factory=dict)
    _stages: dict[tuple[int, int, int], PlannedStage] = dataclasses.field(default_factory=dict)

    def of_way(self, way: Way) -> PlannedStage:
        upstream, ways, index = way
        self.regions[ways.first, ways.end] = upstream, ways
        key = (ways.first, ways.end, index)
        if key not in self._stages:
            self._stages[key] = upstream.stage(ways, index)
        return self._stages[key]

    def of_path(self, path: Path) -> list[PlannedStage]:
        return [self.of_way(way) for edge, number in path if (way := edge.ways[number]) is not None]


class ExactPaths:
    """The cheapest path within each bound.

    Attributes:
      stage_work: what each stage counts more than its ways say.
    """

    def __init__(self, edges: Sequence[StageEdge], made: MadeStages, stage_work: int = 0):
        self.stage_work = stage_work
        self._made = made
        self._search = PathSearch([edge.with_work(stage_work * (edge.ways[0] is not None)) for edge in edges])

    @property
    def bounds(self) -> np.ndarray:
        """Bytes of all ways, int64 [bounds], rising."""
        return self._search.bounds

    def work(self, num_bytes: int) -> int:
        """Work of the cheapest path within the bytes; `unreached` where there is none."""
        return self._search.work(num_bytes)

    def least_bytes(self, work_limit: int) -> int | None:
        """The fewest bytes within which a path does less work; None where none does at all."""
        return self._search.least_bytes(work_limit)

    @property
    def unreached(self) -> int:
        return self._search.unreached

    def is_reached(self, num_bytes: int) -> bool:
        """Whether a path keeps within the bytes, as far as is known."""
        return self._search.is_reached(num_bytes)

    def path(self, num_bytes: int) -> Path | None:
        """The cheapest one within the bytes; None where a way of it takes more than was thought, which is now known."""
        path = self._search.path(num_bytes)
        live = {
            (edge, number): self._made.of_way(way).live_bytes
            for edge, number in path
            if (way := edge.ways[number]) is not None
        }
        dearer = {key: n for key, n in live.items() if n > key[0].num_bytes[key[1]]}
        if dearer:
            self._search = self._search.with_bytes(dearer)
        return None if dearer else path

    def within(self, num_bytes: int, work_limit: int) -> Iterator[tuple[Path, int]]:
        """(path, its work) below a limit of the work: the cheapest within the bytes, then within less than that takes,
        and so on."""
        while self.is_reached(num_bytes) and self.work(num_bytes) < work_limit:
            path = self.path(num_bytes)
            if path is not None:
                yield path, self.work(num_bytes)
                num_bytes = most_bytes(path) - 1


def most_bytes(path: Path) -> int:
    """What a path takes: the largest of its edges' bytes."""
    return max(int(edge.num_bytes[number]) for edge, number in path)
