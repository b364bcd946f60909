"""The numpy oracle of relations and choices, of sums and quotients in float32, and of rows: laws A33 to A36, written
from the law alone.

In: params of a kernel, inputs [N, values] and [1, values] of constants. Out: written to y [N, values].
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.law.activations import divide_by_power, exp_of_negative, saturate
from tflm_quantmcu.law.fixed_point import multiply
from tflm_quantmcu.law.kernel_calls import ComparisonParams
from tflm_quantmcu.law.logarithms import log_of_sum
from tflm_quantmcu.law.product_calls import (
    CastParams,
    FloatMeanParams,
    FloatPairsParams,
    FloatRowsParams,
    L2NormalizationParams,
    LogSoftmaxParams,
    ScaledComparisonParams,
    SelectParams,
)
from tflm_quantmcu.law.roots import root_factor
from tflm_quantmcu.oracle.stock_products import offsets

_INT8 = (-128, 127)
_RELATIONS = {"Equal": np.equal, "NotEqual": np.not_equal, "Less": np.less, "LessEqual": np.less_equal}


def _sides(
    params: ComparisonParams | FloatPairsParams | ScaledComparisonParams, inputs: Sequence[np.ndarray]
) -> list[np.ndarray]:
    steps = (params.input0_steps, params.input1_steps)
    return [x[:, offsets(params.extents, step)] for x, step in zip(inputs, steps, strict=True)]


def _scaled(params: ScaledComparisonParams, inputs: Sequence[np.ndarray], y: np.ndarray, relation: np.ufunc) -> None:
    a, b = _sides(params, inputs)
    y[:] = relation(
        multiply((a.astype(np.int64) - params.input0_zero_point) << 8, *params.input0_multiplier),
        multiply((b.astype(np.int64) - params.input1_zero_point) << 8, *params.input1_multiplier),
    )


def _related(params: ComparisonParams, inputs: Sequence[np.ndarray], y: np.ndarray, relation: np.ufunc) -> None:
    y[:] = relation(*_sides(params, inputs))


def _select(params: SelectParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    condition, values = inputs
    is_chosen = condition[:, offsets(params.extents, params.condition_steps)] == params.wanted
    places = offsets(params.extents, params.input_steps) // params.value_bytes
    y[:] = np.where(is_chosen, values[:, places], y)


def _cast(params: CastParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    assert params.count == y.shape[1]
    y[:] = inputs[0].astype(np.int32).astype(y.dtype)


def _float_pairs(params: FloatPairsParams, inputs: Sequence[np.ndarray], y: np.ndarray, function: np.ufunc) -> None:
    with np.errstate(all="ignore"):
        found = function(*_sides(params, inputs))
    least = np.where(found < np.float32(params.min), np.float32(params.min), found)
    y[:] = np.where(np.float32(params.max) < least, np.float32(params.max), least)


def _float_mean(params: FloatMeanParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    kept = offsets(params.kept, params.kept_steps)
    total = np.zeros(y.shape, np.float32)
    for offset in offsets(params.reduced, params.reduced_steps):
        total += inputs[0][:, kept + offset]
    y[:] = total / np.float32(params.divisor)


def _float_l2_normalization(params: FloatRowsParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x = inputs[0].reshape(-1, params.depth)
    total = np.zeros(len(x), np.float32)
    for column in x.T:
        total += column * column
    y[:] = (x / np.maximum(np.sqrt(total), np.float32(1e-6))[:, None]).reshape(y.shape)


def _squared_difference(params: ComparisonParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    a, b = _sides(params, inputs)
    y[:] = (a - b) * (a - b)


def _l2_normalization(params: L2NormalizationParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x = inputs[0].reshape(-1, params.depth).astype(np.int64) - params.input_zero_point
    sums, places = np.unique((x * x).sum(axis=1), return_inverse=True)
    factors = np.array([root_factor(int(s)) for s in sums])[places]
    scaled = [multiply(row, int(root), int(shift) + 7) for row, (root, shift) in zip(x, factors, strict=True)]
    y[:] = saturate(np.array(scaled), _INT8).reshape(y.shape)


def _log_softmax(params: LogSoftmaxParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x = inputs[0].reshape(-1, params.depth).astype(np.int64)
    difference = x - x.max(axis=1, keepdims=True)
    scaled = multiply(difference, *params.multiplier).astype(np.int64)
    exps = np.where(difference >= params.smallest_difference, exp_of_negative(scaled, 5), 0)
    log = log_of_sum(divide_by_power(exps, 12).sum(axis=1, keepdims=True))
    too_small = multiply(log - (1 << 31), *params.divisor).astype(np.int64)
    is_small = difference <= np.maximum(params.smallest_difference - 1, too_small)
    found = saturate(divide_by_power(scaled - log, 22) + 127, _INT8)
    y[:] = np.where(is_small, -128, found).reshape(y.shape)


def _named(prefix: str, run: Callable[..., None]) -> dict[str, Callable[..., None]]:
    return {prefix + name: functools.partial(run, relation=relation) for name, relation in _RELATIONS.items()}


RELATIONS: Mapping[str, Callable[..., None]] = {
    **_named("Byte", _related),
    **_named("Float", _related),
    **_named("Int32", _related),
    **_named("Scaled", _scaled),
    "Cast": _cast,
    "FloatAdd": functools.partial(_float_pairs, function=np.add),
    "FloatL2Normalization": _float_l2_normalization,
    "FloatMean": _float_mean,
    "FloatSquaredDifference": _squared_difference,
    "FloatDiv": functools.partial(_float_pairs, function=np.divide),
    "FloatMul": functools.partial(_float_pairs, function=np.multiply),
    "FloatSub": functools.partial(_float_pairs, function=np.subtract),
    "L2Normalization": _l2_normalization,
    "LogSoftmax": _log_softmax,
    "Select": _select,
}
