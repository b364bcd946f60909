"""A plan for another model of the same structure: what it renews beside names."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tflm_quantmcu.calibration.outliers import rule_in
from tflm_quantmcu.calibration.plan_formats import renew_plan
from tflm_quantmcu.graph.precision_plan import OutlierRule, PatchClass, PrecisionPlan, RoundedWeights, StagePlan
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.tflite.reader import read_model

OLD, NEW = (read_model(inverted_residual(seed)) for seed in (0, 1))
INPUT, OUTPUT = (OLD.tensors[OLD.ops[i].outputs[0]].name for i in (0, 4))
RULE = OutlierRule(-5, 2, 4000)
PLANNED, LEARNED = Format(4, 0.4, -3), Format(4, 0.25, -8)


@pytest.mark.parametrize(
    "formats, learned, expected",
    (
        ({INPUT: PLANNED}, {(INPUT, PLANNED): LEARNED}, rule_in(RULE, PLANNED, LEARNED)),
        ({INPUT: PLANNED}, {}, RULE),
        ({}, {}, RULE),  # both models have the same format there
    ),
)
def test_the_outlier_rule_keeps_its_real_bounds(formats, learned, expected):
    classes = (PatchClass("outlier", {}), PatchClass("ordinary", {}))
    stage = StagePlan(INPUT, OUTPUT, 12, 12, ((-1, -1),) * 2, classes, vdpc="dynamic", outliers=RULE)
    plan = PrecisionPlan(OLD.sha256, {}, stages=(stage,), formats=formats)
    (renewed,) = renew_plan(plan, OLD, NEW, learned).stages
    assert renewed.outliers == expected
    assert expected == RULE or learned


def test_a_stage_without_a_rule_gets_none():
    stage = StagePlan(INPUT, OUTPUT, 24, 24, ((0,),), (PatchClass("outlier", {}),))
    assert renew_plan(PrecisionPlan(OLD.sha256, {}, stages=(stage,)), OLD, NEW, {}).stages == (stage,)


def test_what_made_up_for_the_old_model_s_rounding_is_left_out():
    weights = OLD.tensors[OLD.ops[0].inputs[1]].name
    classes = (PatchClass("ordinary", {}, {OUTPUT: (0.5,)}),)
    stage = StagePlan(INPUT, OUTPUT, 24, 24, ((0,),), classes)
    rounded = {weights: RoundedWeights.of(4, np.ones(1), np.ones(1, np.int8))}
    plan = PrecisionPlan(
        OLD.sha256, {}, (stage,), weight_bits={weights: 4}, rounded_weights=rounded, bias_corrections={INPUT: (1.0,)}
    )
    renewed = renew_plan(plan, OLD, NEW, {})
    assert list(renewed.weight_bits.values()) == [4]
    assert not renewed.rounded_weights and not renewed.bias_corrections
    assert not renewed.stages[0].classes[0].bias_corrections
