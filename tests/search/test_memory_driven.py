"""Search memory_driven on models: both budgets met on TFLM, the rules' own policy on chains, what is refused."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import MAPS_ON_ANY_CORE, WIDTHS_ALONE, MapCosts, calibration_of, plain_bytes
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app import api
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Budget
from tflm_quantmcu.search.memory_driven import search_memory_driven
from tflm_quantmcu.search.memory_rules import Extent, Layer, cut_activations
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual(size=16, channels=16)
GRAPH = read_model(MODEL)
CALIBRATION = calibration_of(MODEL, shape=(16, 16, 3))
OPTIONS = {"search": "memory_driven", "progress": False, "strip_metadata": True, **WIDTHS_ALONE}
ARENA_BYTES, FLASH_BYTES = plain_bytes(MODEL, strip_metadata=True)


def _plan(**options) -> PrecisionPlan:
    return api.plan(MODEL, calibration=CALIBRATION, **OPTIONS, **MAPS_ON_ANY_CORE, **options)


def _smallest(error: BudgetError) -> int:
    (number,) = re.findall(r"reached is ([\d,]+) bytes", str(error))
    return int(number.replace(",", ""))


@pytest.mark.parametrize("sram, flash", ((0.9, 0.9), (0.6, 0.8), (0.4, 2), (2, 0.85)))
def test_both_budgets_are_met_on_tflm(sram, flash):
    """`convert` compares the model with the oracle and the recorded arena with the predicted one, byte for byte."""
    bounds = {"sram_bytes": int(sram * ARENA_BYTES), "flash_bytes": int(flash * FLASH_BYTES)}
    result = api.convert(MODEL, calibration=CALIBRATION, **OPTIONS, **MAPS_ON_ANY_CORE, **bounds)
    assert result.report.converted.arena_bytes <= bounds["sram_bytes"]
    assert len(result.model) <= bounds["flash_bytes"]
    assert bool(result.plan.formats) == (sram < 1) and bool(result.plan.weight_bits) == (flash < 1)


def test_budgets_that_are_met_change_nothing():
    plan = _plan(sram_bytes=ARENA_BYTES, flash_bytes=FLASH_BYTES)
    assert not plan.formats and not plan.weight_bits and not plan.stages


@pytest.mark.parametrize("flag, names", (("sram_bytes", "has maps of"), ("flash_bytes", "of weights with all")))
def test_a_budget_out_of_reach_names_what_binds_and_the_smallest_that_is_reached(flag, names):
    with pytest.raises(BudgetError, match=f"--{flag} is 2,000 and .*{names}") as caught:
        _plan(**{flag: 2000})
    smallest = _smallest(caught.value)
    assert _plan(**{flag: smallest})
    with pytest.raises(BudgetError):
        _plan(**{flag: smallest - 1})


def test_a_chain_gets_the_policy_of_the_rules():
    net, rng = TinyModel(), np.random.default_rng(3)
    sizes = ((16, 4), (16, 24), (16, 24), (8, 40), (8, 8))
    x = net.input((1, 16, 16, 4))
    for (side, _), (next_side, channels) in zip(sizes, sizes[1:], strict=False):
        weights = rng.integers(-127, 128, (channels, 3, 3, x.shape[3]), dtype=np.int8)
        x = net.conv2d(x, weights, stride=(side // next_side,) * 2)
    model = net.build(x)
    extents = [Extent(side**2, channels) for side, channels in sizes]
    layers = [Layer(str(i), {i: a}, i + 1, b) for i, (a, b) in enumerate(zip(extents, extents[1:], strict=False))]
    calibration = calibration_of(model, shape=(16, 16, 4))
    graph = read_model(model)
    options = Options.of(OPTIONS)
    problem = SearchProblem(graph, calibration, options.budget, MapCosts(ModelFile(model)), options)
    names = [graph.tensors[t].name for t in (*graph.inputs, *(op.outputs[0] for op in graph.ops))]
    policies = set()
    for bound in (12288, 9216, 7168, 4096, 3072):
        policy = cut_activations(layers, bound, fixed={0: 8, 4: 8})
        plan = search_memory_driven(dataclasses.replace(problem, budget=Budget(sram_bytes=bound)))
        assert [plan.formats[n].bits if n in plan.formats else 8 for n in names] == list(policy.values())
        policies.add(tuple(policy.values()))
    assert len(policies) > 3


def test_smallest_width_is_kept():
    four = _plan(sram_bytes=ARENA_BYTES * 6 // 10, memory_driven_min_bits=4)
    assert {f.bits for f in four.formats.values()} == {4}
    assert 2 in {f.bits for f in _plan(sram_bytes=ARENA_BYTES * 4 // 10).formats.values()}


@pytest.mark.parametrize("pinned, kept", (("none", set()), ("first", {0}), ("last", {-1}), ("both", {0, -1})))
def test_pinned_layers_keep_their_weights_at_eight_bits(pinned, kept):
    weights = [GRAPH.tensors[op.inputs[1]].name for op in GRAPH.ops if op.kind.endswith(("CONV_2D", "CONNECTED"))]
    with pytest.raises(BudgetError) as caught:
        _plan(flash_bytes=1000, pinned_layers=pinned)
    plan = _plan(flash_bytes=_smallest(caught.value), pinned_layers=pinned)
    assert not {weights[i] for i in kept} & set(plan.weight_bits)
    uniform = api.plan(MODEL, search="uniform", weight_bits=2, pinned_layers=pinned, progress=False)
    assert set(weights) - set(uniform.weight_bits) == {weights[i] for i in kept}


def test_maps_that_stock_ops_touch_and_the_networks_ends_keep_eight_bits():
    with pytest.raises(BudgetError) as caught:
        _plan(sram_bytes=1000)
    plan = _plan(sram_bytes=_smallest(caught.value))
    stock = [op for op in GRAPH.ops if op.kind in ("RESHAPE", "SOFTMAX")]
    touched = {t for op in stock for t in (*op.inputs, *op.outputs)} | {*GRAPH.inputs, *GRAPH.outputs}
    assert not {GRAPH.tensors[t].name for t in touched} & set(plan.formats)


def test_fixed_widths_stay_and_the_others_make_room():
    bound = {"sram_bytes": ARENA_BYTES * 6 // 10}
    free = _plan(**bound)
    name, cut = next(iter(free.formats.items()))
    fixed = _plan(**bound, precision_overrides=[{"match": re.escape(name), "activation_bits": 2}])
    assert cut.bits != 2 and fixed.formats[name].bits == 2
    assert fixed.search["scores"]["ram_bytes"] <= bound["sram_bytes"]


def test_the_plan_tells_how_it_came_about_and_comes_out_the_same():
    plan = _plan(sram_bytes=ARENA_BYTES // 2, flash_bytes=FLASH_BYTES)
    assert plan.search["method"] == "memory_driven" and plan.search["seed"] == 0
    assert len(plan.search["calibration_sha256"]) == 64
    assert set(plan.search["scores"]["flash_bytes"]) == {"mix_pl", "mix_pc"}
    assert plan.to_json() == _plan(sram_bytes=ARENA_BYTES // 2, flash_bytes=FLASH_BYTES).to_json()
