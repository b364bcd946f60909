"""What keeps a state from one inference to the next: laws A37 and A38.

In: params of law/product_calls.py, an input, the state and constants. Out: the output and the state that follows.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.law.activations import saturate
from tflm_quantmcu.law.arrays import Int8Array, Int16Array, Int32Array, Int64Array
from tflm_quantmcu.law.fixed_point import multiply, to_int32
from tflm_quantmcu.law.product_calls import LstmParams, SvdfParams

_INT8, _INT16 = (-128, 127), (-(1 << 15), (1 << 15) - 1)
# Where TFLM's table of sigmoid(i / 24) in Q16 is one more than the nearest.
_ONE_MORE = (
    *(4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46),
    *(49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255),
)
_TABLE_PARTS = 255
_GATES = 4


def _sigmoid_table() -> np.ndarray:
    nearest = np.rint(65536 / (1 + np.exp(-np.arange(_TABLE_PARTS + 1) / 24))).astype(np.uint16)
    nearest[list(_ONE_MORE)] += 1
    return nearest


SIGMOID_TABLE = _sigmoid_table()


def sigmoid16(x: Int64Array) -> Int64Array:
    """sigmoid(x) in Q15 of x in Q12; int64 of any shape."""
    scaled = 3 * x
    found = _from_table(np.abs(scaled), 9, 0xFFFE)
    return np.where(scaled >= 0, found + (1 << 9), (1 << 25) - found + (1 << 9) - 1) >> 10


def tanh16(x: Int64Array, shift: int) -> Int64Array:
    """tanh(x) in Q15 of x that is shifted to Q12; int64 of any shape."""
    rounding = 1 << (-shift - 1) if shift < 0 else 0
    scaled = (3 * x + rounding) >> -shift if shift < 0 else (3 * x) << shift
    found = _from_table(np.abs(scaled), 8, 0xFFFF)
    return np.where(scaled >= 0, found - (1 << 23) + (1 << 7), (1 << 23) - found + (1 << 7) - 1) >> 8


def _from_table(magnitude: Int64Array, bits: int, largest: int) -> Int64Array:
    """magnitude / 2^bits in the table, between whose values it is interpolated; in Q(16 + bits)."""
    table = SIGMOID_TABLE.astype(np.int64)
    part = np.minimum(magnitude >> bits, _TABLE_PARTS - 1)
    found = (table[part] << bits) + (magnitude & ((1 << bits) - 1)) * (table[part + 1] - table[part])
    return np.where(magnitude >> bits >= _TABLE_PARTS, largest << bits, found)


def svdf(
    params: SvdfParams, x: Int8Array, state: np.ndarray, constants: tuple[np.ndarray, np.ndarray, Int32Array]
) -> tuple[Int8Array, np.ndarray]:
    """One inference (law A37).

    Args:
      params: of the call.
      x: int8 [batches, depth].
      state: int8 or int16 [batches, filters, memory], as `state_bytes` says.
      constants: the weights of the input, int8 [filters, depth], those of time, [filters, memory] of the state's
        dtype, and the biases, int32 [units].

    Returns:
      (int8 [batches, units], the state that follows).
    """
    feature, time, bias = constants
    limits = _INT8 if params.state_bytes == 1 else _INT16
    sums = (x.astype(np.int64) - params.input_zero_point) @ feature.astype(np.int64).T
    newest = saturate(multiply(sums, *params.feature_multiplier), limits) + params.state_zero_point
    following = np.concatenate([state[:, :, 1:], newest.astype(state.dtype)[:, :, None]], axis=2)
    weighed = (time.astype(np.int64) * (following.astype(np.int64) - params.state_zero_point)).sum(axis=2)
    total = bias + weighed.reshape(len(x), -1, params.rank).sum(axis=2)
    y = multiply(to_int32(total), *params.multiplier).astype(np.int64) + params.output_zero_point
    return saturate(y, _INT8).astype(np.int8), following


def lstm_step(
    params: LstmParams, x: Int8Array, state: tuple[Int8Array, Int16Array], constants: tuple[Int8Array, Int32Array]
) -> tuple[Int8Array, Int16Array]:
    """One step of a sequence (law A38).

    Args:
      params: of the call.
      x: int8 [batches, depth].
      state: (hidden, int8 [batches, units]; cell, int16 [batches, units]).
      constants: weights, int8 [units, gates, depth + units], and biases, int32 [units, gates].

    Returns:
      The state that follows; its hidden part is the step's output.
    """
    hidden, cell = state
    weights, biases = constants[0].astype(np.int64), constants[1].astype(np.int64)
    of_input = x.astype(np.int64) - params.input_zero_point
    of_hidden = hidden.astype(np.int64) - params.hidden_zero_point
    seen = []
    for gate, (input_factor, hidden_factor) in enumerate(params.gates):
        own = weights[:, gate]
        sums = biases[:, gate] + of_input @ own[:, : params.depth].T, of_hidden @ own[:, params.depth :].T
        seen.append(saturate(_scaled(sums[0], input_factor) + _scaled(sums[1], hidden_factor), _INT16))
    kept = _scaled(sigmoid16(seen[0]) * cell.astype(np.int64), params.forget_multiplier)
    update = _scaled(sigmoid16(seen[1]) * tanh16(seen[2], 0), params.update_multiplier)
    following = saturate(kept + update, (-params.clip, params.clip) if params.clip else _INT16)
    product = tanh16(following, params.tanh_shift) * sigmoid16(seen[3])
    y = multiply(product, *params.hidden_multiplier).astype(np.int64) + params.hidden_zero_point
    return saturate(y, _INT8).astype(np.int8), following.astype(np.int16)


def _scaled(x: Int64Array, factor: tuple[int, int]) -> Int64Array:
    return saturate(multiply(to_int32(x), *factor).astype(np.int64), _INT16)
