"""Free bits: the published rule on layers of their own, the shared map's rule, and bounds."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.networks import inverted_residual
from tests.support.search_problems import problem_of
from tflm_quantmcu.cost.instructions import graph_instructions
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.search.free_bits import TimedLayer, free_bits, timed_layers
from tflm_quantmcu.search.network import Network

WIDTHS = (8, 4, 2)
# Packed weights cost unpacking, unless the map is packed too; 2-bit weights always do.
SLOW_MIXES = {(8, 8): 100, (8, 4): 110, (8, 2): 130, (4, 8): 105, (4, 4): 80, (4, 2): 120}
SLOW_MIXES |= {(2, 8): 140, (2, 4): 90, (2, 2): 150}


def _layer(map: int, weights: int, table: Mapping[tuple[int, int], float]) -> TimedLayer:
    return TimedLayer(weights, map, weights, table)


def _run(layers: list[TimedLayer], bits: dict[int, int], *, extra=lambda bits: 0, allows=lambda bits: True):
    def cycles(bits: Mapping[int, int]) -> float:
        return sum(layer.cycles[bits[layer.map], bits[layer.weights]] for layer in layers) + extra(bits)

    found = free_bits(layers, bits, cycles=cycles, allows=allows)
    assert all(found[t] >= bits[t] for t in bits)
    assert cycles(found) <= cycles(bits)
    return found


def test_a_layer_takes_the_fastest_of_all_higher_widths():
    for start, expected in (
        ((8, 2), (8, 8)),
        ((4, 2), (4, 4)),
        ((4, 8), (8, 8)),
        ((4, 4), (4, 4)),
        ((2, 8), (8, 8)),
        ((2, 2), (4, 4)),
    ):
        found = _run([_layer(0, 1, SLOW_MIXES)], dict(enumerate(start)))
        assert (found[0], found[1]) == expected


def test_equally_fast_widths_are_not_raised():
    flat = {(a, w): 1.0 for a in WIDTHS for w in WIDTHS}
    assert _run([_layer(0, 1, flat)], {0: 2, 1: 4}) == {0: 2, 1: 4}


def test_a_shared_map_gets_the_most_that_is_asked_for_and_weights_are_chosen_anew():
    """The first layer alone would stay at (2, 4); with the map at 8 bits its weights follow."""
    first = SLOW_MIXES | {(2, 4): 60}
    second = {(a, w): 1000 / a for a in WIDTHS for w in WIDTHS}
    assert _run([_layer(0, 1, first)], {0: 2, 1: 4}) == {0: 2, 1: 4}
    assert _run([_layer(0, 1, first), _layer(0, 2, second)], {0: 2, 1: 4, 2: 8}) == {0: 8, 1: 8, 2: 8}


def test_a_shared_map_stays_where_raising_it_slows_the_network():
    """What the second layer would win the first would lose; its weights are raised all the same."""
    first = {(a, w): 10 * a + (w < 8) for a in WIDTHS for w in WIDTHS}
    second = {(a, w): 20 - a for a in WIDTHS for w in WIDTHS}
    assert _run([_layer(0, 1, first), _layer(0, 2, second)], {0: 4, 1: 4, 2: 4}) == {0: 4, 1: 8, 2: 4}


def test_what_raising_a_map_costs_elsewhere_counts():
    """An add that reads the map takes longer at 8 bits."""
    layer = _layer(0, 1, {(a, w): 100 - a for a in WIDTHS for w in WIDTHS})
    assert _run([layer], {0: 4, 1: 8})[0] == 8
    assert _run([layer], {0: 4, 1: 8}, extra=lambda bits: 50 * (bits[0] == 8))[0] == 4


def test_bounds_are_kept_and_what_fits_is_raised():
    layers = [_layer(0, 1, SLOW_MIXES), _layer(0, 2, SLOW_MIXES)]
    bits = {0: 8, 1: 4, 2: 4}
    found = _run(layers, bits, allows=lambda bits: bits[1] + bits[2] <= 12)
    assert sorted((found[1], found[2])) == [4, 8]
    assert _run(layers, bits, allows=lambda found: found == bits) == bits
    assert _run([layers[0]], {0: 4, 1: 8}, allows=lambda bits: bits[0] == 4) == {0: 4, 1: 8}


def test_weights_of_several_layers_have_one_width():
    layers = [_layer(0, 2, SLOW_MIXES), _layer(1, 2, SLOW_MIXES)]
    assert _run(layers, {0: 8, 1: 8, 2: 4}) == {0: 8, 1: 8, 2: 8}


def _layers_of(graph: ModelGraph, network: Network) -> list[tuple[TimedLayer, str, str]]:
    return [(layer, *(graph.tensors[t].name for t in (layer.map, layer.weights))) for layer in timed_layers(network)]


def test_layers_of_a_network_have_the_tables_cycles_at_the_widths_that_are_free():
    problem = problem_of(inverted_residual(size=8), None, pinned_layers="last")
    layers = _layers_of(problem.graph, Network.of(problem))
    assert len(layers) == sum(op.traits.has_filter for op in problem.graph.ops) == 8
    assert {len(layer.cycles) for layer, *_ in layers} == {3, 9, 1}
    assert set(layers[0][0].cycles) == {(8, w) for w in WIDTHS}  # the network's input
    for layer, map_name, weights_name in layers:
        for (a, w), cycles in layer.cycles.items():
            bits = {"map_bits": {map_name: a}, "weight_bits": {weights_name: w}}
            table = problem.cost.cycles
            assert graph_instructions(problem.graph, table, only=[layer.op], **bits) == cycles
