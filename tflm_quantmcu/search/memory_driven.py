"""Memory-driven mixed low precision: the least cuts of maps and weights, layer by layer, that meet both budgets.

Rusci et al., arXiv 1905.13082; the rules and what is our reading of them stand in memory_rules.py. Also our reading,
since a `.tflite` on TFLM holds more than the paper counts:

- Every op of the model is a layer (network.py).
- The RAM bound of the rules is lowered by what the converted model exceeds the budget, until it meets it. Weights are
  cut in the rules' order until the converted model meets the flash budget.
- Formats have the least squared error on the calibration data; weights are symmetric, with a scale an output channel.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator

from tflm_quantmcu.errors import BudgetError
from tflm_quantmcu.search.memory_rules import Scheme, UnreachableError, cut_activations, read_only_bytes, weight_cuts
from tflm_quantmcu.search.network import Bits, Network
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.types import PrecisionPlan


def search_memory_driven(problem: SearchProblem) -> PrecisionPlan:
    """Cuts maps until the SRAM budget is met, then weights until the flash budget is.

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
        sram_bytes, flash_bytes = problem.budget.sram_bytes, problem.budget.flash_bytes
        measure = problem.cost.bytes_of
        maps, cuts = network.uncut_maps, self._weight_cuts()
        plan = self._plan(maps, cuts[0])
        if sram_bytes is not None:
            bound = sram_bytes
            while measure(plan).arena_bytes > sram_bytes:
                yield plan
                maps = self._cut_maps(bound, sram_bytes)
                plan = self._plan(maps, cuts[0])
                bound = min(bound, network.ram_bytes(maps)) - (measure(plan).arena_bytes - sram_bytes)
        if flash_bytes is not None and (excess := measure(plan).flash_bytes - flash_bytes) > 0:
            fewest, most = 1, len(cuts) - 1
            # By the weights alone; what stands beside them changes too, mostly for the smaller.
            tried = bisect.bisect_left(
                cuts, excess, key=lambda cut: network.weight_bytes({}) - network.weight_bytes(cut)
            )
            while fewest < most:
                yield plan
                tried = min(tried, most - 1)
                if measure(self._plan(maps, cuts[tried])).flash_bytes <= flash_bytes:
                    most = tried
                else:
                    fewest = tried + 1
                tried = (fewest + most) // 2
            plan = self._plan(maps, cuts[most])
            self._check_flash(plan, flash_bytes)
        yield plan

    def _cut_maps(self, bound: int, sram_bytes: int) -> Bits:
        """Algorithm 1, or all that may be cut at the smallest width where that alone meets the budget."""
        network = self.network
        try:
            return cut_activations(network.layers, bound, fixed=network.fixed_maps, min_bits=self._min_bits)
        except UnreachableError as error:
            assert error.layer
            maps = {m: network.fixed_maps.get(m, self._min_bits) for m in network.uncut_maps}
            smallest = network.problem.cost.bytes_of(self._plan(maps, {})).arena_bytes
            if smallest <= sram_bytes:
                return maps
            raise BudgetError(
                f"--sram_bytes is {sram_bytes:,} and the smallest arena reached is {smallest:,} "
                f"bytes: '{error.layer.name}' has maps of {error.layer.working_bytes(maps):,} bytes with all that may "
                f"be cut at {self._min_bits} bits; raise --sram_bytes or split the network with --search vdqs"
            ) from None

    def _weight_cuts(self) -> list[dict[int, int]]:
        """Algorithm 2: no cut, one cut, and so on to the last."""
        network, margin = self.network, self.network.problem.parameters["memory_driven_margin"]
        return list(weight_cuts(network.layers, fixed=network.fixed_weights, min_bits=self._min_bits, margin=margin))

    def _check_flash(self, plan: PrecisionPlan, flash_bytes: int) -> None:
        """Refuses the plan of the most cuts where it is too large."""
        network = self.network
        smallest = network.problem.cost.bytes_of(plan).flash_bytes
        if smallest > flash_bytes:
            stored = network.weight_bytes(network.widths_of(plan)[1])
            raise BudgetError(
                f"--flash_bytes is {flash_bytes:,} and the smallest model reached is {smallest:,} bytes: {stored:,} of "
                f"weights with all that may be cut at {self._min_bits} bits, the rest is what stands beside them; "
                "raise --flash_bytes, leave out metadata with --strip_metadata or shrink the network"
            )

    @property
    def _min_bits(self) -> int:
        return self.network.problem.parameters["memory_driven_min_bits"]

    def _plan(self, maps: Bits, weights: Bits) -> PrecisionPlan:
        layers = self.network.layers
        counted = {
            "ram_bytes": self.network.ram_bytes(maps),
            "flash_bytes": {s.value: read_only_bytes(layers, weights, maps, s) for s in Scheme},
        }
        return self.network.plan(maps, weights, method="memory_driven", scores=counted)
