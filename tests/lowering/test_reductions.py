"""Reductions at the end of a stage: what their maps mean decides whether a stage takes them."""

from __future__ import annotations

import numpy as np

import tflm_quantmcu as qm
from tests.support.edit_model import edited
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.lowering.regions import lower_reduction
from tflm_quantmcu.tflite.reader import read_model


def _flattened() -> bytes:
    net, rng = TinyModel(), np.random.default_rng(0)
    x = net.input((1, 16, 16, 4))
    x = net.conv2d(x, rng.integers(-127, 128, (4, 3, 3, 4), dtype=np.int8), scale=0.1)
    x = net.reshape(x, (1, x.shape[1] * x.shape[2] * 4))
    return net.build(net.fully_connected(x, rng.integers(-127, 128, (5, x.shape[1]), dtype=np.int8), scale=2.0))


def test_a_reshape_that_says_another_scale_ends_no_stage() -> None:
    model = _flattened()
    reshaped = next(op for op in read_model(model).ops if op.kind == "RESHAPE").outputs[0]

    def rescale(tree) -> None:
        tree.subgraphs[0].tensors[reshaped].quantization.scale = [0.003]

    for data, is_taken in ((model, True), (edited(model, rescale), False)):
        graph = read_model(data)
        assert (lower_reduction(graph, graph.ops, {}) is not None) == is_taken
        result = qm.convert(data, search="uniform", progress=False)
        assert result.report.verification.is_same_function


def test_a_bias_of_any_shape_is_its_values_in_a_row() -> None:
    net, rng = TinyModel(), np.random.default_rng(1)
    x = net.input((1, 16, 16, 4))
    bias = rng.integers(-999, 999, 8, dtype=np.int32)
    x = net.conv2d(x, rng.integers(-127, 128, (8, 3, 3, 4), dtype=np.int8), bias=bias, scale=0.1)
    model = net.build(net.mean(x))
    place = read_model(model).ops[0].inputs[2]
    result = qm.convert(
        edited(model, lambda tree: setattr(tree.subgraphs[0].tensors[place], "shape", [4, 2])),
        search="uniform",
        progress=False,
    )
    assert result.report.verification.is_same_function
