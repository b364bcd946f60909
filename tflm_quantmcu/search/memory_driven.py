"""Memory-driven mixed low precision: the least cuts of maps and weights, layer by layer, that meet both budgets.

Rusci et al., arXiv 1905.13082; the rules and what is our reading of them stand in memory_rules.py. Also our reading,
since a `.tflite` on TFLM holds more than the paper counts:

- Every op of the model is a layer (network.py).
- The RAM bound of the rules is lowered by what the converted model exceeds the budget, until it meets it. Weights are
  cut in the rules' order until the converted model meets the flash budget. Kernels may ask for scratch to unpack narrow
  weights, so maps are cut again beside the weights as they are then, and so on until both budgets are met.
- Formats have the least squared error on the calibration data; weights are symmetric, with a scale an output channel.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.flash import flash_cuts
from tflm_quantmcu.search.memory_rules import Scheme, UnreachableError, cut_activations, read_only_bytes
from tflm_quantmcu.search.network import Bits, Network
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.common import WeightCutSettings
from tflm_quantmcu.search.settings.memory_driven import MemoryDrivenSettings


def search_memory_driven(problem: SearchProblem) -> PrecisionPlan:
    """Cuts maps until the SRAM budget is met, then weights until the flash budget is, again until both are.

    Parameters:
      memory_driven_min_bits: smallest width of maps and weights.
      memory_driven_margin: weights whose share is less than this below the largest are cut earliest layer first.
      pinned_layers: layers whose weights keep 8 bits; the network's input and output do in any case.

    Raises:
      BudgetError: the rules end above a budget.
    """
    *_, plan = problem.track(_Cuts(Network.of(problem)).attempts(), "memory_driven")
    return plan


@dataclasses.dataclass(frozen=True, eq=False)
class _Cuts:
    """The rules on a network, against what its plans take once they are converted."""

    network: Network

    def attempts(self) -> Iterator[PrecisionPlan]:
        """Plans of ever more cuts; the last one meets the budgets."""
        network, problem = self.network, self.network.problem
        sram_bytes, margin = problem.budget.sram_bytes, problem.settings.part(WeightCutSettings).memory_driven_margin
        maps, weights = network.uncut_maps, network.uncut_weights
        bound: int | None = None
        while True:
            while sram_bytes is not None and (excess := self._arena_bytes(maps, weights) - sram_bytes) > 0:
                yield self._plan(maps, weights)
                bound = sram_bytes if bound is None else min(bound, network.ram_bytes(maps)) - excess
                maps = self._cut_maps(bound, weights)
            plan_of = functools.partial(self._plan, maps)
            weights = yield from flash_cuts(network, plan_of, min_bits=self._min_bits, margin=margin)
            if sram_bytes is None or self._arena_bytes(maps, weights) <= sram_bytes:
                return

    def _cut_maps(self, bound: int, weights: Bits) -> Bits:
        """Algorithm 1, or all that may be cut at the smallest width where that alone meets the budget."""
        network, sram_bytes = self.network, self.network.problem.budget.sram_bytes
        try:
            return cut_activations(network.layers, bound, fixed=network.fixed_maps, min_bits=self._min_bits)
        except UnreachableError as error:
            assert error.layer
            maps = {m: network.fixed_maps.get(m, self._min_bits) for m in network.uncut_maps}
            smallest = self._arena_bytes(maps, weights)
            assert sram_bytes is not None
            if smallest <= sram_bytes:
                return maps
            raise BudgetError(
                f"--sram_bytes is {sram_bytes:,} and the smallest arena reached is {smallest:,} "
                f"bytes: '{error.layer.name}' has maps of {error.layer.working_bytes(maps):,} bytes with all that may "
                f"be cut at {self._min_bits} bits; raise --sram_bytes or split the network with --search vdqs"
            ) from None

    @property
    def _min_bits(self) -> int:
        return self.network.problem.settings.part(MemoryDrivenSettings).memory_driven_min_bits

    def _arena_bytes(self, maps: Bits, weights: Bits) -> int:
        return self.network.problem.bytes_of(self._plan(maps, weights)).arena_bytes

    def _plan(self, maps: Bits, weights: Bits) -> PrecisionPlan:
        layers = self.network.layers
        counted = {
            "ram_bytes": self.network.ram_bytes(maps),
            "flash_bytes": {s.value: read_only_bytes(layers, weights, maps, s) for s in Scheme},
        }
        return self.network.plan(maps, weights, method="memory_driven", scores=counted)
