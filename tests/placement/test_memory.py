"""Placing buffers: nothing overlaps in space and time, and nothing is below what must be live at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.placings import assert_apart, buffers_and_distances
from tflm_quantmcu.placement import memory
from tflm_quantmcu.placement.memory import Buffer, Distances, Step


@given(buffers_and_distances(max_size=12), st.sampled_from([1, 4, 16]))
def test_place_never_overlaps_and_stays_above_the_live_bytes(
    problem: tuple[list[Buffer], Distances], alignment: int
) -> None:
    buffers, distances = problem
    distances = {pair: memory.align(distance, alignment) for pair, distance in distances.items()}
    offsets = memory.place(buffers, alignment=alignment, distances=distances)
    assert all(offset % alignment == 0 for offset in offsets)
    assert_apart(buffers, offsets, distances)
    assert memory.peak(buffers, offsets) >= memory.live_bytes(buffers, distances)


@given(buffers_and_distances(max_size=12))
def test_live_bytes_are_those_of_the_fullest_step(problem: tuple[list[Buffer], Distances]) -> None:
    buffers, _ = problem
    live = max(sum(b.num_bytes for b in buffers if b.first <= t <= b.last) for t in range(20))
    assert memory.live_bytes(buffers) == live


def test_a_pair_shares_bytes_from_its_distance_on() -> None:
    """An output of 40 bytes below an input of 100 that begins at least 10 behind it."""
    buffers = [Buffer(100, 0, 1), Buffer(40, 1, 2)]
    distances = {(1, 0): 10}
    assert memory.live_bytes(buffers) == 140
    assert memory.live_bytes(buffers, distances) == 110
    assert memory.first_fit(buffers, [1, 0], distances=distances) == [10, 0]
    assert memory.first_fit(buffers, [1, 0], distances={(0, 1): 10}) == [40, 0]
    assert memory.first_fit(buffers, [0, 1], distances=distances, pinned={0: 10}) == [10, 0]
    assert memory.first_fit(buffers, [0, 1], distances=distances, pinned={0: 9}) == [9, 109]


def test_greedy_arena_of_a_chain_is_its_largest_neighbours() -> None:
    """Input 100, map 200, output 50 bytes, each aligned to 16; the second op takes 10 bytes of scratch."""
    steps = [Step((0,), (1,)), Step((1,), (2,), (10,))]
    assert memory.greedy_arena([100, 200, 50], steps, [0], [2]) == 208 + 112


def test_greedy_arena_ignores_constants_and_counts_dangling_tensors() -> None:
    steps = [Step((0, 2), (1,))]
    assert memory.greedy_arena([16, 16, 0], steps, [0], [1]) == 32
    assert memory.greedy_arena([16, 16, 0, 640], steps, [0], [1]) == 640


def test_greedy_arena_puts_scratch_around_what_is_pinned() -> None:
    steps = [Step((0,), (1,), (48,))]
    assert memory.greedy_arena([16, 16], steps, [0], [1]) == 80
    assert memory.greedy_arena([16, 16], steps, [0], [1], pinned=[0, 64]) == 80
    assert memory.greedy_arena([16, 16], steps, [0], [1], pinned=[0, 32]) == 96
