"""The thorough planner: what it finds is a placing, and on small instances the best one there is."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tests.support.placings import assert_apart, buffers_and_distances, least_peak
from tests.support.property_settings import examples
from tflm_quantmcu.placement import memory
from tflm_quantmcu.placement.best import place_best
from tflm_quantmcu.placement.memory import Buffer, Distances


@examples(200)
@given(buffers_and_distances(max_size=5, max_bytes=4))
def test_small_instances_have_the_peak_that_trying_everything_finds(problem: tuple[list[Buffer], Distances]) -> None:
    buffers, distances = problem
    found = place_best(buffers, alignment=1, distances=distances)
    assert found.num_bytes == memory.peak(buffers, found.offsets) == least_peak(buffers, distances)
    assert found.is_optimal
    assert_apart(buffers, found.offsets, distances)


@examples(200)
@given(buffers_and_distances(max_size=5, max_bytes=4), st.integers(1, 20))
def test_a_peak_that_is_enough_is_kept_where_it_can_be(problem: tuple[list[Buffer], Distances], enough: int) -> None:
    buffers, distances = problem
    found = place_best(buffers, alignment=1, distances=distances, enough=enough)
    assert found.num_bytes == memory.peak(buffers, found.offsets)
    assert (found.num_bytes <= enough) == (least_peak(buffers, distances) <= enough)
    assert_apart(buffers, found.offsets, distances)


@examples(100)
@given(buffers_and_distances(max_size=30), st.sampled_from([1, 4, 16]), st.sampled_from([0, 3, 200]))
def test_any_instance_is_placed_no_worse_than_by_the_quick_planner(
    problem: tuple[list[Buffer], Distances], alignment: int, node_limit: int
) -> None:
    buffers, distances = problem
    distances = {pair: memory.align(distance, alignment) for pair, distance in distances.items()}
    found = place_best(buffers, alignment=alignment, distances=distances, node_limit=node_limit)
    assert all(offset % alignment == 0 for offset in found.offsets)
    assert_apart(buffers, found.offsets, distances)
    aligned = [Buffer(memory.align(b.num_bytes, alignment), b.first, b.last) for b in buffers]
    quick = memory.place(buffers, alignment=alignment, distances=distances)
    assert memory.live_bytes(aligned, distances) <= found.lower_bound <= found.num_bytes <= memory.peak(aligned, quick)


def test_finds_the_optimum_where_first_fit_does_not() -> None:
    """40 feature maps of a network with long skips: the quick planner needs a sixth more."""
    rng = random.Random(6)
    lengths = [0, 1, 1, 1, 2, 5, 10]
    buffers = [Buffer(16 * rng.randint(1, 60), i, i + rng.choice(lengths)) for i in range(40)]
    quick = memory.peak(buffers, memory.place(buffers, alignment=16))
    found = place_best(buffers, alignment=16)
    assert found.is_optimal
    assert found.num_bytes < quick
    assert place_best(buffers, alignment=16) == found


def test_places_nothing() -> None:
    found = place_best([], alignment=16)
    assert (found.offsets, found.num_bytes, found.lower_bound) == ((), 0, 0)
