"""Budget repair of search rl: any wish becomes widths that keep every budget as converted, and use what these leave."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import problem_of
from tflm_quantmcu.search.budget import BudgetKeeper
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.rl_widths import Repair, choices_of
from tflm_quantmcu.search.widths import Widths

MODEL = inverted_residual(size=8, channels=16)
SAMPLES = np.random.default_rng(0).integers(-100, 100, (8, 8, 8, 3), dtype=np.int8)


def _repair(*, min_bits: int = 2, **options) -> tuple[BudgetKeeper, Repair]:
    network = Network.of(problem_of(MODEL, SAMPLES, compensation="bias", **options))
    keeper = BudgetKeeper(network, functools.partial(network.plan, method="rl"))
    choices = choices_of(network)
    like = network.uncut.with_bits({choice.tensor: 4 for choice in choices})
    return keeper, Repair(keeper, choices, min_bits=min_bits, like=like)


KEEPER, FREE = _repair()
NETWORK = KEEPER.network
TENSORS = [choice.tensor for choice in choices_of(NETWORK)]
COUNT = len(TENSORS)
PLAIN = KEEPER.measured(NETWORK.uncut)
WORK = NETWORK.work(NETWORK.uncut)


def _widths(policy: Iterable[int]) -> Widths:
    return NETWORK.uncut.with_bits(dict(zip(TENSORS, policy, strict=True)))


def _all(bits: int) -> Widths:
    return _widths([bits] * COUNT)


@pytest.mark.parametrize(
    "options",
    (
        {"sram_bytes": PLAIN.arena_bytes * 6 // 10},
        {"flash_bytes": PLAIN.flash_bytes * 8 // 10},
        {"sram_bytes": PLAIN.arena_bytes * 8 // 10, "flash_bytes": PLAIN.flash_bytes * 8 // 10},
        {"max_bit_ops": WORK.bit_ops // 3},
        {"sram_bytes": PLAIN.arena_bytes * 6 // 10, "max_bit_ops": WORK.bit_ops // 3},
        {"sram_bytes": PLAIN.arena_bytes * 6 // 10, "max_instructions": WORK.instructions * 14 // 10},
    ),
)
def test_wishes_become_widths_that_keep_every_budget_and_leave_no_room(options):
    (keeper, repair), random = _repair(**options), np.random.default_rng(1)
    for _ in range(3):
        wishes = random.random(COUNT)
        found = repair.enforce(_widths(random.choice((2, 4, 8), COUNT).tolist()), wishes.tolist())
        assert found and keeper.keeps(found)
        assert keeper.measured(found).arena_bytes <= options.get("sram_bytes", math.inf)
        assert keeper.measured(found).flash_bytes <= options.get("flash_bytes", math.inf)
        assert NETWORK.work(found).bit_ops <= options.get("max_bit_ops", math.inf)
        assert NETWORK.work(found).instructions <= options.get("max_instructions", math.inf)
        if options.keys() == {"max_bit_ops"}:  # which is counted alone, so that nothing is left at all
            raised = [found.with_bits({t: 2 * found[t]}) for t in TENSORS if found[t] < 8]
            assert all(NETWORK.work(w).bit_ops > options["max_bit_ops"] or w == found for w in raised)


def test_what_is_wished_for_most_is_raised_first():
    _, repair = _repair(max_bit_ops=WORK.bit_ops // 3)
    for place in (0, COUNT - 2):
        wishes = [float(i == place) for i in range(COUNT)]
        found = repair.enforce(_all(2), wishes)
        others = repair.enforce(_all(2), [1 - wish for wish in wishes])
        assert found and others and found[TENSORS[place]] == 8 >= others[TENSORS[place]]


def test_without_a_budget_all_is_raised_and_out_of_reach_there_is_nothing():
    assert FREE.enforce(_all(2), [0.0] * COUNT) == _all(8) == NETWORK.uncut
    for bound in ("sram_bytes", "flash_bytes", "max_bit_ops"):
        keeper, repair = _repair(**{bound: 1000})
        assert repair.enforce(_all(8), [0.0] * COUNT) is None and not keeper.keeps(_all(2))


def test_the_smallest_width_is_kept():
    _, repair = _repair(min_bits=4, max_bit_ops=WORK.bit_ops // 3)
    found = repair.enforce(_all(4), [0.0] * COUNT)
    assert found and set(found.values()) == {4, 8}


def test_choices_are_layer_by_layer_the_weights_first():
    choices = choices_of(NETWORK)
    assert [c.layer for c in choices] == sorted(c.layer for c in choices)
    assert not choices[0].is_map and choices[1].is_map and choices[1].tensor == NETWORK.layers[0].output
    assert not set(TENSORS) & {*NETWORK.problem.graph.inputs, *NETWORK.problem.graph.outputs}


def test_plans_have_the_widths_that_they_were_made_of_and_work_is_theirs():
    widths = _widths((2, 4, 8)[i % 3] for i in range(COUNT))
    plan = KEEPER.plan_of(widths)
    assert NETWORK.widths_of(plan) == widths and hash(NETWORK.widths_of(plan)) == hash(widths)
    assert NETWORK.work(widths) == NETWORK.problem.cost.work_of(plan)
