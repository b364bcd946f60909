"""A rescaled model is a stock int8 model that computes, to the byte, what laws A3 to A7 say of its new formats."""

from __future__ import annotations

import dataclasses
import io
import zipfile

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.networks import inverted_residual
from tests.support.property_settings import examples
from tests.support.random_cnn import random_cnns
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.calibration.biases import bias_steps
from tflm_quantmcu.calibration.rescale import rescale_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format, ModelGraph
from tflm_quantmcu.law.lookups import is_lookup
from tflm_quantmcu.lowering.format_groups import free_groups
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.reader import read_model


def _drawn_formats(graph: ModelGraph, seed: int) -> dict[int, Format]:
    rng = np.random.default_rng(seed)
    formats = {}
    for group in free_groups(graph):
        own = graph.tensors[group.tensors[0]].format
        scale = float(np.float32(own.scale * rng.uniform(0.6, 1.3)))
        zero_point = own.zero_point if own.zero_point == -128 else int(rng.integers(-60, 60))
        formats |= dict.fromkeys(group.tensors, Format(8, scale, zero_point))
    return formats


@examples(25)
@given(random_cnns(), st.integers(0, 1 << 20))
def test_tflm_runs_it_as_the_law_says(cnn, seed):
    graph = read_model(cnn.model)
    formats = _drawn_formats(graph, seed)
    rescaled = rescale_model(cnn.model, formats)
    again = read_model(rescaled)
    assert [t.format for t in again.tensors if t.index in formats] == [formats[t] for t in sorted(formats)]
    x = cnn.inputs(graph.tensors[graph.inputs[0]].shape)
    expected = simulate(again, None, x)
    assert np.array_equal(Interpreter(rescaled).run(x), expected[again.tensors[again.outputs[0]].name])


@examples(25)
@given(random_cnns(has_tail=False, has_moves=False), st.integers(0, 1 << 20))
def test_it_is_the_model_planned_with_these_formats(cnn, seed):
    """Two ways to the same biases and multipliers, where no stock op stands between that knows but the model's own, and
    no table, which is of the real function where formats are others (A18)."""
    graph = read_model(cnn.model)
    assume(not any(is_lookup(graph, op) for op in graph.ops))
    formats = _drawn_formats(graph, seed)
    x = cnn.inputs(graph.tensors[graph.inputs[0]].shape)
    plan = PrecisionPlan(graph.sha256, {}, formats={graph.tensors[t].name: f for t, f in formats.items()})
    expected = simulate(graph, plan, x)[graph.tensors[graph.outputs[0]].name]
    assert np.array_equal(Interpreter(rescale_model(cnn.model, formats)).run(x), expected)


def test_the_models_own_formats_change_nothing_but_the_layout():
    data = inverted_residual()
    graph = read_model(data)
    own = {t: graph.tensors[t].format for group in free_groups(graph) for t in group.tensors}
    for before, after in zip(graph.tensors, read_model(rescale_model(data, own)).tensors, strict=True):
        fields = [{**vars(t), "data": None if t.data is None else t.data.tolist()} for t in (before, after)]
        assert fields[0] == fields[1]


def test_biases_are_rounded_to_the_new_steps():
    model = TinyModel()
    x = model.conv2d(model.input((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), scale=0.5)
    y = model.conv2d(x, np.ones((3, 1, 1, 1)), np.array([10, -11, 7]), filter_scales=(0.1, 0.2, 0.4), scale=1.0)
    data = model.build(y)
    rescaled = read_model(rescale_model(data, {x.index: Format(8, 2.0, 3)}))
    bias = rescaled.tensors[rescaled.ops[1].inputs[2]]
    assert bias.data.tolist() == [3, -3, 2]  # 2.5, -2.75 and 1.75: halves go away from zero
    assert bias.scales == tuple(float(np.float32(2.0 * np.float32(s))) for s in (0.1, 0.2, 0.4))


def test_what_does_not_fit_is_refused():
    model = TinyModel()
    x = model.conv2d(model.input((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), scale=0.5)
    data = model.build(model.conv2d(x, np.ones((1, 1, 1, 1)), np.array([1 << 30]), scale=1.0))
    with pytest.raises(UnsupportedModelError, match="leaves int32 in its new steps; use --calibration_method own"):
        rescale_model(data, {x.index: Format(8, 0.1, 0)})


def test_a_bias_that_two_ops_share_keeps_them_together():
    model = TinyModel()
    bias = np.array([5])
    x, y = (model.conv2d(model.input((1, 2, 2, 1)), np.ones((1, 1, 1, 1)), bias, scale=0.5) for _ in range(2))
    graph = read_model(model.build(model.add(x, y, scale=1.0)))
    first, second = (op for op in graph.ops if op.kind == "CONV_2D")
    shared = dataclasses.replace(second, inputs=(*second.inputs[:2], first.inputs[2]))
    graph = dataclasses.replace(graph, ops=(first, shared, graph.ops[2]))
    assert bias_steps(graph, {}).keys() == {first.inputs[2]}
    with pytest.raises(UnsupportedModelError, match="shares its bias with an op of other scales"):
        bias_steps(graph, {first.inputs[0]: Format(8, 0.7, 0)})


def test_labels_behind_the_model_stay():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("labels.txt", "cat\ndog\n")
    rescaled = rescale_model(inverted_residual() + archive.getvalue(), {})
    with zipfile.ZipFile(io.BytesIO(rescaled)) as file:
        assert file.read("labels.txt") == b"cat\ndog\n"
