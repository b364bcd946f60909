"""Memory-driven mixed low precision: the least cuts of maps and weights, layer by layer, that meet both budgets.

Rusci et al., arXiv 1905.13082; the rules and what is our reading of them stand in memory_rules.py. Also our reading,
since a `.tflite` on TFLM holds more than the paper counts:

- Every op of the model is a layer, with its scratch and all maps that are live. Maps that stock ops read or write keep
  8 bits, as do the network's input and output.
- The RAM bound of the rules is lowered by what the converted model exceeds the budget, until it meets it. Weights are
  cut in the rules' order until the converted model meets the flash budget.
- Formats have the least squared error on the calibration data; weights are symmetric, with a scale an output channel.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from tflm_quantmcu.arena import op_scratch_bytes, placed_bytes
from tflm_quantmcu.errors import BudgetError
from tflm_quantmcu.search.memory_rules import (
    Extent,
    Layer,
    Scheme,
    UnreachableError,
    cut_activations,
    read_only_bytes,
    weight_cuts,
)
from tflm_quantmcu.search.overrides import override_plan
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.widths import free_maps, free_weights, weighted_ops
from tflm_quantmcu.types import ModelGraph, PrecisionPlan, Tensor

_Bits = Mapping[int, int]


def search_memory_driven(problem: SearchProblem) -> PrecisionPlan:
    """Cuts maps until the SRAM budget is met, then weights until the flash budget is.

    Parameters:
      memory_driven_min_bits: smallest width of maps and weights.
      memory_driven_margin: weights whose share is less than this below the largest are cut earliest layer first.
      pinned_layers: layers whose weights keep 8 bits; the network's input and output do in any case.

    Raises:
      BudgetError: the rules end above a budget.
    """
    *_, plan = problem.track(_attempts(_Network.of(problem)), "memory_driven")
    return plan


def _attempts(network: _Network) -> Iterator[PrecisionPlan]:
    """Plans of ever more cuts; the last one meets the budgets."""
    sram_bytes, flash_bytes = network.problem.budget.sram_bytes, network.problem.budget.flash_bytes
    measure = network.problem.bytes_of
    maps, cuts = network.uncut_maps, network.weight_cuts()
    plan = network.plan(maps, cuts[0])
    if sram_bytes is not None:
        bound = sram_bytes
        while measure(plan).arena_bytes > sram_bytes:
            yield plan
            maps = network.cut_maps(bound, sram_bytes)
            plan = network.plan(maps, cuts[0])
            bound = min(bound, network.ram_bytes(maps)) - (measure(plan).arena_bytes - sram_bytes)
    if flash_bytes is not None and (excess := measure(plan).flash_bytes - flash_bytes) > 0:
        fewest, most = 1, len(cuts) - 1
        # By the weights alone; what stands beside them changes too, mostly for the smaller.
        tried = bisect.bisect_left(cuts, excess, key=lambda cut: network.weight_bytes({}) - network.weight_bytes(cut))
        while fewest < most:
            yield plan
            tried = min(tried, most - 1)
            if measure(network.plan(maps, cuts[tried])).flash_bytes <= flash_bytes:
                most = tried
            else:
                fewest = tried + 1
            tried = (fewest + most) // 2
        plan = network.plan(maps, cuts[most])
        network.check_flash(plan, flash_bytes)
    yield plan


@dataclasses.dataclass(frozen=True, eq=False)
class _Network:
    """The problem as the rules see it.

    Attributes:
      layers: an op each; maps are tensor indices.
      weights: layer index -> weight tensor.
      fixed_maps, fixed_weights: tensor index or layer index -> bits.
    """

    problem: SearchProblem
    layers: Sequence[Layer]
    weights: Mapping[int, Tensor]
    fixed_maps: _Bits
    fixed_weights: _Bits

    @staticmethod
    def of(problem: SearchProblem) -> _Network:
        graph, fixed = problem.graph, problem.fixed
        weights: dict[int, Tensor] = {}
        for op in weighted_ops(graph):
            if graph.tensors[op.inputs[1]] not in weights.values():
                weights[op.index] = graph.tensors[op.inputs[1]]
        free = {*free_maps(graph, alone=True), *free_weights(graph, problem.parameters["pinned_layers"])}
        return _Network(
            problem,
            _layers(graph, weights),
            weights,
            _fixed({t.index: t.name for t in graph.tensors if not t.is_constant}, free, fixed.activation_bits),
            _fixed({i: t.name for i, t in weights.items()}, free, fixed.weight_bits),
        )

    @property
    def uncut_maps(self) -> _Bits:
        return {m: self.fixed_maps.get(m, 8) for layer in self.layers for m in (*layer.held, layer.output)}

    def ram_bytes(self, maps: _Bits) -> int:
        return max(layer.working_bytes(maps) for layer in self.layers)

    def cut_maps(self, bound: int, sram_bytes: int) -> _Bits:
        """Algorithm 1, or all that may be cut at the smallest width where that alone meets the budget."""
        try:
            return cut_activations(self.layers, bound, fixed=self.fixed_maps, min_bits=self._min_bits)
        except UnreachableError as error:
            assert error.layer
            maps = {m: self.fixed_maps.get(m, self._min_bits) for m in self.uncut_maps}
            smallest = self.problem.bytes_of(self.plan(maps, {})).arena_bytes
            if smallest <= sram_bytes:
                return maps
            raise BudgetError(
                f"--sram_bytes is {sram_bytes:,} and the smallest arena reached is {smallest:,} "
                f"bytes: '{error.layer.name}' has maps of {error.layer.working_bytes(maps):,} bytes with all that may "
                f"be cut at {self._min_bits} bits; raise --sram_bytes or split the network with --search vdqs"
            ) from None

    def weight_bytes(self, bits: _Bits) -> int:
        return sum(self.layers[i].weight_bytes(bits.get(i, 8)) for i in self.weights)

    def weight_cuts(self) -> list[_Bits]:
        """Algorithm 2: no cut, one cut, and so on to the last."""
        margin = self.problem.parameters["memory_driven_margin"]
        return list(weight_cuts(self.layers, fixed=self.fixed_weights, min_bits=self._min_bits, margin=margin))

    def check_flash(self, plan: PrecisionPlan, flash_bytes: int) -> None:
        """Refuses the plan of the most cuts where it is too large."""
        smallest = self.problem.bytes_of(plan).flash_bytes
        if smallest > flash_bytes:
            stored = self.weight_bytes({i: plan.weight_bits.get(t.name, 8) for i, t in self.weights.items()})
            raise BudgetError(
                f"--flash_bytes is {flash_bytes:,} and the smallest model reached is {smallest:,} bytes: {stored:,} of "
                f"weights with all that may be cut at {self._min_bits} bits, the rest is what stands beside them; "
                "raise --flash_bytes, leave out metadata with --strip_metadata or shrink the network"
            )

    @property
    def _min_bits(self) -> int:
        return self.problem.parameters["memory_driven_min_bits"]

    def plan(self, maps: _Bits, weights: _Bits) -> PrecisionPlan:
        problem, graph = self.problem, self.problem.graph
        bits = {graph.tensors[m].name: b for m, b in maps.items() if b < 8}
        weight_bits = {self.weights[i].name: b for i, b in weights.items() if b < 8}
        counted = {
            "ram_bytes": self.ram_bytes(maps),
            "flash_bytes": {s.value: read_only_bytes(self.layers, weights, maps, s) for s in Scheme},
        }
        fullest = max(self.layers, key=lambda layer: layer.working_bytes(maps))
        note = (
            f"{len(bits)} of {len(maps)} maps and {len(weight_bits)} of {len(weights)} weights are below 8 bits; "
            f"'{fullest.name}' holds the most, {fullest.working_bytes(maps):,} bytes"
        )
        plan = PrecisionPlan(
            graph.sha256,
            problem.provenance("memory_driven", flash_bytes=problem.budget.flash_bytes, scores=counted),
            formats={name: problem.format_of(name, b) for name, b in bits.items()},
            weight_bits=weight_bits,
            notes=(note,),
        )
        return override_plan(graph, plan, problem.fixed, problem.format_of)


def _fixed(names: Mapping[int, str], free: set[str], chosen: Mapping[str, int]) -> dict[int, int]:
    """The bits that are given: 8 where nothing else is possible, else what the user chose."""
    return {i: chosen.get(n, 8) if n in free else 8 for i, n in names.items() if n not in free or n in chosen}


def _layers(graph: ModelGraph, weights: Mapping[int, Tensor]) -> list[Layer]:
    """Every op with all maps that are live beside its output."""
    num_bytes = placed_bytes(graph)
    last_use = {t: op.index for op in graph.ops for t in op.inputs} | dict.fromkeys(graph.outputs, len(graph.ops))
    live = list(graph.inputs)
    layers = []
    for op in graph.ops:
        output = op.outputs[0]
        tensor = weights.get(op.index)
        held = [t for t in dict.fromkeys((*live, *op.outputs)) if num_bytes[t] and t != output]
        layers.append(
            Layer(
                name=graph.tensors[output].label,
                held={t: _extent(graph.tensors[t], num_bytes[t]) for t in held},
                output=output,
                written=_extent(graph.tensors[output], num_bytes[output]),
                num_weights=tensor.num_elements if tensor else 0,
                num_outputs=graph.tensors[output].shape[-1] if tensor else 0,
                scratch_bytes=sum(op_scratch_bytes(graph, op)),
            )
        )
        live = [t for t in dict.fromkeys((*live, *op.outputs)) if last_use.get(t, -1) > op.index]
    return layers


def _extent(tensor: Tensor, num_bytes: int) -> Extent:
    """Of other types than int8 the bytes, which are never cut."""
    if tensor.dtype != "int8" or not tensor.shape:
        return Extent(num_bytes, 1)
    return Extent(tensor.num_elements // tensor.shape[-1], tensor.shape[-1])
