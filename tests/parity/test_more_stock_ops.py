"""Stock ops that move, choose, compare or mix values: TFLM = numpy oracle = C++ in emitted code, in every byte.

As test_stock_op_parity.py: all cases of an op are outputs of one model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parity.test_stock_op_parity import ACTIVATIONS, ALL_VALUES, SHAPES, Zoo, check, shuffled
from tests.support.edit_model import StockModel
from tests.support.emitted import emit_and_compile
from tests.support.tiny_models import Handle
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema

NUM_CASES = 24


def stock(zoo: Zoo, kind: str, inputs: list[Handle], options: Any, shape: tuple[int, ...], **formats: Any) -> Handle:
    return StockModel.stock(zoo.net, kind, inputs, options, shape, **formats)


def indices(zoo: Zoo, *values: int) -> Handle:
    return StockModel.constant(zoo.net, np.array(values, np.int32))


def index(zoo: Zoo, value: int) -> Handle:
    return StockModel.constant(zoo.net, np.array(value, np.int32))


def operands(zoo: Zoo, case: int, low: float = 0.02) -> tuple[Handle, Handle]:
    """A map, and a constant that it broadcasts with, or the map again, in any order."""
    x0 = zoo.view((1, 4, 8, 8), scale=zoo.scale(case, low), zero_point=zoo.zero_point())
    shape = (1, *SHAPES[case % len(SHAPES)]) if case % len(SHAPES) < 6 else SHAPES[case % len(SHAPES)]
    values = zoo.rng.choice(ALL_VALUES, shape)
    x1 = zoo.net.constant(values, scale=zoo.scale(case + 1, low), zero_point=zoo.zero_point())
    return [(x0, x1), (x1, x0), (x0, x0)][case % 3]


def sub(zoo: Zoo, case: int) -> Handle:
    x0, x1 = operands(zoo, case)
    options = schema.SubOptionsT()
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, ACTIVATIONS[case % 4])
    scale = max(x0.scale, x1.scale) * float(zoo.rng.uniform(0.5, 3))
    return stock(zoo, "SUB", [x0, x1], options, (1, 4, 8, 8), scale=scale, zero_point=zoo.zero_point())


def extreme(kind: str) -> Callable[[Zoo, int], Handle]:
    def build(zoo: Zoo, case: int) -> Handle:
        x = zoo.view((1, 4, 8, 8), scale=0.1, zero_point=3)
        values = zoo.rng.choice(ALL_VALUES, (1, *SHAPES[case % 6]))
        constant = zoo.net.constant(values, scale=0.1, zero_point=3)
        inputs = [x, constant] if case % 2 else [constant, x]
        return stock(zoo, kind, inputs, schema.MaximumMinimumOptionsT(), x.shape)

    return build


def reduction(kind: str) -> Callable[[Zoo, int], Handle]:
    def build(zoo: Zoo, case: int) -> Handle:
        axes = [(1, 2), (3,), (1,), (2, 1), (-1,), (1, 2, 3), (2, 3), (1, 3), (2,), (-2, -3)][case % 10]
        x = zoo.view((1, 4, 8, 8), scale=zoo.scale(case), zero_point=zoo.zero_point())
        reduced = {a % 4 for a in axes}
        keeps = case % 2 == 0
        shape = tuple(1 if a in reduced else n for a, n in enumerate(x.shape) if keeps or a not in reduced)
        format = {"scale": x.scale, "zero_point": x.zero_point}
        if kind == "SUM":
            format = {"scale": x.scale * float(zoo.rng.uniform(1, 99)), "zero_point": zoo.zero_point()}
        return stock(zoo, kind, [x, indices(zoo, *axes)], schema.ReducerOptionsT(keepDims=keeps), shape, **format)

    return build


def arg(kind: str) -> Callable[[Zoo, int], Handle]:
    def build(zoo: Zoo, case: int) -> Handle:
        axis = (3, 1, -1, 2)[case % 4]
        x = zoo.view((1, 4, 8, 8), scale=0.1, zero_point=3)
        made = schema.ArgMaxOptionsT if kind == "ARG_MAX" else schema.ArgMinOptionsT
        shape = tuple(n for a, n in enumerate(x.shape) if a != axis % 4)
        options = made(outputType=schema.TensorType.INT32)
        return stock(zoo, kind, [x, index(zoo, axis)], options, shape, dtype="int32")

    return build


def prelu(zoo: Zoo, case: int) -> Handle:
    x = zoo.view((1, 4, 8, 8), scale=zoo.scale(case, 0.02), zero_point=zoo.zero_point())
    shape = SHAPES[case % 6]
    slopes = zoo.net.constant(zoo.rng.choice(ALL_VALUES, shape), scale=zoo.scale(case + 1), zero_point=zoo.zero_point())
    scale = x.scale * float(zoo.rng.choice([0.1, 0.3, 1, 1.7, 30]))
    return stock(zoo, "PRELU", [x, slopes], None, x.shape, scale=scale, zero_point=zoo.zero_point())


def resize_bilinear(zoo: Zoo, case: int) -> Handle:
    shape = [(1, 4, 8, 8), (1, 16, 16, 1), (1, 1, 4, 64), (1, 8, 4, 8)][case % 4]
    height, width = [(8, 16), (5, 3), (1, 7), (9, 9), (16, 8), (2, 1)][case % 6]
    options = schema.ResizeBilinearOptionsT(alignCorners=case % 3 == 1, halfPixelCenters=case % 3 == 2)
    x = zoo.view(shape, scale=0.1, zero_point=3)
    return stock(zoo, "RESIZE_BILINEAR", [x, indices(zoo, height, width)], options, (1, height, width, shape[3]))


def slices(zoo: Zoo, case: int) -> Handle:
    x = zoo.view([(1, 4, 8, 8), (1, 16, 16), (1, 256)][case % 3], scale=0.1, zero_point=3)
    begin = [0, *(int(zoo.rng.integers(0, n)) for n in x.shape[1:])]
    size = [1, *(int(zoo.rng.integers(1, n - b + 1)) for n, b in zip(x.shape[1:], begin[1:], strict=True))]
    return stock(zoo, "SLICE", [x, indices(zoo, *begin), indices(zoo, *size)], schema.SliceOptionsT(), tuple(size))


def strided_slice(zoo: Zoo, case: int) -> Handle:
    is_square = case % 8 == 7
    x = zoo.view((1, 8, 8, 4) if is_square else (1, 4, 8, 8), scale=0.1, zero_point=3)
    begins, ends, strides, shape = [
        ((0, 1, 2, 3), (1, 3, 8, 8), (1, 1, 1, 1), (1, 2, 6, 5)),
        ((0, 1, 0, -5), (1, 3, 8, -1), (1, 1, 3, 2), (1, 2, 3, 2)),
        ((0, 3, 7, 7), (1, -5, -9, 2), (1, -1, -2, -1), (1, 4, 4, 5)),
        ((0, 2, 0, 0), (1, 3, 8, 8), (1, 1, 1, 1), (1, 8, 8)),  # without the row
    ][case % 4]
    options = schema.StridedSliceOptionsT(shrinkAxisMask=2 if case % 4 == 3 else 0)
    if case % 8 >= 4 and case % 4 < 2:
        options.beginMask, begins = 0b1000, (*begins[:3], 5)
        shape = (*shape[:3], len(range(0, ends[3] % 9, strides[3])))
    if is_square:  # the first row, of as many columns as there are rows
        begins, ends, shape = (0, 0, 0, 0), (1, 1, 8, 4), (1, 8, 4)
    return stock(
        zoo, "STRIDED_SLICE", [x, indices(zoo, *begins), indices(zoo, *ends), indices(zoo, *strides)], options, shape
    )


def pack(zoo: Zoo, case: int) -> Handle:
    x = zoo.view((1, 16, 16), scale=0.1, zero_point=3)
    constant = zoo.net.constant(zoo.rng.choice(ALL_VALUES, x.shape), scale=0.1, zero_point=3)
    axis = (1, 2, 3, -1)[case % 4]
    shape = list(x.shape)
    shape.insert(axis % 4, 3)
    return stock(zoo, "PACK", [x, constant, x], schema.PackOptionsT(axis=axis, valuesCount=3), tuple(shape))


def gather(zoo: Zoo, case: int) -> Handle:
    x = zoo.view((1, 4, 8, 8), scale=0.1, zero_point=3)
    axis = (1, 2, 3, -1)[case % 4]
    chosen = [int(i) for i in zoo.rng.integers(0, x.shape[axis], 3)]
    shape = tuple(3 if a == axis % 4 else n for a, n in enumerate(x.shape))
    return stock(zoo, "GATHER", [x, indices(zoo, *chosen)], schema.GatherOptionsT(axis=axis), shape)


def blocks(zoo: Zoo, case: int) -> Handle:
    if case % 2:
        x = zoo.view((1, 4, 8, 8), scale=0.1, zero_point=3)
        return stock(zoo, "DEPTH_TO_SPACE", [x], schema.DepthToSpaceOptionsT(blockSize=2), (1, 8, 16, 2))
    x = zoo.view((1, 8, 16, 2), scale=0.1, zero_point=3)
    return stock(
        zoo, "SPACE_TO_DEPTH", [x], schema.SpaceToDepthOptionsT(blockSize=(2, 4)[case // 2 % 2]), _blocked(case)
    )


def _blocked(case: int) -> tuple[int, ...]:
    return (1, 4, 8, 8) if case // 2 % 2 == 0 else (1, 2, 4, 32)


OPS: dict[str, Callable[[Zoo, int], Handle]] = {
    **{f.__name__: f for f in (sub, prelu, resize_bilinear, slices, strided_slice, pack, gather, blocks)},
    **{kind.lower(): extreme(kind) for kind in ("MINIMUM", "MAXIMUM")},
    **{kind.lower(): reduction(kind) for kind in ("REDUCE_MIN", "REDUCE_MAX", "SUM")},
    **{kind.lower(): arg(kind) for kind in ("ARG_MIN", "ARG_MAX")},
}


def test_ops_equal_tflm_in_every_byte(tmp_path: Path) -> None:
    zoo = Zoo((1, 256))
    for make in OPS.values():
        for case in range(NUM_CASES):
            zoo.add(make(zoo, case))
    check(zoo.build(), shuffled(2, (1, 256)), tmp_path)


@pytest.mark.parametrize(("kind", "axis"), [("SPLIT", 3), ("SPLIT_V", 3), ("UNPACK", 3), ("UNPACK", 1)])
def test_ops_with_several_outputs(kind: str, axis: int, tmp_path: Path) -> None:
    """The oracle knows the first; sums of all of them are compared with TFLM."""
    net = StockModel()
    x = net.input((1, 6, 4, 6))
    if kind == "SPLIT":
        inputs, options = [net.constant(np.array(3, np.int32)), x], schema.SplitOptionsT(numSplits=3)
    elif kind == "SPLIT_V":
        sizes, last = net.constant(np.array([2, 2, 2], np.int32)), net.constant(np.array(-1, np.int32))
        inputs, options = [x, sizes, last], schema.SplitVOptionsT(numSplits=3)
    else:
        whole = (1, 24, 2, 3) if axis == 3 else (1, 3, 3, 16)  # of as many columns as there are rows
        inputs, options = [net.reshape(x, whole)], schema.UnpackOptionsT(num=3, axis=axis)
    shape = (1, 6, 4, 2) if kind != "UNPACK" else tuple(n for d, n in enumerate(whole) if d != axis)
    first = net.stock(kind, inputs, options, shape, scale=x.scale, zero_point=x.zero_point)
    others = [net.add_output(first) for _ in range(2)]
    model = net.build(first, net.add(others[0], others[1], scale=0.1), others[1])
    emitted, tflm = emit_and_compile(model, tmp_path), Interpreter(model)
    for sample in np.random.default_rng(0).integers(-128, 128, (4, 1, 6, 4, 6), np.int8):
        for wanted, found in zip(tflm.invoke(sample), emitted.invoke(sample), strict=True):
            np.testing.assert_array_equal(found, wanted)
