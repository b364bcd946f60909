"""Pins feature maps to places in the arena where our plan is smaller on the target than what TFLM's planner makes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tflm_quantmcu.arena.in_place import reshape_sources
from tflm_quantmcu.arena.plan import plan_arena
from tflm_quantmcu.arena.predict import arena_around, largest_scratch_bytes, op_scratch_bytes
from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.graph.target import KERNEL_VARIANTS
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.placement.best import memory
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import graph_of

# Words before the number of tensors and their offsets: version, number of subgraphs.
_HEADER = (1, 1)
_UNPINNED = -1


def pin_offsets(rewrite: Rewrite) -> None:
    """Writes OfflineMemoryAllocation, which the device reads, if it makes the target's arena smaller.

    Scratch cannot be pinned: TFLM puts it into the gaps, and where one is too small, on top of all. So offsets are
    planned for the largest scratch of any variant of our kernels, for each variant's and for none (maps low, scratch
    behind them). Of those that meet the bound those are taken that exceed what TFLM makes of the model without pins on
    other cores the least, and without a bound those with the smallest arena on the target (the worst of its variants).

    Source: TFLM's docs/memory_management.md, "Offline planned tensor allocations".
    """
    graph = graph_of(rewrite.model, rewrite.graph.sha256)
    stock = rewrite.target.stock_kernels
    scratch = {v: [op_scratch_bytes(graph, op, v, stock) for op in graph.ops] for v in KERNEL_VARIANTS}
    largest = [largest_scratch_bytes(graph, op, stock) for op in graph.ops]
    unpinned = _arenas(graph, scratch, None)

    def on_target(found: Mapping[str, int]) -> int:
        return max(found[variant] for variant in rewrite.target.variants)

    def rank(pinned: list[int]) -> tuple[int, ...]:
        found = _arenas(graph, scratch, pinned)
        losses = sum(max(0, found[variant] - unpinned[variant]) for variant in KERNEL_VARIANTS)
        pinned_graph = dataclasses.replace(graph, offline_offsets=tuple(pinned))
        if rewrite.fits is None or not rewrite.target.is_core or not rewrite.fits(pinned_graph):
            return 1, on_target(found), losses, *found.values()
        return 0, losses, on_target(found), *found.values()

    alone: list[tuple[int, ...]] = [()] * len(graph.ops)
    distinct = {tuple(sizes): sizes for sizes in (largest, *scratch.values(), alone)}
    best = min((_planned(graph, sizes) for sizes in distinct.values()), key=rank)
    if on_target(_arenas(graph, scratch, best)) < on_target(unpinned):
        _add(rewrite.model, best)


def _planned(graph: ModelGraph, scratch_bytes: list[tuple[int, ...]]) -> list[int]:
    offsets = plan_arena(graph, scratch_bytes, sources=reshape_sources(graph)).offsets
    return [offsets.get(t, _UNPINNED) for t in range(len(graph.tensors))]


def _arenas(
    graph: ModelGraph, scratch: Mapping[str, list[tuple[int, ...]]], pinned: list[int] | None
) -> dict[str, int]:
    """Variant -> bytes, as TFLM places around what is pinned."""
    return {variant: arena_around(graph, sizes, pinned) for variant, sizes in scratch.items()}


def _add(model: schema.ModelT, offsets: list[int]) -> None:
    words = np.array([*_HEADER, len(offsets), *offsets], "<i4")
    model.buffers.append(schema.BufferT(data=np.frombuffer(words.tobytes(), np.uint8)))
    model.metadata = [
        *(model.metadata or ()),
        schema.MetadataT(name=memory.OFFLINE_METADATA.encode(), buffer=len(model.buffers) - 1),
    ]
