"""The choices of which halos are kept: by what values cost, and by where maps stand."""

from __future__ import annotations

import numpy as np

from tests.support import shared_data
from tflm_quantmcu.patches.cache_choices import NEVER, cache_choices
from tflm_quantmcu.patches.planned_stage import FULL, RECOMPUTE, ROWS
from tflm_quantmcu.patches.stage_planner import StagePlanner
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

MACS = np.array([NEVER, 27.0, 144.0, 0.0, 16.0, NEVER])


def choices() -> set[tuple[tuple[int, ...], bool]]:
    return {(tuple(modes.tolist()), primed) for modes, primed in cache_choices(MACS, 1)}


def test_maps_of_few_macs_a_value_are_recomputed_first() -> None:
    for least in (RECOMPUTE, ROWS):
        assert ((0, least, FULL, least, least, 0), False) in choices()
        assert ((0, FULL, FULL, least, FULL, 0), True) in choices()


def test_the_first_maps_are_recomputed_while_those_behind_are_kept() -> None:
    for count in range(1, 4):
        assert ((0, *[ROWS] * count, *[FULL] * (4 - count), 0), True) in choices()


def test_each_is_there_once_and_nothing_kept_is_not_primed() -> None:
    assert len(choices()) == len(cache_choices(MACS, 1))
    assert ((0,) * 6, False) in choices() and ((0,) * 6, True) not in choices()


def test_resnet8_at_a_quarter_is_one_stage() -> None:
    """Some maps behind the first are kept in full: 1.41 times the products, where two stages take 2.38 times."""
    graph = canonical(ModelFile(shared_data.model("ic_resnet8_int8"))).graph
    split = StagePlanner(graph, variants=("dsp",)).cheapest(12_992)
    assert split is not None and len(split.stages) == 1 and split.macs_ratio < 1.42
    modes = set(split.stages[0].modes.values())
    assert modes >= {ROWS, FULL}
