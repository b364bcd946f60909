"""The numpy oracle of stock ops that multiply int8 tensors, and of float32 values: laws A3, A30, A31 and A33, written
from the law alone.

In: params of a kernel, inputs [N, values] and [1, values] of constants. Out: written to y [N, values].
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law.arithmetic import conv2d
from tflm_quantmcu.law.fixed_point import multiply, to_int32
from tflm_quantmcu.law.kernel_calls import BroadcastAddParams, ComparisonParams, Conv2DParams, Dims, Pair
from tflm_quantmcu.law.packing import unpack
from tflm_quantmcu.law.product_calls import FloatSlopeParams, FloatValuesParams, GroupedConv2DParams, MatMulParams
from tflm_quantmcu.stage.program import StageFormat

_SQUARE_SHIFT = 7


def offsets(extents: Dims, steps: Dims) -> np.ndarray:
    """The offset of every index, in order: int64 [number of indices]."""
    index = np.indices(extents).reshape(len(extents), -1)
    return np.array(steps) @ index


def _requantized(sums: np.ndarray, factor: Pair, zero_point: int, clamp: Pair) -> np.ndarray:
    scaled = multiply(sums, *factor).astype(np.int64)
    return np.clip(to_int32(scaled + zero_point), *clamp)


def _mat_mul(params: MatMulParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    left, right, biases = inputs
    sums = np.zeros(y.shape, np.int64) + np.resize(biases[0], y.shape[1])
    left_places = offsets(params.extents, params.left_steps)
    right_places = offsets(params.extents, params.right_steps)
    for k in range(params.depth):
        a = left[:, left_places + k * params.left_depth_step].astype(np.int64) - params.left_zero_point
        b = right[:, right_places + k * params.right_depth_step].astype(np.int64) - params.right_zero_point
        sums += a * b
    y[:] = _requantized(sums, params.multiplier, params.output_zero_point, params.clamp)


def _conv2d(
    params: Conv2DParams | GroupedConv2DParams, inputs: Sequence[np.ndarray], y: np.ndarray, groups: int = 1
) -> None:
    x, filter, *table = inputs
    source, output, kernel = params.input, params.output, params.window
    packed = filter[0].reshape(output.channels, kernel.kernel_height, kernel.kernel_width, -1)
    weights = unpack(packed, params.weight_bits, source.channels // groups)
    maps = np.split(x.reshape(-1, source.height, source.width, source.channels), groups, axis=3)
    tables = np.stack([values[0] for values in table])
    found = [
        conv2d(
            own,
            own_weights,
            own_table.ravel(),
            window=kernel,
            size=(output.height, output.width),
            zero_in=source.zero_point,
            output=StageFormat(output.bits, output.zero_point, *params.clamp),
        )
        for own, own_weights, own_table in zip(
            maps, np.split(weights, groups), np.split(tables, groups, axis=1), strict=True
        )
    ]
    y[:] = np.concatenate(found, axis=3).reshape(y.shape)


def _grouped_conv2d(params: GroupedConv2DParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    _conv2d(params, inputs, y, params.num_groups)


def _transpose_conv2d(params: Conv2DParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    """A convolution of the pixels a stride apart, zeros between them, with the filter turned around."""
    x, filter, *table = inputs
    source, output, window = params.input, params.output, params.window
    kernel = (window.kernel_height, window.kernel_width)
    rows, columns = (
        (n - 1) * s + 1
        for n, s in zip((source.height, source.width), (window.stride_height, window.stride_width), strict=True)
    )
    spread = np.full((len(x), rows, columns, source.channels), source.zero_point, np.int8)
    spread[:, :: window.stride_height, :: window.stride_width] = x.reshape(
        -1, source.height, source.width, source.channels
    )
    weights = filter[0].view(np.int8).reshape(output.channels, *kernel, source.channels)[:, ::-1, ::-1]
    found = conv2d(
        spread,
        weights,
        np.concatenate([values[0] for values in table]),
        window=Window(*kernel, pad_top=kernel[0] - 1 - window.pad_top, pad_left=kernel[1] - 1 - window.pad_left),
        size=(output.height, output.width),
        zero_in=source.zero_point,
        output=StageFormat(output.bits, output.zero_point, *params.clamp),
    )
    y[:] = found.reshape(y.shape)


def _squared_difference(params: BroadcastAddParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    sides = zip(
        inputs,
        (params.input0_steps, params.input1_steps),
        (params.input0_zero_point, params.input1_zero_point),
        params.multipliers,
        strict=False,
    )
    first, second = (
        multiply((x[:, offsets(params.extents, steps)].astype(np.int64) - zero) << _SQUARE_SHIFT, *factor)
        for x, steps, zero, factor in sides
    )
    squares = (first.astype(np.int64) - second) ** 2
    y[:] = _requantized(squares, params.multipliers[2], params.output_zero_point, params.clamp)


def _of_each(
    params: FloatValuesParams, inputs: Sequence[np.ndarray], y: np.ndarray, function: Callable[[np.ndarray], np.ndarray]
) -> None:
    assert params.count == y.shape[1]
    with np.errstate(all="ignore"):
        y[:] = function(inputs[0])


def _hard_swish(x: np.ndarray) -> np.ndarray:
    inside = np.minimum(np.float32(6), np.maximum(np.float32(0), x + np.float32(3)))
    found: np.ndarray = x * inside / np.float32(6)
    return found


def _rounded(x: np.ndarray) -> np.ndarray:
    """Halves to the nearest even number."""
    whole = np.floor(x)
    rest = x - whole
    return np.where((rest < 0.5) | ((rest == 0.5) & (whole % 2 == 0)), whole, whole + np.float32(1))


def _leaky_relu(params: FloatSlopeParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    y[:] = np.where(inputs[0] > 0, inputs[0], inputs[0] * np.float32(params.slope))


def _prelu(params: ComparisonParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x, slope = (
        v[:, offsets(params.extents, steps)]
        for v, steps in zip(inputs, (params.input0_steps, params.input1_steps), strict=True)
    )
    y[:] = np.where(x >= 0, x, x * slope)


def _extreme(
    params: ComparisonParams, inputs: Sequence[np.ndarray], y: np.ndarray, is_first: Callable[..., np.ndarray]
) -> None:
    a, b = (
        x[:, offsets(params.extents, steps)]
        for x, steps in zip(inputs, (params.input0_steps, params.input1_steps), strict=True)
    )
    y[:] = np.where(is_first(a, b), a, b)


PRODUCTS: Mapping[str, Callable[..., None]] = {
    "Conv2D": _conv2d,
    "FloatAbs": functools.partial(_of_each, function=np.abs),
    "FloatCeil": functools.partial(_of_each, function=np.ceil),
    "FloatFloor": functools.partial(_of_each, function=np.floor),
    "FloatHardSwish": functools.partial(_of_each, function=_hard_swish),
    "FloatLeakyRelu": _leaky_relu,
    "FloatMaximum": functools.partial(_extreme, is_first=np.greater),
    "FloatMinimum": functools.partial(_extreme, is_first=np.less),
    "FloatNeg": functools.partial(_of_each, function=np.negative),
    "FloatPrelu": _prelu,
    "FloatRelu": functools.partial(_of_each, function=lambda x: np.where(x < 0, np.float32(0), x)),
    "FloatRelu6": functools.partial(_of_each, function=lambda x: np.where(x > 6, 6, np.where(x < 0, np.float32(0), x))),
    "FloatRound": functools.partial(_of_each, function=_rounded),
    "FloatRsqrt": functools.partial(_of_each, function=lambda x: np.float32(1) / np.sqrt(x)),
    "FloatSqrt": functools.partial(_of_each, function=np.sqrt),
    "FloatSquare": functools.partial(_of_each, function=np.square),
    "GroupedConv2D": _grouped_conv2d,
    "MatMul": _mat_mul,
    "SquaredDifference": _squared_difference,
    "TransposeConv2D": _transpose_conv2d,
}
