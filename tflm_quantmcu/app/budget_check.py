"""Whether a plan keeps the user's bounds, by what the converted model takes and does."""

from __future__ import annotations

from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Budget


def check_budget(costs: PlanCosts, plan: PrecisionPlan, budget: Budget) -> None:
    """Refuses a plan that exceeds a bound.

    Raises:
      BudgetError: the sentence names the first bound that is exceeded, what was reached and a remedy.
    """
    if budget == Budget():
        return
    found, work = costs.bytes_of(plan), costs.work_of(plan)
    remedies = {
        "sram_bytes": "lower the widths",
        "flash_bytes": "lower the weights: --search vdqs and memory_driven do it as far as needed, --weight_bits of "
        "--search uniform to one width",
        "max_bit_ops": "lower the widths",
        "max_instructions": "lower the widths of what the core runs faster with fewer bits",
    }
    reached = (found.arena_bytes, found.flash_bytes, work.bit_ops, work.instructions)
    for (flag, bound), value in zip(budget.flags.items(), reached, strict=True):
        if bound is not None and value > bound:
            unit = " bytes" if flag.endswith("_bytes") else ""
            raise BudgetError(
                f"--{flag} is {bound:,} and the smallest reached is {value:,}{unit}; raise --{flag} or {remedies[flag]}"
            )
