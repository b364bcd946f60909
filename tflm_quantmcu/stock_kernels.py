"""The numpy oracle of the ops of stock TFLM that no QMCU_ op replaces: laws A10 to A17, written from the law alone.

In: an op of a ModelGraph and its inputs [N, ...]. Out: the values that TFLM's reference kernels give, or None for what
is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.errors import UnsupportedModelError
from tflm_quantmcu.fixed_point import multiply, round_half_away, to_int32
from tflm_quantmcu.kernel_calls import (
    BroadcastAddParams,
    Dims,
    FillParams,
    HardSwishParams,
    LogisticParams,
    MeanParams,
    MulParams,
    Pair,
    QuantizeParams,
    RequantizeBytesParams,
    SoftmaxParams,
    StridedCopyParams,
)
from tflm_quantmcu.stock_ops import RESHAPES, stock_calls
from tflm_quantmcu.types import ModelGraph, Op

_INT8: Pair = (-128, 127)
_INT16: Pair = (-(1 << 15), (1 << 15) - 1)
_ONE_Q0 = (1 << 31) - 1
# Beyond every 8-bit range: steps are clamped here before they are rounded.
_MAX_STEPS = 1024.0
# e^-(2^n) in Q0 for n = -2 to 4 (law A13).
_EXP_OF_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def run(graph: ModelGraph, op: Op, known: Mapping[int, np.ndarray]) -> np.ndarray | None:
    """Runs one op.

    Args:
      graph: the model; tensors keep batch 1 in front.
      op: what `stock_ops` knows; any other is not known here either.
      known: tensor index -> values [N, ...] of the op's feature maps.

    Returns:
      The output's values [N, ...] in any shape, or None if the op, its types or its shapes are not known.
    """
    output = graph.tensors[op.outputs[0]]
    maps = [known[t] for t in graph.feature_maps(op)]
    if output.shape[:1] != (1,) or not maps:
        return None
    if op.kind in RESHAPES:
        return maps[0]
    try:
        calls = stock_calls(graph, op)
    except UnsupportedModelError:
        return None
    y = np.empty((len(maps[0]), output.num_elements), output.dtype)
    for call in calls:
        inputs = [_flat(graph, known, t) for t in call.inputs]
        _KERNELS[call.kernel](call.params, inputs, y[:, call.output_offset :])
    return y


def _flat(graph: ModelGraph, known: Mapping[int, np.ndarray], index: int) -> np.ndarray:
    """[N, values], or [1, values] of a constant."""
    data = graph.tensors[index].data
    return known[index].reshape(len(known[index]), -1) if data is None else data.reshape(1, -1)


def _offsets(extents: Dims, steps: Dims) -> np.ndarray:
    """The offset of every index, in order."""
    index = np.indices(extents).reshape(len(extents), -1)
    return np.array(steps) @ index


def _saturate(x: np.ndarray, limits: Pair) -> np.ndarray:
    return np.clip(x, *limits)


def _strided_copy(params: StridedCopyParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    y[:, _offsets(params.extents, params.output_steps)] = inputs[0][:, _offsets(params.extents, params.input_steps)]


def _fill(params: FillParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    del inputs
    y[:] = params.value


def _mean(params: MeanParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    kept, reduced = _offsets(params.kept, params.kept_steps), _offsets(params.reduced, params.reduced_steps)
    steps = inputs[0].astype(np.int64) - params.input_zero_point
    total = sum(steps[:, kept + offset] for offset in reduced)
    y[:] = _saturate(multiply(total, *params.multiplier).astype(np.int64) + params.output_zero_point, _INT8)


def _mul(params: MulParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x0, x1 = _operands(params, inputs)
    scaled = multiply(x0 * x1, *params.multiplier).astype(np.int64)
    y[:] = _saturate(to_int32(scaled + params.output_zero_point), params.clamp)


def _broadcast_add(params: BroadcastAddParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    operands = zip(_operands(params, inputs), params.multipliers, strict=False)
    total = sum(multiply(x << 20, *factor).astype(np.int64) for x, factor in operands)
    scaled = multiply(total, *params.multipliers[2]).astype(np.int64)
    y[:] = _saturate(to_int32(scaled + params.output_zero_point), params.clamp)


def _operands(params: MulParams | BroadcastAddParams, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    steps = (params.input0_steps, params.input1_steps)
    zeros = (params.input0_zero_point, params.input1_zero_point)
    return [
        x[:, _offsets(params.extents, step)].astype(np.int64) - zero
        for x, step, zero in zip(inputs, steps, zeros, strict=True)
    ]


def _product(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """Q<m> times Q<n> in Q<m + n>: round(a * b / 2^31), halves up (law A1, step 2)."""
    return (a * np.int64(b) + (1 << 30)) >> 31


def _divide_by_power(x: np.ndarray, exponent: np.ndarray | int) -> np.ndarray:
    """round(x / 2^exponent), halves away from zero (law A1, step 3)."""
    mask = (np.int64(1) << exponent) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def _exp_near_zero(a: np.ndarray) -> np.ndarray:
    x = a + (1 << 28)
    x2 = _product(x, x)
    cubic = _divide_by_power(_product(x2, x2), 2) + _product(x2, x)
    tail = _divide_by_power(_product(cubic, 715827883) + x2, 1)
    return 1895147668 + _product(x + tail, 1895147668)


def _exp_of_negative(a: np.ndarray, integer_bits: int) -> np.ndarray:
    quarter = 1 << (29 - integer_bits)
    near_zero = (a & (quarter - 1)) - quarter
    quarters = (near_zero - a) // quarter
    y = _exp_near_zero(near_zero << integer_bits)
    for n, power in enumerate(_EXP_OF_POWERS[: integer_bits + 2]):
        y = np.where((quarters >> n) & 1, _product(y, power), y)
    return np.where(a == 0, _ONE_Q0, y)


def _reciprocal_of_one_plus(a: np.ndarray) -> np.ndarray:
    half = (a + (1 << 31)) >> 1
    x = 1515870810 + _product(half, -1010580540)
    for _ in range(3):
        x = x + _saturate(_product(x, (1 << 29) - _product(half, x)) << 2, (-(1 << 31), _ONE_Q0))
    return _saturate(x << 1, (-(1 << 31), _ONE_Q0))


def _softmax(params: SoftmaxParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x = inputs[0].reshape(-1, params.depth).astype(np.int64)
    difference = x - x.max(axis=1, keepdims=True)
    scaled = multiply(difference, *params.multiplier).astype(np.int64)
    exps = np.where(difference >= params.smallest_difference, _exp_of_negative(scaled, 5), 0)
    total = _divide_by_power(exps, 12).sum(axis=1, keepdims=True)
    headroom = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    reciprocal = _reciprocal_of_one_plus((total << headroom) - (1 << 31))
    share = _divide_by_power(_product(reciprocal, exps), 12 - headroom + 31 - 8)
    y[:] = _saturate(share - 128, _INT8).reshape(y.shape)


def _logistic(params: LogisticParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    difference = inputs[0].astype(np.int64) - params.input_zero_point
    x = multiply(difference, *params.multiplier).astype(np.int64)
    of_magnitude = _reciprocal_of_one_plus(_exp_of_negative(-np.abs(x), 4))
    real = np.where(x == 0, 1 << 30, np.where(x < 0, _ONE_Q0 - of_magnitude, of_magnitude))
    q = _saturate(_divide_by_power(real, 31 - 8) - 128, _INT8)
    q = np.where(difference >= params.radius, 127, q)
    y[:] = np.where(difference <= -params.radius, -128, q)


def _product_q15(a: np.ndarray, b: int) -> np.ndarray:
    return (a * b + (1 << 14)) >> 15


def _hard_swish(params: HardSwishParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x = (inputs[0].astype(np.int64) - params.input_zero_point) << 7
    shift = params.gate_shift
    gate = _saturate(x << max(shift - 1, 0), _INT16)
    gate = _product_q15(gate, params.gate_multiplier)
    gate = _saturate(gate << 1, _INT16) if shift > 0 else _divide_by_power(gate, -shift)
    gate = (gate + (1 << 15)) >> 1
    gated = gate * _product_q15(x, params.output_multiplier)
    toward_zero = np.where(gated < 0, -(-gated >> 15), gated >> 15)
    y[:] = _saturate(_divide_by_power(toward_zero, -params.output_shift) + params.output_zero_point, _INT8)


def _quantize(params: QuantizeParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        steps = np.clip(inputs[0] / np.float32(params.scale), -_MAX_STEPS, _MAX_STEPS)
    y[:] = np.where(np.isnan(steps), -128, _saturate(round_half_away(steps) + params.zero_point, _INT8))


def _dequantize(params: QuantizeParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    y[:] = (inputs[0].astype(np.float32) - np.float32(params.zero_point)) * np.float32(params.scale)


def _requantize_bytes(params: RequantizeBytesParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    scaled = multiply(inputs[0].astype(np.int64) - params.input_zero_point, *params.multiplier)
    y[:] = _saturate(to_int32(scaled.astype(np.int64) + params.output_zero_point), params.clamp)


_KERNELS: Mapping[str, Callable[..., None]] = {
    "BroadcastAdd": _broadcast_add,
    "Dequantize": _dequantize,
    "Fill": _fill,
    "HardSwish": _hard_swish,
    "Logistic": _logistic,
    "Mean": _mean,
    "Mul": _mul,
    "Quantize": _quantize,
    "RequantizeBytes": _requantize_bytes,
    "Softmax": _softmax,
    "StridedCopy": _strided_copy,
}
