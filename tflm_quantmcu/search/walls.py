"""The walls of search rl: any widths become widths that keep the budgets.

In: a network, and the width wished for each of its free tensors. Out: widths that the converted model keeps every
budget with, or nothing where the walls end above one. Walls cut what the wish exceeds, and raise what it leaves unused.

Source: HAQ (arXiv 1811.08886), whose wall cuts from the last layer backwards until the work is met; for bytes the rules
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
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.cost.network_cost import Cost
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.search.memory_rules import cut_largest, weight_cuts
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.settings.common import WeightCutSettings

MAX_CONVERSIONS = 8  # of one wish: where that is not enough the bounds are nearly out of reach

Widths = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Choice:
    """A tensor whose width is free: a layer's weights or the map that it writes.

    Attributes:
      layer: index.
      map: tensor index, or None for the weights.
    """

    layer: int
    map: int | None = None


def choices_of(network: Network) -> list[Choice]:
    """All that is free, layer by layer, the weights first."""
    choices = []
    for i, layer in enumerate(network.layers):
        if i in network.weights and i not in network.fixed_weights:
            choices.append(Choice(i))
        if layer.output not in network.fixed_maps:
            choices.append(Choice(i, layer.output))
    return choices


def join(choices: Sequence[Choice], maps: Mapping[int, int], weights: Mapping[int, int]) -> Widths:
    """The widths of the choices, of the bits of all maps and weights."""
    return tuple(weights[c.layer] if c.map is None else maps[c.map] for c in choices)


class Walls:
    """The walls of a network; widths are in the order of its choices.

    Attributes:
      plan: widths -> their plan, compensated.
      measured: widths -> bytes of the converted model of that plan.

    Args:
      network: of the problem whose budgets count.
      choices: `choices_of` it.
      min_bits: smallest width.
      like: widths that are near the budgets: what their model holds beside the weights others are taken to hold too.
    """

    def __init__(self, network: Network, choices: Sequence[Choice], *, min_bits: int, like: Widths) -> None:
        self._network = network
        self._choices = choices
        self._like = like
        self._bits = sorted(b for b in BIT_WIDTHS if b >= min_bits)
        self._budget = network.problem.budget
        problem = network.problem
        self.plan = functools.lru_cache(maxsize=1)(lambda widths: problem.compensated(self._plain_plan(widths)))
        self.measured = functools.cache(lambda widths: problem.bytes_of(self._plain_plan(widths)))

    def split(self, widths: Widths) -> tuple[dict[int, int], dict[int, int]]:
        """The bits of all maps, and of all weights: the reverse of `join`."""
        chosen = list(zip(self._choices, widths, strict=True))
        maps = {c.map: bits for c, bits in chosen if c.map is not None}
        weights = {c.layer: bits for c, bits in chosen if c.map is None}
        return {**self._network.uncut_maps, **maps}, {**self._network.uncut_weights, **weights}

    def work(self, widths: Widths) -> Cost:
        return self._network.work(*self.split(widths))

    def memory_bytes(self, widths: Widths) -> int:
        """Of the fullest layer and all weights, as counted."""
        return int(self._counted(widths).sum())

    def keeps(self, widths: Widths) -> bool:
        """Whether the converted model keeps every budget."""
        if self._work_above(widths):
            return False
        return bool(np.all(self._room(widths) >= self._counted(widths)))

    def enforce(self, widths: Widths, wishes: Sequence[float]) -> Widths | None:
        """Widths near the given ones that keep every budget.

        Args:
          widths: to begin with.
          wishes: how much each choice is to be raised where there is room.

        Returns:
          Widths; None where the walls end above a budget.
        """
        bounds, grows = self._room(self._like), True
        for _ in range(MAX_CONVERSIONS):
            found = self._within(widths, bounds, wishes)
            if self._work_above(found):
                return None
            room = self._room(found)
            if np.all(room >= self._counted(found)):
                wider = np.maximum(bounds, room)
                if grows and np.any(wider > bounds):
                    bounds = wider
                    continue
                return found
            bounds, grows = np.minimum(bounds, room), False
        return None

    def _within(self, widths: Widths, bounds: np.ndarray, wishes: Sequence[float]) -> Widths:
        """Widths within the bounds as counted, as far as cuts can."""
        network, (ram_bytes, weight_bytes) = self._network, bounds.tolist()
        layers, min_bits = network.layers, self._bits[0]
        maps, weights = self.split(widths)
        maps = cut_largest(layers, ram_bytes, maps, fixed=network.fixed_maps, min_bits=min_bits)
        margin = network.problem.settings.part(WeightCutSettings).memory_driven_margin
        for cut in weight_cuts(layers, start=weights, fixed=network.fixed_weights, min_bits=min_bits, margin=margin):
            weights = cut
            if network.weight_bytes(weights) <= weight_bytes:
                break

        def fits(found: Widths) -> bool:
            return bool(np.all(self._counted(found) <= bounds))

        return self._raise(self.lower_work(join(self._choices, maps, weights), fits), wishes, fits)

    def lower_work(self, widths: Widths, fits: Callable[[Widths], bool] = lambda _: True) -> Widths:
        """Steps of one width, from the last layer backwards, maps before weights, until the work is met.

        Args:
          widths: to begin with.
          fits: whether there is room for widths with more bits.

        Returns:
          Widths, the nearest to the bounds on work that such steps reach.
        """
        above, before = self._work_above(widths), math.inf
        while 0 < above < before:
            before = above
            for place in reversed(range(len(widths))):
                lower, higher = (self._step(widths, place, by) for by in (-1, 1))
                for changed in (lower, higher if higher and fits(higher) else None):
                    if changed and (found := self._work_above(changed)) < above:
                        widths, above = changed, found
                        break
                if not above:
                    break
        return widths

    def _raise(self, widths: Widths, wishes: Sequence[float], fits: Callable[[Widths], bool]) -> Widths:
        """Sweeps that raise each choice by one width where there is room, until there is none."""
        if not fits(widths) or self._work_above(widths):
            return widths
        order = sorted(range(len(widths)), key=lambda place: -wishes[place])
        before = None
        while widths != before:
            before = widths
            for place in order:
                changed = self._step(widths, place, 1)
                if changed and fits(changed) and not self._work_above(changed):
                    widths = changed
        return widths

    def _step(self, widths: Widths, place: int, by: int) -> Widths | None:
        at = self._bits.index(widths[place]) + by
        if not 0 <= at < len(self._bits):
            return None
        return (*widths[:place], self._bits[at], *widths[place + 1 :])

    def _counted(self, widths: Widths) -> np.ndarray:
        """Bytes of the fullest layer, and of all weights: what both bounds are for."""
        maps, weights = self.split(widths)
        return np.array([self._network.ram_bytes(maps), self._network.weight_bytes(weights)], float)

    def _room(self, widths: Widths) -> np.ndarray:
        """The bounds that are left by what the converted model of these widths holds beside what is counted."""
        bounds = (self._budget.sram_bytes, self._budget.flash_bytes)
        if bounds == (None, None):
            return np.full(2, math.inf)
        left = np.array([math.inf if bound is None else bound for bound in bounds])
        found = self.measured(widths)
        return left - (found.arena_bytes, found.flash_bytes) + self._counted(widths)

    def _plain_plan(self, widths: Widths) -> PrecisionPlan:
        return self._network.plan(*self.split(widths), method="rl")

    def _work_above(self, widths: Widths) -> float:
        """By which share the work exceeds its bounds, in sum."""
        bounds = (self._budget.bit_ops, self._budget.instructions)
        if bounds == (None, None):
            return 0.0
        work = self.work(widths)
        found = zip(bounds, (work.bit_ops, work.instructions), strict=True)
        return sum(max(value / bound - 1, 0.0) for bound, value in found if bound is not None)
