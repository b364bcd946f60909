"""Keeps budgets: what widths take once they are converted, what they leave of the bounds, and weight cuts to a flash
bound.

In: a network, and what makes a plan of its widths. Out: bytes and work against the budgets of its problem. Searches
lower widths in orders of their own; all count bytes alike, as memory-driven precision does: of the fullest layer's maps
and of all weights. What a converted model takes beside these depends on the widths, so that only its bytes decide.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Generator, Sequence

import numpy as np

from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.memory_rules import weight_cuts
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.problem import PlanBytes
from tflm_quantmcu.search.settings.common import WeightCutSettings
from tflm_quantmcu.search.widths import Widths

MAX_CONVERSIONS = 8  # of one candidate: where that is not enough the bounds are nearly out of reach


class BudgetKeeper:
    """Widths of a network against the budgets of its problem.

    Args:
      network: of the problem.
      plan_of: widths -> the plan whose converted model is measured, before it is compensated.
    """

    def __init__(self, network: Network, plan_of: Callable[[Widths], PrecisionPlan]) -> None:
        self.network = network
        self.budget = network.problem.budget
        self.plan_of = plan_of
        self._measured: dict[Widths, PlanBytes] = {}

    def measured(self, widths: Widths) -> PlanBytes:
        """Bytes of the converted model."""
        if widths not in self._measured:
            self._measured[widths] = self.network.problem.bytes_of(self.plan_of(widths))
        return self._measured[widths]

    def counted(self, widths: Widths) -> np.ndarray:
        """Float64 [2]: bytes of the fullest layer's maps, and of all weights."""
        return np.array([self.network.ram_bytes(widths), self.network.weight_bytes(widths)], float)

    def rooms(self, widths: Widths) -> np.ndarray:
        """Float64 [2]: what the converted model leaves of the SRAM and the flash budget, in bytes; below 0 it exceeds
        them, without a budget it is infinite."""
        bounds = (self.budget.sram_bytes, self.budget.flash_bytes)
        if bounds == (None, None):
            return np.full(2, math.inf)
        left = np.array([math.inf if bound is None else bound for bound in bounds])
        found = self.measured(widths)
        return left - (found.arena_bytes, found.flash_bytes)

    def bounds_at(self, widths: Widths) -> np.ndarray:
        """Float64 [2]: bounds on what is counted, if all else stays what it is beside these widths."""
        return self.counted(widths) + self.rooms(widths)

    def fits(self, widths: Widths, bounds: np.ndarray) -> bool:
        """Whether what is counted is within bounds, float64 [2]."""
        return bool(np.all(self.counted(widths) <= bounds))

    def work_above(self, widths: Widths) -> float:
        """The share by which the work exceeds its bounds, in sum."""
        bounds = (self.budget.bit_ops, self.budget.instructions)
        if bounds == (None, None):
            return 0.0
        work = self.network.work(widths)
        found = zip(bounds, (work.bit_ops, work.instructions), strict=True)
        return sum(max(value / bound - 1, 0.0) for bound, value in found if bound is not None)

    def keeps(self, widths: Widths) -> bool:
        """Whether the converted model keeps every budget."""
        return not self.work_above(widths) and bool(np.all(self.rooms(widths) >= 0))


def flash_cuts(keeper: BudgetKeeper, start: Widths, *, min_bits: int) -> Generator[PrecisionPlan, None, Widths]:
    """Cuts weights from 8 bits on, in the order of memory-driven precision, until the flash budget is met.

    Args:
      keeper: of the budget.
      start: the maps' widths, and with them the order in which tensors are named; weights begin at 8 bits.
      min_bits: smallest width of weights.

    Yields:
      Plans that are tried; the last one has the fewest cuts that meet the budget, and its widths are returned.

    Raises:
      BudgetError: the plan of all cuts exceeds the budget.
    """
    network, budget = keeper.network, keeper.budget.flash_bytes
    margin = network.problem.settings.part(WeightCutSettings).memory_driven_margin
    orders = weight_cuts(network.layers, fixed=network.by_layer(network.fixed), min_bits=min_bits, margin=margin)
    cuts = [network.with_weights(start, cut) for cut in orders]
    first = 0
    if budget is not None:
        first = yield from _fewest(keeper, cuts, budget)
        smallest = keeper.measured(cuts[first]).flash_bytes
        if smallest > budget:
            stored = network.weight_bytes(cuts[first])
            raise BudgetError(
                f"--flash_bytes is {budget:,} and the smallest model reached is {smallest:,} bytes: {stored:,} of "
                f"weights with all that may be cut at {min_bits} bits, the rest is what stands beside them; "
                "raise --flash_bytes, leave out metadata with --strip_metadata or shrink the network"
            )
    yield keeper.plan_of(cuts[first])
    return cuts[first]


def _fewest(keeper: BudgetKeeper, cuts: Sequence[Widths], budget: int) -> Generator[PrecisionPlan, None, int]:
    """Plans that are tried; returns the number of the fewest cuts that meet the budget, or the last if none do.

    Args:
      keeper: measures.
      cuts: widths after so many cuts as the index says.
      budget: of the converted model, in bytes.
    """
    weight_bytes = [keeper.network.weight_bytes(cut) for cut in cuts]  # falling
    excess = keeper.measured(cuts[0]).flash_bytes - budget
    if excess <= 0:
        return 0
    fewest, most = min(1, len(cuts) - 1), len(cuts) - 1
    # By the weights alone; what stands beside them changes too, mostly for the smaller.
    tried = bisect.bisect_left(weight_bytes, excess, key=lambda cut: weight_bytes[0] - cut)
    while fewest < most:
        tried = max(fewest, min(tried, most - 1))
        yield keeper.plan_of(cuts[tried])
        if keeper.measured(cuts[tried]).flash_bytes <= budget:
            most = tried
        else:
            fewest = tried + 1
        tried = (fewest + most) // 2
    return most
