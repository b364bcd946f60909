"""A few dozen random networks of every family; `python -m tests.random_networks` runs as many as asked."""

from __future__ import annotations

import pytest

from tests.random_networks.checks import check_on_tflm, split_of, wide_split_of
from tests.random_networks.generator import family_of, random_network
from tests.random_networks.images import run_on_host

SEEDS = range(26)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_equals_tflm_and_the_oracle(seed: int) -> None:
    check_on_tflm(seed)


@pytest.mark.parametrize("first", range(0, 26, 13))
def test_networks_in_stages_of_several_inputs_equal_tflm(first: int) -> None:
    assert sum(wide_split_of(seed).num_stages for seed in range(first, first + 13)) >= 10


def test_emitted_code_of_several_networks_in_one_image(tmp_path) -> None:
    models = [model for seed in range(13) for model in (split_of(seed).model, split_of(seed).converted)]
    assert run_on_host(models, tmp_path) == len(models)


def test_seeds_give_all_families_and_the_same_bytes_again() -> None:
    assert len({family_of(seed) for seed in SEEDS}) == 13
    assert random_network(3) == random_network(3) != random_network(9)


def test_a_third_of_the_networks_is_split() -> None:
    assert sum(split_of(seed).num_stages > 0 for seed in range(12)) >= 4
