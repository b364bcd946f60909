"""What plans are worth on samples: as TFLM would judge them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.search_problems import calibration_of, problem_of
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.calibration.methods import narrow_format
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import to_real
from tflm_quantmcu.search.evaluator import Evaluator, fidelity_of, score_tensors
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

SHAPE = (6, 6, 3)
X = np.random.default_rng(0).integers(-128, 128, (40, *SHAPE), dtype=np.int8)


def _model(*ends: str) -> bytes:
    """A convolution and a classifier, and what is named behind it."""
    net, rng = TinyModel(), np.random.default_rng(1)
    x = net.input((1, *SHAPE))
    relu = {"activation": "RELU", "scale": 0.05, "zero_point": -128}
    x = net.conv2d(x, rng.integers(-127, 128, (8, 3, 3, 3), dtype=np.int8), filter_scales=[0.005] * 8, **relu)
    x = net.fully_connected(x, rng.integers(-127, 128, (5, 288), dtype=np.int8), scale=0.3, zero_point=2)
    apply = {"softmax": net.softmax, "dequantize": net.dequantize}
    for end in ends:
        x = apply[end](x)
    assert isinstance(x, Handle)
    return net.build(x)


def _evaluator(model: bytes, labels: np.ndarray | None = None) -> Evaluator:
    graph = read_model(model)
    return Evaluator(graph, PlanCosts(ModelFile(model)), X, labels)


def _four_bit_map(model: bytes) -> PrecisionPlan:
    graph = read_model(model)
    name = graph.tensors[graph.ops[0].outputs[0]].name
    stats = calibration_of(model, shape=SHAPE, count=16).stats[name]
    return PrecisionPlan(graph.sha256, {}, formats={name: narrow_format(stats, 4)})


def _real_outputs(model: bytes) -> np.ndarray:
    graph = read_model(model)
    return to_real(Interpreter(model).run(X).reshape(len(X), -1), graph.tensors[graph.outputs[0]])


@pytest.mark.parametrize("ends", ((), ("softmax",), ("softmax", "dequantize")))
def test_accuracy_is_that_on_tflm(ends):
    model = _model(*ends)
    plan, labels = _four_bit_map(model), _real_outputs(model).argmax(axis=1)
    found = _real_outputs(convert_model(model, plan)).argmax(axis=1)
    accuracy = _evaluator(model, labels)(plan)
    assert accuracy == np.mean(found == labels) < 1
    assert _evaluator(model, labels)(PrecisionPlan(plan.model_sha256, {})) == 1


def test_fidelity_is_the_share_of_variance_that_is_kept():
    model = _model()
    plan = _four_bit_map(model)
    found, wanted = _real_outputs(convert_model(model, plan)), _real_outputs(model)
    lost = np.sum((found - wanted) ** 2) / np.sum((wanted - wanted.mean(axis=0)) ** 2)
    assert _evaluator(model)(plan) == pytest.approx(1 - lost)
    assert _evaluator(model)(PrecisionPlan(plan.model_sha256, {})) == 1


@pytest.mark.parametrize("ends", (("softmax",), ("softmax", "dequantize")))
def test_fidelity_is_of_the_scores_that_a_softmax_makes_shares_of(ends):
    plain, model = _model(), _model(*ends)
    graph = read_model(model)
    (scores,) = score_tensors(graph)
    assert graph.producer[scores].kind == "FULLY_CONNECTED" and score_tensors(read_model(plain)) == (scores,)
    assert _evaluator(model)(_four_bit_map(model)) == _evaluator(plain)(_four_bit_map(plain))


def test_fidelity_of_a_problem_is_on_all_its_samples():
    model = _model()
    problem = problem_of(model, X[:25])
    plan = _four_bit_map(model)
    assert fidelity_of(problem)(plan) == Evaluator(problem.graph, problem.cost, X[:25])(plan)
    labelled = dataclasses.replace(problem, labelled=(X[25:], np.zeros(15, np.int64)))
    both = np.concatenate([X[25:], X[:25]])
    assert fidelity_of(labelled)(plan) == Evaluator(problem.graph, problem.cost, both)(plan)
