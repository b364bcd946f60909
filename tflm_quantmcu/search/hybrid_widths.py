"""Budget repair of search hybrid: widths become widths that keep the budgets, with all free bits that there is room
for.

In: a network, the logits of its gates, and widths to begin with. Out: a plan whose converted model keeps every budget,
or nothing. Where a bound is exceeded, of the tensors with the most bits the one goes first whose gate has the lowest
logit: which the training would have closed next. What was lowered in vain, since others were what helped, is raised
again, up to where it began.

Our reading: the source has no budgets. Bytes are counted as memory_driven counts them, and the bounds lowered by what
the converted model exceeds its budget, until it keeps them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.search.budget import MAX_CONVERSIONS, BudgetKeeper
from tflm_quantmcu.search.free_bits import TimedLayer, free_bits
from tflm_quantmcu.search.memory_rules import Layer
from tflm_quantmcu.search.widths import Widths


@dataclasses.dataclass(frozen=True)
class Kept:
    """Widths that keep the budgets.

    Attributes:
      bits: of all maps and weights.
      instructions, cycles: with them; cycles are documented ones.
      cycles_before: without free bits.
    """

    bits: Widths
    instructions: int
    cycles: int
    cycles_before: int


def first_bounds(keeper: BudgetKeeper) -> np.ndarray:
    """Bounds on what is counted, float64 [2]: for weights what is left by the least that else is in a model."""
    network, budget = keeper.network, keeper.budget
    bounds = np.full(2, math.inf)
    if budget.sram_bytes is not None:
        bounds[0] = budget.sram_bytes
    if budget.flash_bytes is not None:
        # Where nothing is lowered the file keeps what conversion leaves out; lowered weights need more tables.
        least = {t.index: network.fixed.get(t.index, 2) for t in network.weights.values()}
        tried = (network.uncut, network.uncut.with_bits(least))
        beside = [keeper.measured(widths).flash_bytes - network.weight_bytes(widths) for widths in tried]
        bounds[1] = budget.flash_bytes - min(beside)
    return bounds


def is_within(keeper: BudgetKeeper, widths: Widths, bounds: np.ndarray) -> bool:
    """Whether widths keep bounds on what is counted, float64 [2], and that on BitOPs; instructions count after free
    bits."""
    if not keeper.fits(widths, bounds):
        return False
    return keeper.budget.bit_ops is None or keeper.network.work(widths).bit_ops <= keeper.budget.bit_ops


def _without_excess(bounds: np.ndarray, counted: np.ndarray, rooms: np.ndarray) -> np.ndarray:
    """Bounds, float64 [2], lowered by what a converted model exceeds its budgets.

    Args:
      bounds: on what is counted.
      counted: of the model.
      rooms: what it leaves of the budgets; below 0 it exceeds them.
    """
    return np.where(rooms < 0, np.minimum(bounds, counted) + rooms, bounds)


@dataclasses.dataclass(frozen=True, eq=False)
class GateRepair:
    """Widths that keep the budgets, by the order of gates.

    Attributes:
      keeper: of the budgets.
      bounds: on what is counted, to begin with; `first_bounds`.
      layers: `timed_layers` of the network.
      logits: free tensor -> logits of its gates.
      widths: that free tensors may be lowered to, ascending.
      by_speed: of the tensors with the most bits the one goes first whose layers gain the most cycles by that, or
        lose the fewest, and logits decide between equal ones.
    """

    keeper: BudgetKeeper
    bounds: np.ndarray
    layers: Sequence[TimedLayer]
    logits: Mapping[int, np.ndarray]
    widths: Sequence[int]
    by_speed: bool = False

    def cycles(self, bits: Mapping[int, int]) -> int:
        return self.keeper.network.work(bits).cycles

    def instructions(self, bits: Mapping[int, int]) -> int:
        return self.keeper.network.work(bits).instructions

    def smallest(self) -> Kept:
        """All that is free at the smallest width, whatever the budgets."""
        bits = self.keeper.network.uncut.with_bits(dict.fromkeys(self.logits, self.widths[0]))
        return self._kept(bits, bits)

    def keep(self, start: Widths) -> Kept | None:
        """Widths of at most those given, but for free bits, that keep every budget; None if none were found."""
        start = start.with_bits({t: max(start[t], self.widths[0]) for t in self.logits})
        cut = self._cut_to_fit(start)
        if cut is None:
            return None
        raised = self._raise_to_fit(cut)
        kept, bound = self._kept(raised, cut), self.keeper.budget.instructions
        return None if bound is not None and kept.instructions > bound else kept

    def _cut_to_fit(self, start: Widths) -> Widths | None:
        keeper, bounds = self.keeper, self.bounds
        if self._fits(start, np.maximum(bounds, keeper.counted(start))) and min(keeper.rooms(start)) >= 0:
            return start
        best: Widths | None = None
        for _ in range(MAX_CONVERSIONS):
            cut = self.cut(start, bounds)
            if cut == best or not self._fits(cut, bounds):
                break
            rooms = keeper.rooms(cut)
            if min(rooms) >= 0:  # once more with what this model leaves
                best, bounds = cut, keeper.bounds_at(cut)
            elif best is not None:
                break
            else:
                bounds = _without_excess(bounds, keeper.counted(cut), rooms)
        return best

    def _raise_to_fit(self, cut: Widths) -> Widths:
        keeper = self.keeper
        bounds = np.maximum(self.bounds, keeper.counted(cut))
        for _ in range(MAX_CONVERSIONS):
            raised = self._raise_free(cut, bounds)
            rooms = keeper.rooms(raised)
            if min(rooms) >= 0:
                return raised
            bounds = _without_excess(bounds, keeper.counted(raised), rooms)
        return cut

    def _kept(self, bits: Widths, cut: Widths) -> Kept:
        return Kept(bits, self.instructions(bits), self.cycles(bits), self.cycles(cut))

    def _keeps_instructions(self, bits: Widths, bounds: np.ndarray) -> bool:
        """Whether widths keep the bound on instructions after free bits."""
        bound = self.keeper.budget.instructions
        return bound is None or self.instructions(self._raise_free(bits, bounds)) <= bound

    def _fits(self, bits: Widths, bounds: np.ndarray) -> bool:
        return is_within(self.keeper, bits, bounds) and self._keeps_instructions(bits, bounds)

    def _raise_free(self, bits: Widths, bounds: np.ndarray) -> Widths:
        raised = free_bits(
            self.layers,
            bits,
            cycles=self.cycles,
            allows=lambda found: is_within(self.keeper, Widths(found), bounds),
        )
        return Widths(raised)

    def cut(self, start: Widths, bounds: np.ndarray) -> Widths:
        """Widths of at most those given within the bounds, as far as cuts can.

        Args:
          start: to begin with.
          bounds: float64 [2], bytes, as of `BudgetKeeper.bounds_at`.
        """
        network, bits = self.keeper.network, dict(start)
        ram_bytes, weight_bytes = bounds.tolist()
        for layer in network.layers:
            self._lower(bits, [*layer.held, layer.output], functools.partial(_fits_layer, layer, bits, ram_bytes))
        weights = [tensor.index for tensor in network.weights.values()]
        self._lower(bits, weights, lambda: network.weight_bytes(bits) <= weight_bytes)
        self._lower(bits, self.logits, lambda: is_within(self.keeper, Widths(bits), bounds))
        self._lower(bits, self.logits, lambda: self._keeps_instructions(Widths(bits), bounds))
        found = Widths(bits)
        return self._restore(found, start, bounds) if self._fits(found, bounds) else found

    def _lower(self, bits: dict[int, int], tensors: Iterable[int], is_met: Callable[[], bool]) -> None:
        free = [t for t in tensors if t in self.logits]
        while not is_met() and (able := [t for t in free if bits[t] > self.widths[0]]):
            bits[min(able, key=lambda t: (-bits[t], self._worth(bits, t, bits[t])))] //= 2

    def _restore(self, bits: Widths, start: Widths, bounds: np.ndarray) -> Widths:
        """Raises what there is room for, step by step: the fewest bits first, of those what is worth the most."""
        found, before = bits, None
        while found != before:
            before = found
            able = [t for t in self.logits if found[t] < start[t]]
            for t in sorted(able, key=lambda t: (-found[t], self._worth(found, t, found[t] * 2)), reverse=True):
                raised = found.with_bits({t: found[t] * 2})
                if self._fits(raised, bounds):
                    found = raised
        return found

    def _worth(self, bits: Mapping[int, int], tensor: int, width: int) -> tuple[float, float]:
        """The worth of a tensor's width over half of it: the cycles that it saves, where speed counts, then its
        logit."""
        logit = float(self.logits[tensor][self.widths.index(width) - 1])
        if not self.by_speed:
            return 0.0, logit
        half, whole = {**bits, tensor: width // 2}, {**bits, tensor: width}
        concerned = [layer for layer in self.layers if tensor in (layer.map, layer.weights)]
        saved = sum(layer.cycles_at(half) - layer.cycles_at(whole) for layer in concerned)
        return saved, logit


def _fits_layer(layer: Layer, bits: Mapping[int, int], ram_bytes: float) -> bool:
    return layer.working_bytes(bits) <= ram_bytes
