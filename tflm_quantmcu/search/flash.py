"""Cuts weights until the converted model meets the flash budget.

In: what makes a plan of weight widths. Out: the plan with the fewest weight cuts, in the order of memory-driven
precision (`memory_rules.weight_cuts`), that meets the budget once it is compensated, as every search's result is.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Callable, Generator, Sequence

from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.memory_rules import weight_cuts
from tflm_quantmcu.search.network import Bits, Network


def flash_cuts(
    network: Network, plan_of: Callable[[Bits], PrecisionPlan], *, min_bits: int, margin: float
) -> Generator[PrecisionPlan, None, Bits]:
    """Plans that are tried; the last one meets the flash budget, and its weights are what the generator returns.

    Args:
      network: of the problem.
      plan_of: layer index -> bits of its weights, to their plan.
      min_bits: smallest width of weights.
      margin: as of `weight_cuts`.

    Raises:
      BudgetError: the plan of all cuts exceeds the budget.
    """
    cuts = list(weight_cuts(network.layers, fixed=network.fixed_weights, min_bits=min_bits, margin=margin))
    budget, first = network.problem.budget.flash_bytes, 0

    @functools.cache
    def plan_at(index: int) -> PrecisionPlan:
        return plan_of(cuts[index])

    @functools.cache
    def flash_at(index: int) -> int:
        return network.problem.bytes_of(plan_at(index)).flash_bytes

    if budget is not None:
        first = yield from _fewest([network.weight_bytes(cut) for cut in cuts], plan_at, flash_at, budget)
        smallest = flash_at(first)
        if smallest > budget:
            stored = network.weight_bytes(cuts[first])
            raise BudgetError(
                f"--flash_bytes is {budget:,} and the smallest model reached is {smallest:,} bytes: {stored:,} of "
                f"weights with all that may be cut at {min_bits} bits, the rest is what stands beside them; "
                "raise --flash_bytes, leave out metadata with --strip_metadata or shrink the network"
            )
    yield plan_at(first)
    return cuts[first]


def _fewest(
    weight_bytes: Sequence[int], plan_at: Callable[[int], PrecisionPlan], flash_at: Callable[[int], int], budget: int
) -> Generator[PrecisionPlan, None, int]:
    """Plans that are tried; returns the number of the fewest cuts that meet the budget, or the last if none do.

    Args:
      weight_bytes: of the weights, falling, after so many cuts as the index says.
      plan_at, flash_at: number of cuts -> their plan, and the bytes of its model.
      budget: of those.
    """
    excess = flash_at(0) - budget
    if excess <= 0:
        return 0
    fewest, most = min(1, len(weight_bytes) - 1), len(weight_bytes) - 1
    # By the weights alone; what stands beside them changes too, mostly for the smaller.
    tried = bisect.bisect_left(weight_bytes, excess, key=lambda cut: weight_bytes[0] - cut)
    while fewest < most:
        tried = max(fewest, min(tried, most - 1))
        yield plan_at(tried)
        if flash_at(tried) <= budget:
            most = tried
        else:
            fewest = tried + 1
        tried = (fewest + most) // 2
    return most
