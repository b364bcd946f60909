"""The int8 activation kernels of stock TFLM, as functions of one value: laws A13, A15, A16 and A19 to A21.

In: the formats of an op's input and output. Out: the params that TFLM's Prepare makes of them, and for int64 arrays of
inputs what its kernels give. Refuses, with a ValueError that says why, formats that its kernels do not take.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.arrays import Int64Array
from tflm_quantmcu.law.fixed_point import multiply, quantize_multiplier, round_half_away
from tflm_quantmcu.law.kernel_calls import HardSwishParams, LogisticParams, Pair

_Value = TypeVar("_Value", bound=np.number[Any])
MAX_SHIFT = 30
_INPUT_BITS = 4
_INT8: Pair = (-128, 127)
_INT16: Pair = (-(1 << 15), (1 << 15) - 1)
_INT32: Pair = (-(1 << 31), (1 << 31) - 1)
_ONE_Q0 = (1 << 31) - 1
# Beyond every 8-bit range: steps are clamped here before they become integers.
_MAX_STEPS = 1024.0
# e^-(2^n) in Q0 for n = -2 to 4 (law A13).
_EXP_OF_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def radius(integer_bits: int, shift: int) -> int:
    """The largest difference that stays within Q<integer_bits> when it is shifted."""
    return (((1 << integer_bits) - 1) << (31 - integer_bits)) >> shift


def quantize_factor(real: float) -> Pair:
    """(multiplier, shift) of a ratio of scales."""
    multiplier, shift = quantize_multiplier(real)
    if shift > MAX_SHIFT:
        raise ValueError(f"its scales differ by the factor {real:g}, too large for 32 bits")
    return multiplier, shift


def saturate(x: npt.NDArray[_Value], limits: Pair) -> npt.NDArray[_Value]:
    """Numbers of any shape within [limits]; the dtype stays."""
    return np.clip(x, *limits)


def product(a: Int64Array, b: Int64Array | int) -> Int64Array:
    """Q<m> times Q<n> in Q<m + n>: round(a * b / 2^31), halves up (law A1, step 2); int64 of any shape, |a * b| <
    2^62."""
    return (a * np.int64(b) + (1 << 30)) >> 31


def divide_by_power(x: Int64Array, exponent: Int64Array | int) -> Int64Array:
    """round(x / 2^exponent), halves away from zero (law A1, step 3); int64 of any shape, exponent >= 0 broadcast
    against x."""
    mask = (np.int64(1) << exponent) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def exp_of_negative(a: Int64Array, integer_bits: int) -> Int64Array:
    """e^a in Q0 of a <= 0 in Q<integer_bits>; int64 of any shape, all of it within 32 bits."""
    quarter = 1 << (29 - integer_bits)  # 1/4 in Q<integer_bits>, which has 31 - integer_bits bits of fraction
    near_zero = (a & (quarter - 1)) - quarter
    quarters = (near_zero - a) // quarter
    y = _exp_near_zero(near_zero << integer_bits)
    for n, power in enumerate(_EXP_OF_POWERS[: integer_bits + 2]):
        y = np.where((quarters >> n) & 1, product(y, power), y)
    return np.where(a == 0, _ONE_Q0, y)


def _exp_near_zero(a: Int64Array) -> Int64Array:
    """e^a in Q0 of a in [-1/4, 0) in Q0: e^(-1/8) * (1 + x + x^2 / 2 + x^3 / 6 + x^4 / 24) with x = a + 1/8."""
    x = a + (1 << 28)
    x2 = product(x, x)
    cubic = divide_by_power(product(x2, x2), 2) + product(x2, x)  # x^4 / 4 + x^3
    tail = divide_by_power(product(cubic, 715827883) + x2, 1)
    return 1895147668 + product(x + tail, 1895147668)


def reciprocal_of_one_plus(a: Int64Array) -> Int64Array:
    """1 / (1 + a) in Q0 of a >= 0 in Q0; int64 of any shape."""
    return saturate(_twice_reciprocal(a) << 1, _INT32)


def one_minus_over_one_plus(a: Int64Array) -> Int64Array:
    """(1 - a) / (1 + a) in Q0 of a >= 0 in Q0; int64 of any shape."""
    return saturate((_twice_reciprocal(a) - (1 << 29)) << 2, _INT32)


def _twice_reciprocal(a: Int64Array) -> Int64Array:
    """2 / (1 + a) in Q2."""
    half = (a + (1 << 31)) >> 1  # (1 + a) / 2 in Q0, in [1/2, 1)
    # Newton's steps x += x * (1 - half * x) toward 1 / half, in Q2. 48/17 - 32/17 * half is off by at most 1/17, and
    # each step squares that: 17^-8 < 2^-32.
    x = 1515870810 + product(half, -1010580540)
    for _ in range(3):
        x = x + saturate(product(x, (1 << 29) - product(half, x)) << 2, _INT32)
    return x


def logistic_params(source: Format, output: Format, count: int) -> LogisticParams:
    """The parameters of LOGISTIC, and of TANH, whose output's format does not count in TFLM."""
    if output.zero_point != -128:
        raise ValueError(f"its output's zero point is {output.zero_point}; TFLM's kernel needs -128")
    return _range_params(source, count)


def _range_params(source: Format, count: int) -> LogisticParams:
    multiplier, shift = quantize_multiplier(source.scale * 2.0 ** (31 - _INPUT_BITS))
    if shift < 0:
        raise ValueError(f"its input's scale is {source.scale:g}; TFLM's kernel needs one above 2^-28")
    return LogisticParams(
        count=count,
        input_zero_point=source.zero_point,
        radius=radius(_INPUT_BITS, shift),
        multiplier=(multiplier, min(shift, MAX_SHIFT)),
    )


def logistic(params: LogisticParams, x: Int64Array) -> Int64Array:
    """Law A15: int64 of any shape, int8 values in and out."""
    difference = x - params.input_zero_point
    a = multiply(difference, *params.multiplier).astype(np.int64)
    of_magnitude = reciprocal_of_one_plus(exp_of_negative(-np.abs(a), 4))
    real = np.where(a == 0, 1 << 30, np.where(a < 0, _ONE_Q0 - of_magnitude, of_magnitude))
    return _within_radius(params, difference, divide_by_power(real, 31 - 8) - 128)


def tanh(source: Format, x: Int64Array) -> Int64Array:
    """Law A19: int64 of any shape, int8 values in and out."""
    params = _range_params(source, 1)
    difference = x - params.input_zero_point
    a = multiply(difference, *params.multiplier).astype(np.int64)
    # The same number with one integer bit more is twice as large.
    of_magnitude = one_minus_over_one_plus(exp_of_negative(-np.abs(a), 5))
    return _within_radius(params, difference, divide_by_power(np.sign(a) * of_magnitude, 31 - 7))


def _within_radius(params: LogisticParams, difference: Int64Array, y: Int64Array) -> Int64Array:
    y = np.where(difference >= params.radius, 127, saturate(y, _INT8))
    return np.where(difference <= -params.radius, -128, y)


def hard_swish_params(source: Format, output: Format, count: int) -> HardSwishParams:
    """Law A16; scale ratios are taken in float32, as TFLM does."""
    fine_scale = np.float32(1 / 128) * np.float32(source.scale)
    gate, gate_shift = quantize_multiplier(float(fine_scale / (np.float32(3) / np.float32(32768))))
    scaled, output_shift = quantize_multiplier(float(fine_scale / np.float32(output.scale)))
    if not (-15 <= output_shift <= 0 and gate_shift >= -15):
        raise ValueError(f"its scales {source.scale:g} and {output.scale:g} leave 16 bits")
    return HardSwishParams(
        count=count,
        input_zero_point=source.zero_point,
        output_zero_point=output.zero_point,
        gate_multiplier=_to_16_bits(gate),
        gate_shift=gate_shift,
        output_multiplier=_to_16_bits(scaled),
        output_shift=output_shift,
    )


def _to_16_bits(multiplier: int) -> int:
    return min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1)


def _product_q15(a: Int64Array, b: int) -> Int64Array:
    return (a * b + (1 << 14)) >> 15


def hard_swish(params: HardSwishParams, x: Int64Array) -> Int64Array:
    """Law A16: int64 of any shape, int8 values in and out."""
    x = (x - params.input_zero_point) << 7
    shift = params.gate_shift
    gate = saturate(x << max(shift - 1, 0), _INT16)
    gate = _product_q15(gate, params.gate_multiplier)
    gate = saturate(gate << 1, _INT16) if shift > 0 else divide_by_power(gate, -shift)
    gate = (gate + (1 << 15)) >> 1
    gated = gate * _product_q15(x, params.output_multiplier)
    toward_zero = np.where(gated < 0, -(-gated >> 15), gated >> 15)
    return saturate(divide_by_power(toward_zero, -params.output_shift) + params.output_zero_point, _INT8)


def leaky_relu(source: Format, output: Format, alpha: float, x: Int64Array) -> Int64Array:
    """Law A20; scale ratios are taken in float32, as TFLM does.

    Args:
      source, output: formats of the op's input and output, 8 bits.
      alpha: slope below 0.
      x: int64 of any shape, int8 values.

    Returns:
      int64 of x's shape, int8 values.
    """
    step, output_step = np.float32(source.scale), np.float32(output.scale)
    slope = float(step * np.float32(alpha) / output_step)
    difference = x - source.zero_point
    above = multiply(difference, *quantize_factor(float(step / output_step))).astype(np.int64)
    below = multiply(difference, *quantize_factor(abs(slope))).astype(np.int64) * (-1 if slope < 0 else 1)
    return saturate(np.where(difference >= 0, above, below) + output.zero_point, _INT8)


def absolute(source: Format, output: Format, x: Int64Array) -> Int64Array:
    """Law A22: int64 of any shape, int8 values in and out; the ratio of scales is taken in float32, as TFLM does."""
    ratio = float(np.float32(source.scale) / np.float32(output.scale))
    scaled = multiply(np.abs(x - source.zero_point), *quantize_factor(ratio)).astype(np.int64)
    return saturate(scaled + output.zero_point, _INT8)


def elu(source: Format, output: Format, x: Int64Array) -> Int64Array:
    """Law A21: int64 [n], int8 values in and out; computed in float32, as TFLM makes its own table."""
    one = np.float32(1)
    real = np.float32(source.scale) * (x - source.zero_point).astype(np.float32)
    exp = np.array([math.exp(min(float(r), 0.0)) for r in real], np.float32)
    y = np.where(real < 0, exp - one, real) * (one / np.float32(output.scale))
    steps = round_half_away(saturate(y, (-_MAX_STEPS, _MAX_STEPS)))  # type: ignore[arg-type]
    return saturate(steps.astype(np.int64) + output.zero_point, _INT8)
