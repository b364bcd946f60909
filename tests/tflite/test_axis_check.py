"""Ops that join, divide or reduce are refused where their shapes or counts do not fit, and run where they do."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel, edited
from tests.support.tiny_models import Handle
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema

MAP = (1, 4, 6, 8)


def _int32(net: StockModel, *values: int) -> Handle:
    return net.constant(np.array(values, np.int32))


def _model(kind: str) -> bytes:
    net = StockModel()
    if kind == "CONCATENATION":
        options = schema.ConcatenationOptionsT(axis=3)
        return net.build(net.stock(kind, [net.input(MAP), net.input(MAP)], options, (1, 4, 6, 16)))
    if kind == "PACK":
        parts = [net.input(MAP), net.input(MAP)]
        return net.build(net.stock(kind, parts, schema.PackOptionsT(axis=1, valuesCount=2), (1, 2, 4, 6, 8)))
    if kind == "MEAN":
        x = net.input(MAP)
        return net.build(net.stock(kind, [x, _int32(net, 1, 2)], schema.ReducerOptionsT(keepDims=False), (1, 8)))
    assert kind == "SELECT_V2"
    chosen = net.input(MAP, dtype="bool")
    return net.build(net.stock(kind, [chosen, net.input(MAP), net.input(MAP)], schema.SelectV2OptionsT(), MAP))


def _edited(kind: str, change: Any) -> bytes:
    return edited(_model(kind), lambda model: change(model.subgraphs[0]))


def _options(**fields: Any) -> Any:
    return lambda graph: [setattr(graph.operators[0].builtinOptions, name, value) for name, value in fields.items()]


def _output(*shape: int) -> Any:
    return lambda graph: setattr(graph.tensors[graph.outputs[0]], "shape", list(shape))


@pytest.mark.parametrize("kind", ["CONCATENATION", "PACK", "MEAN", "SELECT_V2"])
def test_what_fits_runs(kind: str) -> None:
    model = Interpreter(_model(kind))
    model.invoke([np.ones(t.shape, t.dtype) for t in model.inputs])


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("CONCATENATION", _options(axis=2)),
        ("CONCATENATION", _options(axis=9)),
        ("PACK", _options(axis=0)),
        ("PACK", _options(valuesCount=3)),
        ("MEAN", _output(1)),
        ("MEAN", _output(1, 4)),
        ("SELECT_V2", _output(1, 4, 6, 32768)),
    ],
)
def test_what_does_not_is_refused_by_op_and_tensor(kind: str, change: Any) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"{re.escape(kind)} '\w+' \(op 0\) (has shapes|writes)"):
        Interpreter(_edited(kind, change))


def _axis_of(kind: str, axis: list[int]) -> bytes:
    """Halves of the channels, by this axis."""
    net = StockModel()
    x, place = net.input(MAP), net.constant(np.array(axis, np.int32))
    if kind == "SPLIT":
        inputs, options = [place, x], schema.SplitOptionsT(numSplits=2)
    else:
        inputs, options = [x, _int32(net, 4, 4), place], schema.SplitVOptionsT(numSplits=2)
    first = net.stock(kind, inputs, options, (1, 4, 6, 4), scale=x.scale, zero_point=x.zero_point)
    second = net.add_output(first)
    return net.build(net.relu(first), second)


@pytest.mark.parametrize("kind", ["SPLIT", "SPLIT_V"])
def test_a_split_has_an_axis_that_its_parts_lie_along(kind: str) -> None:
    place = {"SPLIT": 0, "SPLIT_V": 2}[kind]
    with pytest.raises(UnsupportedModelError, match=rf"{kind} '\w+' \(op 0\) has no value in its input {place}"):
        qm.convert(_axis_of(kind, []), search="uniform", progress=False)
    for axis in ([1], [9]):
        with pytest.raises(UnsupportedModelError, match=rf"{kind} '\w+' \(op 0\) has shapes"):
            qm.convert(_axis_of(kind, axis), search="uniform", progress=False)
    for axis in ([3], [-1]):
        assert qm.convert(_axis_of(kind, axis), search="uniform", progress=False).report.verification.is_same_function
