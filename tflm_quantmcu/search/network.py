"""A search's problem as the rules of memory-driven precision see it: layers, and which widths are free.

In: a SearchProblem. Out: the layers that `memory_rules` works on, what widths take in bytes and work, and the plan that
they make. Every op of the model is a layer, with its scratch and all maps that are live. Maps that stock ops read or
write keep 8 bits, as do the network's input and output.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from tflm_quantmcu.arena.predict import op_scratch_bytes, placed_bytes
from tflm_quantmcu.cost.network_cost import Cost, cost_of
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph, Tensor
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.search.memory_rules import Extent, Layer
from tflm_quantmcu.search.overrides import override_plan
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.common import PinnedSettings
from tflm_quantmcu.search.widths import free_maps, free_weights, weighted_ops

Bits = Mapping[int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """Layers and widths of a problem; bits are by tensor index for maps, by layer index for weights.

    Attributes:
      problem: the search's.
      layers: an op each; maps are tensor indices.
      weights: layer index -> weight tensor; what several layers share stands with the first.
      fixed_maps, fixed_weights: the widths that are given: 8 bits where nothing else is possible, or what the user set.
    """

    problem: SearchProblem
    layers: Sequence[Layer]
    weights: Mapping[int, Tensor]
    fixed_maps: Bits
    fixed_weights: Bits

    @staticmethod
    def of(problem: SearchProblem) -> Network:
        """The network of a problem, with its `pinned_layers`."""
        graph, fixed = problem.graph, problem.fixed
        weights: dict[int, Tensor] = {}
        for op in weighted_ops(graph):
            if graph.tensors[op.inputs[1]] not in weights.values():
                weights[op.index] = graph.tensors[op.inputs[1]]
        free = {
            *free_maps(graph, alone=True),
            *free_weights(graph, problem.settings.part(PinnedSettings).pinned_layers),
        }
        return Network(
            problem,
            _layers(graph, weights),
            weights,
            _fixed({t.index: t.name for t in graph.tensors if not t.is_constant}, free, fixed.activation_bits),
            _fixed({i: t.name for i, t in weights.items()}, free, fixed.weight_bits),
        )

    @functools.cached_property
    def uncut_maps(self) -> Bits:
        return {m: self.fixed_maps.get(m, 8) for layer in self.layers for m in (*layer.held, layer.output)}

    @functools.cached_property
    def uncut_weights(self) -> Bits:
        return {i: self.fixed_weights.get(i, 8) for i in self.weights}

    def ram_bytes(self, maps: Bits) -> int:
        """Of the layer that holds the most."""
        return max(layer.working_bytes(maps) for layer in self.layers)

    def weight_bytes(self, weights: Bits) -> int:
        return sum(self.layers[i].weight_bytes(weights.get(i, 8)) for i in self.weights)

    def work(self, maps: Bits, weights: Bits) -> Cost:
        """That of the plan which these widths make."""
        return cost_of(
            self.problem.graph,
            map_bits=self._map_names(maps),
            weight_bits=self._weight_names(weights),
            table=self.problem.cost.table,
        )

    def plan(self, maps: Bits, weights: Bits, *, method: str, **found: Any) -> PrecisionPlan:
        """The plan of these widths.

        Args:
          maps, weights: bits; what is missing has 8.
          method, **found: for the plan's provenance.
        """
        problem, graph = self.problem, self.problem.graph
        map_bits, weight_bits = self._map_names(maps), self._weight_names(weights)
        fullest = max(self.layers, key=lambda layer: layer.working_bytes(maps))
        note = (
            f"{len(map_bits)} of {len(maps)} maps and {len(weight_bits)} of {len(weights)} weights are below 8 bits; "
            f"'{fullest.name}' holds the most, {fullest.working_bytes(maps):,} bytes"
        )
        plan = PrecisionPlan(
            graph.sha256,
            problem.provenance(method, flash_bytes=problem.budget.flash_bytes, **found),
            formats={name: self._format_of(name, b) for name, b in map_bits.items()},
            weight_bits=weight_bits,
            notes=(note,),
        )
        return override_plan(graph, plan, problem.fixed, problem.format_of)

    def widths_of(self, plan: PrecisionPlan) -> tuple[dict[int, int], dict[int, int]]:
        """The bits of all maps and all weights in a plan without stages."""
        names = self.problem.graph.tensors
        maps = {m: plan.formats[names[m].name].bits if names[m].name in plan.formats else 8 for m in self.uncut_maps}
        return maps, {i: plan.weight_bits.get(t.name, 8) for i, t in self.weights.items()}

    def _map_names(self, maps: Bits) -> dict[str, int]:
        return {self.problem.graph.tensors[m].name: b for m, b in maps.items() if b < 8}

    def _weight_names(self, weights: Bits) -> dict[str, int]:
        return {self.weights[i].name: b for i, b in weights.items() if b < 8}

    @functools.cached_property
    def _format_of(self) -> Any:
        """Kept, since searches ask for the same formats again and again."""
        return functools.cache(self.problem.format_of)


def _fixed(names: Mapping[int, str], free: set[str], chosen: Mapping[str, int]) -> dict[int, int]:
    """The bits that are given: 8 where nothing else is possible, else what the user chose."""
    return {i: chosen.get(n, 8) if n in free else 8 for i, n in names.items() if n not in free or n in chosen}


def _layers(graph: ModelGraph, weights: Mapping[int, Tensor]) -> list[Layer]:
    """Every op with all maps that are live beside its output."""
    folded = LoweredNetwork.of(graph).folded
    num_bytes = [0 if t in folded else n for t, n in enumerate(placed_bytes(graph))]
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
    """Of other types than int8, and of maps that no converted model has, the bytes, which are never cut."""
    if tensor.dtype != "int8" or not tensor.shape or not num_bytes:
        return Extent(num_bytes, 1)
    return Extent(tensor.num_elements // tensor.shape[-1], tensor.shape[-1])
