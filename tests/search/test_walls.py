"""Walls: any wish becomes widths that keep every budget on the converted model, and use what these leave."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import problem_of
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.walls import Walls, choices_of, join

MODEL = inverted_residual(size=8, channels=16)
SAMPLES = np.random.default_rng(0).integers(-100, 100, (8, 8, 8, 3), dtype=np.int8)


def _walls(*, min_bits: int = 2, **options) -> Walls:
    problem = problem_of(MODEL, SAMPLES, compensation="bias", **options)
    network = Network.of(problem)
    choices = choices_of(network)
    return Walls(network, choices, min_bits=min_bits, like=(4,) * len(choices))


FREE = _walls()
COUNT = len(choices_of(FREE._network))
PLAIN = FREE.measured((8,) * COUNT)
WORK = FREE.work((8,) * COUNT)


@pytest.mark.parametrize(
    "options",
    (
        {"sram_bytes": PLAIN.arena_bytes * 6 // 10},
        {"flash_bytes": PLAIN.flash_bytes * 8 // 10},
        {"sram_bytes": PLAIN.arena_bytes * 8 // 10, "flash_bytes": PLAIN.flash_bytes * 8 // 10},
        {"max_bit_ops": WORK.bit_ops // 3},
        {"sram_bytes": PLAIN.arena_bytes * 6 // 10, "max_bit_ops": WORK.bit_ops // 3},
        {"sram_bytes": PLAIN.arena_bytes * 6 // 10, "max_instructions": WORK.instructions},
    ),
)
def test_wishes_become_widths_that_keep_every_budget_and_leave_no_room(options):
    walls, random = _walls(**options), np.random.default_rng(1)
    for _ in range(3):
        wishes = random.random(COUNT)
        found = walls.enforce(tuple(random.choice((2, 4, 8), COUNT).tolist()), wishes.tolist())
        assert found and walls.keeps(found)
        assert walls.measured(found).arena_bytes <= options.get("sram_bytes", math.inf)
        assert walls.measured(found).flash_bytes <= options.get("flash_bytes", math.inf)
        assert walls.work(found).bit_ops <= options.get("max_bit_ops", math.inf)
        assert walls.work(found).instructions <= options.get("max_instructions", math.inf)
        if options.keys() == {"max_bit_ops"}:  # which is counted alone, so that nothing is left at all
            raised = [(*found[:i], 2 * bits, *found[i + 1 :]) for i, bits in enumerate(found) if bits < 8]
            assert all(walls.work(w).bit_ops > options["max_bit_ops"] or w == found for w in raised)


def test_what_is_wished_for_most_is_raised_first():
    walls = _walls(max_bit_ops=WORK.bit_ops // 3)
    for place in (0, COUNT - 2):
        wishes = [float(i == place) for i in range(COUNT)]
        found = walls.enforce((2,) * COUNT, wishes)
        others = walls.enforce((2,) * COUNT, [1 - wish for wish in wishes])
        assert found and others and found[place] == 8 >= others[place]


def test_without_a_budget_all_is_raised_and_out_of_reach_there_is_nothing():
    assert FREE.enforce((2,) * COUNT, [0.0] * COUNT) == (8,) * COUNT
    for bound in ("sram_bytes", "flash_bytes", "max_bit_ops"):
        walls = _walls(**{bound: 1000})
        assert walls.enforce((8,) * COUNT, [0.0] * COUNT) is None and not walls.keeps((2,) * COUNT)


def test_the_smallest_width_is_kept():
    walls = _walls(min_bits=4, max_bit_ops=WORK.bit_ops // 3)
    found = walls.enforce((4,) * COUNT, [0.0] * COUNT)
    assert found and set(found) <= {4, 8} and 4 in found


def test_choices_are_layer_by_layer_the_weights_first_and_split_again():
    network = FREE._network
    choices = choices_of(network)
    assert [c.layer for c in choices] == sorted(c.layer for c in choices)
    assert choices[0].map is None and choices[1].map == network.layers[0].output
    assert not {c.map for c in choices} & {*network.problem.graph.inputs, *network.problem.graph.outputs}
    widths = tuple((2, 4, 8)[i % 3] for i in range(COUNT))
    assert join(choices, *FREE.split(widths)) == widths
    assert network.widths_of(network.plan(*FREE.split(widths), method="rl")) == FREE.split(widths)


def test_work_is_that_of_the_plan():
    widths = tuple((2, 4, 8)[i % 3] for i in range(COUNT))
    assert FREE.work(widths) == FREE._network.problem.cost.work_of(FREE.plan(widths))
