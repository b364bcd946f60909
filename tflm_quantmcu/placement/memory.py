"""Bytes of RAM: where buffers go, and what TFLM's own planner makes of a graph.

`greedy_arena` repeats TFLM's GreedyMemoryPlanner (largest first, first gap that fits) step by step, so that the
prediction equals the
recorded non-persistent arena to the byte. Source: TFLM micro_allocation_info.cc and greedy_memory_planner.cc at
the pinned version.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

ARENA_ALIGNMENT = 16
# Metadata with an arena offset a tensor, which TFLM keeps to.
OFFLINE_METADATA = "OfflineMemoryAllocation"


@dataclasses.dataclass(frozen=True)
class Buffer:
    """`num_bytes` that must stay put from step `first` to step `last`, both included."""

    num_bytes: int
    first: int
    last: int


def align(num_bytes: int, alignment: int) -> int:
    return -(-num_bytes // alignment) * alignment


# (lower, upper) -> bytes: two buffers that may share bytes where offset[upper] - offset[lower] is at least so much,
# which is less than the lower one has. All others that are live together share none.
Distances = Mapping[tuple[int, int], int]
Offset = TypeVar("Offset", int, np.ndarray)


def first_fit(
    buffers: Sequence[Buffer],
    order: Sequence[int],
    *,
    pinned: Mapping[int, int] | None = None,
    distances: Distances | None = None,
) -> list[int]:
    """Places buffers one by one at the lowest offset that no placed buffer live at the same time forbids.

    Args:
      buffers: what to place.
      order: their indices.
      pinned: index -> offset of those whose place is given.
      distances: pairs that may share bytes.

    Returns:
      An offset a buffer, in the order of `buffers`.
    """
    offsets = [-1] * len(buffers)
    placed: list[int] = []
    for i in order:
        offsets[i] = pinned[i] if pinned and i in pinned else lowest_gap(buffers, offsets, placed, i, distances or {})
        placed.append(i)
    return offsets


def lowest_gap(
    buffers: Sequence[Buffer], offsets: Sequence[int], placed: Iterable[int], wanted: int, distances: Distances
) -> int:
    """The lowest offset at which a buffer can lie beside others.

    Args:
      buffers: all of them.
      offsets: [buffer] bytes; those that are not placed do not count.
      placed: indices of those that lie already.
      wanted: index of the one to be placed.
      distances: that some pairs must keep.
    """
    offset = 0
    for low, high in sorted(forbidden_offsets(buffers, {j: offsets[j] for j in placed}, wanted, distances)):
        if low >= offset:
            break
        offset = max(offset, high)
    return offset


def forbidden_offsets(
    buffers: Sequence[Buffer], placed: Mapping[int, Offset], wanted: int, distances: Distances
) -> list[tuple[Offset, Offset]]:
    """The open intervals in which buffer `wanted` cannot begin, one for each of those `placed` that it meets in time.

    Args:
      placed: index -> offset, or offsets of many placings at once.
    """
    one = buffers[wanted]
    intervals = []
    for j, offset in placed.items():
        other = buffers[j]
        if other.first <= one.last and one.first <= other.last:
            below, above = distances.get((wanted, j), one.num_bytes), distances.get((j, wanted), other.num_bytes)
            intervals.append((offset - below, offset + above))
    return intervals


def peak(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    return max((o + b.num_bytes for b, o in zip(buffers, offsets, strict=True)), default=0)


def live_bytes(buffers: Sequence[Buffer], distances: Distances | None = None) -> int:
    """The most bytes that are live in one step: no placing has a smaller peak."""
    change: dict[int, int] = {}

    def add(num_bytes: int, first: int, last: int) -> None:
        change[first] = change.get(first, 0) + num_bytes
        change[last + 1] = change.get(last + 1, 0) - num_bytes

    for b in buffers:
        add(b.num_bytes, b.first, b.last)
    for (lower, upper), distance in (distances or {}).items():
        a, b = buffers[lower], buffers[upper]
        first, last = max(a.first, b.first), min(a.last, b.last)
        if first <= last:
            add(-shared_bytes(a, b, distance), first, last)
    return max(itertools.accumulate(change[t] for t in sorted(change)), default=0)


def shared_bytes(lower: Buffer, upper: Buffer, distance: int) -> int:
    """The most bytes that two buffers share at this least distance."""
    return max(0, min(upper.num_bytes, lower.num_bytes - distance))


def place(
    buffers: Sequence[Buffer],
    *,
    alignment: int,
    distances: Distances | None = None,
    pinned: Mapping[int, int] | None = None,
) -> list[int]:
    """Offsets for `buffers` with a small peak: first fit in several orders, the best kept; arguments as of `first_fit`.

    Quick, for searches; `best.place_best` takes its time.
    """
    aligned = [dataclasses.replace(b, num_bytes=align(b.num_bytes, alignment)) for b in buffers]
    least = live_bytes(aligned, distances)
    best: list[int] = []
    for key in _ORDERS:
        order = sorted(range(len(aligned)), key=lambda i, key=key: (*key(aligned[i]), i))  # type: ignore[misc]
        order.sort(key=lambda i: i not in (pinned or {}))
        offsets = first_fit(aligned, order, pinned=pinned, distances=distances)
        if not best or peak(aligned, offsets) < peak(aligned, best):
            best = offsets
        if peak(aligned, best) == least:
            break
    return best


_ORDERS: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.num_bytes,),
    lambda b: (b.first - b.last, -b.num_bytes),
    lambda b: (b.first, -b.num_bytes),
    lambda b: (-b.last, -b.num_bytes),
    lambda b: ((b.first - b.last - 1) * b.num_bytes,),
)


@dataclasses.dataclass(frozen=True)
class Step:
    """One op as the arena sees it: tensor indices and the scratch buffers that it requests, in bytes and order."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    scratch_bytes: tuple[int, ...] = ()


def greedy_arena(
    tensor_bytes: Sequence[int],
    steps: Sequence[Step],
    inputs: Sequence[int],
    outputs: Sequence[int],
    *,
    pinned: Sequence[int] | None = None,
) -> int:
    """The non-persistent arena bytes that TFLM records for a graph.

    Args:
      tensor_bytes: by tensor index; 0 for constants and variables, which the planner does not place.
      steps: the ops in execution order.
      inputs, outputs: of the graph.
      pinned: arena offset by tensor index, -1 where the planner chooses (OfflineMemoryAllocation).
    """
    tensors, buffers = graph_buffers(tensor_bytes, steps, inputs, outputs)
    return peak(buffers, greedy_offsets(tensors, buffers, pinned))


def graph_buffers(
    tensor_bytes: Sequence[int], steps: Sequence[Step], inputs: Sequence[int], outputs: Sequence[int]
) -> tuple[list[int], list[Buffer]]:
    """What TFLM's planner is given for a graph: (the tensors that get bytes, their buffers and then all scratch).

    Step 0 is before the first op, which runs in step 1. Arguments are as of `greedy_arena`.
    """
    first = [-1] * len(tensor_bytes)
    last = [-1] * len(tensor_bytes)

    def write(tensor: int, time: int) -> None:
        first[tensor] = time if first[tensor] < 0 else first[tensor]
        last[tensor] = time

    for t in inputs:
        write(t, 0)
    for time, step in enumerate(steps, start=1):
        for t in step.outputs:
            write(t, time)
        for t in step.inputs:
            if t >= 0:
                last[t] = time
    for t in outputs:
        write(t, len(steps))
    placed = [t for t, n in enumerate(tensor_bytes) if n]
    buffers = [Buffer(align(tensor_bytes[t], ARENA_ALIGNMENT), first[t], last[t]) for t in placed]
    buffers += [
        Buffer(align(n, ARENA_ALIGNMENT), time, time)
        for time, step in enumerate(steps, start=1)
        for n in step.scratch_bytes
    ]
    return placed, buffers


def greedy_offsets(tensors: Sequence[int], buffers: Sequence[Buffer], pinned: Sequence[int] | None = None) -> list[int]:
    """Where TFLM's planner puts the `buffers` of `graph_buffers`; `pinned` as in `greedy_arena`."""
    pins = {i: pinned[t] for i, t in enumerate(tensors) if pinned[t] != -1} if pinned else {}
    # TFLM fills its list from the end and sorts stably by size: of equal sizes the later buffer goes first.
    free = sorted(set(range(len(buffers))) - set(pins), key=lambda i: (-buffers[i].num_bytes, -i))
    return first_fit(buffers, [*pins, *free], pinned=pins)
