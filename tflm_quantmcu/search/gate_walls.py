"""The walls of search hybrid: widths become widths that keep the budgets, with all free bits that there is room for.

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

from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.free_bits import TimedLayer, free_bits
from tflm_quantmcu.search.memory_rules import Layer
from tflm_quantmcu.search.network import Network

MAX_CONVERSIONS = 8  # where that is not enough the bounds are nearly out of reach

Bits = Mapping[int, int]


@dataclasses.dataclass(frozen=True)
class Kept:
    """Widths that keep the budgets.

    Attributes:
      bits: tensor index -> bits, of all maps and weights.
      instructions: with them.
      instructions_before: without free bits.
    """

    bits: Bits
    instructions: int
    instructions_before: int


@dataclasses.dataclass(frozen=True)
class Bounds:
    """On what is counted: bytes of the fullest layer's maps and of all weights, and BitOPs.

    Attributes:
      ram_bytes, weight_bytes, bit_ops: infinite where there is no budget.
    """

    ram_bytes: float
    weight_bytes: float
    bit_ops: float

    @staticmethod
    def of(network: Network) -> Bounds:
        """Those of the budgets; for weights what they may take beside the least that else is in a model."""
        budget, measure = network.problem.budget, network.problem.bytes_of
        weight_bytes = math.inf
        if budget.flash_bytes is not None:
            # Where nothing is lowered the file keeps what conversion leaves out; lowered weights need more tables.
            beside = []
            for weights in (network.uncut_weights, {i: network.fixed_weights.get(i, 2) for i in network.weights}):
                stored = measure(network.plan(network.uncut_maps, weights, method="hybrid")).flash_bytes
                beside.append(stored - network.weight_bytes(weights))
            weight_bytes = budget.flash_bytes - min(beside)
        ram_bytes, bit_ops = (math.inf if bound is None else bound for bound in (budget.sram_bytes, budget.bit_ops))
        return Bounds(ram_bytes, weight_bytes, bit_ops)

    def are_kept(self, network: Network, bits: Bits) -> bool:
        """By all maps and weights at these bits."""
        maps, weights = split(network, bits)
        if network.ram_bytes(maps) > self.ram_bytes or network.weight_bytes(weights) > self.weight_bytes:
            return False
        return math.isinf(self.bit_ops) or network.work(maps, weights).bit_ops <= self.bit_ops

    def with_room(self, counted: tuple[int, int], rooms: tuple[float, float]) -> Bounds:
        """What a converted model takes, as of `without_excess`, and what it leaves."""
        ram, weights = (number + room for number, room in zip(counted, rooms, strict=True))
        return dataclasses.replace(self, ram_bytes=ram, weight_bytes=weights)

    def at_least(self, counted: tuple[int, int]) -> Bounds:
        """With room for these bytes of maps and of weights."""
        return dataclasses.replace(
            self, ram_bytes=max(self.ram_bytes, counted[0]), weight_bytes=max(self.weight_bytes, counted[1])
        )

    def without_excess(self, counted: tuple[int, int], rooms: tuple[float, float]) -> Bounds:
        """Lowered by what a converted model exceeds its budgets.

        Args:
          counted: bytes of its fullest layer's maps, and of its weights.
          rooms: what it leaves of the SRAM and the flash budget; below 0 it exceeds them.
        """
        ram, weights = (
            min(bound, number) + room if room < 0 else bound
            for bound, number, room in zip((self.ram_bytes, self.weight_bytes), counted, rooms, strict=True)
        )
        return dataclasses.replace(self, ram_bytes=ram, weight_bytes=weights)


def split(network: Network, bits: Bits) -> tuple[dict[int, int], dict[int, int]]:
    """The bits of maps and of weights as the network names them."""
    return {m: bits[m] for m in network.uncut_maps}, {i: bits[t.index] for i, t in network.weights.items()}


def join(network: Network, maps: Bits, weights: Bits) -> dict[int, int]:
    """The reverse of `split`."""
    return {**maps, **{tensor.index: weights[i] for i, tensor in network.weights.items()}}


@dataclasses.dataclass(frozen=True, eq=False)
class GateWalls:
    """The walls of a network; bits are by tensor index, of maps and weights alike.

    Attributes:
      network: of the problem whose budgets count.
      bounds: of its budgets, to begin with.
      layers: `timed_layers` of it.
      logits: free tensor -> logits of its gates.
      widths: that free tensors may be lowered to, ascending.
      make_plan: the plan of widths.
      by_speed: of the tensors with the most bits the one goes first whose layers gain the most instructions by that, or
        lose the fewest, and logits decide between equal ones.
    """

    network: Network
    bounds: Bounds
    layers: Sequence[TimedLayer]
    logits: Mapping[int, np.ndarray]
    widths: Sequence[int]
    make_plan: Callable[[Kept], PrecisionPlan]
    by_speed: bool = False

    def instructions(self, bits: Bits) -> int:
        return self.network.work(*split(self.network, bits)).instructions

    def smallest(self) -> Kept:
        """All that is free at the smallest width, whatever the budgets."""
        uncut = join(self.network, self.network.uncut_maps, self.network.uncut_weights)
        bits = {t: self.widths[0] if t in self.logits else b for t, b in uncut.items()}
        return self._kept(bits, bits)

    def keep(self, start: Bits) -> Kept | None:
        """Widths of at most those given, but for free bits, that keep every budget; None where the walls end above."""
        start = {t: max(b, self.widths[0]) if t in self.logits else b for t, b in start.items()}
        cut = self._cut_to_fit(start)
        if cut is None:
            return None
        raised = self._raise_to_fit(cut)
        kept, bound = self._kept(raised, cut), self.network.problem.budget.instructions
        return None if bound is not None and kept.instructions > bound else kept

    def _cut_to_fit(self, start: Bits) -> Bits | None:
        bounds = self.bounds
        counted = bounds.at_least(self._counted(start))
        if self._fits(start, counted) and min(self._rooms(start, start)) >= 0:
            return start
        best: Bits | None = None
        for _ in range(MAX_CONVERSIONS):
            cut = self.cut(start, bounds)
            if cut == best or not self._fits(cut, bounds):
                break
            rooms = self._rooms(cut, cut)
            if min(rooms) >= 0:  # once more with what this model leaves
                best, bounds = cut, bounds.with_room(self._counted(cut), rooms)
            elif best is not None:
                break
            else:
                bounds = bounds.without_excess(self._counted(cut), rooms)
        return best

    def _raise_to_fit(self, cut: Bits) -> Bits:
        bounds = self.bounds.at_least(self._counted(cut))
        for _ in range(MAX_CONVERSIONS):
            raised = self._raise_free(cut, bounds)
            rooms = self._rooms(raised, cut)
            if min(rooms) >= 0:
                return raised
            bounds = bounds.without_excess(self._counted(raised), rooms)
        return cut

    def _kept(self, bits: Bits, cut: Bits) -> Kept:
        return Kept(bits, self.instructions(bits), self.instructions(cut))

    def _counted(self, bits: Bits) -> tuple[int, int]:
        maps, weights = split(self.network, bits)
        return self.network.ram_bytes(maps), self.network.weight_bytes(weights)

    def _rooms(self, bits: Bits, cut: Bits) -> tuple[float, float]:
        """What the converted model leaves of the SRAM and the flash budget."""
        budget = self.network.problem.budget
        if (budget.sram_bytes, budget.flash_bytes) == (None, None):
            return math.inf, math.inf
        found = self.network.problem.bytes_of(self.make_plan(self._kept(bits, cut)))
        return (
            math.inf if budget.sram_bytes is None else budget.sram_bytes - found.arena_bytes,
            math.inf if budget.flash_bytes is None else budget.flash_bytes - found.flash_bytes,
        )

    def _keeps_instructions(self, bits: Bits, bounds: Bounds) -> bool:
        """After free bits."""
        bound = self.network.problem.budget.instructions
        return bound is None or self.instructions(self._raise_free(bits, bounds)) <= bound

    def _fits(self, bits: Bits, bounds: Bounds) -> bool:
        return bounds.are_kept(self.network, bits) and self._keeps_instructions(bits, bounds)

    def _raise_free(self, bits: Bits, bounds: Bounds) -> dict[int, int]:
        return free_bits(
            self.layers,
            bits,
            instructions=self.instructions,
            allows=lambda raised: bounds.are_kept(self.network, raised),
        )

    def cut(self, start: Bits, bounds: Bounds) -> dict[int, int]:
        """Widths of at most those given within the bounds, as far as cuts can."""
        network, bits = self.network, dict(start)
        weights = [tensor.index for tensor in network.weights.values()]
        for layer in network.layers:
            maps = [*layer.held, layer.output]
            self._lower(bits, maps, functools.partial(_fits_layer, layer, bits, bounds.ram_bytes))
        self._lower(bits, weights, lambda: network.weight_bytes(split(network, bits)[1]) <= bounds.weight_bytes)
        self._lower(bits, self.logits, lambda: bounds.are_kept(network, bits))
        self._lower(bits, self.logits, lambda: self._keeps_instructions(bits, bounds))
        return self._restore(bits, start, bounds) if self._fits(bits, bounds) else bits

    def _lower(self, bits: dict[int, int], tensors: Iterable[int], is_met: Callable[[], bool]) -> None:
        free = [t for t in tensors if t in self.logits]
        while not is_met() and (able := [t for t in free if bits[t] > self.widths[0]]):
            bits[min(able, key=lambda t: (-bits[t], self._worth(bits, t, bits[t])))] //= 2

    def _restore(self, bits: Bits, start: Bits, bounds: Bounds) -> dict[int, int]:
        """Raises what there is room for, step by step: the fewest bits first, of those what is worth the most."""
        found, before = dict(bits), None
        while found != before:
            before = dict(found)
            able = [t for t in self.logits if found[t] < start[t]]
            for t in sorted(able, key=lambda t: (-found[t], self._worth(found, t, found[t] * 2)), reverse=True):
                raised = {**found, t: found[t] * 2}
                if self._fits(raised, bounds):
                    found = raised
        return found

    def _worth(self, bits: Bits, tensor: int, width: int) -> tuple[float, float]:
        """Of a tensor's width over half of it: the instructions that it saves, where speed counts, then its logit."""
        logit = float(self.logits[tensor][self.widths.index(width) - 1])
        if not self.by_speed:
            return 0.0, logit
        half, whole = {**bits, tensor: width // 2}, {**bits, tensor: width}
        concerned = [layer for layer in self.layers if tensor in (layer.map, layer.weights)]
        saved = sum(layer.instructions_at(half) - layer.instructions_at(whole) for layer in concerned)
        return saved, logit


def _fits_layer(layer: Layer, bits: Bits, ram_bytes: float) -> bool:
    return layer.working_bytes(bits) <= ram_bytes
