"""Ops on constants and shapes go, and the model computes the same bytes on TFLM."""

from __future__ import annotations

import numpy as np

from tests.support.edit_model import StockModel
from tests.support.tiny_models import Handle
from tests.tflite.canonical.test_reshapes import assert_same_function
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile


def flattened(net: StockModel, x: Handle, *, batch: int = 0) -> Handle:
    """A Flatten as TFLite writes it where the batch is open: the shape's first number, and -1."""
    integer = {"dtype": "int32"}
    shape = net.stock("SHAPE", [x], schema.ShapeOptionsT(outType=schema.TensorType.INT32), (4,), **integer)
    begin, end, stride = (net.constant(np.array([n], np.int32)) for n in (batch, batch + 1, 1))
    options = schema.StridedSliceOptionsT(shrinkAxisMask=1)
    first = net.stock("STRIDED_SLICE", [shape, begin, end, stride], options, (), **integer)
    rest = net.constant(np.array(-1, np.int32))
    target = net.stock("PACK", [first, rest], schema.PackOptionsT(valuesCount=2), (2,), **integer)
    size = int(np.prod(x.shape))
    return net.stock(
        "RESHAPE", [x, target], schema.ReshapeOptionsT(), (1, size), scale=x.scale, zero_point=x.zero_point
    )


def test_a_flatten_of_an_open_batch_is_one_reshape():
    net = StockModel()
    x = net.relu(net.input((1, 4, 6, 2)))
    y = flattened(net, x)
    model = ModelFile(net.build(net.fully_connected(y, np.ones((3, 48), np.int8), scale=2.0)))
    found = canonical(model)
    assert [op.kind for op in found.graph.ops] == ["RELU", "RESHAPE", "FULLY_CONNECTED"]
    (reshape,) = (op for op in found.graph.ops if op.kind == "RESHAPE")
    assert found.graph.tensors[reshape.inputs[1]].data.tolist() == [1, -1]
    assert_same_function(model, found)


def test_shapes_that_are_outputs_stay_computed():
    net = StockModel()
    x = net.relu(net.input((1, 4, 6, 2)))
    options = schema.ShapeOptionsT(outType=schema.TensorType.INT32)
    model = ModelFile(net.build(x, net.stock("SHAPE", [x], options, (4,), dtype="int32")))
    assert canonical(model) is model
