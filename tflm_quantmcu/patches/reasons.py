"""What the planner says of a split that it takes, or of why it takes none: sentences with numbers."""

from __future__ import annotations

from tflm_quantmcu.graph.subgraphs import why_whole
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.split import Split
from tflm_quantmcu.patches.work_bound import DEFAULT_MAX_SLOWDOWN


def gain_of(best: Split, baseline: int) -> str:
    """What a split brings, and for how much work; the baseline is the unsplit network's arena in bytes."""
    count = len(best.stages)
    extra = f"{best.macs_ratio - 1:.1%} more MACs" if best.extra_macs else "no more MACs"
    slower = "" if best.slowdown is None else f" and {best.slowdown:.2f} times the estimated cycles"
    text = (
        f"splitting into {count} patch stage{'s' * (count > 1)} takes the arena from {baseline:,} "
        f"to {best.arena_bytes:,} bytes for {extra}{slower}; {best.binding} holds the most"
    )
    if best.slowdown is None or best.slowdown <= DEFAULT_MAX_SLOWDOWN:
        return text
    return f"{text}; the bound takes that much time, a larger --sram_bytes less"


def too_slow(slower: Split, baseline: int, max_ratio: float) -> str:
    """The smallest split of all takes more work than the bound allows."""
    return (
        f"the network is not split and keeps its arena of {baseline:,} bytes: no split keeps within "
        f"{max_ratio:.2f} times its work; {slower.arena_bytes:,} bytes take {slower.work_text}"
    )


def too_large(smallest: Split, baseline: int) -> str:
    """The smallest split exceeds the bound on the arena."""
    return (
        f"the arena is {baseline:,} bytes unsplit and {smallest.arena_bytes:,} at the smallest, for "
        f"{smallest.work_text}, where {smallest.binding} holds the most"
    )


def no_smaller(smallest: Split, baseline: int) -> str:
    """The smallest split takes no less than the network unsplit."""
    return (
        f"splitting does not lower the arena: {baseline:,} bytes unsplit, {smallest.arena_bytes:,} bytes at best "
        f"({smallest.binding} holds the most), so the graph is left alone"
    )


def no_split(model: PlannedModel, baseline: int) -> str:
    """There is no split at all."""
    return f"the network is not split and keeps its arena of {baseline:,} bytes: {_obstacle(model)}"


def _obstacle(model: PlannedModel) -> str:
    if model.graph.subgraphs:
        return why_whole(model.graph)
    spatial = [op for op in model.graph.ops if op.window is not None]
    if all(model.why_not_in_stage(op) for op in spatial):
        reasons = [f"; {op.kind} (op {op.index}): {model.why_not_in_stage(op)}" for op in spatial[:1]]
        return "it has no convolution or pool that our kernels can run tile by tile" + "".join(reasons)
    return "no stage takes less than its ops do one by one"
