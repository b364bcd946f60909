"""Scales by layers: the least output error given what was chosen before, for 8-bit models and for plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import calibration_of
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app import api
from tflm_quantmcu.calibration import unified_scale as module
from tflm_quantmcu.calibration.methods import candidate_formats, format_of_range
from tflm_quantmcu.calibration.real_model import RealModel
from tflm_quantmcu.calibration.unified_scale import layerwise_formats, layerwise_plan
from tflm_quantmcu.compensation.compensate import compensate, without_compensation
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format, Tensor
from tflm_quantmcu.lowering.format_groups import free_groups
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.search import problem
from tflm_quantmcu.tflite.reader import read_model

RNG = np.random.default_rng(4)
X = RNG.integers(-128, 128, (16, 4, 4, 3), dtype=np.int8)
MODEL = inverted_residual()
IMAGES = np.random.default_rng(1).integers(-100, 100, (8, 24, 24, 3), dtype=np.int8)


def _chain() -> bytes:
    """Two 1x1 convolutions between the ends."""
    model = TinyModel()
    x = model.input((1, 4, 4, 3), scale=0.05)
    for outputs in (5, 4):
        weights = RNG.integers(-127, 128, (outputs, 1, 1, x.shape[3]))
        x = model.conv2d(x, weights, filter_scales=(0.01,), scale=0.3, zero_point=0)
    return model.build(model.conv2d(x, RNG.integers(-127, 128, (2, 1, 1, 4)), scale=0.5))


def _rounded(values: np.ndarray, format: Format) -> np.ndarray:
    q = np.clip(np.rint(values / format.scale) + format.zero_point, format.qmin, format.qmax)
    return ((q - format.zero_point) * format.scale).astype(np.float32)


def test_each_scale_has_the_least_error_of_its_layers_output():
    data = _chain()
    real = RealModel(data)
    graph = real.graph
    chosen = layerwise_formats(data, free_groups(graph), X)
    assert list(chosen) == [op.outputs[0] for op in graph.ops[:2]]
    exact = found = [x[None].astype(np.float32) * np.float32(0.05) for x in X]
    for op in graph.ops[:2]:
        one = Interpreter(real.of_op(op))
        exact, outputs = ([one.invoke(values)[0] for values in inputs] for inputs in (exact, found))
        wanted, given = np.concatenate(exact), np.concatenate(outputs)

        def error(format: Format, given: np.ndarray = given, wanted: np.ndarray = wanted) -> float:
            return float(np.sum((_rounded(given, format) - wanted) ** 2))

        best = chosen[op.outputs[0]]
        candidates = candidate_formats(float(wanted.min()), float(wanted.max()), 8)
        assert best in candidates
        assert error(best) <= 1.0001 * min(map(error, candidates))  # it rounds in float32
        found = [_rounded(y, best) for y in outputs]


def test_concatenated_branches_get_one_scale_for_all_their_values():
    model = TinyModel()
    x = model.input((1, 4, 4, 3), scale=0.05)
    small, large = (
        model.conv2d(x, RNG.integers(-127, 128, (2, 1, 1, 3)), filter_scales=(scale,), scale=0.1, zero_point=0)
        for scale in (0.001, 0.05)
    )
    joined = model.concatenation([small, large], 3)
    data = model.build(model.conv2d(joined, RNG.integers(-127, 128, (2, 1, 1, 4)), scale=0.5))
    chosen = layerwise_formats(data, free_groups(read_model(data)), X)
    (format,) = set(chosen.values())
    assert list(chosen) == [small.index, large.index, joined.index]
    largest = max(np.abs(y).max() for y in _values(data, large.index, X))
    assert 0.3 < format.scale * 127 / largest < 1.3


def _values(data: bytes, tensor: int, inputs: np.ndarray) -> list[np.ndarray]:
    """Values of the unquantised network."""
    interpreter = Interpreter(RealModel(data).whole(), preserve_all_tensors=True)
    values = []
    for x in inputs:
        interpreter.invoke(x.astype(np.float32) * np.float32(0.05))
        values.append(interpreter.tensor(tensor))
    return values


def test_maps_that_are_all_zero_are_left_alone():
    model = TinyModel()
    x = model.conv2d(model.input((1, 4, 4, 3)), np.zeros((2, 1, 1, 3)), scale=0.1)
    data = model.build(model.conv2d(x, np.ones((2, 1, 1, 2)), scale=0.5))
    assert layerwise_formats(data, free_groups(read_model(data)), X) == {}


def test_samples_beyond_what_memory_holds_are_not_used(monkeypatch):
    data = _chain()
    groups = free_groups(read_model(data))
    monkeypatch.setattr(module, "_KEPT_BYTES", 5 * 16 * (5 + 4 + 2))
    assert layerwise_formats(data, groups, X) == layerwise_formats(data, groups, X[:5])


@pytest.mark.parametrize("options", [{"search": "uniform", "activation_bits": 4}, {"vdqs_lambda": 0.0}])
def test_a_plan_keeps_widths_and_stages(options):
    calibration = calibration_of(MODEL, shape=(24, 24, 3))
    plan = api.plan(MODEL, calibration=calibration, compensation="off", progress=False, **options)
    refined = layerwise_plan(MODEL, plan, IMAGES)
    assert refined != plan
    assert _widths(refined) == _widths(plan)
    assert dataclasses.replace(refined, stages=(), formats={}) == dataclasses.replace(plan, stages=(), formats={})
    assert layerwise_plan(MODEL, plan, IMAGES) == refined


def test_a_plan_is_compensated_once_for_the_formats_that_it_ends_with(monkeypatch):
    calibration = api.calibrate_model(MODEL, IMAGES, calibration_method="uspiq", progress=False)
    compensated = []

    def compensate_and_count(graph, plan, samples, **options):
        compensated.append(compensate(graph, plan, samples, **options))
        return compensated[-1]

    monkeypatch.setattr(problem, "compensate", compensate_and_count)
    options = {"search": "uniform", "activation_bits": 4, "weight_bits": 4, "progress": False}
    plan = api.plan(MODEL, calibration=calibration, **options)
    assert len(compensated) == 1 and plan.rounded_weights
    off = api.plan(MODEL, calibration=calibration, **options, compensation="off")
    assert dataclasses.replace(without_compensation(plan), search=off.search) == off


def test_narrow_maps_come_nearer_to_the_network_given_those_before():
    data = _chain()
    graph = read_model(data)
    maps = [graph.tensors[op.outputs[0]] for op in graph.ops[:2]]
    plain = {t.name: format_of_range(-20.0, 20.0, 4) for t in maps}
    refined = layerwise_plan(data, PrecisionPlan(graph.sha256, {}, formats=plain), X).formats

    def error(formats: Mapping[str, Format], tensor: Tensor) -> float:
        q = simulate(graph, PrecisionPlan(graph.sha256, {}, formats=formats), X)[tensor.name].astype(np.float32)
        found = (q - formats[tensor.name].zero_point) * formats[tensor.name].scale
        return float(np.sum((found - np.concatenate(_values(data, tensor.index, X))) ** 2))

    first, second = maps
    assert error(refined, first) < error(plain, first)
    assert error(refined, second) < error({**refined, second.name: plain[second.name]}, second)
    assert error(refined, second) < error(plain, second)


def _widths(plan: PrecisionPlan) -> list[dict[str, int]]:
    inside = [c.formats for stage in plan.stages for c in stage.classes]
    return [{name: f.bits for name, f in formats.items()} for formats in (plan.formats, *inside)]


def test_a_plan_of_8_bits_stays_as_it_is():
    plan = api.plan(MODEL, search="uniform", progress=False)
    assert layerwise_plan(MODEL, plan, IMAGES) == plan
