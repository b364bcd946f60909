"""What planning minimises, and how much of it a split may take.

In: arguments of `plan_stages`. Out: a core's table or none, and a ratio.
"""

from __future__ import annotations

from tflm_quantmcu.cost.instructions import InstructionTable, load_table

DEFAULT_MAX_SLOWDOWN = 1.1
# By how much the ratio of two estimates, of the split and of the unsplit network, may be too low: plans keep as much
# below what is allowed. What is measured (docs/measured_on_cores.md) is off by 1 % at most, on the M55 by 2.5 %, where
# what a vector kernel does at the ends of rows shows in small tiles.
_RATIO_ERROR, _RATIO_ERRORS = 0.01, {"m55": 0.03}


def planning_table(table: InstructionTable | None, max_macs_ratio: float | None) -> InstructionTable | None:
    """The table of the time that is minimised; None where MACs are."""
    return None if max_macs_ratio is not None else table or load_table("m4")


def work_ratio(
    sram_bytes: int | None,
    table: InstructionTable | None,
    max_macs_ratio: float | None = None,
    max_slowdown: float | None = None,
) -> float | None:
    """The bound on work over that of the unsplit network; None is none.

    Args:
      sram_bytes, max_macs_ratio, max_slowdown: as of `plan_stages`.
      table: of `planning_table`.
    """
    if max_macs_ratio is not None:
        return max_macs_ratio
    if max_slowdown is None and sram_bytes is None:
        max_slowdown = DEFAULT_MAX_SLOWDOWN
    if max_slowdown is None or table is None:
        return max_slowdown
    core = table.rows[0].core if table.rows else ""
    return max(max_slowdown / (1 + _RATIO_ERRORS.get(core, _RATIO_ERROR)), min(max_slowdown, 1.0))
