"""Bytes of RAM: where buffers go, and what TFLM's own planner makes of a graph.

`greedy_arena` repeats TFLM's GreedyMemoryPlanner (largest first, first gap that fits) step by step, so that the
prediction equals the
recorded non-persistent arena to the byte. Source: TFLM micro_allocation_info.cc and greedy_memory_planner.cc at
the pinned version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

ARENA_ALIGNMENT = 16


@dataclasses.dataclass(frozen=True)
class Buffer:
    """`num_bytes` that must stay put from step `first` to step `last`, both included."""

    num_bytes: int
    first: int
    last: int


def align(num_bytes: int, alignment: int) -> int:
    return -(-num_bytes // alignment) * alignment


def first_fit(buffers: Sequence[Buffer], order: Sequence[int], pinned: Mapping[int, int] | None = None) -> list[int]:
    """Places buffers one by one at the lowest offset that no placed buffer live at the same time covers.

    Args:
      buffers: what to place.
      order: their indices.
      pinned: index -> offset of those whose place is given.

    Returns:
      An offset a buffer, in the order of `buffers`.
    """
    offsets = [-1] * len(buffers)
    placed: list[int] = []
    for i in order:
        offset = pinned[i] if pinned and i in pinned else _lowest_gap(buffers, offsets, placed, buffers[i])
        offsets[i] = offset
        # Equal offsets keep the order of placing, as in TFLM's list.
        at = next((k for k, j in enumerate(placed) if offsets[j] > offset), len(placed))
        placed.insert(at, i)
    return offsets


def _lowest_gap(buffers: Sequence[Buffer], offsets: Sequence[int], placed: Sequence[int], wanted: Buffer) -> int:
    offset = 0
    for j in placed:
        other = buffers[j]
        if other.first > wanted.last or wanted.first > other.last:
            continue
        if offsets[j] - offset >= wanted.num_bytes:
            break
        offset = max(offset, offsets[j] + other.num_bytes)
    return offset


def peak(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    return max((o + b.num_bytes for b, o in zip(buffers, offsets, strict=True)), default=0)


def place(buffers: Sequence[Buffer], *, alignment: int) -> list[int]:
    """Offsets for `buffers` with a small peak: first fit in several orders, the best kept."""
    aligned = [dataclasses.replace(b, num_bytes=align(b.num_bytes, alignment)) for b in buffers]
    keys: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-aligned[i].num_bytes, i),
        lambda i: (-(aligned[i].last - aligned[i].first), -aligned[i].num_bytes, i),
        lambda i: (aligned[i].first, -aligned[i].num_bytes, i),
        lambda i: (-aligned[i].last, -aligned[i].num_bytes, i),
    )
    plans = [first_fit(aligned, sorted(range(len(aligned)), key=key)) for key in keys]
    return min(plans, key=lambda offsets: peak(aligned, offsets))


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
    return peak(*_greedy_plan(tensor_bytes, steps, inputs, outputs, pinned))


def _greedy_plan(
    tensor_bytes: Sequence[int],
    steps: Sequence[Step],
    inputs: Sequence[int],
    outputs: Sequence[int],
    pinned: Sequence[int] | None,
) -> tuple[list[Buffer], list[int]]:
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
    pins = {i: pinned[t] for i, t in enumerate(placed) if pinned[t] != -1} if pinned else {}
    # TFLM fills its list from the end and sorts stably by size: of equal sizes the later buffer goes first.
    free = sorted(set(range(len(buffers))) - set(pins), key=lambda i: (-buffers[i].num_bytes, -i))
    return buffers, first_fit(buffers, [*pins, *free], pins)
