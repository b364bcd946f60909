"""Places for the buffers of a chain: of what lives from one step to the next there is, here and there, only one buffer.

Between two such places the rest is a block of its own, which meets nothing but the buffers at its two ends. So it is
where patch stages follow one another: a block is a stage's scratch, or a residual block that is not split.

In: buffers and pairs that may share bytes. Out: offsets within a given peak.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tflm_quantmcu.placement import memory
from tflm_quantmcu.placement.memory import Buffer, Distances

MAX_OFFSETS = 500  # of the buffer at a block's end, that are followed
_NOWHERE = 1 << 62


@dataclasses.dataclass(frozen=True)
class Block:
    """Consecutive steps.

    Attributes:
      entry, exit: the one buffer that lives from the steps before, and to those behind; None at the ends of the chain.
        The same buffer where it only passes by.
      inner: all others that live in these steps, larger ones first.
      most: bytes of inner ones live at once.
    """

    entry: int | None
    exit: int | None
    inner: tuple[int, ...]
    most: int


class Chain:
    """Buffers as blocks, one after the other."""

    def __init__(self, buffers: Sequence[Buffer], distances: Distances):
        self._buffers = buffers
        self._distances = distances
        self._blocks = list(_blocks(buffers))

    def fit(self, target: int) -> list[int] | None:
        """Offsets with a peak of at most `target`, or None where none was found, which proves nothing."""
        ways = []  # [block] offsets of its entry and its exit
        exits = np.zeros(1, np.int64)
        for block in self._blocks:
            entries, exits = self._exits(block, exits, target)
            if not exits.size:
                return None
            ways.append((entries, exits))
        offsets = [-1] * len(self._buffers)
        at = exits[:1]
        for block, (entries, exits) in zip(reversed(self._blocks), reversed(ways), strict=True):
            (way,) = np.flatnonzero(exits == at)[:, None]
            for i, (offset,) in self._placed(block, entries[way], exits[way]).items():
                offsets[i] = int(offset)
            at = entries[way]
        return offsets

    def _exits(self, block: Block, entries: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
        """(offsets of the entry, rising offsets of the exit) with which the block fits."""
        candidates, is_beside = self._candidates(block, entries, target)
        x, y = np.repeat(entries, is_beside.sum(axis=1)), candidates[is_beside]
        offsets = self._placed(block, x, y)
        fits = np.ones(x.size, bool)
        for i in block.inner:
            fits &= offsets[i] + self._buffers[i].num_bytes <= target
        exits, first = np.unique(y[fits], return_index=True)
        entries = x[fits][first]
        if exits.size > MAX_OFFSETS:
            followed = entries <= np.sort(entries)[MAX_OFFSETS - 1]
            return entries[followed], exits[followed]
        return entries, exits

    def _candidates(self, block: Block, x: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
        """([entries, n] offsets of the exit that touch an end, the entry or what stands beside them, which of them stay
        clear of the entry and of both ends)."""
        if block.exit is None or block.exit == block.entry:
            y = np.zeros_like(x) if block.exit is None else x
            return y[:, None], np.ones((x.size, 1), bool)
        size = self._buffers[block.exit].num_bytes
        edges = [np.zeros_like(x), np.full_like(x, target)]
        below, above = np.full_like(x, target), np.zeros_like(x)
        if block.entry is not None:
            entry_bytes = self._buffers[block.entry].num_bytes
            edges += [x, x + entry_bytes]
            below = x - self._distances.get((block.exit, block.entry), size)
            above = x + self._distances.get((block.entry, block.exit), entry_bytes)
        sides = (0, block.most, -block.most) if block.most else (0,)
        touching = [edge + side - shift for edge in edges for side in sides for shift in (0, size)]
        y = np.stack([*touching, below, above], axis=1)
        is_beside = (y <= below[:, None]) | (y >= above[:, None])
        return y, (y >= 0) & (y <= target - size) & is_beside

    def _placed(self, block: Block, x: np.ndarray, y: np.ndarray) -> dict[int, np.ndarray]:
        """Offsets of all of a block's buffers for each pair of offsets of its ends: inner ones in the lowest gap."""
        offsets = {i: ends for i, ends in ((block.entry, x), (block.exit, y)) if i is not None}
        for i in block.inner:
            forbidden = memory.forbidden_offsets(self._buffers, offsets, i, self._distances)
            if not forbidden:
                offsets[i] = np.zeros_like(x)
                continue
            low, high = (np.stack(ends) for ends in zip(*forbidden, strict=True))
            candidates = np.concatenate([np.zeros_like(x)[None], high])
            is_free = ((candidates[:, None] <= low) | (candidates[:, None] >= high)).all(axis=1)
            offsets[i] = np.where(is_free, candidates, _NOWHERE).min(axis=0)
        return offsets


def _blocks(buffers: Sequence[Buffer]) -> Iterator[Block]:
    last = max((b.last for b in buffers), default=-1)
    entry: int | None = None
    start = 0
    for step in range(last + 1):
        crossing = [i for i, b in enumerate(buffers) if b.first <= step < b.last]
        if len(crossing) > 1:
            continue
        exit = crossing[0] if crossing else None
        inner = [i for i, b in enumerate(buffers) if start <= b.first and b.last <= step and i not in (entry, exit)]
        inner.sort(key=lambda i: (-buffers[i].num_bytes, i))
        yield Block(entry, exit, tuple(inner), memory.live_bytes([buffers[i] for i in inner]))
        entry, start = exit, step + 1
