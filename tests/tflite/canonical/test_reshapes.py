"""Reshapes whose output is there already go; others stay."""

from __future__ import annotations

import numpy as np

from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile


def shapes(model: ModelFile) -> list[tuple[str, tuple[int, ...]]]:
    return [(op.kind, model.graph.tensors[op.outputs[0]].shape) for op in model.graph.ops]


def assert_same_function(model: ModelFile, found: ModelFile) -> None:
    x = random_samples(model.graph.tensors[model.graph.inputs[0]], 4)
    for wanted, given in zip(run_stock(model.data, x), run_stock(found.data, x), strict=True):
        np.testing.assert_array_equal(given, wanted)


def test_a_shape_and_back_again():
    net = TinyModel()
    x = net.relu(net.input((1, 4, 6, 2)))
    y = net.reshape(net.reshape(net.reshape(x, (1, 24, 2)), (1, 48)), (1, 4, 6, 2))
    model = ModelFile(net.build(net.add(x, y)))
    found = canonical(model)
    assert shapes(found) == [("RELU", (1, 4, 6, 2)), ("ADD", (1, 4, 6, 2))]
    assert_same_function(model, found)


def test_a_reshape_behind_one_that_goes_reads_the_first_map():
    net = TinyModel()
    x = net.relu(net.input((1, 4, 6, 2)))
    row = net.reshape(x, (1, 24, 2))
    model = ModelFile(net.build(net.relu(net.reshape(row, (1, 4, 6, 2))), net.reshape(row, (1, 48))))
    found = canonical(model)
    assert shapes(found) == [("RELU", (1, 4, 6, 2)), ("RELU", (1, 4, 6, 2)), ("RESHAPE", (1, 48))]
    assert_same_function(model, found)


def test_a_reshape_that_changes_the_meaning_stays():
    net = TinyModel()
    x = net.relu(net.input((1, 4, 6, 2)))
    y = net.reshape(net.reshape(x, (1, 48), scale=0.3), (1, 4, 6, 2))
    model = ModelFile(net.build(net.add(x, y, scale=0.3)))
    assert canonical(model) is model


def test_outputs_stay():
    net = TinyModel()
    x = net.relu(net.input((1, 4, 6, 2)))
    row = net.reshape(x, (1, 48))
    model = ModelFile(net.build(net.relu(net.reshape(row, (1, 4, 6, 2))), row, net.reshape(row, (1, 4, 6, 2))))
    found = canonical(model)
    assert [found.graph.tensors[t].name for t in found.graph.outputs] == [
        model.graph.tensors[t].name for t in model.graph.outputs
    ]
    assert len(found.graph.ops) == len(model.graph.ops) - 1
    assert_same_function(model, found)


def test_the_same_reshape_twice():
    net = TinyModel()
    x = net.input((1, 4, 6, 2))
    model = ModelFile(net.build(net.add(net.relu(net.reshape(x, (1, 48))), net.reshape(x, (1, 48)))))
    found = canonical(model)
    assert shapes(found) == [("RESHAPE", (1, 48)), ("RELU", (1, 48)), ("ADD", (1, 48))]
    assert_same_function(model, found)
