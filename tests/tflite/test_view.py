"""The listing: windows, omitted inputs, our ops' options, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.edit_model import edited
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model
from tflm_quantmcu.tflite.view import view_graph


def windows() -> bytes:
    net = TinyModel()
    x = net.input((1, 9, 9, 2))
    x = net.pad(x, [(0, 0), (1, 2), (3, 4), (0, 0)])
    x = net.conv2d(x, np.ones((3, 3, 2, 2), np.int8), dilation=(2, 1), activation="RELU_N1_TO_1")
    return net.build(net.max_pool2d(x, (3, 2), stride=(2, 1), padding="SAME"))


def test_windows():
    assert (
        view_graph(read_model(windows()))
        == """\
input  T0 'map0' int8[1,9,9,2]
0   PAD(T0, T1 int32[4,2]) -> T2 'map2' int8[1,12,16,2]  pads 0,0 1,2 3,4 0,0
1   CONV_2D(T2, T3 int8[3,3,2,2]) -> T4 'map4' int8[1,12,16,3]  3x2 stride 1x1 dilation 2x1 pad 2,0 RELU_N1_TO_1
2   MAX_POOL_2D(T4) -> T5 'map5' int8[1,6,16,3]  3x2 stride 2x1
output T5"""
    )


def test_omitted_inputs():
    def omit_bias(tree: schema.ModelT) -> None:
        tree.subgraphs[0].operators[1].inputs = [2, 3, -1]

    assert "CONV_2D(T2, T3 int8[3,3,2,2], -) ->" in view_graph(read_model(edited(windows(), omit_bias)))


def test_options_of_our_ops_that_cannot_be_read():
    model = windows()
    graph = read_model(model)
    converted = convert_model(model, PrecisionPlan(graph.sha256, {}, formats={"map4": Format(4, 0.5, 0)}))

    def damage(tree: schema.ModelT) -> None:
        tree.subgraphs[0].operators[1].customOptions = np.zeros(3, np.uint8)

    with pytest.raises(UnsupportedModelError, match="the options are"):
        view_graph(read_model(edited(converted, damage)))
