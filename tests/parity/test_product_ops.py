"""Stock ops that multiply int8 tensors: TFLM = numpy oracle = C++ in emitted code, in every byte.

As test_stock_op_parity.py: all cases of an op are outputs of one model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.parity.test_more_stock_ops import indices, operands, stock
from tests.parity.test_stock_op_parity import ACTIVATIONS, ALL_VALUES, Zoo, check, shuffled
from tests.support.emitted import emit_and_compile
from tests.support.tiny_models import Handle
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema

NUM_CASES = 24
ROWS = [(1, 256), (32, 8), (8, 32), (16, 16)]


def constant(zoo: Zoo, shape: tuple[int, ...], scale: float, zero_point: int) -> Handle:
    return zoo.net.constant(zoo.rng.choice(ALL_VALUES, shape), scale=scale, zero_point=zero_point)


def output_format(zoo: Zoo, x: Handle, y: Handle, depth: int) -> dict[str, float]:
    scale = x.scale * y.scale * depth**0.5 * float(zoo.rng.choice([2, 20, 100]))
    return {"scale": scale, "zero_point": zoo.zero_point()}


def batch_matmul(zoo: Zoo, case: int) -> Handle:
    batch, rows, depth = [((1, 4), 8, 8), ((1,), 4, 64), ((1, 2, 2), 16, 4), ((1, 4), 8, 8)][case % 4]
    columns = (8, 3, 5, 1)[case // 4 % 4] if case % 4 != 3 else 8
    adj_x, adj_y = bool(case & 1), bool(case & 2)
    shape = (depth, rows) if adj_x else (rows, depth)
    x = zoo.view((*batch, *shape), scale=zoo.scale(case, 0.02), zero_point=zoo.zero_point())
    if case % 4 == 3:
        y = zoo.view((*batch, 8, 8), scale=zoo.scale(case + 1, 0.02), zero_point=zoo.zero_point())
    else:
        lead = (1,) * len(batch) if case % 3 == 1 else () if case % 3 == 2 and len(batch) > 1 else batch
        matrix = (columns, depth) if adj_y else (depth, columns)
        y = constant(zoo, (*lead, *matrix), zoo.scale(case + 1, 0.02), zoo.zero_point())
    options = schema.BatchMatMulOptionsT(adjX=adj_x, adjY=adj_y)
    return stock(zoo, "BATCH_MATMUL", [x, y], options, (*batch, rows, columns), **output_format(zoo, x, y, depth))


def fully_connected(zoo: Zoo, case: int) -> Handle:
    """Rows; weights without zero points, and with one."""
    rows, depth = ROWS[case % 4]
    outputs = (5, 16, 1, 16)[case // 2 % 4]
    x = zoo.view((1, rows, depth), scale=zoo.scale(case, 0.02), zero_point=zoo.zero_point())
    scale = zoo.scale(case + 1, 0.02)
    if case % 3:
        y = constant(zoo, (outputs, depth), scale, zoo.zero_point() or 7)
    else:
        scales = tuple(zoo.rng.uniform(0.5, 2, outputs if case % 2 else 1) * scale)
        y = zoo.net.weights(zoo.rng.choice(ALL_VALUES[1:], (outputs, depth)), scales)
    return matrix_product(zoo, case, x, y)


def weights_that_are_a_map(zoo: Zoo, case: int) -> Handle:
    rows, depth = ROWS[case % 4]
    x = zoo.view((1, rows, depth), scale=zoo.scale(case, 0.02), zero_point=zoo.zero_point())
    y = zoo.view((256 // depth, depth), scale=zoo.scale(case + 1, 0.02), zero_point=zoo.zero_point())
    return matrix_product(zoo, case, x, y)


def matrix_product(zoo: Zoo, case: int, x: Handle, y: Handle) -> Handle:
    (_, rows, depth), (outputs, _) = x.shape, y.shape
    inputs = [x, y]
    if case % 2 == 0 and case % 3:
        bias = zoo.rng.integers(-9999, 9999, outputs, np.int32)
        inputs.append(zoo.net.constant(bias, scale=x.scale * y.scale))
    options = schema.FullyConnectedOptionsT(keepNumDims=True)
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, ACTIVATIONS[case % 4])
    return stock(zoo, "FULLY_CONNECTED", inputs, options, (1, rows, outputs), **output_format(zoo, x, y, depth))


def squared_difference(zoo: Zoo, case: int) -> Handle:
    x0, x1 = operands(zoo, case)
    scale = max(x0.scale, x1.scale) ** 2 * float(zoo.rng.choice([1, 30, 300]))
    return stock(zoo, "SQUARED_DIFFERENCE", [x0, x1], None, (1, 4, 8, 8), scale=scale, zero_point=zoo.zero_point())


OPS: dict[str, Callable[[Zoo, int], Handle]] = {
    f.__name__: f for f in (batch_matmul, fully_connected, squared_difference)
}


@pytest.mark.parametrize("op", OPS)
def test_products_equal_tflm_in_every_byte(op: str, tmp_path: Path) -> None:
    zoo = Zoo((1, 256))
    for case in range(NUM_CASES):
        zoo.add(OPS[op](zoo, case))
    check(zoo.build(), shuffled(3, (1, 256)), tmp_path)


def test_weights_that_are_a_map(tmp_path: Path) -> None:
    """A map of several rows at the first place, which the oracle does not know."""
    zoo = Zoo((1, 256))
    for case in range(NUM_CASES):
        zoo.add(weights_that_are_a_map(zoo, case))
    emitted, tflm = emit_and_compile(zoo.build(), tmp_path), Interpreter(zoo.build())
    for x in shuffled(3, (1, 256)):
        for case, (found, wanted) in enumerate(zip(emitted.invoke(x), tflm.invoke(x), strict=True)):
            np.testing.assert_array_equal(found, wanted, f"case {case}")


def test_reciprocal_roots_equal_tflm_in_every_byte(tmp_path: Path) -> None:
    """The zero point is the lowest value: TFLM ends with an error below it."""
    zoo = Zoo((1, 256))
    for case in range(NUM_CASES):
        scale = zoo.scale(case, 1e-6, 300)
        root = scale**-0.5 * float(zoo.rng.uniform(0.001, 0.1))
        x = zoo.view(scale=scale, zero_point=-128)
        zoo.add(stock(zoo, "RSQRT", [x], None, x.shape, scale=root, zero_point=zoo.zero_point()))
    check(zoo.build(), shuffled(1, (1, 256)), tmp_path)


def image(zoo: Zoo, case: int) -> Handle:
    shape = [(1, 4, 8, 8), (1, 8, 8, 4), (1, 1, 16, 16)][case % 3]
    return zoo.view(shape, scale=zoo.scale(case, 0.02), zero_point=zoo.zero_point())


def convolution_constants(zoo: Zoo, case: int, x: Handle, shape: tuple[int, ...]) -> list[Handle]:
    scale, outputs = zoo.scale(case + 1, 0.02), shape[0]
    scales = tuple(zoo.rng.uniform(0.5, 2, outputs if case % 2 else 1) * scale)
    filter = zoo.net.weights(zoo.rng.choice(ALL_VALUES[1:], shape), scales)
    if case % 4 == 3:
        return [filter]
    return [filter, zoo.net.weights(zoo.rng.integers(-9999, 9999, outputs, np.int32), [x.scale * s for s in scales])]


def grouped_convolution(zoo: Zoo, case: int) -> Handle:
    x, stride = image(zoo, case), (1 + case % 2, 1 + case // 2 % 2)
    groups = (2, 4)[case // 3 % 2]
    kernel, outputs = ((1, 1), (3, 3), (2, 3))[case // 2 % 3], groups * (1, 3)[case // 4 % 2]
    inputs = [x, *convolution_constants(zoo, case, x, (outputs, *kernel, x.shape[3] // groups))]
    options = schema.Conv2DOptionsT(strideH=stride[0], strideW=stride[1], dilationHFactor=1, dilationWFactor=1)
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, ACTIVATIONS[case % 4])
    size = [-(-n // s) for n, s in zip(x.shape[1:3], stride, strict=True)]
    depth = kernel[0] * kernel[1] * x.shape[3] // groups
    return stock(zoo, "CONV_2D", inputs, options, (1, *size, outputs), **output_format(zoo, x, inputs[1], depth))


def transposed_convolution(zoo: Zoo, case: int) -> Handle:
    x, stride = image(zoo, case), ((2, 2), (1, 1), (2, 1), (3, 2))[case % 4]
    kernel, outputs = ((3, 3), (2, 2), (1, 4), (5, 2), (1, 1))[case % 5], (1, 3)[case // 4 % 2]
    is_same = case % 3 > 0
    filter, *bias = convolution_constants(zoo, case, x, (outputs, *kernel, x.shape[3]))
    more = [0 if is_same else max(k - s, 0) for k, s in zip(kernel, stride, strict=True)]
    size = [n * s + m for n, s, m in zip(x.shape[1:3], stride, more, strict=True)]
    shape = (1, *size, outputs)
    options = schema.TransposeConvOptionsT(strideH=stride[0], strideW=stride[1])
    options.padding = schema.Padding.SAME if is_same else schema.Padding.VALID
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, ACTIVATIONS[case % 3])
    sizes = zoo.net.constant(np.array(shape, np.int32))
    format = output_format(zoo, x, filter, 4 * x.shape[3])
    return stock(zoo, "TRANSPOSE_CONV", [sizes, filter, x, *bias], options, shape, **format)


@pytest.mark.parametrize("make", [grouped_convolution, transposed_convolution])
def test_convolutions_equal_tflm_in_every_byte(make: Callable[[Zoo, int], Handle], tmp_path: Path) -> None:
    zoo = Zoo((1, 256))
    for case in range(NUM_CASES):
        zoo.add(make(zoo, case))
    check(zoo.build(), shuffled(3, (1, 256)), tmp_path)


FLOAT_KINDS = (
    *("ABS", "CEIL", "FLOOR", "HARD_SWISH", "LEAKY_RELU", "MAXIMUM", "MINIMUM", "NEG", "PRELU", "RELU", "RELU6"),
    *("ROUND", "RSQRT", "SQRT", "SQUARE"),
)


@pytest.mark.parametrize("kind", FLOAT_KINDS)
def test_float_values_equal_tflm_in_every_byte(kind: str, tmp_path: Path) -> None:
    """All int8 values at several scales; roots take those that are not negative."""
    zoo = Zoo((1, 256))
    for case in range(NUM_CASES):
        is_root = "SQRT" in kind
        x = zoo.net.dequantize(
            zoo.view((1, 4, 8, 8), scale=zoo.scale(case, 1e-7, 1e3), zero_point=-128 if is_root else zoo.zero_point())
        )
        inputs, options = [x], None
        if kind in ("MINIMUM", "MAXIMUM"):
            other = (zoo.rng.standard_normal(((1, 1, 1, 8), (1, 1, 1, 1))[case % 2]) * 3).astype(np.float32)
            inputs, options = [x, zoo.net.constant(other)][:: 1 - case // 2 % 2 * 2], schema.MaximumMinimumOptionsT()
        elif kind == "PRELU":
            inputs = [x, zoo.net.constant(zoo.rng.standard_normal((1, 1, 8)).astype(np.float32))]
        elif kind == "LEAKY_RELU":
            options = schema.LeakyReluOptionsT(alpha=float(np.float32(zoo.rng.uniform(-1, 2))))
        zoo.add(stock(zoo, kind, inputs, options, x.shape, dtype="float32"))
    check(zoo.build(), shuffled(1, (1, 256)), tmp_path)


@pytest.mark.parametrize("kind", ["SLICE", "STRIDED_SLICE", "PACK", "GATHER"])
def test_float_moves_equal_tflm_in_every_byte(kind: str, tmp_path: Path) -> None:
    zoo = Zoo((1, 256))
    x = zoo.net.dequantize(zoo.view((1, 4, 8, 8), scale=0.1, zero_point=3))
    first = zoo.net.constant(zoo.rng.standard_normal((1, 4, 8, 8)).astype(np.float32))
    for axis in (1, 2, 3):
        half = tuple(n // 2 if a == axis else n for a, n in enumerate(x.shape))
        begins, ends = ([n // 2 if a == axis else 0 for a, n in enumerate(x.shape)], list(x.shape))
        if kind == "SLICE":
            inputs, options, shape = [x, indices(zoo, *begins), indices(zoo, *half)], schema.SliceOptionsT(), half
        elif kind == "STRIDED_SLICE":
            inputs = [x, indices(zoo, *begins), indices(zoo, *ends), indices(zoo, 1, 1, 1, 1)]
            options, shape = schema.StridedSliceOptionsT(), half
        elif kind == "PACK":
            inputs, options = [x, first, x], schema.PackOptionsT(axis=axis, valuesCount=3)
            shape = (*x.shape[:axis], 3, *x.shape[axis:])
        else:
            inputs, options = [x, indices(zoo, 3, 0, 2)], schema.GatherOptionsT(axis=axis)
            shape = (*x.shape[:axis], 3, *x.shape[axis + 1 :])
        zoo.add(stock(zoo, kind, inputs, options, shape, dtype="float32"))
    check(zoo.build(), shuffled(1, (1, 256)), tmp_path)
