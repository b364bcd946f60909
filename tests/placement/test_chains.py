"""Places of chains: what is found is a placing within the peak that was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.placings import assert_apart, buffers_and_distances
from tests.support.property_settings import examples
from tflm_quantmcu.placement import chains as chain_placement
from tflm_quantmcu.placement import memory
from tflm_quantmcu.placement.chains import Chain
from tflm_quantmcu.placement.memory import Buffer, Distances


@examples(200)
@given(buffers_and_distances(max_size=12), st.integers(0, 100))
def test_what_is_found_is_a_placing_within_the_target(problem: tuple[list[Buffer], Distances], slack: int) -> None:
    buffers, distances = problem
    target = memory.live_bytes(buffers, distances) + slack
    offsets = Chain(buffers, distances).fit(target)
    if offsets is not None:
        assert_apart(buffers, offsets, distances)
        assert memory.peak(buffers, offsets) <= target


def test_maps_of_a_chain_take_turns_at_both_ends() -> None:
    buffers = [Buffer(n, i, i + 1) for i, n in enumerate([5, 3, 4, 1, 8, 2])]
    assert memory.live_bytes(buffers) == 10
    offsets = Chain(buffers, {}).fit(10)
    assert offsets is not None and memory.peak(buffers, offsets) == 10
    assert_apart(buffers, offsets, {})


def test_scratch_lies_beside_what_is_read_and_written_or_in_no_place() -> None:
    maps, scratch = [Buffer(4, 0, 1), Buffer(3, 1, 2)], Buffer(6, 1, 1)
    assert Chain([*maps, scratch], {}).fit(12) is None
    offsets = Chain([*maps, scratch], {}).fit(13)
    assert offsets is not None and memory.peak([*maps, scratch], offsets) == 13
    # The map written may begin a byte before the one read.
    offsets = Chain([*maps, scratch], {(1, 0): 1}).fit(11)
    assert offsets is not None and offsets[0] - offsets[1] == 1
    assert_apart([*maps, scratch], offsets, {(1, 0): 1})


def test_of_very_many_offsets_some_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_placement, "MAX_OFFSETS", 2)
    buffers = [Buffer(2 * i + 1, i, i + 1) for i in range(12)]
    offsets = Chain(buffers, {}).fit(memory.live_bytes(buffers) + 5)
    assert offsets is not None
    assert_apart(buffers, offsets, {})
