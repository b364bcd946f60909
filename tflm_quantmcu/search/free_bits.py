"""Free bits: more bits wherever a core needs fewer cycles for them.

In: the widths of a network, and what its layers take at which widths. Out: widths none of which is smaller. No model,
no calibration: bounds and the network's sum are functions that the caller gives.

Source: Rutishauser et al., arXiv 2307.02894 and its authors' code. For a layer with the widths (a, w) of the map that
it reads and of its weights, of all (a', w') with a' >= a and w' >= w that are faster the fastest is taken. Ours, since
there the last of several layers that read one map decides: the map gets the most that any of them asks for, then each
chooses its weights for that; it stands if the whole network becomes faster, else they choose weights for the map as it
is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from tflm_quantmcu.cost.instructions import graph_instructions
from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.widths import weighted_ops

Bits = Mapping[int, int]


@dataclasses.dataclass(frozen=True)
class TimedLayer:
    """A convolution or fully connected op and what its widths cost.

    Attributes:
      op: index.
      map, weights: tensor indices of the map that it reads and of its weights.
      cycles: (map bits, weight bits) -> cycles, of all widths that the two may have.
    """

    op: int
    map: int
    weights: int
    cycles: Mapping[tuple[int, int], float]

    def cycles_at(self, bits: Bits) -> float:
        """Cycles with maps and weights at these bits."""
        return self.cycles[bits[self.map], bits[self.weights]]

    def fastest(self, map_bits: Sequence[int], least_weight_bits: int) -> tuple[int, int]:
        """(map bits, weight bits) of the fewest cycles, of equal ones those of the fewest bits.

        Args:
          map_bits: candidates.
          least_weight_bits: of the weights.
        """
        able = [(a, w) for a, w in self.cycles if a in map_bits and w >= least_weight_bits]
        return min(able, key=lambda pair: (self.cycles[pair], pair))


def timed_layers(network: Network) -> list[TimedLayer]:
    """The layers of a network, by the instruction table of its problem, at all widths that are free."""
    graph, table, fixed = network.problem.graph, network.problem.cost.cycles, network.fixed

    def widths(tensor: int) -> tuple[int, ...]:
        return (fixed[tensor],) if tensor in fixed else BIT_WIDTHS

    layers = []
    for op in weighted_ops(graph):
        source, weights = (graph.tensors[t] for t in op.inputs[:2])
        cycles = {
            (a, w): graph_instructions(
                graph, table, map_bits={source.name: a}, weight_bits={weights.name: w}, only=[op.index]
            )
            for a in widths(source.index)
            for w in widths(weights.index)
        }
        layers.append(TimedLayer(op.index, source.index, weights.index, cycles))
    return layers


def free_bits(
    layers: Sequence[TimedLayer],
    bits: Bits,
    *,
    cycles: Callable[[Bits], float],
    allows: Callable[[Bits], bool],
) -> dict[int, int]:
    """Raises widths until nothing becomes faster.

    Args:
      layers: in execution order.
      bits: tensor index -> bits, of all maps and weights of the layers, and any others.
      cycles: of the whole network; what is raised makes it less.
      allows: whether widths keep the budgets.

    Returns:
      Tensor index -> bits, none below those given.
    """
    found, least = dict(bits), cycles(bits)
    readers: dict[int, list[TimedLayer]] = {}
    for layer in layers:
        readers.setdefault(layer.map, []).append(layer)
    before = None
    while found != before:
        before = dict(found)
        for reading in readers.values():
            for raised in _proposals(reading, found):
                if raised != found and allows(raised) and (total := cycles(raised)) < least:
                    found, least = raised, total
                    break
    return found


def _proposals(reading: Sequence[TimedLayer], bits: Bits) -> Iterator[dict[int, int]]:
    """What the layers that read one map ask for: map and weights, weights alone, the weights of each alone."""
    of_map = bits[reading[0].map]
    higher = [a for a in BIT_WIDTHS if a >= of_map]
    wanted = max(layer.fastest(higher, bits[layer.weights])[0] for layer in reading)
    if wanted > of_map:
        yield _with_fastest_weights(reading, {**bits, reading[0].map: wanted})
    yield _with_fastest_weights(reading, bits)
    for layer in reading:
        yield _with_fastest_weights([layer], bits)


def _with_fastest_weights(reading: Sequence[TimedLayer], bits: Bits) -> dict[int, int]:
    raised = dict(bits)
    for layer in reading:
        raised[layer.weights] = layer.fastest([raised[layer.map]], raised[layer.weights])[1]
    return raised
