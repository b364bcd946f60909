"""Ops that move elements by constants are refused where these and the shapes do not fit, and run where they do."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.edit_model import StockModel, edited
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema

Constants = Sequence[Sequence[int] | Sequence[Sequence[int]]]

MAP = (4, 4, 6, 8)
PADS = [[0, 0], [1, 0], [0, 2], [0, 0]]
# kind -> constants behind the map, and the output's shape.
FITS: dict[str, tuple[Constants, tuple[int, ...]]] = {
    "PAD": ([PADS], (4, 5, 8, 8)),
    "MIRROR_PAD": ([PADS], (4, 5, 8, 8)),
    "TRANSPOSE": ([[0, 3, 1, 2]], (4, 8, 4, 6)),
    "SLICE": ([[0, 1, 0, 2], [4, 2, -1, 3]], (4, 2, 6, 3)),
    "RESIZE_NEAREST_NEIGHBOR": ([[8, 9]], (4, 8, 9, 8)),
    "SPACE_TO_BATCH_ND": ([[2, 2], [[0, 0], [1, 1]]], (16, 2, 4, 8)),
    "BATCH_TO_SPACE_ND": ([[2, 2], [[0, 0], [1, 2]]], (1, 8, 9, 8)),
}
OPTIONS = {
    "SLICE": schema.SliceOptionsT,
    "RESIZE_NEAREST_NEIGHBOR": schema.ResizeNearestNeighborOptionsT,
    "MIRROR_PAD": schema.MirrorPadOptionsT,
}


def _model(kind: str, constants: Constants, shape: tuple[int, ...]) -> bytes:
    net = StockModel()
    inputs = [net.input(MAP), *(net.constant(np.array(values, np.int32)) for values in constants)]
    return net.build(net.stock(kind, inputs, OPTIONS[kind]() if kind in OPTIONS else None, shape))


@pytest.mark.parametrize("kind", FITS)
def test_what_fits_runs(kind: str) -> None:
    model = Interpreter(_model(kind, *FITS[kind]))
    model.invoke([np.ones(MAP, np.int8)])


@pytest.mark.parametrize(
    ("kind", "constants", "shape"),
    [
        *((kind, constants, (*shape[:3], shape[3] + 1)) for kind, (constants, shape) in FITS.items()),
        ("PAD", [[[0, 0], [-1, 0], [0, 2], [0, 0]]], (4, 3, 8, 8)),
        ("PAD", [[[0, 0], [1, 0], [0, 2]]], (4, 5, 8, 8)),
        ("TRANSPOSE", [[0, 3, 1, 1]], (4, 8, 4, 4)),
        ("SLICE", [[0, 3, 0, 2], [4, 2, -1, 3]], (4, 2, 6, 3)),
        ("SLICE", [[0, -1, 0, 2], [4, 2, -1, 3]], (4, 2, 6, 3)),
        ("SPACE_TO_BATCH_ND", [[2, 2], [[0, 1], [1, 1]]], (16, 2, 4, 8)),
        ("SPACE_TO_BATCH_ND", [[2, 0], [[0, 0], [1, 1]]], (16, 2, 4, 8)),
        ("BATCH_TO_SPACE_ND", [[2, 32514], [[0, 0], [0, 0]]], (1, 8, 12, 8)),
        ("BATCH_TO_SPACE_ND", [[2, 3], [[0, 0], [0, 0]]], (1, 8, 18, 8)),
        ("BATCH_TO_SPACE_ND", [[2, 2], [[0, 0], [0, -1]]], (1, 8, 13, 8)),
    ],
)
def test_what_does_not_is_refused_by_op_and_tensor(kind: str, constants: Constants, shape: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"{kind} '\w+' \(op 0\) (has shapes|makes a tensor|writes)"):
        Interpreter(_model(kind, constants, shape))


def test_a_constant_of_half_a_number_is_refused() -> None:
    model = _model("TRANSPOSE", *FITS["TRANSPOSE"])

    def cut(tree: schema.ModelT) -> None:
        (tensor,) = (t for t in tree.subgraphs[0].tensors if t.type == schema.TensorType.INT32)
        tree.buffers[tensor.buffer].data = tree.buffers[tensor.buffer].data[:-1]

    with pytest.raises(UnsupportedModelError):
        Interpreter(edited(model, cut))


@pytest.mark.parametrize("kind", ["GREATER", "NOT_EQUAL", "MAXIMUM", "CONCATENATION"])
def test_inputs_of_two_types_are_refused(kind: str) -> None:
    net = StockModel()
    inputs = [net.input(MAP, dtype="int32"), net.input(MAP)]
    shape = (*MAP[:3], 16) if kind == "CONCATENATION" else MAP
    options = schema.ConcatenationOptionsT(axis=3) if kind == "CONCATENATION" else None
    with pytest.raises(UnsupportedModelError, match=re.escape(f"{kind} 'map2' (op 0) reads INT32 and INT8")):
        Interpreter(net.build(net.stock(kind, inputs, options, shape)))


@pytest.mark.parametrize("kind", ["MINIMUM", "SELECT_V2"])
def test_an_output_of_another_type_is_refused(kind: str) -> None:
    net = StockModel()
    inputs = [*([net.input(MAP, dtype="bool")] if kind == "SELECT_V2" else ()), net.input(MAP), net.input(MAP)]
    with pytest.raises(UnsupportedModelError, match="writes INT8, and its output is INT16"):
        Interpreter(net.build(net.stock(kind, inputs, None, MAP, dtype="int16")))
