"""Search hybrid: gates learn, budgets are kept, free bits never cost cycles, and runs that are killed."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.search_problems import (
    MAPS_ON_ANY_CORE,
    WIDTHS_ALONE,
    MapCosts,
    calibration_of,
    plain_bytes,
    problem_of,
)
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app import api
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.base.errors import BudgetError, UnsupportedModelError, UsageError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Budget
from tflm_quantmcu.keras_bridge.to_tflite import tf
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.search.budget import BudgetKeeper
from tflm_quantmcu.search.evaluator import Evaluator
from tflm_quantmcu.search.free_bits import timed_layers
from tflm_quantmcu.search.hybrid_widths import GateRepair
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.registry import SEARCHES
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model


def _network() -> bytes:
    """A wide map in the middle, a depthwise convolution that is slower with fewer bits, a classifier."""
    net, rng = TinyModel(), np.random.default_rng(0)
    relu = {"activation": "RELU", "scale": 0.05, "zero_point": -128}
    x = net.input((1, 8, 8, 3))
    x = net.conv2d(x, rng.integers(-127, 128, (16, 3, 3, 3), dtype=np.int8), filter_scales=[0.005] * 16, **relu)
    x = net.conv2d(x, rng.integers(-127, 128, (32, 3, 3, 16), dtype=np.int8), filter_scales=[0.002] * 32, **relu)
    x = net.depthwise_conv2d(x, rng.integers(-127, 128, (3, 3, 32), dtype=np.int8), stride=(2, 2), **relu)
    x = net.reshape(net.average_pool2d(x, (4, 4)), (1, 32))
    weights = rng.integers(-127, 128, (5, 32), dtype=np.int8)
    return net.build(net.softmax(net.fully_connected(x, weights, scale=0.1, zero_point=0)))


MODEL = _network()
GRAPH = read_model(MODEL)
CALIBRATION = calibration_of(MODEL, shape=(8, 8, 3), count=32)
ARENA_BYTES, FLASH_BYTES = plain_bytes(MODEL, strip_metadata=True)
COSTS = MapCosts(ModelFile(MODEL), strip_metadata=True)
INT8 = COSTS.work_of(PrecisionPlan(GRAPH.sha256, {}))
BOUNDS = {"sram_bytes": ARENA_BYTES * 6 // 10, "flash_bytes": FLASH_BYTES * 8 // 10}
ON_CORES = {**BOUNDS, "sram_bytes": 2 * ARENA_BYTES}  # room for the scratch of every core's kernels
WIDTHS = [(a, w) for a in (8, 4, 2) for w in (8, 4, 2)]
SHORT = {"hybrid_steps": 8, "hybrid_batch": 8}


def _labelled(count: int = 48) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(7).integers(-128, 128, (count, 8, 8, 3), dtype=np.int8)
    return x, Interpreter(MODEL).run(x).reshape(count, -1).argmax(axis=1)


@pytest.fixture(autouse=True)
def _untraced() -> Iterator[None]:
    """A few steps are done before TensorFlow has traced one."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@functools.cache
def _found(**options) -> PrecisionPlan:
    return _search(**options)


def _search(*, labelled: bool = False, **options) -> PrecisionPlan:
    if labelled:
        options["labelled"] = _labelled()
    budget = Budget(**{n: options.pop(n, None) for n in ("sram_bytes", "flash_bytes", "bit_ops", "instructions")})
    return SEARCHES["hybrid"](
        GRAPH, CALIBRATION, budget, COSTS, **{**SHORT, **WIDTHS_ALONE, "compensation": "off", **options}
    )


def _checked(plan: PrecisionPlan) -> PrecisionPlan:
    """A plan with what each must tell."""
    cycles = plan.search["scores"]["cycles"]
    assert cycles["after_free_bits"] == COSTS.work_of(plan).cycles
    assert cycles["after_free_bits"] <= cycles["before_free_bits"]
    probabilities = plan.search["scores"]["gate_probabilities"]
    assert set(probabilities) >= {*plan.formats, *plan.weight_bits}
    assert all(0 <= q <= 1 for gates in probabilities.values() for q in gates)
    return plan


def test_budgets_are_met_on_tflm_and_memory_driven_is_not_better():
    x, y = _labelled()
    options = {
        "progress": False,
        "strip_metadata": True,
        "evaluation_data": (x, y),
        "compensation": "off",
        **SHORT,
        **WIDTHS_ALONE,
    }
    result = api.convert(MODEL, calibration=CALIBRATION, search="hybrid", **options, **ON_CORES, **MAPS_ON_ANY_CORE)
    assert result.report.converted.arena_bytes <= ON_CORES["sram_bytes"]
    assert len(result.model) <= ON_CORES["flash_bytes"]
    scores = _checked(result.plan).search["scores"]["tries"]
    assert set(scores) == {"gates", "budgets", "speed", "memory_driven"}
    found = Interpreter(result.model).run(x).reshape(len(x), -1).argmax(axis=1)
    accuracy = round(float((found == y).mean()), 4)
    fidelity = Evaluator(GRAPH, COSTS, np.concatenate([x, CALIBRATION.samples]))(result.plan)
    found = [accuracy, round(fidelity, 4)]
    assert found in scores.values() and all(a >= b for a, b in zip(found, scores["memory_driven"], strict=True))


@pytest.mark.parametrize("worth", ((0.9, 0.6), (0.6, 0.6), (0.5, 0.6)))
def test_of_plans_not_behind_memory_driven_the_fastest_is_taken(worth):
    """The gates' plan is faster; the other three tries end at one plan here, which is judged once."""
    seen: list[PrecisionPlan] = []

    def judge(plan: PrecisionPlan) -> float:
        seen.append(plan)
        return worth[len(seen) - 1]

    plan = _search(evaluate=judge, hybrid_mu0=100.0, **BOUNDS)
    assert plan.search["scores"]["tries"] == dict(
        zip(("gates", "budgets", "speed", "memory_driven"), [[worth[0]], *[[worth[1]]] * 3], strict=True)
    )
    fast, slow = seen
    assert COSTS.work_of(fast).cycles < COSTS.work_of(slow).cycles
    chosen = fast if worth[0] >= worth[1] else slow
    assert (plan.formats, plan.weight_bits) == (chosen.formats, chosen.weight_bits)


def test_without_memory_driven_s_plan_the_one_worth_the_most_is_taken():
    judged: dict[str, float] = {}

    def judge(plan: PrecisionPlan) -> float:
        return judged.setdefault(repr((plan.formats, plan.weight_bits)), round(0.9 - len(judged) / 100, 4))

    plan = _search(evaluate=judge, hybrid_mu0=100.0, bit_ops=INT8.bit_ops * 7 // 10)
    tries = plan.search["scores"]["tries"]
    worth = judged[repr((plan.formats, plan.weight_bits))]
    assert len(judged) > 1 and worth == max(judged.values()) and [worth] in tries.values()


def test_metadata_counts():
    bound = plain_bytes(MODEL)[1] * 95 // 100
    options = {"search": "hybrid", "progress": False, "compensation": "off", **SHORT, **WIDTHS_ALONE}
    result = api.convert(MODEL, calibration=CALIBRATION, flash_bytes=bound, flash_scope="model", **options)
    assert len(result.model) <= bound


def test_more_weight_on_the_work_lowers_more():
    works = []
    for mu0 in (0.0, 100.0):
        plan = _checked(_search(hybrid_mu0=mu0))
        assert not plan.search["scores"]["tries"]
        works.append(sum(q < 0.66 for gates in plan.search["scores"]["gate_probabilities"].values() for q in gates))
        assert COSTS.work_of(plan).instructions <= INT8.instructions
    assert works[0] < works[1]
    assert plan.search["scores"]["cycles"]["after_free_bits"] < plan.search["scores"]["cycles"]["before_free_bits"]


def test_weighing_cycles_learns_other_widths_than_weighing_bit_ops():
    other = _search(hybrid_regulariser="cycles")
    assert other.search["scores"]["gate_probabilities"] != _found().search["scores"]["gate_probabilities"]


@pytest.mark.parametrize("bound", ("bit_ops", "instructions"))
def test_bounds_on_work_are_kept(bound):
    limit = getattr(INT8, bound) * 9 // 10
    plan = _checked(_search(**{bound: limit}))
    assert getattr(COSTS.work_of(plan), bound) <= limit
    assert {"gates", "budgets"} <= set(plan.search["scores"]["tries"])
    with pytest.raises(BudgetError, match=f"down to 2 bits, found no plan within --max_{bound} 10; the smallest"):
        _search(**{bound: 10})


def test_repair_by_speed_lowers_what_the_core_gains_by():
    """The first of two layers with equal weights to go is the one whose packed map makes packed weights faster."""
    problem = dataclasses.replace(problem_of(MODEL, CALIBRATION.samples), budget=Budget())
    network = Network.of(problem)
    conv, depthwise = (network.weights[i].index for i in (1, 2))
    logits = {conv: np.array([2.0, 2.0]), depthwise: np.array([1.0, 1.0])}
    wide = timed_layers(network)
    layers = [
        dataclasses.replace(layer, cycles={(a, w): float(w if layer.weights == conv else -w) for a, w in WIDTHS})
        for layer in wide
    ]
    bounds = np.array([math.inf, network.weight_bytes(network.uncut) - 1])
    keeper = BudgetKeeper(network, functools.partial(network.plan, method="hybrid"))
    repair = GateRepair(keeper, bounds, layers, logits, (2, 4, 8))
    for by_speed, lowered in ((False, depthwise), (True, conv)):
        found = dataclasses.replace(repair, by_speed=by_speed).cut(network.uncut, bounds)
        assert {t for t in network.uncut if found[t] < 8} == {lowered}


def test_bytes_out_of_reach_are_refused_as_memory_driven_does():
    with pytest.raises(BudgetError, match="--sram_bytes is 64 and the smallest arena reached"):
        _search(sram_bytes=64)


def test_widths_that_are_given_stay():
    free = GRAPH.tensors[GRAPH.ops[0].outputs[0]].name
    rules = [{"match": re.escape(free), "activation_bits": 2}]
    options = {
        "search": "hybrid",
        "progress": False,
        "strip_metadata": True,
        "compensation": "off",
        **SHORT,
        **WIDTHS_ALONE,
    }
    options |= {"pinned_layers": "first", "precision_overrides": rules, "hybrid_min_bits": 4}
    plan = api.plan(MODEL, calibration=CALIBRATION, **options, flash_bytes=FLASH_BYTES * 97 // 100, flash_scope="model")
    assert {n for n, f in plan.formats.items() if f.bits == 2} == {free}
    assert plan.weight_bits and set(plan.weight_bits.values()) == {4}
    assert GRAPH.tensors[GRAPH.ops[0].inputs[1]].name not in plan.weight_bits


def test_seeds_decide_and_nothing_else():
    assert _search().to_json() == _found().to_json()
    assert _found().search["scores"]["gate_probabilities"] != _search(seed=2).search["scores"]["gate_probabilities"]


def test_labelled_samples_are_learned_from_where_there_are_any():
    assert (
        _found().search["scores"]["gate_probabilities"] != _search(labelled=True).search["scores"]["gate_probabilities"]
    )


def test_without_anything_free_the_model_stays_as_it_is():
    net = TinyModel()
    model = net.build(net.softmax(net.input((1, 8))))
    samples = np.random.default_rng(0).integers(-100, 100, (4, 8), dtype=np.int8)
    calibration = api.calibrate_model(model, samples, progress=False)
    costs = PlanCosts(ModelFile(model))
    plan = SEARCHES["hybrid"](costs.model.graph, calibration, Budget(), costs, **SHORT, **WIDTHS_ALONE)
    assert not plan.formats and not plan.weight_bits


def test_what_it_cannot_do_is_refused():
    with pytest.raises(UsageError, match="calibration"):
        SEARCHES["hybrid"](GRAPH, None, Budget(), COSTS, **SHORT, **WIDTHS_ALONE)
    for name, value in (("hybrid_steps", 0), ("hybrid_batch", 0), ("hybrid_mu0", -1.0)):
        with pytest.raises(UsageError, match=f"--{name} is {value}"):
            _search(**{name: value})
    net = TinyModel()
    x = net.input((1, 8, 8, 4))
    weights = np.ones((4, 3, 3, 2), np.int8)
    grouped = net.build(net.conv2d(net.conv2d(x, np.ones((4, 1, 1, 4), np.int8)), weights))
    costs = PlanCosts(ModelFile(grouped))
    calibration = calibration_of(grouped, shape=(8, 8, 4))
    with pytest.raises(UnsupportedModelError, match="CONV_2D .* cannot become part of a Keras model"):
        SEARCHES["hybrid"](costs.model.graph, calibration, Budget(), costs, **SHORT, **WIDTHS_ALONE)


_KILLED = """
import sys
from tests.search import test_hybrid
test_hybrid._search(labelled=True, checkpoint=sys.argv[1], **test_hybrid.LONG)
"""
LONG = {"hybrid_steps": 40, "seed": 5, **BOUNDS}


def test_a_killed_search_gives_the_plan_of_an_uninterrupted_one(tmp_path):
    path = tmp_path / "hybrid.checkpoint"
    tf.config.run_functions_eagerly(False)
    process = subprocess.Popen([sys.executable, "-c", _KILLED, str(path)])
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    resumed = _search(checkpoint=path, labelled=True, **LONG)
    assert resumed.to_json() == _search(labelled=True, **LONG).to_json()


def test_a_resumed_search_trains_no_step_again(tmp_path):
    path = tmp_path / "hybrid.checkpoint"
    whole = _search(checkpoint=path)
    assert whole.to_json() == _found().to_json()
    arrays = np.load(path)
    steps = [int(v) for v in re.findall(r'"step": (\d+)', str(arrays["head"]))]
    assert steps == [SHORT["hybrid_steps"]]
    before = path.stat().st_mtime_ns
    assert _search(checkpoint=path).to_json() == whole.to_json()
    assert path.stat().st_mtime_ns == before


def test_tensorflow_is_imported_by_a_run_alone():
    code = "import sys, tflm_quantmcu.search.registry, tflm_quantmcu.app.api; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
