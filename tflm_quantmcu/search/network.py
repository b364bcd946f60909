"""A search's problem as the rules of memory-driven precision see it: layers, and which widths are free.

In: a SearchProblem. Out: the layers that `memory_rules` works on, what widths take in bytes and work, and the plan that
they make. Every op of the model is a layer, with its scratch and all maps that are live. Maps that stock ops read or
write keep 8 bits, as do the network's input and output.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tflm_quantmcu.arena.predict import converted_scratch_bytes, placed_bytes
from tflm_quantmcu.cost.network_cost import Cost, cost_of
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.search.memory_rules import Extent, Layer
from tflm_quantmcu.search.overrides import override_plan
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.common import PinnedSettings
from tflm_quantmcu.search.widths import Widths, free_maps, free_weights, weighted_ops


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """Layers of a problem, and which of their widths are free.

    Attributes:
      problem: the search's.
      layers: an op each; maps are tensor indices.
      weights: layer index -> weight tensor; what several layers share stands with the first.
      fixed: tensor -> the width that is given: 8 bits where nothing else is possible, or what the user set.
    """

    problem: SearchProblem
    layers: Sequence[Layer]
    weights: Mapping[int, Tensor]
    fixed: Mapping[int, int]

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
            _layers(problem, weights),
            weights,
            {
                **_fixed([t for t in graph.tensors if not t.is_constant], free, fixed.activation_bits),
                **_fixed(weights.values(), free, fixed.weight_bits),
            },
        )

    @functools.cached_property
    def maps(self) -> tuple[int, ...]:
        """Tensor indices, in execution order."""
        return tuple(dict.fromkeys(m for layer in self.layers for m in (*layer.held, layer.output)))

    @functools.cached_property
    def uncut(self) -> Widths:
        """8 bits, but where another width is given."""
        tensors = (*self.maps, *(tensor.index for tensor in self.weights.values()))
        return Widths({t: self.fixed.get(t, 8) for t in tensors})

    def by_layer(self, bits: Mapping[int, int]) -> dict[int, int]:
        """Layer index -> bits of its weights, as far as they have any."""
        return {i: bits[tensor.index] for i, tensor in self.weights.items() if tensor.index in bits}

    def with_weights(self, widths: Widths, by_layer: Mapping[int, int]) -> Widths:
        """The widths with those of some layers' weights."""
        return widths.with_bits({self.weights[i].index: bits for i, bits in by_layer.items()})

    def ram_bytes(self, widths: Mapping[int, int]) -> int:
        """Bytes of the layer that holds the most."""
        return max(layer.working_bytes(widths) for layer in self.layers)

    def weight_bytes(self, widths: Mapping[int, int]) -> int:
        return sum(self.layers[i].weight_bytes(widths[tensor.index]) for i, tensor in self.weights.items())

    def work(self, widths: Mapping[int, int]) -> Cost:
        """That of the plan which these widths make."""
        return cost_of(
            self.problem.graph,
            map_bits=self._map_names(widths),
            weight_bits=self._weight_names(widths),
            table=self.problem.cost.table,
        )

    def plan(self, widths: Mapping[int, int], *, method: str, **found: Any) -> PrecisionPlan:
        """The plan of these widths; `method` and `found` are for its provenance."""
        problem, graph = self.problem, self.problem.graph
        map_bits, weight_bits = self._map_names(widths), self._weight_names(widths)
        fullest = max(self.layers, key=lambda layer: layer.working_bytes(widths))
        note = (
            f"{len(map_bits)} of {len(self.maps)} maps and {len(weight_bits)} of {len(self.weights)} weights are below "
            f"8 bits; '{fullest.name}' holds the most, {fullest.working_bytes(widths):,} bytes"
        )
        plan = PrecisionPlan(
            graph.sha256,
            problem.provenance(method, flash_bytes=problem.budget.flash_bytes, **found),
            formats={name: self._format_of(name, b) for name, b in map_bits.items()},
            weight_bits=weight_bits,
            notes=(note,),
        )
        return override_plan(graph, plan, problem.fixed, problem.format_of)

    def widths_of(self, plan: PrecisionPlan) -> Widths:
        """Those of a plan without stages."""
        names = {m: self.problem.graph.tensors[m].name for m in self.maps}
        maps = {m: plan.formats[name].bits if name in plan.formats else 8 for m, name in names.items()}
        return Widths({**maps, **{t.index: plan.weight_bits.get(t.name, 8) for t in self.weights.values()}})

    def _map_names(self, widths: Mapping[int, int]) -> dict[str, int]:
        return {self.problem.graph.tensors[m].name: widths[m] for m in self.maps if widths[m] < 8}

    def _weight_names(self, widths: Mapping[int, int]) -> dict[str, int]:
        return {t.name: widths[t.index] for t in self.weights.values() if widths[t.index] < 8}

    @functools.cached_property
    def _format_of(self) -> Any:
        """Kept, since searches ask for the same formats again and again."""
        return functools.cache(self.problem.format_of)


def _fixed(tensors: Iterable[Tensor], free: set[str], chosen: Mapping[str, int]) -> dict[int, int]:
    """The bits that are given: 8 where nothing else is possible, else what the user chose."""
    given = [t for t in tensors if t.name not in free or t.name in chosen]
    return {t.index: chosen.get(t.name, 8) if t.name in free else 8 for t in given}


def _layers(problem: SearchProblem, weights: Mapping[int, Tensor]) -> list[Layer]:
    """Every op with all maps that are live beside its output."""
    graph, stock_kernels = problem.graph, problem.cost.target.stock_kernels
    network = LoweredNetwork.of(graph)
    folded = network.folded
    num_bytes = [0 if t in folded else n for t, n in enumerate(placed_bytes(graph))]
    last_use = {t: op.index for op in graph.ops for t in network.reads(op)} | dict.fromkeys(
        graph.outputs, len(graph.ops)
    )
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
                scratch_bytes=sum(converted_scratch_bytes(graph, op, problem.variants, stock_kernels)),
            )
        )
        live = [t for t in dict.fromkeys((*live, *op.outputs)) if last_use.get(t, -1) > op.index]
    return layers


def _extent(tensor: Tensor, num_bytes: int) -> Extent:
    """The values; of other types than int8, and of maps that no converted model has, the bytes, which are never cut."""
    if tensor.dtype != "int8" or not tensor.shape or not num_bytes:
        return Extent(num_bytes, 1)
    return Extent(tensor.num_elements // tensor.shape[-1], tensor.shape[-1])
