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

import functools
from collections.abc import Iterator

from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.budget import BudgetKeeper, flash_cuts
from tflm_quantmcu.search.memory_rules import Scheme, UnreachableError, cut_activations, read_only_bytes
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.memory_driven import MemoryDrivenSettings
from tflm_quantmcu.search.widths import Widths


def search_memory_driven(problem: SearchProblem) -> PrecisionPlan:
    """Cuts maps until the SRAM budget is met, then weights until the flash budget is, again until both are.

    Parameters:
      memory_driven_min_bits: smallest width of maps and weights.
      memory_driven_margin: weights whose share is less than this below the largest are cut earliest layer first.
      pinned_layers: layers whose weights keep 8 bits; the network's input and output do in any case.

    Raises:
      BudgetError: the rules end above a budget.
    """
    *_, plan = problem.track(_attempts(problem), "memory_driven")
    return plan


def _attempts(problem: SearchProblem) -> Iterator[PrecisionPlan]:
    """Plans of ever more cuts; the last one meets the budgets."""
    network, sram_bytes = Network.of(problem), problem.budget.sram_bytes
    keeper = BudgetKeeper(network, functools.partial(_plan, network))
    min_bits = problem.settings.part(MemoryDrivenSettings).memory_driven_min_bits
    widths, bound = network.uncut, sram_bytes
    is_first = True
    while True:
        while bound is not None and (excess := -int(keeper.rooms(widths)[0])) > 0:
            yield keeper.plan_of(widths)
            bound = bound if is_first else min(bound, network.ram_bytes(widths)) - excess
            widths, is_first = _cut_maps(keeper, widths, bound, min_bits), False
        widths = yield from flash_cuts(keeper, widths, min_bits=min_bits)
        if sram_bytes is None or keeper.rooms(widths)[0] >= 0:
            return


def _cut_maps(keeper: BudgetKeeper, widths: Widths, bound: int, min_bits: int) -> Widths:
    """Algorithm 1, or all that may be cut at the smallest width where that alone meets the budget.

    Args:
      keeper: of the budgets.
      widths: as they are; the weights' stay.
      bound: on the bytes of each layer, as counted.
      min_bits: smallest width.

    Raises:
      BudgetError: not even that does.
    """
    network = keeper.network
    try:
        return widths.with_bits(cut_activations(network.layers, bound, fixed=network.fixed, min_bits=min_bits))
    except UnreachableError as error:
        assert error.layer
        smallest = widths.with_bits({m: network.fixed.get(m, min_bits) for m in network.maps})
        if keeper.rooms(smallest)[0] >= 0:
            return smallest
        raise BudgetError(
            f"--sram_bytes is {keeper.budget.sram_bytes:,} and the smallest arena reached is "
            f"{keeper.measured(smallest).arena_bytes:,} bytes: '{error.layer.name}' has maps of "
            f"{error.layer.working_bytes(smallest):,} bytes with all that may be cut at {min_bits} bits; raise "
            "--sram_bytes or split the network with --search vdqs"
        ) from None


def _plan(network: Network, widths: Widths) -> PrecisionPlan:
    weights = network.by_layer(widths)
    counted = {
        "ram_bytes": network.ram_bytes(widths),
        "flash_bytes": {s.value: read_only_bytes(network.layers, weights, widths, s) for s in Scheme},
    }
    return network.plan(widths, method="memory_driven", scores=counted)
