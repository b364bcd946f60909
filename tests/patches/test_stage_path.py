"""Paths of least work within bounds, whose bytes turn out to be more."""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.patches.stage_path import Edge, PathSearch


def search_of(*ways: tuple[int, int]) -> PathSearch[str]:
    """One edge of ways (bytes, work)."""
    num_bytes, work = np.array(ways, np.int64).T
    return PathSearch([Edge.of(0, 1, num_bytes, work, [f"{n} for {m}" for n, m in ways])])


def used(search: PathSearch[str]) -> list[tuple[str, int]]:
    """(way as it was given, bytes as they are known) of the edge within each bound."""
    paths = [search.path(bound)[0] for bound in search.bounds.tolist()]
    return [(edge.ways[way], int(edge.num_bytes[way])) for edge, way in paths]


def renewed(search: PathSearch[str], bound: int, num_bytes: int) -> PathSearch[str]:
    """The search where what the path within a bound takes is known."""
    return search.with_bytes({search.path(int(search.bounds[bound]))[0]: num_bytes})


def test_what_another_way_beats_is_not_in_use() -> None:
    assert used(search_of((10, 3), (12, 4), (14, 1), (14, 2))) == [("10 for 3", 10), ("14 for 1", 14)]


def test_a_way_is_in_use_again_when_what_beat_it_takes_more_as_well() -> None:
    search = renewed(search_of((10, 3), (12, 2), (14, 1)), 1, 16)
    assert used(search) == [("10 for 3", 10), ("14 for 1", 14)]  # 12 takes 16, and 14 does less work
    search = renewed(search, 1, 30)
    assert used(search) == [("10 for 3", 10), ("12 for 2", 16), ("14 for 1", 30)]


def test_a_way_that_was_beaten_from_the_beginning_is_in_use_when_what_beat_it_takes_more() -> None:
    search = renewed(search_of((10, 3), (12, 4), (14, 5), (16, 1)), 0, 15)
    assert used(search) == [("12 for 4", 12), ("10 for 3", 15), ("16 for 1", 16)]


def test_more_work_of_some_edges_chooses_others() -> None:
    num_bytes = np.array([60])
    halves = [Edge.of(i, i + 1, num_bytes, np.array([4]), ["half"]) for i in range(2)]
    whole = Edge.of(0, 2, num_bytes, np.array([10]), ["whole"])
    assert len(PathSearch([whole, *halves]).path(60)) == 2
    assert len(PathSearch([whole, *(half.with_work(2) for half in halves)]).path(60)) == 1
