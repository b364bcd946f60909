"""Placing buffers: nothing overlaps in space and time, and nothing is below what must be live at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tflm_quantmcu import memory
from tflm_quantmcu.memory import Buffer, Step

BUFFERS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 8), st.integers(0, 4)).map(lambda b: Buffer(b[0], b[1], b[1] + b[2])),
    min_size=1,
    max_size=12,
)


@given(BUFFERS, st.sampled_from([1, 4, 16]))
def test_place_never_overlaps_and_stays_above_the_live_bytes(buffers: list[Buffer], alignment: int) -> None:
    offsets = memory.place(buffers, alignment=alignment)
    for i, a in enumerate(buffers):
        assert offsets[i] % alignment == 0
        for j, b in enumerate(buffers[:i]):
            together = a.first <= b.last and b.first <= a.last
            apart = offsets[i] + a.num_bytes <= offsets[j] or offsets[j] + b.num_bytes <= offsets[i]
            assert apart or not together
    live = max(sum(b.num_bytes for b in buffers if b.first <= t <= b.last) for t in range(13))
    assert memory.peak(buffers, offsets) >= live


def test_greedy_arena_of_a_chain_is_its_largest_neighbours() -> None:
    """Input 100, map 200, output 50 bytes, each aligned to 16; the second op takes 10 bytes of scratch."""
    steps = [Step((0,), (1,)), Step((1,), (2,), (10,))]
    assert memory.greedy_arena([100, 200, 50], steps, [0], [2]) == 208 + 112


def test_greedy_arena_ignores_constants_and_counts_dangling_tensors() -> None:
    steps = [Step((0, 2), (1,))]
    assert memory.greedy_arena([16, 16, 0], steps, [0], [1]) == 32
    assert memory.greedy_arena([16, 16, 0, 640], steps, [0], [1]) == 640
