"""The bound on accuracy: what it lowers nothing for, what it chooses, and what it refuses and says."""

from __future__ import annotations

import functools
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tests.support.search_problems import MAPS_ON_ANY_CORE, problem_of
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app import api
from tflm_quantmcu.app.accuracy_lines import accuracy_lines, accuracy_of
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.base.errors import BudgetError, UsageError
from tflm_quantmcu.compensation.compensate import has_low_widths
from tflm_quantmcu.graph.accuracy_loss import AccuracyLoss
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.search import guard
from tflm_quantmcu.search.guard import SLOWER_AT_MOST
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model


def _model() -> bytes:
    """Ten scores of random features, so that noise has many first classes with little margin."""
    net, rng = TinyModel(), np.random.default_rng(0)
    relu = {"activation": "RELU", "zero_point": -128, "scale": 0.1}
    x = net.input((1, 16, 16, 3))
    for inputs, outputs, stride in ((3, 12, 1), (12, 12, 1), (12, 8, 2)):
        weights = rng.integers(-127, 128, (outputs, 3, 3, inputs), dtype=np.int8)
        x = net.conv2d(x, weights, stride=(stride, stride), filter_scales=[0.004] * outputs, **relu)
    weights = rng.integers(-127, 128, (10, 512), dtype=np.int8)
    return net.build(net.fully_connected(net.reshape(x, (1, 512)), weights, filter_scales=[0.0005], scale=0.05))


MODEL = _model()
GRAPH = read_model(MODEL)
X = np.random.default_rng(1).integers(-128, 128, (200, 16, 16, 3), dtype=np.int8)
CALIBRATION = api.calibrate_model(MODEL, X[:160], progress=False, n_jobs=1)
SMALLEST = plan_stages(GRAPH, sram_bytes=1).smallest_arena_bytes  # at 8 bits
BELOW = {"sram_bytes": SMALLEST - 64, "vdpc": "off", **MAPS_ON_ANY_CORE}


def _plan(**options: Any) -> PrecisionPlan:
    return api.plan(MODEL, calibration=CALIBRATION, progress=False, n_jobs=1, **options)


@functools.cache
def _delivered() -> PrecisionPlan:
    return _plan(max_accuracy_drop=100, **BELOW)


@pytest.mark.parametrize("search", ("uniform", "vdqs", "memory_driven", "rl", "hybrid"))
@pytest.mark.parametrize("bounds", ({}, {"sram_bytes": SMALLEST + 4096, **MAPS_ON_ANY_CORE}))
def test_nothing_is_lowered_nor_run_where_eight_bits_will_do(search, bounds) -> None:
    with mock.patch.object(guard, "LossJudge", side_effect=AssertionError("no plan is judged")):
        plan = _plan(search=search, max_slowdown=1.05, **bounds) if not bounds else _plan(search=search, **bounds)
    assert not has_low_widths(plan) and accuracy_of(plan.search) is None


@pytest.mark.parametrize("search", ("memory_driven", "rl", "hybrid"))
def test_tiny_tiles_of_eight_bits_give_way_to_faster_ones_of_fewer_in_every_search(search) -> None:
    bounds = {"sram_bytes": SMALLEST, "max_accuracy_drop": 100, **MAPS_ON_ANY_CORE}
    whole, faster = (_cycles(_plan(search=name, **bounds)) for name in ("uniform", "vdqs"))
    assert faster < whole / SLOWER_AT_MOST
    assert _cycles(_plan(search=search, **bounds)) <= faster * SLOWER_AT_MOST


def _cycles(plan: PrecisionPlan) -> int:
    return PlanCosts(ModelFile(MODEL)).work_of(plan).cycles


def test_a_bound_below_eight_bits_is_met_and_what_it_costs_is_said() -> None:
    plan = _delivered()
    assert has_low_widths(plan)
    found = accuracy_of(plan.search)
    assert found is not None and found["measured_by"] == "scores" and found["bound"] == 100
    assert found["front"] and all(point["arena_bytes"] <= BELOW["sram_bytes"] for point in found["front"])
    assert "90 % limit" in accuracy_lines(plan.search)[0]
    assert "accuracy_loss" not in plan.to_json(compact=True), "it takes no flash"
    assert accuracy_lines(PrecisionPlan.from_json(plan.to_json()).search) == accuracy_lines(plan.search)


def test_a_bound_out_of_reach_is_refused_with_what_would_reach_it() -> None:
    labelled = (X, Interpreter(MODEL).run(X).reshape(len(X), -1).argmax(axis=1))
    lost = accuracy_of(_plan(evaluation_data=labelled, max_accuracy_drop=100, **BELOW).search)
    assert lost is not None and lost["measured_by"] == "labels" and lost["points"] > 0.5
    with pytest.raises(BudgetError, match="--max_accuracy_drop is 0.5 ") as refusal:
        _plan(evaluation_data=labelled, max_accuracy_drop=0.5, **BELOW)
    sentence = str(refusal.value)
    assert f"{lost['points']:.2f} points" in sentence and "lose nothing, at 8 bits" in sentence
    off = _plan(evaluation_data=labelled, max_accuracy_drop="off", **BELOW)
    assert has_low_widths(off) and accuracy_of(off.search) is None


def test_points_are_those_that_evaluate_finds() -> None:
    labels = Interpreter(MODEL).run(X).reshape(len(X), -1).argmax(axis=1)
    options = {"evaluation_data": (X, labels), "calibration": CALIBRATION, "search": "uniform", "progress": False}
    result = api.convert(MODEL, **options, activation_bits=4, weight_bits=4, max_accuracy_drop=100)
    found = accuracy_of(result.plan.search)
    right = np.mean(Interpreter(result.model).run(X).reshape(len(X), -1).argmax(axis=1) == labels)
    assert found is not None and found["points"] == pytest.approx(100 * (1 - right), abs=1e-3)
    assert result.report.as_dict()["accuracy"]["points"] == found["points"]


def test_widths_set_by_hand_are_delivered_unless_a_bound_is_given() -> None:
    by_hand = {"search": "uniform", "activation_bits": 4, "weight_bits": 2}
    told = accuracy_of(_plan(**by_hand).search)
    assert told is not None and told["points"] > 0.5
    with pytest.raises(BudgetError, match="leave the widths to the search"):
        _plan(**by_hand, max_accuracy_drop=0.5)


def test_the_trade_for_bit_ops_is_chosen_by_the_bound() -> None:
    strict, loose = (_plan(objective="bit_ops", max_accuracy_drop=drop) for drop in (0.6, 100))
    fronts = [accuracy_of(plan.search) for plan in (strict, loose)]
    assert fronts[1] is not None
    chosen = min(point["bit_ops"] for point in fronts[1]["front"])
    assert fronts[1]["front"][0]["bit_ops"] == chosen
    kept = [fronts[0]["points"]] if fronts[0] else [0.0]
    assert kept[0] <= 0.6 < 100


def test_bit_ops_are_saved_though_the_first_plan_lowers_nothing() -> None:
    problem = problem_of(MODEL, X[:160], objective="bit_ops", max_accuracy_drop=100)
    whole = PrecisionPlan(problem.graph.sha256, {})
    lowered = _plan(search="uniform", activation_bits=4, weight_bits=4, max_accuracy_drop="off")
    found = guard.keep_accuracy(
        problem,
        lambda changed: lowered if changed.saved_share else whole,
        [{"saved_share": 0.5}],
        is_by_hand=False,
    )
    assert has_low_widths(found)


def test_too_few_samples_are_said_with_the_number_needed() -> None:
    few = api.calibrate_model(MODEL, X[:24], progress=False, n_jobs=1)
    plan = api.plan(MODEL, calibration=few, progress=False, search="uniform", activation_bits=4)
    assert any("at least 152 are needed" in line for line in accuracy_lines(plan.search))
    with pytest.raises(BudgetError, match=r"give at least \d+ samples"):  # the points are within it, their limit is not
        api.plan(MODEL, calibration=few, progress=False, max_accuracy_drop=2.2, **BELOW)


@pytest.mark.parametrize("drop", ("on", "-1", 101, "half"))
def test_only_points_and_off_are_bounds(drop) -> None:
    with pytest.raises(UsageError, match="--max_accuracy_drop is"):
        _plan(max_accuracy_drop=drop)


@pytest.mark.parametrize(("losses", "judged"), (((0.1,), 1), ((0.9, 0.4), 2)))
def test_plans_are_judged_the_best_first_until_one_keeps_the_bound(losses, judged) -> None:
    problem = problem_of(MODEL, X[:160], objective="bit_ops")
    bits = {"max_accuracy_drop": "off", "search": "uniform"}
    plans = [_plan(activation_bits=a, weight_bits=w, **bits) for a, w in ((8, 4), (4, 4), (8, 2))]
    by_bit_ops = sorted(plans, key=lambda plan: PlanCosts(ModelFile(MODEL)).work_of(plan).bit_ops)
    finished: list[PrecisionPlan] = []

    def finish(plan: PrecisionPlan) -> PrecisionPlan:
        finished.append(plan)
        return plan

    told = [AccuracyLoss("labels", 10_000, points, points) for points in losses]
    with mock.patch.object(guard.LossJudge, "of", side_effect=told):
        found = guard.keep_accuracy(
            problem,
            lambda changed: plans[int(changed.saved_share or 0)],
            [{"saved_share": 1}, {"saved_share": 2}],
            is_by_hand=False,
            finish=finish,
        )
    assert finished == by_bit_ops[:judged]
    assert found.weight_bits == by_bit_ops[judged - 1].weight_bits and found.formats == by_bit_ops[judged - 1].formats
