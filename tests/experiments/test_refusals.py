"""experiments.refusals: a small sample; the command takes more networks, bounds and the shared models."""

from __future__ import annotations

import random

import pytest

from experiments.refusals import Calls, calls_of, flags_by_chance, random_networks
from tests.support.networks import inverted_residual


def test_no_bound_delivers_less_than_a_refusal_named() -> None:
    models = [inverted_residual(), *random_networks(2)]
    chance = random.Random(3)
    found = [calls_of(f"network {i}", model, flags_by_chance(chance), 5, i) for i, model in enumerate(models)]
    assert [sentence for calls in found for sentence in calls.contradictions] == []
    assert any(calls.refused for calls in found) and any(calls.delivered for calls in found)


@pytest.mark.parametrize(
    ("delivered", "refused", "count"),
    [
        ({900: 880}, {500: 870}, 0),
        ({900: 860}, {500: 870, 400: 870}, 2),
        ({900: 880}, {500: 870, 870: 875}, 1),
    ],
)
def test_contradictions_are_found(delivered: dict[int, int], refused: dict[int, int], count: int) -> None:
    assert len(Calls("m", {}, delivered, refused).contradictions) == count
