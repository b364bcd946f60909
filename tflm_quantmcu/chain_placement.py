"""Places for the buffers of a chain: of what lives from one step to the next there is, here and there, only one buffer.

Between two such places the rest is a block of its own, which meets nothing but the buffers at its two ends. So it is
where patch stages follow one another: a block is a stage's scratch, or a residual block that is not split.

In: buffers and pairs that may share bytes. Out: offsets within a given peak.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from tflm_quantmcu import memory
from tflm_quantmcu.memory import Buffer, Distances

MAX_OFFSETS = 500  # of the buffer at a block's end, that are followed


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
        ways: list[dict[int, int]] = []  # [block] offset of its exit -> offset of its entry
        reached = {0: 0}
        for block in self._blocks:
            reached = self._exits(block, sorted(reached), target)
            if not reached:
                return None
            ways.append(reached)
        offsets = [-1] * len(self._buffers)
        at = min(reached)
        for block, way in zip(reversed(self._blocks), reversed(ways), strict=True):
            before = way[at]
            for i, offset in (self._placed(block, before, at, target) or {}).items():
                offsets[i] = offset
            at = before
        return offsets

    def _exits(self, block: Block, entries: Sequence[int], target: int) -> dict[int, int]:
        """Offset of the exit -> one of the entry with which the block fits."""
        found: dict[int, int] = {}
        for x in entries:
            for y in self._candidates(block, x, target):
                if y not in found and self._placed(block, x, y, target) is not None:
                    found[y] = x
            if len(found) >= MAX_OFFSETS:
                break
        return found

    def _candidates(self, block: Block, x: int, target: int) -> list[int]:
        """Offsets of the exit that touch an end, the entry, or what stands beside them."""
        if block.exit is None:
            return [0]
        if block.exit == block.entry:
            return [x]
        size = self._buffers[block.exit].num_bytes
        edges = [0, target]
        if block.entry is not None:
            edges += [x, x + self._buffers[block.entry].num_bytes]
        edges += [edge + side for edge in edges for side in (block.most, -block.most)]
        touching = {edge - shift for edge in edges for shift in (0, size)}
        if block.entry is not None:
            for pair, sign in (((block.exit, block.entry), -1), ((block.entry, block.exit), 1)):
                if pair in self._distances:
                    touching.add(x + sign * self._distances[pair])
        return sorted(y for y in touching if 0 <= y <= target - size)

    def _placed(self, block: Block, x: int, y: int, target: int) -> dict[int, int] | None:
        """Offsets of all of a block's buffers, or None where the peak is higher."""
        offsets = [-1] * len(self._buffers)
        placed: list[int] = []
        for i, offset in ((block.entry, x), (block.exit, y)):
            if i is not None and i not in placed:
                if not self._is_free(i, offset, offsets, placed):
                    return None
                offsets[i] = offset
                placed.append(i)
        for i in block.inner:
            offsets[i] = memory.lowest_gap(self._buffers, offsets, placed, i, self._distances)
            if offsets[i] + self._buffers[i].num_bytes > target:
                return None
            placed.append(i)
        return {i: offsets[i] for i in placed}

    def _is_free(self, i: int, offset: int, offsets: Sequence[int], placed: Sequence[int]) -> bool:
        end = offset + self._buffers[i].num_bytes
        for j in placed:
            below, above = self._distances.get((i, j)), self._distances.get((j, i))
            is_apart = end <= offsets[j] or offsets[j] + self._buffers[j].num_bytes <= offset
            is_behind = (below is not None and offsets[j] - offset >= below) or (
                above is not None and offset - offsets[j] >= above
            )
            if not is_apart and not is_behind:
                return False
        return True


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
