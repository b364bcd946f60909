"""The stage of `--grid`, and the comparison of static and dynamic at equal BitOPs."""

from __future__ import annotations

import dataclasses

import pytest

from experiments.grid_stage import front_stage
from experiments.vdqs_curve import side_by_side
from tests.support.networks import inverted_residual
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.tflite.reader import read_model

GRAPH = read_model(inverted_residual())


@pytest.mark.parametrize("ratio", (2.0, 1.5))
def test_the_stage_is_the_longest_that_keeps_the_ratio(ratio):
    stage = front_stage(GRAPH, 3, ratio)
    program = build_program(GRAPH, stage, weight_bits={}, formats={})
    _, height, width, _ = GRAPH.by_name[stage.output].shape
    whole = dataclasses.replace(stage, tile_height=height, tile_width=width, patch_classes=((0,),))
    assert len(program.patch_classes) == len(program.patch_classes[0]) == 3
    assert not any(cache.keeps_halo for cache in program.caches)
    assert program.cost.macs <= ratio * build_program(GRAPH, whole, weight_bits={}, formats={}).cost.macs
    longer = front_stage(GRAPH, 3, 100.0)
    assert len(build_program(GRAPH, longer, weight_bits={}, formats={}).ops) >= len(program.ops)


def test_a_ratio_that_no_stage_keeps_is_refused():
    with pytest.raises(UsageError, match="no stage of 3 x 3 patches takes at most 0.5 times the MACs"):
        front_stage(GRAPH, 3, 0.5)


def test_rows_without_classification_count_with_both():
    found = [
        {"vdpc": "int8", "accuracy": 0.9, "stage_bit_ops": 1000},
        {"vdpc": "uniform a4", "accuracy": 1.0, "stage_bit_ops": 1},
        {"vdpc": "off", "accuracy": 0.6, "stage_bit_ops": 500},
        {"vdpc": "static", "accuracy": 0.7, "stage_bit_ops": 700},
        {"vdpc": "dynamic", "accuracy": 0.8, "stage_bit_ops": 750},
        {"vdpc": "dynamic", "accuracy": 0.5, "stage_bit_ops": 900},
    ]
    assert list(side_by_side(found)) == [
        "at most 500 BitOPs: static 0.6000, dynamic 0.6000",
        "at most 700 BitOPs: static 0.7000, dynamic 0.6000",
        "at most 750 BitOPs: static 0.7000, dynamic 0.8000",
        "at most 1,000 BitOPs: static 0.9000, dynamic 0.9000",
    ]
