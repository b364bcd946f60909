"""What planning minimises, and how much of it a split may take.

In: arguments of `plan_stages`. Out: a core's table or none, and a ratio.
"""

from __future__ import annotations

from tflm_quantmcu.cost.instructions import InstructionTable, load_table

DEFAULT_MAX_SLOWDOWN = 1.1
# Estimates of split networks are a few percent off: plans use this share of the slowdown that is allowed.
_SLOWDOWN_SHARE = 0.9


def planning_table(table: InstructionTable | None, max_macs_ratio: float | None) -> InstructionTable | None:
    """The table of the time that is minimised; None where MACs are."""
    return None if max_macs_ratio is not None else table or load_table("m4")


def work_ratio(
    sram_bytes: int | None, max_macs_ratio: float | None = None, max_slowdown: float | None = None
) -> float | None:
    """The bound on work over that of the unsplit network by the arguments of `plan_stages`; None is none."""
    if max_macs_ratio is not None:
        return max_macs_ratio
    if max_slowdown is None:
        max_slowdown = DEFAULT_MAX_SLOWDOWN if sram_bytes is None else None
    return None if max_slowdown is None else 1 + _SLOWDOWN_SHARE * (max_slowdown - 1)
