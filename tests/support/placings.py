"""Buffers to place, and what makes a placing right: written out, so that it owes nothing to the planner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from tflm_quantmcu.placement.memory import Buffer, Distances


@st.composite
def buffers_and_distances(
    draw: st.DrawFn, *, max_size: int, max_bytes: int = 50, max_pairs: int = 3
) -> tuple[list[Buffer], Distances]:
    """Buffers over up to 13 steps, and pairs of them that may share bytes."""
    sizes, first, length = st.integers(0, max_bytes), st.integers(0, 8), st.integers(0, 4)
    drawn = draw(st.lists(st.tuples(sizes, first, length), min_size=1, max_size=max_size))
    buffers = [Buffer(n, start, start + steps) for n, start, steps in drawn]
    index = st.integers(0, len(buffers) - 1)
    distances: dict[tuple[int, int], int] = {}
    for lower, upper, distance in draw(
        st.lists(st.tuples(index, index, st.integers(0, max_bytes)), max_size=max_pairs)
    ):
        is_new = lower != upper and (upper, lower) not in distances
        if is_new and distance < buffers[lower].num_bytes:
            distances[lower, upper] = distance
    return buffers, distances


def conflicts(buffers: Sequence[Buffer], offsets: Sequence[int], distances: Distances) -> Iterator[tuple[int, int]]:
    """Pairs of the first len(offsets) buffers that are live together and share bytes without leave."""
    for i, start in enumerate(offsets):
        for j, other in enumerate(offsets[:i]):
            a, b = buffers[i], buffers[j]
            together = a.first <= b.last and b.first <= a.last and a.num_bytes and b.num_bytes
            apart = start + a.num_bytes <= other or other + b.num_bytes <= start
            far = [distances.get((j, i), 1 << 30) <= start - other, distances.get((i, j), 1 << 30) <= other - start]
            if together and not apart and not any(far):
                yield i, j


def assert_apart(buffers: Sequence[Buffer], offsets: Sequence[int], distances: Distances) -> None:
    assert not list(conflicts(buffers, offsets, distances)), f"{buffers} at {offsets} with {distances}"


def least_peak(buffers: Sequence[Buffer], distances: Distances) -> int:
    """The least peak, by trying every offset of every buffer."""
    best = sum(b.num_bytes for b in buffers)
    offsets: list[int] = []

    def extend(peak: int) -> None:
        nonlocal best
        if len(offsets) == len(buffers):
            best = peak
            return
        num_bytes = buffers[len(offsets)].num_bytes
        offset = 0
        while max(peak, offset + num_bytes) < best:
            offsets.append(offset)
            if not any(len(offsets) - 1 in pair for pair in conflicts(buffers, offsets, distances)):
                extend(max(peak, offset + num_bytes))
            offsets.pop()
            offset += 1

    extend(0)
    return best
