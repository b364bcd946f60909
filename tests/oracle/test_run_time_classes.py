"""Classes and BitOPs of given inputs, counted one input at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.plans import front_stage, narrowed
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, OutlierRule, PatchClass
from tflm_quantmcu.oracle.run_time_classes import bit_ops_on, classes_on
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.reader import read_model

RULE = OutlierRule(-40, 50, 21_000)  # about the share of values outside
GRID = ((-1, 0, 1), (1, -1, -1), (0, -1, 1))
X = np.random.default_rng(0).normal(0, 45, (7, 24, 24, 3)).clip(-128, 127).astype(np.int8)


@pytest.fixture(scope="module")
def program() -> StageProgram:
    graph = read_model(inverted_residual())
    stage = front_stage(graph)
    _, height, width, _ = graph.by_name[stage.output].shape
    narrow = {t.name: narrowed(t.format, 4) for t in graph.tensors if t.dtype == "int8" and not t.is_constant}
    stage = dataclasses.replace(
        stage,
        tile_height=-(-height // 3),
        tile_width=-(-width // 3),
        patch_classes=GRID,
        classes=(PatchClass("outlier", {}), PatchClass("ordinary", narrow)),
        outliers=RULE,
    )
    return build_program(graph, stage, weight_bits={}, formats={})


def test_classes_are_those_of_the_law(program):
    found = classes_on(program, X)
    assert found.shape == (7, 3, 3)
    seen = set()
    for n, row, col in np.ndindex(found.shape):
        expected = GRID[row][col]
        if expected == CHOSEN_AT_RUN_TIME:
            y0, y1, x0, x1 = program.region(row, col, 0)
            values = X[n, y0:y1, x0:x1].astype(int)
            count = np.count_nonzero((values < RULE.low) | (values > RULE.high))
            expected = 0 if count * 65536 > values.size * RULE.share else 1
            seen.add(expected)
        assert found[n, row, col] == expected
    assert seen == {0, 1}


def test_bit_ops_are_the_mean_over_programs_with_those_classes_fixed(program):
    costs = []
    for classes in classes_on(program, X):
        fixed = dataclasses.replace(program, patch_classes=tuple(map(tuple, classes.tolist())))
        costs.append(fixed.cost.bit_ops)
    assert len(set(costs)) > 1
    assert bit_ops_on(program, X) == pytest.approx(np.mean(costs), rel=1e-12)
    assert max(costs) <= program.cost.bit_ops


def test_bit_ops_of_fixed_classes_are_the_program_s_own(program):
    fixed = dataclasses.replace(program, patch_classes=((0, 1, 0),) * 3)
    assert bit_ops_on(fixed, X) == fixed.cost.bit_ops
