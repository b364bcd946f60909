"""Models of one stock op each, of kinds that networks seldom have: what TFLM keeps of them is known too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.support.edit_model import StockModel
from tests.support.tiny_models import Handle
from tflm_quantmcu.tflite import schema

SHAPE = (1, 4, 6, 8)


def unary(kind: str, options: object = None, *, dtype: str = "int8", output: str | None = None) -> bytes:
    net = StockModel()
    return net.build(net.stock(kind, [net.input(SHAPE, dtype=dtype)], options, SHAPE, dtype=output or dtype))


def binary(kind: str, options: object, *, dtype: str = "int8", output: str | None = None) -> bytes:
    net = StockModel()
    inputs = [net.input(SHAPE, dtype=dtype), net.input(SHAPE, dtype=dtype)]
    return net.build(net.stock(kind, inputs, options, SHAPE, dtype=output or dtype))


def with_constant(kind: str, options: object, values: object, shape: tuple[int, ...], dtype: str = "int8") -> bytes:
    net = StockModel()
    x = net.input(SHAPE, dtype=dtype)
    return net.build(net.stock(kind, [x, net.constant(np.array(values, np.int32))], options, shape, dtype=dtype))


def slice_with_strides() -> bytes:
    net = StockModel()
    x = net.input(SHAPE)
    ends = [net.constant(np.array(values, np.int32)) for values in ((0, 1, 0, 0), (1, 4, 6, 8), (1, 1, 2, 1))]
    return net.build(net.stock("STRIDED_SLICE", [x, *ends], schema.StridedSliceOptionsT(), (1, 3, 3, 8)))


def parts(kind: str) -> bytes:
    """SPLIT along the channels, or UNPACK of them."""
    net = StockModel()
    x = net.input((1, 4, 6, 2))
    if kind == "SPLIT":
        axis = net.constant(np.array([3], np.int32))
        first = net.stock(kind, [axis, x], schema.SplitOptionsT(numSplits=2), (1, 4, 6, 1), scale=x.scale, zero_point=0)
    else:
        first = net.stock(kind, [x], schema.UnpackOptionsT(num=2, axis=3), (1, 4, 6))
    return net.build(first, net.add_output(first))


def pack() -> bytes:
    net = StockModel()
    inputs = [net.input((1, 4)), net.input((1, 4))]
    return net.build(net.stock("PACK", inputs, schema.PackOptionsT(valuesCount=2, axis=0), (2, 1, 4)))


def prelu() -> bytes:
    net = StockModel()
    x = net.input(SHAPE)
    alpha = net.constant(np.ones((1, 1, 8), np.int8), scale=0.1)
    return net.build(net.stock("PRELU", [x, alpha], None, SHAPE))


def select() -> bytes:
    net = StockModel()
    x: list[Handle] = [net.input(SHAPE, dtype="bool"), net.input(SHAPE), net.input(SHAPE)]
    return net.build(net.stock("SELECT_V2", x, schema.SelectV2OptionsT(), SHAPE))


def resize() -> bytes:
    options = schema.ResizeBilinearOptionsT()
    return with_constant("RESIZE_BILINEAR", options, (8, 12), (1, 8, 12, 8))


def blocks(kind: str) -> bytes:
    """SPACE_TO_BATCH_ND or its inverse."""
    net = StockModel()
    is_split = kind == "SPACE_TO_BATCH_ND"
    x = net.input(SHAPE if is_split else (4, 2, 3, 8))
    shape = (4, 2, 3, 8) if is_split else SHAPE
    options = schema.SpaceToBatchNDOptionsT() if is_split else schema.BatchToSpaceNDOptionsT()
    constants = [net.constant(np.array(values, np.int32)) for values in ((2, 2), ((0, 0), (0, 0)))]
    return net.build(net.stock(kind, [x, *constants], options, shape))


COMPARISONS = ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL")
COMPARISON_OPTIONS = dict(
    zip(COMPARISONS, ("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual"), strict=True)
)
STOCK_OP_MODELS: dict[str, Callable[[], bytes]] = {
    "ABS": lambda: unary("ABS", schema.AbsOptionsT()),
    "BATCH_TO_SPACE_ND": lambda: blocks("BATCH_TO_SPACE_ND"),
    "CAST": lambda: unary("CAST", schema.CastOptionsT(), output="float32"),
    "CEIL": lambda: unary("CEIL", dtype="float32"),
    "COS": lambda: unary("COS", schema.CosOptionsT(), dtype="float32"),
    "DEPTH_TO_SPACE": lambda: _of("DEPTH_TO_SPACE", schema.DepthToSpaceOptionsT(blockSize=2), (1, 8, 12, 2)),
    "DIV": lambda: binary("DIV", schema.DivOptionsT()),
    "EXP": lambda: unary("EXP", schema.ExpOptionsT(), dtype="float32"),
    "FLOOR": lambda: unary("FLOOR", dtype="float32"),
    "L2_NORMALIZATION": lambda: unary("L2_NORMALIZATION", schema.L2NormOptionsT(), dtype="float32"),
    "LOG_SOFTMAX": lambda: unary("LOG_SOFTMAX", schema.LogSoftmaxOptionsT(), dtype="float32"),
    "LOGICAL_AND": lambda: binary("LOGICAL_AND", schema.LogicalAndOptionsT(), dtype="bool"),
    "LOGICAL_NOT": lambda: unary("LOGICAL_NOT", schema.LogicalNotOptionsT(), dtype="bool"),
    "MAXIMUM": lambda: binary("MAXIMUM", schema.MaximumMinimumOptionsT()),
    "MINIMUM": lambda: binary("MINIMUM", schema.MaximumMinimumOptionsT()),
    "NEG": lambda: unary("NEG", schema.NegOptionsT(), dtype="float32"),
    "PACK": pack,
    "PRELU": prelu,
    "REDUCE_MAX": lambda: with_constant("REDUCE_MAX", schema.ReducerOptionsT(), (1, 2), (1, 8)),
    "RESIZE_BILINEAR": resize,
    "ROUND": lambda: unary("ROUND", dtype="float32"),
    "SELECT_V2": select,
    "SPACE_TO_BATCH_ND": lambda: blocks("SPACE_TO_BATCH_ND"),
    "SPACE_TO_DEPTH": lambda: _of("SPACE_TO_DEPTH", schema.SpaceToDepthOptionsT(blockSize=2), (1, 2, 3, 32)),
    "SPLIT": lambda: parts("SPLIT"),
    "SQUARED_DIFFERENCE": lambda: binary("SQUARED_DIFFERENCE", schema.SquaredDifferenceOptionsT()),
    "STRIDED_SLICE": slice_with_strides,
    "SUB": lambda: binary("SUB", schema.SubOptionsT()),
    "SUM": lambda: with_constant("SUM", schema.ReducerOptionsT(), (1, 2), (1, 8)),
    "UNPACK": lambda: parts("UNPACK"),
    **{
        kind: lambda kind=kind, name=name: binary(kind, getattr(schema, f"{name}OptionsT")(), output="bool")
        for kind, name in COMPARISON_OPTIONS.items()
    },
}


def _of(kind: str, options: object, shape: tuple[int, ...]) -> bytes:
    net = StockModel()
    return net.build(net.stock(kind, [net.input(SHAPE)], options, shape))
