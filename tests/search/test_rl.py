"""Search rl: budgets kept, never behind memory_driven, what the agent is told, and runs that are killed."""

from __future__ import annotations

import functools
import re
import signal
import subprocess
import sys
import time
from unittest import mock

import numpy as np
import pytest

from tests.support.search_problems import MAPS_ON_ANY_CORE, WIDTHS_ALONE, MapCosts, calibration_of, plain_bytes
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app import api
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Budget
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.search import rl
from tflm_quantmcu.search.ddpg import Agent, Settings
from tflm_quantmcu.search.evaluator import Evaluator
from tflm_quantmcu.search.registry import SEARCHES
from tflm_quantmcu.search.rl import state_features
from tflm_quantmcu.search.rl_widths import Choice
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model


def _model() -> bytes:
    """Four convolutions, one of them depthwise, pool, classifier: conversion is quick, and widths can be traded."""
    net, rng = TinyModel(), np.random.default_rng(1)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-127, 128, shape, dtype=np.int8)

    relu = {"activation": "RELU6", "zero_point": -128, "scale": 0.05}
    x = net.input((1, 8, 8, 3))
    x = net.conv2d(x, weights(16, 3, 3, 3), filter_scales=[0.01] * 16, **relu)
    x = net.depthwise_conv2d(x, weights(3, 3, 16), filter_scales=[0.01] * 16, **relu)
    x = net.conv2d(x, weights(24, 3, 3, 16), filter_scales=[0.004] * 24, **relu)
    x = net.conv2d(x, weights(32, 3, 3, 24), filter_scales=[0.004] * 32, stride=(2, 2), **relu)
    x = net.reshape(net.average_pool2d(x, (4, 4), padding="VALID"), (1, 32))
    return net.build(net.softmax(net.fully_connected(x, weights(5, 32), scale=0.1)))


MODEL = _model()
GRAPH = read_model(MODEL)
CALIBRATION = calibration_of(MODEL, shape=(8, 8, 3))
ARENA_BYTES, FLASH_BYTES = plain_bytes(MODEL, strip_metadata=True)
COSTS = MapCosts(ModelFile(MODEL), strip_metadata=True)
BOUNDS = {"sram_bytes": ARENA_BYTES * 8 // 10, "flash_bytes": FLASH_BYTES * 7 // 10}
ON_CORES = {**BOUNDS, "sram_bytes": 2 * ARENA_BYTES}  # room for the scratch of every core's kernels
WORK = {"bit_ops": COSTS.work_of(PrecisionPlan(GRAPH.sha256, {})).bit_ops * 4 // 10}  # met without conversions
EPISODES = {"rl_episodes": 12, "rl_warmup_episodes": 8}


def _labelled(count: int = 48) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(7).integers(-128, 128, (count, 8, 8, 3), dtype=np.int8)
    return x, Interpreter(MODEL).run(x).reshape(count, -1).argmax(axis=1)


def _search(name: str = "rl", **options) -> PrecisionPlan:
    """Searches without compensation, and with an agent small enough for tests."""
    budget = Budget(**{n: options.pop(n, None) for n in ("sram_bytes", "flash_bytes", "bit_ops", "instructions")})
    flags = {"compensation": "off", **WIDTHS_ALONE, **(EPISODES if name == "rl" else {})}
    with mock.patch.object(rl, "Settings", functools.partial(Settings, hidden_units=24)):
        return SEARCHES[name](GRAPH, CALIBRATION, budget, COSTS, **{**flags, **options})


def _decisions(plan: PrecisionPlan) -> tuple[dict[str, int], dict[str, int]]:
    return {name: f.bits for name, f in plan.formats.items()}, dict(plan.weight_bits)


def _total_bits(plan: PrecisionPlan) -> float:
    """A worth that widths decide alone."""
    lost = [8 - f.bits for f in plan.formats.values()] + [8 - bits for bits in plan.weight_bits.values()]
    return 1 - sum(lost) / 200


def test_budgets_and_accuracy_are_those_on_tflm():
    x, y = _labelled()
    options = {"search": "rl", "progress": False, "strip_metadata": True, "evaluation_data": (x, y), **WIDTHS_ALONE}
    result = api.convert(MODEL, calibration=CALIBRATION, **options, **EPISODES, **ON_CORES, **MAPS_ON_ANY_CORE)
    assert result.report.converted.arena_bytes <= ON_CORES["sram_bytes"]
    assert len(result.model) <= ON_CORES["flash_bytes"]
    scores = result.plan.search["scores"]
    found = Interpreter(result.model).run(x).reshape(len(x), -1).argmax(axis=1)
    assert round(float((found == y).mean()), 4) == scores["accuracy"]
    assert scores["int8"] == 1


def test_memory_driven_is_not_better():
    x, y = _labelled()
    for compensation in ("off", "bias"):
        options = {"labelled": (x, y), "compensation": compensation, "sram_bytes": BOUNDS["sram_bytes"]}
        scores = _search(**options).search["scores"]
        found = Interpreter(COSTS.convert(_search("memory_driven", **options))).run(x)
        assert scores["memory_driven"] == round(float((found.reshape(len(x), -1).argmax(axis=1) == y).mean()), 4)
        assert scores["accuracy"] >= scores["memory_driven"]


def test_metadata_counts_and_the_plan_tells_how_it_came_about():
    options = {"search": "rl", "progress": False, **EPISODES, **WIDTHS_ALONE}
    bound = plain_bytes(MODEL)[1] * 9 // 10
    result = api.convert(MODEL, calibration=CALIBRATION, flash_bytes=bound, flash_scope="model", seed=3, **options)
    assert len(result.model) <= bound
    search = result.plan.search
    assert (search["method"], search["seed"], search["rl_episodes"]) == ("rl", 3, EPISODES["rl_episodes"])
    assert set(search["scores"]) - {"memory_driven"} == {"accuracy", "int8", "evaluations"}
    assert 1 <= search["scores"]["evaluations"] <= EPISODES["rl_episodes"]


def test_the_first_episode_is_memory_driven():
    assert _decisions(_search(rl_episodes=1, **BOUNDS)) == _decisions(_search("memory_driven", **BOUNDS))


def test_episodes_find_what_is_worth_more_and_no_plan_is_judged_twice():
    judged: list[str] = []

    def judge(plan: PrecisionPlan) -> float:
        judged.append(repr(_decisions(plan)))
        return _total_bits(plan)

    plan = _search(evaluate=judge, **{**EPISODES, "rl_episodes": 30}, **BOUNDS)
    assert len(judged) == len(set(judged)) == plan.search["scores"]["evaluations"] + 1  # and the model as it is
    assert _total_bits(plan) > _total_bits(_search("memory_driven", **BOUNDS))


def test_of_equal_plans_the_one_of_fewest_cycles_is_taken():
    judged: list[PrecisionPlan] = []

    def judge(plan: PrecisionPlan) -> float:
        judged.append(plan)
        return 0.5

    plan = _search(evaluate=judge, **BOUNDS)
    assert len({COSTS.work_of(p).cycles for p in judged[1:]}) > 1
    assert COSTS.work_of(plan).cycles == min(COSTS.work_of(p).cycles for p in judged[1:])


def test_of_plans_that_chance_may_tell_apart_the_one_most_like_int8_is_taken():
    x, y = _labelled()
    judged: dict[str, tuple[float, float]] = {}

    def judge(plan: PrecisionPlan) -> float:
        accuracy = 0.5 + len(judged) / 1000  # of 48 samples, the standard error is 0.07
        judged[repr(_decisions(plan))] = accuracy, Evaluator(GRAPH, COSTS, x)(plan)
        return accuracy if len(judged) < 6 else 0.4

    plan = _search(evaluate=judge, labelled=(x, y), **WORK)
    near = dict(list(judged.items())[1:5])  # the first is the model as it is
    likest = max(near, key=lambda decisions: near[decisions][1])
    assert repr(_decisions(plan)) == likest != max(near, key=lambda decisions: near[decisions][0])


@pytest.mark.parametrize("is_apart", (True, False))
def test_memory_driven_s_plan_stays_where_samples_do_not_tell_another_apart(monkeypatch, is_apart):
    x, y = _labelled()
    expected = _decisions(_search("memory_driven", **BOUNDS))

    class Errors:
        """All others are better on the mean, on each sample or by chance."""

        def errors(self, plan: PrecisionPlan) -> np.ndarray:
            better = 0.1 if is_apart else np.where(np.arange(64) % 2, 1.0, -0.9)
            return np.ones(64) - (_decisions(plan) != expected) * better

    monkeypatch.setattr(rl, "fidelity_of", lambda problem: Errors())
    plan = _search(evaluate=lambda plan: 0.5, labelled=(x, y), **BOUNDS)
    assert (_decisions(plan) != expected) == is_apart


def test_seeds_decide_and_nothing_else():
    seen: list[list[str]] = []
    for seed in (1, 1, 2):
        seen.append([])
        _search(seed=seed, evaluate=lambda plan: seen[-1].append(repr(_decisions(plan))) or 0.5, **WORK)
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("bound, share, others", (("bit_ops", 0.4, {}), ("instructions", 0.98, BOUNDS)))
def test_bounds_on_work_are_kept_where_memory_driven_does_not(bound, share, others):
    limit = int(share * getattr(COSTS.work_of(PrecisionPlan(GRAPH.sha256, {})), bound))
    assert getattr(COSTS.work_of(_search("memory_driven", **others)), bound) > limit
    plan = _search(**{bound: limit}, **others)
    assert getattr(COSTS.work_of(plan), bound) <= limit
    assert "memory_driven" not in plan.search["scores"]


def test_work_out_of_reach_is_refused_with_the_least_that_is_reached():
    with pytest.raises(BudgetError, match="none of search rl's 12 episodes kept to --max_bit_ops 1;") as caught:
        _search(bit_ops=1)
    (found,) = re.findall(r"([\d,]+) BitOPs", str(caught.value))
    least = int(found.replace(",", ""))
    assert COSTS.work_of(_search(bit_ops=least)).bit_ops == least
    with pytest.raises(BudgetError):
        _search(bit_ops=least - 1)


def test_bytes_out_of_reach_are_refused_as_memory_driven_does():
    with pytest.raises(BudgetError, match="--sram_bytes is 64 and the smallest arena reached"):
        _search(sram_bytes=64)


def test_widths_that_are_given_stay():
    name = next(iter(_search("memory_driven", **BOUNDS).formats))
    rules = [{"match": re.escape(name), "activation_bits": 2}]
    options = {
        "search": "rl",
        "progress": False,
        "compensation": "off",
        "pinned_layers": "first",
        **EPISODES,
        **WIDTHS_ALONE,
    }
    flash_bytes = plain_bytes(MODEL)[1] * 9 // 10
    bounds = {"sram_bytes": ON_CORES["sram_bytes"], "flash_bytes": flash_bytes, "flash_scope": "model"}
    plan = api.plan(MODEL, calibration=CALIBRATION, precision_overrides=rules, rl_min_bits=4, **options, **bounds)
    assert {n for n, f in plan.formats.items() if f.bits == 2} == {name}
    assert plan.weight_bits and set(plan.weight_bits.values()) == {4}
    assert GRAPH.tensors[GRAPH.ops[0].inputs[1]].name not in plan.weight_bits


def test_without_anything_free_the_model_stays_as_it_is():
    net = TinyModel()
    model = net.build(net.softmax(net.input((1, 8))))
    graph = read_model(model)
    samples = np.random.default_rng(0).integers(-100, 100, (4, 8), dtype=np.int8)
    calibration = api.calibrate_model(model, samples, progress=False)
    costs = PlanCosts(ModelFile(model))
    plan = SEARCHES["rl"](graph, calibration, Budget(), costs, **EPISODES, **WIDTHS_ALONE)
    assert not plan.formats and not plan.weight_bits


def test_states_are_the_published_features_from_0_to_1():
    """Depthwise, channels in and out, stride, kernel, weights, pixels, layer, weights or map; by hand."""
    net, rng = TinyModel(), np.random.default_rng(0)
    x = net.input((1, 8, 8, 4))
    y = net.conv2d(x, rng.integers(-9, 9, (12, 3, 3, 4), dtype=np.int8), stride=(2, 2))
    y = net.depthwise_conv2d(y, rng.integers(-9, 9, (3, 3, 12), dtype=np.int8))
    y = net.average_pool2d(y, (4, 4), padding="VALID")
    model = net.build(net.fully_connected(net.reshape(y, (1, 12)), rng.integers(-9, 9, (6, 12), dtype=np.int8)))
    graph = read_model(model)
    dense = len(graph.ops) - 1
    weights = [Choice(i, graph.ops[i].inputs[1], is_map=False) for i in (0, 1, dense)]
    found = state_features(graph, [weights[0], Choice(0, graph.ops[0].outputs[0], is_map=True), *weights[1:]])
    expected = np.array(
        [
            [0, 4, 12, 2, 3, 432, 64, 0, 1],
            [0, 4, 12, 2, 3, 432, 64, 0, 0],
            [1, 12, 12, 1, 3, 108, 16, 1, 1],
            [0, 12, 6, 0, 1, 72, 1, dense, 1],
        ]
    )
    assert np.array_equal(found, (expected - expected.min(axis=0)) / np.ptp(expected, axis=0))


def test_every_step_is_rewarded_by_a_tenth_of_the_points_lost(monkeypatch):
    rewards: list[tuple[float, bool]] = []
    monkeypatch.setattr(Agent, "observe", lambda self, s, a, r, n, *, is_last: rewards.append((r, is_last)))
    _search(rl_episodes=1, evaluate=lambda plan: 0.75 if plan.formats or plan.weight_bits else 0.9, **BOUNDS)
    assert len(rewards) > 5
    assert {round(reward, 9) for reward, _ in rewards} == {-1.5}
    assert [is_last for _, is_last in rewards] == [False] * (len(rewards) - 1) + [True]


_KILLED = """
import sys
from tests.search import test_rl
test_rl._search(labelled=test_rl._labelled(), checkpoint=sys.argv[1], rl_episodes=18, seed=5, **test_rl.WORK)
"""


def test_a_killed_search_gives_the_plan_of_an_uninterrupted_one(tmp_path):
    path = tmp_path / "rl.checkpoint"
    process = subprocess.Popen([sys.executable, "-c", _KILLED, str(path)])
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    arguments = {"labelled": _labelled(), "rl_episodes": 18, "seed": 5, **WORK}
    resumed = _search(checkpoint=path, **arguments)
    assert resumed.to_json() == _search(**arguments).to_json()


def test_what_was_judged_before_the_kill_is_not_judged_again(tmp_path):
    class Killed(Exception):
        pass

    path = tmp_path / "rl.checkpoint"
    judged: list[str] = []

    def judge(plan: PrecisionPlan) -> float:
        if path.exists() and "killed" not in judged:
            judged.append("killed")
            raise Killed
        judged.append(repr(_decisions(plan)))
        return _total_bits(plan)

    with pytest.raises(Killed):
        _search(checkpoint=path, evaluate=judge, **WORK)
    _search(checkpoint=path, evaluate=judge, **WORK)
    kill = judged.index("killed")
    assert kill > 3 and len(judged) > kill + 1
    assert not set(judged[:kill]) & set(judged[kill + 1 :])
