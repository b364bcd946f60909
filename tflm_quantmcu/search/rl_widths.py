"""Budget repair of search rl: any widths become widths that keep the budgets, as near to them as there is room.

In: a network, and the width wished for each of its free tensors. Out: widths that the converted model keeps every
budget with, or nothing where the repair ends above one. It lowers what exceeds a budget, and raises what leaves some
of it unused.

Source: HAQ (arXiv 1811.08886), which lowers from the last layer backwards until the work is met; for bytes the rules
of arXiv 1905.13082 in its place. Our reading, since arXiv 2008.05124 does not tell its own:

- Of a layer whose maps exceed the RAM bound the largest is halved; weights are cut by algorithm 2 of those rules, to
  the flash bound.
- A change for the work's sake stands if it brings the work nearer to its bound: a core may take more instructions for
  fewer bits, so that where a cut does not help more bits may.
- What the budgets leave room for is raised again, the most wished for first: that paper finds that policies use all
  memory, and without training a width that is lower than it must be gains nothing.
- Bytes are counted, as those rules do, and the bounds are those of the budget without what the converted model holds
  beside what is counted. That depends on the widths, so that conversions correct it until the model keeps the budgets.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.search.budget import MAX_CONVERSIONS, BudgetKeeper
from tflm_quantmcu.search.memory_rules import cut_largest, weight_cuts
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.settings.common import WeightCutSettings
from tflm_quantmcu.search.widths import Widths


@dataclasses.dataclass(frozen=True)
class Choice:
    """A tensor whose width is free: a layer's weights or the map that it writes.

    Attributes:
      layer: index.
      tensor: index.
      is_map: or else weights.
    """

    layer: int
    tensor: int
    is_map: bool


def choices_of(network: Network) -> list[Choice]:
    """All that is free, layer by layer, the weights first."""
    choices = []
    for i, layer in enumerate(network.layers):
        if i in network.weights and network.weights[i].index not in network.fixed:
            choices.append(Choice(i, network.weights[i].index, is_map=False))
        if layer.output not in network.fixed:
            choices.append(Choice(i, layer.output, is_map=True))
    return choices


class Repair:
    """Widths that keep the budgets.

    Attributes:
      bits: that a choice may have, ascending.

    Args:
      keeper: of the budgets.
      choices: of its network.
      min_bits: smallest width.
      like: widths that are near the budgets: what their model holds beside the weights others are taken to hold too.
    """

    def __init__(self, keeper: BudgetKeeper, choices: Sequence[Choice], *, min_bits: int, like: Widths) -> None:
        self.bits = sorted(b for b in BIT_WIDTHS if b >= min_bits)
        self._keeper = keeper
        self._tensors = [choice.tensor for choice in choices]
        self._like = like

    def enforce(self, widths: Widths, wishes: Sequence[float]) -> Widths | None:
        """Widths near the given ones that keep every budget.

        Args:
          widths: to begin with.
          wishes: how much each choice is to be raised where there is room.

        Returns:
          Widths; None where the repair ends above a budget.
        """
        keeper = self._keeper
        bounds, grows = keeper.bounds_at(self._like), True
        for _ in range(MAX_CONVERSIONS):
            found = self._within(widths, bounds, wishes)
            if keeper.work_above(found):
                return None
            room = keeper.bounds_at(found)
            if keeper.fits(found, room):
                wider = np.maximum(bounds, room)
                if grows and np.any(wider > bounds):
                    bounds = wider
                    continue
                return found
            bounds, grows = np.minimum(bounds, room), False
        return None

    def _within(self, widths: Widths, bounds: np.ndarray, wishes: Sequence[float]) -> Widths:
        """Widths within the bounds as counted, as far as cuts can."""
        network, (ram_bytes, weight_bytes) = self._keeper.network, bounds.tolist()
        layers, min_bits = network.layers, self.bits[0]
        cut = Widths(cut_largest(layers, ram_bytes, widths, fixed=network.fixed, min_bits=min_bits))
        margin = network.problem.settings.part(WeightCutSettings).memory_driven_margin
        start, fixed = network.by_layer(cut), network.by_layer(network.fixed)
        for weights in weight_cuts(layers, start=start, fixed=fixed, min_bits=min_bits, margin=margin):
            cut = network.with_weights(cut, weights)
            if network.weight_bytes(cut) <= weight_bytes:
                break

        def fits(found: Widths) -> bool:
            return self._keeper.fits(found, bounds)

        return self._raise(self.lower_work(cut, fits), wishes, fits)

    def lower_work(self, widths: Widths, fits: Callable[[Widths], bool] = lambda _: True) -> Widths:
        """Steps of one width, from the last layer backwards, maps before weights, until the work is met.

        Args:
          widths: to begin with.
          fits: whether there is room for widths with more bits.

        Returns:
          Widths, the nearest to the bounds on work that such steps reach.
        """
        work_above = self._keeper.work_above
        above, before = work_above(widths), math.inf
        while 0 < above < before:
            before = above
            for tensor in reversed(self._tensors):
                lower, higher = (self._step(widths, tensor, by) for by in (-1, 1))
                for changed in (lower, higher if higher and fits(higher) else None):
                    if changed and (found := work_above(changed)) < above:
                        widths, above = changed, found
                        break
                if not above:
                    break
        return widths

    def _raise(self, widths: Widths, wishes: Sequence[float], fits: Callable[[Widths], bool]) -> Widths:
        """Sweeps that raise each choice by one width where there is room, until there is none."""
        if not fits(widths) or self._keeper.work_above(widths):
            return widths
        order = [self._tensors[i] for i in sorted(range(len(wishes)), key=lambda i: -wishes[i])]
        before: Widths | None = None
        while widths != before:
            before = widths
            for tensor in order:
                changed = self._step(widths, tensor, 1)
                if changed and fits(changed) and not self._keeper.work_above(changed):
                    widths = changed
        return widths

    def _step(self, widths: Widths, tensor: int, by: int) -> Widths | None:
        at = self.bits.index(widths[tensor]) + by
        return widths.with_bits({tensor: self.bits[at]}) if 0 <= at < len(self.bits) else None
